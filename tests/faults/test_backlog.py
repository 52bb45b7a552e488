"""More work than there is time for: backlogs, floods, and schedules that were missed (rows 41, 42, 47)."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest
import yaml
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorType
from dagster._core.test_utils import MockedRunLauncher, create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

from tests.e2e.deployment import ROOT, daemon
from tests.faults.harness import Site, eventually, row
from tests.operations.daily_report.activity import MIDNIGHT, File, record
from tests.world import World, embedded_world
from transcribe_pipeline import definitions as composition
from transcribe_pipeline import sensors
from transcribe_pipeline.definitions import defs
from transcribe_pipeline.ledger import leases
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.sensors import new_uploads
from transcribe_pipeline.stage import OWNER_TAG

OBJECTS = 10_000
GROWTH_BYTES = 30e6
"""Between the second tick and the last. Measured: none at all; allocators differ."""


@contextmanager
def dagster(
    home: Path, definitions: Callable[[], dg.Definitions], configuration: str = "dagster.yaml"
) -> Iterator[tuple[dg.DagsterInstance, WorkspaceProcessContext]]:
    """An instance with the limits of one of ours, on SQLite, and what Dagster's daemons see of `definitions`.

    Runs are put into the queue and given out again, and no process is started for them.
    """
    home.mkdir()
    limits = yaml.safe_load((ROOT / configuration).read_text())
    kept = {name: limits[name] for name in ("telemetry", "run_coordinator", "concurrency")}
    launcher = {"module": MockedRunLauncher.__module__, "class": MockedRunLauncher.__name__}
    (home / "dagster.yaml").write_text(yaml.safe_dump(kept | {"run_launcher": launcher}))
    origin = LoadableTargetOrigin(python_file=__file__, attribute=definitions.__name__)
    target = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(origin, location_name="transcribe_pipeline"))
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        (location,) = workspace.create_request_context().get_code_location_entries().values()
        assert location.load_error is None, location.load_error
        yield instance, workspace


# --- 41: a backlog --------------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path / "home", monkeypatch, search_model="none") as made:
        yield made


def tick(world: World, cursor: str | None) -> SensorExecutionData:
    """As the daemon has it evaluated."""
    resources = {"store": world.store, "ledger": world.ledger}
    with (
        dg.build_sensor_context(world.instance, cursor, resources=resources, definitions=defs) as context,
        partition_loading_context(dynamic_partitions_store=world.instance),
    ):
        return new_uploads.evaluate_tick(context)


def complete(world: World, requests: list[dg.RunRequest]) -> None:
    for request in requests:
        claim = leases.claim(
            world.ledger, f"{request.partition_key}", None, "run", lease_seconds=90, holder_finished=lambda _: False
        )
        leases.complete(world.ledger, claim)


@row(41)
def test_a_backlog_of_ten_thousand(world: World, monkeypatch: pytest.MonkeyPatch):
    """Work begins while most of it is still unknown, is shared by all owners, and takes no more memory over time."""
    for owner, number in (("ann", OBJECTS - 20), ("bob", 10), ("carl", 10)):
        folder = world.home / "store/uploads" / owner
        folder.mkdir(parents=True)
        for position in range(number):
            (folder / f"{position}.wav").touch()

    known, memory = [], []
    requested = Counter[str]()
    cursor: str | None = None
    with monkeypatch.context() as slow:
        slow.setattr(sensors, "_LISTING_SECONDS", 0.0)  # time for a single page of 1,000
        for _ in range(12):
            result = tick(world, cursor)
            cursor = result.cursor
            requests = list(result.run_requests or ())
            assert 0 < len(requests) <= sensors._REQUESTS_PER_TICK
            assert world.scalar("SELECT count(*) FROM media_file WHERE status = 'queued'") <= 20
            requested.update(request.tags[OWNER_TAG] for request in requests)
            known.append(world.scalar("SELECT count(*) FROM media_file"))
            complete(world, requests)
            memory.append(psutil.Process().memory_info().rss)
    assert known[:3] == [1_000, 2_000, 3_000]
    assert known[-1] == OBJECTS
    assert world.scalar("SELECT count(DISTINCT object_key) FROM media_file") == OBJECTS
    grown = memory[-1] - memory[1]
    print(f"{OBJECTS:,} objects in {len(memory)} ticks: {grown / 1e6:+.1f} MB from the second tick to the last")
    assert grown < GROWTH_BYTES
    # Theirs come last in the listing, and were still done before nearly all of ann's.
    assert requested["bob"] == requested["carl"] == 10
    assert 100 < requested["ann"] < 300

    new = world.put("dora/new.wav")
    result = tick(world, None)
    assert new in [request.partition_key for request in result.run_requests or ()]


# --- 42: a flood ----------------------------------------------------------------------------------------------------


class Queue:
    """The sensor and Dagster's own queue with the limits of a `dagster.yaml`; runs last as long as the test wants.

    In place of a run's work, a run that has begun holds its file's lease until `finish`, which completes both.
    """

    def __init__(self, world: World, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext) -> None:
        self._world, self._instance, self._workspace = world, instance, workspace
        self._coordinator = QueuedRunCoordinatorDaemon(interval_seconds=1)
        self._now = datetime.now(UTC)
        self._claims: dict[str, leases.Claim] = {}
        self.begun: list[str] = []
        """Owners of the runs that have begun, in order."""

    def turn(self) -> None:
        """A tick of the sensor, then the queue gives out the places that are free."""
        self._now += timedelta(seconds=6)
        with freeze_time(self._now):
            logger = logging.getLogger(__name__)
            list(execute_sensor_iteration(self._workspace, logger, None, None))
            list(self._coordinator.run_iteration(self._workspace))
        starting = self._instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING]), ascending=True)
        for run in starting:
            if run.run_id not in self._claims:
                key = run.tags["dagster/partition"]
                self._claims[run.run_id] = leases.claim(
                    self._world.ledger, key, None, run.run_id, lease_seconds=900, holder_finished=lambda _: False
                )
                self.begun.append(run.tags[OWNER_TAG])

    def finish(self) -> None:
        """The run that has worked longest is done."""
        run_id = next(iter(self._claims))
        leases.complete(self._world.ledger, self._claims.pop(run_id))
        self._instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "process_media"), run_id)


def only_uploads() -> dg.Definitions:
    """For the daemon to load: the sensor of uploads and nothing else that would look after runs."""
    whole = composition.build_defs()
    return dg.Definitions(
        assets=whole.assets, jobs=whole.jobs, sensors=[new_uploads], resources=whole.resources, executor=whole.executor
    )


@row(42)
@pytest.mark.parametrize(
    ("configuration", "most"),
    [
        # Room for two runs: those of the flood go first that wait in the queue already.
        pytest.param("dagster.yaml", 15, marks=pytest.mark.nightly),
        # Room for 20, and for five of an owner.
        ("deploy/dagster.yaml", 1),
    ],
)
def test_a_flood_does_not_hold_up_others(world: World, tmp_path: Path, configuration: str, most: int):
    """1,000 files of ann's, then three of bob's and three of carl's.

    :param most: so many of ann's begin before the last of the six.
    """
    for number in range(1_000):
        world.put(f"ann/{number:04}.wav")
    with dagster(tmp_path / "dagster", only_uploads, configuration) as (instance, workspace):
        queue = Queue(world, instance, workspace)
        for _ in range(2):
            queue.turn()
        assert set(queue.begun) == {"ann"}
        for owner in ("bob", "carl"):
            for number in range(3):
                world.put(f"{owner}/{number}.wav")
        before = len(queue.begun)
        queue.turn()
        while Counter(queue.begun) & Counter(bob=3, carl=3) != Counter(bob=3, carl=3):
            queue.finish()
            queue.turn()
            assert len(queue.begun) < before + 50
        since = queue.begun[before:]
        assert since.count("ann") <= most, since
        # And ann's go on.
        for _ in range(2):
            queue.finish()
        queue.turn()
        assert queue.begun[-1] == "ann"


@row(42)
@pytest.mark.nightly
def test_a_flood_with_real_runs(site: Site, recording: Path):
    """The same with a daemon, processes and transcripts."""
    for number in range(1_000):
        site.drop(recording, "ann", f"{number:04}.wav")
    with daemon(site):
        eventually(lambda: _completed(site, "ann") >= 2, "ann's files are begun with")
        late = [site.drop(recording, owner, f"{number}.wav") for owner in ("bob", "carl") for number in range(3)]
        before = _completed(site, "ann")
        for key in late:
            site.wait(key, lambda file: file.status is Status.COMPLETED, 900)
        overtaking = _completed(site, "ann") - before
        eventually(lambda: _completed(site, "ann") > before + overtaking, "ann's go on")
    print(f"6 files of 2 owners were done after {overtaking} of the 1,000 that were there before them")
    assert overtaking <= 20
    assert site.scalar("SELECT count(*) FROM media_file WHERE owner = 'ann'") == 1_000
    assert site.scalar("SELECT count(*) FROM media_file WHERE status = 'error'") == 0


def _completed(site: Site, owner: str) -> int:
    statement = "SELECT count(*) FROM media_file WHERE owner = :owner AND status = 'completed'"
    return int(site.scalar(statement, owner=owner))


# --- 47: schedules missed -------------------------------------------------------------------------------------------


def everything() -> dg.Definitions:
    """For the scheduler to load: with the settings of the test, not those of the process."""
    return composition.build_defs()


def ticks(instance: dg.DagsterInstance) -> dict[str, list[float]]:
    """Schedule -> times of its ticks, oldest first."""
    return {
        state.instigator_name: sorted(
            tick.timestamp for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
        )
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    }


@row(47)
def test_schedules_missed_for_days_are_caught_up_once(world: World, tmp_path: Path):
    """A daemon that was off for three days: of the 432 ticks of a schedule every ten minutes, one is made up for."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight - timedelta(days=4)
    record(world.ledger, [File("ann", (first - MIDNIGHT) / timedelta(hours=1) + 2)])
    with dagster(tmp_path / "dagster", everything) as (instance, workspace):

        def iterate(now: datetime) -> None:
            """What a daemon does that is started now: without `iteration_times`, which it keeps in memory."""
            errors = list(launch_scheduled_runs(workspace, logging.getLogger(__name__), now, iteration_times={}))
            assert not [error for error in errors if hasattr(error, "message")], errors

        iterate(first + timedelta(hours=3))  # as long ago as that the schedules are known to it
        iterate(first + timedelta(hours=3, minutes=11))
        before = ticks(instance)
        assert before["recover_stuck_files"]
        back = midnight + timedelta(hours=5, minutes=1)
        iterate(back)
        after = ticks(instance)
        iterate(back + timedelta(seconds=30))
        assert ticks(instance) == after
        made_up = {name: len(after[name]) - len(before[name]) for name in after}
        assert max(made_up.values()) == 1
        assert made_up["recover_stuck_files"] == 1
        # Every day that was missed has its report requested, all of them once.
        days = Counter(
            run.tags["dagster/partition"]
            for run in instance.get_runs()
            if run.tags.get("dagster/schedule_name") == "report_days"
        )
        assert days == {(first + timedelta(days=number)).date().isoformat(): 1 for number in range(4)}
