"""Taking a file out of the ledger for good: sealing it, counting what is held of it, deleting every row.

What belongs here: the ledger's own rows. What does not: everything that other places hold, and the order in which all
of it goes (`resources.forgetting`).

A sealed file is its own tombstone: as long as its row is there, a listing that still shows the object brings nothing
new, no run is requested for it, none can claim it, and any that works on it has lost its lease.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, select, true, update
from sqlalchemy.orm import InstrumentedAttribute

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger.database import clock, read, write
from transcribe_pipeline.ledger.models import (
    Base,
    DecisionKind,
    InsightVersion,
    LanguageModelCall,
    MediaFile,
    OperationEntry,
    OutboxEvent,
    Segment,
    Speaker,
    SpeakerIdentity,
    StageTiming,
    Status,
    TranscriptVersion,
    VoiceDecision,
)
from transcribe_pipeline.ledger.voices import Decision, lock

_SEAL = "forgetting"
"""Holds the lease of a sealed file. No run id looks like it."""
_FOR_EVER = 100 * 365 * 86_400.0
"""Seconds: a forgetting that was interrupted must not be undone by time."""

_OF_TRANSCRIPTS: dict[str, tuple[type[Base], "InstrumentedAttribute[Any]"]] = {
    "insights": (InsightVersion, InsightVersion.transcript_id),
    "speaker identities": (SpeakerIdentity, SpeakerIdentity.transcript_id),
    "speakers": (Speaker, Speaker.transcript_id),
    "segments": (Segment, Segment.transcript_id),
    "transcript versions": (TranscriptVersion, TranscriptVersion.id),
}
_OF_FILES: dict[str, tuple[type[Base], "InstrumentedAttribute[Any]"]] = {
    "audit log": (OperationEntry, OperationEntry.media_file_id),
    "language model calls": (LanguageModelCall, LanguageModelCall.media_file_id),
    "stage timings": (StageTiming, StageTiming.media_file_id),
    "events": (OutboxEvent, OutboxEvent.media_file_id),
    "file": (MediaFile, MediaFile.id),
}
"""What people call the rows -> table, and the column that says whose they are; in the order in which they may go."""


def transcript_ids(engine: Engine, media_file_id: str) -> tuple[str, ...]:
    """Of every version of a file, oldest first."""
    statement = (
        select(TranscriptVersion.id)
        .where(TranscriptVersion.media_file_id == media_file_id)
        .order_by(TranscriptVersion.version)
    )
    return tuple(read(engine, lambda connection: connection.execute(statement).scalars().all()))


def seal(engine: Engine, partition_key: str, *, holder_finished: Callable[[str], bool]) -> None:
    """Let nothing happen to this file any more but that it is forgotten. May be repeated.

    :param holder_finished: is the run of this id no more? Asked only where a run holds the file.
    :raises PipelineError: FILE_UNKNOWN; LEASE_HELD while a run works on the file.
    """
    holder = read(engine, lambda connection: _holder(connection, partition_key))
    gone = holder if holder and holder_finished(holder) else None

    def work(connection: Connection) -> None:
        file = select(MediaFile.id).where(MediaFile.partition_key == partition_key).with_for_update()
        if connection.execute(file).first() is None:
            raise PipelineError(ErrorCode.FILE_UNKNOWN)
        holder = _holder(connection, partition_key)
        if holder not in (None, gone):
            raise PipelineError(ErrorCode.LEASE_HELD, f"run {holder}")
        connection.execute(update(MediaFile).where(MediaFile.partition_key == partition_key).values(sealed()))

    write(engine, work)


def is_sealed() -> ColumnElement[bool]:
    """True for files that are being forgotten: whoever chooses files by any other condition leaves them out."""
    return func.coalesce(MediaFile.lease_owner, "") == _SEAL


def _holder(connection: Connection, partition_key: str) -> str | None:
    """The run whose lease on this file has not run out."""
    statement = select(MediaFile.lease_owner).where(
        MediaFile.partition_key == partition_key, MediaFile.lease_until > clock(), MediaFile.lease_owner != _SEAL
    )
    return connection.execute(statement).scalar_one_or_none()


def sealed() -> dict[str, Any]:
    """Columns of a file that is being forgotten."""
    return {
        "status": Status.ERROR,
        "stage": None,
        "generation": MediaFile.generation + 1,
        "status_since": datetime.now(UTC),
        "lease_owner": _SEAL,
        "lease_until": clock() + _FOR_EVER,
        "finished_at": datetime.now(UTC),
        "error_code": ErrorCode.CANCELLED.value,
        "error_text": "The file is being forgotten.",
    }


def count(engine: Engine, owner: str, media_file_id: str, transcripts: Sequence[str]) -> dict[str, int]:
    """What the ledger holds of a file: kind of row -> how many; kinds of which there are none are left out.

    :param transcripts: `transcript_ids`, from when they could still be asked for.
    """

    def work(connection: Connection) -> dict[str, int]:
        counts = {kind: _count(connection, table, of.in_(transcripts)) for kind, (table, of) in _OF_TRANSCRIPTS.items()}
        counts |= {kind: _count(connection, table, of == media_file_id) for kind, (table, of) in _OF_FILES.items()}
        counts["voice decisions"] = len(_decisions_about(connection, owner, transcripts))
        return {kind: number for kind, number in counts.items() if number}

    return read(engine, work)


def forget_file(engine: Engine, owner: str, media_file_id: str, transcripts: Sequence[str]) -> None:
    """Delete every row of an owner's sealed file, and the voice decisions that rest on it, in one transaction.

    A file that was uploaded anew since it was sealed is left alone. May be repeated.
    """

    def work(connection: Connection) -> None:
        lock(connection, owner)
        owned = select(true()).where(MediaFile.id == media_file_id, MediaFile.owner == owner)
        if connection.execute(owned.where(MediaFile.lease_owner == _SEAL).with_for_update()).first() is None:
            return
        about = _decisions_about(connection, owner, transcripts)
        connection.execute(delete(VoiceDecision).where(VoiceDecision.id.in_(about)))
        connection.execute(update(MediaFile).where(MediaFile.id == media_file_id).values(current_transcript_id=None))
        for table, of in _OF_TRANSCRIPTS.values():
            connection.execute(delete(table).where(of.in_(transcripts)))
        for table, of in _OF_FILES.values():
            connection.execute(delete(table).where(of == media_file_id))

    write(engine, work)


# --- of an owner ----------------------------------------------------------------------------------------------------


def count_of_owner(engine: Engine, owner: str, *, besides: Iterable[str]) -> dict[str, int]:
    """What the ledger holds of an owner that goes with no file, and not with these transcripts."""

    def work(connection: Connection) -> int:
        of_files = _decisions_about(connection, owner, besides)
        return _count(connection, VoiceDecision, VoiceDecision.owner == owner) - len(of_files)

    decisions = read(engine, work)
    return {"voice decisions": decisions} if decisions else {}


def forget_owner(engine: Engine, owner: str) -> None:
    """Delete every decision of an owner, those too whose recordings had gone before."""

    def work(connection: Connection) -> None:
        lock(connection, owner)
        connection.execute(delete(VoiceDecision).where(VoiceDecision.owner == owner))

    write(engine, work)


# --- voice decisions ------------------------------------------------------------------------------------------------


def _decisions_about(connection: Connection, owner: str, transcripts: Iterable[str]) -> set[str]:
    """Ids of the owner's decisions that go with these transcripts."""
    columns = [getattr(VoiceDecision, name) for name in Decision.__dataclass_fields__]
    log = connection.execute(select(*columns).where(VoiceDecision.owner == owner).order_by(VoiceDecision.number))
    return decisions_to_forget([Decision(*row) for row in log], transcripts)


def decisions_to_forget(log: Sequence[Decision], transcripts: Iterable[str]) -> set[str]:
    """Ids of the decisions of an owner's log that nothing is left of without these transcripts.

    Those are the confirmations of their speakers; what was decided about a profile of which no confirmation is left;
    and the undoing of any of these. The profiles of the others are as if the rest had been all that was ever decided.
    """
    without = set(transcripts)
    gone = {each.id for each in log if each.kind is DecisionKind.CONFIRM and each.transcript_id in without}
    known = {each.profile_id for each in log if each.kind is DecisionKind.CONFIRM and each.id not in gone}
    # In order: only a profile that is not merged itself can be merged into another.
    for each in log:
        if each.kind is DecisionKind.MERGE and each.merged_id in known:
            known.add(each.profile_id)
    gone |= {
        each.id
        for each in log
        if each.kind in (DecisionKind.RENAME, DecisionKind.MERGE) and each.profile_id not in known
    }
    numbers = {each.number for each in log if each.id in gone}
    return gone | {each.id for each in log if each.undoes in numbers}


def _count(connection: Connection, table: type[Base], condition: Any) -> int:
    return connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
