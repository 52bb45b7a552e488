"""Rows 3, 4 and 5: a whole machine is rebooted, or asked to stop. Dagster's daemon does everything by itself."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest

from tests.e2e.deployment import daemon
from tests.faults.harness import Site, Speech, eventually, row
from tests.faults.invariants import Result, assert_sound, nothing_is_lost, wait_until_at_rest
from transcribe_pipeline.ledger import timings
from transcribe_pipeline.ledger.models import Outcome, Status

_A_MACHINE = 600.0
"""Seconds for a daemon to start and to work on a few dozen files, on however busy a machine."""


def requested(site: Site) -> int:
    return int(site.scalar("SELECT count(*) FROM media_file WHERE requested_at IS NOT NULL"))


# --- 3 --------------------------------------------------------------------------------------------------------------


@row(3)
@pytest.mark.parametrize("files", [3, pytest.param(20, marks=pytest.mark.nightly)])
def test_a_reboot(site: Site, recording: Path, golden: Result, files: int) -> None:
    """Everything is killed at once, and starts again. The runs at work then fill Dagster's queue, and are dead."""
    keys = [site.drop(recording, f"owner{number % 3}", f"call {number}.wav") for number in range(files)]
    with site.speech.held(), daemon(site):
        eventually(lambda: requested(site) == files, "not everything was requested", _A_MACHINE)
        site.speech.wait_until_asked(seconds=_A_MACHINE)
        eventually(lambda: len(started(site)) == 2, "the queue has not let two runs go", _A_MACHINE)
        site.kill_everything()
    dead, killed_at = started(site), time.time()
    with daemon(site):
        wait_until_at_rest(site, *keys, seconds=_A_MACHINE)
        assert recovery_intervals(site, dead, killed_at) <= 2
        site.kill_everything()
    assert_sound(site, golden=golden, completed=keys)


def started(site: Site) -> set[str]:
    """Runs that Dagster takes to be at work."""
    with site.instance as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]))
    return {run.run_id for run in runs}


def recovery_intervals(site: Site, dead: set[str], killed_at: float) -> int:
    """How many ticks of the recovery schedule there were from then until the last of these runs had been ended."""
    with site.instance as instance:
        ended = [record.end_time for run in dead if (record := instance.get_run_record_by_id(run))]
        (schedule,) = [
            state for state in instance.all_instigator_state() if state.instigator_name == "recover_stuck_files"
        ]
        ticks = instance.get_ticks(schedule.instigator_origin_id, schedule.selector_id)
    assert all(ended), "a dead run was never ended"
    return sum(killed_at < tick.timestamp <= max(end for end in ended if end) for tick in ticks)


# --- 4 --------------------------------------------------------------------------------------------------------------


@row(4)
@pytest.mark.parametrize(("files", "kills"), [(30, 1), pytest.param(200, 3, marks=pytest.mark.nightly)])
def test_the_daemon_is_killed_while_it_submits(
    tmp_path: Path, speech: Speech, recording: Path, files: int, kills: int
) -> None:
    """Nothing is started, so that every run there is can be counted."""
    site = Site(tmp_path / "site", speech, TRANSCRIBE_MAX_RUNS_QUEUED=str(files))
    site.limit_runs(0)
    for number in range(files):
        site.drop(recording, f"owner{number % 3}", f"call {number}.wav")
    for kill in range(kills):
        with daemon(site):
            some = files * (kill + 1) // (kills + 1)
            eventually(lambda some=some: len(submitted(site)) >= some, "nothing was submitted", _A_MACHINE)  # type: ignore[misc]
            site.kill_everything()
    with daemon(site):
        eventually(lambda: len(submitted(site)) >= files, "not everything was submitted", _A_MACHINE)
        site.kill_everything()
    assert len(submitted(site)) == len(set(submitted(site))) == files
    nothing_is_lost(site)
    assert site.scalar("SELECT count(*) FROM media_file WHERE status = 'queued'") == files
    site.close()


def submitted(site: Site) -> list[str]:
    """Partition keys of Dagster's runs."""
    with site.instance as instance:
        return [run.tags["dagster/partition"] for run in instance.get_runs() if "dagster/partition" in run.tags]


# --- 5 --------------------------------------------------------------------------------------------------------------


@row(5)
def test_a_machine_that_is_shut_down_costs_no_try(
    tmp_path: Path, speech: Speech, recording: Path, golden: Result
) -> None:
    """SIGTERM to everything, as a service manager does. With a single try, what counted as one would be the end."""
    site = Site(tmp_path / "site", speech, TRANSCRIBE_MAX_TRIES="1")
    key = site.drop(recording, "ann")
    with site.speech.held(), daemon(site):
        site.speech.wait_until_asked(seconds=_A_MACHINE)
        run = site.run_process()
        for process in site.processes():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        site.speech.gate.set()
        eventually(lambda: not run.is_running(), "the run did not stop")
        site.kill_everything()
    file = site.file(key)
    assert file
    assert (file.status, file.error_code, file.tries) == (Status.QUEUED, "INTERRUPTED", 0)
    with daemon(site):
        wait_until_at_rest(site, key, seconds=_A_MACHINE)
        site.kill_everything()
    assert_sound(site, golden=golden, completed=[key])
    ends = [timing.error_code for timing in timings.of_file(site.ledger, file.id) if timing.outcome is Outcome.FAILED]
    assert ends == ["INTERRUPTED"]
    site.close()
