"""Finished windows in a real store: taken up by the next attempt, by no other work, and gone when the stage is done."""

from pathlib import Path

import pytest

from transcribe_pipeline.artifacts import Audio, Options, RecognisedWindow
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.resources.artifact_store import ArtifactStore
from transcribe_pipeline.resources.checkpoints import WindowCheckpoints
from transcribe_pipeline.resources.object_store import open_store

WINDOW = RecognisedWindow(
    start=598.1234375, end=1_190.5, language="en", language_probability=0.98, speech=((598.2, 600.0),), segments=()
)


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(open_store(tmp_path.as_uri()), "artifacts")


def checkpoints(artifacts: ArtifactStore, *, sha256: str = "ab" * 32, **options) -> WindowCheckpoints:
    audio = Audio(
        object_key="a.flac",
        size_bytes=1,
        sha256=sha256,
        seconds=3_600.0,
        stream_index=0,
        track_rule="only track",
        downmix="mono",
    )
    return WindowCheckpoints(artifacts, "a-wav-0123", "abababab", audio, Options(**options), lambda: None)


def test_another_attempt_takes_up_what_is_there(artifacts: ArtifactStore):
    checkpoints(artifacts).save(WINDOW)
    again = checkpoints(artifacts)
    assert again.load(WINDOW.start) == WINDOW
    assert again.load(0.0) is None
    assert again.resumed_windows == 1


@pytest.mark.parametrize("other", [{"model": "small"}, {"language": "de"}, {"vocabulary": ("Acme",)}, {"sha256": "cd"}])
def test_other_work_does_not(artifacts: ArtifactStore, other):
    checkpoints(artifacts).save(WINDOW)
    assert checkpoints(artifacts, **other).load(WINDOW.start) is None


def test_who_decided_does_not_matter(artifacts: ArtifactStore):
    checkpoints(artifacts).save(WINDOW)
    assert checkpoints(artifacts, sources={"model": "sidecar"}, diarizer="none").load(WINDOW.start) == WINDOW


def test_channels_are_kept_apart(artifacts: ArtifactStore):
    checkpoints(artifacts).of_channel("left").save(WINDOW)
    assert checkpoints(artifacts).of_channel("right").load(WINDOW.start) is None
    assert checkpoints(artifacts).of_channel("left").load(WINDOW.start) == WINDOW


def test_the_rung_is_remembered(artifacts: ArtifactStore):
    assert checkpoints(artifacts).rung == 0
    checkpoints(artifacts).remember_rung(3)
    assert checkpoints(artifacts).rung == 3


def test_nothing_is_left_when_the_stage_is_done(artifacts: ArtifactStore):
    checkpoints(artifacts).save(WINDOW)
    artifacts.discard_partial("a-wav-0123", "abababab", "transcription")
    assert checkpoints(artifacts).load(WINDOW.start) is None
    assert not list(artifacts.store.list_keys("artifacts"))


def test_a_run_that_may_not_write_keeps_nothing(artifacts: ArtifactStore):
    def refuse() -> None:
        raise PipelineError(ErrorCode.LEASE_LOST)

    lost = checkpoints(artifacts)
    lost.before_write = refuse
    with pytest.raises(PipelineError, match="LEASE_LOST"):
        lost.save(WINDOW)
    assert checkpoints(artifacts).load(WINDOW.start) is None
