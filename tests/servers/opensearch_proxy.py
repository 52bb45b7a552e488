"""A proxy in front of a real OpenSearch that turns away what a busy one would, and remembers what was asked."""

import http.client
import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit


@dataclass
class OpenSearchProxy:
    url: str
    answers: deque[tuple[int, str]] = field(default_factory=deque)
    """HTTP status and type of error, instead of asking the node; spent one per request."""
    refuses: Callable[[int, str], int | None] = lambda request, identifier: None
    """Number of the bulk request, a document's id -> status with which this item is refused; the node never sees it."""
    bulks: list[list[str]] = field(default_factory=list)
    """Ids in each bulk request."""
    searches: list[dict[str, Any]] = field(default_factory=list)
    """Every body that was searched with."""


@contextmanager
def opensearch_proxy(upstream: str) -> Iterator[OpenSearchProxy]:
    """On a free port, in front of the node at `upstream`."""
    proxy = OpenSearchProxy("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if proxy.answers:
                status, kind = proxy.answers.popleft()
                self._answer(status, json.dumps({"error": {"type": kind, "reason": "so"}, "status": status}).encode())
            elif "/_bulk" in self.path:
                self._bulk(body)
            else:
                if "/_msearch" in self.path:
                    proxy.searches.extend(json.loads(line) for line in body.splitlines()[1::2])
                self._answer(*self._ask(body))

        def _bulk(self, body: bytes) -> None:
            lines = body.splitlines()
            identifiers = [json.loads(line)["index"]["_id"] for line in lines[::2]]
            refused = {i: status for i in identifiers if (status := proxy.refuses(len(proxy.bulks), i))}
            proxy.bulks.append(identifiers)
            kept = [n for n, identifier in enumerate(identifiers) if identifier not in refused]
            answered: dict[str, Any] = {"took": 1, "errors": False, "items": []}
            if kept:
                rest = b"\n".join([line for n in kept for line in lines[2 * n : 2 * n + 2]] + [b""])
                answered = json.loads(self._ask(rest)[1])
            items = iter(answered["items"])
            answered["items"] = [_refusal(i, refused[i]) if i in refused else next(items) for i in identifiers]
            answered["errors"] = answered["errors"] or bool(refused)
            self._answer(200, json.dumps(answered).encode())

        def _ask(self, body: bytes) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc)
            headers = {"Content-Type": self.headers["Content-Type"] or "application/json"}
            connection.request(self.command, self.path, body=body, headers=headers)
            response = connection.getresponse()
            answer = response.read()
            connection.close()
            return response.status, answer

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


def _refusal(identifier: str, status: int) -> dict[str, Any]:
    error = {"type": "rejected_execution_exception", "reason": "the queue is full"}
    return {"index": {"_id": identifier, "status": status, "error": error}}
