"""The insight stages as Dagster runs them: offline, with a real language model, with one that is gone, and left out."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.export.transcripts import timed, transcript_of
from tests.world import World, embedded_world
from transcribe_pipeline.artifacts import MediaMetadata, Options, SpeakerTurn, Transcript
from transcribe_pipeline.definitions import build_defs
from transcribe_pipeline.insights import INSIGHTS, Summary
from transcribe_pipeline.jobs import process_media
from transcribe_pipeline.ledger import insights, language_model_calls, leases, transcripts
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.search.index import Query, Scope
from transcribe_pipeline.settings import settings

NOBODY = "http://127.0.0.1:9/v1"
"""Nothing listens there."""

TALK = (
    ("SPEAKER_00", "Good morning, this is Diane from the budget office."),
    ("SPEAKER_01", "Hello Diane, I'm Sheila. Did the committee approve the new budget for the harbour?"),
    ("SPEAKER_00", "Yes, we decided to approve the harbour budget of forty thousand dollars last Tuesday."),
    ("SPEAKER_01", "Then I will send the contract for the harbour to the builders by Friday."),
    ("SPEAKER_00", "Please do. How long will the builders need for the harbour?"),
)


def talk(rounds: int = 1) -> Transcript:
    start, turns = 0.0, []
    for speaker, text in TALK * rounds:
        words = [word.model_copy(update={"speaker": speaker}) for word in timed(text, start)]
        turns.append((speaker, words))
        start = words[-1].end + 0.6
    spoken = [SpeakerTurn(start=words[0].start, end=words[-1].end, speaker=speaker) for speaker, words in turns]
    return transcript_of(turns).model_copy(update={"turns": tuple(spoken)})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch, search_model="none") as made:
        yield made


@pytest.fixture
def key(world: World) -> str:
    return transcribed(world)


def transcribed(world: World, *, rounds: int = 1, **options: tuple[str, ...]) -> str:
    """A file that has just got its transcript."""
    key = world.add("ann/talk <1>.wav")
    claim = leases.claim(world.ledger, key, None, "run", lease_seconds=90, holder_finished=lambda _: False)
    leases.record_sha256(world.ledger, claim, "ab" * 32)
    record = transcripts.save(world.ledger, claim, talk(rounds), artifact_key="x", provenance={})
    version = FileVersion(content_id("ab" * 32), claim.generation)
    artifacts = ArtifactStore(world.store, "artifacts")
    artifacts.save(key, version, "transcript_record", record)
    artifacts.save(key, version, "options", Options.model_validate(options))
    artifacts.save(
        key, version, "media_metadata", MediaMetadata.model_validate({"file": {"name": "a", "size_bytes": 1}})
    )
    leases.release(world.ledger, claim)
    return key


def materialise(world: World, key: str, *stages: str, job: str = "") -> dg.ExecuteInProcessResult:
    """As a person does who selects assets; with `job`, as that job does."""
    defs = build_defs()
    chosen = defs.get_job_def(job) if job else defs.resolve_implicit_global_asset_job_def()
    return chosen.execute_in_process(
        asset_selection=[dg.AssetKey(stage) for stage in stages or INSIGHTS],
        partition_key=key,
        instance=world.instance,
        raise_on_error=False,
    )


def made(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}


def shown(result: dg.ExecuteInProcessResult, stage: str) -> dict[str, object]:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(stage)]
    return {name: each.value for name, each in event.materialization.metadata.items()}


def of(world: World, key: str, stage: str) -> insights.InsightView:
    record = transcripts.current(world.ledger, key)
    assert record
    view = insights.of_stage(world.ledger, record.transcript_id, stage)
    assert view
    return view


def test_every_insight_is_made_kept_shown_and_found_without_a_model(world: World, key: str):
    result = materialise(world, key)
    assert result.success
    assert made(result) == set(INSIGHTS)
    checks = result.get_asset_check_evaluations()
    assert len(checks) >= 7
    assert all(check.passed for check in checks), [check for check in checks if not check.passed]
    assert all(of(world, key, stage).value.made_by.method == "offline" for stage in INSIGHTS)
    names = {suggestion.name for suggestion in of(world, key, "speaker_names").value.suggestions}
    assert {"Diane", "Sheila"} <= names

    results = world.home / "store/results/ann" / key
    assert {"summary.md", "insights.json", "graph.graphml", "analytics.csv", "transcript.html"} <= {
        path.name for path in results.iterdir()
    }
    bottom_line = of(world, key, "summary").value.bottom_line
    assert bottom_line
    assert bottom_line.text.split()[-1].strip(".") in (results / "transcript.html").read_text()
    found = Search(settings()).index.search(Query(kinds=frozenset({"summary"})), Scope.of("ann"))
    assert found.total_files == 1
    assert world.file(key).status == Status.COMPLETED
    assert "data:image/png;base64," in str(shown(result, "knowledge_graph")["picture"])


def test_stages_that_options_leave_out_are_skipped_and_the_file_is_done(world: World):
    key = transcribed(world, insights=("analytics",))
    result = materialise(world, key, job=process_media.name)
    assert result.success
    assert made(result) == {"analytics"}
    assert world.file(key).status == Status.COMPLETED
    assert world.file(key).degraded == []


def test_whoever_selects_a_stage_gets_it_and_nothing_else_is_touched(world: World):
    key = transcribed(world, insights=())
    result = materialise(world, key, "questions")
    assert made(result) == {"questions"}
    assert insights.latest(world.ledger, of(world, key, "questions").value.transcript_id).keys() == {"questions"}


def test_the_same_insight_again_is_no_new_version(world: World, key: str):
    materialise(world, key, "chapters")
    materialise(world, key, "chapters")
    assert of(world, key, "chapters").version == 1


def test_a_model_that_is_gone_costs_the_better_form_only(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSCRIBE_LLM", "compatible/nobody")
    monkeypatch.setenv("TRANSCRIBE_LLM_COMPATIBLE_URL", NOBODY)
    monkeypatch.setenv("TRANSCRIBE_LLM_CONTEXT_TOKENS", "8000")
    settings.cache_clear()
    result = materialise(world, key, "summary")
    assert result.success
    summary = of(world, key, "summary").value
    assert summary.made_by.method == "offline"
    assert summary.made_by.fallback_reason
    assert world.file(key).degraded == ["summary"]
    assert shown(result, "summary")["error_code"] == "LANGUAGE_MODEL_UNAVAILABLE"

    monkeypatch.setenv("TRANSCRIBE_LLM", "")
    settings.cache_clear()
    materialise(world, key, "summary")
    assert world.file(key).degraded == []
    assert of(world, key, "summary").version == 2


def test_settings_that_name_no_model_cost_no_more_than_that(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSCRIBE_LLM", "nobody/x")
    (world.home / "empty").mkdir()
    monkeypatch.setenv("TRANSCRIBE_SEARCH_MODEL", str(world.home / "empty"))
    settings.cache_clear()
    key = transcribed(world, rounds=20)  # long enough for a sentence model
    result = materialise(world, key, "analytics", "semantic_chunks", "questions")
    assert result.success
    assert made(result) == {"analytics", "semantic_chunks", "questions"}
    assert world.file(key).degraded == ["semantic_chunks", "questions"]
    assert shown(result, "semantic_chunks")["error_code"] == "MODEL_UNAVAILABLE"
    assert shown(result, "questions")["error_code"] == "CONFIGURATION"


def test_a_remote_model_gets_no_word_unless_allowed(world: World, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSCRIBE_LLM", "anthropic/claude-sonnet-4-5")
    monkeypatch.setenv("TRANSCRIBE_LLM_ANTHROPIC_KEY", "sk-ant-not-a-key")
    settings.cache_clear()
    result = materialise(world, key, "summary")
    assert result.success
    assert shown(result, "summary")["error_code"] == "LANGUAGE_MODEL_REFUSED"
    assert "TRANSCRIBE_ALLOW_REMOTE_LLM" in str(of(world, key, "summary").value.made_by.fallback_reason)


@pytest.mark.e2e
def test_a_real_model_publishes_only_what_was_said(
    world: World, key: str, smollm2: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSCRIBE_LLM", "compatible/smollm2")
    monkeypatch.setenv("TRANSCRIBE_LLM_COMPATIBLE_URL", smollm2)
    monkeypatch.setenv("TRANSCRIBE_LLM_CONTEXT_TOKENS", "2400")  # it would talk for minutes
    settings.cache_clear()
    stages = ("questions", "speaker_names", "summary")  # the others have tests of their own with this model
    result = materialise(world, key, *stages)
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    calls = language_model_calls.of_file(world.ledger, world.file(key).id)
    assert {call.stage for call in calls} == set(stages)
    assert all(call.tokens_in for call in calls if call.outcome == "answered")
    summary = of(world, key, "summary").value
    assert isinstance(summary, Summary)
    for stage in stages:
        print(stage, of(world, key, stage).value.made_by)
