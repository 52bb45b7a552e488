"""A site to break: a home with quick transcription, its processes, points at which a run can be held, and its rows.

What belongs here: what every test of a fault needs to set one up and let it strike. What does not: what must hold
afterwards (`invariants`), and how results are published (`table`).

    site = Site(folder, speech, TRANSCRIBE_...="...")       an installation of its own
    with site.worker(key) as run: ...                       one process that does the work, without a daemon (4 s)
    with daemon(site): ...                                  Dagster's daemon, as people have it
    with site.held("transcription") as held: ...            a run stands still at a named point until released
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import dagster as dg
import psutil
import psycopg2
import pytest
import yaml
from sqlalchemy import make_url, text

from tests.e2e.deployment import ROOT, Home, wait_for
from tests.servers.openai_audio import AudioService, openai_audio_service
from transcribe_pipeline.ledger import files
from transcribe_pipeline.resources.object_store import ObjectStore, open_store

PATIENCE = 240.0
"""Seconds until a thing that should happen has not: only ever reached by a failing test, on however busy a machine."""

_MARKER = "FAULT_SITE"
"""In the environment of every process of a site, so that none is overlooked when it is looked for in /proc."""


def row(*numbers: int) -> pytest.MarkDecorator:
    """Marks a test with the rows of the fault matrix (`matrix.ROWS`) that it proves."""
    return pytest.mark.row(*numbers)


# --- quick speech ---------------------------------------------------------------------------------------------------


@dataclass
class Speech:
    """A recogniser behind HTTP that hears the same words in everything, at once, or when it is allowed to."""

    service: AudioService
    says: str = "The quick brown fox jumps over the lazy dog"
    gate: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    """Requests that stand at the gate."""

    @contextmanager
    def held(self) -> Iterator["Speech"]:
        """Nothing is answered until the block ends."""
        self.gate.clear()
        try:
            yield self
        finally:
            self.gate.set()

    def wait_until_asked(self, requests: int = 1, seconds: float = PATIENCE) -> None:
        wait_for(lambda: self.waiting >= requests, seconds, lambda: f"{self.waiting} of {requests} requests wait")

    # what the service takes for a model
    def transcribe(self, samples: Any, **asked: Any) -> tuple[list[Any], Any]:
        self.waiting += 1
        try:
            self.gate.wait(PATIENCE)
        finally:
            self.waiting -= 1
        seconds = len(samples) / 16_000
        spoken = self.says.split()
        step = seconds / len(spoken)
        words = [
            SimpleNamespace(word=f" {word}", start=step * place, end=step * (place + 1))
            for place, word in enumerate(spoken)
        ]
        segment = SimpleNamespace(
            id=0,
            start=0.0,
            end=seconds,
            text=" ".join(spoken),
            words=words,
            avg_logprob=-0.1,
            no_speech_prob=0.01,
            compression_ratio=1.1,
        )
        return [segment], SimpleNamespace(language="en", duration=seconds)


@contextmanager
def quick_speech() -> Iterator[Speech]:
    speech = Speech(service=AudioService("", None))
    with openai_audio_service(speech) as service:  # type: ignore[arg-type]  # the service asks `transcribe` alone
        speech.service = service
        speech.gate.set()
        yield speech
        speech.gate.set()


# --- the site -------------------------------------------------------------------------------------------------------


class Site(Home):
    """An installation whose files take seconds: words from `Speech`, no speakers, no insight, short leases.

    Everything else is as shipped. `environment` goes over it.
    """

    def __init__(self, folder: Path, speech: Speech, **environment: str) -> None:
        super().__init__(
            folder,
            **{
                _MARKER: str(uuid4()),
                "TRANSCRIBE_RECOGNISER": "openai",
                "TRANSCRIBE_OPENAI_BASE_URL": speech.service.url,
                "TRANSCRIBE_LANGUAGE": "en",
                "TRANSCRIBE_ALIGNER": "none",
                "TRANSCRIBE_DIARIZER": "none",
                "TRANSCRIBE_INSIGHTS": "none",
                "TRANSCRIBE_SETTLE_SECONDS": "0",
                "TRANSCRIBE_LEASE_SECONDS": "6",
                "TRANSCRIBE_RECOVERY_CRON": "* * * * *",
                "TRANSCRIBE_CPU_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            }
            | environment,
        )
        self.speech = speech
        self.marker = self.environment[_MARKER]

    def close(self) -> None:
        """Ends every process, and this process' connections."""
        self.kill_everything()
        self.ledger.dispose()

    def limit_runs(self, at_once: int) -> None:
        """How many runs Dagster works on at once; 0 leaves all of them in its queue."""
        path = self.dagster_home / "dagster.yaml"
        configuration = yaml.safe_load(path.read_text())
        configuration["concurrency"]["runs"]["max_concurrent_runs"] = at_once
        path.write_text(yaml.safe_dump(configuration))

    @property
    def is_postgres(self) -> bool:
        return self.ledger.dialect.name == "postgresql"

    def drop(self, recording: Path, owner: str, name: str | None = None) -> str:
        """Into the bucket, where the site has one."""
        if "TRANSCRIBE_STORE_URL" not in self.environment:
            return super().drop(recording, owner, name)
        key = f"uploads/{owner}/{name or recording.name}"
        store_of(self).put_file(key, recording)
        return key

    def register(self) -> None:
        """What the store lists now, as a tick of `new_uploads` would note it."""
        uploads = [upload for page in store_of(self).list_uploads("uploads") for upload in page.uploads]
        files.register(self.ledger, uploads, settle_seconds=0)

    def scalar(self, sql: str, **values: Any) -> Any:
        with self.ledger.connect() as connection:
            return connection.execute(text(sql), values).scalar()

    # processes

    def spawn(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """A process of this site, which dies with the test's; what it prints is in `<folder>/output.log`."""
        bound = ["setpriv", "--pdeathsig", "KILL", *command]
        with (self.folder / "output.log").open("ab") as log:
            return subprocess.Popen(
                bound, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True, **options
            )

    def output(self) -> str:
        path = self.folder / "output.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @contextmanager
    def worker(self, *object_keys: str, under: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
        """One process that processes these files, or all there are; killed at the end if it still lives.

        :param under: a command to start it with, such as `env NAME=value`.
        """
        process = self.spawn(*under, sys.executable, "-m", "tests.faults.worker", *object_keys)
        try:
            yield process
        finally:
            _kill(process.pid)
            process.wait()

    def work(self, *object_keys: str, under: Sequence[str] = ()) -> None:
        """A worker that nothing happens to."""
        with self.worker(*object_keys, under=under) as process:
            self.finish(process)

    def recover(self, *object_keys: str) -> None:
        """The same, after recovery has found something to do."""
        self.work("--recover", *object_keys)

    def overdue(self) -> None:
        """As if what waits for Dagster to try it again had waited for the two minutes after which recovery does."""
        with self.ledger.begin() as connection:
            connection.execute(
                text("UPDATE media_file SET status_since = '2000-01-01 00:00:00' WHERE status = 'queued'")
            )

    def look_for_stuck_files(self, under: Sequence[str] = ()) -> None:
        """One pass of recovery, which need not find anything."""
        self.work("--one-pass", under=under)

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a process that nothing should stop has come to its end."""
        assert process.wait(PATIENCE) == 0, self.output()[-4000:]

    def processes(self) -> list[psutil.Process]:
        """All of this site's, however they were started and whoever their parent is now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARKER) == self.marker and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill_everything(self) -> int:
        """SIGKILL for every process of this site at once, as when the machine loses power. Returns how many."""
        killed = 0
        while family := self.processes():  # one that was just being forked is found by the next look
            for process in family:
                _kill(process.pid, whole_session=False)
            killed += len(family)
            time.sleep(0.05)
        return killed

    # points

    @contextmanager
    def held(self, point: str, stage: str = "") -> Iterator["Held"]:
        """The next run that reaches the point waits there, in the midst of its transaction, until it is released.

        `begins`: the stage has been claimed, and its work not begun. `worked`: its work is done, and its value not yet
        stored. `record`: within the transaction that writes the transcript.

        The ledger's own database holds it (PostgreSQL only), so the code under test knows nothing of it.
        """
        with self._connection() as connection, connection.cursor() as cursor:
            key = uuid4().int % 2**31
            cursor.execute(_POINTS[point].format(stage=stage, key=key))
            cursor.execute("SELECT pg_advisory_lock(%s)", [key])
            try:
                yield Held(self, key, cursor)
            finally:
                cursor.execute("SELECT pg_advisory_unlock_all()")
                cursor.execute(f"DROP FUNCTION hold_{key}() CASCADE")

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = psycopg2.connect(self.environment["TRANSCRIBE_DATABASE_URL"].replace("+psycopg2", ""))
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def connections(self) -> int:
        """Of other processes than this one, to this site's PostgreSQL database."""
        ours = [connection.laddr.port for connection in psutil.Process().net_connections("tcp")]
        return int(
            self.scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND client_port > 0"
                " AND client_port <> ALL(:ours)",
                ours=ours,
            )
        )

    # results

    def run_statuses(self, object_key: str) -> list[dg.DagsterRunStatus]:
        """Of a file's runs, oldest first."""
        file = self.file(object_key)
        assert file, object_key
        with self.instance as instance:
            runs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": file.partition_key}))
        return [run.status for run in runs][::-1]


_HOLD = """
CREATE FUNCTION hold_{{key}}() RETURNS trigger AS $$ BEGIN
    PERFORM pg_advisory_xact_lock_shared({{key}}); RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER hold_{{key}} {when} FOR EACH ROW {condition} EXECUTE FUNCTION hold_{{key}}();
"""
_POINTS = {
    "begins": _HOLD.format(
        when="BEFORE UPDATE ON media_file",
        condition="WHEN (NEW.stage = '{stage}' AND OLD.stage IS DISTINCT FROM NEW.stage)",
    ),
    "worked": _HOLD.format(when="BEFORE INSERT ON stage_timing", condition="WHEN (NEW.stage = '{stage}')"),
    "record": _HOLD.format(when="BEFORE INSERT ON transcript", condition=""),
}


@dataclass
class Held:
    """A point, and whoever stands there."""

    site: Site
    key: int
    _cursor: Any

    def wait(self, seconds: float = PATIENCE) -> psutil.Process:
        """The process that has reached the point."""
        found: list[psutil.Process] = []

        def reached() -> bool:
            self._cursor.execute(
                "SELECT client_port FROM pg_stat_activity JOIN pg_locks USING (pid)"
                " WHERE locktype = 'advisory' AND NOT granted AND objid = %s",
                [self.key],
            )
            for (port,) in self._cursor.fetchall():
                found.extend(process for process in self.site.processes() if _has_port(process, port))
            return bool(found)

        wait_for(reached, seconds, lambda: f"nobody came to the point; {self.site.output()[-2000:]}")
        return found[0]

    def release(self) -> None:
        self._cursor.execute("SELECT pg_advisory_unlock_all()")


def _has_port(process: psutil.Process, port: int) -> bool:
    with suppress(psutil.Error):
        return any(connection.laddr.port == port for connection in process.net_connections("tcp"))
    return False


def _kill(pid: int, *, whole_session: bool = True) -> None:
    with suppress(ProcessLookupError):
        (os.killpg if whole_session else os.kill)(pid, signal.SIGKILL)


# --- databases ------------------------------------------------------------------------------------------------------


def new_database(server_url: str) -> str:
    """URL of an empty database on a PostgreSQL server."""
    name = f"faults_{uuid4().hex[:12]}"
    connection = psycopg2.connect(server_url.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def eventually(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    wait_for(condition, seconds, lambda: what)


def store_of(site: Site) -> ObjectStore:
    """The site's object store. One in a bucket is reached by this process' AWS_... variables."""
    return open_store(site.environment.get("TRANSCRIBE_STORE_URL") or (site.folder / "store").as_uri())
