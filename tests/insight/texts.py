"""Recordings made up of real texts on known subjects: the sections of Python's reference, which every Python brings."""

import random
import re
from functools import cache
from pydoc_data.topics import topics
from typing import NamedTuple

from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import Transcript

_LEAST_WORDS = 350
_SECONDS_PER_WORD = 0.4  # 150 words a minute
_SPEAKERS = 3


class Recording(NamedTuple):
    transcript: Transcript
    last_segments: list[int]
    """Of each subject but the last."""


def recording(seed: int, subjects: int, *, least_words: int = 450, most_words: int = 1300) -> Recording:
    """Three speakers in turn, a sentence in a segment; a subject has so many words, or as many as its text has."""
    chance = random.Random(seed)
    turns, ends, time = [], [], 0.0
    for text in chance.choices(_texts(), k=subjects) if subjects > len(_texts()) else chance.sample(_texts(), subjects):
        left = chance.randint(least_words, most_words)
        for sentence in text:
            if left <= 0:
                break
            words = timed(sentence, start=time, seconds=_SECONDS_PER_WORD - 0.05)
            turns.append((f"SPEAKER_{chance.randrange(_SPEAKERS):02d}", words))
            time, left = words[-1].end + 0.3, left - len(words)
        ends.append(len(turns) - 1)
    return Recording(transcript_of(turns), ends[:-1])


@cache
def _texts() -> list[list[str]]:
    texts = [_sentences(text) for _, text in sorted(topics.items())]
    return [text for text in texts if sum(len(sentence.split()) for sentence in text) >= _LEAST_WORDS]


def _sentences(text: str) -> list[str]:
    plain = " ".join(re.sub(r"[*=\-_^~#|`]{2,}", " ", text).split())
    return [each for each in re.split(r"(?<=[.!?])\s+", plain) if 3 <= len(each.split()) <= 60]


def pk(truth: list[int], found: list[int], segments: int) -> float:
    """Share of pairs, half a subject apart, that are wrongly told to be of one subject or of two (Beeferman 1999)."""
    wrong, pairs = _compared(truth, found, segments, lambda crossed: crossed > 0)
    return wrong / pairs


def window_diff(truth: list[int], found: list[int], segments: int) -> float:
    """As `pk`, but of the number of boundaries between them (Pevzner and Hearst 2002)."""
    wrong, pairs = _compared(truth, found, segments, lambda crossed: crossed)
    return wrong / pairs


def _compared(truth, found, segments, told):
    apart = max(2, round(segments / (len(truth) + 1) / 2))

    def crossed(ends, i):
        return told(sum(i <= end < i + apart for end in ends))

    return sum(crossed(truth, i) != crossed(found, i) for i in range(segments - apart)), segments - apart
