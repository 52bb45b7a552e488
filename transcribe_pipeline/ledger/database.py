"""Reaching the ledger's database: connections, transactions that survive its bad moments, and its schema version.

Every transaction of the ledger goes through `read` or `write`; nothing else opens one.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
import stamina
from sqlalchemy import URL, Connection, Double, Engine, create_engine, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger.models import Base

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

T = TypeVar("T")

VERSION_TABLE = "ledger_version"
"""Not Alembic's default name: Dagster keeps its own `alembic_version`, perhaps in the same database."""

_RETRY_SECONDS = 60.0
"""Rides out a restart or failover of half a minute, and gives up while a lease (90 s) still holds."""

_LOCK_SECONDS = 30
"""How long a statement waits for another's lock before the transaction is retried."""

_MIGRATION_LOCK = 7_241_986_310_554
"""Any constant: names the advisory lock that lets one process migrate at a time."""

_TRANSIENT_SQLITE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_TRANSIENT_SQLSTATES = {
    "25P03",  # idle_in_transaction_session_timeout: we were frozen, and thawed
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "53300",  # too_many_connections
    "55P03",  # lock_not_available
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now
}
_CONNECTION_EXCEPTION = "08"
_NO_ROOM = {"SQLITE_FULL", "SQLSTATE 53100"}
"""On the disk that the database lies on."""


def connect(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`. Opens no connection yet.

    Raises CONFIGURATION for any other URL; the URL itself is not repeated, since it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError, which repeats it
        raise PipelineError(ErrorCode.CONFIGURATION, "TRANSCRIBE_DATABASE_URL is not a database URL") from None
    if "@" in (parsed.host or ""):  # part of the password, then, and errors name the host
        raise PipelineError(ErrorCode.CONFIGURATION, "a password in TRANSCRIBE_DATABASE_URL must have its @ as %40")
    match parsed.drivername:
        case "sqlite" | "sqlite+pysqlite":
            return _sqlite_engine(parsed)
        case "postgresql" | "postgres" | "postgresql+psycopg2":
            return _postgresql_engine(parsed)
    raise PipelineError(
        ErrorCode.CONFIGURATION, "TRANSCRIBE_DATABASE_URL must begin with sqlite:/// or postgresql+psycopg2://"
    )


def _sqlite_engine(url: URL) -> Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late; ours is below
        connection.execute(f"PRAGMA busy_timeout = {_LOCK_SECONDS * 1000}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten, not just marked as free

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later cannot wait for a writer that came between: SQLite fails it
        # at once (SQLITE_BUSY_SNAPSHOT), busy_timeout or not. So writers take the lock at the start.
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg2")  # SQLAlchemy 2.1 would pick psycopg 3, which is not installed
    return create_engine(
        url,
        hide_parameters=True,  # a failed statement's log line must not hold a transcript
        pool_pre_ping=True,
        pool_size=3,
        max_overflow=5,
        connect_args={
            "connect_timeout": 10,
            "tcp_user_timeout": 30_000,  # ms: a peer that vanished without a word is noticed
            # A process frozen within a transaction must not keep its row locks: the server drops it, well before those
            # who wait for them give up.
            "options": f"-c lock_timeout={_LOCK_SECONDS}s -c idle_in_transaction_session_timeout=30s",
        },
    )


# --- transactions ---------------------------------------------------------------------------------------------------


def write(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction and commit; retried as a whole while the database is restarting or contended.

    `work` may therefore run again after it has committed (the connection broke before the answer came), so it must
    come to the same end when repeated. Raises DATABASE_UNAVAILABLE after about a minute of trying.
    """
    return _transaction(engine, work)


def read(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run `work`, which only reads, in one transaction. Retried like `write`; never waits for a writer on SQLite."""
    return _transaction(engine.execution_options(read_only=True), work)


def _transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    with _translated():
        for attempt in stamina.retry_context(
            on=_is_transient, attempts=None, timeout=_RETRY_SECONDS, wait_initial=0.1, wait_max=5.0, wait_jitter=0.5
        ):
            with attempt, engine.begin() as connection:
                return work(connection)
    raise AssertionError("stamina returns or raises")


def _is_transient(error: Exception) -> bool:
    """Can the same transaction succeed a moment later? Judged by driver exception and its code, never by message."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) in _TRANSIENT_SQLITE
    if isinstance(cause, psycopg2.Error) and cause.pgcode:
        return cause.pgcode in _TRANSIENT_SQLSTATES or cause.pgcode.startswith(_CONNECTION_EXCEPTION)
    # psycopg2 gives no SQLSTATE when there was no server to give one: refused, reset, starting up.
    return isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError)


def _sqlite_code(error: sqlite3.Error) -> int | None:
    """Primary result code: extended codes keep theirs in the upper bytes. None if SQLite itself gave none."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if not (_is_transient(error) or _is_environment(error)):
            raise
        code = ErrorCode.DISK_FULL if _code_of(error) in _NO_ROOM else ErrorCode.DATABASE_UNAVAILABLE
        raise PipelineError(code, _code_of(error)) from error


def _is_environment(error: DBAPIError) -> bool:
    """Is it the database's surroundings that fail (disk, permissions, no database file), not our statement?"""
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error.orig) not in {None, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT}
    return isinstance(error, OperationalError)


def _code_of(error: DBAPIError) -> str:
    """What the driver calls it, e.g. 'SQLITE_CANTOPEN' or 'SQLSTATE 40P01': a fact without paths or values."""
    if isinstance(error.orig, sqlite3.Error):
        return str(getattr(error.orig, "sqlite_errorname", "SQLite"))
    sqlstate = getattr(error.orig, "pgcode", None)
    return f"SQLSTATE {sqlstate}" if sqlstate else "no connection"


# --- what the two databases say differently -------------------------------------------------------------------------


class clock(FunctionElement[float]):
    """The database's own time, Unix seconds, at the moment the statement runs."""

    type = Double()
    inherit_cache = True


@compiles(clock, "postgresql")
def _postgresql_clock(_element: clock, _compiler: SQLCompiler, **_: Any) -> str:
    # Not now(): that is when the transaction began, and it may have waited for a lock since.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(clock, "sqlite")
def _sqlite_clock(_element: clock, _compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


class unix_seconds(FunctionElement[float]):
    """A moment (aware datetime column) as Unix seconds; NULL stays NULL."""

    type = Double()
    inherit_cache = True


@compiles(unix_seconds, "postgresql")
def _postgresql_unix_seconds(element: unix_seconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(EXTRACT(EPOCH FROM {compiler.process(element.clauses, **options)}) AS DOUBLE PRECISION)"


@compiles(unix_seconds, "sqlite")
def _sqlite_unix_seconds(element: unix_seconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"((julianday({compiler.process(element.clauses, **options)}) - 2440587.5) * 86400.0)"


def upsert(connection: Connection, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can say ON CONFLICT, in the connection's dialect."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table)


# --- schema version -------------------------------------------------------------------------------------------------
# Alembic is imported where it is used: it would add 0.2 s to every process of Dagster, most of which never ask.


def migrate(engine: Engine) -> None:
    """Bring the database to this program's schema. Safe to run again, and by several processes at once.

    Raises DATABASE_NEWER if a newer program has migrated it, and DATABASE_UNAVAILABLE.
    """
    write(engine, _migrate)


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _alembic_config()
    _refuse_newer(connection, ScriptDirectory.from_config(config))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def require_current(engine: Engine) -> None:
    """Raises DATABASE_NOT_MIGRATED or DATABASE_NEWER unless the database has exactly this program's schema."""
    read(engine, _require_current)


def _require_current(connection: Connection) -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_alembic_config())
    if _revision(connection) == scripts.get_current_head():
        return
    _refuse_newer(connection, scripts)
    raise PipelineError(ErrorCode.DATABASE_NOT_MIGRATED)


def _refuse_newer(connection: Connection, scripts: "ScriptDirectory") -> None:
    revision = _revision(connection)
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is not None and revision not in known:
        raise PipelineError(ErrorCode.DATABASE_NEWER, f"its version is {revision}")


def _revision(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _alembic_config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
