"""Rows 1, 2, 5 and 6: the process of a run is killed, stopped, or frozen. Recovery alone brings its file back."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.harness import PATIENCE, Site, Speech, eventually, new_database, row
from tests.faults.invariants import Result, assert_sound
from transcribe_pipeline.ledger import timings
from transcribe_pipeline.ledger.models import Outcome, Status
from transcribe_pipeline.stage import STAGES

LEASE = "3"
"""Seconds; recovery waits for two of them before it takes a run for lost."""

INSIGHTS = {"analytics", "semantic_chunks", "chapters", "knowledge_graph", "questions", "speaker_names", "summary"}
AT_WORK = [stage for stage in STAGES if stage not in INSIGHTS]


@pytest.fixture
def site(tmp_path: Path, speech: Speech, postgres_url: str) -> Iterator[Site]:
    made = Site(
        tmp_path / "site",
        speech,
        TRANSCRIBE_DATABASE_URL=new_database(postgres_url),
        TRANSCRIBE_LEASE_SECONDS=LEASE,
    )
    yield made
    made.close()


@contextmanager
def killed_at(site: Site, key: str, point: str, stage: str = "") -> Iterator[None]:
    """A run is killed there; then comes what is done in the block."""
    with site.held(point, stage) as held, site.worker(key) as run:
        held.wait()
        run.kill()
        run.wait()
    yield


def assert_converged(site: Site, key: str, golden: Result, *, killed_in: str, tries: int = 2) -> None:
    """As if nothing had happened; what was finished before the kill was not done again."""
    assert_sound(site, golden=golden, completed=[key])
    file = site.file(key)
    assert file
    succeeded = [t.stage for t in timings.of_file(site.ledger, file.id) if t.outcome is Outcome.SUCCEEDED]
    twice = {stage for stage, times in Counter(succeeded).items() if times > 1}
    # A stage whose work was done and whose value was not stored yet has to be done again.
    assert twice <= {killed_in}
    assert file.generation == tries


# --- 1 --------------------------------------------------------------------------------------------------------------


@row(1)
@pytest.mark.parametrize(
    ("point", "stage"),
    [
        pytest.param("begins", "media_metadata", marks=pytest.mark.nightly),
        ("worked", "transcription"),
        ("record", ""),
        ("begins", "transcript_page"),
    ],
    ids=["upload stored", "transcribed, not stored", "within the record's transaction", "in delivery"],
)
def test_killed_at(site: Site, recording: Path, golden: Result, point: str, stage: str) -> None:
    key = site.drop(recording, "ann")
    with killed_at(site, key, point, stage):
        site.recover(key)
    assert_converged(site, key, golden, killed_in=stage or "transcript_record")


@row(1)
@pytest.mark.nightly
@pytest.mark.parametrize("point", ["begins", "worked"])
@pytest.mark.parametrize("stage", AT_WORK)
def test_killed_before_and_after_every_stage(
    site: Site, recording: Path, golden: Result, stage: str, point: str
) -> None:
    key = site.drop(recording, "ann")
    with killed_at(site, key, point, stage):
        site.recover(key)
    assert_converged(site, key, golden, killed_in=stage)


@row(1)
def test_killed_while_it_transcribes(site: Site, recording: Path, golden: Result) -> None:
    key = site.drop(recording, "ann")
    with site.speech.held(), site.worker(key) as run:
        site.speech.wait_until_asked()
        run.kill()
    site.recover(key)
    assert_converged(site, key, golden, killed_in="transcription")


@row(1)
def test_killed_every_time(site: Site, recording: Path) -> None:
    """Three tries, whoever it is that tries again; then it is set aside, and says why."""
    key = site.drop(recording, "ann")
    for again in ([], ["--recover"], ["--recover"]):
        eventually(lambda: site.speech.waiting == 0, "the request of the run that was killed is over")
        with site.speech.held(), site.worker(*again, key) as run:
            site.speech.wait_until_asked()
            run.kill()
            run.wait()
    site.recover(key)
    assert_sound(site, ended_as={key: Status.QUARANTINED})


# --- 2 --------------------------------------------------------------------------------------------------------------


@row(2)
def test_a_media_tool_dies_with_its_run(site: Site, recording: Path, golden: Result) -> None:
    """The run is killed while ffmpeg reads for it; a copy of it that lived on would hold disk and processors."""
    key = site.drop(recording, "ann")
    with site.worker(key) as run:
        tools = frozen_tools(psutil.Process(run.pid))
        run.kill()
        run.wait()
    eventually(lambda: not any(tool.is_running() for tool in tools), "the tool outlived its run")
    site.recover(key)
    assert_sound(site, golden=golden, completed=[key])


def frozen_tools(run: psutil.Process) -> list[psutil.Process]:
    """The first media tools that the run starts, stopped in the midst of their work."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        tools = []
        with suppress(psutil.Error):
            for child in run.children(recursive=True):
                if child.name() in ("ffmpeg", "ffprobe", "exiftool", "perl"):
                    child.suspend()
                    tools.append(child)
        if tools:
            return tools
        time.sleep(0.002)  # they work for a tenth of a second
    raise AssertionError("no media tool was started")


# --- 6 --------------------------------------------------------------------------------------------------------------


@row(6)
def test_a_frozen_run_that_thaws_writes_nothing(site: Site, recording: Path, golden: Result) -> None:
    key = site.drop(recording, "ann")
    with site.speech.held(), site.worker(key) as frozen:
        site.speech.wait_until_asked()
        os.kill(frozen.pid, signal.SIGSTOP)
        site.speech.gate.set()
        site.recover(key)
        before = site.file(key)
        assert before
        assert before.status is Status.COMPLETED
        os.kill(frozen.pid, signal.SIGCONT)
        site.finish(frozen)
    assert site.file(key) == before
    assert_converged(site, key, golden, killed_in="transcription")


@row(6)
@pytest.mark.nightly
def test_a_run_that_was_frozen_and_not_missed_goes_on(site: Site, recording: Path, golden: Result) -> None:
    """A lease that has run out without anybody taking the file is still its holder's."""
    key = site.drop(recording, "ann")
    with site.speech.held(), site.worker(key) as frozen:
        site.speech.wait_until_asked()
        os.kill(frozen.pid, signal.SIGSTOP)
        time.sleep(2 * float(LEASE))
        os.kill(frozen.pid, signal.SIGCONT)
        site.speech.gate.set()
        site.finish(frozen)
    assert_converged(site, key, golden, killed_in="", tries=1)
    assert frozen.wait(PATIENCE) == 0
