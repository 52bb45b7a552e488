"""What nobody needs any more: planned, shown, approved and removed; and what is past its retention."""

from collections import Counter

import dagster as dg
from pydantic import Field
from sqlalchemy import Engine

from transcribe_pipeline.assets.common import OWNERS, code_version
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.operations import retention as keeping
from transcribe_pipeline.operations.cleanup import applying, leftovers
from transcribe_pipeline.operations.cleanup.planning import make_plan
from transcribe_pipeline.operations.cleanup.plans import Plan, Site, Wishes
from transcribe_pipeline.partitions import PARTITION_KEY, partition_key
from transcribe_pipeline.resources.forgetting import Places
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import raise_failure

_PASS_SECONDS = 900.0
"""What a pass does not come to within this time is for the next one."""
_FAILED_FILES = 5_000


class PlanConfig(dg.Config):
    audio_days: float | None = Field(
        default=None,
        description="Also the 16 kHz audio of files completed so many days ago; it can be made again. None: no audio.",
    )


@dg.asset(group_name="operations", kinds={"obstore", "sqlalchemy"}, owners=OWNERS, code_version=code_version(1))
def deep_cleanup_plan(
    context: dg.AssetExecutionContext,
    config: PlanConfig,
    store: dg.ResourceParam[ObjectStore],
    ledger: dg.ResourceParam[Engine],
) -> dg.MaterializeResult[None]:
    """What of the store nobody needs any more, and why, as a plan. Deletes nothing.

    Look at it, then approve and apply it by its id: the job `deep_cleanup_apply`, or 'transcribe cleanup'.
    """
    site = Site(settings(), ledger, store)
    try:
        policy = keeping.Policy.load(site.configured)
        plan = make_plan(site, Wishes(audio_days=config.audio_days), policy)
    except PipelineError as error:
        raise_failure(error, context)
    return dg.MaterializeResult(metadata={"plan": plan.id, **_figures(plan)})


def _figures(plan: Plan) -> dict[str, dg.MetadataValue | int | float]:
    rows = [
        dg.TableRecord(
            {
                "kind": line.kind.value,
                "count": line.count,
                "bytes": line.size_bytes,
                "reason": line.reason,
                "examples": ", ".join(map(_nameless, line.examples)),
            }
        )
        for line in plan.summary()
    ]
    return {
        "objects_to_go": len(plan.items),
        "bytes_to_go": plan.size_bytes,
        "objects": plan.objects,
        "share": round(len(plan.items) / max(plan.objects, 1), 4),
        "held_files": plan.held_files,
        "working_files": plan.working_files,
        "unrecognised_objects": plan.unrecognised,
        **({"what_would_go": dg.MetadataValue.table(rows)} if rows else {}),
    }


def _nameless(key: str) -> str:
    """A key without what people called their file, or themselves: events stay when a file is forgotten.

    What is left of a partition key is its hash, by which 'transcribe ls' and the plan itself tell the file.
    """
    prefix, *parts = key.split("/")
    if prefix == settings().uploads_prefix:
        return f"{prefix}/…-{partition_key(key)[-12:]}"
    named = next((n for n, part in enumerate(parts) if PARTITION_KEY.fullmatch(part)), 0)
    return "/".join([prefix, f"…-{parts[named][-12:]}", *parts[named + 1 :]])


class CleanupConfig(dg.Config):
    plan_id: str = Field(description="Of a plan that `deep_cleanup_plan` or 'transcribe cleanup plan' has made.")
    apply: bool = Field(default=False, description="Do it. Without, it is only told whether it could be done.")
    approved_by: str = Field(
        default="",
        description="Your name, to approve the plan by this very run. Empty: somebody has approved it before.",
    )
    originals: list[str] = Field(
        default=[], description="Keys of those uploads, of the ones that the plan offers, that are to go as well."
    )
    even_if_large: bool = Field(default=False, description="Also if the plan takes more than half of everything.")


@dg.asset(group_name="operations", kinds={"obstore", "sqlalchemy"}, owners=OWNERS, code_version=code_version(1))
def deep_cleanup(
    context: dg.AssetExecutionContext,
    config: CleanupConfig,
    store: dg.ResourceParam[ObjectStore],
    ledger: dg.ResourceParam[Engine],
) -> dg.MaterializeResult[None]:
    """An approved plan, carried out: what it names goes into quarantine, and can be put back for some days.

    Refused as a whole if anything has changed since the plan was made.
    """
    site = Site(settings(), ledger, store)
    actor = f"run:{context.run_id}"
    try:
        policy = keeping.Policy.load(site.configured)
        if config.approved_by:
            applying.approve(site, policy, config.plan_id, config.approved_by)
        if not config.apply:
            plan = applying.check(site, policy, config.plan_id)
            context.log.warning("Nothing is moved. Launch with `apply: true` to go on.")
            return dg.MaterializeResult(metadata={"applied": False, **_figures(plan)})
        receipt = applying.apply(
            site,
            policy,
            config.plan_id,
            actor,
            originals=config.originals,
            even_if_large=config.even_if_large,
        )
    except PipelineError as error:
        raise_failure(error, context)
    return dg.MaterializeResult(
        metadata={
            "applied": True,
            "moved": receipt.moved.total(),
            "moved_bytes": receipt.bytes.total(),
            "unfinished_writes_ended": receipt.ended,
            "gone_already": receipt.gone_already,
            "left_alone": receipt.left_alone,
            "unnamed_originals": receipt.unnamed_originals,
            "restorable_until": receipt.restorable_until,
            **{f"moved_{kind.replace(' ', '_')}": count for kind, count in sorted(receipt.moved.items())},
        }
    )


deep_cleanup_apply = dg.define_asset_job(
    "deep_cleanup_apply",
    selection=[deep_cleanup],
    description="Carries out an approved cleanup plan. Without `apply: true` it only says whether it could.",
    tags={"dagster/max_retries": "0"},
)


class RetentionConfig(dg.Config):
    apply: bool = Field(default=False, description="Do it. Without, it is only told what would go.")
    limit: int = Field(default=500, gt=0, le=10_000, description="Files of one pass; the rest is for the next.")


@dg.asset(group_name="operations", kinds={"obstore", "sqlalchemy"}, owners=OWNERS, code_version=code_version(1))
def retention(
    context: dg.AssetExecutionContext,
    config: RetentionConfig,
    store: dg.ResourceParam[ObjectStore],
    ledger: dg.ResourceParam[Engine],
    search: dg.ResourceParam[Search],
) -> dg.MaterializeResult[None]:
    """Files past their retention, forgotten truly and everywhere, with a receipt; and quarantine past its days.

    Files under legal hold, and files at work, are left alone.
    """
    from transcribe_pipeline.resources.run_history import RunHistory  # Dagster's storages: 0.3 s

    configured = settings()
    places = Places(configured, ledger, store, RunHistory(context.instance), search.index)
    try:
        overview = keeping.look(places, keeping.Policy.load(configured), limit=config.limit)
        done = keeping.Forgotten()
        if config.apply:
            done = keeping.forget_due(places, overview, f"run:{context.run_id}", seconds=_PASS_SECONDS)
        expired = keeping.expired_quarantine(ledger, store, configured, apply=config.apply)
    except PipelineError as error:
        raise_failure(error, context)
    if not config.apply:
        context.log.warning("Nothing is deleted. Launch with `apply: true` to go on.")
    reasons = Counter(due.reason for due in overview.due)
    rows = [dg.TableRecord({"reason": reason, "files": count}) for reason, count in sorted(reasons.items())]
    return dg.MaterializeResult(
        metadata={
            "applied": config.apply,
            "due": len(overview.due),
            "held": overview.held,
            "interrupted": len(overview.interrupted),
            "forgotten": done.files,
            "left_alone": done.left_alone,
            "forgotten_bytes": done.bytes,
            "unproven": done.unproven,
            "complete": done.is_complete,
            "quarantine_objects": expired.objects,
            "quarantine_bytes": expired.bytes,
            "quarantine_held_plans": expired.held_plans,
            # No file is named: this record outlives them.
            **({"why": dg.MetadataValue.table(rows)} if rows else {}),
        }
    )


@dg.asset(group_name="operations", kinds={"obstore", "sqlalchemy"}, owners=OWNERS, code_version=code_version(1))
def failed_files(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[ObjectStore], ledger: dg.ResourceParam[Engine]
) -> dg.MaterializeResult[None]:
    """What files that failed have left behind, cleared away: partial work that nobody takes up, results without a
    transcript, writes that never ended, working folders of dead processes.

    Never the upload, nor what a redrive goes on with.
    """
    try:
        cleared = leftovers.clear(Site(settings(), ledger, store), limit=_FAILED_FILES, seconds=_PASS_SECONDS)
    except PipelineError as error:
        raise_failure(error, context)
    return dg.MaterializeResult(
        metadata={
            "files": cleared.files,
            "partials": cleared.partials,
            "results": cleared.results,
            "unfinished_writes": cleared.unfinished_writes,
            "bytes": cleared.bytes,
            "complete": cleared.is_complete,
        }
    )
