"""How long recordings take here, from RUN_START to RUN_SUCCESS through all stages but insight, against the whisperx
command line with the same model, which does no alignment and no speakers.

    python -m benchmarks.against_whisperx [recording...] [--rounds 3] [--no-speakers]

Both are measured in turns in one run and in fresh processes; the best of each counts. Default: the two-speaker sample.
`--no-speakers` switches diarization off, so that both do about the same work.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from transcribe_pipeline.cli.demonstration import sample_recording
from transcribe_pipeline.evaluation.candidates import Candidate, Outcome, outcomes
from transcribe_pipeline.settings import Settings, load_settings
from transcribe_pipeline.speech import bundled

BINARIES = Path(sys.executable).parent


def pipeline(recording: Path, configured: Settings, *, speakers: bool) -> Outcome:
    """One run in a new process and a new home."""
    candidate = Candidate("pipeline", {} if speakers else {"diarizer": "none"})
    (outcome,) = outcomes(candidate, {recording.name: recording}, configured)
    assert outcome.error is None, outcome.error
    return outcome


def whisperx(recording: Path, model: Path, output: Path) -> float:
    options = ["--compute_type", "int8", "--no_align", "--threads", "2", "--device", "cpu"]
    started = time.monotonic()
    subprocess.run(
        [str(BINARIES / "whisperx"), str(recording), "--model", str(model), *options, "--output_dir", str(output)],
        check=True,
        capture_output=True,
    )
    return time.monotonic() - started


def compare(recording: Path, configured: Settings, model: Path, *, rounds: int, speakers: bool) -> None:
    ours: list[Outcome] = []
    theirs: list[float] = []
    for turn in range(rounds):
        with tempfile.TemporaryDirectory() as output:
            theirs.append(whisperx(recording, model, Path(output)))
        ours.append(pipeline(recording, configured, speakers=speakers))
        print(f"round {turn + 1}: pipeline {ours[-1].seconds:.1f} s, whisperx {theirs[-1]:.1f} s", flush=True)
    best = min(ours, key=lambda outcome: outcome.seconds)
    print(f"\n{recording.name}: where the time goes:")
    for stage, spent in best.stages.items():
        print(f"  {stage:18} {spent:6.2f} s")
    print(f"  {'between stages':18} {best.seconds - sum(best.stages.values()):6.2f} s")
    engines = best.stages["transcription"] + (best.stages["diarization"] if speakers else 0.0)
    print(f"beyond the speech models: {best.seconds - engines:.2f} s")
    kind = "with speakers" if speakers else "without speakers"
    print(f"ratio (pipeline {kind} / whisperx without): {best.seconds / min(theirs):.2f}\n", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("recordings", nargs="*", type=Path)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--no-speakers", action="store_true")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        configured = load_settings().model_copy(update={"home": Path(folder)})
        model = bundled.whisper_base(configured.home / "models")
        assert model
        for recording in chosen.recordings or [sample_recording()]:
            compare(recording, configured, model, rounds=chosen.rounds, speakers=not chosen.no_speakers)


if __name__ == "__main__":
    main()
