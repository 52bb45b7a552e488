"""What Dagster's instance tells of itself: daemons, the queue of runs, places in pools, the assets of operations.

Asked of its storage alone: no daemon, web server or code server has to be there.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._utils.tags import TagConcurrencyLimitsCounter

from transcribe_pipeline.operations.health.report import Daemon, Dagster, Operation
from transcribe_pipeline.stage import OWNER_TAG

if TYPE_CHECKING:
    from dagster._daemon.types import DaemonStatus  # loads all daemons, and Alembic: 0.35 s

_QUEUED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
_QUEUE_DAEMON = "QUEUED_RUN_COORDINATOR"
SPEECH_POOL = "speech"
SPEECH_STAGES = frozenset({"transcription", "alignment", "diarization"})
"""Those that take a place in that pool."""
_RUNS_TOLD = 1_000
"""More can hardly run at once; the rest is not looked at."""
_SILENT_SECONDS = 300.0
"""A daemon beats every 30 s, and while it works. Dagster itself waits for half an hour."""


def look(instance: dg.DagsterInstance, now: datetime, fail_windows: Mapping[str, timedelta]) -> Dagster:
    """:param fail_windows: asset -> from which age on it is overdue."""
    running = instance.get_run_records(dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES), limit=_RUNS_TOLD)
    oldest = next(iter(instance.get_run_records(_QUEUED, limit=1, ascending=True)), None)
    daemons = _daemons(instance, now)
    waits_for = ""
    if oldest:
        runs = [record.dagster_run for record in running]
        waits_for = _waits_for(instance, oldest.dagster_run, runs, daemons)
    return Dagster(
        daemons=daemons,
        queued_runs=instance.get_runs_count(_QUEUED) if oldest else 0,
        running_runs=len(running),
        most_runs=_most_runs(instance),
        speech_places=_pool_places(instance, SPEECH_POOL),
        oldest_queued_run=oldest.dagster_run.run_id if oldest else None,
        oldest_queued_seconds=(now - _aware(oldest.create_timestamp)).total_seconds() if oldest else None,
        oldest_waits_for=waits_for,
        idle_slot_holders=_idle_slot_holders(instance),
        operations=_operations(instance, now, fail_windows),
    )


def _most_runs(instance: dg.DagsterInstance) -> int | None:
    """Runs of files that Dagster lets work at once; None for any number."""
    queue = instance.get_concurrency_config().run_queue_config
    if queue is None:
        return None
    of_files = [
        limit["limit"]
        for limit in queue.tag_concurrency_limits
        if limit["key"] == PARTITION_NAME_TAG and not limit.get("value")
    ]
    return min((most for most in (queue.max_concurrent_runs, *of_files) if most >= 0), default=None)


def _pool_places(instance: dg.DagsterInstance, pool: str) -> int | None:
    known = {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
    return known.get(pool, instance.get_concurrency_config().pool_config.default_pool_limit)


def _daemons(instance: dg.DagsterInstance, now: datetime) -> list[Daemon]:
    def daemon(name: str, status: "DaemonStatus") -> Daemon:
        beat = status.last_heartbeat
        silent = max(now.timestamp() - beat.timestamp, 0) if beat else None
        is_alive = bool(status.healthy) and silent is not None and silent < _SILENT_SECONDS
        return Daemon(name=name, healthy=is_alive, seconds_since_heartbeat=silent)

    statuses = sorted(instance.get_daemon_statuses().items())
    return [daemon(name, status) for name, status in statuses if status.required]


def _waits_for(
    instance: dg.DagsterInstance,
    waiting: dg.DagsterRun,
    running: Sequence[dg.DagsterRun],
    daemons: Sequence[Daemon],
) -> str:
    """As the queue's daemon decides, in its order."""
    if any(daemon.name == _QUEUE_DAEMON and not daemon.healthy for daemon in daemons):
        return "the daemon that starts queued runs, which gives no sign of life"
    queue = instance.get_concurrency_config().run_queue_config
    if queue and 0 <= queue.max_concurrent_runs <= len(running):
        return f"a place among the runs: {len(running)} of {queue.max_concurrent_runs} are taken"
    if queue and TagConcurrencyLimitsCounter(list(queue.tag_concurrency_limits), running).is_blocked(waiting):
        file = waiting.tags.get(PARTITION_NAME_TAG)
        if file and any(run.tags.get(PARTITION_NAME_TAG) == file for run in running):
            return "another run of the same file"
        if file and sum(PARTITION_NAME_TAG in run.tags for run in running) >= (_most_runs(instance) or 0) > 0:
            return "a place among the runs of files"
        owner = waiting.tags.get(OWNER_TAG)
        busy = sum(run.tags.get(OWNER_TAG) == owner for run in running)
        return f"the owner's other runs: {busy} of them are at work"
    concurrency = waiting.run_op_concurrency
    pools = sorted(concurrency.all_pools or ()) if concurrency else []
    full = [pool for pool in pools if _is_full(instance, pool)]
    if full:
        return f"its turn, or a place in the pool '{full[0]}'"
    return "its turn"


def _is_full(instance: dg.DagsterInstance, pool: str) -> bool:
    places = _pool_places(instance, pool)
    return places is not None and instance.event_log_storage.get_concurrency_info(pool).active_slot_count >= places


def _idle_slot_holders(instance: dg.DagsterInstance) -> list[str]:
    storage = instance.event_log_storage
    holders = {
        run_id
        for pool in storage.get_concurrency_keys()
        for run_id in storage.get_concurrency_info(pool).active_run_ids
    }
    if not holders:
        return []
    at_work = dg.RunsFilter(run_ids=sorted(holders), statuses=IN_PROGRESS_RUN_STATUSES)
    return sorted(holders - {run.run_id for run in instance.get_runs(at_work)})


def _operations(instance: dg.DagsterInstance, now: datetime, fail_windows: Mapping[str, timedelta]) -> list[Operation]:
    keys = [dg.AssetKey(name) for name in fail_windows]
    made = {
        record.asset_entry.asset_key.to_user_string(): record.asset_entry.last_materialization
        for record in instance.get_asset_records(keys)
    }
    found = []
    for name, window in fail_windows.items():
        latest = made.get(name)
        at = datetime.fromtimestamp(latest.timestamp, UTC) if latest else None
        is_overdue = at is not None and now - at > window
        found.append(Operation(name=name, last_success=at, is_overdue=is_overdue, figures=_figures(latest)))
    return found


def _figures(made: dg.EventLogEntry | None) -> dict[str, float]:
    """The numbers among an asset's metadata."""
    metadata = made.asset_materialization.metadata if made and made.asset_materialization else {}
    return {name: value.value for name, value in metadata.items() if isinstance(value.value, int | float)}


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
