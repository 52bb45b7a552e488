"""Pruning what Dagster remembers, which by itself it does for ever; what its pages need stays.

Kept, whatever their age: runs that have not ended, or belong to a backfill that has not; of every asset, partition and
check the run of its latest materialisation or evaluation; the latest run of every file, and every run of a file under
legal hold; all golden evaluations, which are compared over years. Runs of assets that are made every few minutes or
hours go after a week already.

What belongs here: which runs, ticks, files and partition keys may go. What does not: how a run is deleted
(`resources.run_history`). Dagster's public API is used where there is one; its tables, where it has none (1.13), to ask
for the runs behind the latest events. A test with a real instance holds them.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs.schema import BulkActionsTable, RunsTable
from dagster._core.storage.schedules.schema import JobTickTable
from sqlalchemy import ColumnElement, Connection, Engine, func, select

from transcribe_pipeline.ledger import cleanup
from transcribe_pipeline.partitions import media_files
from transcribe_pipeline.resources.run_history import RunHistory

FREQUENT = frozenset({"stuck_files", "health_report", "search_reconciliation"})
"""Assets whose runs are many and soon of no interest."""
FREQUENT_DAYS = 7.0
KEPT_FOR_EVER = frozenset({"golden_evaluation"})
_STRAY = timedelta(days=1)
"""A file of a run that there is not may belong to one that begins at this moment."""
_BATCH = 50
_PAGE = 1_000
_ASSET_EVENTS = (dg.DagsterEventType.ASSET_MATERIALIZATION.value, dg.DagsterEventType.ASSET_OBSERVATION.value)
_UNFINISHED_BACKFILLS = [
    status.value for status in (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)
]


@dataclass
class Pruned:
    runs: int = 0
    kept_runs: int = 0
    """Old enough to go, and needed by a page, or of a file under legal hold."""
    ticks: int = 0
    stray_files: int = 0
    """Logs and event databases of runs that there are not."""
    partition_keys: int = 0
    """Of files that the ledger knows no more."""
    bytes: int = 0
    """Of files that went. Room within databases comes back when they are vacuumed."""
    is_complete: bool = True
    """False: the time was up; the rest is for the next pass."""


def prune(
    instance: dg.DagsterInstance,
    ledger: Engine,
    *,
    days: float,
    seconds: float,
    apply: bool = True,
    now: datetime | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Pruned:
    """Delete runs that ended more than `days` ago and the like, the oldest first, until `seconds` are up.

    An interrupted pass is simply followed by the next. With `apply` False everything is counted, and nothing deleted.
    """
    now = now or datetime.now(UTC)
    deadline = clock() + seconds
    pruned = Pruned()
    history = RunHistory(instance)
    runs = _old_runs(instance, pruned, cleanup.held_partition_keys(ledger), days=days, now=now)
    if not apply:
        pruned.runs = len(runs)
        return pruned
    for start in range(0, len(runs), _BATCH):
        if clock() > deadline:
            pruned.is_complete = False
            return pruned
        batch = runs[start : start + _BATCH]
        pruned.bytes += history.delete_runs(batch)
        pruned.runs += len(batch)
    _prune_ticks(instance, pruned, now)
    _prune_stray_files(instance, pruned, now)
    _prune_partition_keys(instance, ledger, pruned)
    return pruned


# --- runs -----------------------------------------------------------------------------------------------------------


def _old_runs(
    instance: dg.DagsterInstance, pruned: Pruned, held: Collection[str], *, days: float, now: datetime
) -> list[str]:
    """Ids of the runs that may go, oldest first."""
    old, frequent = now - timedelta(days=days), now - timedelta(days=min(days, FREQUENT_DAYS))
    needed = _needed_runs(instance)
    ended = _ended_before(instance, old)
    candidates = [run_id for run_id, partition_key in ended if run_id not in needed and partition_key not in held]
    pruned.kept_runs = len(ended) - len(candidates)
    lately = [run_id for run_id, _ in _ended_before(instance, frequent, old, of_files=False) if run_id not in needed]
    return candidates + list(_only_of(instance, lately, FREQUENT))


def _ended_before(
    instance: dg.DagsterInstance, before: datetime, since: datetime | None = None, *, of_files: bool = True
) -> list[tuple[str, str | None]]:
    """(run id, partition key)."""
    conditions: list[ColumnElement[bool]] = [
        RunsTable.c.status.in_([status.value for status in FINISHED_STATUSES]),
        RunsTable.c.update_timestamp < before.replace(tzinfo=None),  # Dagster stores UTC without a zone
    ]
    if since is not None:
        conditions.append(RunsTable.c.update_timestamp >= since.replace(tzinfo=None))
    if not of_files:
        conditions.append(RunsTable.c.partition.is_(None))
    statement = select(RunsTable.c.run_id, RunsTable.c.partition).where(*conditions).order_by(RunsTable.c.id)
    with _runs(instance) as connection:
        return [(run_id, partition) for run_id, partition in connection.execute(statement)]


def _needed_runs(instance: dg.DagsterInstance) -> set[str]:
    """Ids of the runs that pages of the UI, and of our own, rest on."""
    events, checks = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
    latest_events = (
        select(func.max(events.id))
        .where(events.dagster_event_type.in_(_ASSET_EVENTS), events.asset_key.is_not(None))
        .group_by(events.asset_key, events.partition, events.dagster_event_type)
    )
    latest_checks = select(func.max(checks.id)).group_by(checks.asset_key, checks.check_name, checks.partition)
    forever = [dg.AssetKey(name).to_string() for name in KEPT_FOR_EVER]
    with _events(instance) as connection:
        needed = set(connection.execute(select(events.run_id).where(events.id.in_(latest_events))).scalars())
        needed |= set(connection.execute(select(checks.run_id).where(checks.id.in_(latest_checks))).scalars())
        needed |= set(connection.execute(select(events.run_id).where(events.asset_key.in_(forever))).scalars())
    runs = RunsTable.c
    latest_runs = select(func.max(runs.id)).where(runs.partition.is_not(None)).group_by(runs.partition)
    backfills = select(BulkActionsTable.c.key).where(BulkActionsTable.c.status.in_(_UNFINISHED_BACKFILLS))
    with _runs(instance) as connection:
        needed |= set(connection.execute(select(runs.run_id).where(runs.id.in_(latest_runs))).scalars())
        needed |= set(connection.execute(select(runs.run_id).where(runs.backfill_id.in_(backfills))).scalars())
    return needed


def _only_of(instance: dg.DagsterInstance, run_ids: Sequence[str], assets: Collection[str]) -> Iterator[str]:
    """Those that were to make none but these assets."""
    keys = {dg.AssetKey(name).to_string() for name in assets}
    events = SqlEventLogStorageTable.c
    for start in range(0, len(run_ids), _PAGE):
        page = run_ids[start : start + _PAGE]
        planned = select(events.run_id, events.asset_key).where(
            events.run_id.in_(page),
            events.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
        )
        made: dict[str, set[str]] = defaultdict(set)
        with _events(instance) as connection:
            for run_id, asset_key in connection.execute(planned):
                made[run_id].add(asset_key)
        yield from (run_id for run_id in page if run_id in made and made[run_id] <= keys)


# --- the rest -------------------------------------------------------------------------------------------------------


def _prune_ticks(instance: dg.DagsterInstance, pruned: Pruned, now: datetime) -> None:
    """As `dagster.yaml` says. Its daemon does so too, but only for what still ticks."""
    before = _count_ticks(instance)
    for state in instance.all_instigator_state():
        for status, days in instance.get_tick_retention_settings(state.instigator_type).items():
            if days > 0:
                moment = (now - timedelta(days=days)).timestamp()
                instance.purge_ticks(state.instigator_origin_id, state.selector_id, moment, [status])
    pruned.ticks = max(0, before - _count_ticks(instance))


def _count_ticks(instance: dg.DagsterInstance) -> int:
    with instance.schedule_storage.connect() as connection:  # type: ignore[union-attr]
        return int(connection.execute(select(func.count()).select_from(JobTickTable)).scalar_one())


def _prune_stray_files(instance: dg.DagsterInstance, pruned: Pruned, now: datetime) -> None:
    """What a deletion that was interrupted, or a run that was deleted while it printed, has left on this machine."""
    stray = [run_id for run_id, path in _run_files(instance) if _is_old(path, now) and not instance.has_run(run_id)]
    pruned.stray_files = len(stray)
    pruned.bytes += RunHistory(instance).delete_runs(stray)


def _run_files(instance: dg.DagsterInstance) -> Iterator[tuple[str, Path]]:
    storage, logs = instance.event_log_storage, instance.compute_log_manager
    if isinstance(storage, SqliteEventLogStorage):
        for run_id in storage.get_all_run_ids():
            if _is_run_id(run_id):  # not events without a run
                yield run_id, Path(storage.path_for_shard(run_id))
    if isinstance(logs, LocalComputeLogManager) and Path(logs._base_dir).is_dir():
        for folder in Path(logs._base_dir).iterdir():
            if _is_run_id(folder.name) and (folder / "compute_logs").is_dir():
                yield folder.name, folder


def _is_run_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


def _is_old(path: Path, now: datetime) -> bool:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) < now - _STRAY
    except FileNotFoundError:
        return False


def _prune_partition_keys(instance: dg.DagsterInstance, ledger: Engine, pruned: Pruned) -> None:
    """Of files that are no more. Dagster's are read first: a file is in the ledger before it is in Dagster."""
    name = str(media_files.name)
    known_to_dagster = set(instance.get_dynamic_partitions(name))
    known: set[str] = set()
    after = ""
    while page := cleanup.partition_keys(ledger, after=after):
        known.update(page)
        after = page[-1]
    if not known:
        return  # rather the wrong ledger than no files at all
    for partition_key in known_to_dagster - known:
        instance.delete_dynamic_partition(name, partition_key)
        pruned.partition_keys += 1


# --- Dagster's databases --------------------------------------------------------------------------------------------


def _runs(instance: dg.DagsterInstance) -> AbstractContextManager[Connection]:
    return instance.run_storage.connect()  # type: ignore[attr-defined,no-any-return]


def _events(instance: dg.DagsterInstance) -> AbstractContextManager[Connection]:
    return instance.event_log_storage.index_connection()  # type: ignore[attr-defined,no-any-return]
