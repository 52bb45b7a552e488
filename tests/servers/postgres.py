"""A real PostgreSQL server for tests: Debian's, with a data folder of its own on a free loopback port."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest

_USER = "postgres"
_START_SECONDS = 30


@dataclass
class PostgresServer:
    """One server that a test may stop and start again."""

    binaries: Path
    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://{_USER}@127.0.0.1:{self.port}/{_USER}"

    def initialise(self) -> None:
        command = ["initdb", "--pgdata", str(self.folder), "--username", _USER, "--auth", "trust", "--no-sync"]
        command += ["--encoding", "UTF8", "--locale", "C"]
        subprocess.run(self._command(command), check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        """Returns when the server answers. Call it from a thread that stays: the server ends with it (pdeathsig)."""
        # fsync guards against power cuts only, not against the killed processes that tests are about.
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(["postgres", "-D", str(self.folder), *settings]), stdout=log, stderr=log, cwd="/"
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "server.log").read_text())
            time.sleep(0.05)

    def stop_immediately(self) -> None:
        """What `pg_ctl stop -m immediate` does: no shutdown, connections are cut, the next start recovers."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(timeout=_START_SECONDS)
        self._process = None

    def _answers(self) -> bool:
        try:
            psycopg2.connect(host="127.0.0.1", port=self.port, user=_USER, dbname=_USER, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _command(self, command: list[str]) -> list[str]:
        """PostgreSQL refuses to run as root; and it must not outlive a test process that is killed."""
        as_user = ["--reuid", _USER, "--regid", _USER, "--init-groups"] if os.geteuid() == 0 else []
        return ["setpriv", "--pdeathsig", "QUIT", *as_user, str(self.binaries / command[0]), *command[1:]]


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A fresh server. Skips the test where PostgreSQL is not installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not installed:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.geteuid() == 0:
        account = pwd.getpwnam(_USER)
        os.chown(folder, account.pw_uid, account.pw_gid)
    server = PostgresServer(installed[-1].parent, folder, _free_port())
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop_immediately()
        shutil.rmtree(folder)


@contextmanager
def postgres_server() -> Iterator[str]:
    """URL (postgresql+psycopg2://) of a fresh server's maintenance database."""
    with running_server() as server:
        yield server.url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
