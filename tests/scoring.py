"""Error rates against what lies beside a recording, by the scorer of `transcribe evaluate`."""

from collections.abc import Sequence
from pathlib import Path

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.evaluation import scoring
from transcribe_pipeline.evaluation.references import Reference, Turn, find_references
from transcribe_pipeline.evaluation.scoring import Heard, Rate


def truth(beside: Path) -> Reference:
    """The reference of the recording that this file lies beside (or is)."""
    return next(each for each in find_references(beside.parent) if each.recording.stem == beside.stem)


def wer(reference: str, hypothesis: str) -> float:
    """Word error rate of English text under Whisper's normalisation (as leaderboards do)."""
    return _value(scoring.wer(reference, hypothesis, "en"))


def der(reference: Sequence[Turn], hypothesis: Sequence[Turn]) -> float:
    """Diarization error rate, no collar, overlapping speech scored."""
    return _value(scoring.der(reference, hypothesis))


def rttm(path: Path) -> tuple[Turn, ...]:
    return truth(path).turns


def turns_of(transcript: Transcript) -> tuple[Turn, ...]:
    return Heard.of(transcript).turns


def _value(rate: Rate) -> float:
    assert rate.value is not None
    return rate.value
