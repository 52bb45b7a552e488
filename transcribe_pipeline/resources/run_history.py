"""What Dagster remembers of one media file: runs, events, logs, and its name in other records.

What belongs here: finding and deleting it in Dagster's instance, on SQLite as on PostgreSQL. What does not: anything
that our own ledger or store hold.

Runs go by Dagster's public API. That leaves copies behind for which there is no API (1.13): the latest materialisation
of an asset, its cached partitions, evaluations of asset checks, run keys in ticks of sensors, partition keys in
backfills. Those are found in its tables. These are internals; tests with a real instance hold them.
"""

import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetKeyTable,
    DynamicPartitionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs.schema import (
    BackfillTagsTable,
    BulkActionsTable,
    KeyValueStoreTable,
    RunsTable,
    RunTagsTable,
)
from dagster._core.storage.schedules.schema import InstigatorsTable, JobTable, JobTickTable
from dagster._serdes import serialize_value
from sqlalchemy import Column, ColumnElement, Connection, and_, delete, func, or_, select, update

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.partitions import media_files
from transcribe_pipeline.resources.sqlite_files import scrub

_LOG = logging.getLogger(__name__)
_PARTITION_TAG = "dagster/partition"
_AT_WORK = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)
_UNFINISHED_BACKFILLS = [
    status.value for status in (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)
]
_ASSET_EVENTS = [kind.value for kind in dg.DagsterEventType if "ASSET" in kind.name]
_TICK_SECONDS = 90.0
"""Dagster ends a tick of a sensor after 60 s."""
_KEYS_BY_DATABASE = 20
"""So many keys the database looks for itself; for more, all records are read once."""
_OWN_TAGS = "transcribe/"
_FORGOTTEN = "forgotten"
"""Stands where a key stood in records that other files share."""


@dataclass(frozen=True)
class RunView:
    run_id: str
    job: str
    status: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    tags: dict[str, str]


class RunHistory:
    """Everything about the runs of media files. Opens no connection by itself."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    # --- looking ------------------------------------------------------------------------------------------------------

    def runs(self, partition_key: str) -> list[RunView]:
        """Every run of a file, oldest first."""
        records = self._instance.get_run_records(_of(partition_key), ascending=True)
        return [_view(record) for record in records]

    def run_ids(self, partition_key: str) -> tuple[str, ...]:
        """Of every run of a file, those too whose deletion was interrupted."""
        ids = {run.run_id for run in self._instance.get_runs(_of(partition_key))}
        table = SqlEventLogStorageTable
        with self._events_database() as connection:
            left = select(table.c.run_id).where(_of_partition(partition_key)).distinct()
            ids |= set(connection.execute(left).scalars())
        return tuple(sorted(ids))

    def has_finished(self, run_id: str) -> bool:
        """Also true for a run that there is not."""
        run = self._instance.get_run_by_id(run_id)
        return run is None or run.is_finished

    # --- stopping -----------------------------------------------------------------------------------------------------

    def terminate(self, partition_key: str) -> None:
        """Cancel every unfinished run of a file, as the UI does. A run that cannot be reached is left to itself.

        A queued run is cancelled at once; a run at work is interrupted, and ends in its own time.
        """
        for run in self._instance.get_runs(_of(partition_key, (*_WAITING, *_AT_WORK))):
            try:
                self._instance.run_coordinator.cancel_run(run.run_id)
            except Exception as error:  # whatever a launcher raises whose other half is gone
                _LOG.warning("Run %s could not be terminated: %s", run.run_id, type(error).__name__)

    def refuse_work(self, partition_key: str) -> None:
        """:raises PipelineError: LEASE_HELD, if a run works on this file, or a backfill is going to."""
        for run in self._instance.get_runs(_of(partition_key, _AT_WORK), limit=1):
            raise PipelineError(ErrorCode.LEASE_HELD, f"run {run.run_id}; terminate it in the UI, under Runs")
        statement = select(BulkActionsTable.c.key).where(
            BulkActionsTable.c.status.in_(_UNFINISHED_BACKFILLS), _mentions(BulkActionsTable.c.body, [partition_key])
        )
        with self._runs_database() as connection:
            backfill = connection.execute(statement).scalar()
        if backfill:
            raise PipelineError(ErrorCode.LEASE_HELD, f"backfill {backfill}; cancel it in the UI, under Runs")

    def count(self, partition_key: str, run_ids: Sequence[str]) -> dict[str, int]:
        """What Dagster holds of a file alone: kind -> how many; kinds of which there are none are left out.

        :param run_ids: `run_ids`, from when they could still be asked for.
        """
        ids = list({*run_ids, *self.run_ids(partition_key)})
        with self._runs_database() as connection:
            runs = _count(connection, RunsTable, RunsTable.c.run_id.in_(ids))
        with self._events_database() as connection:
            of_runs = or_(SqlEventLogStorageTable.c.run_id.in_(ids), _of_partition(partition_key))
            events = _count(connection, SqlEventLogStorageTable, of_runs)
            known = DynamicPartitionsTable.c.partition == partition_key
            partitions = _count(connection, DynamicPartitionsTable, known)
        counts = {
            "runs": runs,
            "run events": events,
            "run files": sum(path.exists() for run_id in ids for path in self._run_files(run_id)),
            "run logs": sum(len(self._logs(run_id)) for run_id in ids),
            "partition keys": partitions,
        }
        return {kind: number for kind, number in counts.items() if number}

    def count_mentions(self, keys: Sequence[str]) -> int:
        """Records that several files share and that hold one of these partition or object keys."""
        return sum(1 for _ in self._mentioning(keys)) if keys else 0

    # --- forgetting ---------------------------------------------------------------------------------------------------

    def cancel_waiting(self, partition_key: str) -> None:
        """Runs of this file that have not begun will not begin."""
        for run in self._instance.get_runs(_of(partition_key, _WAITING)):
            self._instance.report_run_canceled(run)

    def forget(self, partition_key: str, run_ids: Sequence[str]) -> None:
        """Delete the file's runs with their events and logs, and its partition key. May be repeated."""
        ids = list({*run_ids, *self.run_ids(partition_key)})
        self.delete_runs(ids)
        with self._events_database() as connection:
            connection.execute(delete(SqlEventLogStorageTable).where(_of_partition(partition_key)))
            connection.execute(
                delete(AssetCheckExecutionsTable).where(AssetCheckExecutionsTable.c.partition == partition_key)
            )
        self._forget_latest(partition_key, ids)
        self._instance.delete_dynamic_partition(str(media_files.name), partition_key)

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Delete runs with their events, logs and files. May be repeated. Returns the bytes of the files that went."""
        size = 0
        for run_id in run_ids:
            size += self._delete_logs(run_id)
            # As `instance.delete_run` does, but the run itself goes after everything that is found through it.
            self._delete_events(run_id)
            for path in self._run_files(run_id):
                size += path.stat().st_size if path.exists() else 0
                path.unlink(missing_ok=True)
            self._instance.run_storage.delete_run(run_id)
        with self._runs_database() as connection:
            # SQLite does not cascade.
            connection.execute(delete(RunTagsTable).where(RunTagsTable.c.run_id.in_(run_ids)))
        with self._events_database() as connection:
            of_runs = AssetCheckExecutionsTable.c.run_id.in_(run_ids)
            connection.execute(delete(AssetCheckExecutionsTable).where(of_runs))
        return size

    def _delete_events(self, run_id: str) -> None:
        storage = self._instance.event_log_storage
        if not isinstance(storage, SqliteEventLogStorage):
            storage.delete_events(run_id)
            return
        # Not its own database, which goes as a file: whoever opens it where it has gone already makes it anew.
        with storage.index_connection() as connection:
            storage.delete_events_for_run(connection, run_id)
        storage.free_concurrency_slots_for_run(run_id)

    def _delete_logs(self, run_id: str) -> int:
        folder = self._log_folder(run_id)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder else 0
        self._instance.compute_log_manager.delete_logs(prefix=[run_id])
        return size

    def _log_folder(self, run_id: str) -> Path | None:
        """Where a machine's own log manager keeps what a run printed."""
        manager = self._instance.compute_log_manager
        return Path(manager._base_dir) / run_id if isinstance(manager, LocalComputeLogManager) else None

    def forget_names(self, keys: Sequence[str]) -> None:
        """Put 'forgotten' in place of these partition and object keys in records that several files share.

        Takes until the ticks that run at this moment have ended, for they write back what they have read.
        """
        if not keys:
            return
        self._replace(keys)
        self._await_ticks()
        self._replace(keys)

    def _replace(self, keys: Sequence[str]) -> None:
        pattern = _pattern(keys)
        for database, column, id_, text in list(self._mentioning(keys)):
            table = column.table
            with database() as connection:
                values = {column: pattern.sub(_FORGOTTEN, _without_tags(text, keys))}
                connection.execute(update(table).where(table.c.id == id_, column == text).values(values))

    def _await_ticks(self) -> None:
        table = JobTickTable
        at_work = table.c.status == TickStatus.STARTED.value
        since = (datetime.now(UTC) - timedelta(seconds=_TICK_SECONDS)).replace(tzinfo=None)
        with self._ticks_database() as connection:
            ticks = connection.execute(select(table.c.id).where(at_work, table.c.timestamp > since)).scalars().all()
        deadline = time.monotonic() + _TICK_SECONDS
        while ticks and time.monotonic() < deadline:
            time.sleep(0.2)
            with self._ticks_database() as connection:
                ticks = connection.execute(select(table.c.id).where(at_work, table.c.id.in_(ticks))).scalars().all()

    def _forget_latest(self, partition_key: str, run_ids: Sequence[str]) -> None:
        """Assets keep a copy of their latest materialisation, and which partitions they have."""
        table = AssetKeyTable
        about = or_(
            table.c.last_run_id.in_(run_ids),
            _mentions(table.c.last_materialization, [partition_key]),
            _mentions(table.c.cached_status_data, [partition_key]),
        )
        with self._events_database() as connection:
            assets = connection.execute(select(table.c.asset_key).where(about)).scalars().all()
        for asset in assets:
            asset_key = dg.AssetKey.from_db_string(asset)
            if asset_key is None:
                continue
            latest = self._instance.fetch_materializations(asset_key, limit=1).records
            values = {
                "last_materialization": serialize_value(latest[0]) if latest else None,
                "last_run_id": latest[0].run_id if latest else None,
                "cached_status_data": None,
            }
            with self._events_database() as connection:
                connection.execute(update(table).where(table.c.asset_key == asset).values(values))

    def count_of_owner(self, tag: str, owner: str) -> dict[str, int]:
        """Backfills that carry an owner's tag."""
        with self._runs_database() as connection:
            backfills = _count(connection, BackfillTagsTable, _tagged(tag, owner))
        return {"backfills": backfills} if backfills else {}

    def forget_owner(self, tag: str, owner: str) -> None:
        """Delete the backfills that were launched for an owner."""
        ids = select(BackfillTagsTable.c.backfill_id).where(_tagged(tag, owner))
        with self._runs_database() as connection:
            found = connection.execute(ids).scalars().all()
            connection.execute(delete(BulkActionsTable).where(BulkActionsTable.c.key.in_(found)))
            connection.execute(delete(BackfillTagsTable).where(BackfillTagsTable.c.backfill_id.in_(found)))

    def scrub(self) -> list[str]:
        """Overwrite what deleted rows were, in SQLite; returns the names of databases that somebody kept busy."""
        paths = set()
        for database in (self._runs_database, self._events_database, self._ticks_database):
            with database() as connection:
                url = connection.engine.url
                if connection.dialect.name == "sqlite" and url.database and Path(url.database).is_file():
                    paths.add(Path(url.database))
        return [path.name for path in sorted(paths) if not scrub(path)]

    # --- where it is --------------------------------------------------------------------------------------------------

    def _shared_records(self) -> "list[tuple[Any, Column[Any]]]":
        """Text that may name a file among others: (database, column)."""
        return [
            (self._runs_database, BulkActionsTable.c.body),
            (self._runs_database, KeyValueStoreTable.c.value),
            (self._events_database, AssetKeyTable.c.last_materialization),
            (self._events_database, AssetKeyTable.c.cached_status_data),
            (self._events_database, AssetCheckExecutionsTable.c.evaluation_event),
            (self._ticks_database, JobTickTable.c.tick_body),
            (self._ticks_database, JobTable.c.job_body),
            (self._ticks_database, InstigatorsTable.c.instigator_body),
        ]

    def _mentioning(self, keys: Sequence[str]) -> "Iterator[tuple[Any, Column[Any], int, str]]":
        """(database, column, id of the row, text) of every shared record that holds one of these keys, at least one."""
        pattern = _pattern(keys)
        for database, column in self._shared_records():
            statement = select(column.table.c.id, column).where(column.is_not(None))
            if len(keys) <= _KEYS_BY_DATABASE:
                statement = statement.where(_mentions(column, keys))
            with database() as connection:
                for id_, text in connection.execute(statement):
                    if pattern.search(text):
                        yield database, column, id_, text

    def _run_files(self, run_id: str) -> list[Path]:
        """SQLite keeps the events of each run in a database of its own."""
        storage = self._instance.event_log_storage
        if not isinstance(storage, SqliteEventLogStorage):
            return []
        path = Path(storage.path_for_shard(run_id))
        return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))]

    def _logs(self, run_id: str) -> Sequence[Any]:
        manager = self._instance.compute_log_manager
        try:
            return manager.get_log_keys_for_log_key_prefix([run_id, "compute_logs"], ComputeIOType.STDERR)
        except FileNotFoundError:
            return ()

    @contextmanager
    def _runs_database(self) -> Iterator[Connection]:
        with self._instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
            yield connection

    @contextmanager
    def _events_database(self) -> Iterator[Connection]:
        with self._instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            yield connection

    @contextmanager
    def _ticks_database(self) -> Iterator[Connection]:
        with self._instance.schedule_storage.connect() as connection:  # type: ignore[union-attr]
            yield connection


def _of(partition_key: str, statuses: Sequence[dg.DagsterRunStatus] = ()) -> dg.RunsFilter:
    return dg.RunsFilter(tags={_PARTITION_TAG: partition_key}, statuses=statuses or None)


def _view(record: dg.RunRecord) -> RunView:
    run = record.dagster_run
    return RunView(
        run_id=run.run_id,
        job=run.job_name,
        status=run.status.value,
        created_at=record.create_timestamp.replace(tzinfo=record.create_timestamp.tzinfo or UTC),
        started_at=_moment(record.start_time),
        ended_at=_moment(record.end_time),
        tags=dict(run.tags),
    )


def _moment(unix_seconds: float | None) -> datetime | None:
    return None if unix_seconds is None else datetime.fromtimestamp(unix_seconds, UTC)


def _of_partition(partition_key: str) -> ColumnElement[bool]:
    """Events about assets of this partition, in the form that Dagster's index helps with."""
    table = SqlEventLogStorageTable
    return and_(
        table.c.asset_key.in_(select(AssetKeyTable.c.asset_key)),
        table.c.dagster_event_type.in_(_ASSET_EVENTS),
        table.c.partition == partition_key,
    )


def _tagged(tag: str, value: str) -> ColumnElement[bool]:
    return (BackfillTagsTable.c.key == tag) & (BackfillTagsTable.c.value == value)


def _mentions(column: "ColumnElement[Any]", keys: Sequence[str]) -> ColumnElement[bool]:
    return or_(*(column.contains(_as_written(key), autoescape=True) for key in keys))


def _pattern(keys: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(_as_written(key)) for key in sorted(keys, key=len, reverse=True)))


def _without_tags(text: str, keys: Sequence[str]) -> str:
    """Ticks keep the requests of their runs, with tags that say file name and owner."""
    if _OWN_TAGS not in text:
        return text

    def bare(request: dict[str, Any]) -> dict[str, Any]:
        if request.get("partition_key") not in keys:
            return request
        return request | {"tags": {tag: value for tag, value in request["tags"].items() if _OWN_TAGS not in tag}}

    return json.dumps(json.loads(text, object_hook=bare))


def _as_written(key: str) -> str:
    """As it stands within JSON."""
    return json.dumps(key)[1:-1]


def _count(connection: Connection, table: Any, condition: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
