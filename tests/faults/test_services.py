"""Row 23: the speech service is busy, fails, or cannot be reached. (Language models: tests/language_models.)"""

from pathlib import Path

import pytest

from tests.faults.harness import Site, row
from tests.faults.invariants import Result, assert_sound, errors_are_clear
from tests.servers.openai_audio import Fault
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.states import UNFINISHED


@row(23)
def test_a_busy_service_is_asked_again(site: Site, recording: Path, golden: Result) -> None:
    key = site.drop(recording, "ann")
    site.speech.service.faults.extend(
        [Fault(429, (("Retry-After", "1"),)), Fault(500, body="<h1>oops</h1>"), Fault(529)]
    )
    site.work(key)
    assert not site.speech.service.faults
    assert_sound(site, golden=golden, completed=[key])


@row(23)
@pytest.mark.nightly  # 15 s until it is given up
def test_a_service_that_stays_down_is_told_and_recovered_from(site: Site, recording: Path, golden: Result) -> None:
    key = site.drop(recording, "ann")
    site.speech.service.faults.extend([Fault(503)] * 6)
    site.work(key)
    file = site.file(key)
    assert file
    assert (file.status in UNFINISHED, file.error_code) == (True, "SERVICE_UNAVAILABLE")
    site.overdue()
    site.recover(key)
    assert_sound(site, golden=golden, completed=[key])


@row(23)
def test_a_service_that_refuses_is_not_asked_again(site: Site, recording: Path) -> None:
    key = site.drop(recording, "ann")
    site.speech.service.faults.append(Fault(401, body="Incorrect API key provided: sk-canary"))
    site.work(key)
    assert not site.speech.service.faults
    errors_are_clear(site, key, Status.ERROR)
    file = site.file(key)
    assert file
    assert (file.error_code, "canary" in f"{file.error_text}") == ("SERVICE_REFUSED", False)
    assert "canary" not in site.output()
    assert_sound(site)
