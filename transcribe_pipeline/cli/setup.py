"""Setting up and looking after an installation: `doctor`, `migrate`, `config`."""

import os
import time
from dataclasses import asdict
from typing import Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from rich.text import Text

from transcribe_pipeline import doctor as examination
from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.output import ExitCode
from transcribe_pipeline.doctor import Finding
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.settings import Settings, load_settings

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "failed": ("FAILED", "bold red")}


# --- doctor ---------------------------------------------------------------------------------------------------------


def doctor(*, as_json: bool, warm: bool) -> None:
    """Exits with FAILED if anything failed; a warning is no failure, since recordings can be transcribed."""
    configured = load_settings()
    findings = []
    for finding in examination.examine(configured):
        findings.append(finding)
        if not as_json:
            _print_finding(finding)
    if as_json:
        output.print_json([asdict(finding) for finding in findings])
    if any(finding.status == "failed" for finding in findings):
        raise typer.Exit(ExitCode.FAILED)
    if warm:
        _warm(configured)


def _print_finding(finding: Finding) -> None:
    mark, style = _MARKS[finding.status]
    line = Text(f"{mark:<8}", style=style)
    line.append(f"{finding.name:<12} {finding.facts}", style="not bold default")
    console = output.stdout()
    console.print(line)
    if finding.remedy:
        console.print(Text(f"{'':<21}{finding.remedy}", style="dim"))


def _warm(configured: Settings) -> None:
    """Load both models once. Raises MODEL_UNAVAILABLE."""
    from transcribe_pipeline.options import resolve
    from transcribe_pipeline.resources.speech_models import SpeechModels

    models = SpeechModels(configured)
    asked = resolve(configured, [])
    for name, load in (
        ("recogniser", lambda: models.recogniser(asked, 0.0).engine),
        ("aligner", lambda: models.aligner(asked, "en")),
        ("diarizer", lambda: models.diarizer(asked)),
    ):
        output.note(f"Loading the {name} (the first time on a machine compiles for up to 45 s) ...")
        started = time.monotonic()
        load()
        output.note(f"The {name} is ready after {time.monotonic() - started:.1f} s.")


# --- migrate --------------------------------------------------------------------------------------------------------


def migrate() -> None:
    migrate_ledger(load_settings())
    output.note("The ledger has this program's schema.")


def migrate_ledger(configured: Settings) -> None:
    """Raises DATABASE_UNAVAILABLE at once rather than after a minute of retries; DATABASE_NEWER."""
    from transcribe_pipeline.ledger import database

    engine = database.connect(configured.resolved_database_url.get_secret_value())
    examination.require_answer(engine)
    database.migrate(engine)


# --- config ---------------------------------------------------------------------------------------------------------


def config(*, as_json: bool, markdown: bool) -> None:
    if markdown:
        typer.echo(_markdown())
        return
    settings = _described(_loaded())
    if as_json:
        output.print_json(settings)
        return
    rows = output.table("SETTING", "VALUE", "DEFAULT", "FROM")
    for setting in settings:
        rows.add_row(*(output.plain(setting[column]) for column in ("name", "value", "default", "source")))
    output.stdout().print(rows)


def _loaded() -> Settings:
    """The settings; if any are wrong, the command ends with all of them, a line each."""
    try:
        return load_settings()
    except PipelineError as error:
        for problem in error.detail.split("; "):
            output.note(problem)
        raise typer.Exit(ExitCode.USAGE) from None


def _described(configured: Settings) -> list[dict[str, str]]:
    return [
        {
            "name": _variable(name),
            "value": str(getattr(configured, name)),  # a secret's text is asterisks
            "default": str(field.default),
            "source": _source(configured, name),
            "description": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]


def _variable(name: str) -> str:
    return f"TRANSCRIBE_{name.upper()}"


def _source(configured: Settings, name: str) -> str:
    if name not in configured.model_fields_set:
        return "default"
    in_environment = _variable(name) in {variable.upper() for variable in os.environ}
    return "environment" if in_environment else ".env"


def _markdown() -> str:
    """The README's table, from the fields alone: whatever is set on this machine stays out of it."""
    rows = [
        f"| `{_variable(name)}` | {_code(str(field.default))} | {_explained(field)} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| Setting | Default | |", "|---|---|---|", *rows])


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _explained(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    listed = f" One of {', '.join(map(_code, choices))}." if choices else ""
    return f"{field.description or ''}{listed}"
