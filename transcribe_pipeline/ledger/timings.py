"""How long each stage of each run took. Written by the run itself, read by people and reports."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Engine, select

from transcribe_pipeline.errors import ErrorCode
from transcribe_pipeline.ledger.database import read, upsert, write
from transcribe_pipeline.ledger.leases import Claim
from transcribe_pipeline.ledger.models import Outcome, StageTiming


@dataclass(frozen=True)
class Timing:
    """Fields are columns of `models.StageTiming`."""

    run_id: str
    generation: int
    stage: str
    started_at: datetime
    finished_at: datetime
    seconds: float
    cpu_seconds: float | None
    gpu_seconds: float | None
    outcome: Outcome
    error_code: str | None


def record(
    engine: Engine,
    claim: Claim,
    stage: str,
    *,
    started_at: datetime,
    finished_at: datetime,
    cpu_seconds: float | None = None,
    gpu_seconds: float | None = None,
    error_code: ErrorCode | None = None,
) -> None:
    """Keep one stage's timing; a stage repeated within its run replaces its earlier one.

    CPU and GPU seconds are None where they were not measured or no GPU was used; see `speech.hardware.Meter`.

    Not fenced, alone among a run's writes: the row belongs to the run, not to the file's state, and a run that has
    just lost its lease should still leave word of what it did.
    """
    measured = {
        "generation": claim.generation,
        "started_at": started_at,
        "finished_at": finished_at,
        "seconds": (finished_at - started_at).total_seconds(),
        "cpu_seconds": cpu_seconds,
        "gpu_seconds": gpu_seconds,
        "outcome": Outcome.FAILED if error_code else Outcome.SUCCEEDED,
        "error_code": error_code,
    }
    identity = {"run_id": claim.run_id, "media_file_id": claim.media_file_id, "stage": stage}
    write(
        engine,
        lambda connection: connection.execute(
            upsert(connection, StageTiming)
            .values(identity | measured)
            .on_conflict_do_update(index_elements=list(identity), set_=measured)
        ),
    )


def of_file(engine: Engine, media_file_id: str) -> list[Timing]:
    """Every recorded stage of a file, all runs and generations, in order of time."""
    statement = (
        select(*(getattr(StageTiming, field.name) for field in fields(Timing)))
        .where(StageTiming.media_file_id == media_file_id)
        .order_by(StageTiming.started_at, StageTiming.finished_at)
    )
    return read(engine, lambda connection: [Timing(*row) for row in connection.execute(statement)])
