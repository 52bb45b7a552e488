"""The downloadable files are those of the current version, whoever writes them and whenever."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.ledger.samples import transcript
from tests.world import World, embedded_world
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.formats import RESULT_FORMATS, difference, result_keys
from transcribe_pipeline.ledger import leases, transcripts
from transcribe_pipeline.ledger.models import MediaFile
from transcribe_pipeline.resources.results import publish, publish_page
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.search.index import Query, Results, Scope
from transcribe_pipeline.search.reconcile import Gap
from transcribe_pipeline.settings import settings


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def key(world: World) -> str:
    """A file with two versions, the second current."""
    key = world.add("ann/meeting.mp3")
    claim = leases.claim(world.ledger, key, None, "run", lease_seconds=90, holder_finished=lambda _: False)
    for first_word in ("One", "Two"):
        value = transcript(first_word=first_word)
        transcripts.save(world.ledger, claim, value, artifact_key="x", provenance={})
    leases.complete(world.ledger, claim)
    return key


def stored(world: World, key: str) -> dict[str, bytes]:
    keys = result_keys("results", "ann", key)
    return {name: world.store.get_bytes(each) for name, each in keys.items()}


def assert_holds(world: World, key: str, first_word: str) -> None:
    for name, content in stored(world, key).items():
        assert difference(transcript(first_word=first_word), name, content) is None


def test_every_format_of_the_current_version_is_written(world: World, key: str):
    published = publish(world.ledger, world.store, "results", key)
    assert {file.format for file in published.files} == set(RESULT_FORMATS)
    assert {file.words for file in published.files} == {30}
    assert_holds(world, key, "Two")


def test_files_follow_a_promotion(world: World, key: str):
    publish(world.ledger, world.store, "results", key)
    promoted = transcripts.promote(world.ledger, key, 1)
    assert publish(world.ledger, world.store, "results", key).transcript_id == promoted.transcript_id
    assert_holds(world, key, "One")


def test_a_version_promoted_while_the_files_are_written_is_the_one_that_stays(world: World, key: str):
    """A slow writer, overtaken between its reading and its writing."""
    overtaken = threading.Event()

    def overtake() -> None:
        if not overtaken.is_set():
            overtaken.set()
            transcripts.promote(world.ledger, key, 1)
            publish(world.ledger, world.store, "results", key)

    publish(world.ledger, world.store, "results", key, before_write=overtake)
    assert_holds(world, key, "One")


def test_who_may_no_longer_write_writes_nothing(world: World, key: str):
    def refuse() -> None:
        raise PipelineError(ErrorCode.LEASE_LOST)

    with pytest.raises(PipelineError, match="LEASE_LOST"):
        publish(world.ledger, world.store, "results", key, before_write=refuse)
    assert list(world.store.list_keys("results")) == []


def test_without_a_transcript_there_is_nothing_to_publish(world: World):
    key = world.add("ann/other.mp3")
    with pytest.raises(PipelineError) as missing:
        publish(world.ledger, world.store, "results", key)
    assert missing.value.code is ErrorCode.ARTIFACT_MISSING


def test_page_and_search_follow_a_promotion(world: World, key: str):
    search = Search(settings())

    def found(text: str) -> Results:
        return search.index.search(Query(text), Scope.of("ann"))

    def page() -> str:
        return world.store.get_bytes(publish_page(world.ledger, world.store, settings(), key).object_key).decode()

    assert "Two" in page()
    assert "One" not in page()
    assert search.publish(world.ledger, key).passages == found("two").total_hits > 0
    transcripts.promote(world.ledger, key, 1)
    assert "Two" not in page()
    assert not search.is_equal(world.ledger)
    search.publish(world.ledger, key)
    assert (found("two").total_hits, found("one").total_files) == (0, 1)


def test_reconciliation_gives_a_file_its_place_in_the_index(world: World, key: str):
    search = Search(settings().model_copy(update={"search_model": "none"}))
    with world.ledger.begin() as connection:
        connection.execute(update(MediaFile).values(degraded=["search_document"]))
    assert search.reconcile(world.ledger) == {Gap.MISSING: 1}
    assert world.file(key).degraded == []
    assert search.is_equal(world.ledger)
    assert search.reconcile(world.ledger) == {}
    search.index.remove([key])
    assert search.reconcile(world.ledger) == {Gap.MISSING: 1}
