"""`export-data` and `forget` as people call them."""

import json
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from tests.cli.conftest import Run
from tests.ledger.samples import take
from transcribe_pipeline.cli import app
from transcribe_pipeline.ledger import files


@pytest.fixture
def uploaded(meeting: str, home: Path) -> str:
    """ann's meeting.mp3 with its object."""
    (home / "store/uploads/ann").mkdir(parents=True)
    (home / "store/uploads/ann/meeting.mp3").write_bytes(b"RIFF")
    return meeting


@pytest.fixture
def dagster_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = home / "dagster"
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


def test_export_data_writes_a_folder(run: Run, uploaded: str, tmp_path: Path):
    result = run("export-data", "meeting.mp3", "--output", tmp_path / "dossier")
    assert result.exit_code == 0, result.stderr
    assert "segments" in result.stdout
    assert "Without runs" in result.stderr
    assert (tmp_path / "dossier/files" / uploaded / "file.json").is_file()


def test_export_data_of_an_owner_in_json(run: Run, uploaded: str, waiting: str, tmp_path: Path):
    result = run("export-data", "--owner", "bob", "--output", tmp_path / "bob.zip", "--json")
    assert json.loads(result.stdout)["counts"]["files"] == 1
    assert (tmp_path / "bob.zip").is_file()


@pytest.mark.parametrize("command", ["export-data", "forget"])
def test_somebody_or_something_must_be_named(
    run: Run, ledger: Engine, dagster_home: Path, command: str, tmp_path: Path
):
    more = ["--output", str(tmp_path / "x")] if command == "export-data" else []
    assert run(command, *more).exit_code == 2
    assert run(command, "--owner", "nobody", *more).exit_code == 3
    assert run(command, "unknown.wav", *more).exit_code == 3


def test_forget_shows_first(run: Run, uploaded: str, dagster_home: Path, home: Path, ledger: Engine):
    result = run("forget", "meeting.mp3")
    assert result.exit_code == 0, result.stderr
    assert "segments" in result.stdout
    assert "Nothing was deleted" in result.stderr
    assert (home / "store/uploads/ann/meeting.mp3").exists()
    assert files.get(ledger, uploaded)


def test_forget_wants_the_name_typed(run: Run, uploaded: str, dagster_home: Path, ledger: Engine):
    words = ["forget", "meeting.mp3", "--apply"]
    assert CliRunner().invoke(app, words, input="meeting.mp4\n").exit_code == 2
    assert files.get(ledger, uploaded)
    assert CliRunner().invoke(app, words, input="meeting.mp3\n").exit_code == 0
    assert not files.find(ledger, uploaded)


def test_forget_proves_it(run: Run, uploaded: str, dagster_home: Path, ledger: Engine, home: Path):
    result = run("forget", "meeting.mp3", "--apply", "--yes", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 0, result.stderr
    assert told["left"] == {}
    assert told["counts"]["file"] == 1
    assert (home / "store" / told["receipt"]).is_file()
    assert run("forget", "meeting.mp3", "--apply").exit_code == 3


def test_forget_of_an_owner_leaves_the_other(run: Run, uploaded: str, waiting: str, dagster_home: Path, ledger: Engine):
    assert run("forget", "--owner", "ann", "--apply", "--yes").exit_code == 0
    assert [file.partition_key for file in files.list_files(ledger)] == [waiting]


def test_another_owners_file_is_unknown(run: Run, uploaded: str, dagster_home: Path):
    assert run("forget", "meeting.mp3", "--owner", "bob").exit_code == 3
    assert run("export-data", "meeting.mp3", "--owner", "bob", "--output", "x").exit_code == 3


def test_forget_refuses_a_file_at_work(run: Run, uploaded: str, dagster_home: Path, ledger: Engine):
    @dg.job
    def at_work() -> None: ...

    with dg.DagsterInstance.get() as instance:
        at_work_run = instance.create_run_for_job(
            at_work, tags={"dagster/partition": uploaded}, status=dg.DagsterRunStatus.STARTED
        )
    take(ledger, at_work_run.run_id, key=uploaded)
    result = run("forget", "meeting.mp3", "--apply", "--yes")
    assert result.exit_code == 1
    assert "terminate it" in result.stderr
    assert files.get(ledger, uploaded).current_transcript_id


def test_forget_needs_dagsters_home(run: Run, uploaded: str):
    result = run("forget", "meeting.mp3")
    assert result.exit_code == 2
    assert "DAGSTER_HOME" in result.stderr
