"""How the speakers of a transcript take turns: the rules of `floor.py` with what its words say."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight.analytics import floor
from transcribe_pipeline.insight.analytics.counting import unit_of
from transcribe_pipeline.insight.analytics.floor import Interruption, Response, Talkspurt, Turn
from transcribe_pipeline.insight.analytics.lexicons import is_backchannel
from transcribe_pipeline.insight.analytics.material import Said
from transcribe_pipeline.insight.analytics.questions import Questions
from transcribe_pipeline.speech.spans import Span


@dataclass(frozen=True)
class Exchange:
    turns: list[Turn]
    backchannels: list[Talkspurt]
    interruptions: list[Interruption]
    responses: list[Response]
    overlap_seconds: float
    overlap_of: Mapping[str, float]
    """Speaker -> seconds of their talk with others talking too."""
    monologues: Mapping[str, float]
    """Speaker -> seconds of the longest."""


def exchange(
    transcript: Transcript,
    talk: Mapping[str, Sequence[Span]],
    said: Mapping[str | None, Said],
    questions: Questions | None,
) -> Exchange:
    """:param talk: of the known speakers.
    :param questions: None where they cannot be told; then a short answer may pass for a back-channel.
    """
    language, unit = transcript.language, unit_of(transcript.language)
    asked = _Asked(transcript, questions)

    def may_be_backchannel(spurt: Talkspurt) -> bool:
        heard = said[spurt.speaker].between(spurt.start, spurt.end) if spurt.speaker in said else []
        return is_backchannel(heard, language, unit)

    spurts = floor.talkspurts(talk)
    claims, backchannels = floor.split_backchannels(spurts, may_be_backchannel, asked.is_answer)
    turns = floor.turns(claims)
    overlap_seconds, overlap_of = floor.overlaps(talk)
    return Exchange(
        turns=turns,
        backchannels=backchannels,
        interruptions=floor.interruptions(claims, turns),
        responses=floor.responses(turns),
        overlap_seconds=overlap_seconds,
        overlap_of=overlap_of,
        monologues=floor.longest_monologues(turns),
    )


class _Asked:
    """Whose last words before a moment were a question."""

    def __init__(self, transcript: Transcript, questions: Questions | None) -> None:
        self._starts: dict[str | None, list[float]] = defaultdict(list)
        self._question_ends: dict[str | None, list[float | None]] = defaultdict(list)
        for segment in transcript.segments:
            is_question = questions is not None and questions.is_last_in(segment.text)
            self._starts[segment.speaker].append(segment.start)
            self._question_ends[segment.speaker].append(segment.end if is_question else None)

    def is_answer(self, spurt: Talkspurt, to: str) -> bool:
        """Has a question ended before this has? What is said in its middle does not answer it."""
        before = bisect_left(self._starts[to], spurt.start)
        asked = self._question_ends[to][before - 1] if before else None
        return asked is not None and asked < spurt.end
