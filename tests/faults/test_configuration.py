"""Settings that are wrong or lacking, as whoever installs this meets them: row 48."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.deployment import ROOT
from tests.faults.harness import row

SECRET = "hunter2"
WRONG = {
    "DEVICE": "abacus",
    "LEASE_SECONDS": "0",
    "MAX_FILE_BYTES": "much",
    "STORE_URL": f"ftp://user:{SECRET}@host",
    "DATABASE_URL": f"mysql://user:{SECRET}@host/db",
    "RECOVERY_CRON": "every day",
    "RETENTION_CRON": "0 25 * * *",
    "TIME_ZONE": "Mars/Olympus",
    "UPLOADS_PREFIX": "",
    "RESULTS_PREFIX": "../results",
    "HISTORY_DAYS": "-1",
    "BREAKER_SECONDS": "soon",
    "LLM_PRICES": "",
}
"""All but the last are wrong."""


def command_line(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TRANSCRIBE_", "DAGSTER"))}
    environment |= {"TRANSCRIBE_HOME": str(folder)} | {f"TRANSCRIBE_{name}": value for name, value in variables.items()}
    command = [sys.executable, "-m", "transcribe_pipeline.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def assert_fit_for_people(told: str) -> None:
    for forbidden in ("Traceback", 'File "', SECRET, str(ROOT)):
        assert forbidden not in told, told


@row(48)
@pytest.mark.parametrize("command", ["config", "ls", "doctor"])
def test_every_problem_at_once(tmp_path: Path, command: str) -> None:
    done = command_line(tmp_path, command, **WRONG)
    assert done.returncode == 2
    assert done.stdout == ""
    for name in WRONG:
        assert (f"TRANSCRIBE_{name}:" in done.stderr) == (name != "LLM_PRICES"), name
    assert_fit_for_people(done.stderr)
    assert list(tmp_path.iterdir()) == []


@row(48, 46)
@pytest.mark.parametrize(
    ("uploads", "results", "artifacts"),
    [("data", "data", "artifacts"), ("uploads", "uploads/done", "artifacts"), ("a/b", "results", "a")],
)
def test_places_that_are_one_another(tmp_path: Path, uploads: str, results: str, artifacts: str) -> None:
    """What is cleaned in one place would be missing in another; results would be taken for recordings."""
    variables = {"UPLOADS_PREFIX": uploads, "RESULTS_PREFIX": results, "ARTIFACTS_PREFIX": artifacts}
    done = command_line(tmp_path, "config", **variables)
    assert done.returncode == 2
    assert "three places" in done.stderr
    assert_fit_for_people(done.stderr)


@row(48)
def test_what_cannot_be_known_without_asking(tmp_path: Path) -> None:
    """Missing secrets and services that do not answer: the doctor's findings, all of them, each with its remedy."""
    variables = {
        "RECOGNISER": "openai",
        "DIARIZER": "pyannote",
        "DATABASE_URL": f"postgresql+psycopg2://scribe:{SECRET}@127.0.0.1:9/ledger",
        "SEARCH_URL": "http://127.0.0.1:9",
        "SEARCH_PASSWORD": SECRET,
        "LLM": "anthropic/claude-opus-4-1",
        "ALLOW_REMOTE_LLM": "true",
    }
    done = command_line(tmp_path, "doctor", **variables)
    assert done.returncode == 1
    told = done.stdout + done.stderr
    for name in ("OPENAI_API_KEY", "HUGGINGFACE_TOKEN", "DATABASE_URL", "SEARCH_URL", "LLM_ANTHROPIC_KEY"):
        assert f"TRANSCRIBE_{name}" in told, name
    assert_fit_for_people(told)


@row(48)
def test_dagster_is_told_the_same(tmp_path: Path) -> None:
    """The code location does not load; its error is ours, with every problem in it, and without what was wrong."""
    environment = os.environ | {"TRANSCRIBE_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path)}
    environment |= {f"TRANSCRIBE_{name}": value for name, value in WRONG.items()}
    command = [sys.executable, "-c", "import transcribe_pipeline.definitions"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("transcribe_pipeline.errors.PipelineError: A setting is missing or wrong (")
    assert last.count("TRANSCRIBE_") == len(WRONG) - 1
    assert SECRET not in done.stderr
