"""Everything known of a file or an owner: `export-data` gives it, `forget` deletes it everywhere and proves that."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from sqlalchemy import Engine

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import find_dagster, open_ledger, resolve
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import files, voices
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from transcribe_pipeline.resources.forgetting import Holdings, Outcome
    from transcribe_pipeline.resources.run_history import RunHistory

_PAGE = 100


# --- export-data ----------------------------------------------------------------------------------------------------


def export_data(name: str | None, *, owner: str | None, destination: Path, as_json: bool) -> None:
    from transcribe_pipeline.resources import dossier
    from transcribe_pipeline.resources.object_store import open_store

    configured = load_settings()
    ledger = open_ledger(configured)
    _require_subject(name, owner)
    found = iter([resolve(ledger, name, owner)]) if name else _files_of(ledger, owner or "")
    with _run_history(configured) as history:
        sources = dossier.Sources(
            configured=configured,
            ledger=ledger,
            store=open_store(configured.resolved_store_url),
            runs=history.runs if history else None,
        )
        manifest = dossier.write(sources, found, destination, owner=None if name else owner)
    if as_json:
        output.print_json({"path": str(destination), "counts": manifest.counts, "unreadable": manifest.unreadable})
        return
    rows = output.table("WHAT", "ROWS")
    for table, count in manifest.counts.items():
        rows.add_row(table.replace("_", " "), f"{count:,}")
    output.stdout().print(rows)
    for missing in manifest.without:
        output.note(f"Without {missing}.")
    for key in manifest.unreadable:
        output.note(f"Unreadable: {plain(key)}")
    output.note(f"{len(manifest.files) + 1} files in {plain(str(destination))}")


def _files_of(ledger: Engine, owner: str) -> Iterator[FileView]:
    """Raises FILE_UNKNOWN, if there are none."""
    page = files.list_files(ledger, owner=owner, limit=_PAGE)
    if not page:
        raise PipelineError(ErrorCode.FILE_UNKNOWN, f"'{plain(owner)}' has no files")
    while page:
        yield from page
        page = files.list_files(ledger, owner=owner, limit=_PAGE, after=page[-1].id)


# --- forget ---------------------------------------------------------------------------------------------------------


def forget(name: str | None, *, owner: str | None, apply: bool, yes: bool, as_json: bool) -> None:
    from transcribe_pipeline.resources.forgetting import Places
    from transcribe_pipeline.resources.object_store import open_store
    from transcribe_pipeline.resources.search_index import Search

    configured = load_settings()
    ledger = open_ledger(configured)
    _require_subject(name, owner)
    file = resolve(ledger, name, owner) if name else None
    with _run_history(configured) as history:
        if history is None:
            raise PipelineError(ErrorCode.CONFIGURATION, "DAGSTER_HOME names no folder with a dagster.yaml")
        places = Places(
            configured=configured,
            ledger=ledger,
            store=open_store(configured.resolved_store_url),
            history=history,
            index=Search(configured).index,
            owner=None if file else owner,
        )
        targets = [places.target(file)] if file else places.of_owner()
        found = places.look(targets)
        if not found:
            raise PipelineError(ErrorCode.FILE_UNKNOWN, f"nothing is known of '{plain(owner or '')}'")
        if not apply:
            _tell(found, as_json=as_json, applied=False)
            return
        _confirm(file.file_name if file else owner or "", found, yes=yes)
        outcome = places.forget(targets)
    _conclude(outcome, as_json=as_json)
    _note_outdated(configured, ledger, file.owner if file else None)


def _confirm(subject: str, found: "Holdings", *, yes: bool) -> None:
    """Ends the command unless a person has typed the name, or said --yes."""
    if yes:
        return
    output.note(f"This deletes {sum(found.counts.values()):,} things for good; without --apply they are listed.")
    if typer.prompt(f"Type '{plain(subject)}' to go on", err=True) != plain(subject):
        output.note("That is another name. Nothing was deleted.")
        raise typer.Exit(ExitCode.USAGE)


def _tell(found: "Holdings", *, as_json: bool, applied: bool) -> None:
    if as_json:
        output.print_json({"applied": applied, "counts": dict(found.counts), "bytes": dict(found.sizes)})
        return
    rows = output.table("WHAT", "COUNT", "SIZE")
    for kind in sorted(found.counts):
        size = output.size(found.sizes[kind]) if kind in found.sizes else ""
        rows.add_row(kind, f"{found.counts[kind]:,}", size)
    output.stdout().print(rows)
    if not applied:
        output.note("Nothing was deleted; --apply does it.")


def _conclude(outcome: "Outcome", *, as_json: bool) -> None:
    """Tell what went and what is left; ends the command with FAILED if anything is."""
    if as_json:
        output.print_json(
            {
                "applied": True,
                "counts": dict(outcome.forgotten.counts),
                "bytes": dict(outcome.forgotten.sizes),
                "left": dict(outcome.left.counts),
                "busy_databases": outcome.busy_databases,
                "receipt": outcome.receipt_key,
            }
        )
    else:
        _tell(outcome.forgotten, as_json=False, applied=True)
    output.note(f"Receipt: {outcome.receipt_key}")
    for kind, count in sorted(outcome.left.counts.items()):
        output.note(f"Left: {kind}, {count:,}.")
    for database in outcome.busy_databases:
        output.note(f"{database} was busy: deleted rows can still be read from that file, until the next 'forget'.")
    if not outcome.is_proven:
        raise typer.Exit(ExitCode.FAILED)
    output.note("Looked everywhere again: nothing is left.")


def _note_outdated(configured: Settings, ledger: Engine, owner: str | None) -> None:
    """Speakers of other files may have been named by a voice that is gone."""
    from transcribe_pipeline.speech.voices import Thresholds

    outdated = voices.outdated(ledger, owner, Thresholds.of(configured)) if owner else []
    if outdated:
        files_ = "1 file" if len(outdated) == 1 else f"{len(outdated)} files"
        output.note(f"{files_} to re-label; 'transcribe voices relabel' does it.")


# --- both -----------------------------------------------------------------------------------------------------------


def _require_subject(name: str | None, owner: str | None) -> None:
    if name is None and owner is None:
        output.note("Of what? Name a file, or --owner.")
        raise typer.Exit(ExitCode.USAGE)


@contextmanager
def _run_history(configured: Settings) -> "Iterator[RunHistory | None]":
    """What Dagster remembers; None if its home is not known."""
    if not find_dagster(configured):
        yield None
        return
    import dagster as dg

    from transcribe_pipeline.resources.run_history import RunHistory

    with dg.DagsterInstance.get() as instance:
        yield RunHistory(instance)
