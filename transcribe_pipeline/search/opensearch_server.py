"""An OpenSearch server: the connection, patience with it, and what may go wrong as errors of ours.

What belongs here: what any request has in common. What does not: what is requested.
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import stamina

from transcribe_pipeline.errors import ErrorCode, PipelineError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds for which a busy server is asked again: a person is waiting."""
_TIMEOUT: Final = 60
_BUSY: Final = frozenset({429, 502, 503, 504})
"""HTTP says of these that the same request may succeed later."""
_BLOCKED: Final = "cluster_block_exception"
"""The disk is nearly full, or the index closed for maintenance: for people, and with statuses 403 and 429."""

_ERROR_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,80}")
"""What OpenSearch calls an error. A proxy's answer is free text, and may repeat the password that it was sent."""


class Busy(Exception):
    """Something was not accepted for now: `Server.do` tries again."""


class IndexGone(PipelineError):
    """An alias or index that a request names does not exist, though it did a moment ago."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.SEARCH_UNAVAILABLE, "the index was removed or replaced meanwhile")


class Exists(Exception):
    """The index that was to be made is there."""


class Server:
    def __init__(self, url: str, user: str, password: str) -> None:
        """Nothing is asked of the server yet. Raises CONFIGURATION for what is no URL."""
        # Failures reach people as errors of ours; the client would log each with a page of traceback.
        logging.getLogger("opensearch").setLevel(logging.CRITICAL)
        self.client, self.location = _connected(url, user, password)

    def do(self, request: Callable[[], T], *, patience: float = _PATIENCE) -> T:
        """Ask the server; again, with growing pauses for `patience` seconds, while it says that it is busy."""
        from opensearchpy import OpenSearchException

        try:
            for attempt in stamina.retry_context(
                on=_is_busy, attempts=None, timeout=patience, wait_initial=0.1, wait_max=5.0, wait_jitter=0.5
            ):
                with attempt:
                    return request()
        except (OpenSearchException, Busy) as error:
            raise self._translated(error) from None
        raise AssertionError("stamina returns or raises")

    def _translated(self, error: Exception) -> Exception:
        from opensearchpy import ConnectionError as NoConnection
        from opensearchpy import ConnectionTimeout, SSLError, TransportError

        if isinstance(error, SSLError):
            return PipelineError(ErrorCode.CONFIGURATION, f"the certificate of {self.location} is not trusted")
        if isinstance(error, NoConnection):
            what = "answers too late" if isinstance(error, ConnectionTimeout) else "cannot be reached"
            return PipelineError(ErrorCode.SEARCH_UNAVAILABLE, f"{self.location} {what}")
        if not isinstance(error, TransportError):
            return PipelineError(ErrorCode.SEARCH_UNAVAILABLE, f"{self.location}: {type(error).__name__}")
        cause = error.info.get("error") if isinstance(error.info, dict) else None
        reason = str(cause.get("reason", "")) if isinstance(cause, dict) else ""
        return _failure(int(error.status_code), str(error.error), reason)

    def description(self, target: str) -> tuple[bool, frozenset[str]]:
        """Whether vectors can be searched, and the fields."""
        answer = self.do(lambda: self.client.indices.get(index=target, params={"ignore_unavailable": "true"}))
        for description in answer.values():
            has_knn = description["settings"]["index"].get("knn") == "true"
            return has_knn, frozenset(description["mappings"].get("properties", {}))
        return False, frozenset()


def _is_busy(error: Exception) -> bool:
    from opensearchpy import TransportError

    return isinstance(error, Busy) or (isinstance(error, TransportError) and error.status_code in _BUSY)


def may_pass(refusal: Mapping[str, Any]) -> bool:
    """Whether what one of several items was refused with may be over in a moment."""
    status = int(refusal["status"])
    return (status == 429 or status >= 500) and refusal["error"]["type"] != _BLOCKED


def failure_of(response: Mapping[str, Any]) -> Exception:
    """Of one item or response among several, with its own status."""
    error = response["error"]
    return _failure(int(response["status"]), str(error["type"]), str(error.get("reason", "")))


def _failure(status: int, kind: str, reason: str = "") -> Exception:
    """What an HTTP status with OpenSearch's name for the error means to us. `reason` may quote what was sent."""
    if not _ERROR_NAME.fullmatch(kind):
        kind, reason = "from something that is not OpenSearch", ""
    if status in _BUSY or status >= 500 or kind == _BLOCKED:
        return PipelineError(ErrorCode.SEARCH_UNAVAILABLE, f"OpenSearch: {status} {kind}")
    if status in (401, 403):
        return PipelineError(ErrorCode.CONFIGURATION, f"OpenSearch refuses the user or a permission: {status} {kind}")
    if status == 404:
        return IndexGone()
    if kind == "resource_already_exists_exception":
        return Exists(kind)
    return PipelineError(ErrorCode.INTERNAL, f"OpenSearch refused a request: {status} {kind} {reason}".rstrip()[:300])


def _connected(url: str, user: str, password: str) -> tuple["OpenSearch", str]:
    """A client, and the URL without what is secret."""
    from opensearchpy import ImproperlyConfigured, OpenSearch

    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError
        user, password = user or unquote(parts.username or ""), password or unquote(parts.password or "")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        bare = urlunsplit(
            (parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path.rstrip("/"), "", "")
        )
        port = parts.port or (443 if parts.scheme == "https" else 80)
        client = OpenSearch(
            [{"host": parts.hostname, "port": port, "use_ssl": parts.scheme == "https", "url_prefix": parts.path}],
            http_auth=(user, password) if user else None,
            timeout=_TIMEOUT,
            max_retries=0,
        )
    except (ValueError, ImproperlyConfigured):
        raise PipelineError(ErrorCode.CONFIGURATION, "TRANSCRIBE_SEARCH_URL is no URL like https://host:9200") from None
    return client, bare
