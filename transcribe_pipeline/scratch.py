"""Private working folders that leave nothing behind, not even after SIGKILL.

Each process has one folder `<home>/scratch/<random>` (0700) with a lock file that it holds for life. The kernel lets go
of the lock when the process dies, however it dies: whoever opens scratch next removes the folders whose locks are free.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from transcribe_pipeline.errors import ErrorCode, PipelineError

_INPUT_NAME = "input.bin"
"""The one name media tools ever see: what people call their files never reaches a tool."""
_LOCK_NAME = "lock"

T = TypeVar("T")

_opened: dict[tuple[int, Path], "Scratch"] = {}
_opening = Lock()


def open_scratch(home: Path) -> "Scratch":
    """This process' scratch under `home`, made on first use; removes what dead processes left there."""
    with _opening:
        # By process: a forked child must not share, and at its exit remove, its parent's folder.
        key = (os.getpid(), home.resolve())
        if key not in _opened:
            _opened[key] = Scratch(home)
        return _opened[key]


def sweep(home: Path) -> None:
    """Remove what dead processes left under `home`. Opening scratch does this too; not every run needs scratch."""
    root = home.resolve() / "scratch"
    if root.is_dir():
        with _making(root):
            _remove_dead(root)


@contextmanager
def _making(root: Path) -> Iterator[None]:
    """One at a time: between its making and its locking, a folder would look like a dead process'."""
    with (root / ".making").open("w") as making:
        fcntl.flock(making, fcntl.LOCK_EX)
        yield


class Scratch:
    """The folder of one process. Safe for threads."""

    def __init__(self, home: Path) -> None:
        """Use `open_scratch`."""
        root = home.resolve() / "scratch"
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _making(root):
            _remove_dead(root)
            self.path = Path(tempfile.mkdtemp(dir=root))
            # Closed by the kernel alone. Not inheritable, so no ffmpeg that outlives us keeps the lock.
            self._lock = (self.path / _LOCK_NAME).open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._pid = os.getpid()
        self._cached: dict[str, tuple[Path, Any]] = {}
        self._key_locks: dict[str, Lock] = {}
        self._guard = Lock()
        atexit.register(self._close)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty 0700 folder for one task, removed with all it holds at the end."""
        path = Path(tempfile.mkdtemp(dir=self.path))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def cached(self, key: str, make: Callable[[Path], T]) -> tuple[Path, T]:
        """A file that the stages of a run share: `make` writes it once, later calls get the same file.

        The file is called `input.bin` and lies alone in a folder of its own. If `make` fails, nothing is kept.

        :returns: the file and what `make` returned.
        """
        with self._lock_of(key):
            if key not in self._cached:
                path = Path(tempfile.mkdtemp(dir=self.path)) / _INPUT_NAME
                try:
                    self._cached[key] = (path, make(path))
                except BaseException:
                    shutil.rmtree(path.parent, ignore_errors=True)
                    raise
            return self._cached[key]

    def discard(self, key: str) -> None:
        """Remove the cached file, if there is one."""
        with self._lock_of(key):
            if entry := self._cached.pop(key, None):
                shutil.rmtree(entry[0].parent, ignore_errors=True)

    def require_free(self, size_bytes: int) -> None:
        """:raises PipelineError: DISK_FULL, if fewer bytes than that are free here."""
        free = shutil.disk_usage(self.path).free
        if free < size_bytes:
            raise PipelineError(ErrorCode.DISK_FULL, f"{size_bytes / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free")

    def _lock_of(self, key: str) -> Lock:
        with self._guard:
            return self._key_locks.setdefault(key, Lock())

    def _close(self) -> None:
        if os.getpid() == self._pid:
            shutil.rmtree(self.path, ignore_errors=True)


def _remove_dead(root: Path) -> None:
    for folder in root.iterdir():
        if folder.is_dir() and not _is_alive(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(folder: Path) -> bool:
    try:
        with (folder / _LOCK_NAME).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
