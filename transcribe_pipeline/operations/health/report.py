"""What a health report says. Values only: `collecting` makes them, `score` judges them, others show them.

Durations are seconds, windows end when the report was made: `last_hour`, `last_day`. None stands for what could not be
measured, never for zero.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Verdict(StrEnum):
    HEALTHY = "healthy"
    FAIR = "fair"
    POOR = "poor"
    EMPTY = "empty"
    """There are no files yet, and nothing else is wrong."""


class Reason(_Value):
    """Why the score is not 100."""

    points: int
    sentence: str
    advice: str
    """What to do about it; a command wherever there is one."""


class Files(_Value):
    total: int
    by_state: dict[str, int]
    """Every state of `ledger.states.State`, with how many files are in it."""
    bytes: int
    stuck: int
    """At work by the ledger, but the lease ran out and nobody has taken over."""
    passing_errors: int
    """Failed with an error that may pass: recovery tries them again by itself."""
    degraded_by_stage: dict[str, int]
    past_retention: int
    """Failed files old enough for retention to delete them."""
    on_legal_hold: int


class Window(_Value):
    """What ended within a window."""

    completed: int
    """Degraded ones included."""
    degraded: int
    failed: int
    cancelled: int
    orphaned: int
    quarantined: int
    error_rate: float
    """Failed and quarantined ones among all but the cancelled, 0..1."""
    errors: dict[str, int]
    """Error code -> files that ended with it."""
    retried_files: int
    retries: int
    """Runs beyond the first."""
    audio_hours: float
    audio_hours_per_hour: float
    """Throughput."""
    mean_processing_seconds: float | None
    """Of completed files, from the first claim of their last run to the end."""


class StageHealth(_Value):
    stage: str
    waiting: int
    """Files that wait to begin with this stage."""
    oldest_waiting_seconds: float | None
    working: int
    """Files that are at this stage."""
    oldest_working_seconds: float | None
    """Since that file's run began."""
    stuck: int
    """Of these, how many nobody works on any more."""
    runs_last_hour: int
    runs_last_day: int
    failures_last_day: int
    errors_last_day: dict[str, int]
    """Error code -> runs of this stage that ended with it."""
    error_rate_last_day: float
    retries_last_day: int
    """Runs that did the same generation's stage once more."""
    seconds_last_day: float
    cpu_seconds_last_day: float
    gpu_seconds_last_day: float
    rtf_last_day: float | None
    """Median real-time factor of successful runs, as the next."""
    rtf_history: float | None
    """Of the 30 days before."""
    degraded_files: int
    """Completed files that go without what this stage makes."""


class OwnerBacklog(_Value):
    owner: str
    files: int
    oldest_seconds: float


class Backlog(_Value):
    files: int
    """Waiting and at work."""
    in_backlog: int
    """Of these, how many no run was requested for, since others come first or intake is paused."""
    settling: int
    """How many may still be being written."""
    in_queue: int
    """How many wait in Dagster's queue, or for a retry."""
    at_work: int
    """How many a run with a live lease works on; the rest is stuck."""
    bytes: int
    audio_hours: float | None
    """Estimated from the bytes, by what completed files had of both."""
    oldest_seconds: float | None
    owners: list[OwnerBacklog]
    """The longest queues, at most ten."""
    work_per_audio_second: float | None
    """Seconds of work that a second of audio takes, all stages together."""
    parallel_runs: float | None
    """How many runs may work at once."""
    forecast_seconds: float | None
    """Until the backlog is done, if nothing is added."""
    forecast: str
    """The same in a sentence, or why there is none."""


class Service(_Value):
    """Something that the pipeline depends on, as it answered a moment ago."""

    name: str
    status: Literal["ok", "warning", "silent", "failed"]
    """'silent': no answer in the short time that a report has; it may be down, or only busy."""
    facts: str
    remedy: str = ""
    seconds: float | None = None
    """Until it answered."""


class Database(_Value):
    kind: str
    latency_seconds: float
    size_bytes: int


class Disk(_Value):
    total_bytes: int
    free_bytes: int


class Pause(_Value):
    since: datetime
    by: str
    error_code: str | None
    reason: str


class Daemon(_Value):
    name: str
    healthy: bool
    seconds_since_heartbeat: float | None
    """None: it has never given a sign of life."""


class Operation(_Value):
    """An asset of the operations group that a schedule makes."""

    name: str
    last_success: datetime | None
    is_overdue: bool
    """Older than its freshness policy allows; an asset never made is not."""
    figures: dict[str, float]
    """What it counted then."""


class Dagster(_Value):
    daemons: list[Daemon]
    queued_runs: int
    running_runs: int
    most_runs: int | None
    """How many may run at once; None: as many as there are."""
    speech_places: int | None
    """How many speech stages the pool lets work at once; None: as many as there are."""
    oldest_queued_run: str | None
    oldest_queued_seconds: float | None
    oldest_waits_for: str
    """Empty without a queue."""
    idle_slot_holders: list[str]
    """Runs that hold a place in a pool, and do not run."""
    operations: list[Operation]


class CareCount(_Value):
    """How often the pipeline's own care, or an admin, did what for which cause: from the audit log."""

    operation: str
    cause: str
    action: str
    last_hour: int
    last_day: int


class ModelUse(_Value):
    """Requests to one language model within the last day."""

    model: str
    calls: int
    failures: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None


class HealthReport(_Value):
    at: datetime
    verdict: Verdict
    score: int
    """0..100."""
    reasons: list[Reason]
    """The heaviest first; their points are what 100 lacks, as far as it goes."""
    files: Files
    last_hour: Window
    last_day: Window
    audio_hours_by_hour: list[float]
    """Of the last 24 hours, the oldest first: audio completed in each."""
    stages: list[StageHealth]
    """In flow order."""
    backlog: Backlog
    pause: Pause | None
    """Of intake."""
    care: list[CareCount]
    language_models: list[ModelUse]
    database: Database
    disk: Disk
    services: list[Service]
    dagster: Dagster | None
    """None where no instance could be asked."""
