"""Intake: whether runs are requested for waiting files, and the breaker that pauses it when everything fails alike.

What belongs here: pauses, the failures that bring one about, and what ends it. What does not: which files come next
(`backlog`), and asking for their runs (`sensors`).

A store or a model that is gone fails every file there is, one after the other, until all are quarantined. So when too
many of the last files ended with the same passing error, no more are begun. Every now and then one is let through: if
it completes, intake goes on, and the files that had failed so get their tries back.
"""

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, and_, exists, func, insert, select, update

from transcribe_pipeline.errors import CATALOGUE, ErrorCode
from transcribe_pipeline.ledger.database import read, write
from transcribe_pipeline.ledger.models import IntakePause, MediaFile, Status
from transcribe_pipeline.ledger.operations import Operation, note
from transcribe_pipeline.ledger.recovery import PASSING

BREAKER = "breaker"
_WINDOW = 20
"""So many files that ended last are looked at."""
_LOCK = 7_241_986_310_555
"""Any constant: names the advisory lock under which intake is paused and resumed."""
_FAILED = (Status.ERROR, Status.QUARANTINED)


@dataclass(frozen=True)
class Pause:
    """Fields are columns of `models.IntakePause`."""

    id: str
    paused_at: datetime
    paused_by: str
    error_code: str | None
    reason: str
    probed_at: datetime | None

    def __str__(self) -> str:
        """For people: since when, why, and how it ends."""
        sentence = f"Intake is paused since {self.paused_at:%Y-%m-%d %H:%M} UTC by {self.paused_by}: {self.reason}"
        if self.error_code:
            entry = CATALOGUE[ErrorCode(self.error_code)]
            sentence += f" {entry.sentence} {entry.remedy} Single files are tried; when one completes, intake resumes."
        return f"{sentence} Now: 'transcribe intake resume'."


def status(engine: Engine) -> Pause | None:
    """The pause in force, if any."""
    return read(engine, _in_force)


def pause(engine: Engine, reason: str, actor: str) -> bool:
    """Request no more runs until somebody resumes. Returns False if intake is paused already."""
    return write(engine, lambda connection: _pause(connection, actor, f"{reason.rstrip('.')}.", None))


def resume(engine: Engine, actor: str) -> int | None:
    """Go on requesting runs. Files that failed as the breaker had seen get their tries back; recovery takes them on.

    Returns how many those are; None if intake was not paused.
    """
    return write(engine, lambda connection: _resume(connection, actor))


def watch(engine: Engine, failures: int) -> Pause | None:
    """The pause in force, after the breaker has looked: it pauses, and ends its own pauses.

    :param failures: so many of the last 20 files must have failed alike; 0: never.
    """

    def work(connection: Connection) -> Pause | None:
        found = _in_force(connection)
        if found is None:
            code, count, ended = _most_frequent(connection)
            if code and failures and count >= failures:
                reason = f"{count} of the last {ended} files failed with {code}."
                _pause(connection, BREAKER, reason, code)
        elif found.paused_by == BREAKER and _has_completed_since(connection, found.paused_at):
            _resume(connection, BREAKER)
        return _in_force(connection)

    found = status(engine)
    if found is None and not failures:
        return None
    if found is None and read(engine, _most_frequent)[1] < failures:
        return None  # what every tick finds: no lock, no transaction that writes
    return write(engine, work)


def may_probe(pause: Pause, every_seconds: float, *, now: datetime | None = None) -> bool:
    """Is it time to let a single file through? Only the breaker wants to know."""
    last = pause.probed_at or pause.paused_at
    return pause.paused_by == BREAKER and (now or datetime.now(UTC)) - last >= timedelta(seconds=every_seconds)


def note_probe(engine: Engine, pause: Pause, *, now: datetime | None = None) -> bool:
    """One file is being let through. Returns False if somebody else has just done so, or intake has been resumed."""
    unchanged = IntakePause.probed_at.is_not_distinct_from(pause.probed_at)
    statement = (
        update(IntakePause)
        .where(IntakePause.id == pause.id, IntakePause.resumed_at.is_(None), unchanged)
        .values(probed_at=now or datetime.now(UTC))
    )
    return write(engine, lambda connection: connection.execute(statement).rowcount) == 1


def offer_probe(engine: Engine, pause: Pause) -> None:
    """No file waits that could be let through: give one of those that failed a try, for recovery to go on with."""

    def work(connection: Connection) -> None:
        failed = _failed_alike(connection, pause)
        is_offered = exists().where(and_(*failed, MediaFile.tries == 0)).select()
        if connection.execute(is_offered).scalar():
            return
        oldest = select(MediaFile.id).where(*failed).order_by(MediaFile.finished_at).limit(1).with_for_update()
        for file_id in connection.execute(oldest).scalars().all():
            _pardon(connection, [file_id], "paused", BREAKER)

    write(engine, work)


# --- within a transaction -------------------------------------------------------------------------------------------


def _in_force(connection: Connection) -> Pause | None:
    columns = [getattr(IntakePause, name) for name in Pause.__dataclass_fields__]
    statement = select(*columns).where(IntakePause.resumed_at.is_(None)).order_by(IntakePause.paused_at).limit(1)
    row = connection.execute(statement).one_or_none()
    return Pause(*row) if row else None


def _lock(connection: Connection) -> None:
    """One at a time pauses or resumes; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _pause(connection: Connection, actor: str, reason: str, code: str | None) -> bool:
    _lock(connection)
    if _in_force(connection):
        return False
    values = {"paused_at": datetime.now(UTC), "paused_by": actor, "error_code": code, "reason": reason}
    connection.execute(insert(IntakePause).values(id=str(uuid.uuid4()), **values))
    note(connection, Operation.INTAKE, cause=reason, action="paused", actor=actor, detail={"error_code": code})
    return True


def _resume(connection: Connection, actor: str) -> int | None:
    _lock(connection)
    found = _in_force(connection)
    if found is None:
        return None
    pardoned: list[str] = []
    if found.error_code:
        failed = select(MediaFile.id).where(*_failed_alike(connection, found)).with_for_update()
        pardoned = list(connection.execute(failed).scalars())
        _pardon(connection, pardoned, "resumed", actor)
    ended = {"resumed_at": datetime.now(UTC), "resumed_by": actor}
    connection.execute(update(IntakePause).where(IntakePause.id == found.id).values(ended))
    detail = {"error_code": found.error_code, "files": len(pardoned)}
    note(connection, Operation.INTAKE, cause=found.reason, action="resumed", actor=actor, detail=detail)
    return len(pardoned)


def _pardon(connection: Connection, file_ids: list[str], cause: str, actor: str) -> None:
    """These files' failures are not held against them."""
    for file_id in file_ids:
        connection.execute(update(MediaFile).where(MediaFile.id == file_id).values(tries=0))
        note(connection, Operation.INTAKE, cause=cause, action="tries_given_back", actor=actor, media_file_id=file_id)


def _last_ended(connection: Connection, until: datetime | None = None) -> list[Any]:
    """The last 20 files that ended, newest first, since intake was last resumed: (status, error code, tries, when)."""
    columns = (MediaFile.status, MediaFile.error_code, MediaFile.tries, MediaFile.finished_at)
    resumed_at = connection.execute(select(func.max(IntakePause.resumed_at))).scalar()
    statement = select(*columns).where(
        MediaFile.status.in_((Status.COMPLETED, *_FAILED)), MediaFile.finished_at.is_not(None)
    )
    if resumed_at is not None:
        statement = statement.where(MediaFile.finished_at > resumed_at)
    if until is not None:
        statement = statement.where(MediaFile.finished_at <= until)
    return list(connection.execute(statement.order_by(MediaFile.finished_at.desc()).limit(_WINDOW)).all())


def _most_frequent(connection: Connection) -> tuple[str | None, int, int]:
    """Of the files that ended last: the passing error that most failed with, how many, and how many ended.

    A file without tries was not ended by a run of the pipeline's own: somebody tried something out.
    """
    ended = _last_ended(connection)
    codes = Counter(
        row.error_code for row in ended if row.status in _FAILED and row.tries and row.error_code in PASSING
    )
    code, count = codes.most_common(1)[0] if codes else (None, 0)
    return code, count, len(ended)


def _failed_alike(connection: Connection, pause: Pause) -> list[Any]:
    """Conditions for the files that failed with the pause's error since the first of those that brought it about."""
    before = [row.finished_at for row in _last_ended(connection, pause.paused_at) if row.error_code == pause.error_code]
    return [
        MediaFile.status.in_(_FAILED),
        MediaFile.error_code == pause.error_code,
        MediaFile.finished_at >= min(before, default=pause.paused_at),
        MediaFile.lease_owner.is_(None),
    ]


def _has_completed_since(connection: Connection, moment: datetime) -> bool:
    """Has a file gone all its way since then?"""
    found = exists().where(
        MediaFile.status == Status.COMPLETED, MediaFile.started_at > moment, MediaFile.finished_at > moment
    )
    return bool(connection.execute(found.select()).scalar())
