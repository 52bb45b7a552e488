"""`cancel`, `redrive`, `recover`, `hold`, `history`: whom they mean, what they say, how they end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.cli.conftest import Run
from tests.ledger.samples import MEETING, claimed, take, upload
from transcribe_pipeline.errors import CATALOGUE, ErrorCode, PipelineError
from transcribe_pipeline.ledger import backlog, files, leases, operations
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.models import Cause, Status
from transcribe_pipeline.ledger.operations import Operation


def fail(ledger: Engine, name: str, owner: str, code: ErrorCode) -> str:
    listed = upload(name, owner=owner)
    register(ledger, [listed], settle_seconds=0)
    leases.fail(ledger, take(ledger, key=listed.partition_key), PipelineError(code), final=True)
    return listed.partition_key


def put(home: Path, name: str, owner: str) -> None:
    """The upload itself, which only some requests look for."""
    path = home / "store" / "uploads" / owner / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def quarantine(ledger: Engine) -> str:
    held = claimed(ledger)
    leases.fail(ledger, held, PipelineError(ErrorCode.WORKER_LOST), final=True, max_tries=0)
    with ledger.begin() as connection:
        operations.note(
            connection,
            Operation.QUARANTINE,
            cause="run_dead",
            action="quarantined",
            actor="stuck_files",
            media_file_id=held.media_file_id,
            generation=1,
            detail={"runs": ["run-1: transcription, WORKER_LOST"]},
        )
    return held.partition_key


# --- cancel ---------------------------------------------------------------------------------------------------------


def test_cancel_says_what_became_of_each(run: Run, meeting: str, waiting: str, ledger: Engine) -> None:
    result = run("cancel", waiting, meeting)
    assert result.exit_code == 1
    assert result.stdout == f"{waiting}  cancelled\n"
    assert "meeting.mp3: This cannot be asked for (the work on it has ended: completed)." in result.stderr
    assert "DAGSTER_HOME is not known here" in result.stderr
    (entry,) = operations.of_file(ledger, files.get(ledger, waiting).id)
    assert entry.actor.startswith("cli:")


def test_cancel_all_of_an_owner_touches_no_other(run: Run, meeting: str, waiting: str, ledger: Engine) -> None:
    register(ledger, [upload("more.mp3")], settle_seconds=0)
    result = run("cancel", "--all", "--owner", "ann", "--json")
    assert result.exit_code == 0
    assert [(each["partition_key"], each["action"]) for each in json.loads(result.stdout)] == [
        (upload("more.mp3").partition_key, "cancelled")
    ]
    assert files.get(ledger, waiting).status is Status.PENDING
    assert run("cancel", waiting, "--owner", "ann").exit_code == 3


@pytest.mark.parametrize("words", [[], ["--owner", "ann"], ["meeting.mp3", "--all"], ["meeting.mp3", "--name", "*"]])
@pytest.mark.parametrize("command", ["cancel", "redrive", "reprocess"])
def test_nobody_means_all_files_by_silence(run: Run, meeting: str, command: str, words: list[str]) -> None:
    assert run(command, *words).exit_code == 2


# --- redrive --------------------------------------------------------------------------------------------------------


def test_redrive_all_that_failed_alike_since(run: Run, ledger: Engine, home: Path) -> None:
    failures = {
        ("a.mp3", "ann"): ErrorCode.STORE_UNAVAILABLE,
        ("b.mp3", "ann"): ErrorCode.NO_AUDIO,
        ("c.mp3", "bob"): ErrorCode.STORE_UNAVAILABLE,
        ("old.mp3", "ann"): ErrorCode.STORE_UNAVAILABLE,
    }
    for (name, owner), code in failures.items():
        fail(ledger, name, owner, code)
        put(home, name, owner)
    with ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET status_since = '2026-01-01' WHERE file_name = 'old.mp3'"))
    asked = ("redrive", "--code", "store_unavailable", "--since", "2026-02-01", "--owner", "ann")
    assert run(*asked).stdout == f"{upload('a.mp3').partition_key}  redriven from upload\n"
    (needed,) = backlog.next_requests(ledger, 9)
    assert (needed.file_name, needed.cause, needed.resume_from) == ("a.mp3", Cause.REDRIVE, "upload")
    assert run(*asked).stdout == ""
    assert sorted(run("redrive", "--all").stdout.split()[::4]) == sorted(
        upload(name, owner=owner).partition_key for name, owner in failures if name != "a.mp3"
    )


def test_redrive_refuses_a_code_or_a_stage_that_there_is_not(run: Run, meeting: str) -> None:
    result = run("redrive", "--code", "NOPE")
    assert (result.exit_code, "no such error code" in result.stderr) == (2, True)
    assert run("redrive", meeting, "--from", "nope").exit_code == 2


def test_redrive_names_the_value_that_is_missing(run: Run, meeting: str) -> None:
    result = run("redrive", meeting, "--from", "transcription")
    assert result.exit_code == 1
    assert "meeting.mp3: A result of an earlier stage is missing from the store (stage 'options')." in result.stderr


# --- reprocess ------------------------------------------------------------------------------------------------------


def test_reprocess_by_the_model_of_the_transcript(run: Run, meeting: str, waiting: str) -> None:
    assert run("reprocess", "--model", "base", "--language", "en", "--name", "MEET*").stdout.split() == [meeting]
    assert run("reprocess", "--model", "small").stdout.split() == []


# --- recover --------------------------------------------------------------------------------------------------------


@pytest.fixture
def dagster_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "dagster"
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))


@pytest.mark.usefixtures("dagster_home")
def test_recover_shows_first_and_acts_when_told(run: Run, ledger: Engine, home: Path) -> None:
    claimed(ledger)
    put(home, "meeting.mp3", "ann")
    assert "nothing is stuck" in run("recover").stderr
    with ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET lease_until = 1"))
    shown = run("recover")
    assert shown.stdout.startswith(f"{MEETING}  run_dead: Its run ended without a word")
    assert "--apply does what 'stuck_files' would" in shown.stderr
    assert files.get(ledger, MEETING).generation == 1
    assert json.loads(run("recover", "--apply", "--json").stdout)["done"] == [
        {"cause": "run_dead", "action": "went_again", "files": 1}
    ]
    assert files.get(ledger, MEETING).generation == 2


@pytest.mark.usefixtures("dagster_home")
def test_recover_acts_on_named_files_at_once(run: Run, ledger: Engine, home: Path) -> None:
    put(home, "meeting.mp3", "ann")
    key = quarantine(ledger)
    result = run("recover", "meeting.mp3")
    assert result.stdout == f"{key}  redriven from upload (It had ended: quarantined, WORKER_LOST.)\n"
    assert run("recover", "meeting.mp3", "--owner", "bob").exit_code == 3
    assert run("recover", "--owner", "bob").exit_code == 2


def test_recover_without_dagster_says_so(run: Run, meeting: str) -> None:
    result = run("recover", meeting)
    assert (result.exit_code, "[CONFIGURATION]" in result.stderr) == (2, True)


# --- hold, history --------------------------------------------------------------------------------------------------


def test_a_hold_is_shown_and_released(run: Run, meeting: str) -> None:
    assert run("hold", meeting, "--reason", "court\x1b[2J case").exit_code == 0
    assert "court" in run("show", meeting).stdout
    assert "\x1b" not in run("show", meeting).stdout
    assert run("hold", meeting, "--release").exit_code == 0
    assert "legal hold" not in run("show", meeting).stdout
    for words in ([], ["--release", "--reason", "x"]):
        assert run("hold", meeting, *words).exit_code == 2
    assert "[BAD_REQUEST]" in run("hold", meeting, "--reason", " ").stderr


def test_history_tells_what_was_done(run: Run, meeting: str, waiting: str) -> None:
    run("hold", meeting, "--reason", "x")
    run("hold", meeting, "--release")
    run("cancel", waiting)
    header, held, released = run("history", meeting).stdout.splitlines()
    assert header.split() == ["WHEN", "WHAT", "BECAUSE", "DONE", "BY", "GENERATION"]
    assert ("held" in held, "released" in released) == (True, True)
    (entry,) = json.loads(run("history", waiting, "--json").stdout)
    assert (entry["operation"], entry["cause"]) == ("cancel", "asked for while pending")
    assert run("history", waiting, "--owner", "ann").exit_code == 3


# --- what people see ------------------------------------------------------------------------------------------------


def test_show_gives_the_evidence_of_a_quarantine(run: Run, ledger: Engine) -> None:
    key = quarantine(ledger)
    shown = run("show", key).stdout
    for part in ("quarantined: WORKER_LOST", "stuck_files: run_dead", "run-1: transcription, WORKER_LOST"):
        assert part in shown
    assert CATALOGUE[ErrorCode.WORKER_LOST].remedy in shown
    described = json.loads(run("show", key, "--json").stdout)
    assert described["evidence"] == {"runs": ["run-1: transcription, WORKER_LOST"]}
    assert described["state"] == "quarantined"


def test_ls_tells_complete_from_degraded(run: Run, meeting: str, ledger: Engine) -> None:
    leases.complete(ledger, take(ledger, "run-2"), degraded=["summary"])
    assert json.loads(run("ls", "--status", "completed", "--json").stdout) == []
    (file,) = json.loads(run("ls", "--status", "degraded", "--json").stdout)
    assert (file["partition_key"], file["state"], file["status"]) == (meeting, "degraded", "completed")
    assert "degraded: without summary" in run("ls").stdout


def _cancelled(ledger: Engine) -> None:
    leases.fail(ledger, claimed(ledger), PipelineError(ErrorCode.CANCELLED), final=True)


def _orphaned(ledger: Engine) -> None:
    leases.fail(ledger, claimed(ledger), PipelineError(ErrorCode.SOURCE_GONE), final=True)


@pytest.mark.parametrize("end", [_cancelled, _orphaned, quarantine])
def test_watching_ends_with_every_ending(run: Run, ledger: Engine, end: Callable[[Engine], object]) -> None:
    end(ledger)
    assert run("watch", "meeting.mp3").exit_code == 1
