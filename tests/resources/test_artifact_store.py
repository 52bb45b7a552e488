import pickle
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import zstandard

from transcribe_pipeline.artifacts import SpeakerTurn
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.resources import artifact_store
from transcribe_pipeline.resources.artifact_store import ArtifactIOManager, ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.object_store import ObjectStore

KEY = "meeting-mp3-0123456789ab"
CONTENT = content_id("a" * 64)


def turn(speaker: str) -> SpeakerTurn:
    return SpeakerTurn(start=0, end=1.5, speaker=speaker)


def version(generation: int, content: str = CONTENT) -> FileVersion:
    return FileVersion(content, generation)


@pytest.fixture
def artifacts(store: ObjectStore) -> ArtifactStore:
    return ArtifactStore(store, "artifacts")


def test_what_is_saved_is_loaded(artifacts: ArtifactStore):
    key, size_bytes = artifacts.save(KEY, version(1), "diarization", turn("Zoë\n\u2028"))
    assert key == f"artifacts/{KEY}/aaaaaaaaaaaaaaaa/g0001/diarization.json.zst"
    assert size_bytes == len(artifacts.store.get_bytes(key))
    assert artifacts.load(KEY, version(1), "diarization", SpeakerTurn) == turn("Zoë\n\u2028")


def test_a_generation_inherits_what_earlier_ones_made_of_the_same_bytes(artifacts: ArtifactStore):
    for generation in (2, 9, 10_000):
        artifacts.save(KEY, version(generation), "diarization", turn(f"of {generation}"))
    artifacts.save(KEY, version(5, content_id("b" * 64)), "diarization", turn("of other bytes"))

    def speaker(generation: int) -> str:
        return artifacts.load(KEY, version(generation), "diarization", SpeakerTurn).speaker

    assert [speaker(g) for g in (2, 8, 9, 9_999, 10_000, 10_001)] == [
        *("of 2", "of 2", "of 9", "of 9", "of 10000", "of 10000")
    ]
    assert artifacts.find(KEY, version(1), "diarization") is None, "nothing comes from the future"


def missing(artifacts: ArtifactStore) -> PipelineError:
    with pytest.raises(PipelineError) as error:
        artifacts.load(KEY, version(1), "diarization", SpeakerTurn)
    assert error.value.code == ErrorCode.ARTIFACT_MISSING
    assert "diarization" in error.value.detail
    return error.value


def test_a_missing_artifact_names_its_stage(artifacts: ArtifactStore):
    artifacts.save(KEY, version(1), "x-diarization", turn("A"))
    missing(artifacts)


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("planted-pickle-ran"),))


@pytest.mark.parametrize(
    "planted",
    [
        pickle.dumps(Exploit()),
        zstandard.compress(pickle.dumps(Exploit())),
        zstandard.compress(b'{"start": 0, "end": 1'),
        zstandard.compress(b'{"start": 0, "end": 1, "speaker": "A", "extra": 1}'),
        zstandard.compress(turn("A").model_dump_json().encode())[:-3],
        b"",
    ],
    ids=["pickle", "compressed pickle", "cut JSON", "other model", "cut frame", "empty"],
)
def test_what_is_not_an_artifact_is_damaged_and_never_unpickled(
    artifacts: ArtifactStore, planted: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    artifacts.store.put_bytes(artifacts.key(KEY, version(1), "diarization"), planted)
    assert "damaged" in missing(artifacts).detail
    assert not Path("planted-pickle-ran").exists()


def test_a_flipped_bit_is_noticed(artifacts: ArtifactStore):
    key, _ = artifacts.save(KEY, version(1), "diarization", turn("A" * 50))
    data = bytearray(artifacts.store.get_bytes(key))
    data[-1] ^= 1
    artifacts.store.put_bytes(key, bytes(data))
    assert "damaged" in missing(artifacts).detail


def test_a_decompression_bomb_is_not_unpacked(artifacts: ArtifactStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(artifact_store, "_MAX_JSON_BYTES", 10_000_000)
    bomb = zstandard.compress(b" " * 200_000_000)
    assert len(bomb) < 20_000
    artifacts.store.put_bytes(artifacts.key(KEY, version(1), "diarization"), bomb)
    assert "damaged" in missing(artifacts).detail


# --- through Dagster --------------------------------------------------------------------------------------------------

files = dg.DynamicPartitionsDefinition(name="files")


@dg.asset(partitions_def=files)
def diarization() -> SpeakerTurn:
    return turn("A")


@dg.asset(partitions_def=files)
def transcript(diarization: SpeakerTurn) -> SpeakerTurn:
    return turn(diarization.speaker + "B")


@dg.asset(partitions_def=files)
def plain_value() -> dict[str, str]:
    return {"not": "a model"}


@dg.asset(partitions_def=files)
def untyped_reader(diarization) -> SpeakerTurn:
    return diarization


def run(
    artifacts: ArtifactStore,
    *assets: dg.AssetsDefinition,
    generation: int = 1,
    before_write: artifact_store.WriteHook = lambda context: None,
    after_write: artifact_store.WriteHook = lambda context: None,
    selection: list[dg.AssetsDefinition] | None = None,
) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("files", [KEY])
        manager = ArtifactIOManager(artifacts, lambda context: version(generation), before_write, after_write)
        return dg.materialize(
            assets,
            instance=instance,
            partition_key=KEY,
            resources={"io_manager": manager},
            selection=selection,
            raise_on_error=True,
        )


def test_assets_pass_typed_values_and_show_where_they_lie(artifacts: ArtifactStore):
    result = run(artifacts, diarization, transcript)
    key = artifacts.key(KEY, version(1), "transcript")
    assert artifacts.load(KEY, version(1), "transcript", SpeakerTurn).speaker == "AB"
    (materialization,) = result.asset_materializations_for_node("transcript")
    assert materialization.metadata["artifact_key"].value == key
    assert materialization.metadata["artifact_bytes"].value == len(artifacts.store.get_bytes(key))
    assert materialization.metadata["dagster/uri"].value == artifacts.store.url(key)


def test_a_later_generation_redoes_one_stage_from_what_is_there(artifacts: ArtifactStore):
    run(artifacts, diarization, transcript)
    run(artifacts, diarization, transcript, generation=3, selection=[transcript])
    assert artifacts.find(KEY, version(3), "diarization") == artifacts.key(KEY, version(1), "diarization")
    assert artifacts.find(KEY, version(3), "transcript") == artifacts.key(KEY, version(3), "transcript")


def test_a_run_that_may_not_write_writes_nothing(artifacts: ArtifactStore):
    def lease_lost(context: dg.OutputContext) -> None:
        raise PipelineError(ErrorCode.LEASE_LOST)

    with pytest.raises(PipelineError):
        run(artifacts, diarization, before_write=lease_lost, after_write=lambda context: pytest.fail("nothing written"))
    assert list(artifacts.store.list_keys("artifacts")) == []


def test_the_run_learns_that_a_value_is_safe(artifacts: ArtifactStore):
    def must_be_stored(context: dg.OutputContext) -> None:
        safe.append(artifacts.load(KEY, version(1), context.asset_key.to_user_string(), SpeakerTurn).speaker)

    safe: list[str] = []
    run(artifacts, diarization, transcript, after_write=must_be_stored)
    assert safe == ["A", "AB"]


def test_only_models_are_stored(artifacts: ArtifactStore):
    with pytest.raises(TypeError, match="plain_value returned dict"):
        run(artifacts, plain_value)


def test_an_input_must_say_its_type(artifacts: ArtifactStore):
    with pytest.raises(TypeError, match="annotated"):
        run(artifacts, diarization, untyped_reader)
