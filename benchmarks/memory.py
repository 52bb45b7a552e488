"""Peak resident memory of every stage against the length of the recording.

    python -m benchmarks.memory RECORDING [--minutes 10 60 240 600] [--option diarizer=none ...]

Long recordings are made by repeating RECORDING with ffmpeg. Each length runs through the job `process_media` in a
process and a home of its own; a stage's peak includes the models that earlier stages left in memory. Prints a row for
each length, in MiB, and by how much the longest exceeds one hour.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transcribe_pipeline.evaluation.candidates import Outcome, Plan
from transcribe_pipeline.options import parse_assignments
from transcribe_pipeline.settings import load_settings

_MIB = 2**20
_WHOLE = "whole run"


def repeated(recording: Path, minutes: float, folder: Path) -> Path:
    """16 kHz mono FLAC, `minutes` long."""
    target = folder / f"{minutes:g}-minutes.flac"
    command = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(recording), "-t", str(minutes * 60)]
    subprocess.run([*command, "-map", "0:a:0", "-ac", "1", "-ar", "16000", str(target)], check=True)
    return target


def peaks(recording: Path, options: dict[str, Any], home: Path) -> dict[str, float]:
    """MiB by stage, and of the whole."""
    (home / "dagster").mkdir(parents=True)
    models = load_settings().home.resolve() / "models"
    models.mkdir(parents=True, exist_ok=True)
    (home / "models").symlink_to(models)
    environment = os.environ | {
        "TRANSCRIBE_HOME": str(home),
        "TRANSCRIBE_STORE_URL": "",
        "TRANSCRIBE_DATABASE_URL": "",
        "TRANSCRIBE_SETTLE_SECONDS": "0",
        "DAGSTER_HOME": str(home / "dagster"),
    }
    plan = Plan(recordings={"uploads/benchmark/recording.flac": recording}, options=options)
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--process", str(home / "peaks.json")],
        env=environment,
        input=plan.model_dump_json(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    outcome = Outcome.model_validate_json(process.stdout)
    assert outcome.error is None, outcome.error
    measured: dict[str, int] = json.loads((home / "peaks.json").read_text())
    return {stage: peak / _MIB for stage, peak in (measured | {_WHOLE: max(measured.values())}).items()}


def process(report: Path) -> None:
    """The pipeline's process, with every stage's peak counted apart."""
    from transcribe_pipeline import corpus
    from transcribe_pipeline.stage import Stage

    measured: dict[str, int] = {}
    enter, leave = Stage.__enter__, Stage.__exit__

    def entered(stage: Stage) -> Stage:
        corpus.restart_peak()
        return enter(stage)

    def left(stage: Stage, *error: Any) -> None:
        leave(stage, *error)
        measured[stage.name] = corpus.peak_bytes()

    Stage.__enter__, Stage.__exit__ = entered, left  # type: ignore[method-assign,assignment]
    corpus.main()
    report.write_text(json.dumps(measured))


def measure(recording: Path, lengths: Sequence[float], options: dict[str, Any]) -> None:
    rows: dict[float, dict[str, float]] = {}
    for minutes in lengths:
        with tempfile.TemporaryDirectory() as folder:
            rows[minutes] = peaks(repeated(recording, minutes, Path(folder)), options, Path(folder) / "home")
        if len(rows) == 1:
            print(f"| minutes | {' | '.join(rows[minutes])} |\n|{' ---: |' * (len(rows[minutes]) + 1)}")
        print(f"| {minutes:g} | {' | '.join(f'{peak:,.0f}' for peak in rows[minutes].values())} |", flush=True)
    if 60 in rows and max(rows) > 60:
        growth = rows[max(rows)][_WHOLE] / rows[60][_WHOLE] - 1
        print(f"\n{max(rows):g} minutes against 60: {growth:+.0%}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("recording", nargs="?", type=Path)
    arguments.add_argument("--minutes", nargs="+", type=float, default=[10, 60, 240, 600])
    arguments.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    arguments.add_argument("--process", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.process:
        process(chosen.process)
    elif chosen.recording:
        measure(chosen.recording, sorted(chosen.minutes), parse_assignments(chosen.option))
    else:
        arguments.error("a recording is needed")


if __name__ == "__main__":
    main()
