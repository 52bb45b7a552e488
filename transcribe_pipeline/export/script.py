"""What every format is written from: a transcript cleaned once, with the names people gave its speakers.

What belongs here: the boundary between artifacts and files people open, and the helpers that all formats share.
What does not: anything that only one format needs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from transcribe_pipeline.artifacts import Transcript, TranscriptSegment, TranscriptWord
from transcribe_pipeline.export.cues import Cue, build_cues
from transcribe_pipeline.text.words import join_words

# Nothing a person reads: C0 and C1 controls (NUL ends strings, PostgreSQL and XML refuse the rest), lone surrogates
# (not UTF-8), noncharacters, U+FEFF (a byte order mark), U+2060 (WORD JOINER: the SubRip writer's own mark).
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
    """A cleaned transcript and what is shown around it."""

    transcript: Transcript
    """Every word cleaned and not empty; segment positions unchanged."""
    names: Mapping[str, str]
    """Label of every speaker -> name shown: the one people gave, else the label."""
    file_name: str
    """Of the recording."""

    @classmethod
    def of(cls, transcript: Transcript, *, file_name: str, names: Mapping[str, str]) -> "Script":
        labels = {segment.speaker for segment in transcript.segments if segment.speaker}
        labels.update(speaker.label for speaker in transcript.speakers)
        shown = {label: clean(names.get(label, "")) or clean(label) for label in labels}
        return cls(_cleaned(transcript), shown, clean(file_name))

    @cached_property
    def cues(self) -> list[Cue]:
        """Shared by all subtitle formats, so that they agree and the work is done once."""
        return build_cues(self.transcript, self.names)

    def name(self, speaker: str | None) -> str:
        """The name shown for a speaker label; '' for unknown speakers."""
        return self.names[speaker] if speaker else ""

    def text(self, segments: Iterable[TranscriptSegment]) -> str:
        """The words of `segments` as running text."""
        words = (word.text for segment in segments for word in segment.words)
        return join_words(words, self.transcript.language)


def timestamp(seconds: float, decimal_mark: str) -> str:
    """'01:02:03,456' for SubRip, '01:02:03.456' for WebVTT; more than two hour digits from 100 hours on."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    whole_seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{whole_seconds:02}{decimal_mark}{milliseconds:03}"


def blocks(text: str) -> list[str]:
    """The parts of a file between blank lines."""
    return [block for block in text.strip("\n").split("\n\n") if block]


def _cleaned(transcript: Transcript) -> Transcript:
    segments = tuple(_cleaned_segment(segment) for segment in transcript.segments)
    return transcript.model_copy(update={"segments": segments})


def _cleaned_segment(segment: TranscriptSegment) -> TranscriptSegment:
    words = tuple(word for original in segment.words if (word := _cleaned_word(original)).text)
    return segment.model_copy(update={"words": words})


def _cleaned_word(word: TranscriptWord) -> TranscriptWord:
    text = clean(word.text)
    # A copy costs 4.5 µs, half a second for ten hours of speech; nearly no word needs one.
    return word if text == word.text else word.model_copy(update={"text": text})
