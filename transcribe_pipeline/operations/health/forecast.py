"""When the backlog will be done: what is known of it, at the speed of late.

The work of a file is what a second of its audio has taken in each stage, plus the start of its run. It is shared by the
runs that may work at once, but no faster than the pool lets the speech stages through: the narrower of the two counts.
Nothing is promised for files that nobody has looked into: their audio is estimated from their bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transcribe_pipeline.ledger.health import Speed
from transcribe_pipeline.operations.health.orchestration import SPEECH_STAGES

_START_SECONDS = 3.0
"""Until the process of a run has begun with the first stage: 2.0 to 2.9 s, as measured with Dagster 1.13."""
_ENOUGH_RUNS = 5
"""Of the last day, to count instead of the month before."""


@dataclass(frozen=True)
class Capacity:
    runs: int
    speech_places: int | None
    """For speech stages; None: any number."""


@dataclass(frozen=True)
class Forecast:
    seconds: float | None
    work_per_audio_second: float | None
    sentence: str


def forecast(files: int, audio_seconds: float | None, speeds: Sequence[Speed], capacity: Capacity) -> Forecast:
    """:param audio_seconds: of all these files; None where there is nothing to estimate it from."""
    factors = _work_factors(speeds)
    work = round(sum(factors.values()), 4) if factors else None
    if not files:
        return Forecast(0.0, work, "Nothing waits.")
    if work is None or audio_seconds is None:
        return Forecast(None, work, "Nothing was completed within a month, so there is no speed to count with.")
    pooled = sum(factor for stage, factor in factors.items() if stage in SPEECH_STAGES)
    by_runs = (audio_seconds * work + files * _START_SECONDS) / capacity.runs
    by_pool = audio_seconds * pooled / capacity.speech_places if capacity.speech_places else 0.0
    narrow = f"{capacity.runs} at a time" if by_runs >= by_pool else f"{capacity.speech_places} in the speech pool"
    seconds = round(max(by_runs, by_pool), 1)
    return Forecast(
        seconds,
        work,
        f"{files:,} files with about {audio_seconds / 3600:,.1f} h of audio take about {_spoken(seconds)}"
        f" ({work:.2f} s of work for each second of audio, {narrow}).",
    )


def _work_factors(speeds: Sequence[Speed]) -> dict[str, float]:
    """Stage -> seconds of work for a second of audio: by the last day, or by the month where that saw too little."""
    factors: dict[str, float] = {}
    for speed in sorted(speeds, key=lambda speed: speed.is_recent):
        if speed.stage not in factors or speed.runs >= _ENOUGH_RUNS:
            factors[speed.stage] = speed.seconds / speed.audio_seconds
    return factors


def _spoken(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
