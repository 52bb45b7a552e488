"""`transcribe intake`: what an admin sees and says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, embedded_world
from transcribe_pipeline.cli import intake


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch) as made:
        yield made


def test_pausing_and_resuming(world: World, capsys: pytest.CaptureFixture[str]):
    intake.status(as_json=False)
    assert capsys.readouterr().out == "Intake is open: waiting files are taken in turn.\n"
    intake.pause("moving\x1b[31m the store")
    intake.pause("again")
    assert capsys.readouterr().err.splitlines() == [
        "Intake is paused; 'transcribe intake resume' ends that.",
        "Intake was paused already.",
    ]
    intake.status(as_json=False)
    shown = capsys.readouterr().out
    assert "moving" in shown
    assert "\x1b" not in shown
    intake.status(as_json=True)
    assert json.loads(capsys.readouterr().out)["paused"] is True
    intake.resume()
    intake.resume()
    assert capsys.readouterr().err.splitlines() == ["Intake goes on.", "Intake was not paused."]
    intake.status(as_json=True)
    assert json.loads(capsys.readouterr().out) == {"paused": False}
