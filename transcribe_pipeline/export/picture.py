"""A glance at a transcript, small enough to live in asset metadata: how it begins, and pictures as markdown."""

import base64

from transcribe_pipeline.artifacts import Paragraph, Transcript

_PREVIEW_PARAGRAPHS, _PARAGRAPH_CHARACTERS = 6, 240
_PREVIEW_CHARACTERS = 999
"""Dagster's UI hides markdown of 1,000 characters and more behind a click."""


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


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
