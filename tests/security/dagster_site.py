"""Dagster's real web servers, full and read-only, behind the shipped reverse proxy."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import SecretStr

from tests.servers.reverse_proxy import ReverseProxy, free_ports, reverse_proxy, wait_for_port
from tests.servers.transcripts import transcript_server
from transcribe_pipeline.cli.serving import application
from transcribe_pipeline.export.page import page_key
from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.partitions import media_files, partition_key
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
_BINARIES = Path(sys.executable).parent
_START_SECONDS = 90

HOSTILE_NAME = "<img src=x onerror=document.title='run'>![x](javascript:alert(1))`|**b**.wav"
"""A file that its owner named so. No slash: it is one name."""


@dataclass(frozen=True)
class Site:
    """One installation with recordings of 'ann' and 'vic', and the proxy in front of it."""

    home: Path
    proxy: ReverseProxy
    pages: dict[str, str]
    """Owner -> path of the page of a recording of theirs."""
    unprotected: int
    """Port of Dagster's full web server itself."""
    heard: list[str]
    """Headers that reached the server of pages."""

    def runs(self) -> int:
        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            return instance.get_runs_count()


@contextmanager
def dagster_site(home: Path) -> Iterator[Site]:
    (home / "dagster").mkdir()
    (home / "proxy").mkdir()
    shutil.copy(ROOT / "dagster.yaml", home / "dagster")
    code, full, read_only = free_ports(3)
    (home / "workspace.yaml").write_text(
        f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {code}, location_name: transcribe_pipeline}}}}]"
    )
    database = f"sqlite:///{home / 'ledger.db'}"
    configured = Settings(_env_file=None, home=home, database_url=SecretStr(database))  # type: ignore[call-arg]
    with ExitStack() as running:
        running.callback((ledger := connect(database)).dispose)
        migrate(ledger)
        store = open_store(configured.resolved_store_url)
        recordings = {owner: f"uploads/{owner}/{name}" for owner, name in (("ann", HOSTILE_NAME), ("vic", "talk.wav"))}
        pages = {owner: page_key("results", owner, partition_key(key)) for owner, key in recordings.items()}
        for owner, key in recordings.items():
            (home / "store" / key).parent.mkdir(parents=True)
            (home / "store" / key).write_bytes(b"RIFF")
            store.put_bytes(pages[owner], f"<title>page of {owner}</title>".encode())
        for listed in store.list_uploads("uploads"):
            files.register(ledger, listed.uploads, settle_seconds=0)
        with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
            instance.add_dynamic_partitions(str(media_files.name), [partition_key(key) for key in recordings.values()])

        web = ("dagster-webserver", "-w", str(home / "workspace.yaml"), "-p")
        _start(
            running,
            home,
            {
                code: ("dagster", "api", "grpc", "-m", "transcribe_pipeline.definitions", "-p", str(code)),
                full: (*web, str(full)),
                read_only: (*web, str(read_only), "--read-only"),
            },
        )
        heard: list[str] = []
        site_of_pages = application(configured, ledger, store)
        site_of_pages.add_middleware(_Overheard, heard=heard)
        served = running.enter_context(transcript_server(site_of_pages))
        proxy = running.enter_context(
            reverse_proxy(
                home / "proxy",
                full=full,
                read_only=read_only,
                pages=int(served.rsplit(":", 1)[1]),
                users=["ada", "ann", "vic", "ADA"],
                admins=["ada"],
            )
        )
        yield Site(home, proxy, {owner: f"/{key}" for owner, key in pages.items()}, full, heard)


class _Overheard:
    """Notes the headers that the proxy sends on to the server of pages."""

    def __init__(self, app: Any, heard: list[str]) -> None:
        self._app, self._heard = app, heard

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._heard.extend(f"{name.decode()}: {value.decode()}" for name, value in scope.get("headers", ()))
        await self._app(scope, receive, send)


def _start(running: ExitStack, home: Path, commands: dict[int, tuple[str, ...]]) -> None:
    """Servers of Dagster, by their ports, all listening on return. They end with `running`, or with this process."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TRANSCRIBE_", "DAGSTER_"))}
    environment |= {"TRANSCRIBE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    started: dict[int, subprocess.Popen[bytes]] = {}
    for port, (program, *arguments) in commands.items():
        with (home / f"{port}.log").open("wb") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", str(_BINARIES / program), *arguments],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )
        running.callback(process.wait)
        running.callback(process.kill)
        started[port] = process
    for port, process in started.items():
        wait_for_port(port, process, home / f"{port}.log", _START_SECONDS)
