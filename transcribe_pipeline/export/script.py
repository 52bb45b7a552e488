"""What every format is written from: a transcript cleaned once, with the names people gave its speakers, as asked for.

What belongs here: the boundary between artifacts and files people open, where text is cleaned and hidden words leave,
and the helpers that formats share.
What does not: anything that only one format needs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from transcribe_pipeline.artifacts import Transcript, TranscriptSegment, TranscriptWord
from transcribe_pipeline.export.cues import Cue, build_cues
from transcribe_pipeline.export.options import DEFAULT_OPTIONS, ExportOptions
from transcribe_pipeline.export.redaction import Redaction
from transcribe_pipeline.export.translated import in_english
from transcribe_pipeline.text.words import join_words

# Nothing a person reads: C0 and C1 controls (NUL ends strings, PostgreSQL and XML refuse the rest), lone surrogates
# (not UTF-8), noncharacters, U+FEFF (a byte order mark), U+2060 (WORD JOINER: a mark of our own writers).
# Joiners and direction marks stay: emoji, Persian and Indic text and right-to-left text need them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u2060\ud800-\udfff\ufeff\ufffe\uffff]")


class MalformedExport(ValueError):
    """A written file is not what its format promises. The message holds places and counts, no words."""


def clean(text: str) -> str:
    """`text` on one line: unprintable characters removed, every run of white space one plain space.

    After this no text holds a line break, tab or no-break space, so formats may use those as their own marks.
    """
    return " ".join(_UNPRINTABLE.sub("", text).split())


@dataclass(frozen=True)
class Script:
    """A cleaned transcript and what is shown around it. What the options hide is nowhere in it."""

    transcript: Transcript
    """Every word cleaned and not empty, segments' texts made of them; segment positions unchanged. No translation."""
    names: Mapping[str, str]
    """Label of every speaker -> the name people gave, else (or where names are not wanted) the label."""
    file_name: str
    """Of the recording."""
    options: ExportOptions = DEFAULT_OPTIONS

    @classmethod
    def of(
        cls,
        transcript: Transcript,
        *,
        file_name: str,
        names: Mapping[str, str],
        options: ExportOptions = DEFAULT_OPTIONS,
    ) -> "Script":
        """Raises BAD_EXPORT where the options ask for what cannot be had (a translation that was never made)."""
        redaction = Redaction(options.redact, clean(options.placeholder))
        wanted = in_english(transcript) if options.language == "en" else transcript
        given = names if options.names else {}
        shown = {label: redaction.text(clean(given.get(label, ""))) or clean(label) for label in _labels(wanted)}
        segments = redaction.segments([_cleaned_segment(segment) for segment in wanted.segments])
        told = tuple(_with_text(segment, wanted.language) for segment in segments)
        cleaned = wanted.model_copy(update={"segments": told, "translation": ()})
        return cls(cleaned, shown, redaction.text(clean(file_name)), options)

    @cached_property
    def cues(self) -> list[Cue]:
        """Shared by all subtitle formats, so that they agree and the work is done once."""
        shown = {label: self.name(label) for label in self.names}
        return build_cues(self.transcript, shown, self.options.words_per_cue)

    @cached_property
    def distinct_names(self) -> dict[str | None, str]:
        """Label -> name, numbered where two have the same; None -> 'unknown'. For formats that go by names."""
        return _distinct([*self.names.items(), (None, "unknown")])

    @property
    def title(self) -> str:
        return self.file_name or "Transcript"

    def name(self, speaker: str | None) -> str:
        """The name shown for a speaker label; '' for unknown speakers, and where names are not wanted."""
        return self.names[speaker] if speaker and self.options.names else ""

    def text(self, segments: Iterable[TranscriptSegment]) -> str:
        """The words of `segments` as running text."""
        words = (word.text for segment in segments for word in segment.words)
        return join_words(words, self.transcript.language)


def identifier(text: str) -> str:
    """`text` as formats with fields between spaces can hold it: letters, digits, '_', '.' and '-'."""
    return re.sub(r"[^\w.-]+", "_", text).strip("_") or "_"


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def clock(seconds: float) -> str:
    """'01:02:03', rounded down, as players count: at 01:02:03 the paragraph is still to come."""
    minutes, whole_seconds = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{whole_seconds:02}"


def short_clock(seconds: float) -> str:
    """'1:02:03', or '2:03' below an hour; rounded down."""
    minutes, whole_seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}" if hours else f"{minutes}:{whole_seconds:02}"


def timestamp(seconds: float, decimal_mark: str) -> str:
    """'01:02:03,456' for SubRip, '01:02:03.456' for WebVTT; more than two hour digits from 100 hours on."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    whole_seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{whole_seconds:02}{decimal_mark}{milliseconds:03}"


def blocks(text: str) -> list[str]:
    """The parts of a file between blank lines."""
    return [block for block in text.strip("\n").split("\n\n") if block]


def _labels(transcript: Transcript) -> list[str]:
    """Of all speakers, in order of appearance."""
    labels = [speaker.label for speaker in transcript.speakers]
    labels += [segment.speaker for segment in transcript.segments if segment.speaker]
    return list(dict.fromkeys(labels))


def _distinct(names: Iterable[tuple[str | None, str]]) -> dict[str | None, str]:
    distinct: dict[str | None, str] = {}
    for label, name in names:
        numbered = (f"{name} {number}" for number in count(2))
        taken = set(distinct.values())
        distinct[label] = name if name not in taken else next(other for other in numbered if other not in taken)
    return distinct


def _cleaned_segment(segment: TranscriptSegment) -> TranscriptSegment:
    words = tuple(word for original in segment.words if (word := _cleaned_word(original)).text)
    return segment.model_copy(update={"words": words})


def _with_text(segment: TranscriptSegment, language: str) -> TranscriptSegment:
    return segment.model_copy(update={"text": join_words((word.text for word in segment.words), language)})


def _cleaned_word(word: TranscriptWord) -> TranscriptWord:
    text = clean(word.text)
    # A copy costs 4.5 µs, half a second for ten hours of speech; nearly no word needs one.
    return word if text == word.text else word.model_copy(update={"text": text})
