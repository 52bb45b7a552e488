"""Deleted rows are gone from the file, and from its write-ahead log."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from transcribe_pipeline.resources import sqlite_files


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """With a deleted row whose bytes are still in the file, and in the log that an open connection keeps."""
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE said (word TEXT)")
        connection.executemany("INSERT INTO said VALUES (?)", [("stays",), ("Quuxify" * 5000,)])
        connection.execute("DELETE FROM said WHERE word LIKE 'Q%'")
    return path


def test_nothing_deleted_can_be_read(database: Path):
    assert b"Quuxify" in database.read_bytes()
    with closing(sqlite3.connect(database)) as other:
        other.execute("SELECT * FROM said").fetchall()
        assert sqlite_files.scrub(database)
        assert not any(b"Quuxify" in path.read_bytes() for path in database.parent.iterdir())
        assert other.execute("SELECT word FROM said").fetchall() == [("stays",)]


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN; SELECT * FROM said"])
def test_who_keeps_it_busy_is_told(database: Path, lock: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite_files, "_LOCK_SECONDS", 0.05)
    monkeypatch.setattr(sqlite_files, "_CHECKPOINT_TRIES", 1)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        for statement in lock.split("; "):
            other.execute(statement).fetchone()
        assert not sqlite_files.scrub(database)
        other.execute("ROLLBACK")
    assert sqlite_files.scrub(database)
