"""What watches the world: new uploads become runs, runs that died without a word are noted in the ledger, and runs
that nobody works on any more are ended.

The ledger holds the backlog. A tick of `new_uploads` registers what the store lists, as far as its time allows, and
requests as many runs as Dagster's queue may hold, unless intake is paused; the cursor is the key at which the next
tick's listing goes on.
"""

import time
from dataclasses import dataclass

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.jobs import process_media
from transcribe_pipeline.ledger import backlog, files, intake, leases
from transcribe_pipeline.operations import runs
from transcribe_pipeline.operations.recovery import UNANSWERED_SECONDS
from transcribe_pipeline.partitions import media_files
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.settings import Settings, settings
from transcribe_pipeline.stage import GENERATION_TAG, OWNER_TAG, TRIGGER_TAG, generation_of, stages_from

_LISTING_SECONDS = 20.0
"""Dagster ends a tick after 60 s and forgets what it did; this leaves room for a slow store and database."""
_REQUESTS_PER_TICK = 50
_SHARE_OF_QUEUE = 3 / 4
"""As much of Dagster's queue an owner may fill alone: whoever comes next finds room at once, however long it takes."""


@dataclass
class Listing:
    """What one tick saw."""

    cursor: str | None = None
    """Key to go on after; None when the listing is complete."""
    seen: int = 0
    new: int = 0
    changed: int = 0
    misplaced: int = 0
    refused: int = 0
    orphans: int = 0

    def __str__(self) -> str:
        parts = [f"{self.seen} files listed, {self.new} new, {self.changed} changed"]
        if self.misplaced:
            parts.append(f"{self.misplaced} without an owner's folder (put files in uploads/<owner>/)")
        if self.refused:
            parts.append(f"{self.refused} with unusable names")
        if self.orphans:
            noun = "sidecar" if self.orphans == 1 else "sidecars"
            parts.append(f"{self.orphans} {noun} without a recording")
        if self.cursor:
            parts.append("to be continued")
        return "; ".join(parts)


def register_uploads(store: ObjectStore, ledger: Engine, configured: Settings, cursor: str | None) -> Listing:
    """List uploads page by page into the ledger, from `cursor` on, until done or out of time."""
    deadline = time.monotonic() + _LISTING_SECONDS
    listing = Listing()
    for page in store.list_uploads(configured.uploads_prefix, after=cursor):
        listing.misplaced += page.misplaced
        listing.refused += page.refused
        listing.orphans += page.orphans
        if page.uploads:
            registered = files.register(ledger, page.uploads, settle_seconds=configured.settle_seconds)
            listing.seen += len(page.uploads)
            listing.new += registered.new
            listing.changed += registered.changed
            listing.refused += len(registered.refused)
        listing.cursor = page.resume_after
        if time.monotonic() > deadline and listing.cursor:
            return listing
    listing.cursor = None
    return listing


def runs_to_request(ledger: Engine, configured: Settings, pause: intake.Pause | None = None) -> list[backlog.RunNeeded]:
    """Files whose run should be requested now: those never answered first, then the fairest of the waiting.

    While intake is paused, a single one now and then, and none at most times.
    """
    if pause:
        return _probe(ledger, configured, pause)
    again = backlog.unanswered_requests(ledger, _REQUESTS_PER_TICK, older_than_seconds=UNANSWERED_SECONDS)
    room = min(configured.max_runs_queued - backlog.count_queued(ledger), _REQUESTS_PER_TICK - len(again))
    per_owner = max(1, round(configured.max_runs_queued * _SHARE_OF_QUEUE))
    return again + (backlog.next_requests(ledger, room, per_owner=per_owner) if room > 0 else [])


def _probe(ledger: Engine, configured: Settings, pause: intake.Pause) -> list[backlog.RunNeeded]:
    if not intake.may_probe(pause, configured.breaker_seconds):
        return []
    needed = backlog.next_requests(ledger, 1)
    if not needed:
        intake.offer_probe(ledger, pause)
    return needed if needed and intake.note_probe(ledger, pause) else []


def run_request(needed: backlog.RunNeeded) -> dg.RunRequest:
    return dg.RunRequest(
        # A run key is spent for ever, hence the generation in it.
        run_key=f"{needed.partition_key}:{needed.generation}",
        partition_key=needed.partition_key,
        asset_selection=[dg.AssetKey(stage) for stage in stages_from(needed.resume_from)]
        if needed.resume_from
        else None,
        tags={
            GENERATION_TAG: str(needed.generation),
            OWNER_TAG: tag_value(needed.owner),
            TRIGGER_TAG: needed.cause.value,
            "transcribe/file": tag_value(needed.file_name),
        },
    )


def tag_value(text: str) -> str:
    """Names as the Runs page can show them; the ledger has them as they are."""
    return "".join(c if c.isprintable() else "?" for c in text)[:120] or "?"


@dg.sensor(
    job=process_media,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers uploads in the ledger and requests a run for each new content, fairly between owners.",
)
def new_uploads(
    context: dg.SensorEvaluationContext, store: dg.ResourceParam[ObjectStore], ledger: dg.ResourceParam[Engine]
) -> dg.SensorResult | dg.SkipReason:
    configured = settings()
    listing = register_uploads(store, ledger, configured, context.cursor or None)
    pause = intake.watch(ledger, configured.breaker_failures)
    needed = runs_to_request(ledger, configured, pause)
    # Directly, not as a request of the tick: 0.06 s per 1,000 keys instead of 5 s.
    context.instance.add_dynamic_partitions(str(media_files.name), [run.partition_key for run in needed])
    backlog.mark_queued(ledger, needed)
    # Back to the beginning. Not an empty cursor: the daemon (1.13) would keep the old one, and no earlier key would
    # ever be listed again.
    cursor = listing.cursor or f"{configured.uploads_prefix}/"
    if not needed:
        context.update_cursor(cursor)
        paused = f" {pause}" if pause else ""
        return dg.SkipReason(f"{listing}; {backlog.count_queued(ledger)} queued.{paused}")
    context.log.info("%s; %d runs requested.", listing, len(needed))
    return dg.SensorResult(run_requests=[run_request(run) for run in needed], cursor=cursor)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    monitor_all_code_locations=False,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    description="Tells the ledger about runs that failed for good, above all those killed before they could.",
)
def failed_runs(context: dg.RunStatusSensorContext, ledger: dg.ResourceParam[Engine]) -> dg.SkipReason | None:
    run = context.dagster_run
    if run.tags.get("dagster/will_retry") == "true":
        return dg.SkipReason("The run will be retried.")
    return _note_end(context, ledger, _error_of(context))


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    monitor_all_code_locations=False,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    description="Tells the ledger about runs that were cancelled before they could say so themselves.",
)
def cancelled_runs(context: dg.RunStatusSensorContext, ledger: dg.ResourceParam[Engine]) -> dg.SkipReason | None:
    return _note_end(context, ledger, PipelineError(ErrorCode.CANCELLED))


def _note_end(context: dg.RunStatusSensorContext, ledger: Engine, error: PipelineError) -> dg.SkipReason | None:
    run = context.dagster_run
    partition_key = run.tags.get("dagster/partition")
    if not partition_key:
        return dg.SkipReason("Not a run of a media file.")
    max_tries = settings().max_tries
    if not leases.fail_abandoned(ledger, partition_key, generation_of(run), run.run_id, error, max_tries=max_tries):
        return dg.SkipReason("The ledger knows already.")
    context.log.info("Noted: %s", error)
    return None


def _error_of(context: dg.RunStatusSensorContext) -> PipelineError:
    """The error that the failed step named; a run that died without one was killed."""
    failures = context.for_run_failure().get_step_failure_events()
    for event in failures:
        details = event.step_failure_data.user_failure_data
        if details and "error_code" in details.metadata:
            return PipelineError(ErrorCode(str(details.metadata["error_code"].value)))
    return PipelineError(ErrorCode.INTERNAL if failures else ErrorCode.WORKER_LOST)


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process is gone or frozen, so that others can have their places.",
)
def lost_runs(context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[Engine]) -> dg.SkipReason:
    lost = runs.end_lost(ledger, context.instance, lease_seconds=settings().lease_seconds)
    if lost:
        context.log.warning("Nobody worked on these runs any more: %s.", ", ".join(lost))
    return dg.SkipReason(f"{len(lost)} runs ended that nobody worked on." if lost else "Every run is worked on.")


all_sensors = [new_uploads, failed_runs, cancelled_runs, lost_runs]
