"""A home of its own for every test, and a ledger with something in it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import Engine
from typer.testing import CliRunner

from tests.ledger.samples import claimed, transcript, upload
from transcribe_pipeline.cli import app
from transcribe_pipeline.ledger import leases, transcripts
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.settings import load_settings

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty TRANSCRIBE_HOME; nothing else of this machine's environment or .env counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSCRIBE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    def invoke(*arguments: str | Path) -> Result:
        words: Sequence[str] = [str(argument) for argument in arguments]
        return CliRunner().invoke(app, words)

    return invoke


@pytest.fixture
def ledger(home: Path) -> Engine:
    engine = connect(load_settings().resolved_database_url.get_secret_value())
    migrate(engine)
    return engine


@pytest.fixture
def meeting(ledger: Engine) -> str:
    """Partition key of ann's meeting.mp3, transcribed."""
    claim = claimed(ledger)
    transcripts.save(ledger, claim, transcript(), artifact_key="x", provenance={})
    leases.complete(ledger, claim)
    return claim.partition_key


@pytest.fixture
def waiting(ledger: Engine) -> str:
    """Partition key of bob's interview.wav, not begun."""
    listed = upload("interview.wav", owner="bob")
    register(ledger, [listed], settle_seconds=0)
    return listed.partition_key
