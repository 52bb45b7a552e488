"""The transcript page: one HTML file in which people read, hear, search and quote a recording.

What belongs here: what is on the page, as data for the template (`page.html`), its style (`page.css`) and its
behaviour (`page.js`), and what keeps it safe. What does not: where pages are stored and how they are served.

The file needs no network and nothing beside it but the recording. Everything that a person or a recogniser wrote goes
through the template's escaping or through `_as_json`; the only script and style that the browser may use are the ones
in this package, by their hashes in the Content Security Policy, and the script may not make markup from text
(Trusted Types). Without JavaScript the transcript is still there to be read, and the recording to be played.

Words are not elements in the file: paragraphs hold plain text, and the script cuts words out of it, by their lengths,
only near what is on the screen. Ten hours of speech are 100,000 words.
"""

import base64
import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from transcribe_pipeline.artifacts import Doubt, Paragraph, SpeakerTurn, Transcript, TranscriptWord, Translation
from transcribe_pipeline.export import plots
from transcribe_pipeline.export.colours import speaker_colours
from transcribe_pipeline.export.page.insights import Shown
from transcribe_pipeline.export.script import Script, clean, short_clock
from transcribe_pipeline.insights import Insights
from transcribe_pipeline.text.languages import LANGUAGES, language_tag
from transcribe_pipeline.text.words import join_words, separator

if TYPE_CHECKING:
    from jinja2 import Environment

FILE_NAME: Final = "transcript.html"

_HERE = Path(__file__).parent
# Whisper's languages that are written from right to left.
_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ps", "sd", "ur", "yi"})
_TIMELINE_COLUMNS = 4_000
"""Twice the pixels of a wide screen: turns that fall together there are drawn as one."""
_LANE_UNITS = 10
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+")
"""Host and port as they may stand in the policy: no wildcard, and nothing that begins another directive."""

_REASONS: Final[Mapping[Doubt, str]] = {
    Doubt.LOW_CONFIDENCE: "hard to make out",
    Doubt.REPETITION: "repeats itself",
    Doubt.NO_SPEECH: "nobody seems to speak",
    Doubt.HALLUCINATION: "may be invented",
    Doubt.SPEED: "unlikely speed",
    Doubt.GIVEN_TEXT: "not heard like this",
}


@dataclass(frozen=True)
class MediaSource:
    """Where the page finds the recording."""

    url: str
    allowed: str
    """The source expression of the Content Security Policy under which the browser may load it."""
    is_video: bool = False

    @classmethod
    def beside(cls, page_key: str, object_key: str, *, is_video: bool = False) -> "MediaSource":
        """A recording in the same store, by a relative URL: works in a folder, a bucket and behind `transcribe serve`.

        Both are object keys, as 'results/ann/talk-mp3-0a1b2c3d4e5f/transcript.html' and 'uploads/ann/talk.mp3'.
        """
        up = "../" * page_key.count("/")
        # 'self' is the page's origin, and by the standard a file on a disk has none. On the web 'file:' lets nothing
        # through: browsers load no files for web pages.
        return cls(up + "/".join(quote(part, safe="") for part in object_key.split("/")), "'self' file:", is_video)

    @classmethod
    def at(cls, url: str, *, is_video: bool = False) -> "MediaSource":
        """A recording on a server, by an absolute or signed URL. Raises ValueError if it is not http(s)."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
            raise ValueError("a recording's URL is http:// or https:// with a plain host")
        return cls(url, f"{parts.scheme}://{parts.netloc}", is_video)

    @classmethod
    def embedded(cls, content: bytes, media_type: str, *, is_video: bool = False) -> "MediaSource":
        """The recording inside the page, for a file that people pass on; a third larger than `content`."""
        return cls(f"data:{media_type};base64,{base64.b64encode(content).decode()}", "data:", is_video)


def page_key(results_prefix: str, owner: str, partition_key: str) -> str:
    """Object key of a recording's page."""
    return f"{results_prefix}/{owner}/{partition_key}/{FILE_NAME}"


def render(
    script: Script,
    media: MediaSource,
    *,
    partition_key: str,
    transcript_id: str,
    title: str = "",
    translation: Sequence[Translation] = (),
    insights: Insights | None = None,
    added_at: datetime | None = None,
) -> bytes:
    """The page (HTML, UTF-8).

    :param partition_key, transcript_id: stand in the JSON by which people export the names they gave.
    :param title: of the recording; without one its file name is shown.
    :param translation: in English, shown below the paragraphs on demand. The script has none: where words are redacted,
        nobody knows which words of a translation say the same.
    :param insights: of this transcript version, shown whole: where words are redacted there should be none.
    :param added_at: when the recording was uploaded.
    """
    turns = list(_turns(script, translation))
    known = Shown(script, insights or Insights())
    style = _style(script.transcript)
    html = (
        _templates()
        .get_template("page.html")
        .render(
            policy=_policy(media, style),
            style=style,
            script=_text("page.js"),
            title=clean(title) or script.file_name,
            file_name=script.file_name,
            facts=list(_facts(script.transcript, added_at)),
            transcript=script.transcript,
            language=language_tag(script.transcript.language),
            direction="rtl" if script.transcript.language in _RIGHT_TO_LEFT else "ltr",
            speakers=list(_speakers(script)),
            lanes=list(_lanes(script)),
            lane_units=_LANE_UNITS,
            columns=_TIMELINE_COLUMNS,
            chapters=known.chapters(),
            overview=known.overview(),
            turns=turns,
            figures=[plots.words_per_minute(script.transcript).svg(), plots.confidence(script.transcript).svg()],
            has_english=bool(translation),
            media=media,
            data=_as_json(_data(script, turns, partition_key, transcript_id)),
        )
    )
    return html.encode()


@dataclass(frozen=True)
class Entry:
    """A line of the list of transcripts."""

    file_name: str
    owner: str
    added_at: datetime
    url: str


def render_index(entries: Sequence[Entry], *, older: str | None = None) -> tuple[str, str]:
    """The list of transcripts (HTML), and the Content Security Policy to send with it.

    :param older: address of the list that goes on after this one.
    """
    style = _text("base.css") + _text("index.css")
    html = _templates().get_template("index.html").render(entries=entries, older=older, style=style)
    policy = f"default-src 'none'; style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    return html, f"{policy}; frame-ancestors 'none'"


# --- what is on the page --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """One segment's text."""

    before: str
    """What separates it from the previous one."""
    text: str
    reasons: str
    """Why it is in doubt; empty for most."""


@dataclass(frozen=True)
class _Turn:
    """A paragraph as it is shown."""

    name: str
    lane: int | None
    """Position of the speaker; None: unknown."""
    start: float
    clock: str
    pieces: list[_Piece]
    english: str
    words: list[TranscriptWord]


def _turns(script: Script, translation: Sequence[Translation]) -> Iterator[_Turn]:
    lane_of = _lane_of(script.transcript)
    english = _by_paragraph(script.transcript.paragraphs, translation)
    for position, paragraph in enumerate(script.transcript.paragraphs):
        pieces, words = _pieces(script, paragraph)
        if words:
            yield _Turn(
                name=script.names.get(paragraph.speaker or "", ""),
                lane=lane_of.get(paragraph.speaker or ""),
                start=round(paragraph.start, 2),
                clock=short_clock(paragraph.start),
                pieces=pieces,
                english=english.get(position, ""),
                words=words,
            )


def _pieces(script: Script, paragraph: Paragraph) -> tuple[list[_Piece], list[TranscriptWord]]:
    language = script.transcript.language
    pieces: list[_Piece] = []
    words: list[TranscriptWord] = []
    for segment in script.transcript.segments[paragraph.first_segment : paragraph.last_segment + 1]:
        if not segment.words:
            continue
        before = separator(words[-1].text, segment.words[0].text, language) if words else ""
        reasons = ", ".join(_REASONS[doubt] for doubt in segment.doubts)
        pieces.append(_Piece(before, join_words((word.text for word in segment.words), language), reasons))
        words += segment.words
    return pieces, words


def _by_paragraph(paragraphs: Sequence[Paragraph], translation: Sequence[Translation]) -> dict[int, str]:
    """Position of a paragraph -> the English for what is said in it, by the middle of each translated stretch."""
    starts = [paragraph.start for paragraph in paragraphs]
    texts: dict[int, list[str]] = {}
    for stretch in translation:
        position = max(bisect_right(starts, (stretch.start + stretch.end) / 2) - 1, 0)
        texts.setdefault(position, []).append(clean(stretch.text))
    return {position: " ".join(filter(None, parts)) for position, parts in texts.items()}


def _facts(transcript: Transcript, added_at: datetime | None) -> Iterator[str]:
    yield short_clock(transcript.audio_seconds)
    if transcript.speakers:
        yield _count(len(transcript.speakers), "speaker")
    if transcript.segments:
        yield _count(sum(len(segment.words) for segment in transcript.segments), "word")
    if transcript.language in LANGUAGES:
        yield LANGUAGES[transcript.language]
    if added_at:
        yield f"added {added_at:%Y-%m-%d}"
    if transcript.quality.doubtful_segments:
        yield f"{_count(transcript.quality.doubtful_segments, 'passage')} to check"


def _speakers(script: Script) -> Iterator[dict[str, Any]]:
    talk = sum(speaker.seconds for speaker in script.transcript.speakers) or 1.0
    for speaker in script.transcript.speakers:
        yield {
            "name": script.names[speaker.label],
            "percent": round(100 * speaker.seconds / talk),
            "clock": short_clock(speaker.seconds),
            "words": _count(speaker.words, "word"),
        }


def _lane_of(transcript: Transcript) -> dict[str, int]:
    return {speaker.label: lane for lane, speaker in enumerate(transcript.speakers)}


def _lanes(script: Script) -> Iterator[str]:
    """An SVG path per speaker: a bar for every stretch of the timeline in which the speaker is heard."""
    transcript = script.transcript
    said = transcript.turns or [
        SpeakerTurn(start=paragraph.start, end=paragraph.end, speaker=paragraph.speaker or "")
        for paragraph in transcript.paragraphs
    ]
    column = _TIMELINE_COLUMNS / max(transcript.audio_seconds, 1e-3)
    for label, lane in _lane_of(transcript).items():
        bars = _merged((int(turn.start * column), int(turn.end * column) + 1) for turn in said if turn.speaker == label)
        top, height = lane * _LANE_UNITS + 2, _LANE_UNITS - 4
        yield "".join(f"M{left} {top}h{right - left}v{height}h{left - right}z" for left, right in bars)


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    left: int | None = None
    right = 0
    for start, end in sorted(spans):
        if left is None:
            left = start
        elif start > right:
            yield left, right
            left, right = start, 0
        right = max(right, end)
    if left is not None:
        yield left, right


def _data(script: Script, turns: Sequence[_Turn], partition_key: str, transcript_id: str) -> dict[str, Any]:
    """What the script needs beyond the text. Times are integer milliseconds; words in order of the text.

    A word begins `gaps[i]` after the end of the word before and lasts `lasts[i]`: small numbers, a few bytes each.
    `lengths` are UTF-16 code units, as JavaScript counts; `certainty` is a digit per word, its probability in tenths.
    """
    words = [word for turn in turns for word in turn.words]
    starts = [round(word.start * 1000) for word in words]
    ends = [max(round(word.end * 1000), start) for word, start in zip(words, starts, strict=True)]
    return {
        "partition_key": partition_key,
        "transcript_id": transcript_id,
        "milliseconds": round(script.transcript.audio_seconds * 1000),
        "speakers": [
            {"label": speaker.label, "name": script.names[speaker.label]} for speaker in script.transcript.speakers
        ],
        "turns": [len(turn.words) for turn in turns],
        "gaps": [start - end for start, end in zip(starts, [0, *ends], strict=False)],
        "lasts": [end - start for start, end in zip(starts, ends, strict=True)],
        "lengths": [len(word.text.encode("utf-16-le")) // 2 for word in words],
        "certainty": "".join(str(min(int(word.probability * 10), 9)) for word in words),
    }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# --- what keeps it safe ---------------------------------------------------------------------------------------------


def _policy(media: MediaSource, style: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(_text('page.js'))}",
            f"style-src {_hash(style)}",
            f"media-src {media.allowed}",
            "img-src data:",  # the icon in the tab
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(text: str) -> str:
    """The source expression that lets exactly this inline script or style through."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _as_json(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


# --- how it looks ---------------------------------------------------------------------------------------------------


@cache
def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _style(transcript: Transcript) -> str:
    """The sheet, with class 's3' in the fourth speaker's colour."""
    colours = speaker_colours(speaker.label for speaker in transcript.speakers).values()
    return (
        _text("base.css")
        + _text("page.css")
        + "".join(f".s{lane}{{--speaker:{colour}}}\n" for lane, colour in enumerate(colours))
    )


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
