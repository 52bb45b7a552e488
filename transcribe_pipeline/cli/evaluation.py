"""`transcribe evaluate`: what setups of the pipeline are worth on recordings whose truth is known."""

from collections.abc import Sequence
from pathlib import Path

import typer

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.evaluation import report
from transcribe_pipeline.evaluation.candidates import Candidate
from transcribe_pipeline.evaluation.comparison import Measured, compare
from transcribe_pipeline.evaluation.references import find_references
from transcribe_pipeline.settings import load_settings


def evaluate(
    folder: Path, *, manifest: Path | None, candidates: Sequence[str], destination: Path | None, as_json: bool
) -> None:
    """Tables on stdout, progress on stderr. Exits with PARTIAL if recordings failed."""
    configured = load_settings()
    chosen = [Candidate.parse(text) for text in candidates] or [Candidate("present settings")]
    references = find_references(folder, manifest)
    done = 0

    def follow(candidate: Candidate, measured: Measured) -> None:
        nonlocal done
        done += 1
        fate = measured.error or f"{measured.seconds:.1f} s"
        place = f"{done}/{len(references) * len(chosen)}"
        output.note(plain(f"{place}  {candidate.name}  {measured.reference.name}: {fate}"))

    results = compare(references, chosen, configured, follow)
    if destination:
        destination.mkdir(parents=True, exist_ok=True)
        for name, content in report.files(results).items():
            (destination / name).write_bytes(content)
    if as_json:
        output.print_json(report.as_json(results))
    else:
        typer.echo(f"{report.summary(results)}\n\n{report.details(results)}")
    if any(measured.error for result in results for measured in result.recordings):
        raise typer.Exit(ExitCode.PARTIAL)
