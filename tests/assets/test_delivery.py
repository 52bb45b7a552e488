"""Page and search document as Dagster runs them, with an index that answers and one that does not."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from tests.ledger.samples import transcript
from tests.world import World, embedded_world
from transcribe_pipeline.artifacts import SearchDocument, TranscriptPage
from transcribe_pipeline.definitions import build_defs
from transcribe_pipeline.ledger import leases, transcripts
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.schedules import reconcile_search
from transcribe_pipeline.search.index import Query, Scope
from transcribe_pipeline.settings import settings

NOBODY = "http://127.0.0.1:9"
"""Nothing listens there."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch, search_model="none") as made:
        yield made


@pytest.fixture
def key(world: World) -> str:
    """A file that has just got its transcript."""
    key = world.add("ann/talk <1>.wav")
    claim = leases.claim(world.ledger, key, None, "run", lease_seconds=90, holder_finished=lambda _: False)
    leases.record_sha256(world.ledger, claim, "ab" * 32)
    record = transcripts.save(world.ledger, claim, transcript(), artifact_key="x", provenance={})
    version = FileVersion(content_id("ab" * 32), claim.generation)
    ArtifactStore(world.store, "artifacts").save(key, version, "transcript_record", record)
    leases.release(world.ledger, claim)
    return key


def deliver(world: World, key: str) -> dg.ExecuteInProcessResult:
    return (
        build_defs()
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            asset_selection=[dg.AssetKey("transcript_page"), dg.AssetKey("search_document")],
            partition_key=key,
            instance=world.instance,
            raise_on_error=False,
        )
    )


def checked(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


def found(text: str) -> int:
    return Search(settings()).index.search(Query(text), Scope.of("ann")).total_files


def test_a_transcript_is_shown_and_found(world: World, key: str):
    result = deliver(world, key)
    assert result.success
    page: TranscriptPage = result.output_for_node("transcript_page")
    html = world.store.get_bytes(page.object_key).decode()
    assert "talk &lt;1&gt;.wav" in html
    assert "../../../uploads/ann/talk%20%3C1%3E.wav" in html
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey("transcript_page")]
    assert str(event.materialization.metadata["page"].value).endswith(f"{key}/transcript.html")
    document: SearchDocument = result.output_for_node("search_document")
    assert document.passages == 3
    assert found("hello") == 1
    assert checked(result) == {"transcript_can_be_found": True}


def test_an_index_that_does_not_answer_costs_the_file_nothing_else(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TRANSCRIBE_SEARCH_URL", NOBODY)
    settings.cache_clear()
    result = deliver(world, key)
    assert result.success
    assert result.output_for_node("search_document").passages is None
    assert checked(result) == {"transcript_can_be_found": False}
    assert world.file(key).degraded == ["search_document"]
    assert world.file(key).status is not Status.ERROR

    def tick() -> dg.RunRequest | dg.SkipReason:
        with dg.build_schedule_context(world.instance, scheduled_execution_time=datetime.now(UTC)) as context:
            answer = reconcile_search(context, ledger=world.ledger, search=Search(settings()))
        assert isinstance(answer, dg.RunRequest | dg.SkipReason)
        return answer

    assert "SEARCH_UNAVAILABLE" in str(tick())
    monkeypatch.delenv("TRANSCRIBE_SEARCH_URL")
    settings.cache_clear()
    assert isinstance(tick(), dg.RunRequest)
    assert Search(settings()).reconcile(world.ledger)
    assert (world.file(key).degraded, found("hello")) == ([], 1)
    assert str(tick()) == str(dg.SkipReason("The index is complete."))


def test_a_document_that_was_lost_is_seen_by_the_check(world: World, key: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Search, "publish", lambda self, ledger, key: SearchDocument(
        transcript_id=world.file(key).current_transcript_id or "", passages=3
    ))  # fmt: skip
    assert checked(deliver(world, key)) == {"transcript_can_be_found": False}


def test_reconciliation_is_an_asset(world: World, key: str):
    result = (
        build_defs()
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(asset_selection=[dg.AssetKey("search_reconciliation")], instance=world.instance)
    )
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["missing"].value == 1
    assert event.materialization.metadata["passages"].value == 3
    assert found("hello") == 1
