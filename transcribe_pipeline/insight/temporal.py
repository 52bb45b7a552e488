"""Words that place something in time: 'last Tuesday', 'in two months', 'March 14th'.

Somebody who was not there cannot tell what day 'last Tuesday' was: such markers need to be asked about, unless a date
stands beside them. What belongs here: finding them, in the languages of `temporal_patterns` (elsewhere none are found).
What does not: working out the date, since nobody knows for sure when a recording was made.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight.temporal_patterns import DATES, NUMERIC_DATE, RELATIVE

_DATE_CONFIDENCE = 0.95


class TemporalMarker(NamedTuple):
    segment: int
    text: str
    """As spoken."""
    confidence: float
    """That the words are about time, 0..1: our judgement, see `temporal_patterns`."""
    needs_clarification: bool
    """Relative to the day it was said on, with no date in the same segment."""


class _Expression(NamedTuple):
    pattern: re.Pattern[str]
    confidence: float
    is_date: bool


def markers(transcript: Transcript) -> list[TemporalMarker]:
    """In order; of markers that overlap, the one that begins first, and of these the longest."""
    expressions = _expressions(transcript.language)
    return [
        marker
        for segment in transcript.segments
        for marker in _found(segment.id, " ".join(segment.text.split()), expressions)
    ]


@lru_cache
def _expressions(language: str) -> tuple[_Expression, ...]:
    if language not in DATES:
        return ()
    return (
        _Expression(_whole_words(f"{DATES[language]}|{NUMERIC_DATE}"), _DATE_CONFIDENCE, True),
        *(_Expression(_whole_words(words), sure, False) for sure, words in RELATIVE[language]),
    )


def _whole_words(expression: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{expression})(?![\w-])", re.IGNORECASE)


def _found(segment: int, text: str, expressions: tuple[_Expression, ...]) -> Iterator[TemporalMarker]:
    straight = text.replace("\u2019", "'")
    matches = [(match, each) for each in expressions for match in each.pattern.finditer(straight)]
    has_date = any(each.is_date for _, each in matches)
    matches.sort(key=lambda found: (found[0].start(), -found[0].end(), -found[1].confidence))
    reached = 0
    for match, each in matches:
        if match.start() >= reached:
            reached = match.end()
            yield TemporalMarker(
                segment, text[match.start() : match.end()], each.confidence, not each.is_date and not has_date
            )
