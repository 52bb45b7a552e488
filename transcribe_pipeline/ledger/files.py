"""Which files there are: registering what the store lists, and looking files up for people."""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Select, Text, and_, bindparam, cast, or_, select, tuple_, update
from sqlalchemy.orm import aliased

from transcribe_pipeline.artifacts import ListedUpload, Sidecar
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger.database import read, upsert, write
from transcribe_pipeline.ledger.models import Cause, MediaFile, Status
from transcribe_pipeline.ledger.slices import Slice
from transcribe_pipeline.ledger.states import State, state_of
from transcribe_pipeline.ledger.text import is_storable

_PAGE = 1_000
"""Keys per SELECT: well below SQLite's 32,766 variables."""

_MAX_KEY_BYTES = 2_000
"""PostgreSQL cannot index a value above 2,704 bytes. S3 itself ends keys at 1,024."""


@dataclass(frozen=True)
class Registered:
    """What a listing brought."""

    new: int
    changed: int
    unchanged: int
    refused: tuple[str, ...]
    """Partition keys of objects whose names no database can store: they are left out, the others go on."""


_UNCLAIMED = and_(MediaFile.status.in_((Status.PENDING, Status.QUEUED)), MediaFile.attempts == 0)


@dataclass(frozen=True)
class _Known:
    id: str
    object_key: str
    etag: str
    size_bytes: int
    sidecars: str
    generation: int
    untouched: bool
    """Its generation is PENDING and nobody has asked for it yet."""
    unclaimed: bool
    """No run has begun to work on its generation."""


def register(
    engine: Engine, uploads: Sequence[ListedUpload], *, settle_seconds: float, now: datetime | None = None
) -> Registered:
    """Compare a listing with the ledger and write down the difference; listings may be partial and come in any order.

    A new object becomes a PENDING file of generation 1. An object whose etag or size has changed becomes the next
    generation: PENDING again, without lease, so a run that still works on the old content can write nothing more. As
    long as nobody has asked for the present generation, a change is taken for a file still being written and only
    noted. A file is left alone until it has been unmodified, or seen unchanged, for `settle_seconds`.

    Sidecars that appear, change or vanish count as a change of content, except that it is only noted until a run has
    begun: each run looks for them itself (`leases.record_sidecars`).

    10,000 unchanged objects cost ten SELECTs and no write (0.15 s on SQLite, 0.2 s on PostgreSQL, 2 cores).
    """
    now = now or datetime.now(UTC)
    refused = tuple(upload.partition_key for upload in uploads if not _is_storable(upload))
    listed = {upload.object_key: upload for upload in uploads if _is_storable(upload)}
    known = {file.object_key: file for file in read(engine, lambda connection: list(_known(connection, listed)))}
    new = [upload for key, upload in listed.items() if key not in known]
    changed = [(known[key], upload) for key, upload in listed.items() if key in known and _differs(known[key], upload)]
    if new or changed:
        write(engine, lambda connection: _write(connection, new, changed, timedelta(seconds=settle_seconds), now))
    return Registered(len(new), len(changed), len(listed) - len(new) - len(changed), refused)


def _is_storable(upload: ListedUpload) -> bool:
    # Owner and file name are parts of the key.
    return is_storable(upload.object_key) and len(upload.object_key.encode()) <= _MAX_KEY_BYTES


def _differs(file: _Known, upload: ListedUpload) -> bool:
    return _has_new_bytes(file, upload) or _sidecars(upload, file.sidecars) != file.sidecars


def _has_new_bytes(file: _Known, upload: ListedUpload) -> bool:
    return (file.etag, file.size_bytes) != (upload.etag, upload.size_bytes)


def fingerprint(sidecars: Sequence[Sidecar]) -> str:
    """What `media_file.sidecars` says of these files; empty for none."""
    if not sidecars:
        return ""
    lines = sorted(f"{sidecar.object_key}\0{sidecar.etag}" for sidecar in sidecars)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _sidecars(upload: ListedUpload, known: str) -> str:
    return known if upload.sidecars is None else fingerprint(upload.sidecars)


def _known(connection: Connection, object_keys: Mapping[str, ListedUpload]) -> Iterator[_Known]:
    statement = select(
        MediaFile.id,
        MediaFile.object_key,
        MediaFile.etag,
        MediaFile.size_bytes,
        MediaFile.sidecars,
        MediaFile.generation,
        and_(MediaFile.status == Status.PENDING, MediaFile.requested_at.is_(None)),
        _UNCLAIMED,
    )
    keys = list(object_keys)
    for start in range(0, len(keys), _PAGE):
        page = statement.where(MediaFile.object_key.in_(keys[start : start + _PAGE]))
        for row in connection.execute(page):
            yield _Known(*row)


def _write(
    connection: Connection,
    new: Sequence[ListedUpload],
    changed: Sequence[tuple[_Known, ListedUpload]],
    settle: timedelta,
    now: datetime,
) -> None:
    if new:
        # Another process may have registered the same object since we looked.
        # RETURNING, though nobody reads it: SQLAlchemy then sends 1,000 rows a statement, otherwise one row each
        # (10,000 rows on PostgreSQL: 1.8 s, not 3.5 s).
        insert = upsert(connection, MediaFile).on_conflict_do_nothing().returning(MediaFile.id)
        connection.execute(insert, [_new_row(upload, settle, now) for upload in new])
    rows: dict[Any, list[dict[str, Any]]] = {_NOTE_CHANGE: [], _NOTE_SIDECARS: [], _NEXT_GENERATION: []}
    for file, upload in changed:
        if file.untouched:
            statement = _NOTE_CHANGE
        elif file.unclaimed and not _has_new_bytes(file, upload):
            statement = _NOTE_SIDECARS
        else:
            statement = _NEXT_GENERATION
        rows[statement].append(_changed_row(file, upload, settle, now))
    for statement, values in rows.items():
        if values:
            connection.execute(statement, values)


def _content(upload: ListedUpload, known_sidecars: str, settle: timedelta, now: datetime) -> dict[str, Any]:
    sidecars = _sidecars(upload, known_sidecars)
    modified_at = upload.modified_at
    if sidecars != known_sidecars:
        # Sidecars that have vanished may come back: editors save by deleting and writing anew.
        modified_at = max(modified_at, upload.sidecars_modified_at or now)
    return {
        "etag": upload.etag,
        "version": upload.version,
        "size_bytes": upload.size_bytes,
        "modified_at": upload.modified_at,
        "seen_at": now,
        # A store whose clock is ahead must not hold a file back for ever: being seen unchanged counts as well.
        "eligible_at": min(modified_at, now) + settle,
        "sidecars": sidecars,
    }


_FRESH: dict[str, Any] = {
    "status": Status.PENDING,
    "stage": None,
    "progress": 0.0,
    "attempts": 0,
    "tries": 0,
    "resume_from": None,
    "ended_as": None,
    "cause": Cause.UPLOAD,
    "sha256": None,
    "requested_at": None,
    "started_at": None,
    "finished_at": None,
    "run_id": None,
    "lease_owner": None,
    "lease_until": None,
    "error_code": None,
    "error_text": None,
    "degraded": [],
}
"""A generation on which no work has been done."""


def _new_row(upload: ListedUpload, settle: timedelta, now: datetime) -> dict[str, Any]:
    identity = {
        "id": str(uuid.uuid4()),
        "partition_key": upload.partition_key,
        "object_key": upload.object_key,
        "owner": upload.owner,
        "file_name": upload.file_name,
        "registered_at": now,
        "generation": 1,
        "base_generation": 1,
        "status_since": now,
    }
    return identity | _content(upload, "", settle, now) | _FRESH


def _changed_row(file: _Known, upload: ListedUpload, settle: timedelta, now: datetime) -> dict[str, Any]:
    content = {f"new_{name}": value for name, value in _content(upload, file.sidecars, settle, now).items()}
    return {"known_id": file.id, "known_generation": file.generation, "known_etag": file.etag} | content


_CONTENT_COLUMNS = ("etag", "version", "size_bytes", "modified_at", "seen_at", "eligible_at", "sidecars")
_NOTE_CHANGE = (
    update(MediaFile)
    .where(
        MediaFile.id == bindparam("known_id"),
        # Whoever was faster (another tick, or a request for this very generation) has the word; the next tick looks
        # at what they made of it.
        MediaFile.generation == bindparam("known_generation"),
        MediaFile.etag == bindparam("known_etag"),
        MediaFile.status == Status.PENDING,
        MediaFile.requested_at.is_(None),
    )
    .values({name: bindparam(f"new_{name}") for name in _CONTENT_COLUMNS})
)
_NOTE_SIDECARS = (
    update(MediaFile)
    .where(
        MediaFile.id == bindparam("known_id"),
        MediaFile.generation == bindparam("known_generation"),
        MediaFile.etag == bindparam("known_etag"),
        _UNCLAIMED,
    )
    .values({name: bindparam(f"new_{name}") for name in ("sidecars", "eligible_at")})
)
_NEXT_GENERATION = (
    update(MediaFile)
    .where(
        MediaFile.id == bindparam("known_id"),
        MediaFile.generation == bindparam("known_generation"),
        MediaFile.etag == bindparam("known_etag"),
    )
    .values(
        {name: bindparam(f"new_{name}") for name in _CONTENT_COLUMNS}
        | _FRESH
        | {
            "generation": MediaFile.generation + 1,
            "base_generation": MediaFile.generation + 1,
            "status_since": bindparam("new_seen_at"),
        }
    )
)


# --- once more ------------------------------------------------------------------------------------------------------


def next_generation(*, now: datetime) -> dict[str, Any]:
    """Columns of another generation of the same bytes, whose SHA-256 therefore stays known; its work begins anew."""
    again = {name: value for name, value in _FRESH.items() if name != "sha256"}
    number = MediaFile.generation + 1
    return again | {"generation": number, "base_generation": number, "status_since": now}


# --- for people -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileView:
    """A file as people see it."""

    id: str
    partition_key: str
    object_key: str
    owner: str
    file_name: str
    size_bytes: int
    sha256: str | None
    generation: int
    status: Status
    stage: str | None
    progress: float
    attempts: int
    registered_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    run_id: str | None
    error_code: str | None
    error_text: str | None
    degraded: list[str]
    current_transcript_id: str | None
    sidecars: str
    requested_options: dict[str, Any]
    status_since: datetime
    tries: int
    cause: Cause
    resume_from: str | None
    legal_hold: str | None
    base_generation: int

    @property
    def state(self) -> State:
        return state_of(self.status, self.degraded)


def find(engine: Engine, name: str, *, owner: str | None = None) -> list[FileView]:
    """Files whose id, partition key, object key or file name is exactly `name`, newest first; several may share a name.

    With `owner`, only that owner's files.
    """
    if not is_storable(name):
        return []
    statement = _views(owner).where(
        or_(
            MediaFile.id == name,
            MediaFile.partition_key == name,
            MediaFile.object_key == name,
            MediaFile.file_name == name,
        )
    )
    return _fetch(engine, statement)


def get(engine: Engine, partition_key: str) -> FileView:
    """The file of a partition. Raises FILE_UNKNOWN."""
    found = _fetch(engine, _views(None).where(MediaFile.partition_key == partition_key))
    if not found:
        raise PipelineError(ErrorCode.FILE_UNKNOWN)
    return found[0]


def list_files(
    engine: Engine,
    *,
    owner: str | None = None,
    status: Status | None = None,
    within: Slice | None = None,
    limit: int = 100,
    after: str | None = None,
) -> list[FileView]:
    """A page of files, newest first. `after` is the id of the previous page's last file."""
    statement = _views(owner).limit(limit)
    if status is not None:
        statement = statement.where(MediaFile.status == status)
    if within is not None:
        statement = statement.where(*within.conditions())
    if after is not None:
        last = aliased(MediaFile)
        registered_at = select(last.registered_at).where(last.id == after).scalar_subquery()
        statement = statement.where(tuple_(MediaFile.registered_at, MediaFile.id) < tuple_(registered_at, after))
    return _fetch(engine, statement)


def every(engine: Engine, within: Slice) -> list[FileView]:
    """All files that a slice means, newest first, whatever their number; read page by page."""
    found = page = list_files(engine, within=within, limit=_PAGE)
    while len(page) == _PAGE:
        page = list_files(engine, within=within, limit=_PAGE, after=page[-1].id)
        found = found + page
    return found


def lacking(engine: Engine, stage: str) -> list[tuple[str, str]]:
    """(partition key, current transcript) of the files that go without what this stage makes."""
    statement = select(MediaFile.partition_key, MediaFile.current_transcript_id).where(
        cast(MediaFile.degraded, Text).contains(f'"{stage}"'), MediaFile.current_transcript_id.is_not(None)
    )
    rows = read(engine, lambda connection: connection.execute(statement).all())
    return [(row.partition_key, str(row.current_transcript_id)) for row in rows]


def mend(engine: Engine, partition_key: str, stage: str, transcript_id: str) -> None:
    """The file lacks this stage no longer; nothing happens if it has another transcript by now."""
    is_meant = and_(MediaFile.partition_key == partition_key, MediaFile.current_transcript_id == transcript_id)

    def work(connection: Connection) -> None:
        degraded = connection.execute(select(MediaFile.degraded).where(is_meant).with_for_update()).scalar() or []
        if stage in degraded:
            left = [name for name in degraded if name != stage]
            connection.execute(update(MediaFile).where(is_meant).values(degraded=left))

    write(engine, work)


def _views(owner: str | None) -> Select[Any]:
    statement = select(*(getattr(MediaFile, name) for name in FileView.__dataclass_fields__))
    if owner is not None:
        statement = statement.where(MediaFile.owner == owner)
    return statement.order_by(MediaFile.registered_at.desc(), MediaFile.id.desc())


def _fetch(engine: Engine, statement: Select[Any]) -> list[FileView]:
    return read(engine, lambda connection: [FileView(*row) for row in connection.execute(statement)])
