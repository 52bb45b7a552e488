"""`transcribe health` and /metrics: for people, scripts and scrapers."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from sqlalchemy import Engine, text

from transcribe_pipeline.cli import health
from transcribe_pipeline.cli.health import Scraped
from transcribe_pipeline.cli.serving import application
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger.database import connect
from transcribe_pipeline.operations.health import collect, looking
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine may be busy; no search by meaning, which would load a model's library."""
    monkeypatch.setitem(collect.__kwdefaults__, "look_seconds", 20.0)
    monkeypatch.setenv("TRANSCRIBE_SEARCH_MODEL", "none")


def shown(capsys: pytest.CaptureFixture[str], *, as_json: bool = False, as_prometheus: bool = False) -> tuple[int, str]:
    """Exit code and stdout."""
    with pytest.raises(typer.Exit) as ended:
        health.show(as_json=as_json, as_prometheus=as_prometheus)
    return ended.value.exit_code, capsys.readouterr().out


@contextmanager
def stuck_lease(ledger: Engine, key: str) -> Iterator[None]:
    with ledger.begin() as connection:
        values = "status = 'processing', lease_owner = 'x', lease_until = 1"
        connection.execute(text(f"UPDATE media_file SET {values} WHERE partition_key = :key"), {"key": key})
    yield


def test_a_healthy_installation_exits_with_0(meeting: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = shown(capsys)
    assert code == 0
    assert told.startswith("healthy  100 of 100")
    assert "1 completed" in told
    assert "Dagster       not asked" in told


def test_a_fair_one_exits_with_4_and_says_what_to_do(
    ledger: Engine, meeting: str, waiting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with stuck_lease(ledger, waiting):
        code, told = shown(capsys)
    assert code == 4
    assert "1 file" in told
    assert "transcribe recover --apply" in told


def test_json_is_the_whole_report(meeting: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = shown(capsys, as_json=True)
    report = json.loads(told)
    assert (code, report["verdict"], report["score"], report["dagster"]) == (0, "healthy", 100, None)
    assert report["files"]["by_state"]["completed"] == 1
    assert len(report["audio_hours_by_hour"]) == 24


def test_dagster_is_asked_where_its_home_is_known(
    home: Path, meeting: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "dagster").mkdir()
    shutil.copy(ROOT / "dagster.yaml", home / "dagster")
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    code, told = shown(capsys, as_json=True)
    report = json.loads(told)
    assert code == 1  # no daemon has ever given a sign of life
    assert {daemon["name"] for daemon in report["dagster"]["daemons"]} >= {"SCHEDULER", "FRESHNESS_DAEMON"}
    assert report["dagster"]["most_runs"] == 2


def test_without_a_ledger_there_is_one_clear_error(home: Path) -> None:
    with pytest.raises(PipelineError) as refused:
        health.show(as_json=False, as_prometheus=False)
    assert refused.value.code is ErrorCode.DATABASE_NOT_MIGRATED


def test_metrics_are_served_as_prometheus_wants_them(ledger: Engine, meeting: str) -> None:
    from starlette.testclient import TestClient

    configured = load_settings()
    site = application(configured, ledger, open_store(configured.resolved_store_url))
    with TestClient(site, base_url="http://127.0.0.1") as client:
        answer = client.get("/metrics")
        foreign = client.get("/metrics", headers={"host": "evil.example"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'transcribe_files{state="completed"} 1.0' in answer.text
    assert meeting not in answer.text
    assert foreign.status_code == 400


def test_scrapers_share_one_look(ledger: Engine, meeting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    looks = looking.looks

    def counted(configured: Settings) -> dict[str, looking.Look]:
        looked.append(1)
        return looks(configured)

    monkeypatch.setattr("transcribe_pipeline.operations.health.collecting.looks", counted)
    scraped = Scraped(load_settings(), ledger)
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(scraped.text())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) == 1
    assert len(set(answers)) == 1
    monkeypatch.setattr(health, "_SCRAPED_SECONDS", 0.0)
    scraped.text()
    assert len(looked) == 2


def test_a_database_that_is_down_is_told_and_not_waited_for(home: Path) -> None:
    gone = connect("postgresql+psycopg2://nobody@127.0.0.1:1/ledger")
    with pytest.raises(PipelineError) as refused:
        Scraped(load_settings(), gone).text()
    assert refused.value.code is ErrorCode.DATABASE_UNAVAILABLE
