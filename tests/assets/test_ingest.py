"""The ingest assets as Dagster runs them, on real recordings with what people put beside them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.ledger.samples import transcript
from tests.world import World, embedded_world
from transcribe_pipeline.artifacts import Audio, Options
from transcribe_pipeline.definitions import build_defs
from transcribe_pipeline.errors import ErrorCode
from transcribe_pipeline.ledger import backlog, files, leases, requests, transcripts
from transcribe_pipeline.ledger.files import fingerprint
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.sensors import run_request
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import NO_RETRY_TAG

SRT = b"1\n00:00:00,000 --> 00:00:02,000\nAnd so, my fellow Americans\n"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch, language="en") as made:
        yield made


@pytest.fixture
def speech(testdata: Path) -> bytes:
    return (testdata / "en_jfk/jfk.flac").read_bytes()


def run(
    world: World, key: str, *assets: str, config: dict[str, Any] | None = None, requested: bool = True
) -> dg.ExecuteInProcessResult:
    """Materialise these assets: as the sensor requests it, or, not `requested`, as a person does."""
    register(world)
    tags = {}
    if requested:
        (needed,) = backlog.next_requests(world.ledger, 1)
        backlog.mark_queued(world.ledger, [needed])
        tags = dict(run_request(needed).tags)
    return (
        build_defs()
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            asset_selection=[dg.AssetKey(name) for name in assets],
            partition_key=key,
            instance=world.instance,
            tags=tags,
            run_config={"ops": {"options": {"config": config}}} if config else None,
            raise_on_error=False,
        )
    )


def register(world: World) -> None:
    for page in world.store.list_uploads("uploads"):
        files.register(world.ledger, page.uploads, settle_seconds=0)
        world.instance.add_dynamic_partitions("media_files", [upload.partition_key for upload in page.uploads])


def artifact(world: World, key: str, name: str, model: Any) -> Any:
    file = world.file(key)
    version = FileVersion(content_id(file.sha256 or ""), file.generation)
    return ArtifactStore(world.store, "artifacts").load(key, version, name, model)


def data_version(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [each for each in result.get_asset_materialization_events() if each.asset_key == dg.AssetKey("options")]
    return (event.materialization.tags or {})["dagster/data_version"]


# --- options --------------------------------------------------------------------------------------------------------


def test_options_come_from_every_layer_and_name_the_given_transcript(
    world: World, speech: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rules = b"version: 1\nrules: [{owner: ann, prefix: calls/, options: {vocabulary: [Peace Corps], speakers: 2}}]"
    (tmp_path / "defaults.yaml").write_bytes(rules)
    monkeypatch.setenv("TRANSCRIBE_OPTIONS_FILE", str(tmp_path / "defaults.yaml"))
    settings.cache_clear()
    key = world.put("ann/calls/jfk.flac", speech)
    world.put("ann/calls/jfk.flac.options.yaml", b"speakers: 1\nprompt: A speech.\nlanguage: fr\n")
    world.put("ann/calls/jfk.srt", SRT)
    register(world)
    requests.request_again(world.ledger, [key], {"language": "de"}, actor="test")
    result = run(world, key, "upload", "options", config={"diarizer": "none"})
    assert result.success
    found: Options = artifact(world, key, "options", Options)
    assert (found.vocabulary, found.speakers, found.prompt) == (("Peace Corps",), 1, "A speech.")
    assert (found.language, found.diarizer) == ("de", "none")
    assert found.given_transcript
    assert found.given_transcript.object_key == "uploads/ann/calls/jfk.srt"
    assert found.sources == {
        "vocabulary": "defaults.yaml, rule 1",
        "speakers": "sidecar jfk.flac.options.yaml",
        "prompt": "sidecar jfk.flac.options.yaml",
        "language": "transcribe reprocess",
        "diarizer": "run config",
    }


def test_bad_options_end_the_file_with_every_problem_and_no_retry(world: World, speech: bytes):
    key = world.put("ann/jfk.flac", speech)
    world.put("ann/jfk.flac.options.yaml", b"langauge: de\nbeam_size: many\n")
    result = run(world, key, "upload", "options")
    assert not result.success
    file = world.file(key)
    assert (file.status, file.error_code) == (Status.ERROR, ErrorCode.BAD_OPTIONS)
    assert "langauge (sidecar jfk.flac.options.yaml): no such option, did you mean language?" in (file.error_text or "")
    assert "beam_size: many (sidecar jfk.flac.options.yaml): allowed is 1 to 20" in (file.error_text or "")
    run_of_it = world.instance.get_run_by_id(result.run_id)
    assert run_of_it
    assert run_of_it.tags[NO_RETRY_TAG] == "false"

    world.put("ann/jfk.flac.options.yaml", b"language: de\n")
    assert run(world, key, "upload", "options").success, "the corrected sidecar is a new generation"
    assert world.file(key).generation == 2


@pytest.mark.parametrize("content", [b"a: " + b"x" * 70_000, b"\xff\xfe", b"&a [*a]", b"!!python/object:os.system x"])
def test_hostile_sidecars_are_bad_options(world: World, speech: bytes, content: bytes):
    key = world.put("ann/jfk.flac", speech)
    world.put("ann/jfk.flac.options.yaml", content)
    assert not run(world, key, "upload", "options").success
    assert world.file(key).error_code == ErrorCode.BAD_OPTIONS


def test_a_missing_file_of_defaults_is_a_matter_of_configuration(
    world: World, speech: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TRANSCRIBE_OPTIONS_FILE", str(world.home / "missing.yaml"))
    settings.cache_clear()
    key = world.put("ann/jfk.flac", speech)
    assert not run(world, key, "upload", "options").success
    assert world.file(key).error_code == ErrorCode.CONFIGURATION
    assert str(world.home) not in (world.file(key).error_text or "")


def test_who_decided_makes_nothing_downstream_stale(world: World, speech: bytes):
    key = world.put("ann/jfk.flac", speech)
    first = data_version(run(world, key, "upload", "options"))
    assert data_version(run(world, key, "options", config={"language": "en"}, requested=False)) == first
    assert data_version(run(world, key, "options", config={"language": "de"}, requested=False)) != first


def test_the_run_s_own_look_at_sidecars_is_no_news_to_the_next_listing(world: World, speech: bytes):
    key = world.put("ann/jfk.flac", speech)
    register(world)
    (needed,) = backlog.next_requests(world.ledger, 1)
    leases.claim(world.ledger, key, 1, "run", lease_seconds=90, holder_finished=lambda _: True)
    world.put("ann/jfk.srt", SRT)
    (listed,) = [upload for page in world.store.list_uploads("uploads") for upload in page.uploads]
    claim = leases.claim(world.ledger, key, 1, "run", lease_seconds=90, holder_finished=lambda _: True)
    leases.record_sidecars(world.ledger, claim, fingerprint(listed.sidecars or ()))
    register(world)
    assert world.file(key).generation == needed.generation


# --- upload ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def done(world: World, speech: bytes) -> str:
    """A file with a transcript of its bytes and sidecars."""
    key = world.put("ann/jfk.flac", speech)
    world.put("ann/jfk.srt", SRT)
    assert run(world, key, "upload", "options").success
    claim = leases.claim(world.ledger, key, None, "run", lease_seconds=90, holder_finished=lambda _: True)
    transcripts.save(world.ledger, claim, transcript(), artifact_key="x", provenance={})
    leases.complete(world.ledger, claim)
    return key


def did(result: dg.ExecuteInProcessResult) -> list[str]:
    assert result.success
    return [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()]


def test_the_same_bytes_and_sidecars_again_are_nothing_to_do(world: World, done: str, speech: bytes):
    world.put("ann/jfk.flac", b"")
    register(world)
    world.put("ann/jfk.flac", speech)
    assert did(run(world, done, "upload", "options")) == []
    assert world.file(done).status is Status.COMPLETED


@pytest.mark.parametrize("name", ["ann/jfk.flac.options.yaml", "ann/jfk.srt"])
def test_a_new_sidecar_is_something_to_do(world: World, done: str, name: str):
    world.put(name, b"# other\n")
    assert did(run(world, done, "upload", "options")) == ["upload", "options"]


def test_a_request_to_process_again_is_something_to_do(world: World, done: str):
    requests.request_again(world.ledger, [done], {}, actor="test")
    assert did(run(world, done, "upload", "options")) == ["upload", "options"]


# --- audio ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_channels(testdata: Path, tmp_path: Path) -> bytes:
    """A call: one speaker on each channel."""
    made = tmp_path / "call.wav"
    speaker = str(testdata / "en_jfk/jfk.flac")
    layout = "[0:a]aformat=channel_layouts=mono,atrim=end=3[l];[1:a]aformat=channel_layouts=mono,atrim=5:8[r];"
    command = ["ffmpeg", "-v", "error", "-i", speaker, "-i", speaker, "-filter_complex", f"{layout}[l][r]amerge", made]
    subprocess.run(command, check=True)
    return made.read_bytes()


def test_channels_are_kept_where_they_are_speakers(world: World, two_channels: bytes):
    key = world.put("ann/call.wav", two_channels)
    world.put("ann/call.wav.options.yaml", b"channels_are_speakers: true\n")
    assert run(world, key, "upload", "options", "audio").success
    found: Audio = artifact(world, key, "audio", Audio)
    folder = f"artifacts/{key}/{content_id(world.file(key).sha256 or '')}/g0001"
    assert found.object_key == f"{folder}/audio.flac"
    assert [(each.label, each.object_key) for each in found.channels] == [
        ("left", f"{folder}/channel1.flac"),
        ("right", f"{folder}/channel2.flac"),
    ]
    assert all(len(world.store.get_bytes(each.object_key)) == each.size_bytes > 0 for each in found.channels)


def test_one_channel_alone_is_no_speaker(world: World, speech: bytes):
    key = world.put("ann/jfk.flac", speech)
    world.put("ann/jfk.flac.options.yaml", b"channels_are_speakers: true\n")
    assert run(world, key, "upload", "options", "audio").success
    assert artifact(world, key, "audio", Audio).channels == ()
