"""Deep cleanup from the command line: `cleanup plan`, `plans`, `show`, `approve`, `apply`, `restore`."""

import getpass
from typing import TYPE_CHECKING

import typer

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import open_ledger
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.settings import load_settings

if TYPE_CHECKING:
    from transcribe_pipeline.operations.cleanup.plans import Plan, Site


def plan(*, audio_days: float | None, as_json: bool) -> None:
    from transcribe_pipeline.operations.cleanup.planning import make_plan
    from transcribe_pipeline.operations.cleanup.plans import Wishes
    from transcribe_pipeline.operations.retention import Policy

    site = _site()
    made = make_plan(site, Wishes(audio_days=audio_days), Policy.load(site.configured))
    _tell(made, as_json=as_json)
    output.note(f"Nothing was moved. To go on: transcribe cleanup approve {made.id}")


def plans(*, as_json: bool) -> None:
    from transcribe_pipeline.operations.cleanup.plans import all_plans

    found = list(all_plans(_site().quarantine))
    if as_json:
        output.print_json(
            [
                {
                    "id": each.id,
                    "made_at": each.made_at,
                    "items": len(each.items),
                    "bytes": each.size_bytes,
                    "receipt": receipt,
                }
                for each, receipt in found
            ]
        )
        return
    rows = output.table("PLAN", "MADE", "OBJECTS", "SIZE", "APPLIED")
    for each, receipt in found:
        applied = f"{receipt['applied_at']} by {plain(receipt['applied_by'])}" if receipt else ""
        made = f"{each.made_at:%Y-%m-%d %H:%M}Z"
        rows.add_row(each.id, made, f"{len(each.items):,}", output.size(each.size_bytes), applied)
    output.stdout().print(rows)


def show(plan_id: str, *, as_json: bool) -> None:
    from transcribe_pipeline.operations.cleanup.plans import Plan

    _tell(Plan.load(_site().quarantine, plan_id), as_json=as_json, items=True)


def approve(plan_id: str) -> None:
    from transcribe_pipeline.operations.cleanup import applying
    from transcribe_pipeline.operations.retention import Policy

    site = _site()
    applying.approve(site, Policy.load(site.configured), plan_id, _actor())
    output.note(f"Approved. To go on: transcribe cleanup apply {plan_id}")


def apply(plan_id: str, *, originals: list[str], even_if_large: bool, yes: bool, as_json: bool) -> None:
    from transcribe_pipeline.operations.cleanup import applying
    from transcribe_pipeline.operations.cleanup.plans import Plan
    from transcribe_pipeline.operations.retention import Policy

    site = _site()
    meant = Plan.load(site.quarantine, plan_id)
    if not yes:
        output.note(f"This moves up to {len(meant.items):,} objects, {output.size(meant.size_bytes)}, into quarantine.")
        if typer.prompt("Type the plan's id to go on", err=True) != plan_id:
            output.note("That is another plan. Nothing was moved.")
            raise typer.Exit(ExitCode.USAGE)
    receipt = applying.apply(
        site, Policy.load(site.configured), plan_id, _actor(), originals=originals, even_if_large=even_if_large
    )
    if as_json:
        output.print_json(vars(receipt))
        return
    rows = output.table("WHAT", "MOVED", "SIZE")
    for kind, count in sorted(receipt.moved.items()):
        rows.add_row(kind, f"{count:,}", output.size(receipt.bytes[kind]))
    output.stdout().print(rows)
    if receipt.ended:
        output.note(f"Unfinished writes ended: {receipt.ended:,}.")
    if receipt.left_alone:
        output.note(f"Left alone, since somebody asked for their files meanwhile: {receipt.left_alone:,}.")
    if receipt.unnamed_originals:
        output.note(f"Uploads that stay, since nobody named them: {receipt.unnamed_originals:,}.")
    output.note(f"Until {receipt.restorable_until}: transcribe cleanup restore {plan_id}")


def restore(plan_id: str) -> None:
    from transcribe_pipeline.operations.cleanup import applying

    outcome = applying.restore(_site(), plan_id, _actor())
    output.note(f"Put back: {outcome.put_back:,}.")
    if outcome.replaced:
        output.note(f"Left in quarantine, since others are in their place by now: {outcome.replaced:,}.")
        raise typer.Exit(ExitCode.PARTIAL)


def _site() -> "Site":
    from transcribe_pipeline.operations.cleanup.plans import Site
    from transcribe_pipeline.resources.object_store import open_store

    configured = load_settings()
    return Site(configured, open_ledger(configured), open_store(configured.resolved_store_url))


def _actor() -> str:
    return f"cli:{getpass.getuser()}"


def _tell(made: "Plan", *, as_json: bool, items: bool = False) -> None:
    if as_json:
        output.print_json(made.model_dump(mode="json"))
        return
    if items:
        listed = output.table("KIND", "SIZE", "KEY")
        for item in made.items:
            listed.add_row(item.kind.value, output.size(item.size_bytes), plain(item.key))
        output.stdout().print(listed)
    else:
        rows = output.table("KIND", "COUNT", "SIZE", "WHY", "FOR EXAMPLE")
        for line in made.summary():
            example = plain(line.examples[0])
            rows.add_row(line.kind.value, f"{line.count:,}", output.size(line.size_bytes), line.reason, example)
        output.stdout().print(rows)
    share = len(made.items) / max(made.objects, 1)
    output.note(f"Plan {made.id}: {len(made.items):,} of {made.objects:,} objects ({share:.0%}).")
    for count, why in (
        (made.held_files, "files under legal hold were left alone"),
        (made.working_files, "files at work were left alone"),
        (made.unrecognised, "objects are not of this program's making and were left alone"),
    ):
        if count:
            output.note(f"{count:,} {why}.")
    if not made.is_complete:
        output.note("There is more, for another plan after this one.")
