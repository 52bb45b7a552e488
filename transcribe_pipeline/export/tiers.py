"""A transcript as tiers, as linguists' tools have it: for every speaker one of segments and one of words.

What belongs here: what Praat and ELAN share. In a tier nothing overlaps and everything lasts; times are whole
milliseconds. Where a recogniser's times break that (two words of one speaker at once, a word of no length), the earlier
ends when the later begins, and a word that has no room is moved by milliseconds; nothing is left out.
"""

from itertools import pairwise
from typing import NamedTuple

from transcribe_pipeline.artifacts import TranscriptSegment, TranscriptWord
from transcribe_pipeline.export.script import Script, milliseconds

WORDS = "\u00a0(words)"
"""What the name of a tier of words ends in. No speaker's tier has such a name: cleaned text has no NO-BREAK SPACE."""


class Interval(NamedTuple):
    start: int
    """Milliseconds, as `end`, which is later."""
    end: int
    text: str


class SpeakerTiers(NamedTuple):
    name: str
    """Not the same for any two."""
    segments: list[Interval]
    words: list[Interval]


def speaker_tiers(script: Script) -> list[SpeakerTiers]:
    """Speakers in order of appearance, then whoever is unknown; those who say nothing are left out."""
    spoken: dict[str | None, list[TranscriptSegment]] = {label: [] for label in script.distinct_names}
    for segment in script.transcript.segments:
        if segment.words:
            spoken[segment.speaker].append(segment)
    return [_tiers(script, script.distinct_names[label], segments) for label, segments in spoken.items() if segments]


def words_by_speaker(script: Script) -> list[str]:
    """The words of all tiers, one tier after the other."""
    return [word.text for tiers in speaker_tiers(script) for word in tiers.words]


def end_of(script: Script, tiers: list[SpeakerTiers]) -> int:
    """Milliseconds: the end of the recording, or of the last word where that is later."""
    return max([1, milliseconds(script.transcript.audio_seconds), *(tier.segments[-1].end for tier in tiers)])


def _tiers(script: Script, name: str, segments: list[TranscriptSegment]) -> SpeakerTiers:
    words = _in_a_row([word for segment in segments for word in segment.words])
    intervals, first = [], 0
    for segment in segments:
        stop = first + len(segment.words)
        intervals.append(Interval(words[first].start, words[stop - 1].end, script.text([segment])))
        first = stop
    return SpeakerTiers(name, intervals, words)


def _in_a_row(words: list[TranscriptWord]) -> list[Interval]:
    starts: list[int] = []
    for word in words:
        starts.append(max(milliseconds(word.start), starts[-1] + 1 if starts else 0))
    last = max(milliseconds(words[-1].end), starts[-1] + 1)
    return [
        Interval(start, min(max(milliseconds(word.end), start + 1), following), word.text)
        for word, (start, following) in zip(words, pairwise([*starts, last]), strict=True)
    ]
