"""A TCP proxy that breaks connections on purpose, in front of any real server; and one that knows PostgreSQL's commits.

`fault_proxy` breaks single answers of an HTTP server; this one knows of bytes only, and breaks whatever it is told to.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

_CHUNK = 65_536


class Mode(StrEnum):
    PASS = "pass"
    REFUSE = "refuse"
    """Every connection is reset, as when nobody listens."""
    SILENT = "silent"
    """Connections are taken, and nothing is ever answered."""


@dataclass
class TcpProxy:
    """`mode` may be changed at any time; connections that there are then end, unless it is PASS."""

    port: int = 0
    cut: Callable[[bytes, bytes], bool] = lambda asked, answer: False
    """Called with what a connection's client has last sent and each piece of the answer: True cuts instead."""
    cuts: int = 0
    unanswered: threading.Event = field(default_factory=threading.Event)
    """Somebody has connected while the mode is SILENT."""
    _mode: Mode = Mode.PASS
    _open: set[socket.socket] = field(default_factory=set)

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode is not Mode.PASS:
            self.cut_all()

    def cut_all(self) -> None:
        """Reset every connection that there is."""
        for end in list(self._open):
            _reset(end)


@contextmanager
def tcp_proxy(host: str, port: int) -> Iterator[TcpProxy]:
    """A proxy on a free port of this machine, in front of `host:port`."""
    listening = socket.create_server(("127.0.0.1", 0))
    proxy = TcpProxy(listening.getsockname()[1])
    threading.Thread(target=_accept, args=(proxy, listening, (host, port)), daemon=True).start()
    try:
        yield proxy
    finally:
        listening.close()
        proxy.cut_all()


def _accept(proxy: TcpProxy, listening: socket.socket, server: tuple[str, int]) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        proxy._open.add(client)
        if proxy.mode is Mode.SILENT:
            proxy.unanswered.set()
            continue
        try:
            if proxy.mode is Mode.REFUSE:
                raise ConnectionRefusedError
            upstream = socket.create_connection(server)
        except OSError:
            _reset(client)
            continue
        proxy._open.add(upstream)
        asked = bytearray()
        for source, target in ((client, upstream), (upstream, client)):
            threading.Thread(target=_pump, args=(proxy, source, target, asked, target is client), daemon=True).start()


def _pump(proxy: TcpProxy, source: socket.socket, target: socket.socket, asked: bytearray, is_answer: bool) -> None:
    """`asked` holds what the client has sent since the server's last answer."""
    answered = False
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            if is_answer:
                if proxy.cut(bytes(asked), data):
                    proxy.cuts += 1
                    break
                answered = True
            else:
                asked += data
            target.sendall(data)
            if answered:
                asked.clear()
                answered = False
    for end in (source, target):
        _reset(end)
        proxy._open.discard(end)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def lost_answers_of_commits(every: int) -> Callable[[bytes, bytes], bool]:
    """For PostgreSQL: of so many commits, one is carried out and its answer lost."""
    lock, commits = threading.Lock(), 0

    def cut(asked: bytes, answer: bytes) -> bool:
        nonlocal commits
        if b"COMMIT\0" not in asked or b"COMMIT\0" not in answer:
            return False
        with lock:
            commits += 1
            return commits % every == 0

    return cut
