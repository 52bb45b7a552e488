import json
import subprocess
import sys
from pathlib import Path

import pytest

from transcribe_pipeline.export.formats import RESULT_FORMATS


def _transcribe(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "transcribe_pipeline.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.e2e
def test_a_newcomer_gets_a_transcript_of_two_speakers_and_the_second_time_at_once(home: Path) -> None:
    first = _transcribe("demo")
    assert first.returncode == 0, first.stderr
    for expected in ("SPEAKER_00: ", "SPEAKER_01: ", "Diane", "Chicago"):
        assert expected in first.stdout
    assert "SPEAKER_02" not in first.stdout
    assert "make up" in first.stderr
    assert "dagster" not in first.stderr.lower()  # its log lines go to a file
    assert "RUN_SUCCESS" in (home / "logs" / "demo.log").read_text()

    results = {Path(line) for line in first.stdout.splitlines() if line.startswith("/")}
    assert {path.suffix.removeprefix(".") for path in results} >= {*RESULT_FORMATS, "html"}
    assert all(path.stat().st_size for path in results)

    second = _transcribe("demo")
    assert second.returncode == 0
    assert second.stdout == first.stdout
    assert "transcribed already" in second.stderr
    assert json.loads(_transcribe("show", "sample.wav", "--json").stdout)["attempts"] == 1
