"""What a reader would ask next, as far as it can be told without understanding: what was asked and not answered, what
is to be done by nobody in particular, and which day 'next Tuesday' is.

Every question quotes the transcript within a frame of ours, in the transcript's language where there is one.
What does not belong here: what a model would ask (`questions`).
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.temporal import TemporalMarker, markers
from transcribe_pipeline.insight.terms import terms
from transcribe_pipeline.insights import AskedQuestion, Clarification, Statement

MOST_NEXT: Final = 10
_MOST_CLARIFICATIONS: Final = 20
_LONGEST_QUOTE: Final = 160
"""Characters."""


class _Frames(NamedTuple):
    answer: str
    date: str


_FRAMES: Final = {
    "en": _Frames("What is the answer to “{}”", "Which date is meant by “{}”?"),
    "de": _Frames("Was ist die Antwort auf „{}“", "Welches Datum ist mit „{}“ gemeint?"),
    "fr": _Frames("Quelle est la réponse à « {} »", "Quelle date est désignée par « {} » ?"),
    "es": _Frames("¿Cuál es la respuesta a «{}»", "¿Qué fecha se entiende por «{}»?"),
    "it": _Frames("Qual è la risposta a «{}»", "Quale data si intende con «{}»?"),
    "pt": _Frames("Qual é a resposta a «{}»", "Que data se entende por «{}»?"),
    "nl": _Frames("Wat is het antwoord op ‘{}’", "Welke datum wordt bedoeld met ‘{}’?"),  # noqa: RUF001
}

_NOBODY_IN_PARTICULAR: Final = re.compile(
    r"\b(?:some(?:body|one)|any(?:body|one)) (?:\w+ )?(?:should|has to|needs? to|must|ought to|will have to)\b"
    r"|\b(?:it|this|that|these|they) (?:still )?(?:needs? to|has to|have to|must|should) be \w+(?:ed|ne|nt|de|en)\b",
    re.IGNORECASE,
)
_UNDECIDED: Final = re.compile(
    r"\b(?:we|you)(?:'ll| will| should| need to| have to| still need to|'ve got to) (?:decide|figure \w+ out|find out"
    r"|work out|look into|come back to|think about)\b|\bto be (?:decided|determined|confirmed)\b",
    re.IGNORECASE,
)


def left_open(transcript: Transcript, asked: Sequence[AskedQuestion]) -> tuple[Statement, ...]:
    """Up to 10, in order of time: of more, those about most."""
    open_questions = [_answer_to(question, transcript.language) for question in asked if question.answer is None]
    candidates = [*open_questions, *_unsettled(transcript)]
    weighty = sorted(candidates, key=lambda each: -len(set(terms(each.text, transcript.language))))[:MOST_NEXT]
    return tuple(sorted(weighty, key=lambda each: each.segments))


def clarifications(transcript: Transcript) -> tuple[Clarification, ...]:
    """Times that only people who were there can place, in order: the same words once, of more than 20 the surest.

    None in languages whose times are not known (`temporal_patterns`).
    """
    unclear: dict[str, list[TemporalMarker]] = {}
    for marker in markers(transcript):
        if marker.needs_clarification and not transcript.segments[marker.segment].doubts:
            unclear.setdefault(marker.text.casefold(), []).append(marker)
    surest = sorted(unclear.values(), key=lambda alike: (-alike[0].confidence, alike[0].segment))
    made = (_clarification(transcript, alike) for alike in surest[:_MOST_CLARIFICATIONS])
    return tuple(sorted(made, key=lambda each: (each.start, each.segments)))


def _clarification(transcript: Transcript, alike: list[TemporalMarker]) -> Clarification:
    marker = alike[0]
    return Clarification(
        marker=marker.text,
        start=transcript.segments[marker.segment].start,
        segments=tuple(sorted({each.segment for each in alike})),
        confidence=marker.confidence,
        question=_FRAMES[transcript.language].date.format(clean(marker.text)),
    )


def _answer_to(question: AskedQuestion, language: str) -> Statement:
    said = _shortened(question.text)
    # In a language without a frame the question itself is what a reader would ask.
    text = f"{_FRAMES[language].answer.format(said)}?" if language in _FRAMES else said
    return Statement(text=text, segments=question.segments)


def _unsettled(transcript: Transcript) -> list[Statement]:
    if transcript.language != "en":
        return []
    made = []
    for segment in transcript.segments:
        said = clean(segment.text).replace("\u2019", "'")
        if segment.doubts or said.endswith("?"):
            continue
        if _NOBODY_IN_PARTICULAR.search(said):
            made.append(Statement(text=f"Who will do this: “{_shortened(said)}”?", segments=(segment.id,)))
        elif _UNDECIDED.search(said):
            made.append(Statement(text=f"What came of this: “{_shortened(said)}”?", segments=(segment.id,)))
    return made


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST_QUOTE:
        return text
    return text[:_LONGEST_QUOTE].rsplit(" ", 1)[0] + "…"
