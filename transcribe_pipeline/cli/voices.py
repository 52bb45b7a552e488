"""Voices across files: `voices ls`, `show`, `confirm`, `rename`, `merge`, `undo`, `log`, `relabel`.

A decision is a row in the ledger. Files in which somebody is now called otherwise are then named again by Dagster: a
backfill of the assets that hold names, which the UI shows and its daemon carries out.
"""

from dataclasses import asdict

import typer
from sqlalchemy import Engine

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import find_dagster, open_ledger, resolve
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import voices
from transcribe_pipeline.ledger.models import DecisionKind
from transcribe_pipeline.ledger.voices import Decision
from transcribe_pipeline.settings import Settings, load_settings
from transcribe_pipeline.speech.voices import Thresholds

RELABELLED = ("speaker_identities", "subtitles", "transcript_page", "search_document")
"""The assets that hold names, in flow order."""

# --- looking --------------------------------------------------------------------------------------------------------


def ls(*, owner: str | None, as_json: bool) -> None:
    ledger = open_ledger(load_settings())
    found = [
        (whose, profile)
        for whose in voices.owners(ledger)
        if owner in (None, whose)
        for profile in voices.known(ledger, whose).profiles
    ]
    if as_json:
        output.print_json(
            [{"owner": whose, "id": p.id, "name": p.name, "samples": len(p.samples)} for whose, p in found]
        )
        return
    rows = output.table("NAME", "SAMPLES", "OWNER", "PROFILE")
    for whose, profile in found:
        rows.add_row(plain(profile.name), str(len(profile.samples)), plain(whose), profile.id)
    output.stdout().print(rows)


def show(reference: str, *, owner: str | None, as_json: bool) -> None:
    ledger = open_ledger(load_settings())
    owner = _owner(ledger, owner)
    profile = voices.known(ledger, owner).profile(reference)
    samples = voices.samples(ledger, owner, profile)
    if as_json:
        described = {"id": profile.id, "name": profile.name, "owner": owner}
        output.print_json(described | {"samples": [asdict(sample) for sample in samples]})
        return
    output.stdout().print(f"{plain(profile.name)}  {profile.id}")
    rows = output.table("FILE", "SPEAKER", "TALKS", "KEY")
    for sample in samples:
        rows.add_row(plain(sample.file_name), plain(sample.label), f"{sample.seconds:.1f} s", sample.partition_key)
    output.stdout().print(rows)


def log(*, owner: str | None, as_json: bool) -> None:
    ledger = open_ledger(load_settings())
    known = voices.known(ledger, _owner(ledger, owner))
    if as_json:
        entries = [asdict(each) | {"undone_by": known.undone_by(each.number)} for each in known.decisions]
        output.print_json(entries)
        return
    rows = output.table("NUMBER", "WHEN", "DECISION", "UNDONE BY")
    for each in known.decisions:
        undone_by = known.undone_by(each.number)
        when = f"{each.decided_at:%Y-%m-%d %H:%M}Z"
        rows.add_row(str(each.number), when, _sentence(each), str(undone_by) if undone_by else "")
    output.stdout().print(rows)


def _sentence(decision: Decision) -> str:
    name = plain(decision.name or "")
    match decision.kind:
        case DecisionKind.CONFIRM:
            return f"{plain(decision.label or '')} of transcript {decision.transcript_id} is {name}"
        case DecisionKind.RENAME:
            return f"{decision.profile_id} is called {name}"
        case DecisionKind.MERGE:
            return f"{decision.merged_id} is {name}, too"
        case DecisionKind.UNDO:
            return f"decision {decision.undoes} no longer counts"


def _owner(ledger: Engine, owner: str | None) -> str:
    """Whose voices are meant: somebody who has files, and without a word the only one."""
    found = voices.owners(ledger)
    if owner in found or (owner is None and len(found) == 1):
        return owner or found[0]
    if not found:
        raise PipelineError(ErrorCode.VOICE_UNKNOWN, "there are no recordings yet")
    output.note(f"Whose? --owner is one of: {', '.join(map(plain, found))}")
    raise typer.Exit(ExitCode.USAGE)


# --- deciding -------------------------------------------------------------------------------------------------------


class Desk:
    """Where one command's decision is taken, and its consequences are set going.

    Made before the decision: a command that could not re-label must not have decided anything.
    """

    def __init__(self, *, relabel: bool, as_json: bool) -> None:
        self._configured = load_settings()
        self.ledger = open_ledger(self._configured)
        self._relabel = relabel
        self._as_json = as_json
        if relabel:
            _require_dagster(self._configured)

    def conclude(self, owner: str, decision: Decision | None) -> None:
        """Re-label the files that are outdated now, and say how many; `relabel` itself has no decision."""
        keys = voices.outdated(self.ledger, owner, Thresholds.of(self._configured))
        backfill_id = _launch(owner, keys, _title(decision)) if keys and self._relabel else None
        if self._as_json:
            told = {"decision": decision and asdict(decision), "files": len(keys), "backfill": backfill_id}
            output.print_json(told)
            return
        if decision:
            output.stdout().print(f"decision {decision.number}: {_sentence(decision)}")
        files = "1 file" if len(keys) == 1 else f"{len(keys)} files"
        if backfill_id:
            output.note(f"{files} will be re-labelled: backfill {backfill_id}.")
        elif keys:
            output.note(f"{files} to re-label; 'transcribe voices relabel' does it.")
        else:
            output.note("No file to re-label.")


def confirm(
    file_name: str,
    label: str,
    name: str | None,
    *,
    profile: str | None,
    owner: str | None,
    relabel: bool,
    as_json: bool,
) -> None:
    desk = Desk(relabel=relabel, as_json=as_json)
    file = resolve(desk.ledger, file_name, owner)
    if file.current_transcript_id is None:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "this file has no transcript yet")
    decision = voices.confirm(desk.ledger, file.owner, file.current_transcript_id, label, name=name, profile=profile)
    desk.conclude(file.owner, decision)


def rename(profile: str, name: str, *, owner: str | None, relabel: bool, as_json: bool) -> None:
    desk = Desk(relabel=relabel, as_json=as_json)
    owner = _owner(desk.ledger, owner)
    desk.conclude(owner, voices.rename(desk.ledger, owner, profile, name))


def merge(source: str, into: str, *, owner: str | None, relabel: bool, as_json: bool) -> None:
    desk = Desk(relabel=relabel, as_json=as_json)
    owner = _owner(desk.ledger, owner)
    desk.conclude(owner, voices.merge(desk.ledger, owner, source, into))


def undo(number: int | None, *, owner: str | None, relabel: bool, as_json: bool) -> None:
    desk = Desk(relabel=relabel, as_json=as_json)
    owner = _owner(desk.ledger, owner)
    desk.conclude(owner, voices.undo(desk.ledger, owner, number))


def relabel(*, owner: str | None, as_json: bool) -> None:
    desk = Desk(relabel=True, as_json=as_json)
    desk.conclude(_owner(desk.ledger, owner), None)


# --- re-labelling ---------------------------------------------------------------------------------------------------


def _require_dagster(configured: Settings) -> None:
    """Raises CONFIGURATION unless Dagster's home is known: without one, Dagster would take a request and forget it."""
    if not find_dagster(configured):
        raise PipelineError(
            ErrorCode.CONFIGURATION, "DAGSTER_HOME names no folder with a dagster.yaml; or use --no-relabel"
        )


def _title(decision: Decision | None) -> str:
    # Of our own words only: Dagster refuses titles with certain characters, and names may have any.
    return f"Voices: {decision.kind.value} ({decision.number})" if decision else "Voices: relabel"


def _launch(owner: str, partition_keys: list[str], title: str) -> str:
    import dagster as dg

    from transcribe_pipeline.backfills import launch
    from transcribe_pipeline.stage import OWNER_TAG, TRIGGER_TAG

    with dg.DagsterInstance.get() as instance:
        return launch(instance, RELABELLED, partition_keys, title=title, tags={OWNER_TAG: owner, TRIGGER_TAG: "voices"})
