"""Where text may go: every request to a language model leaves through `http_client`, which holds what the admin allows.

With TRANSCRIBE_ALLOW_REMOTE_LLM unset that is this machine and its private network. A host's name is resolved here, all
of its addresses must be private, and the connection is made to the very address that was looked at. No redirect is
followed, no proxy of the environment used.
"""

import ipaddress
import socket
import time
import urllib.request
from collections.abc import Iterator

import httpx2

from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.language_models.wire import MayPassError, bad_answer, refused

_PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        (
            *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "0.0.0.0/32"),
            *("::1/128", "fc00::/7", "fe80::/10", "::/128"),
        ),
    )
)
"""Loopback, RFC 1918, RFC 4193 and link-local; and 0.0.0.0, by which servers tell that they listen here. Listed rather
than `is_private`, which in Python 3.11 holds Teredo's 2001::/23, through which the whole Internet can be reached."""

_PUBLIC = frozenset({"api.anthropic.com", "api.openai.com", "openrouter.ai"})
"""Known to be outside: a name server need not be asked, nor be there."""

_ANSWER_BYTES = 8_000_000
"""Of a response; 16,384 tokens are about 80,000."""
_CONNECT_SECONDS = 5.0

_HEADERS = frozenset(
    {
        *("host", "accept", "accept-encoding", "connection", "content-type", "content-length", "user-agent"),
        *("authorization", "x-api-key", "anthropic-version", "anthropic-beta"),
    }
)
"""What leaves. SDKs would also tell the operating system and the organisations and headers in the environment."""


def http_client(*, allow_remote: bool) -> httpx2.Client:
    """For SDKs, and for providers that have none."""
    return httpx2.Client(transport=_Gate(allow_remote=allow_remote), trust_env=False, follow_redirects=False)


def timeout(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def translated(error: Exception) -> PipelineError:
    """What a failed exchange means: an error of ours that the SDK has wrapped, a stall, or no connection."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PipelineError):
            return cause
        if isinstance(cause, httpx2.ConnectTimeout):
            return MayPassError("no connection")
        if isinstance(cause, httpx2.TimeoutException):
            return MayPassError("no answer in time")
        cause = cause.__cause__
    return MayPassError("no connection")


class _Gate(httpx2.BaseTransport):
    def __init__(self, *, allow_remote: bool) -> None:
        self._allow_remote = allow_remote
        self._direct = httpx2.HTTPTransport()
        self._proxied: dict[str, httpx2.HTTPTransport] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """:raises PipelineError: LANGUAGE_MODEL_REFUSED, before anything is connected to."""
        # Per read it would be no limit at all for a server that sends a byte now and then.
        deadline = time.monotonic() + request.extensions["timeout"]["read"]
        response = self._sent(_bare(request))
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise bad_answer("a compressed answer, which was not asked for")
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(response, deadline),
            extensions=response.extensions,
        )

    def _sent(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        if host in _PUBLIC and not self._allow_remote:
            raise _outside()
        addresses = _addresses(host)
        if addresses and all(map(_is_private, addresses)):
            return self._sent_to(addresses, request)
        if self._allow_remote:
            return self._outward(request).handle_request(request)
        if not addresses:
            raise MayPassError("its name cannot be resolved")
        raise _outside()

    def _sent_to(self, addresses: list[str], request: httpx2.Request) -> httpx2.Response:
        """To the first address that answers: asking the resolver again could give others."""
        host = request.url.host
        for position, address in enumerate(addresses):
            pinned = httpx2.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return self._direct.handle_request(pinned)
            except httpx2.ConnectError:
                if position == len(addresses) - 1:
                    raise
        raise AssertionError("there is an address")

    def _outward(self, request: httpx2.Request) -> httpx2.HTTPTransport:
        proxy = _proxy(request.url)
        if proxy is None:
            return self._direct
        if proxy not in self._proxied:
            self._proxied[proxy] = httpx2.HTTPTransport(proxy=proxy)
        return self._proxied[proxy]

    def close(self) -> None:
        for transport in (self._direct, *self._proxied.values()):
            transport.close()


def _outside() -> PipelineError:
    return refused("it is outside of the private network, and TRANSCRIBE_ALLOW_REMOTE_LLM is not set")


def _bare(request: httpx2.Request) -> httpx2.Request:
    """A copy, since SDKs keep notes for themselves in the headers of their own."""
    kept = [(name, value) for name, value in request.headers.multi_items() if name.lower() in _HEADERS]
    headers = httpx2.Headers(kept)
    headers["accept-encoding"] = "identity"  # so that the bytes read are the bytes there are
    return httpx2.Request(
        request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
    )


class _Bounded(httpx2.SyncByteStream):
    """A response's body: so many bytes, and until the deadline."""

    def __init__(self, response: httpx2.Response, deadline: float) -> None:
        self._response = response
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._response.iter_raw():
            size += len(part)
            if size > _ANSWER_BYTES:
                raise bad_answer(f"an answer of more than {_ANSWER_BYTES:,} bytes")
            if time.monotonic() > self._deadline:
                raise MayPassError("no answer in time")
            yield part

    def close(self) -> None:
        self._response.close()


def _addresses(host: str) -> list[str]:
    """All of a host's, each once; none if its name is not known."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_private(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip.version == network.version and ip in network for network in _PRIVATE)


def _proxy(url: httpx2.URL) -> str | None:
    """The environment's, for what may go out."""
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(url.host):
        return None
    return proxies.get(url.scheme) or proxies.get("all")
