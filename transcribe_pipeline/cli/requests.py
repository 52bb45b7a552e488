"""What admins ask of files: `cancel`, `redrive`, `recover`, `hold`; and what was done to one: `history`."""

import getpass
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, NoReturn

import typer
from sqlalchemy import Engine

from transcribe_pipeline.cli import output, watching
from transcribe_pipeline.cli.files import find_dagster, open_ledger, resolve
from transcribe_pipeline.cli.launching import require_dagster
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import files, operations, requests
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.slices import Slice
from transcribe_pipeline.ledger.states import State
from transcribe_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from transcribe_pipeline.operations.requests import Answer
    from transcribe_pipeline.resources.artifact_store import ArtifactStore


def actor() -> str:
    """Who asks, as the audit log names them."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user need not have a name
        return f"cli:{os.getuid()}"


def error_codes(names: Sequence[str]) -> tuple[ErrorCode, ...]:
    """Raises BAD_REQUEST for a code that there is not."""
    try:
        return tuple(ErrorCode(name.upper()) for name in names)
    except ValueError:
        raise PipelineError(ErrorCode.BAD_REQUEST, "no such error code; 'transcribe errors' lists them") from None


def choose(
    ledger: Engine, names: Sequence[str], within: Slice, *, every: bool, states: Sequence[State] = ()
) -> list[FileView]:
    """The files named, or those of a slice. Neither, or both, ends the command: nobody means all files by silence.

    :param states: what `within` means if it says nothing of states.
    """
    if bool(names) == (every or within.is_narrowed):
        output.note("Name the files, or choose them by what they have in common, or say --all; not both.")
        raise typer.Exit(ExitCode.USAGE)
    if names:
        return [resolve(ledger, name, within.owner) for name in names]
    return files.every(ledger, replace(within, states=within.states or states))


def report(answers: "Sequence[Answer]", *, as_json: bool) -> None:
    """A line for each file that something was done about; JSON has the refused ones too."""
    if as_json:
        output.print_json([asdict(answer) for answer in answers])
        return
    for answer in answers:
        if not answer.is_refused:
            found = f" ({plain(answer.found)})" if answer.found else ""
            typer.echo(f"{answer.partition_key}  {answer.action}{found}")


def finish(ledger: Engine, chosen: Sequence[FileView], answers: "Sequence[Answer]", *, wait: bool = False) -> NoReturn:
    """Say of each refused file why, follow the others if wanted, and end the command with how it all went."""
    names = {file.partition_key: file.file_name for file in chosen}
    refused = [answer for answer in answers if answer.is_refused]
    for answer in refused:
        output.note(f"{plain(names[answer.partition_key])}: {answer.reason}")
    begun = [answer.partition_key for answer in answers if not answer.is_refused]
    code = watching.show_until_done(ledger, begun) if wait and begun else ExitCode.OK
    raise typer.Exit(ExitCode.FAILED if refused else code)


# --- cancel ---------------------------------------------------------------------------------------------------------


def cancel(names: Sequence[str], *, within: Slice, every: bool, as_json: bool) -> None:
    import dagster as dg

    from transcribe_pipeline.operations.requests import CANCELLABLE
    from transcribe_pipeline.operations.requests import cancel as cancel_files

    configured = load_settings()
    ledger = open_ledger(configured)
    chosen = choose(ledger, names, within, every=every, states=CANCELLABLE)

    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.get()) if find_dagster(configured) else None
        if instance is None:
            output.note("DAGSTER_HOME is not known here: runs at work stop at their next sign of life.")
        answers = cancel_files(ledger, instance, [file.partition_key for file in chosen], actor=actor())
    report(answers, as_json=as_json)
    finish(ledger, chosen, answers)


# --- redrive --------------------------------------------------------------------------------------------------------


def redrive(
    names: Sequence[str], *, from_stage: str | None, within: Slice, every: bool, wait: bool, as_json: bool
) -> None:
    from transcribe_pipeline.operations.requests import REDRIVABLE
    from transcribe_pipeline.operations.requests import redrive as redrive_files

    configured = load_settings()
    ledger = open_ledger(configured)
    chosen = choose(ledger, names, within, every=every, states=REDRIVABLE)
    keys = [file.partition_key for file in chosen]
    answers = redrive_files(ledger, open_artifacts(configured), keys, from_stage=from_stage, actor=actor())
    report(answers, as_json=as_json)
    finish(ledger, chosen, answers, wait=wait)


def open_artifacts(configured: Settings) -> "ArtifactStore":
    from transcribe_pipeline.resources.artifact_store import ArtifactStore
    from transcribe_pipeline.resources.object_store import open_store

    return ArtifactStore(open_store(configured.resolved_store_url), configured.artifacts_prefix)


# --- recover --------------------------------------------------------------------------------------------------------


def recover(names: Sequence[str], *, owner: str | None, apply: bool, as_json: bool) -> None:
    configured = load_settings()
    require_dagster(configured)
    ledger = open_ledger(configured)
    if names:
        _recover_named(configured, ledger, [resolve(ledger, name, owner) for name in names], as_json=as_json)
        return
    if owner is not None:
        output.note("Recovery looks at all files. Name those of the owner that you mean.")
        raise typer.Exit(ExitCode.USAGE)
    _recover_all(configured, ledger, apply=apply, as_json=as_json)


def _recover_named(configured: Settings, ledger: Engine, chosen: Sequence[FileView], *, as_json: bool) -> None:
    import dagster as dg

    from transcribe_pipeline.operations.requests import emergency_recovery

    keys = [file.partition_key for file in chosen]
    store = open_artifacts(configured).store
    with dg.DagsterInstance.get() as instance:
        answers = emergency_recovery(ledger, instance, store, configured, keys, actor=actor())
    report(answers, as_json=as_json)
    finish(ledger, chosen, answers)


def _recover_all(configured: Settings, ledger: Engine, *, apply: bool, as_json: bool) -> None:
    import dagster as dg

    from transcribe_pipeline.operations import recovery

    with dg.DagsterInstance.get() as instance:
        findings = recovery.look(ledger, instance, configured)
        done = Counter[tuple[recovery.Cause, recovery.Action]]()
        if apply and findings.stuck:
            store = open_artifacts(configured).store
            done = recovery.recover(ledger, instance, store, configured, actor=actor()).done
    if as_json:
        acts = [{"cause": cause, "action": action, "files": number} for (cause, action), number in done.items()]
        stuck = [{"partition_key": each.suspect.partition_key, "cause": each.cause} for each in findings.stuck]
        output.print_json({"stuck": stuck, "waiting": dict(findings.waiting), "done": acts})
        return
    for each in findings.stuck:
        typer.echo(f"{each.suspect.partition_key}  {each.cause.value}: {recovery.SENTENCES[each.cause]}")
    for (cause, action), number in done.items():
        output.note(f"{cause.value}: {number} {action.replace('_', ' ')}")
    output.note(f"{findings}.")
    if findings.stuck and not apply:
        output.note("Nothing has been done. --apply does what 'stuck_files' would.")


# --- hold, history --------------------------------------------------------------------------------------------------


def hold(name: str, *, owner: str | None, reason: str | None, release: bool) -> None:
    if release == (reason is not None):
        output.note("Say why with --reason, or end the hold with --release.")
        raise typer.Exit(ExitCode.USAGE)
    if reason is not None and not reason.strip():
        raise PipelineError(ErrorCode.BAD_REQUEST, "a hold without a reason")
    ledger = open_ledger(load_settings())
    file = resolve(ledger, name, owner)
    requests.hold(ledger, file.partition_key, reason, actor=actor())
    kept = "kept, whatever retention says" if reason else "no longer kept against retention"
    output.note(f"{plain(file.file_name)} is {kept}.")


def history(name: str, *, owner: str | None, as_json: bool) -> None:
    ledger = open_ledger(load_settings())
    entries = operations.of_file(ledger, resolve(ledger, name, owner).id)
    if as_json:
        output.print_json([asdict(entry) for entry in entries])
        return
    rows = output.table("WHEN", "WHAT", "BECAUSE", "DONE", "BY", "GENERATION")
    for entry in entries:
        when = f"{entry.at:%Y-%m-%d %H:%M:%S}Z"
        done = (plain(text) for text in (entry.operation, entry.cause, entry.action, entry.actor))
        rows.add_row(when, *done, str(entry.generation or ""))
    output.stdout().print(rows)
