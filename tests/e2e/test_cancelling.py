"""Cancelled while at work and while queued, then redriven: with Dagster's daemon, its queue and its processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import soundfile

from tests.e2e.deployment import Home, daemon, wait_for
from transcribe_pipeline.ledger import operations, timings, transcripts
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Outcome, Status
from transcribe_pipeline.operations.requests import cancel, redrive
from transcribe_pipeline.resources.artifact_store import ArtifactStore
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.stage import STAGES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("home"), TRANSCRIBE_DIARIZER="none", TRANSCRIBE_WINDOW_SECONDS="30")
    with daemon(made):
        yield made
    made.ledger.dispose()


def statuses(home: Home, file: FileView) -> list[dg.DagsterRunStatus]:
    return [run.status for run in home.runs(file)]


def test_cancelled_at_work_and_in_the_queue_then_redriven(home: Home, two_speakers: Path, tmp_path: Path) -> None:
    """Dagster starts two runs at a time: one is at work, the next waits for the speech pool, the third is queued."""
    long, short = tmp_path / "long.wav", tmp_path / "short.wav"
    samples, rate = soundfile.read(two_speakers, dtype="int16")
    soundfile.write(long, np.tile(samples, 4), rate)
    soundfile.write(short, samples[: 8 * rate], rate)
    at_work = home.drop(long, "ann", "at work.wav")
    first = home.wait(at_work, lambda file: file.stage == "transcription" and file.status is Status.PROCESSING)
    other = home.drop(short, "ann", "other.wav")
    home.wait(other, lambda file: file.status is Status.PROCESSING)
    in_queue = home.drop(short, "bob", "in the queue.wav")
    third = home.wait(in_queue, lambda file: file.status is Status.QUEUED)

    def waits_in_dagster() -> bool:
        tags = {"dagster/partition": third.partition_key}
        return [run.status for run in instance.get_runs(dg.RunsFilter(tags=tags))] == [dg.DagsterRunStatus.QUEUED]

    worker = home.process_of(first)
    with home.instance as instance:
        wait_for(waits_in_dagster, 60, lambda: f"{home.file(in_queue)}")
        keys = [first.partition_key, third.partition_key]
        assert [a.action for a in cancel(home.ledger, instance, keys, actor="test")] == ["cancelling", "cancelled"]
    ended = home.wait(at_work, lambda file: file.status is Status.CANCELLED, 60)
    assert (ended.error_code, ended.current_transcript_id) == ("CANCELLED", None)
    assert statuses(home, first) == statuses(home, third) == [dg.DagsterRunStatus.CANCELED]
    wait_for(lambda: not worker.is_running(), 60, lambda: f"{worker}")
    wait_for(lambda: len(list((home.folder / "scratch").glob("*/lock"))) <= 1, 60, lambda: "scratch is left behind")

    # From the command line, as people do.
    command = [sys.executable, "-m", "transcribe_pipeline.cli", "redrive", "--owner", "ann", "--status", "cancelled"]
    done = subprocess.run(command, env=home.environment, capture_output=True, text=True, check=False)
    assert done.stdout == f"{first.partition_key}  redriven from transcription\n", done.stderr
    artifacts = ArtifactStore(open_store((home.folder / "store").as_uri()), "artifacts")
    (answer,) = redrive(home.ledger, artifacts, [third.partition_key], actor="test")
    assert answer.action == "redriven from upload"

    for object_key in (at_work, in_queue, other):
        file = home.wait(object_key, lambda file: file.status is Status.COMPLETED, 600)
        assert (file.error_code, file.degraded) == (None, [])
        assert len(transcripts.versions(home.ledger, file.partition_key)) == 1
    again = home.file(at_work)
    assert again
    assert statuses(home, again) == [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS]
    succeeded = [t.stage for t in timings.of_file(home.ledger, again.id) if t.outcome is Outcome.SUCCEEDED]
    assert sorted(succeeded) == sorted(STAGES), "each stage once: what was made before the cancel is used again"
    assert [entry.operation for entry in operations.of_file(home.ledger, again.id)] == ["cancel", "redrive"]
    wait_for(lambda: not home.leftovers(), 20, lambda: f"left behind: {home.leftovers()}")
