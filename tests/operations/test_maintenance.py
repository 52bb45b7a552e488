"""Caring for real databases: SQLite files with others at work on them, and a PostgreSQL server."""

import sqlite3
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import URL, make_url, text

from tests.ledger.conftest import create_database
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.operations import maintenance
from transcribe_pipeline.operations.maintenance import Database, databases, maintain
from transcribe_pipeline.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database most of which was deleted."""
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)")
        connection.executemany("INSERT INTO t (x) VALUES (zeroblob(10000))", [()] * 100)
        connection.execute("DELETE FROM t WHERE id > 1")
    return path


def cared_for(path: Path, *, is_work_going_on: bool = False) -> maintenance.Maintained:
    return maintain(Database("x", URL.create("sqlite", database=str(path))), is_work_going_on=is_work_going_on)


def test_a_file_shrinks_and_keeps_its_rows(path: Path):
    done = cared_for(path, is_work_going_on=True)
    assert done.bytes_before > 1_000_000 > 50_000 > done.bytes_after == path.stat().st_size
    assert not done.skipped
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM t").fetchall() == [(1,)]


def test_whoever_is_at_work_is_not_disturbed(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maintenance, "_LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO t (x) VALUES ('new')")
        assert cared_for(path).skipped == "busy"
        writer.execute("COMMIT")
    assert not cared_for(path).skipped
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_a_large_file_is_not_rewritten_beside_runs_or_without_room(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maintenance, "_BESIDE_WORK_BYTES", 100_000)
    done = cared_for(path, is_work_going_on=True)
    assert done.skipped == "not rewritten: large, and files are at work"
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 10**5)
    monkeypatch.setattr(maintenance.shutil, "disk_usage", lambda _: usage)
    assert cared_for(path).skipped == "not rewritten: 0.0 GB of disk needed, 0.0 GB free"
    assert path.stat().st_size > 1_000_000
    monkeypatch.undo()
    assert not cared_for(path).skipped


def test_every_database_of_an_embedded_installation_is_cared_for(tmp_path: Path):
    ledger = connect(f"sqlite:///{tmp_path}/ledger.db")
    migrate(ledger)
    (tmp_path / "search.db").touch()
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        found = {each.name: each for each in databases(Settings(home=tmp_path), ledger, instance)}
        assert list(found) == ["ledger", "search index", "Dagster: runs", "Dagster: events", "Dagster: ticks"]
        for database in found.values():
            assert not maintain(database, is_work_going_on=False).skipped
    ledger.dispose()


def test_postgresql_vacuums_our_tables_and_no_others(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(maintenance, "_LOCK_SECONDS", 0.1)
    url = create_database(postgres_url, "maintenance")
    ledger = connect(url)
    migrate(ledger)
    with ledger.begin() as connection:
        connection.execute(text("CREATE TABLE somebody_elses (x int)"))
    storage = {"storage": {"postgres": {"postgres_url": url}}}
    with dg.DagsterInstance.local_temp(str(tmp_path), storage) as instance:
        found = list(databases(Settings(home=tmp_path, search_url="http://127.0.0.1:9"), ledger, instance))
        assert [each.name for each in found] == ["ledger", "Dagster: runs", "Dagster: events", "Dagster: ticks"]
        with ledger.connect() as locking:
            locking.execute(text("LOCK TABLE segment"))
            done = [maintain(database, is_work_going_on=True) for database in found]
    assert [each.skipped for each in done] == ["busy: segment", "", "", ""]
    assert all(each.bytes_after > 0 for each in done)
    with ledger.connect() as connection:
        vacuumed = text("SELECT relname FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL")
        tables = set(connection.execute(vacuumed).scalars())
    assert {"media_file", "runs", "event_logs", "job_ticks"} <= tables
    assert not {"segment", "somebody_elses"} & tables
    assert make_url(url).database == "maintenance"
    ledger.dispose()
