"""The command line, at a glance: every command with its options; each is carried out by the module it imports.

Those imports stand inside the commands, so that `transcribe --help` loads no database driver and `transcribe ls` no
Dagster.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from transcribe_pipeline.cli.output import EXIT_CODES, Commands

app = typer.Typer(
    name="transcribe",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print local variables, which may hold passwords
    help="Recordings in, speaker-labelled transcripts out. Results go to stdout, progress to stderr.",
    epilog=EXIT_CODES,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="File name, partition key, object key or id.", show_default=False)]
Owner = Annotated[str | None, typer.Option(help="Only files of this owner.", show_default=False)]
StatusName = Literal["pending", "queued", "processing", "completed", "error"]
FormatName = Literal["srt", "vtt", "txt", "json", "csv"]


# --- setting up -----------------------------------------------------------------------------------------------------


@app.command()
def demo() -> None:
    """Transcribe a real conversation of two people, stage by stage, and show where the results are."""
    from transcribe_pipeline.cli import demonstration

    demonstration.run()


@app.command()
def doctor(
    as_json: Json = False,
    warm: Annotated[bool, typer.Option(help="Also load the models once; the very first time compiles.")] = False,
) -> None:
    """Check everything the pipeline depends on; each finding comes with its remedy."""
    from transcribe_pipeline.cli import setup

    setup.doctor(as_json=as_json, warm=warm)


@app.command()
def migrate() -> None:
    """Create the ledger's tables, or bring them to this program's version. Safe to repeat."""
    from transcribe_pipeline.cli import setup

    setup.migrate()


@app.command()
def config(
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table for the README.")] = False,
) -> None:
    """Show every setting with its value, default and source, or everything that is wrong with them."""
    from transcribe_pipeline.cli import setup

    setup.config(as_json=as_json, markdown=markdown)


# --- files ----------------------------------------------------------------------------------------------------------


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, readable=True)],
    owner: Annotated[str | None, typer.Option(help="Folder under uploads/. Default: your user name.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the work until it is done.")] = False,
) -> None:
    """Copy recordings into the store, where the pipeline picks them up. Prints partition and object keys.

    Example: transcribe add interview.mp4 --owner ann --wait
    """
    from transcribe_pipeline.cli import uploads

    uploads.add(paths, owner=owner, wait=wait)


@app.command()
def ls(
    owner: Owner = None,
    status: Annotated[StatusName | None, typer.Option(help="Only files in this state.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 100,
    as_json: Json = False,
) -> None:
    """List files, newest first."""
    from transcribe_pipeline.cli import files

    files.ls(owner=owner, status=status, limit=limit, as_json=as_json)


@app.command()
def show(name: Name, owner: Owner = None, as_json: Json = False) -> None:
    """Everything about one file: state, error and remedy, timings, versions, results, how the transcript begins."""
    from transcribe_pipeline.cli import files

    files.show(name, owner=owner, as_json=as_json)


@app.command()
def watch(
    name: Annotated[str | None, typer.Argument(help="One file. Default: all that are not done.")] = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Follow work until it is done. When piped: a line for every change."""
    from transcribe_pipeline.cli import watching

    watching.watch(name, owner=owner, as_json=as_json)


@app.command()
def export(
    name: Name,
    format_name: Annotated[FormatName, typer.Option("--format", "-f", help="What to write.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write. Default: stdout.")] = None,
    owner: Owner = None,
) -> None:
    """Write a transcript as subtitles, text, JSON or CSV.

    Example: transcribe export interview.mp4 --format srt -o interview.srt
    """
    from transcribe_pipeline.cli import files

    files.export(name, format_name, destination=output, owner=owner)


# --- versions -------------------------------------------------------------------------------------------------------

Version = Annotated[int, typer.Argument(min=1, help="As 'transcribe versions' numbers them.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Even if it holds much less, or is of other content.")]


@app.command("versions")
def list_versions(name: Name, owner: Owner = None, as_json: Json = False) -> None:
    """List the versions of a transcript: what made them, how good they are, which is current, what is held back."""
    from transcribe_pipeline.cli import versions

    versions.versions(name, owner=owner, as_json=as_json)


@app.command()
def diff(
    name: Name,
    first: Annotated[int | None, typer.Argument(help="A version.", show_default=False)] = None,
    second: Annotated[int | None, typer.Argument(help="Another. Default: the current one.", show_default=False)] = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Compare two versions: figures side by side, every word that differs, and words given to somebody else.

    With no version named: the current one and the newest, or, if that is current, the newest two.
    """
    from transcribe_pipeline.cli import versions

    versions.diff(name, first, second, owner=owner, as_json=as_json)


@app.command()
def promote(name: Name, version: Version, owner: Owner = None, force: Force = False) -> None:
    """Make a version the current one, and rewrite the result files from it; an older one as well as a held-back one."""
    from transcribe_pipeline.cli import versions

    versions.promote(name, version, owner=owner, force=force)


@app.command()
def rollback(name: Name, owner: Owner = None, force: Force = False) -> None:
    """Go back to the version before the current one."""
    from transcribe_pipeline.cli import versions

    versions.rollback(name, owner=owner, force=force)


@app.command()
def reprocess(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="FILE...", help="File names or keys.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All files; with --owner, all of that owner.")] = False,
    owner: Owner = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="May be repeated. 'NAME=' takes one back."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget the options of earlier requests first.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the work until it is done.")] = False,
) -> None:
    """Process files again, with other options or after a change of settings: each gets a new version of its transcript.

    The options stay with the file for later versions too. New uploads go first. Prints partition keys.

    Example: transcribe reprocess interview.mp4 --option model=small --option vocabulary="Acme, Zoë"
    """
    from transcribe_pipeline.cli import versions

    versions.reprocess(names or [], option or [], every=every, owner=owner, clear=clear, wait=wait)


@app.command()
def options(
    name: Annotated[str | None, typer.Argument(metavar="[FILE]", help="File name or key.", show_default=False)] = None,
    owner: Owner = None,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table for the documentation.")] = False,
) -> None:
    """List every option of a recording with its meaning; with FILE, what is in force for it and who decided.

    Later wins: settings, file of defaults (TRANSCRIBE_OPTIONS_FILE), sidecar FILE.options.yaml beside the recording,
    'transcribe reprocess --option', run config in the UI.
    """
    from transcribe_pipeline.cli import versions

    versions.options(name, owner=owner, as_json=as_json, markdown=markdown)


# --- choosing -------------------------------------------------------------------------------------------------------


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Recordings with references.")],
    manifest: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="What names cannot tell. Default: evaluation.yaml in FOLDER."),
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(help="A setup to compare; may be repeated. Default: the present settings.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for evaluation.md, .json and .png.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure setups on recordings whose truth is known: error rates, speakers, word times, speed and memory.

    Beside X.wav count X.ref.txt or X.txt (what is said), X.stm (with speakers and times), X.rttm (who speaks when),
    X.uem (what is scored) and X.json (words with their start). An evaluation.yaml lists recordings with what names
    cannot tell: {version: 1, recordings: {"calls/*.wav": {language: en}, noise.mp3: {speech: []}}}; also text, stm,
    rttm, uem and words (files), and group. Without a stated language the one that was heard decides how text compares.

    A candidate is 'ENGINE', 'ENGINE MODEL' or 'name=NAME,OPTION=VALUE,...' with the options of a file ('transcribe
    options') or the device. Recordings go through the whole pipeline, in a new process and a temporary home for each
    candidate; nothing of it appears among your files.

    Example: transcribe evaluate golden -o report --candidate "faster-whisper base" --candidate "parakeet"
    """
    from transcribe_pipeline.cli import evaluation

    evaluation.evaluate(folder, manifest=manifest, candidates=candidate or [], destination=output, as_json=as_json)


# --- voices ---------------------------------------------------------------------------------------------------------

voices_app = typer.Typer(
    no_args_is_help=True,
    help="Who speaks, across an owner's files. A voice that you name in one recording is named in all others."
    " Only what people confirm is learnt from, and everything can be undone.",
)
app.add_typer(voices_app, name="voices")

WhoseVoices = Annotated[str | None, typer.Option("--owner", help="Whose voices.", show_default=False)]
Profile = Annotated[str, typer.Argument(help="A profile's id, or its name where that is clear.", show_default=False)]
Relabel = Annotated[bool, typer.Option(help="Have Dagster name the speakers of all affected files again.")]


@voices_app.command("ls")
def voices_ls(owner: WhoseVoices = None, as_json: Json = False) -> None:
    """List known voices."""
    from transcribe_pipeline.cli import voices

    voices.ls(owner=owner, as_json=as_json)


@voices_app.command("show")
def voices_show(profile: Profile, owner: WhoseVoices = None, as_json: Json = False) -> None:
    """Which confirmed speakers a profile knows a voice from."""
    from transcribe_pipeline.cli import voices

    voices.show(profile, owner=owner, as_json=as_json)


@voices_app.command("confirm")
def voices_confirm(
    file: Name,
    speaker: Annotated[str, typer.Argument(help="Label in the transcript, such as SPEAKER_00.", show_default=False)],
    name: Annotated[str | None, typer.Argument(help="What that person is called.", show_default=False)] = None,
    profile: Annotated[
        str | None, typer.Option(help="Id of the profile, where several have that name.", show_default=False)
    ] = None,
    owner: Owner = None,
    relabel: Relabel = True,
    as_json: Json = False,
) -> None:
    """Say who a speaker is. A name that nobody has yet makes a new profile.

    Example: transcribe voices confirm interview.mp4 SPEAKER_00 "Ann Lee"
    """
    from transcribe_pipeline.cli import voices

    voices.confirm(file, speaker, name, profile=profile, owner=owner, relabel=relabel, as_json=as_json)


@voices_app.command("rename")
def voices_rename(
    profile: Profile,
    name: Annotated[str, typer.Argument(help="What that person is called.", show_default=False)],
    owner: WhoseVoices = None,
    relabel: Relabel = True,
    as_json: Json = False,
) -> None:
    """Call a known voice something else."""
    from transcribe_pipeline.cli import voices

    voices.rename(profile, name, owner=owner, relabel=relabel, as_json=as_json)


@voices_app.command("merge")
def voices_merge(
    source: Profile, into: Profile, owner: WhoseVoices = None, relabel: Relabel = True, as_json: Json = False
) -> None:
    """Two profiles are one person: SOURCE becomes part of INTO, which keeps its name."""
    from transcribe_pipeline.cli import voices

    voices.merge(source, into, owner=owner, relabel=relabel, as_json=as_json)


@voices_app.command("undo")
def voices_undo(
    decision: Annotated[int | None, typer.Argument(help="Number in the log. Default: the last that counts.")] = None,
    owner: WhoseVoices = None,
    relabel: Relabel = True,
    as_json: Json = False,
) -> None:
    """Take a decision back, as if it had never been made."""
    from transcribe_pipeline.cli import voices

    voices.undo(decision, owner=owner, relabel=relabel, as_json=as_json)


@voices_app.command("log")
def voices_log(owner: WhoseVoices = None, as_json: Json = False) -> None:
    """Every decision, oldest first, undone ones too."""
    from transcribe_pipeline.cli import voices

    voices.log(owner=owner, as_json=as_json)


@voices_app.command("relabel")
def voices_relabel(owner: WhoseVoices = None, as_json: Json = False) -> None:
    """Name the speakers of all affected files again, after --no-relabel or other thresholds."""
    from transcribe_pipeline.cli import voices

    voices.relabel(owner=owner, as_json=as_json)
