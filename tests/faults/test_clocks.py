"""Row 7: clocks that disagree. Only the database's counts."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Site, Speech, new_database, row
from tests.faults.invariants import Result, assert_sound

_SHIFTS = ["7200", "-7200"]
"""Seconds."""

# Not faketime: it leaves Python's waiting threads on the true clock and sets their deadlines by the false one.
_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME && getenv("CLOCK_SHIFT")) now->tv_sec += atol(getenv("CLOCK_SHIFT"));
    return result;
}
"""


@pytest.fixture(scope="module")
def wrong_clock(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, ...]]:
    """Seconds -> the beginning of a command whose process has a wall clock that is wrong by so much."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (apt install gcc)")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"]
    subprocess.run(command, input=_SOURCE.encode(), check=True)
    return lambda seconds: ("env", f"LD_PRELOAD={library}", f"CLOCK_SHIFT={seconds}")


@pytest.fixture
def site(tmp_path: Path, speech: Speech, postgres_url: str) -> Iterator[Site]:
    made = Site(
        tmp_path / "site",
        speech,
        TRANSCRIBE_DATABASE_URL=new_database(postgres_url),
        TRANSCRIBE_LEASE_SECONDS="20",
    )
    yield made
    made.close()


@row(7)
@pytest.mark.parametrize("shift", ["7200", pytest.param("-7200", marks=pytest.mark.nightly)])
def test_a_run_whose_clock_is_wrong_is_left_alone(
    site: Site, recording: Path, golden: Result, wrong_clock: Callable[[str], tuple[str, ...]], shift: str
) -> None:
    """It works in another hour than the recoverer, and neither in the database's."""
    key = site.drop(recording, "ann")
    opposite = _SHIFTS[1 - _SHIFTS.index(shift)]
    with site.speech.held(), site.worker(key, under=wrong_clock(shift)) as run:
        site.speech.wait_until_asked()
        before = site.file(key)
        for clock in ("0", opposite):
            site.look_for_stuck_files(under=wrong_clock(clock))
        after = site.file(key)
        assert before
        assert after
        assert (after.generation, after.run_id, after.status) == (before.generation, before.run_id, before.status)
        site.speech.gate.set()
        site.finish(run)
    assert_sound(site, golden=golden, completed=[key])


@row(7)
@pytest.mark.nightly
@pytest.mark.parametrize("shift", _SHIFTS)
def test_a_killed_run_whose_clock_was_wrong_is_recovered(
    site: Site, recording: Path, golden: Result, wrong_clock: Callable[[str], tuple[str, ...]], shift: str
) -> None:
    """No lease outlives its holder because somebody's clock was ahead."""
    key = site.drop(recording, "ann")
    with site.speech.held(), site.worker(key, under=wrong_clock(shift)) as run:
        site.speech.wait_until_asked()
        run.kill()
    site.recover(key)
    assert_sound(site, golden=golden, completed=[key])
