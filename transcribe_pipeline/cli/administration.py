"""Commands of admins, with their options: how the installation is, and what is asked of it.

Registered beside the others by `cli`; like there, each is carried out by the module it imports.
"""

from datetime import UTC, datetime
from typing import Annotated

import typer

from transcribe_pipeline.cli.parameters import AnyStageName, Json, Name, Names, Owner, StateName

commands = typer.Typer()


@commands.command()
def health(
    as_json: Json = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="Print Prometheus' text format.")] = False,
) -> None:
    """How the installation is: a score, its reasons and what to do, the backlog, stages and services.

    Ends with 0 where all is well, 4 where something wants a look, 1 where it is poor.
    """
    from transcribe_pipeline.cli import health as reporting

    reporting.show(as_json=as_json, as_prometheus=prometheus)


@commands.command()
def report(
    day: Annotated[
        str | None, typer.Argument(help="2026-03-01, 'today' or 'yesterday' (UTC). Default: yesterday.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First day of a range.", show_default=False)] = None,
    until: Annotated[str | None, typer.Option(help="Last day of it.", show_default=False)] = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's figures.", show_default=False)] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: a line for each day and owner.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """What happened on a day: files, hours, words, languages, errors, costs, slowest stages, by owner.

    Example: transcribe report --since 2026-03-01 --until 2026-03-31 --csv
    """
    from transcribe_pipeline.cli import reports

    reports.show(day, since=since, until=until, owner=owner, as_json=as_json, as_csv=as_csv, as_markdown=as_markdown)


@commands.command()
def errors(
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/errors.md.")] = False,
) -> None:
    """Every error that there is: code, sentence, class, remedy, and what is tried by itself."""
    from transcribe_pipeline.cli import errors as catalogue

    catalogue.show(as_json=as_json, as_markdown=as_markdown)


# --- intake -----------------------------------------------------------------------------------------------------------

intake_app = typer.Typer(
    no_args_is_help=True,
    help="Whether waiting files get runs. Many failures of one kind pause that by themselves.",
)
commands.add_typer(intake_app, name="intake")


@intake_app.command("status")
def intake_status(as_json: Json = False) -> None:
    """Is intake paused, since when, and why?"""
    from transcribe_pipeline.cli import intake

    intake.status(as_json=as_json)


@intake_app.command("pause")
def intake_pause(reason: Annotated[str, typer.Argument(help="Why, for others to read.", show_default=False)]) -> None:
    """Let no waiting file begin until 'intake resume'. What runs goes on."""
    from transcribe_pipeline.cli import intake

    intake.pause(reason)


@intake_app.command("resume")
def intake_resume() -> None:
    """Let waiting files begin again, and those that failed for the reason of the pause."""
    from transcribe_pipeline.cli import intake

    intake.resume()


# --- cleanup ----------------------------------------------------------------------------------------------------------

cleanup_app = typer.Typer(
    no_args_is_help=True,
    help="What nobody needs any more: plan, look, approve, apply. What goes can be put back for some days.",
)
commands.add_typer(cleanup_app, name="cleanup")

PlanId = Annotated[str, typer.Argument(help="Id of a plan.", show_default=False)]


@cleanup_app.command("plan")
def cleanup_plan(
    audio_days: Annotated[
        float | None,
        typer.Option(help="Also the 16 kHz audio of files completed so many days ago.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what could go, and why. Moves nothing."""
    from transcribe_pipeline.cli import cleanup

    cleanup.plan(audio_days=audio_days, as_json=as_json)


@cleanup_app.command("plans")
def cleanup_plans(as_json: Json = False) -> None:
    """List plans, and which were applied."""
    from transcribe_pipeline.cli import cleanup

    cleanup.plans(as_json=as_json)


@cleanup_app.command("show")
def cleanup_show(plan_id: PlanId, as_json: Json = False) -> None:
    """What a plan would take, key by key."""
    from transcribe_pipeline.cli import cleanup

    cleanup.show(plan_id, as_json=as_json)


@cleanup_app.command("approve")
def cleanup_approve(plan_id: PlanId) -> None:
    """Say that a plan may be applied."""
    from transcribe_pipeline.cli import cleanup

    cleanup.approve(plan_id)


@cleanup_app.command("apply")
def cleanup_apply(
    plan_id: PlanId,
    original: Annotated[
        list[str] | None,
        typer.Option(help="Key of an upload that the plan offers and that may go; repeatable.", show_default=False),
    ] = None,
    even_if_large: Annotated[
        bool, typer.Option("--even-if-large", help="Also if it takes more than half of everything.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Move into quarantine what an approved plan names. Refused if anything has changed since."""
    from transcribe_pipeline.cli import cleanup

    cleanup.apply(plan_id, originals=original or [], even_if_large=even_if_large, yes=yes, as_json=as_json)


@cleanup_app.command("restore")
def cleanup_restore(plan_id: PlanId) -> None:
    """Put back what a plan took, as far as it is still in quarantine."""
    from transcribe_pipeline.cli import cleanup

    cleanup.restore(plan_id)


# --- requests ---------------------------------------------------------------------------------------------------------

Pattern = Annotated[
    str | None, typer.Option("--name", help="Only files whose names are like this: '*.mp3'.", show_default=False)
]
States = Annotated[list[StateName] | None, typer.Option("--status", help="Only files in this state; may be repeated.")]


@commands.command()
def cancel(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="All that wait or are at work.")] = False,
    owner: Owner = None,
    pattern: Pattern = None,
    states: States = None,
    as_json: Json = False,
) -> None:
    """Stop the work on files: what waits never begins, what runs ends. Transcripts that they have stay.

    Example: transcribe cancel interview.mp4
    """
    from transcribe_pipeline.cli import requests
    from transcribe_pipeline.ledger.slices import Slice
    from transcribe_pipeline.ledger.states import State

    within = Slice(owner=owner, names=pattern, states=tuple(State(each.value) for each in states or ()))
    requests.cancel(names or [], within=within, every=every, as_json=as_json)


@commands.command()
def redrive(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    from_stage: Annotated[
        AnyStageName | None,
        typer.Option("--from", help="Begin with this stage. Default: where each ended.", show_default=False),
    ] = None,
    owner: Owner = None,
    pattern: Pattern = None,
    states: States = None,
    code: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Only what ended with this error; may be repeated.")
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="Only what has ended at or after this time (UTC).")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the work until it is done.")] = False,
    as_json: Json = False,
) -> None:
    """Continue files that failed or were cancelled, with all their tries; what earlier stages made is used again.

    Example: transcribe redrive interview.mp4 --from transcription

    Example: transcribe redrive --code STORE_UNAVAILABLE --since 2026-03-01
    """
    from transcribe_pipeline.cli import requests
    from transcribe_pipeline.ledger.slices import Slice
    from transcribe_pipeline.ledger.states import State

    within = Slice(
        owner=owner,
        names=pattern,
        states=tuple(State(each.value) for each in states or ()),
        codes=requests.error_codes(code or ()),
        state_since=since.replace(tzinfo=UTC) if since else None,
    )
    requests.redrive(names or [], from_stage=from_stage, within=within, every=every, wait=wait, as_json=as_json)


@commands.command()
def recover(
    names: Names = None,
    owner: Owner = None,
    apply: Annotated[bool, typer.Option("--apply", help="Without FILE: do what 'stuck_files' would.")] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong with files, and act at once; without FILE, show what is stuck, and why.

    Named files wait for none of the rests that recovery keeps by itself. A live run is never disturbed.
    """
    from transcribe_pipeline.cli import requests

    requests.recover(names or [], owner=owner, apply=apply, as_json=as_json)


@commands.command()
def hold(
    name: Name,
    reason: Annotated[str | None, typer.Option(help="Why it must be kept.", show_default=False)] = None,
    release: Annotated[bool, typer.Option("--release", help="End the hold.")] = False,
    owner: Owner = None,
) -> None:
    """Keep a file and all that was made of it, whatever retention says, until the hold is released."""
    from transcribe_pipeline.cli import requests

    requests.hold(name, owner=owner, reason=reason, release=release)


@commands.command()
def history(name: Name, owner: Owner = None, as_json: Json = False) -> None:
    """What recovery, cleanup and admins did to a file: when, why, and who."""
    from transcribe_pipeline.cli import requests

    requests.history(name, owner=owner, as_json=as_json)
