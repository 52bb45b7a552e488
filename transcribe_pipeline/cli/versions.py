"""Versions of a transcript: `versions`, `diff`, `promote`, `rollback`; asking for another: `reprocess`, `options`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.text import Text
from sqlalchemy import Engine

from transcribe_pipeline import options as file_options
from transcribe_pipeline.artifacts import Options, Transcript
from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import open_ledger, resolve
from transcribe_pipeline.cli.output import clock, plain
from transcribe_pipeline.cli.requests import actor, choose, finish, open_artifacts
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import transcripts, voices
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.slices import Slice
from transcribe_pipeline.ledger.transcripts import VersionView
from transcribe_pipeline.settings import Settings, load_settings
from transcribe_pipeline.text.differences import Differences, SpeakerChange, WordChange, compare

# --- versions -------------------------------------------------------------------------------------------------------


def versions(name: str, *, owner: str | None, as_json: bool) -> None:
    ledger = open_ledger(load_settings())
    history = transcripts.history(ledger, resolve(ledger, name, owner).partition_key)
    if as_json:
        output.print_json([asdict(version) for version in history])
        return
    rows = output.table("VERSION", "MADE", "WORDS", "SPEAKERS", "CONFIDENCE", "DOUBTFUL", "LANGUAGE", "TEXT BY", "")
    for version in history:
        rows.add_row(
            str(version.version),
            f"{version.created_at:%Y-%m-%d %H:%M}Z",
            str(version.words),
            str(version.speakers),
            _confidence(version),
            f"{version.quality.get('doubtful_seconds', 0.0):.0f} s",
            version.language,
            plain("people" if version.text_source == "given" else version.recogniser),
            _standing(version),
        )
    output.stdout().print(rows)


def _confidence(version: VersionView) -> str:
    confidence = version.quality["mean_confidence"]
    return "" if confidence is None else f"{confidence:.2f}"


def _standing(version: VersionView) -> Text:
    if version.is_current:
        return Text("current", style="green")
    return Text(f"held back: {version.held_back}", style="yellow") if version.held_back else Text("")


# --- diff -----------------------------------------------------------------------------------------------------------


def diff(name: str, first: int | None, second: int | None, *, owner: str | None, as_json: bool) -> None:
    ledger = open_ledger(load_settings())
    history = transcripts.history(ledger, resolve(ledger, name, owner).partition_key)
    old, new = _pair(history, first, second)
    before, after = (transcripts.load(ledger, version.transcript_id) for version in (old, new))
    found, figures = compare(before, after), _figures(old, new, before, after)
    if as_json:
        output.print_json({"versions": [old.version, new.version], "figures": figures} | asdict(found))
        return
    _print_figures(old, new, figures, found)
    lines = [(change.start, _words(change)) for change in found.words]
    lines += [(change.start, _speakers(change)) for change in found.speakers]
    for _, line in sorted(lines, key=lambda timed: timed[0]):
        output.stdout().print(line)


def _pair(history: Sequence[VersionView], first: int | None, second: int | None) -> tuple[VersionView, VersionView]:
    """The versions named; in place of what is not named, what people most likely want to know about."""
    current = next((version for version in history if version.is_current), None)
    if first is not None:
        return _numbered(history, first), (_numbered(history, second) if second else current or history[-1])
    if len(history) < 2 or current is None:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "there are no two versions to compare")
    return (history[-2] if current is history[-1] else current), history[-1]


def _numbered(history: Sequence[VersionView], number: int) -> VersionView:
    for version in history:
        if version.version == number:
            return version
    raise PipelineError(ErrorCode.ARTIFACT_MISSING, f"version {number}")


def _figures(old: VersionView, new: VersionView, before: Transcript, after: Transcript) -> dict[str, list[Any]]:
    """Name -> its value in both."""
    both = ((old, before.quality), (new, after.quality))
    return {
        "words": [version.words for version, _ in both],
        "speakers": [version.speakers for version, _ in both],
        "language": [version.language for version, _ in both],
        "mean confidence": [quality.mean_confidence for _, quality in both],
        "low-confidence words": [quality.low_confidence_words for _, quality in both],
        "covered speech, s": [round(quality.covered_speech_seconds, 1) for _, quality in both],
        "doubtful, s": [round(quality.doubtful_seconds, 1) for _, quality in both],
        "repeated words": [quality.repeated_words for _, quality in both],
        "recogniser": [version.recogniser for version, _ in both],
        "diarizer": [version.diarizer for version, _ in both],
        "word times": [version.word_times for version, _ in both],
    }


def _print_figures(old: VersionView, new: VersionView, figures: dict[str, list[Any]], found: Differences) -> None:
    rows = output.table("", f"VERSION {old.version}", f"VERSION {new.version}")
    for name, values in figures.items():
        style = "" if values[0] == values[1] else "bold"
        rows.add_row(name, *(Text("" if value is None else plain(str(value)), style=style) for value in values))
    changed = sum(max(len(change.before), len(change.after)) for change in found.words)
    moved = sum(change.words for change in found.speakers)
    console = output.stdout()
    console.print(rows)
    console.print(f"{found.same_words} words the same, {changed} different, {moved} said by somebody else.")


def _words(change: WordChange) -> Text:
    line = Text(f"[{clock(change.start)}] ", style="dim")
    if change.before:
        line.append(f"-{plain(' '.join(change.before))}", style="not dim red")
    if change.after:
        line.append(" " if change.before else "")
        line.append(f"+{plain(' '.join(change.after))}", style="not dim green")
    return line


def _speakers(change: SpeakerChange) -> Text:
    line = Text(f"[{clock(change.start)}] ", style="dim")
    who = f"{plain(change.before or 'nobody')} -> {plain(change.after or 'nobody')}"
    noun = "word" if change.words == 1 else "words"
    return line.append(f"{change.words} {noun}: {who}", style="not dim cyan")


# --- promote, rollback ----------------------------------------------------------------------------------------------


def promote(name: str, version: int, *, owner: str | None, force: bool) -> None:
    configured = load_settings()
    ledger = open_ledger(configured)
    _promote(ledger, configured, resolve(ledger, name, owner), version, force=force)


def rollback(name: str, *, owner: str | None, force: bool) -> None:
    configured = load_settings()
    ledger = open_ledger(configured)
    file = resolve(ledger, name, owner)
    _promote(ledger, configured, file, _before_current(transcripts.history(ledger, file.partition_key)), force=force)


def _before_current(history: Sequence[VersionView]) -> int:
    """The newest version before the current one that was fit to be current, and is of the same bytes."""
    current = next((version for version in history if version.is_current), None)
    earlier = [
        version.version
        for version in history
        if current
        and version.version < current.version
        and version.held_back is None
        and version.source_sha256 == current.source_sha256
    ]
    if not earlier:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "no earlier version of the same content")
    return earlier[-1]


def _promote(ledger: Engine, configured: Settings, file: FileView, version: int, *, force: bool) -> None:
    """The version becomes current, and what people download, read and find follows; promoting it again rewrites it."""
    from transcribe_pipeline.resources.object_store import open_store
    from transcribe_pipeline.resources.results import publish, publish_insights, publish_page
    from transcribe_pipeline.resources.search_index import Search
    from transcribe_pipeline.speech.voices import Thresholds

    store = open_store(configured.resolved_store_url)
    record = transcripts.promote(ledger, file.partition_key, version, force=force)
    published = publish(ledger, store, configured.results_prefix, file.partition_key)
    output.note(f"Version {record.version} of {plain(file.file_name)} is current: {record.words} words.")
    shown = publish_page(ledger, store, configured, file.partition_key)
    told = publish_insights(ledger, store, configured, file.partition_key)
    for key in [*(export.object_key for export in published.files), shown.object_key, *told.values()]:
        typer.echo(store.url(key))
    if not told:
        output.note("This version has no insights yet; 'transcribe insight <file> --again' has them made.")
    try:
        Search(configured).publish(ledger, file.partition_key)
    except PipelineError as error:
        output.note(f"Search finds the other version until the index is reconciled: {error}")
    if file.partition_key in voices.outdated(ledger, file.owner, Thresholds.of(configured)):
        output.note(
            f"Voices have been named since; 'transcribe voices relabel --owner {plain(file.owner)}' applies it."
        )


# --- reprocess ------------------------------------------------------------------------------------------------------


def reprocess(
    names: Sequence[str],
    assignments: Sequence[str],
    *,
    within: Slice,
    every: bool,
    clear: bool,
    from_stage: str | None,
    wait: bool,
) -> None:
    from transcribe_pipeline.operations.requests import reprocess as process_again

    configured = load_settings()
    wishes = file_options.parse_assignments(assignments)
    ledger = open_ledger(configured)
    chosen = choose(ledger, names, within, every=every)
    keys = [file.partition_key for file in chosen]
    answers = process_again(
        ledger,
        open_artifacts(configured),
        configured,
        keys,
        wishes,
        clear=clear,
        from_stage=from_stage,
        actor=actor(),
    )
    begun = [answer.partition_key for answer in answers if not answer.is_refused]
    for key in begun:
        typer.echo(key)
    output.note(f"To be processed again: {len(begun)}. 'transcribe versions' and 'diff' compare the results.")
    finish(ledger, chosen, answers, wait=wait)


# --- options --------------------------------------------------------------------------------------------------------


def options(name: str | None, *, owner: str | None, as_json: bool, markdown: bool) -> None:
    configured = load_settings()
    if name is not None:
        _print_in_force(*_in_force(configured, name, owner), as_json=as_json)
    elif markdown:
        rows = [f"| `{name}` | {info.meaning} | {info.allowed} |" for name, info in file_options.OPTIONS.items()]
        typer.echo("\n".join(["| Option | Meaning | Allowed |", "|---|---|---|", *rows]))
    elif as_json:
        output.print_json({name: info._asdict() for name, info in file_options.OPTIONS.items()})
    else:
        table = output.table("OPTION", "MEANING", "ALLOWED")
        for option, info in file_options.OPTIONS.items():
            table.add_row(option, info.meaning, info.allowed)
        output.stdout().print(table)


def _in_force(configured: Settings, name: str, owner: str | None) -> tuple[FileView, Options]:
    from transcribe_pipeline.resources.file_options import options_of
    from transcribe_pipeline.resources.object_store import open_store

    file = resolve(open_ledger(configured), name, owner)
    store = open_store(configured.resolved_store_url)
    listed = store.find_upload(configured.uploads_prefix, file.object_key)
    sidecars = (listed and listed.sidecars) or ()
    return file, options_of(
        store, configured, file.object_key, sidecars, requested=file.requested_options, run_config={}
    )


def _print_in_force(file: FileView, in_force: Options, *, as_json: bool) -> None:
    if as_json:
        output.print_json(in_force.model_dump(mode="json"))
        return
    table = output.table("OPTION", "VALUE", "FROM")
    for option in file_options.OPTIONS:
        value = getattr(in_force, option)
        text = "" if value in (None, ()) else file_options.shown(value)
        table.add_row(option, plain(text), plain(in_force.source_of(option)))
    output.stdout().print(table)
    if in_force.given_transcript:
        output.note(f"Its text is given: {plain(in_force.given_transcript.object_key)}")
    if file.requested_options:
        output.note("Requested options stay for later generations; 'transcribe reprocess --clear' takes them back.")
