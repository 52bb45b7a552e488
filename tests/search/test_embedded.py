"""The embedded index keeps the contract; its file is safe with several processes and with damage."""

import multiprocessing
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.search.contract import ALL, SearchContract
from tests.search.samples import CORPUS, A, Signs, document, with_chunks
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search import embedded_search
from transcribe_pipeline.search.embedded import EmbeddedIndex
from transcribe_pipeline.search.index import Query, Scope


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    index = EmbeddedIndex(tmp_path_factory.mktemp("search") / "home" / "search.db")
    index.put_all(CORPUS)
    return index


@pytest.fixture
def empty_index(tmp_path):
    return EmbeddedIndex(tmp_path / "search.db")


@pytest.fixture
def meaning(tmp_path):
    return EmbeddedIndex(tmp_path / "search.db", Signs())


class TestEmbedded(SearchContract):
    pass


def test_owners_and_values_with_nul_pass_for_no_other(index):
    assert not index.search(Query(), Scope.of("ann\x00", "ann\x00lee")).files
    assert not index.search(Query(files=frozenset({"budget\x00"})), ALL).files


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_put_aside(tmp_path, caplog, content):
    path = tmp_path / "search.db"
    path.write_bytes(content)
    index = EmbeddedIndex(path)
    assert list(index.held()) == []
    assert (tmp_path / "search.db.old").read_bytes() == content
    assert "damaged" in caplog.text
    assert "put aside" in index.status().details
    index.put(CORPUS[0])
    assert index.search(Query("bank"), ALL).total_hits == 2


def test_damage_that_shows_later_is_put_aside_and_said(tmp_path):
    path = tmp_path / "search.db"
    index = EmbeddedIndex(path)
    index.put_all(CORPUS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xee" * (path.stat().st_size - 8192))
    with pytest.raises(PipelineError) as refused:
        index.search(Query("bank"), ALL)
    assert refused.value.code is ErrorCode.SEARCH_UNAVAILABLE
    assert list(index.held()) == []
    index.put_all(CORPUS)
    assert index.search(Query("bank"), ALL).total_hits == 3


def test_an_older_layout_begins_anew_and_a_newer_one_is_left_alone(tmp_path):
    path = tmp_path / "search.db"
    index = EmbeddedIndex(path)
    index.put(CORPUS[0])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    assert list(index.held()) == []
    assert (tmp_path / "search.db.old").exists()
    index.put(CORPUS[0])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999999")
    with pytest.raises(PipelineError, match="newer program"):
        index.status()
    assert path.exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError) as refused:
        EmbeddedIndex(tmp_path / "file" / "search.db").search(Query("bank"), ALL)
    assert refused.value.code is ErrorCode.SEARCH_UNAVAILABLE


def test_a_failed_put_leaves_what_was_there(tmp_path):
    index = EmbeddedIndex(tmp_path / "search.db")
    index.put(CORPUS[0])
    passage = replace(CORPUS[0].passages[0], position=1 << 20)
    with pytest.raises(PipelineError):
        index.put(replace(CORPUS[0], passages=(CORPUS[0].passages[1], passage)))
    assert index.search(Query("interest"), ALL).total_hits == 3
    assert [(media.expected, media.passages) for media in index.held()] == [(6, 6)]


def test_no_byte_is_left_of_what_was_removed_and_scrubbed(tmp_path):
    path = tmp_path / "search.db"
    index = EmbeddedIndex(path)
    (tmp_path / "search.db.old").write_text("quetzalcorp")
    index.put_all(CORPUS)
    assert b"quetzalcorp" in _bytes(tmp_path)
    index.remove(["merger"])
    index.scrub()
    assert b"quetzalcorp" not in _bytes(tmp_path)
    assert index.search(Query("bank"), ALL).total_hits == 2


def _bytes(folder):
    return b"".join(path.read_bytes() for path in folder.iterdir()).lower()


def test_several_processes_write_and_read_at_once(tmp_path):
    path = tmp_path / "search.db"
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = [pool.submit(_put_and_search, path, i) for i in range(2)]
        assert all(task.result() for task in done)
    index = EmbeddedIndex(path)
    assert [media.partition_key for media in index.held()] == [
        "shared",
        *(f"x{i}-{j}" for i in range(2) for j in range(3)),
    ]
    assert index.search(Query("bank", limit=100), ALL).total_files == 7
    assert index.suggest("ban", ALL) == ["bank"]


def _put_and_search(path, number):
    index = EmbeddedIndex(path)
    for i in range(3):
        index.put(document(f"x{number}-{i}", "ann", "en", [(A, "bank")]))
        index.put(document("shared", "ann", "en", [(A, f"bank {number}")]))
        found = index.search(Query("bank", limit=100), ALL)
        assert found.total_files == found.total_hits >= i + 2
    return True


def test_many_hits_are_counted_and_ordered_by_file(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded_search, "_RANKED_HITS", 5)
    index = EmbeddedIndex(tmp_path / "search.db")
    index.put_all([document(f"x{i}", "ann", "en", [(A, "bank")] * i) for i in range(1, 5)])
    results = index.search(Query("bank", hits_per_file=2), ALL)
    assert [(file.partition_key, file.total) for file in results.files] == [("x4", 4), ("x3", 3), ("x2", 2), ("x1", 1)]
    assert [hit.position for hit in results.files[0].hits] == [0, 1]
    assert results.total_hits == 10


def test_more_vectors_than_are_compared_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded_search, "MAX_CHUNKS", 3)
    index = EmbeddedIndex(tmp_path / "search.db", Signs())
    for day in (1, 2, 3):
        made = with_chunks(f"x{day}", "ann", [["A puppy."], ["A kennel."]])
        index.put(replace(made, added_at=datetime(2026, 1, day, tzinfo=UTC)))
    results = index.search(Query("dog", semantic=True), ALL)
    assert [file.partition_key for file in results.files] == ["x3"]
    (note,) = results.notes
    assert "newest 1" in note
