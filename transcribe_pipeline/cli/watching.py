"""Following work: `watch`, and the waiting part of `add --wait`."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NoReturn

import typer
from rich.live import Live
from rich.table import Table
from sqlalchemy import Engine

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import described, open_ledger, resolve, state
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.states import UNFINISHED
from transcribe_pipeline.settings import load_settings

_POLL_SECONDS = 1.0
"""How often a run writes its progress."""


def watch(name: str | None, *, owner: str | None, as_json: bool) -> None:
    ledger = open_ledger(load_settings())
    found = [resolve(ledger, name, owner)] if name else _unfinished(ledger, owner)
    if not found:
        output.note("Nothing is waiting or running.")
        return
    follow(ledger, [file.partition_key for file in found], as_json=as_json)


def follow(ledger: Engine, partition_keys: Sequence[str], *, as_json: bool = False) -> NoReturn:
    """Show these files until all are done; then end the command with the exit code that says how it went."""
    raise typer.Exit(show_until_done(ledger, partition_keys, as_json=as_json))


def show_until_done(ledger: Engine, partition_keys: Sequence[str], *, as_json: bool = False) -> ExitCode:
    """How it went."""
    console = output.stdout()
    shown: dict[str, FileView] = {}
    with ExitStack() as stack:
        live = stack.enter_context(Live(console=console)) if console.is_terminal and not as_json else None
        for files_now in _until_done(ledger, partition_keys):
            for file in files_now:
                if _differs(shown.get(file.id), file) and not live:
                    _print_change(file, as_json=as_json)
                shown[file.id] = file
            if live:
                live.update(_table(files_now))
    return outcome(list(shown.values()))


def outcome(finished: Sequence[FileView]) -> ExitCode:
    """FAILED if any file ended in another way than completed, else PARTIAL if any is degraded."""
    if any(file.status is not Status.COMPLETED for file in finished):
        return ExitCode.FAILED
    return ExitCode.PARTIAL if any(file.degraded for file in finished) else ExitCode.OK


def is_done(file: FileView) -> bool:
    return file.status not in UNFINISHED


def _unfinished(ledger: Engine, owner: str | None) -> list[FileView]:
    return [file for status in UNFINISHED for file in files.list_files(ledger, owner=owner, status=status)]


def _until_done(ledger: Engine, partition_keys: Sequence[str]) -> Iterator[list[FileView]]:
    """The files as they are every second, for the last time when all are done."""
    while True:
        now = [files.get(ledger, key) for key in partition_keys]
        yield now
        if all(map(is_done, now)):
            return
        time.sleep(_POLL_SECONDS)


def _differs(before: FileView | None, now: FileView) -> bool:
    return before is None or _news(before) != _news(now)


def _news(file: FileView) -> tuple[object, ...]:
    return file.generation, file.status, file.stage, round(file.progress, 2)


def _print_change(file: FileView, *, as_json: bool) -> None:
    if as_json:
        output.print_json(described(file))
        return
    typer.echo(f"{plain(file.file_name)}  {state(file)}")


def _table(files_now: Sequence[FileView]) -> Table:
    rows = output.table("FILE", "OWNER", "STATE")
    for file in files_now:
        rows.add_row(plain(file.file_name), plain(file.owner), state(file))
    return rows
