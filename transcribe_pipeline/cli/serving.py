"""`transcribe serve` and `transcribe open`: transcript pages with their recordings, for the people of this machine.

What belongs here: the small web server on 127.0.0.1. It shows pages at the addresses that their objects have in the
store, so that a page finds its recording by the same relative URL as in a folder. It has no login: whoever may connect
to this machine's loopback may read every transcript, as with Dagster's UI.

What is served is what the ledger knows: no key comes from a request unchecked. Recordings are hostile, so they are
media by a closed list of types or a download, never a document; pages bring a Content Security Policy of their own.
Other sites cannot read anything: requests must name this host (DNS rebinding), and answers belong to their own origin.
"""

import re
import socket
import webbrowser
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from urllib.request import urlopen

import typer
from sqlalchemy import Engine, make_url

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import open_ledger, resolve
from transcribe_pipeline.cli.health import Scraped
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export import page
from transcribe_pipeline.export.formats import FORMATS, result_keys
from transcribe_pipeline.export.insight_files import INSIGHT_FILES, insight_keys
from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.text import is_storable
from transcribe_pipeline.resources.object_store import ObjectStore, open_store
from transcribe_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 3001
"""Beside Dagster's UI on 3000."""
_HOST_NAMES = (HOST, "localhost")
_IDENTITY_PATH: Final = "/-/identity"
_METRICS_PATH: Final = "/metrics"
_FILES_LISTED: Final = 100
_CHUNK_BYTES: Final = 2 * 1024**2
"""Of a recording, read and sent at a time: also what is read in vain when a player seeks."""

_MEDIA_TYPES: Final = {
    "aac": "audio/aac",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "avi": "video/x-msvideo",
    "m4v": "video/mp4",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "ogv": "video/ogg",
    "webm": "video/webm",
    "wmv": "video/x-ms-wmv",
}
"""Extension -> what browsers play. Everything else is a download without a type."""

_HEADERS: Final = {
    "Cache-Control": "private, no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_INERT: Final = {"Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'"}
"""For what people uploaded: even if a browser took it for a document, it could neither run nor load anything."""
_UNFRAMED: Final = {"Content-Security-Policy": "frame-ancestors 'none'"}
"""What a page cannot say of itself; the rest of its policy is in it."""

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def serve(*, port: int) -> None:
    """Serve until Ctrl-C. An OSError tells that the port is taken."""
    configured = load_settings()
    ledger, store = open_ledger(configured), open_store(configured.resolved_store_url)
    listening = _listen(port)
    output.note(f"Transcripts: {_address(listening)}    Ctrl-C ends this.")
    _run(application(configured, ledger, store), listening)


def open_page(name: str, *, owner: str | None, port: int) -> None:
    """Open a file's page in the browser, served by `serve` if that runs on `port`, else from here until Ctrl-C.

    :raises PipelineError: FILE_UNKNOWN; ARTIFACT_MISSING, if the file has no page yet.
    """
    configured = load_settings()
    ledger, store = open_ledger(configured), open_store(configured.resolved_store_url)
    file = resolve(ledger, name, owner)
    key = page.page_key(configured.results_prefix, file.owner, file.partition_key)
    if not store.exists(key):
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "this file has no transcript page yet")
    running = f"http://{HOST}:{port}"
    if _answers_for(configured, running):
        _show(f"{running}/{quote(key)}")
        return
    try:
        listening = _listen(port)
    except OSError:  # something else has that port
        listening = _listen(0)
    # It listens already, so the browser waits for its answer.
    _show(f"{_address(listening)}/{quote(key)}")
    output.note("Serving the page; Ctrl-C ends this.")
    _run(application(configured, ledger, store), listening)


def application(configured: Settings, ledger: Engine, store: ObjectStore) -> "Starlette":
    """The web application: `/` lists files, `/metrics` is for Prometheus, everything else is an object by its key."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    site = _Site(configured, ledger, store)

    def failed(_request: "Request", error: Exception) -> "Response":
        return PlainTextResponse(str(error), status_code=503, headers=_HEADERS)

    return Starlette(
        routes=[
            Route("/", site.index),
            Route(_IDENTITY_PATH, site.identity),
            Route(_METRICS_PATH, site.metrics),
            Route("/{key:path}", site.stored),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOST_NAMES, www_redirect=False)],
        exception_handlers={PipelineError: failed},
    )


class _Site:
    """What is shown. Methods are not async: Starlette runs them in threads, since ledger and store block."""

    def __init__(self, configured: Settings, ledger: Engine, store: ObjectStore) -> None:
        self._configured = configured
        self._ledger = ledger
        self._store = store
        self._scraped = Scraped(configured, ledger)

    def index(self, request: "Request") -> "Response":
        from starlette.responses import HTMLResponse

        after = request.query_params.get("after", "")
        found = files.list_files(self._ledger, status=Status.COMPLETED, limit=_FILES_LISTED + 1, after=_id(after))
        listed, rest = found[:_FILES_LISTED], found[_FILES_LISTED:]
        entries = [
            page.Entry(file.file_name, file.owner, file.registered_at, f"/{quote(self._page_key(file))}")
            for file in listed
        ]
        html, policy = page.render_index(entries, older=f"/?after={quote(listed[-1].id)}" if rest else None)
        return HTMLResponse(html, headers=_HEADERS | {"Content-Security-Policy": policy})

    def identity(self, _request: "Request") -> "Response":
        from starlette.responses import PlainTextResponse

        return PlainTextResponse(_identity(self._configured), headers=_HEADERS)

    def metrics(self, _request: "Request") -> "Response":
        from starlette.responses import Response

        from transcribe_pipeline.operations.health.prometheus import CONTENT_TYPE

        return Response(self._scraped.text(), headers=_HEADERS | {"Content-Type": CONTENT_TYPE})

    def stored(self, request: "Request") -> "Response":
        """A result or a recording, if the ledger knows it under exactly this key."""
        from starlette.responses import PlainTextResponse

        key: str = request.path_params["key"]
        with suppress(FileNotFoundError):
            if key.startswith(f"{self._configured.results_prefix}/"):
                return self._result(key)
            if key.startswith(f"{self._configured.uploads_prefix}/"):
                return self._recording(request, key)
        return PlainTextResponse("There is nothing here.", status_code=404, headers=_HEADERS)

    def _result(self, key: str) -> "Response":
        from starlette.responses import Response

        folder, _, name = key.rpartition("/")
        partition_key = folder.rpartition("/")[2]
        found = [file for file in files.find(self._ledger, partition_key) if file.partition_key == partition_key]
        if not found:
            raise FileNotFoundError
        (file,) = found
        if key == self._page_key(file):
            return self._page(key)
        prefix = self._configured.results_prefix
        exports = result_keys(prefix, file.owner, file.partition_key).items()
        told = insight_keys(prefix, file.owner, file.partition_key).items()
        media_types = {known: FORMATS[format_].media_type for format_, known in exports}
        media_types |= {known: INSIGHT_FILES[insight].media_type for insight, known in told}
        media_type = media_types.get(key)
        if media_type is None:
            raise FileNotFoundError
        headers = _HEADERS | _INERT | {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(self._store.get_bytes(key), media_type=media_type, headers=headers)

    def _page(self, key: str) -> "Response":
        from starlette.responses import HTMLResponse, PlainTextResponse

        try:
            return HTMLResponse(self._store.get_bytes(key), headers=_HEADERS | _UNFRAMED)
        except FileNotFoundError:
            return PlainTextResponse("This recording has no transcript page yet.", status_code=404, headers=_HEADERS)

    def _recording(self, request: "Request", key: str) -> "Response":
        from starlette.responses import Response, StreamingResponse

        if all(file.object_key != key for file in files.find(self._ledger, key)):
            raise FileNotFoundError
        size, etag = self._store.describe(key)
        media_type = _MEDIA_TYPES.get(key.rpartition(".")[2].lower())
        tag = f'"{etag.strip(chr(34))}"'
        headers = _HEADERS | _INERT | {"Accept-Ranges": "bytes", "ETag": tag}
        if media_type is None:
            headers["Content-Disposition"] = "attachment"
        # A range of what the browser has seen before is of no use if the recording has been replaced since.
        unchanged = request.headers.get("if-range", tag) == tag
        part = _asked(request.headers.get("range") if unchanged else None, size)
        if part is not None and not part:
            return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
        if part is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        sent = range(size) if part is None else part
        return StreamingResponse(
            self._chunks(key, etag, sent if request.method == "GET" else range(0)),
            status_code=200 if part is None else 206,
            media_type=media_type or "application/octet-stream",
            headers=headers | {"Content-Length": str(len(sent))},
        )

    def _chunks(self, key: str, etag: str, sent: range) -> Iterator[bytes]:
        for at in sent[::_CHUNK_BYTES]:
            yield self._store.get_range(key, etag, at, min(at + _CHUNK_BYTES, sent.stop))

    def _page_key(self, file: FileView) -> str:
        return page.page_key(self._configured.results_prefix, file.owner, file.partition_key)


def _id(text: str) -> str | None:
    """`text` if it may be a file's id: what no database can store is not asked for."""
    return text if text and is_storable(text) else None


def _asked(header: str | None, size: int) -> range | None:
    """The bytes that a Range header asks for, perhaps none of `size`; None: the whole (RFC 9110, 14.1).

    Several ranges at once, and units other than bytes, may be ignored: then the whole is sent.
    """
    asked = _RANGE.fullmatch(header.strip()) if header else None
    if not asked or asked.groups() == ("", ""):
        return None
    first, last = asked.groups()
    if not first:
        return range(max(size - int(last), 0), size)
    return range(int(first), min(int(last) + 1, size) if last else size)


# --- starting and finding it ----------------------------------------------------------------------------------------


def _listen(port: int) -> socket.socket:
    """A socket that takes connections already; port 0: any free one."""
    return socket.create_server((HOST, port))


def _address(listening: socket.socket) -> str:
    return f"http://{HOST}:{listening.getsockname()[1]}"


def _run(application: "Starlette", listening: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(application, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    with listening, suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def _show(address: str) -> None:
    typer.echo(address)
    webbrowser.open(address)


def _identity(configured: Settings) -> str:
    """Whose transcripts a server shows, so that `open` takes no other installation's for this one."""
    ledger = make_url(configured.resolved_database_url.get_secret_value())
    return f"transcribe\n{ledger.render_as_string(hide_password=True)}\n{configured.resolved_store_url}\n"


def _answers_for(configured: Settings, address: str) -> bool:
    try:
        with urlopen(f"{address}{_IDENTITY_PATH}", timeout=2) as answer:  # noqa: S310  # our own http:// address
            return bool(answer.read(10_000).decode(errors="replace") == _identity(configured))
    except (OSError, HTTPException):  # nobody answers, or somebody who does not speak HTTP
        return False
