"""Whether a process is behind a run, asked of a real code server; and the runs that are ended because none is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._grpc.client import DagsterGrpcClient

from tests.operations.endless import endless
from tests.world import World, embedded_world
from transcribe_pipeline.ledger import leases
from transcribe_pipeline.operations import runs
from transcribe_pipeline.operations.runs import Process
from transcribe_pipeline.stage import GENERATION_TAG

SECONDS = 60


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@dataclass
class CodeServer:
    """`dagster api grpc`, as the daemon starts it, and the runs that it has been told to execute."""

    instance: dg.DagsterInstance
    process: psutil.Process
    client: DagsterGrpcClient

    def launch(self) -> dg.DagsterRun:
        socket = self.client.socket
        origin = GrpcServerCodeLocationOrigin(host="localhost", socket=socket)
        run = self.instance.create_run_for_job(
            endless, remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(origin, "__repository__"), "endless")
        )
        DefaultRunLauncher.launch_run_from_grpc_client(self.instance, run, self.client)
        wait_for(lambda: self.found(run).status is dg.DagsterRunStatus.STARTED)
        return self.found(run)

    def found(self, run: dg.DagsterRun) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run.run_id)
        assert found
        return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CodeServer]:
    socket = tmp_path / "s"
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "dagster", "api", "grpc", "--socket", str(socket)),
                *("-m", "tests.operations.endless", "--instance-ref", dg.serialize_value(instance.get_ref())),
            ],
            start_new_session=True,
        )
        made = CodeServer(instance, psutil.Process(process.pid), DagsterGrpcClient(socket=str(socket)))
        try:
            wait_for(lambda: _answers(made.client))
            yield made
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(client: DagsterGrpcClient) -> bool:
    try:
        return bool(client.ping(""))
    except Exception:
        return False


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path / "world", monkeypatch) as made:
        yield made


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that were started just now are looked at too."""
    monkeypatch.setattr(runs, "_LAUNCH_SECONDS", 0.0)


def test_a_run_lives_as_long_as_its_code_server_knows_its_process(server: CodeServer, world: World, at_once: None):
    def end_lost() -> list[str]:
        return runs.end_lost(world.ledger, server.instance, lease_seconds=90)

    run = server.launch()
    assert runs.process_of(server.instance, run) is Process.ALIVE
    assert end_lost() == []
    of_the_server_before = server.instance.create_run_for_job(endless, tags=run.tags)
    assert runs.process_of(server.instance, of_the_server_before) is Process.GONE
    server.process.suspend()
    try:
        assert runs.process_of(server.instance, run) is Process.UNKNOWN, "a server that is merely busy says nothing"
    finally:
        server.process.resume()
    for child in server.process.children(recursive=True):
        child.suspend()
    assert runs.process_of(server.instance, run) is Process.ALIVE
    os.killpg(server.process.pid, signal.SIGKILL)
    assert runs.process_of(server.instance, run) is Process.GONE
    assert end_lost() == [run.run_id]
    assert server.found(run).status is dg.DagsterRunStatus.FAILURE
    assert end_lost() == []


# --- by lease, where nobody knows of a process ----------------------------------------------------------------------


def started(world: World, key: str, *, generation: int = 1) -> dg.DagsterRun:
    tags = {"dagster/partition": key, GENERATION_TAG: str(generation)}
    return world.instance.create_run_for_job(endless, tags=tags, status=dg.DagsterRunStatus.STARTED)


def claim(world: World, key: str, run: dg.DagsterRun) -> None:
    leases.claim(world.ledger, key, None, run.run_id, lease_seconds=90, holder_finished=lambda _: False)


def pass_by(world: World, seconds: float) -> None:
    with world.ledger.begin() as connection:
        connection.exec_driver_sql(f"UPDATE media_file SET lease_until = lease_until - {seconds}")


def end_lost(world: World) -> list[str]:
    return runs.end_lost(world.ledger, world.instance, lease_seconds=90)


def test_a_run_that_does_not_renew_its_lease_is_ended(world: World, at_once: None):
    key = world.add()
    run = started(world, key)
    assert end_lost(world) == [], "it has not claimed its file yet"
    claim(world, key, run)
    assert end_lost(world) == []
    pass_by(world, 100)
    assert end_lost(world) == [], "it may only pause"
    pass_by(world, 100)
    assert end_lost(world) == [run.run_id]


def test_a_run_whose_file_somebody_else_has_is_ended_once_it_should_have_noticed(world: World, at_once: None):
    key = world.add()
    old = started(world, key)
    claim(world, key, old)
    with world.ledger.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE media_file SET generation = 2, status = 'pending', run_id = NULL, lease_owner = NULL"
        )
    assert end_lost(world) == [], "it may hear of it at its next beat"
    time.sleep(0.2)
    assert runs.end_lost(world.ledger, world.instance, lease_seconds=0.05) == [old.run_id]
    (ended,) = world.instance.get_runs()
    assert ended.tags["dagster/max_retries"] == "0", "nobody waits for what it would make"


def test_runs_that_were_started_just_now_are_left_alone(world: World):
    key = world.add()
    run = started(world, key)
    claim(world, key, run)
    pass_by(world, 1_000)
    assert end_lost(world) == []
