"""`transcribe intake`: whether runs are requested for waiting files; pausing that, and going on."""

from dataclasses import asdict

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import open_ledger
from transcribe_pipeline.cli.output import plain
from transcribe_pipeline.cli.requests import actor
from transcribe_pipeline.ledger import intake
from transcribe_pipeline.settings import load_settings


def status(*, as_json: bool) -> None:
    found = intake.status(open_ledger(load_settings()))
    if as_json:
        output.print_json({"paused": found is not None} | (asdict(found) if found else {}))
    else:
        output.stdout().print(plain(str(found)) if found else "Intake is open: waiting files are taken in turn.")


def pause(reason: str) -> None:
    is_new = intake.pause(open_ledger(load_settings()), reason, actor())
    output.note("Intake is paused; 'transcribe intake resume' ends that." if is_new else "Intake was paused already.")


def resume() -> None:
    files = intake.resume(open_ledger(load_settings()), actor())
    if files is None:
        output.note("Intake was not paused.")
    else:
        output.note(
            f"Intake goes on. {files} files that failed meanwhile are tried again." if files else "Intake goes on."
        )
