"""A voice named in one recording is named in the owner's others, by a backfill of Dagster's own daemon."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import soundfile
from dagster._core.execution.backfill import BulkActionStatus

from tests.e2e.deployment import ROOT, TERMINAL, Home, wait_for
from transcribe_pipeline.ledger import voices
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Status

MORNING, EVENING = (0.3, 23.4), (145.2, 163.2)
"""Seconds of syn_libri_4spk in which LibriSpeech's readers 1998 and 2033 talk, in either order."""


@pytest.fixture(scope="module")
def finished(deployment: Home, testdata: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileView]:
    """Two recordings of the same two voices with ann, the later one with bob as well."""
    folder = tmp_path_factory.mktemp("clips")
    samples, rate = soundfile.read(testdata / "syn_libri_4spk" / "syn_libri_4spk.flac")
    for name, (start, end) in {"morning.wav": MORNING, "evening.wav": EVENING}.items():
        soundfile.write(folder / name, samples[int(start * rate) : int(end * rate)], rate)
    dropped = [("ann", "morning.wav"), ("ann", "evening.wav"), ("bob", "evening.wav")]
    keys = {f"{owner}/{name}": deployment.drop(folder / name, owner) for owner, name in dropped}
    found = {
        name: deployment.wait(key, lambda seen: seen.status in TERMINAL, seconds=600) for name, key in keys.items()
    }
    assert {file.status for file in found.values()} == {Status.COMPLETED}
    for file in found.values():
        deployment.runs(file)
    return found


def subtitles(deployment: Home, file: FileView) -> str:
    return (deployment.results(file) / "transcript.srt").read_text()


def confirm(deployment: Home, file: FileView, label: str, name: str) -> str:
    """On the command line; gives the id of the backfill that it launched for two files."""
    command = [sys.executable, "-m", "transcribe_pipeline.cli", "voices", "confirm", file.partition_key]
    command += [label, name, "--json"]
    done = subprocess.run(command, env=deployment.environment, cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["files"] == 2
    return str(told["backfill"])


def test_names_reach_the_owners_other_recordings_and_nobody_elses(
    deployment: Home, finished: dict[str, FileView]
) -> None:
    """Two decisions at once: their backfills want the same files, one after the other."""
    morning, evening, bobs = finished["ann/morning.wav"], finished["ann/evening.wav"], finished["bob/evening.wav"]
    assert "Ann Lee" not in subtitles(deployment, evening)
    backfills = [
        confirm(deployment, morning, "SPEAKER_00", "Ann Lee"),
        confirm(deployment, morning, "SPEAKER_01", "Bo Ek"),
    ]
    with deployment.instance as instance:

        def statuses() -> list[BulkActionStatus | None]:
            found = [instance.get_backfill(backfill_id) for backfill_id in backfills]
            return [backfill and backfill.status for backfill in found]

        wait_for(lambda: statuses() == [BulkActionStatus.COMPLETED_SUCCESS] * 2, 400, lambda: f"{statuses()}")
        for backfill_id in backfills:
            runs = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill_id}))
            assert sorted(run.tags["dagster/partition"] for run in runs) == sorted(
                [morning.partition_key, evening.partition_key]
            )
            assert {run.tags["transcribe/owner"] for run in runs} == {"ann"}

    said = {
        name: voices.last_said(deployment.ledger, file.owner, file.current_transcript_id or "")
        for name, file in finished.items()
    }
    print({name: [(s.label, s.band, s.similarity) for s in each.speakers] for name, each in said.items()})
    assert said["ann/morning.wav"].names == {"SPEAKER_00": "Ann Lee", "SPEAKER_01": "Bo Ek"}
    assert said["ann/evening.wav"].names == {"SPEAKER_01": "Ann Lee", "SPEAKER_00": "Bo Ek"}
    for file in (morning, evening):
        assert all(name in subtitles(deployment, file) for name in ("Ann Lee", "Bo Ek"))
        now = deployment.file(file.object_key)
        assert now
        assert (now.status, now.generation, now.current_transcript_id, now.degraded) == (
            Status.COMPLETED,
            file.generation,
            file.current_transcript_id,
            [],
        )
    assert "Ann Lee" not in subtitles(deployment, bobs)
    assert said["bob/evening.wav"].names == {}
