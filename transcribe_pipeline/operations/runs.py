"""Dagster's runs as recovery sees them: which are unfinished, whether a process is behind them, and ending those that
have none.

What belongs here: asking Dagster's instance and its code servers. What does not: what a dead run means for its file
(`recovery`).

A run's lease says that it lives, but not that it is dead: between two stages nobody renews it, and there a run may wait
for a pool as long as another recording takes. Dagster itself does not look after the processes of its default launcher
(its run monitoring acts on time alone), so the code server that started a run is asked: it watches its children. One
that was started anew since does not know the run, and one that is gone has taken its children along, or left them to
the lease, which they have lost as soon as somebody else has it.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.ledger import recovery
from transcribe_pipeline.stage import generation_of

PARTITION_TAG = "dagster/partition"
_LAUNCHED_BY_TAG = ".dagster/grpc_info"
_MAX_RETRIES_TAG = "dagster/max_retries"
_WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)
_AT_WORK = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_ANSWER_SECONDS = 2
"""A tick of a schedule or sensor has 60 s for all runs at work, and the code servers of all may be busy."""
_LAUNCH_SECONDS = 60.0
"""From Dagster's word that it starts a run until the code server knows it: a second, more on a machine that swaps."""

_RUNS_PER_LOOK = 200
"""The longest at work first. Dagster starts no more than `max_concurrent_runs` at a time."""


class Process(StrEnum):
    """What is behind a run that Dagster takes to be at work."""

    ALIVE = "alive"
    """Its process is there; it may be stopped or hang."""
    GONE = "gone"
    UNKNOWN = "unknown"
    """Nobody to ask, or no answer: it may be alive."""


def unfinished(instance: dg.DagsterInstance) -> dict[str, list[dg.DagsterRun]]:
    """Runs that have not ended, by partition key."""
    found: dict[str, list[dg.DagsterRun]] = defaultdict(list)
    for run in instance.get_runs(dg.RunsFilter(statuses=[*_WAITING, *_AT_WORK])):
        if key := run.tags.get(PARTITION_TAG):
            found[key].append(run)
    return found


def is_at_work(run: dg.DagsterRun) -> bool:
    return run.status in _AT_WORK


def is_waiting(run: dg.DagsterRun) -> bool:
    """Has its process not been started yet?"""
    return run.status in _WAITING


def waiting_for_pool(instance: dg.DagsterInstance, *, lease_seconds: float) -> set[str]:
    """Ids of runs whose next step waits for a slot of its pool, or has had one for less than a lease."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return set()
    just_now = datetime.now(UTC) - timedelta(seconds=lease_seconds)
    return {
        step.run_id
        for pool in storage.get_concurrency_keys()
        for step in storage.get_concurrency_info(pool).pending_steps
        if step.assigned_timestamp is None or _aware(step.assigned_timestamp) > just_now
    }


def process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Process:
    """Ask whoever started the run. Its code server must be reachable from here: otherwise it counts as gone."""
    launcher = instance.run_launcher
    if launcher.supports_check_run_worker_health:
        from dagster._core.launcher import WorkerStatus

        gone = (WorkerStatus.FAILED, WorkerStatus.NOT_FOUND)
        return Process.GONE if launcher.check_run_worker_health(run).status in gone else Process.ALIVE
    launched_by = run.tags.get(_LAUNCHED_BY_TAG)
    return _known_to_server(run.run_id, json.loads(launched_by)) if launched_by else Process.UNKNOWN


def _known_to_server(run_id: str, address: Mapping[str, str]) -> Process:
    # gRPC takes 0.1 s to import, and is asked for only when a run looks dead.
    import grpc  # type: ignore[import-untyped]
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
    from dagster._serdes import deserialize_value

    client = DagsterGrpcClient(
        host=address["host"],
        port=int(address["port"]) if address.get("port") else None,
        socket=address.get("socket"),
        use_ssl=bool(address.get("use_ssl", False)),
    )
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run_id), timeout=_ANSWER_SECONDS)
    except DagsterUserCodeUnreachableError as error:
        # Nobody listens: the server has gone. One that takes too long may merely be busy.
        cause = error.__cause__
        is_refused = isinstance(cause, grpc.RpcError) and cause.code() is grpc.StatusCode.UNAVAILABLE
        return Process.GONE if is_refused else Process.UNKNOWN
    return Process.ALIVE if deserialize_value(answer, CanCancelExecutionResult).can_cancel else Process.GONE


def fail(instance: dg.DagsterInstance, run_id: str, message: str, *, retry: bool) -> bool:
    """End a run that will not end by itself, and give its pool slots to others. Returns whether it had not ended yet.

    One that somebody has told to stop ends as cancelled.

    :param retry: whether Dagster's own run retries may start it again.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    if not retry:
        # Before the failure: Dagster decides on a retry in the moment in which it hears of one.
        instance.add_run_tags(run_id, {_MAX_RETRIES_TAG: "0"})
        run = instance.get_run_by_id(run_id) or run
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return True


def end_lost(ledger: Engine, instance: dg.DagsterInstance, *, lease_seconds: float) -> list[str]:
    """Fail the runs that Dagster takes to be at work and that nobody works on; returns their ids.

    As long as they stand there they take the places of others, in the run queue above all: not even the run that
    recovers their files could begin. What becomes of the files is decided by Dagster's retry or by recovery.

    A run that holds a live lease is left alone. Of any other its process must be gone, or its lease must have run out a
    whole lease ago (it is frozen), or somebody else must have its file for as long; unless it waits for a pool.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=list(_AT_WORK)), limit=_RUNS_PER_LOOK, ascending=True)
    if not records:
        return []
    partition_keys = [record.dagster_run.tags.get(PARTITION_TAG, "") for record in records]
    held = recovery.holdings(ledger, partition_keys, lease_seconds=lease_seconds)
    in_line: set[str] | None = None
    lost = []
    for record in records:
        run = record.dagster_run
        holding = held.get(run.tags.get(PARTITION_TAG, ""))
        if _age(record) < _LAUNCH_SECONDS or (holding and holding.is_live_for(run.run_id)):
            continue
        if process_of(instance, run) is not Process.GONE:
            if holding is None or not _is_overtaken(run, record, holding, lease_seconds):
                continue
            if in_line is None:
                in_line = waiting_for_pool(instance, lease_seconds=lease_seconds)
            if run.run_id in in_line:
                continue
        is_present = holding is None or generation_of(run) in (None, holding.generation)
        if fail(instance, run.run_id, "Nobody works on this run any more.", retry=is_present):
            lost.append(run.run_id)
    return lost


def _is_overtaken(run: dg.DagsterRun, record: dg.RunRecord, holding: recovery.Holding, lease_seconds: float) -> bool:
    """Can this run, whose process may be there, write nothing more?"""
    if holding.run_id == run.run_id:
        return holding.lease_owner == run.run_id and holding.is_overdue
    if generation_of(run) in (None, holding.generation):
        return False  # it has not claimed its file yet
    overtaken = (datetime.now(UTC) - holding.status_since).total_seconds()
    return min(_age(record), overtaken) > 2 * lease_seconds


def _age(record: dg.RunRecord) -> float:
    """Seconds since Dagster began to start the run."""
    began = record.start_time or _aware(record.update_timestamp).timestamp()
    return datetime.now(UTC).timestamp() - began


def _aware(moment: datetime) -> datetime:
    """Dagster's databases keep UTC, not all of them with its zone."""
    return moment.replace(tzinfo=moment.tzinfo or UTC)
