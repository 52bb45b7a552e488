"""A glance at a transcript, small enough to live in asset metadata: who spoke when, and how it begins.

Drawn with Pillow: matplotlib would cost 0.7 s of import per file, and seconds for its font cache on a new machine.
"""

import base64
import io
from typing import TYPE_CHECKING

from transcribe_pipeline.artifacts import Paragraph, Transcript

if TYPE_CHECKING:
    from PIL import Image

# Okabe and Ito's palette, distinguishable with colour-blind eyes.
SPEAKER_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")

_WIDTH, _LABEL, _LANE, _AXIS = 760, 150, 22, 24
_MARGIN = 28
"""Right of the time axis: half of its longest label, '10:00:00'."""
_MAX_LANES = 12
_INK, _RULE, _PAPER = "#222222", "#DDDDDD", "#FFFFFF"
_PREVIEW_PARAGRAPHS, _PARAGRAPH_CHARACTERS = 6, 240
_PREVIEW_CHARACTERS = 999
"""Dagster's UI hides markdown of 1,000 characters and more behind a click."""
_TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


def speaker_timeline(transcript: Transcript) -> bytes:
    """PNG: one lane per speaker (the first 12), a bar per turn, talk time in percent, a time axis."""
    from PIL import Image, ImageDraw, ImageFont

    lanes = transcript.speakers[:_MAX_LANES]
    image: Image.Image = Image.new("RGB", (_WIDTH, max(len(lanes), 1) * _LANE + _AXIS), _PAPER)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=12)
    seconds = max(transcript.audio_seconds, 1e-3)

    def x(time: float) -> float:
        return _LABEL + min(time / seconds, 1.0) * (_WIDTH - _LABEL - _MARGIN)

    bottom = max(len(lanes), 1) * _LANE
    step = next((s for s in _TICK_STEPS if seconds / s <= 8), _TICK_STEPS[-1])
    for tick in range(0, int(seconds) + 1, step):
        draw.line([(x(tick), 0), (x(tick), bottom)], fill=_RULE)
        draw.text((x(tick), bottom + 4), _clock(tick), fill=_INK, font=font, anchor="ma")
    talk = sum(speaker.seconds for speaker in transcript.speakers) or 1.0
    for lane, speaker in enumerate(lanes):
        top = lane * _LANE
        label = f"{speaker.label}  {speaker.seconds / talk:.0%}"
        draw.text((8, top + _LANE / 2), label, fill=_INK, font=font, anchor="lm")
        colour = SPEAKER_COLOURS[lane % len(SPEAKER_COLOURS)]
        for turn in transcript.turns:
            if turn.speaker == speaker.label:
                draw.rectangle([x(turn.start), top + 4, max(x(turn.end), x(turn.start) + 1), top + _LANE - 5], colour)
    if not lanes:
        draw.text((_LABEL, _LANE / 2), "no speakers", fill=_INK, font=font, anchor="lm")
    return _png(image)


def as_markdown_image(png: bytes, alternative: str) -> str:
    return f"![{alternative}](data:image/png;base64,{base64.b64encode(png).decode()})"


def markdown_preview(transcript: Transcript) -> str:
    """The first paragraphs, for people looking at the asset. Only a glance: the event log keeps it for ever."""
    if transcript.no_speech:
        return "*No speech.*"
    preview = ""
    for paragraph in transcript.paragraphs[:_PREVIEW_PARAGRAPHS]:
        longer = f"{preview}\n\n{_paragraph(transcript, paragraph)}".strip()
        if len(longer) > _PREVIEW_CHARACTERS:
            break
        preview = longer
    return preview


def _paragraph(transcript: Transcript, paragraph: Paragraph) -> str:
    segments = transcript.segments[paragraph.first_segment : paragraph.last_segment + 1]
    text = " ".join(segment.text for segment in segments)
    if len(text) > _PARAGRAPH_CHARACTERS:
        text = f"{text[:_PARAGRAPH_CHARACTERS]}…"
    return f"**{paragraph.speaker or 'Speaker'}** {_clock(int(paragraph.start))}  \n{_as_plain(text)}"


def _as_plain(text: str) -> str:
    """What people said cannot become a link, a picture or a tag in the UI."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-!|&" else c for c in text)


def _png(image: "Image.Image") -> bytes:
    buffer = io.BytesIO()
    image.quantize(64).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
