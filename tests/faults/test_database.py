"""Rows 17 to 20: the database stops, loses answers, refuses, or is not the one that the program knows."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.faults.harness import Site, Speech, new_database, row
from tests.faults.invariants import Result, assert_fit_for_people, assert_sound
from tests.servers.postgres import PostgresServer, running_server
from tests.servers.tcp_proxy import TcpProxy, lost_answers_of_commits, tcp_proxy


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that tests may stop."""
    with running_server() as started:
        yield started


@pytest.fixture
def stoppable(tmp_path: Path, speech: Speech, server: PostgresServer) -> Iterator[Site]:
    made = Site(tmp_path / "site", speech, TRANSCRIBE_DATABASE_URL=new_database(server.url))
    yield made
    made.close()


# --- 17 -------------------------------------------------------------------------------------------------------------


@row(17)
@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=pytest.mark.nightly)])
def test_a_stopped_database_is_waited_for(
    stoppable: Site, server: PostgresServer, recording: Path, golden: Result, seconds: float
) -> None:
    """It is down when the recognition ends, which is not repeated for that."""
    key = stoppable.drop(recording, "ann")
    before = len(stoppable.speech.service.requests)
    with stoppable.worker(key) as run:
        with stoppable.speech.held():
            stoppable.speech.wait_until_asked()
            server.stop_immediately()
        time.sleep(seconds)
        server.start()
        stoppable.finish(run)
    assert len(stoppable.speech.service.requests) == before + 1
    assert_sound(stoppable, golden=golden, completed=[key])


@row(17)
@pytest.mark.nightly
def test_an_outage_longer_than_anybody_waits_is_recovered_from(
    stoppable: Site, server: PostgresServer, recording: Path, golden: Result
) -> None:
    """Each transaction is tried for a minute; what the run cannot tell anybody, recovery finds out."""
    key = stoppable.drop(recording, "ann")
    with stoppable.worker(key) as run:
        with stoppable.speech.held():
            stoppable.speech.wait_until_asked()
            server.stop_immediately()
        time.sleep(180)
        server.start()
        stoppable.finish(run)
    stoppable.overdue()
    stoppable.recover(key)
    assert_sound(stoppable, golden=golden, completed=[key])


# --- 18 -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxied(tmp_path: Path, speech: Speech, postgres_url: str) -> Iterator[tuple[Site, TcpProxy]]:
    """A site that reaches its database through a proxy; the tests reach it directly."""
    direct = make_url(new_database(postgres_url))
    with tcp_proxy("127.0.0.1", direct.port or 5432) as proxy:
        made = Site(tmp_path / "site", speech, TRANSCRIBE_DATABASE_URL=direct.render_as_string(hide_password=False))
        made.environment["TRANSCRIBE_DATABASE_URL"] = direct.set(port=proxy.port).render_as_string(hide_password=False)
        yield made, proxy
        made.close()


@row(18)
@pytest.mark.nightly
def test_the_answers_of_commits_are_lost(proxied: tuple[Site, TcpProxy], recording: Path, golden: Result) -> None:
    """Every third transaction is committed and its connection cut, whatever it was about."""
    site, proxy = proxied
    proxy.cut = lost_answers_of_commits(every=3)
    key = site.drop(recording, "ann")
    site.work(key)
    assert proxy.cuts > 10
    assert_sound(site, golden=golden, completed=[key])


# --- 19 -------------------------------------------------------------------------------------------------------------


@row(19)
@pytest.mark.parametrize("database", [pytest.param("sqlite", marks=pytest.mark.nightly), "postgresql"])
def test_two_processes_do_the_same_at_once(
    database: str, recording: Path, golden: Result, request: pytest.FixtureRequest
) -> None:
    """Both list, register, ask for and process the same files; whoever comes second to one is refused."""
    site: Site = request.getfixturevalue("site" if database == "sqlite" else "postgres_site")
    keys = [site.drop(recording, owner, "call.wav") for owner in ("ann", "bob")]
    site.instance.dispose()  # Dagster itself cannot be set up by two processes at once
    with site.worker() as one, site.worker() as other:
        site.finish(one)
        site.finish(other)
    assert_sound(site, golden=golden, completed=keys)


# --- 20 -------------------------------------------------------------------------------------------------------------


@row(20)
@pytest.mark.parametrize(("version", "code"), [("0001", "DATABASE_NOT_MIGRATED"), ("9999", "DATABASE_NEWER")])
def test_another_schema_is_refused_with_what_helps(site: Site, recording: Path, version: str, code: str) -> None:
    with site.ledger.begin() as connection:
        connection.exec_driver_sql(f"UPDATE ledger_version SET version_num = '{version}'")
    site.drop(recording, "ann")
    asked = subprocess.run(
        [str(Path(sys.executable).parent / "transcribe"), "ls"], env=site.environment, capture_output=True, text=True
    )
    assert asked.returncode not in (0, None)
    assert code in asked.stderr
    assert "transcribe migrate" in asked.stderr
    assert_fit_for_people(site, asked.stderr.strip().replace("\n", " "))
    assert site.scalar("SELECT version_num FROM ledger_version") == version
    assert site.scalar("SELECT count(*) FROM media_file") == 0
