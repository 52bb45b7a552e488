"""What people call their files and themselves, and errors that quote it, is text: on terminals, in logs, in tags."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.ledger.samples import transcript, upload
from transcribe_pipeline.cli import app
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import backlog, files, leases, transcripts, voices
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.sensors import run_request
from transcribe_pipeline.settings import load_settings

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e\u2066\x9b31m\x08"
"""Clears the screen, renames the window, turns writing round, colours, deletes."""
NAME = f"{ESCAPES}\r\n2026-03-01 12:00:00 - dagster - INFO - forged.wav"
OWNER = "ann\u202e\u2066\x9b31m"
"""Without what no store's listing gives: ASCII control characters in a folder's name."""
COMMANDS = (
    *("ls", "ls --json", "show {key}", "show {key} --json", "watch {key}", "versions {key}", "export {key} -f txt"),
    *("options {key}", "costs", "voices ls", "voices log", "voices suggestions {key}", "insight {key}", "diff {key}"),
    *("forget {key}", "rollback {key}", "promote {key} 9", "reprocess {key}"),
)
DATA = {chr(code) for code in (*range(32), *range(0x7F, 0xA0))} - {"\n"}
"""Not even a transcript has these. Those that turn writing round are right in one that is in Arabic."""
FORBIDDEN = DATA | {"\u202e", "\u2066"}


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A file of such a name and owner, transcribed once, then failed with an error that quotes as much."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSCRIBE_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    engine = connect(f"sqlite:///{tmp_path / 'ledger.db'}")
    migrate(engine)
    listed = upload(NAME, owner=OWNER)
    assert files.register(engine, [listed], settle_seconds=0).new == 1
    claim = leases.claim(engine, listed.partition_key, None, "run", lease_seconds=90, holder_finished=lambda _: False)
    spoken = transcript(first_word=f"{ESCAPES}Hello")
    record = transcripts.save(engine, claim, spoken, artifact_key="x", provenance={"file": NAME})
    voices.confirm(engine, OWNER, record.transcript_id, "SPEAKER_00", name="Ann")
    leases.fail(engine, claim, PipelineError(ErrorCode.NOT_MEDIA, NAME), final=True)
    yield listed.partition_key
    engine.dispose()


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_control_characters(key, command):
    result = CliRunner().invoke(app, command.format(key=key).split())
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    obeyed = DATA if command.startswith("export") else FORBIDDEN
    assert [line for line in result.output.split("\n") if obeyed & set(line)] == []
    assert not [line for line in result.output.splitlines() if line.startswith("2026-03-01 12:00:00 - dagster")]


def test_tags_of_runs_and_what_is_logged_of_them_are_one_line(key):
    engine = connect(load_settings().resolved_database_url.get_secret_value())
    assert files.register(engine, [upload(f"x{NAME}", owner=OWNER)], settle_seconds=0).new == 1
    (needed,) = backlog.next_requests(engine, 10)
    tags = run_request(needed).tags
    assert "forged" in tags["transcribe/file"]
    assert sorted(FORBIDDEN & set("".join(tags.values()))) == []
    assert "\n" not in "".join(tags.values())
    engine.dispose()
