"""The command line, at a glance: every command with its options; each is carried out by the module it imports.

Those imports stand inside the commands, so that `transcribe --help` loads no database driver and `transcribe ls` no
Dagster.
"""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from transcribe_pipeline.cli import administration
from transcribe_pipeline.cli.output import EXIT_CODES, Commands
from transcribe_pipeline.cli.parameters import AnyStageName, Json, Name, Names, Owner, StateName

app = typer.Typer(
    name="transcribe",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print local variables, which may hold passwords
    help="Recordings in, speaker-labelled transcripts out. Results go to stdout, progress to stderr.",
    epilog=EXIT_CODES,
)

# An enumeration, since typer takes no list of literals. Named like their values.
FormatName = StrEnum(
    "FormatName",
    [
        "srt", "vtt", "ass", "txt", "md", "docx", "json", "csv", "tsv", "whisperx", "podcast",
        "rttm", "ctm", "audacity", "textgrid", "eaf",
        "summary", "insights", "chapters", "youtube", "ffmetadata", "podcast-chapters", "graph", "graphml", "analytics",
        "zip", "html",
    ],
)  # fmt: skip
KindName = StrEnum("KindName", ["segment", "chapter", "summary"])
StageName = Literal[
    "analytics", "semantic_chunks", "chapters", "knowledge_graph", "questions", "speaker_names", "summary"
]


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
    status: Annotated[StateName | None, typer.Option(help="Only files in this state.", show_default=False)] = None,
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


# --- reading and taking along ----------------------------------------------------------------------------------------


@app.command("search")
def search_transcripts(
    text: Annotated[str, typer.Argument(help='Words, "phrases", begin*, roughly~, -without.', show_default=False)],
    owner: Annotated[str | None, typer.Option(help="Only recordings of this owner.", show_default=False)] = None,
    speaker: Annotated[list[str] | None, typer.Option(help="Only what they say; may be repeated.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="ISO 639-1 code; may be repeated.")] = None,
    kind: Annotated[list[KindName] | None, typer.Option(help="Only what is said, chapters, summaries.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Added at or after this time (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Added before this time (UTC).")] = None,
    fuzzy: Annotated[bool, typer.Option("--fuzzy", help="Find misspelt words too.")] = False,
    meaning: Annotated[bool, typer.Option("--meaning", help="Find also what means the same.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Recordings on a page.")] = 10,
    page: Annotated[int, typer.Option(min=1, help="Which page.")] = 1,
    as_json: Json = False,
) -> None:
    """Find what was said: all words, in any form that the language knows, best recordings first.

    Example: transcribe search '"interest rate" bank*' --speaker "Ann Lee"
    """
    from transcribe_pipeline.cli import search
    from transcribe_pipeline.resources.search_index import Search
    from transcribe_pipeline.search.documents import Kind
    from transcribe_pipeline.search.index import Query, Scope
    from transcribe_pipeline.settings import load_settings

    query = Query(
        text=text,
        fuzzy=fuzzy,
        semantic=meaning,
        speakers=frozenset(speaker or ()),
        languages=frozenset(language or ()),
        kinds=frozenset(get_args(Kind)).intersection(kind or ()),
        since=since.replace(tzinfo=UTC) if since else None,
        until=until.replace(tzinfo=UTC) if until else None,
        offset=(page - 1) * limit,
        limit=limit,
    )
    # Whoever may run this may read the ledger and every recording; people who may not come through a server.
    scope = Scope.of(owner) if owner else Scope.everything()
    search.search(Search(load_settings()).index, query, scope, as_json=as_json)


@app.command("insight")
def what_was_said(
    name: Name,
    stage: Annotated[
        StageName | None, typer.Argument(help="One insight; all of them without.", show_default=False)
    ] = None,
    owner: Owner = None,
    versions: Annotated[bool, typer.Option("--versions", help="List what was made when, and by what.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Have Dagster make it again; speech is not touched.")] = False,
    as_json: Json = False,
) -> None:
    """What was said, in short: bottom line, chapters, questions, who talked how much; each statement with its moment.

    Example: transcribe insight meeting.mp4 summary
    """
    from transcribe_pipeline.cli import insight

    if again:
        insight.make_again(name, stage, owner=owner)
    else:
        insight.show(name, stage=stage, owner=owner, as_json=as_json, versions=versions)


@app.command("costs")
def model_costs(
    owner: Annotated[str | None, typer.Option(help="Only for this owner's files.", show_default=False)] = None,
    since: Annotated[datetime | None, typer.Option(help="Only from this time on (UTC).")] = None,
    as_json: Json = False,
) -> None:
    """What language models were asked: calls, tokens, seconds and dollars, by model."""
    from transcribe_pipeline.cli import spending

    spending.show(owner=owner, since=since.replace(tzinfo=UTC) if since else None, as_json=as_json)


@app.command("open")
def open_page(
    name: Name,
    owner: Owner = None,
    port: Annotated[int, typer.Option(help="Where pages are served.")] = 3001,
) -> None:
    """Open a transcript's page in the browser, with its recording; serves it until Ctrl-C if nothing else does."""
    from transcribe_pipeline.cli import serving

    serving.open_page(name, owner=owner, port=port)


@app.command()
def serve(port: Annotated[int, typer.Option(help="On 127.0.0.1.")] = 3001) -> None:
    """Serve transcript pages and their recordings to this machine, until Ctrl-C. There is no login."""
    from transcribe_pipeline.cli import serving

    serving.serve(port=port)


@app.command()
def export(
    name: Annotated[
        str | None, typer.Argument(help="File name, partition key, object key or id.", show_default=False)
    ] = None,
    format_name: Annotated[
        list[FormatName] | None,
        typer.Option("--format", "-f", help="What to write; may be repeated.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All files; with --owner, all of that owner.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File, .zip or folder to write. Default: stdout.")
    ] = None,
    owner: Owner = None,
    names: Annotated[bool, typer.Option(help="Say who speaks.")] = True,
    words_per_cue: Annotated[int | None, typer.Option(min=1, help="At most so many words in a subtitle.")] = None,
    language: Annotated[
        Literal["original", "en"], typer.Option(help="'en': the English translation, where one was made.")
    ] = "original",
    redact: Annotated[list[str] | None, typer.Option(help="Hide this word or phrase; may be repeated.")] = None,
    placeholder: Annotated[str, typer.Option(help="What stands where something is hidden.")] = "[redacted]",
) -> None:
    """Write transcripts as subtitles, documents, tables or annotations; several at once as a ZIP archive or a folder.

    'html' is the transcript page with the recording inside, to pass on.

    Example: transcribe export interview.mp4 --format docx -o interview.docx

    Example: transcribe export --all --owner ann -f srt -f md -o ann.zip
    """
    from transcribe_pipeline.cli import exporting
    from transcribe_pipeline.export.options import ExportOptions

    options = ExportOptions(
        names=names, words_per_cue=words_per_cue, language=language, redact=tuple(redact or ()), placeholder=placeholder
    )
    exporting.export(name, format_name or [], every=every, owner=owner, destination=output, options=options)


# --- everything known, and forgetting ---------------------------------------------------------------------------------


@app.command("export-data")
def export_data(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder or .zip to write.", show_default=False)],
    name: Annotated[str | None, typer.Argument(help="A file. Default: all of --owner.", show_default=False)] = None,
    owner: Annotated[str | None, typer.Option(help="An owner.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Write everything known of a file or an owner as JSON and CSV: metadata, versions, speakers, timings, runs.

    Example: transcribe export-data --owner ann -o ann-data.zip
    """
    from transcribe_pipeline.cli import data

    data.export_data(name, owner=owner, destination=output, as_json=as_json)


@app.command()
def forget(
    name: Annotated[str | None, typer.Argument(help="A file. Default: all of --owner.", show_default=False)] = None,
    owner: Annotated[str | None, typer.Option(help="An owner.", show_default=False)] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without, only show what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask no question.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a file, or all of an owner, everywhere, and prove it: the upload too.

    Shows what would go; --apply does it.
    """
    from transcribe_pipeline.cli import data

    data.forget(name, owner=owner, apply=apply, yes=yes, as_json=as_json)


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
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="All files; with --owner, all of that owner.")] = False,
    owner: Owner = None,
    pattern: Annotated[
        str | None, typer.Option("--name", help="Only files whose names are like this: '*.mp3'.")
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="Only files added at or after this time (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only files added before this time (UTC).")] = None,
    language: Annotated[str | None, typer.Option(help="Whose transcript is in this language, such as de.")] = None,
    model: Annotated[str | None, typer.Option(help="Whose transcript it made: 'base', 'faster-whisper base'.")] = None,
    from_stage: Annotated[
        AnyStageName | None,
        typer.Option("--from", help="Begin with this stage; what earlier ones made is used again.", show_default=False),
    ] = None,
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

    Example: transcribe reprocess --model base --language de --option model=small
    """
    from transcribe_pipeline.cli import versions
    from transcribe_pipeline.ledger.slices import Slice

    within = Slice(
        owner=owner,
        names=pattern,
        since=since.replace(tzinfo=UTC) if since else None,
        until=until.replace(tzinfo=UTC) if until else None,
        language=language,
        model=model,
    )
    versions.reprocess(
        names or [], option or [], within=within, every=every, clear=clear, from_stage=from_stage, wait=wait
    )


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


@voices_app.command("suggestions")
def voices_suggestions(file: Name, owner: Owner = None, as_json: Json = False) -> None:
    """Who the speakers of a file may be, by what is said, and where to listen before a name is accepted."""
    from transcribe_pipeline.cli import voices

    voices.suggestions(file, owner=owner, as_json=as_json)


@voices_app.command("accept")
def voices_accept(
    file: Name,
    speaker: Annotated[str, typer.Argument(help="Label in the transcript, such as SPEAKER_00.", show_default=False)],
    name: Annotated[
        str | None, typer.Argument(help="Which of the suggestions; the most confident without.", show_default=False)
    ] = None,
    owner: Owner = None,
    relabel: Relabel = True,
    as_json: Json = False,
) -> None:
    """Name a speaker as suggested, everywhere.

    Example: transcribe voices accept interview.mp4 SPEAKER_00
    """
    from transcribe_pipeline.cli import voices

    voices.accept(file, speaker, name, owner=owner, relabel=relabel, as_json=as_json)


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


# --- operations -------------------------------------------------------------------------------------------------------

app.add_typer(administration.commands)


# --- the search index -------------------------------------------------------------------------------------------------

index_app = typer.Typer(
    no_args_is_help=True,
    help="The search index. It holds nothing that the ledger does not know, and can always be made anew.",
)
app.add_typer(index_app, name="index")


@index_app.command("status")
def index_status(as_json: Json = False) -> None:
    """What the index holds, and whether that is all."""
    from transcribe_pipeline.cli import index

    index.status(as_json=as_json)


@index_app.command("reconcile")
def index_reconcile() -> None:
    """Compare the index with the ledger and repair only the difference. The schedule does this every 10 minutes."""
    from transcribe_pipeline.cli import index

    index.reconcile()


@index_app.command("rebuild")
def index_rebuild() -> None:
    """Build a new OpenSearch index while the present one is searched, compare it with the ledger, then take it over."""
    from transcribe_pipeline.cli import index

    index.rebuild()


@index_app.command("confirm")
def index_confirm() -> None:
    """After 'rebuild': delete the previous index."""
    from transcribe_pipeline.cli import index

    index.confirm()


@index_app.command("rollback")
def index_rollback() -> None:
    """After 'rebuild': search the previous index again."""
    from transcribe_pipeline.cli import index

    index.rollback()
