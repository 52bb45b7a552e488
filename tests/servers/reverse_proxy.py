"""Debian's nginx with the configuration that `deploy/proxy` ships, on free loopback ports."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

SHIPPED = Path(__file__).parents[2] / "deploy/proxy"
DAGSTER, PAGES = "transcribe.example.org", "pages.example.org"
_START_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """`status` is 0 where the proxy closed the connection without a word."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class ReverseProxy:
    port: int
    http_port: int
    folder: Path

    def address(self, host: str = DAGSTER) -> str:
        return f"https://{host}:{self.port}"

    def answered(self) -> list[str]:
        """A line for each request so far: '403 GET /graphql <user>'."""
        return (self.folder / "access.log").read_text().splitlines()

    def ask(
        self,
        method: str,
        path: str,
        *,
        user: str | None = None,
        host: str = DAGSTER,
        headers: dict[str, str] | None = None,
        body: str | None = None,
        sni: str | None = None,
    ) -> Answer:
        """One request over TLS; `user`'s password is their name reversed. `sni`: the name told to TLS, if another."""
        login = {"Authorization": f"Basic {b64encode(f'{user}:{user[::-1]}'.encode()).decode()}"} if user else {}
        connection = HTTPSConnection(host, self.port)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        try:
            connection.sock = context.wrap_socket(raw, server_hostname=sni or host)
        except OSError:  # the handshake is refused
            raw.close()
            return Answer(0, {}, b"")
        return _exchange(connection, method, path, login | (headers or {}), body)

    def ask_plainly(self, path: str, *, host: str = DAGSTER) -> Answer:
        """The same without TLS."""
        connection = HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        return _exchange(connection, "GET", path, {"Host": host}, None)


def _exchange(connection: Any, method: str, path: str, headers: dict[str, str], body: str | None) -> Answer:
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    except OSError:  # http.client's RemoteDisconnected is one
        return Answer(0, {}, b"")
    finally:
        connection.close()


@contextmanager
def reverse_proxy(
    folder: Path, *, full: int, read_only: int, pages: int, users: list[str], admins: list[str]
) -> Iterator[ReverseProxy]:
    """nginx before the servers on these ports. Skips the test where nginx is not installed."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed: deploy/scripts/apt-packages.sh test")
    https, http, refused = free_ports(3)
    (folder / "users").write_text("".join(f"{user}:{_hashed(user[::-1])}\n" for user in users))
    (folder / "admins.map").write_text("".join(f"~^{admin}$ transcribe_full;\n" for admin in admins))
    _certificate(folder)
    ports = {"443": https, "80": http, "3000": full, "3001": pages, "3002": read_only, "3003": refused}
    for name in ("nginx.conf", "common.conf"):
        (folder / name).write_text(_here((SHIPPED / name).read_text(), folder, ports))
    log = folder / "proxy.log"
    (folder / "main.conf").write_text(_MAIN.format(folder=folder, log=log))
    command = ["setpriv", "--pdeathsig", "KILL", nginx, "-p", str(folder), "-c", str(folder / "main.conf")]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for_port(https, process, log)
        yield ReverseProxy(https, http, folder)
    finally:
        process.terminate()
        process.wait(timeout=10)


_MAIN = """
daemon off;
master_process off; # one process, of this account
pid {folder}/pid;
error_log {log} warn;
events {{ worker_connections 512; }}
http {{
    log_format test '$status $request_method $uri $remote_user';
    access_log {folder}/access.log test;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/nginx.conf;
}}
"""


def _here(shipped: str, folder: Path, ports: dict[str, int]) -> str:
    """The shipped text with this test's paths and ports, and nothing else changed."""
    text = re.sub(r"^ *listen \[::\].*\n", "", shipped, flags=re.MULTILINE)  # not every machine has IPv6
    text = text.replace("/etc/nginx/transcribe", str(folder))
    text = re.sub(r"127\.0\.0\.1:(\d+);", lambda found: f"127.0.0.1:{ports[found[1]]};", text)
    return re.sub(r"listen (80|443)\b", lambda found: f"listen 127.0.0.1:{ports[found[1]]}", text)


def _hashed(password: str) -> str:
    made = subprocess.run(["openssl", "passwd", "-6", password], check=True, capture_output=True, text=True)
    return made.stdout.strip()


def _certificate(folder: Path) -> None:
    names = f"subjectAltName=DNS:{DAGSTER},DNS:{PAGES}"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=proxy", "-addext", names, "-days", "2"]
    command += ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    subprocess.run(command, check=True, capture_output=True)


def free_ports(number: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_for_port(port: int, process: subprocess.Popen[Any], log: Path, seconds: float = _START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.05)
