"""A file that the whole pipeline has made, forgotten while the daemon goes on: not a byte of it is left."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.deployment import ROOT, TERMINAL, Home
from tests.resources.installations import traces
from transcribe_pipeline.ledger.models import Status

PLANTED = "Quuxify"
"""In the options, the name of a speaker, and the name of the file; nowhere else on a machine."""


def transcribe(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "transcribe_pipeline.cli", *words],
        cwd=ROOT,
        env=home.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_not_a_byte_is_left(deployment: Home, two_speakers: Path):
    options = deployment.folder / "store/uploads/anne/quuxify.wav.options.yaml"
    options.parent.mkdir(parents=True)
    options.write_text(f"vocabulary: [{PLANTED}]\n")
    annes = deployment.drop(two_speakers, "anne", "quuxify.wav")
    bobs = deployment.drop(two_speakers, "bob", "same-bytes.wav")
    hers, his = (deployment.wait(key, lambda file: file.status in TERMINAL, 600) for key in (annes, bobs))
    assert {hers.status, his.status} == {Status.COMPLETED}
    deployment.runs(hers)
    named = transcribe(
        deployment,
        "voices",
        "confirm",
        "quuxify.wav",
        "SPEAKER_00",
        f"{PLANTED} Lee",
        "--owner",
        "anne",
        "--no-relabel",
    )
    assert named.returncode == 0, named.stderr

    places = {place.split("/")[0] for place in traces(deployment.folder, PLANTED)}
    assert places >= {"store", "dagster"}
    spoken = "New Jersey"
    assert traces(deployment.dagster_home, spoken)
    his_results = {path: path.read_bytes() for path in deployment.results(his).iterdir()}

    shown = transcribe(deployment, "forget", "quuxify.wav", "--json")
    assert json.loads(shown.stdout)["counts"]["runs"] == 1
    forgotten = transcribe(deployment, "forget", "quuxify.wav", "--apply", "--yes", "--json")

    assert forgotten.returncode == 0, forgotten.stderr
    assert json.loads(forgotten.stdout)["left"] == {}
    # What the daemon of this test printed is a file of the test.
    left = [place for place in traces(deployment.folder, PLANTED, hers.partition_key) if place != "daemon.log"]
    assert not left
    assert {path: path.read_bytes() for path in deployment.results(his).iterdir()} == his_results
    assert [run.status.value for run in deployment.runs(his)] == ["SUCCESS"]
    again = deployment.drop(two_speakers, "anne", "quuxify.wav")
    assert deployment.wait(again, lambda file: file.status is not Status.PENDING).generation == 1
