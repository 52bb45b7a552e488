"""Taking transcripts along: `export`, one file in one format, or many in an archive or a folder.

Reads the ledger alone; loads neither Dagster nor, but for the page with its recording inside, the object store.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from sqlalchemy import Engine

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import current_transcript, identities, open_ledger, resolve
from transcribe_pipeline.cli.output import ExitCode
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export import archive
from transcribe_pipeline.export.archive import Folders, Member, Recording
from transcribe_pipeline.export.formats import FORMATS
from transcribe_pipeline.export.insight_files import INSIGHT_FILES, Told
from transcribe_pipeline.export.options import ExportOptions
from transcribe_pipeline.export.script import Script
from transcribe_pipeline.ledger import files, insights
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.settings import load_settings

ZIP = "zip"
"""Not a format of its own: an archive of the others, of all of them where none is named."""
PAGE = "html"
"""The transcript page with the recording inside."""

_PAGE = 1_000
_NOTHING_TO_EXPORT = {ErrorCode.ARTIFACT_MISSING, ErrorCode.BAD_EXPORT}


def export(
    name: str | None,
    formats: Sequence[str],
    *,
    every: bool,
    owner: str | None,
    destination: Path | None,
    options: ExportOptions,
) -> None:
    """One format of one file is that file; anything more is a ZIP archive, or a folder if `destination` is one.

    Files of insights have formats of their own (`INSIGHT_FILES`). Where no format is named, those that there are come
    along, unless something is to be hidden.
    """
    if (name is None) != every:
        _refuse("Name a file, or say --all.")
    wanted = [format_name for format_name in dict.fromkeys(formats) if format_name != ZIP]
    if not formats and not every:
        _refuse("Name a format with --format.")
    if PAGE in formats and (every or len(formats) > 1 or options != ExportOptions(names=options.names)):
        _refuse("A page is written alone, of one file and unchanged: its recording would tell what was hidden.")
    if not _is_told_whole(options) and set(wanted) & set(INSIGHT_FILES):
        _refuse("Insights are written unchanged, in their own language: they would tell what was hidden.")
    ledger = open_ledger(load_settings())
    if name is None:
        _write_many(_of_all(ledger, owner, wanted, options), destination, is_zip=ZIP in formats)
        return
    file = resolve(ledger, name, owner)
    if PAGE in formats:
        _write_one(_page(ledger, file, _script(ledger, file, options)), destination)
        return
    folder = Folders(options).name(_recording(file))
    members = _members(ledger, file, wanted, options, folder)
    if formats == wanted and len(wanted) == 1:
        ((_, content),) = members
        _write_one(content, destination)
        return
    _write_many(members, destination, is_zip=ZIP in formats)


def _is_told_whole(options: ExportOptions) -> bool:
    return not options.redact and options.language == "original"


def _members(
    ledger: Engine, file: FileView, wanted: Sequence[str], options: ExportOptions, folder: str
) -> Iterator[Member]:
    """The files of one recording: those that are wanted, or else all that there are."""
    script = _script(ledger, file, options)
    yield from archive.members(script, [name for name in wanted if name in FORMATS] if wanted else FORMATS, folder)
    names = [name for name in wanted if name in INSIGHT_FILES]
    if names or (not wanted and _is_told_whole(options)):
        yield from _insight_members(ledger, file, names, options, folder)


def _insight_members(
    ledger: Engine, file: FileView, wanted: Sequence[str], options: ExportOptions, folder: str
) -> Iterator[Member]:
    transcript = current_transcript(ledger, file)
    assert transcript  # a script was made of it
    names = identities(ledger, file).names if options.names else {}
    told = Told.of(insights.seen(ledger, file.current_transcript_id or ""), transcript, names)
    for name in wanted or INSIGHT_FILES:
        content = INSIGHT_FILES[name].write(told)
        if content is not None:
            yield f"{folder}/{INSIGHT_FILES[name].file_name}", content
        elif wanted:
            raise PipelineError(ErrorCode.ARTIFACT_MISSING, f"this file has nothing for '{name}' yet")


def _script(ledger: Engine, file: FileView, options: ExportOptions) -> Script:
    transcript = current_transcript(ledger, file)
    if transcript is None:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "this file has no transcript yet")
    names = identities(ledger, file).names
    return Script.of(transcript, file_name=file.file_name, names=names, options=options)


def _page(ledger: Engine, file: FileView, script: Script) -> bytes:
    from transcribe_pipeline.resources.portable_page import portable_page

    transcript = current_transcript(ledger, file)
    assert transcript  # the script was made of it
    return portable_page(ledger, load_settings(), file, script, transcript)


def _of_all(ledger: Engine, owner: str | None, wanted: Sequence[str], options: ExportOptions) -> Iterator[Member]:
    """The files of all recordings; at the end a list of those that have none, with the reason."""
    folders = Folders(options)
    skipped = []
    keys = _partition_keys(ledger, owner)
    for number, key in enumerate(keys, start=1):
        found = files.find(ledger, key)
        if not found:
            continue  # forgotten meanwhile
        file = found[0]
        recording = _recording(file)
        folder = folders.name(recording)
        output.note(f"{number} of {len(keys)}: {folder}")
        try:
            yield from _members(ledger, file, wanted, options, folder)
        except PipelineError as error:
            if error.code not in _NOTHING_TO_EXPORT:
                raise
            skipped.append(folders.line(recording, error.sentence))
    if skipped:
        output.note(f"{len(skipped)} of {len(keys)} files have nothing to export; see {archive.SKIPPED}.")
        yield archive.SKIPPED, "".join(skipped).encode()


def _partition_keys(ledger: Engine, owner: str | None) -> list[str]:
    keys: list[str] = []
    page = files.list_files(ledger, owner=owner, limit=_PAGE)
    while page:
        keys += [file.partition_key for file in page]
        page = files.list_files(ledger, owner=owner, limit=_PAGE, after=page[-1].id)
    return keys


def _recording(file: FileView) -> Recording:
    return Recording(owner=file.owner, file_name=file.file_name, partition_key=file.partition_key)


# --- where to -------------------------------------------------------------------------------------------------------


def _write_one(content: bytes, destination: Path | None) -> None:
    if destination is None:
        sys.stdout.buffer.write(content)  # as bytes: CSV has line ends of its own
        sys.stdout.buffer.flush()
        return
    with archive.whole_file(destination) as out:
        out.write(content)


def _write_many(members: Iterator[Member], destination: Path | None, *, is_zip: bool) -> None:
    if destination is None:
        if sys.stdout.isatty():
            _refuse("An archive is not for the terminal: name a file or folder with --output, or pipe it on.")
        archive.write_zip(members, sys.stdout.buffer)
    elif destination.is_dir() or not (is_zip or destination.suffix.lower() == ".zip"):
        archive.write_folder(members, destination)
    else:
        with archive.whole_file(destination) as out:
            archive.write_zip(members, out)


def _refuse(reason: str) -> None:
    output.note(reason)
    raise typer.Exit(ExitCode.USAGE)
