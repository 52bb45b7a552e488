"""Putting recordings into the store: `add`, and what `demo` shares with it."""

import getpass
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import typer
from sqlalchemy import Engine

from transcribe_pipeline.cli import output, watching
from transcribe_pipeline.cli.files import open_ledger
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.resources.listing import is_parsable
from transcribe_pipeline.resources.object_store import ObjectStore, open_store
from transcribe_pipeline.resources.sidecars import is_sidecar
from transcribe_pipeline.settings import Settings, load_settings


@dataclass(frozen=True)
class Added:
    file: FileView
    note: str
    """What its arrival means, for people."""


def add(paths: Sequence[Path], *, owner: str | None, wait: bool) -> None:
    configured = load_settings()
    owner = owner or getpass.getuser()
    keys = [upload_key(configured, owner, path.name) for path in paths]  # all are good before one is copied
    if len(set(keys)) < len(keys):
        output.note("Two of these files have the same name: one would replace the other. Add them to different owners.")
        raise typer.Exit(ExitCode.USAGE)
    ledger, store = open_ledger(configured), open_store(configured.resolved_store_url)
    pairs = list(zip(paths, keys, strict=True))
    # Sidecars first: the run of their recording then finds them.
    for path, key in pairs:
        if is_sidecar(key):
            _put_sidecar(store, path, key)
    added = [put(store, ledger, configured, path, key) for path, key in pairs if not is_sidecar(key)]
    for each in added:
        typer.echo(f"{each.file.partition_key}\t{plain(each.file.object_key)}")
        output.note(f"{plain(each.file.file_name)}: {each.note}")
    if wait:
        output.note("Waiting for the pipeline; 'make up' runs it.")
        watching.follow(ledger, [each.file.partition_key for each in added])


def upload_key(configured: Settings, owner: str, file_name: str) -> str:
    """Where a file goes. Ends the command if the sensor would never pick it up from there."""
    key = f"{configured.uploads_prefix}/{owner}/{file_name}"
    if "/" in owner or owner.startswith(".") or file_name.startswith(".") or not is_parsable(key):
        output.note(f"'{plain(key)}' cannot be an upload: no hidden files, no control characters, one folder as owner.")
        raise typer.Exit(ExitCode.USAGE)
    return key


def put(store: ObjectStore, ledger: Engine, configured: Settings, path: Path, key: str) -> Added:
    """Copy a file into the store, unless its very bytes are there, and register it.

    The store shows an object only when it is whole, so it need not settle: it may be processed at once.
    """
    before = _known(ledger, key) if store.exists(key) else None
    if before and before.sha256 == _sha256(path):
        return Added(before, f"already there ({before.status}); the same content is not transcribed twice.")
    store.put_file(key, path)
    listed = store.find_upload(configured.uploads_prefix, key)  # its etag as the sensor's listing has it
    if listed is None:
        raise PipelineError(ErrorCode.SOURCE_GONE)
    files.register(ledger, [listed], settle_seconds=0)
    file = _known(ledger, key)
    if file is None:
        raise PipelineError(ErrorCode.FILE_UNKNOWN, "its name cannot be stored in the ledger")
    if before is None:
        return Added(file, "added.")
    return Added(file, f"replaces what had this name; this is generation {file.generation}.")


def _put_sidecar(store: ObjectStore, path: Path, key: str) -> None:
    """Written again, even the same content would look like news to the sensor."""
    with suppress(FileNotFoundError):
        if store.get_bytes(key) == path.read_bytes():
            output.note(f"{plain(path.name)}: already there.")
            return
    store.put_file(key, path)
    output.note(f"{plain(path.name)}: put beside the recording that it names.")


def _known(ledger: Engine, key: str) -> FileView | None:
    return next((file for file in files.find(ledger, key) if file.object_key == key), None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
