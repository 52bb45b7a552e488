"""Connections, retries and the schema version."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, select, text

from tests.ledger.conftest import create_database
from tests.ledger.samples import claimed, transcript, upload
from tests.servers.postgres import running_server
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import transcripts
from transcribe_pipeline.ledger.database import (
    VERSION_TABLE,
    clock,
    connect,
    migrate,
    read,
    require_current,
    write,
)
from transcribe_pipeline.ledger.files import list_files, register
from transcribe_pipeline.ledger.leases import heartbeat
from transcribe_pipeline.ledger.models import Base, MediaFile


def test_migrations_make_exactly_the_models(empty_url: str):
    engine = connect(empty_url)
    migrate(engine)
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "target_metadata": Base.metadata}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_current_pointer_is_a_foreign_key_on_both_databases(engine: Engine):
    targets = {key["referred_table"] for key in inspect(engine).get_foreign_keys("media_file")}
    assert targets == {"transcript"}


def test_unmigrated_database_is_refused_with_the_command(empty_url: str):
    engine = connect(empty_url)
    with pytest.raises(PipelineError, match="transcribe migrate") as refusal:
        require_current(engine)
    assert refusal.value.code == ErrorCode.DATABASE_NOT_MIGRATED
    migrate(engine)
    require_current(engine)
    migrate(engine)  # again: nothing to do
    engine.dispose()


def test_newer_database_is_refused_and_never_downgraded(empty_url: str):
    engine = connect(empty_url)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for start in (require_current, migrate):
        with pytest.raises(PipelineError, match="9999") as refusal:
            start(engine)
        assert refusal.value.code == ErrorCode.DATABASE_NEWER
    engine.dispose()


def test_processes_that_migrate_together_take_turns(empty_url: str):
    failures: list[BaseException] = []

    def start() -> None:
        engine = connect(empty_url)
        try:
            migrate(engine)
        except BaseException as failure:
            failures.append(failure)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    engine = connect(empty_url)
    require_current(engine)
    engine.dispose()


def test_a_schema_shares_its_database_with_dagsters(postgres_url: str):
    engine = connect(create_database(postgres_url, "shared"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('dagsters own')"))
    migrate(engine)
    require_current(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "dagsters own"
    engine.dispose()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://me:secret@host/db"])
def test_other_urls_are_a_configuration_error_that_shows_no_password(url: str):
    with pytest.raises(PipelineError) as refusal:
        connect(url)
    assert refusal.value.code == ErrorCode.CONFIGURATION
    assert "secret" not in str(refusal.value)


def test_bare_postgresql_url_gets_the_driver_that_is_installed(postgres_url: str):
    engine = connect(postgres_url.replace("postgresql+psycopg2", "postgresql"))
    assert engine.driver == "psycopg2"
    assert read(engine, lambda connection: connection.execute(text("SELECT 1")).scalar_one()) == 1
    engine.dispose()


def test_sqlite_waits_for_locks_and_keeps_foreign_keys(sqlite_template: Path):
    engine = connect(f"sqlite:///{sqlite_template}")
    with engine.connect() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in _PRAGMAS}
    engine.dispose()
    assert pragmas == _PRAGMAS


_PRAGMAS = {"journal_mode": "wal", "busy_timeout": 30_000, "foreign_keys": 1}


def test_unreadable_database_is_unavailable_at_once(tmp_path: Path):
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is a text file, not a database. " * 100)
    with pytest.raises(PipelineError, match="SQLITE_NOTADB") as failure:
        require_current(connect(f"sqlite:///{path}"))
    assert failure.value.code == ErrorCode.DATABASE_UNAVAILABLE
    assert str(tmp_path) not in str(failure.value)


def test_failed_transaction_leaves_nothing(engine: Engine):
    register(engine, [upload()], settle_seconds=0)

    def work(connection: Connection) -> None:
        connection.execute(text("UPDATE media_file SET generation = 7"))
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write(engine, work)
    assert list_files(engine)[0].generation == 1


def test_a_failing_statement_does_not_log_what_it_was_to_write(engine: Engine, caplog: pytest.LogCaptureFixture):
    claim = claimed(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE segment RENAME TO segment_gone"))
    try:
        with caplog.at_level(logging.DEBUG), pytest.raises(Exception, match="segment") as failure:
            transcripts.save(engine, claim, transcript(first_word="Secret"), artifact_key="k", provenance={})
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE segment_gone RENAME TO segment"))
    assert "Secret" not in str(failure.value) + caplog.text


def test_clock_is_unix_time(engine: Engine, scalar: Callable[[str], Any]):
    with engine.connect() as connection:
        ours = connection.execute(select(clock())).scalar_one()
    unix_time = "strftime('%s', 'now')" if engine.dialect.name == "sqlite" else "extract(epoch from now())"
    theirs = scalar(f"SELECT {unix_time}")
    assert abs(float(ours) - float(theirs)) < 5


def test_deadlocked_transactions_both_succeed(postgres_ledger: Engine):
    """Each locks one file and then wants the other's: PostgreSQL fails one of them, the retry brings it through."""
    engine = postgres_ledger
    files = [upload(f"deadlock-{n}.mp3") for n in range(2)]
    register(engine, files, settle_seconds=0)
    both_hold_one = threading.Barrier(2)
    tries: list[str] = []

    def lock_both(first: str, second: str) -> None:
        def work(connection: Connection) -> None:
            tries.append(first)
            for number, key in enumerate((first, second)):
                connection.execute(select(MediaFile.id).where(MediaFile.partition_key == key).with_for_update())
                if number == 0 and tries.count(first) == 1:
                    both_hold_one.wait(timeout=20)

        write(engine, work)

    keys = [file.partition_key for file in files]
    threads = [threading.Thread(target=lock_both, args=order) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tries) == 3


def test_locked_sqlite_is_retried(sqlite_template: Path, tmp_path: Path):
    path = tmp_path / "ledger.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = connect(f"sqlite:///{path}")
    with engine.begin() as connection:  # fail at once instead of waiting inside SQLite, so that our retry has to work
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
    blocker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, blocker.execute, ["ROLLBACK"])
    release.start()
    assert register(engine, [upload()], settle_seconds=0).new == 1
    release.join()
    blocker.close()
    engine.dispose()


def test_a_database_restart_in_mid_use_is_waited_out():
    with running_server() as server:
        engine = connect(create_database(server.url, "ledger"))
        migrate(engine)
        claim = claimed(engine)
        server.stop_immediately()
        beat = threading.Thread(target=heartbeat, args=(engine, claim), kwargs={"progress": 0.5})
        beat.start()
        beat.join(timeout=1.0)
        assert beat.is_alive()
        server.start()
        beat.join()
        assert list_files(engine)[0].progress == 0.5

        # and in the middle of a transaction, with its connection already in use
        cut: list[bool] = []

        def work(connection: Connection) -> None:
            connection.execute(text("UPDATE media_file SET stage = 'after the restart'"))
            if not cut:
                cut.append(True)
                server.stop_immediately()
                server.start()
            connection.execute(text("UPDATE media_file SET progress = 0.6"))

        write(engine, work)
        assert (list_files(engine)[0].stage, list_files(engine)[0].progress) == ("after the restart", 0.6)
        engine.dispose()
