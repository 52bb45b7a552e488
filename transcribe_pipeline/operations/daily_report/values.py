"""The figures of a day. Seconds unless a name says otherwise; days and times are UTC."""

from datetime import date

from pydantic import BaseModel, ConfigDict, computed_field


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Spread(_Value):
    """How long something took, over many."""

    count: int = 0
    median: float | None = None
    p95: float | None = None
    """A value that occurred, and that 95 % do not exceed."""


class StageFigures(_Value):
    """All runs of one stage that ended on the day."""

    stage: str
    runs: int
    failed: int
    """Of these runs. A stage that failed and was tried again is two runs."""
    seconds: float
    cpu_seconds: float
    gpu_seconds: float
    spread: Spread
    """Of the runs that succeeded."""
    rtf: float | None
    """Seconds per second of audio, over the runs that succeeded and whose generation has a transcript; None without."""


class SlowRun(_Value):
    """One of the longest runs of any stage."""

    partition_key: str
    stage: str
    seconds: float
    rtf: float | None


class ModelCost(_Value):
    """What a language model was asked, by calls that began on the day."""

    provider: str
    model: str
    calls: int
    failures: int
    tokens_in: int
    tokens_out: int
    seconds: float
    cost_usd: float | None
    """Of the calls whose price is known; None if that is none."""


class Figures(_Value):
    """Of all files, or of one owner's. Whatever is counted adds up over the owners."""

    # files. A file ends once a generation: one that failed and was then done on the same day is counted under both.
    received: int
    """First seen on the day."""
    completed: int
    """Ended on the day with nothing missing."""
    degraded: int
    """Ended on the day with a transcript, but without some later stage, which may have been made up for since."""
    failed: int
    cancelled: int
    quarantined: int
    orphaned: int
    recovered: int
    """Files on which recovery acted on the day, whatever came of it."""
    requests: dict[str, int]
    """Operation (reprocess, redrive, cancel, recovery, ...) -> how often one was carried out on a file."""

    # speech: of transcript versions written on the day
    transcripts: int
    again: int
    """Of these, versions of recordings that had a transcript already."""
    held_back: int
    """Of these, versions that did not become current by themselves."""
    no_speech: int
    audio_hours: float
    words: int
    speakers: int
    """Voices of each version, added up: nobody knows here who is the same person."""
    languages: dict[str, int]
    """ISO 639-1 code -> versions in which somebody speaks."""

    # errors
    errors: dict[str, int]
    """Error code -> generations that ended with it."""
    stage_errors: dict[str, int]
    """Error code -> stage runs that failed with it; most were tried again."""

    # cost: of stage runs that ended, and of calls that began, on the day
    stage_seconds: float
    cpu_seconds: float
    gpu_seconds: float
    models: list[ModelCost]

    # time
    stages: list[StageFigures]
    """Most seconds first."""
    slowest: list[SlowRun]
    """Longest first."""
    queue_wait: Spread
    """From when a file was first seen to the start of its first stage; of files whose first stage ended on the day."""
    turnaround: Spread
    """From when a file was first seen to its first transcript; of first transcripts written on the day."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ended(self) -> int:
        return self.completed + self.degraded + self.failed + self.cancelled + self.quarantined + self.orphaned

    @computed_field  # type: ignore[prop-decorator]
    @property
    def tokens_in(self) -> int:
        return sum(model.tokens_in for model in self.models)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def tokens_out(self) -> int:
        return sum(model.tokens_out for model in self.models)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cost_usd(self) -> float | None:
        known = [model.cost_usd for model in self.models if model.cost_usd is not None]
        return round(sum(known), 6) if known else None


class Hour(_Value):
    """What happened in one hour of the day."""

    received: int
    ended: int
    audio_hours: float


class DailyReport(_Value):
    day: date
    total: Figures
    owners: dict[str, Figures]
    """Owner -> figures, in order of names; owners of whom nothing happened are left out."""
    hours: list[Hour]
    """24, beginning at 00:00."""

    def without_files(self) -> "DailyReport":
        """For places that outlive files: partition keys, which are made of file names, are left out."""
        owners = {owner: figures.model_copy(update={"slowest": []}) for owner, figures in self.owners.items()}
        return self.model_copy(update={"total": self.total.model_copy(update={"slowest": []}), "owners": owners})
