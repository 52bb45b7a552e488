"""An HTTP proxy that breaks responses on purpose, in front of a real server."""

import http.client
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Fault:
    """What happens to one GET of an object: an error status, or a body cut after some bytes."""

    status: int | None = None
    """Answer this instead of asking the server."""
    cut_after: int | None = None
    """Close the connection after this many bytes of the body, though its whole length was declared. Not of an error."""
    alter: int | None = None
    """The byte at this place arrives as another one. (Of an answer that has it.)"""
    meanwhile: Callable[[], object] = lambda: None
    """Called when the fault strikes: what else happens in the world at that moment."""


@dataclass
class FaultProxy:
    """`faults` are spent one per GET of an object (not of a listing), in order; without one, requests pass."""

    url: str
    faults: deque[Fault] = field(default_factory=deque)
    ranges: list[str | None] = field(default_factory=list)
    """The Range header of every GET of an object, in order."""


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A proxy on a free port in front of `upstream` (an http:// URL)."""
    proxy = FaultProxy(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            fault = self._next_fault()
            if fault and fault.status:
                fault.meanwhile()
                self.send_response(fault.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            status, headers, body = self._ask()
            if fault and fault.alter is not None and fault.alter < len(body):
                body = body[: fault.alter] + bytes([body[fault.alter] ^ 1]) + body[fault.alter + 1 :]
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            if fault is None or fault.cut_after is None or status >= 300:
                self.wfile.write(body)
                return
            self.wfile.write(body[: fault.cut_after])
            self.wfile.flush()
            fault.meanwhile()
            self.close_connection = True

        def _next_fault(self) -> Fault | None:
            if self.command != "GET" or "list-type" in self.path:
                return None
            proxy.ranges.append(self.headers["Range"])
            return proxy.faults.popleft() if proxy.faults else None

        def _ask(self) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc)
            request_body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            connection.request(self.command, self.path, body=request_body, headers=dict(self.headers))
            response = connection.getresponse()
            body = response.read()
            connection.close()
            return response.status, response.getheaders(), body

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
