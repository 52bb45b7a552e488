"""The downloadable files are those of the current version, whoever writes them and whenever."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.export.insights import insights_of
from tests.ledger.samples import transcript
from tests.world import World, embedded_world
from transcribe_pipeline.artifacts import InsightStage
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.formats import RESULT_FORMATS, difference, result_keys
from transcribe_pipeline.export.insight_files import insight_keys
from transcribe_pipeline.insights import Statement
from transcribe_pipeline.ledger import insights, leases, transcripts
from transcribe_pipeline.ledger.models import MediaFile
from transcribe_pipeline.resources.results import publish, publish_insights, publish_page
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


# --- insights -------------------------------------------------------------------------------------------------------


def save(world: World, key: str, text: str, *stages: InsightStage) -> None:
    """Insights of the current version; of these stages, or of all that are written without further ado."""
    file = world.file(key)
    claim = leases.claim(world.ledger, key, None, text, lease_seconds=90, holder_finished=lambda _: True)
    told = insights_of(transcript(), text)
    for stage in stages:
        value = getattr(told, stage).model_copy(update={"transcript_id": file.current_transcript_id})
        insights.save(world.ledger, claim, stage, value)
    leases.complete(world.ledger, claim)


def files_of_insights(world: World, key: str) -> dict[str, str]:
    """Name -> content, of those in the store."""
    found = {name: at for name, at in insight_keys("results", "ann", key).items() if world.store.exists(at)}
    return {name: world.store.get_bytes(at).decode() for name, at in found.items()}


def test_files_of_insights_are_those_of_the_current_version(world: World, key: str):
    def publish_them() -> set[str]:
        return set(publish_insights(world.ledger, world.store, settings(), key))

    assert publish_them() == set()
    save(world, key, "SPEAKER_00 sells the house", "chapters", "questions")
    assert (
        publish_them()
        == files_of_insights(world, key).keys()
        == {"insights", "chapters", "ffmetadata", "podcast-chapters"}
    )
    assert "the house (1)" in files_of_insights(world, key)["chapters"]
    save(world, key, "SPEAKER_00 keeps the house", "chapters")
    publish_them()
    assert "sells" not in files_of_insights(world, key)["chapters"]
    transcripts.promote(world.ledger, key, 1)
    world.store.put_bytes(f"results/ann/{key}/mine.txt", b"x")
    assert publish_them() == files_of_insights(world, key).keys() == set()
    assert world.store.exists(f"results/ann/{key}/mine.txt")
    transcripts.promote(world.ledger, key, 2)
    publish_them()
    assert "keeps" in files_of_insights(world, key)["chapters"]


def test_an_insight_made_while_files_are_written_is_in_them(world: World, key: str):
    """Two stages at once, each of which has read what there was before the other."""
    save(world, key, "early", "summary")
    overtaken = threading.Event()

    def overtake() -> None:
        if not overtaken.is_set():
            overtaken.set()
            save(world, key, "late", "chapters")

    shown = publish_page(world.ledger, world.store, settings(), key, before_write=overtake)
    assert "late (1)" in world.store.get_bytes(shown.object_key).decode()
    overtaken.clear()
    save(world, key, "early", "chapters")
    publish_insights(world.ledger, world.store, settings(), key, before_write=overtake)
    assert "late (1)" in files_of_insights(world, key)["chapters"]


def test_who_may_no_longer_write_publishes_no_insights(world: World, key: str):
    save(world, key, "x", "chapters")

    def refuse() -> None:
        raise PipelineError(ErrorCode.LEASE_LOST)

    with pytest.raises(PipelineError, match="LEASE_LOST"):
        publish_insights(world.ledger, world.store, settings(), key, before_write=refuse)
    assert files_of_insights(world, key) == {}


def test_the_page_has_the_insights_of_the_version_that_it_shows(world: World, key: str):
    def page() -> str:
        return world.store.get_bytes(publish_page(world.ledger, world.store, settings(), key).object_key).decode()

    save(world, key, "the first word", "chapters", "summary", "questions")
    assert "Bottom line: the first word" in page()
    transcripts.promote(world.ledger, key, 1)
    assert "the first word" not in page()


def test_chapters_and_summaries_are_found_and_the_index_notices_new_ones(world: World, key: str):
    search = Search(settings().model_copy(update={"search_model": "none"}))

    def kinds(text: str) -> set[str]:
        return {
            hit.kind
            for file in search.index.search(Query(text, hits_per_file=100), Scope.of("ann")).files
            for hit in file.hits
        }

    search.publish(world.ledger, key)
    save(world, key, "xylophone", "questions", "analytics", "semantic_chunks")
    assert search.is_equal(world.ledger)  # nobody looks for them
    save(world, key, "xylophone", "chapters", "summary")
    assert not search.is_equal(world.ledger)
    assert search.reconcile(world.ledger) == {Gap.STALE: 1}
    assert kinds("xylophone") == {"chapter", "summary"}
    assert search.is_equal(world.ledger)
    save(world, key, "quetzal", "summary")
    assert search.publish(world.ledger, key).passages
    assert (kinds("quetzal"), kinds("xylophone"), search.is_equal(world.ledger)) == ({"summary"}, {"chapter"}, True)
    transcripts.promote(world.ledger, key, 1)
    assert search.reconcile(world.ledger) == {Gap.STALE: 1}
    assert (kinds("quetzal"), kinds("xylophone"), kinds("word1")) == (set(), set(), {"segment"})


def test_a_wrong_citation_costs_nobody_the_page_or_the_index(world: World, key: str):
    file = world.file(key)
    claim = leases.claim(world.ledger, key, None, "run", lease_seconds=90, holder_finished=lambda _: True)
    told = insights_of(transcript(), "xylophone").summary
    assert told
    wrong = {
        "transcript_id": file.current_transcript_id,
        "key_points": (Statement(text="Nobody said this", segments=(-1, 99)),),
    }
    insights.save(world.ledger, claim, "summary", told.model_copy(update=wrong))
    leases.complete(world.ledger, claim)
    search = Search(settings().model_copy(update={"search_model": "none"}))
    assert search.reconcile(world.ledger) == {Gap.MISSING: 1}
    assert search.index.search(Query("xylophone"), Scope.of("ann")).total_hits > 0
    assert search.index.search(Query("nobody"), Scope.of("ann")).total_hits == 0
    assert publish_page(world.ledger, world.store, settings(), key).size_bytes
    assert "summary" in publish_insights(world.ledger, world.store, settings(), key)


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
