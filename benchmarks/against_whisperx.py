"""How long a recording takes here, from RUN_START to RUN_SUCCESS with speakers and all stages, against the whisperx
command line with the same model, which does no alignment and no speakers.

    python -m benchmarks.against_whisperx [recording] [--rounds 3]

Both are measured in turns in one run and in fresh processes; the best of each counts. Default: the two-speaker sample.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg

from transcribe_pipeline.ledger import files, timings
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.speech import bundled

ROOT = Path(__file__).parents[1]
BINARIES = Path(sys.executable).parent


def sample() -> Path:
    spec = importlib.util.find_spec("pyannote.audio")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "sample" / "sample.wav"


def pipeline(recording: Path, home: Path) -> tuple[float, dict[str, float]]:
    """(seconds from RUN_START to RUN_SUCCESS, seconds per stage) of one run in a new process."""
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "dagster.yaml", dagster_home)
    uploads = home / "store" / "uploads" / "benchmark"
    uploads.mkdir(parents=True)
    shutil.copy(recording, uploads)
    ledger = connect(Settings(home=home).resolved_database_url.get_secret_value())
    migrate(ledger)
    environment = {**os.environ, "TRANSCRIBE_HOME": str(home), "DAGSTER_HOME": str(dagster_home)}
    subprocess.run(
        [sys.executable, "-m", "benchmarks.one_run"], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        (record,) = instance.get_run_records()
        assert record.dagster_run.status is dg.DagsterRunStatus.SUCCESS
        assert record.start_time
        assert record.end_time
        seconds = record.end_time - record.start_time
    (file,) = files.list_files(ledger)
    return seconds, {timing.stage: timing.seconds for timing in timings.of_file(ledger, file.id)}


def whisperx(recording: Path, model: Path, output: Path) -> float:
    options = ["--compute_type", "int8", "--no_align", "--threads", "2", "--device", "cpu"]
    started = time.monotonic()
    subprocess.run(
        [str(BINARIES / "whisperx"), str(recording), "--model", str(model), *options, "--output_dir", str(output)],
        check=True,
        capture_output=True,
    )
    return time.monotonic() - started


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("recording", nargs="?", type=Path, default=sample())
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = bundled.whisper_base(Path(folder) / "models")
        assert model
        ours: list[tuple[float, dict[str, float]]] = []
        theirs: list[float] = []
        for turn in range(chosen.rounds):
            theirs.append(whisperx(chosen.recording, model, Path(folder) / "whisperx"))
            home = Path(folder) / f"home-{turn}"
            shutil.copytree(Path(folder) / "models", home / "models")
            ours.append(pipeline(chosen.recording, home))
            print(f"round {turn + 1}: pipeline {ours[-1][0]:.1f} s, whisperx {theirs[-1]:.1f} s", flush=True)
    seconds, stages = min(ours, key=lambda run: run[0])
    engines = stages["transcription"] + stages["diarization"]
    print("\nwhere the time goes:")
    for stage, spent in stages.items():
        print(f"  {stage:18} {spent:6.2f} s")
    print(f"  {'between stages':18} {seconds - sum(stages.values()):6.2f} s")
    print(f"overhead beyond transcription and diarization: {seconds - engines:.2f} s")
    print(f"ratio (pipeline with speakers / whisperx without): {seconds / min(theirs):.2f}")


if __name__ == "__main__":
    main()
