"""Database maintenance: what deleted rows took is given back, and the planner gets new figures.

For the ledger, the embedded search index and Dagster's own storage, each on SQLite or PostgreSQL. Runs at work come
first: a database that somebody keeps busy, or that is too large to be rewritten beside them, is left for the next time,
and said to be.

What belongs here: how a database is cared for. What does not: which rows go (`pruning`, `retention`).
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from sqlalchemy import URL, Connection, Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from transcribe_pipeline.ledger.models import Base
from transcribe_pipeline.settings import Settings

_LOCK_SECONDS = 2.0
"""So long a lock is waited for. Whoever holds it longer is at work."""
_BESIDE_WORK_BYTES = 500_000_000
"""VACUUM rewrites about 100 MB a second and lets nobody write meanwhile; writers of ours and of Dagster wait 30 s."""
_STATEMENT_SECONDS = 600
_OPTIMIZE = 0x10002
"""`PRAGMA optimize` for all tables, not only those that this connection has used."""


@dataclass(frozen=True)
class Database:
    name: str
    """For people: 'ledger', 'search index', 'Dagster: runs'."""
    url: URL
    tables: tuple[str, ...] = ()
    """PostgreSQL: those that are ours or Dagster's; others of the same database are none of our business."""

    @property
    def path(self) -> Path | None:
        """The file of an SQLite database."""
        return Path(self.url.database) if self.url.get_backend_name() == "sqlite" and self.url.database else None


@dataclass(frozen=True)
class Maintained:
    database: str
    bytes_before: int
    bytes_after: int
    skipped: str = ""
    """Why it was not, or not wholly, cared for."""


def databases(configured: Settings, ledger: Engine, instance: dg.DagsterInstance) -> Iterator[Database]:
    """All that this installation keeps, each once. Those in memory are left out."""
    seen = set()
    for database in _databases(configured, ledger, instance):
        place = (database.url, database.tables if database.path is None else ())
        if place not in seen and (database.path is None or database.path.is_file()):
            seen.add(place)
            yield database


def _databases(configured: Settings, ledger: Engine, instance: dg.DagsterInstance) -> Iterator[Database]:
    yield Database("ledger", ledger.url, tuple(sorted(Base.metadata.tables)))
    if not configured.search_url:
        yield Database("search index", URL.create("sqlite", database=str(configured.home / "search.db")))
    for name, connection, metadata in (
        ("runs", instance.run_storage.connect, RunStorageSqlMetadata),  # type: ignore[attr-defined]
        ("events", instance.event_log_storage.index_connection, SqlEventLogStorageMetadata),  # type: ignore[attr-defined]
        ("ticks", instance.schedule_storage.connect, ScheduleStorageSqlMetadata),  # type: ignore[union-attr]
    ):
        with connection() as opened:
            yield Database(f"Dagster: {name}", opened.engine.url, tuple(sorted(metadata.tables)))


def maintain(database: Database, *, is_work_going_on: bool) -> Maintained:
    """Give back room, renew the planner's figures. Never waits long for a lock, and never fails because of one.

    :param is_work_going_on: then a large SQLite database is not rewritten, since that stops writers for long.
    """
    if database.path is not None:
        return _maintain_sqlite(database.name, database.path, is_work_going_on)
    return _maintain_postgresql(database)


# --- SQLite ---------------------------------------------------------------------------------------------------------


def _maintain_sqlite(name: str, path: Path, is_work_going_on: bool) -> Maintained:
    before = _size(path)
    skipped = ""
    with closing(sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute(f"PRAGMA optimize({_OPTIMIZE})")
            skipped = _why_not_rewrite(path, is_work_going_on)
            if not skipped:
                connection.execute("VACUUM")
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy and not skipped:
                skipped = "its write-ahead log is being read; the file shrinks later"
        except sqlite3.OperationalError as error:
            skipped = "busy" if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY else error.sqlite_errorname
    return Maintained(name, before, _size(path), skipped)


def _size(path: Path) -> int:
    """With its write-ahead log."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _why_not_rewrite(path: Path, is_work_going_on: bool) -> str:
    size = path.stat().st_size
    if is_work_going_on and size > _BESIDE_WORK_BYTES:
        return "not rewritten: large, and files are at work"
    # The copy, and the copy again in the write-ahead log; SQLite makes the first where temporary files go.
    for folder, needed in ((path.parent, 2 * size), (Path(tempfile.gettempdir()), size)):
        free = shutil.disk_usage(folder).free
        if free < needed:
            return f"not rewritten: {needed / 1e9:.1f} GB of disk needed, {free / 1e9:.1f} GB free"
    return ""


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def _maintain_postgresql(database: Database) -> Maintained:
    # A connection of its own, for the session's settings; VACUUM runs in no transaction.
    engine = create_engine(database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True)
    before = after = 0
    busy = []
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{int(_LOCK_SECONDS * 1000)}ms'"))
        connection.execute(text(f"SET statement_timeout = '{_STATEMENT_SECONDS}s'"))
        existing = set(inspect(connection).get_table_names())
        for table in (table for table in database.tables if table in existing):
            try:
                size = _table_size(connection, table)
                connection.execute(text(f"VACUUM (ANALYZE) {engine.dialect.identifier_preparer.quote(table)}"))
                before, after = before + size, after + _table_size(connection, table)
            except DBAPIError:
                busy.append(table)
    return Maintained(database.name, before, after, f"busy: {', '.join(busy)}" if busy else "")


def _table_size(connection: Connection, table: str) -> int:
    """Bytes, with its indexes. Waits for who has locked the table."""
    statement = text("SELECT pg_total_relation_size(quote_ident(:table)::regclass)")
    return int(connection.execute(statement, {"table": table}).scalar_one())
