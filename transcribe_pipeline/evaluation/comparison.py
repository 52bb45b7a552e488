"""Candidates measured on recordings with references: every recording's score, and figures pooled over any of them.

What belongs here: carrying the comparison out, and pooling. What does not: how a recording is scored (`scoring.py`) or
processed (`candidates.py`), and how figures look (`report.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

from transcribe_pipeline.evaluation.candidates import Candidate, Outcome, outcomes
from transcribe_pipeline.evaluation.references import Reference
from transcribe_pipeline.evaluation.scoring import Heard, Rate, Score, pooled, require_libraries, score
from transcribe_pipeline.settings import Settings

RECOGNITION, DIARIZATION = "transcription", "diarization"
"""Names of the stages whose speed is shown apart."""


@dataclass(frozen=True)
class Measured:
    """One recording under one candidate."""

    reference: Reference
    score: Score
    audio_seconds: float = 0.0
    """0 for a failed recording, which has no speed."""
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    peak_bytes: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Result:
    candidate: str
    recordings: tuple[Measured, ...]

    def groups(self) -> dict[str, list[Measured]]:
        """By kind of recording, in order of the kinds' names."""
        kinds = sorted({measured.reference.group for measured in self.recordings})
        return {kind: [m for m in self.recordings if m.reference.group == kind] for kind in kinds}


@dataclass(frozen=True)
class Figures:
    """Pooled: errors of all recordings out of the chances of all. None where no reference tells."""

    recordings: int
    failed: int
    """Counted as if nothing had been heard: a candidate gains nothing by failing."""
    wer: Rate | None
    cer: Rate | None
    cpwer: Rate | None
    der: Rate | None
    speakers: Rate | None
    language: Rate | None
    stray_words: Rate | None
    start_median: float | None
    """Seconds by which word starts are off."""
    start_p95: float | None
    rtf: float | None
    """Seconds of processing, from RUN_START to RUN_SUCCESS with loading of models, per second of audio."""
    recognition_rtf: float | None
    diarization_rtf: float | None
    peak_bytes: int


def figures(measured: Sequence[Measured]) -> Figures:
    scores = [each.score for each in measured]
    starts = [error for each in scores for error in each.start_errors]
    heard = [each for each in measured if each.error is None]
    audio_seconds = sum(each.audio_seconds for each in heard)

    def rtf(seconds: float) -> float | None:
        return seconds / audio_seconds if audio_seconds and seconds else None

    return Figures(
        recordings=len(measured),
        failed=len(measured) - len(heard),
        wer=pooled(each.wer for each in scores),
        cer=pooled(each.cer for each in scores),
        cpwer=pooled(each.cpwer for each in scores),
        der=pooled(each.der for each in scores),
        speakers=pooled(each.speakers for each in scores),
        language=pooled(each.language for each in scores),
        stray_words=pooled(each.stray_words for each in scores),
        start_median=median(starts) if starts else None,
        start_p95=quantiles(starts, n=20, method="inclusive")[-1] if len(starts) > 1 else None,
        rtf=rtf(sum(each.seconds for each in heard)),
        recognition_rtf=rtf(sum(each.stages.get(RECOGNITION, 0.0) for each in heard)),
        diarization_rtf=rtf(sum(each.stages.get(DIARIZATION, 0.0) for each in heard)),
        peak_bytes=max((each.peak_bytes for each in measured), default=0),
    )


def compare(
    references: Sequence[Reference],
    candidates: Sequence[Candidate],
    configured: Settings,
    on_measured: Callable[[Candidate, Measured], None],
) -> list[Result]:
    """Put every recording through the pipeline under every candidate, and score what comes out.

    :raises PipelineError: ENGINE_MISSING, before anything is done; INTERNAL, if the pipeline cannot run at all.
    """
    require_libraries()
    results = []
    for candidate in candidates:
        measured = []
        for each in _measured(references, candidate, configured):
            measured.append(each)
            on_measured(candidate, each)
        results.append(Result(candidate.name, tuple(measured)))
    return results


def _measured(references: Sequence[Reference], candidate: Candidate, configured: Settings) -> Iterator[Measured]:
    by_name = {reference.name: reference for reference in references}
    recordings = {name: reference.recording for name, reference in by_name.items()}
    for outcome in outcomes(candidate, recordings, configured):
        yield judge(by_name[outcome.name], outcome)


def judge(reference: Reference, outcome: Outcome) -> Measured:
    """Score an outcome; without a transcript it is one in which nothing was heard."""
    transcript = outcome.transcript
    return Measured(
        reference=reference,
        score=score(reference, Heard.of(transcript) if transcript else Heard()),
        audio_seconds=transcript.audio_seconds if transcript else 0.0,
        seconds=outcome.seconds,
        stages=outcome.stages,
        peak_bytes=outcome.peak_bytes,
        error=None if transcript else outcome.error or "no transcript",
    )
