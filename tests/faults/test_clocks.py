"""Row 7: clocks that disagree. Only the database's counts."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Site, Speech, new_database, row
from tests.faults.invariants import Result, assert_sound

pytestmark = pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")

_SHIFTS = ["+2h", "-2h"]


@pytest.fixture
def site(tmp_path: Path, speech: Speech, postgres_url: str) -> Iterator[Site]:
    made = Site(
        tmp_path / "site",
        speech,
        TRANSCRIBE_DATABASE_URL=new_database(postgres_url),
        TRANSCRIBE_LEASE_SECONDS="20",
        FAKETIME_DONT_FAKE_MONOTONIC="1",  # a clock that is wrong, not one that runs at another speed
    )
    yield made
    made.close()


@row(7)
@pytest.mark.parametrize("shift", _SHIFTS)
def test_a_run_whose_clock_is_wrong_is_left_alone(site: Site, recording: Path, golden: Result, shift: str) -> None:
    """It works in another hour than the recoverer, and neither in the database's."""
    key = site.drop(recording, "ann")
    opposite = _SHIFTS[1 - _SHIFTS.index(shift)]
    with site.speech.held(), site.worker(key, under=("faketime", "-f", shift)) as run:
        site.speech.wait_until_asked()
        before = site.file(key)
        for clock in ("+0", opposite):
            site.look_for_stuck_files(under=("faketime", "-f", clock))
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
    site: Site, recording: Path, golden: Result, shift: str
) -> None:
    """No lease outlives its holder because somebody's clock was ahead."""
    key = site.drop(recording, "ann")
    with site.speech.held(), site.worker(key, under=("faketime", "-f", shift)) as run:
        site.speech.wait_until_asked()
        run.kill()
    site.recover(key)
    assert_sound(site, golden=golden, completed=[key])
