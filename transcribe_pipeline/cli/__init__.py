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
