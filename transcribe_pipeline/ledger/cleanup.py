"""What cleanup and retention must know of files before anything of theirs goes.

What belongs here: reading those facts, and taking a file out of everybody's hands if they still hold. What does not:
what follows from them (`operations.cleanup`, `operations.retention`).
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, not_, select, true, update

from transcribe_pipeline.errors import ErrorClass, ErrorCode, PipelineError
from transcribe_pipeline.ledger.database import read, write
from transcribe_pipeline.ledger.forgetting import is_sealed, sealed
from transcribe_pipeline.ledger.models import MediaFile, Status, TranscriptVersion
from transcribe_pipeline.ledger.states import ENDED, UNFINISHED

_PAGE = 500


@dataclass(frozen=True)
class Version:
    """Where a transcript version was made, and so where a rollback to it looks for what else was made then."""

    source_sha256: str | None
    generation: int
    artifact_key: str


@dataclass(frozen=True)
class FileFacts:
    id: str
    partition_key: str
    object_key: str
    owner: str
    etag: str
    size_bytes: int
    sha256: str | None
    generation: int
    base_generation: int
    status: Status
    finished_at: datetime | None
    error_code: str | None
    legal_hold: str | None
    lease_owner: str | None
    current_transcript_id: str | None
    versions: tuple[Version, ...] = ()

    @property
    def is_at_rest(self) -> bool:
        """Nobody works on it, is going to, or is forgetting it."""
        return self.status in ENDED and self.finished_at is not None and self.lease_owner is None

    @property
    def may_pass(self) -> bool:
        """It failed in a way that another try may mend: whoever tries goes on where it ended."""
        if self.status is Status.QUARANTINED:
            return True
        return (
            self.status is Status.ERROR
            and PipelineError(ErrorCode(self.error_code or ErrorCode.INTERNAL)).error_class is not ErrorClass.PERMANENT
        )


_COLUMNS: list[Any] = [getattr(MediaFile, name) for name in FileFacts.__dataclass_fields__ if name != "versions"]


def count_files(engine: Engine) -> int:
    return read(engine, lambda connection: connection.execute(select(func.count(MediaFile.id))).scalar_one())


def facts(engine: Engine, partition_keys: Collection[str]) -> dict[str, FileFacts]:
    """By partition key; files that there are not are left out. 500 files cost two SELECTs."""
    keys = sorted(partition_keys)

    def work(connection: Connection) -> dict[str, FileFacts]:
        found: dict[str, FileFacts] = {}
        for start in range(0, len(keys), _PAGE):
            of_these = MediaFile.partition_key.in_(keys[start : start + _PAGE])
            rows = connection.execute(select(*_COLUMNS).where(of_these)).all()
            found |= {file.partition_key: file for file in _with_versions(connection, rows)}
        return found

    return read(engine, work)


@dataclass(frozen=True)
class Ended:
    """Which files at rest are meant."""

    statuses: Collection[Status]
    before: datetime
    """When they ended."""
    owner: str | None = None
    """Of this owner alone; None: of all but those `besides`."""
    besides: Collection[str] = ()
    has_transcript: bool | None = None
    """None: with and without."""

    def conditions(self) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = [
            MediaFile.status.in_(self.statuses),
            MediaFile.finished_at < self.before,
            MediaFile.lease_owner.is_(None),
            MediaFile.owner.not_in(self.besides) if self.owner is None else MediaFile.owner == self.owner,
        ]
        transcript = MediaFile.current_transcript_id
        if self.has_transcript is not None:
            conditions.append(transcript.is_not(None) if self.has_transcript else transcript.is_(None))
        return conditions


def ended(engine: Engine, which: Ended, *, newest_first: bool = False, limit: int) -> list[FileFacts]:
    """Those of them that are not under legal hold, the longest ended first."""
    order = MediaFile.finished_at.desc() if newest_first else MediaFile.finished_at
    statement = (
        select(*_COLUMNS)
        .where(*which.conditions(), MediaFile.legal_hold.is_(None))
        .order_by(order, MediaFile.id)
        .limit(limit)
    )
    return read(engine, lambda connection: _with_versions(connection, connection.execute(statement).all()))


def count_held(engine: Engine, which: Ended) -> int:
    """How many of them `ended` leaves out."""
    statement = select(func.count(MediaFile.id)).where(*which.conditions(), MediaFile.legal_hold.is_not(None))
    return read(engine, lambda connection: connection.execute(statement).scalar_one())


def sealed_before(engine: Engine, moment: datetime, *, limit: int) -> list[FileFacts]:
    """Files whose forgetting began before `moment` and did not come to its end."""
    statement = select(*_COLUMNS).where(is_sealed(), MediaFile.finished_at < moment).limit(limit)
    return read(engine, lambda connection: _with_versions(connection, connection.execute(statement).all()))


def _with_versions(connection: Connection, rows: Sequence[Row[Any]]) -> list[FileFacts]:
    versions: dict[str, list[Version]] = defaultdict(list)
    for start in range(0, len(rows), _PAGE):
        ids = [row.id for row in rows[start : start + _PAGE]]
        statement = select(
            TranscriptVersion.media_file_id,
            TranscriptVersion.source_sha256,
            TranscriptVersion.generation,
            TranscriptVersion.artifact_key,
        ).where(TranscriptVersion.media_file_id.in_(ids))
        for file_id, source_sha256, generation, artifact_key in connection.execute(statement):
            versions[file_id].append(Version(source_sha256, generation, artifact_key))
    return [FileFacts(**row._asdict(), versions=tuple(versions[row.id])) for row in rows]


def seal_unchanged(engine: Engine, file: FileFacts) -> bool:
    """Let nothing happen to this file any more but that it is forgotten, if it still is as `file` says: the same
    generation and status, no legal hold, nobody at work. Returns whether it was.

    Repeated by a transaction whose answer was lost it says False, and leaves the file sealed for the next pass.
    """
    statement = (
        update(MediaFile)
        .where(
            MediaFile.id == file.id,
            MediaFile.generation == file.generation,
            MediaFile.status == file.status,
            MediaFile.legal_hold.is_(None),
            MediaFile.lease_owner.is_(None),
        )
        .values(sealed())
    )
    return write(engine, lambda connection: connection.execute(statement).rowcount == 1)


def is_anybody_at_work(engine: Engine) -> bool:
    statement = select(true()).where(MediaFile.status.in_(UNFINISHED), not_(is_sealed())).limit(1)
    return read(engine, lambda connection: connection.execute(statement).first()) is not None


def partition_keys(engine: Engine, *, after: str = "", limit: int = 10_000) -> list[str]:
    """Of all files, in order, page by page."""
    statement = (
        select(MediaFile.partition_key)
        .where(MediaFile.partition_key > after)
        .order_by(MediaFile.partition_key)
        .limit(limit)
    )
    return read(engine, lambda connection: list(connection.execute(statement).scalars()))


def held_partition_keys(engine: Engine) -> set[str]:
    """Of all files under legal hold."""
    statement = select(MediaFile.partition_key).where(MediaFile.legal_hold.is_not(None))
    return read(engine, lambda connection: set(connection.execute(statement).scalars()))
