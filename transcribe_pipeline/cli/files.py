"""Looking at files: `ls`, `show`. Reads the ledger alone; loads neither Dagster nor the object store."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.text import Text
from sqlalchemy import Engine

from transcribe_pipeline import doctor
from transcribe_pipeline.artifacts import SpeakerIdentities, Transcript
from transcribe_pipeline.cli import output, transcript_view
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.errors import CATALOGUE, ErrorCode, PipelineError
from transcribe_pipeline.ledger import files, operations, timings, transcripts, voices
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.operations import Operation
from transcribe_pipeline.ledger.slices import Slice
from transcribe_pipeline.ledger.states import State
from transcribe_pipeline.settings import Settings, load_settings

_PREVIEW_PARAGRAPHS = 5
_COLOURS = {
    State.COMPLETED: "green",
    State.DEGRADED: "yellow",
    State.ERROR: "red",
    State.QUARANTINED: "red",
    State.ORPHANED: "red",
    State.PROCESSING: "cyan",
    State.CANCELLING: "cyan",
}


def open_ledger(configured: Settings) -> Engine:
    """The migrated ledger. Raises as `doctor.open_ledger` does."""
    return doctor.open_ledger(configured.resolved_database_url.get_secret_value())


def find_dagster(configured: Settings) -> bool:
    """Is Dagster's home known? That of the embedded set-up is made DAGSTER_HOME, unless another is set."""
    embedded = (configured.home / "dagster").resolve()
    if (embedded / "dagster.yaml").is_file():
        os.environ.setdefault("DAGSTER_HOME", str(embedded))
    return (Path(os.environ.get("DAGSTER_HOME") or "/dev/null") / "dagster.yaml").is_file()


def resolve(ledger: Engine, name: str, owner: str | None) -> FileView:
    """The one file of that name. Raises FILE_UNKNOWN; more than one ends the command with their keys."""
    found = files.find(ledger, name, owner=owner)
    if not found:
        raise PipelineError(ErrorCode.FILE_UNKNOWN, f"'{plain(name)}'")
    if len(found) > 1:
        output.note(f"{len(found)} files are called '{plain(name)}'. Name one by its partition key:")
        for file in found:
            output.note(f"  {file.partition_key}  {plain(file.object_key)}")
        raise typer.Exit(ExitCode.USAGE)
    return found[0]


# --- ls -------------------------------------------------------------------------------------------------------------


def ls(*, owner: str | None, status: str | None, limit: int, as_json: bool) -> None:
    ledger = open_ledger(load_settings())
    wanted = Slice(owner=owner, states=(State(status),) if status else ())
    # One more than is shown tells whether there are more.
    found = files.list_files(ledger, within=wanted, limit=limit + 1)
    if as_json:
        output.print_json([described(file) for file in found[:limit]])
    else:
        rows = output.table("FILE", "OWNER", "STATE", "SIZE", "ADDED", "KEY")
        for file in found[:limit]:
            added = f"{file.registered_at:%Y-%m-%d %H:%M}Z"
            rows.add_row(
                plain(file.file_name),
                plain(file.owner),
                state(file),
                output.size(file.size_bytes),
                added,
                file.partition_key,
            )
        output.stdout().print(rows)
    if len(found) > limit:
        output.note(f"There are more than {limit}; see --limit.")


def state(file: FileView) -> Text:
    """'processing: transcription, 43 %', 'error: NOT_MEDIA', 'degraded: without subtitles'."""
    text = file.state.value
    if file.state is State.PROCESSING:
        text += f": {file.stage}, {file.progress:.0%}"
    elif file.state in (State.ERROR, State.QUARANTINED):
        text += f": {file.error_code}"
    elif file.state is State.DEGRADED:
        text += f": without {', '.join(file.degraded)}"
    return Text(text, style=_COLOURS.get(file.state, ""))


def described(file: FileView) -> dict[str, Any]:
    """A file as JSON has it."""
    return asdict(file) | {"state": file.state.value}


# --- show -----------------------------------------------------------------------------------------------------------


def show(name: str, *, owner: str | None, as_json: bool) -> None:
    configured = load_settings()
    ledger = open_ledger(configured)
    file = resolve(ledger, name, owner)
    transcript = current_transcript(ledger, file)
    if as_json:
        output.print_json(_description(ledger, configured, file, transcript))
        return
    _print_file(ledger, configured, file)
    if transcript:
        typer.echo()
        said = identities(ledger, file)
        transcript_view.print_transcript(transcript, said, paragraphs=_PREVIEW_PARAGRAPHS)
        typer.echo()
        transcript_view.print_speakers(transcript, said)


def current_transcript(ledger: Engine, file: FileView) -> Transcript | None:
    return transcripts.load(ledger, file.current_transcript_id) if file.current_transcript_id else None


def identities(ledger: Engine, file: FileView) -> SpeakerIdentities:
    """Who the speakers of the file's current transcript are, as the results name them."""
    return voices.last_said(ledger, file.owner, file.current_transcript_id or "")


def result_locations(configured: Settings, file: FileView) -> list[str]:
    """Where the finished files are that the store has by now, by path or URL, the page first."""
    if file.current_transcript_id is None:
        return []
    from transcribe_pipeline.resources.object_store import open_store  # brings Dagster: 1 s that `ls` need not wait

    store = open_store(configured.resolved_store_url)
    keys = store.list_keys(f"{configured.results_prefix}/{file.owner}/{file.partition_key}")
    return [store.url(key) for key in sorted(keys, key=lambda key: (not key.endswith(".html"), key))]


def _remedy(file: FileView) -> str | None:
    return CATALOGUE[ErrorCode(file.error_code)].remedy if file.error_code else None


def _evidence(ledger: Engine, file: FileView) -> operations.Entry | None:
    """Why the file was quarantined, as whoever did it has left it in the audit log."""
    if file.state is not State.QUARANTINED:
        return None
    entries = operations.of_file(ledger, file.id)
    return next((entry for entry in reversed(entries) if entry.operation == Operation.QUARANTINE.value), None)


def _description(ledger: Engine, configured: Settings, file: FileView, transcript: Transcript | None) -> dict[str, Any]:
    evidence = _evidence(ledger, file)
    return described(file) | {
        "remedy": _remedy(file),
        "evidence": evidence and evidence.detail,
        "results": result_locations(configured, file),
        "timings": [asdict(timing) for timing in timings.of_file(ledger, file.id)],
        "versions": [version.model_dump() for version in transcripts.versions(ledger, file.partition_key)],
        "transcript": transcript
        and transcript_view.summary(transcript, identities(ledger, file), paragraphs=_PREVIEW_PARAGRAPHS),
    }


def _print_file(ledger: Engine, configured: Settings, file: FileView) -> None:
    facts = output.table("", "")
    facts.show_header = False
    facts.add_row("file", plain(file.file_name))
    facts.add_row("state", state(file))
    facts.add_row("since", f"{file.status_since:%Y-%m-%d %H:%M}Z")
    if file.error_text:
        facts.add_row("error", f"{plain(file.error_text)} {_remedy(file)}")
    if evidence := _evidence(ledger, file):
        facts.add_row(
            "quarantined", f"{evidence.at:%Y-%m-%d %H:%M}Z by {plain(evidence.actor)}: {plain(evidence.cause)}"
        )
        for name, value in evidence.detail.items():
            facts.add_row(f"  {plain(name)}", plain(json.dumps(value, ensure_ascii=False)))
    if file.legal_hold:
        facts.add_row("legal hold", plain(file.legal_hold))
    facts.add_row("partition key", file.partition_key)
    facts.add_row("object key", plain(file.object_key))
    facts.add_row("size", output.size(file.size_bytes))
    began = f", begun with {file.resume_from}" if file.resume_from else ""
    facts.add_row("generation", f"{file.generation} ({file.cause.value}), attempt {file.attempts}{began}")
    if file.run_id:
        facts.add_row("run", file.run_id)
    for timing in timings.of_file(ledger, file.id):
        if timing.generation == file.generation:
            failed = f", {timing.error_code}" if timing.error_code else ""
            facts.add_row(f"  {timing.stage}", f"{timing.seconds:.1f} s{failed}")
    for version in transcripts.versions(ledger, file.partition_key):
        standing = ", current" if version.is_current else ", held back" if version.held_back else ""
        facts.add_row(f"version {version.version}", f"{version.words} words, {version.speakers} speakers{standing}")
    for location in result_locations(configured, file):
        facts.add_row("result", plain(location))
    output.stdout().print(facts)
