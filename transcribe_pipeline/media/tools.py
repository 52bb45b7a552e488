"""Runs one media tool on a hostile file. The only place in the project that starts ffmpeg, ffprobe or ExifTool.

A tool gets a fixed argument list, a minimal environment, limits on memory, CPU and wall clock, no right to write any
file (results leave through a bounded pipe), and dies with us. What the output means is for the callers.

The limits are set by util-linux's `setpriv` and `prlimit` in front of the tool instead of a `preexec_fn`: that would
run Python between fork and exec, which can deadlock in a process with threads (ours has them: heartbeats, models).
"""

import fcntl
import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from transcribe_pipeline.errors import ErrorCode, PipelineError

# ffmpeg peaks at 55 MB resident on a 10 h FLAC, but maps several times that; 2 GiB stops bombs, nothing honest.
_MEMORY_BYTES = 2 * 1024**3
# ffprobe describes a file of 1,000 streams in about 1 MB.
_CAPTURE_BYTES = 16 * 1024**2
# The end is what matters: filters print their sums last. A damaged hour of MP3 prints tens of thousands of lines.
_STDERR_BYTES = 256 * 1024
_PIPE_BYTES = 1024**2

_CONSTANT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class ToolOutput:
    returncode: int
    """0 or the tool's own code; death by a signal is raised, not returned."""
    stdout: bytes
    """Empty where the caller took it in pieces."""
    stderr: str
    """The last 256 KiB."""


def constant_name(path: Path) -> str:
    """The file's name as a tool's argument; the tool runs in the file's folder.

    Names that users chose can be options, protocols or (for pyexiftool, which splits at newlines) whole commands, so
    only plain lower-case names made by this program pass. Raises ValueError for any other.
    """
    if not _CONSTANT_NAME.fullmatch(path.name):
        raise ValueError("media tools only see names made by this program")
    return path.name


def run_tool(
    command: Sequence[str], *, folder: Path, seconds: float, on_stdout: Callable[[bytes], None] | None = None
) -> ToolOutput:
    """Run `command` in `folder` for at most `seconds` of wall clock; the exit code is the caller's to judge.

    With `on_stdout`, output is handed over in pieces as it comes and never gathered; anything the callback raises
    ends the tool, and so does an interrupt. Without it, output is captured up to 16 MiB.

    Raises PipelineError: MEDIA_TOOL_MISSING, MEDIA_TOOL_TIMEOUT (wall clock or CPU), MEDIA_TOOL_CRASH (killed by a
    signal), CORRUPT_MEDIA (more output than any honest file causes).
    """
    tool = Path(command[0]).name
    argv = [*_confinement(seconds), _absolute(command[0]), *command[1:]]
    captured = bytearray()

    def capture(chunk: bytes) -> None:
        captured.extend(chunk)
        if len(captured) > _CAPTURE_BYTES:
            raise PipelineError(ErrorCode.CORRUPT_MEDIA, "its description alone is larger than 16 MiB")

    with subprocess.Popen(
        argv,
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        process_group=0,
    ) as process:
        try:
            deadline = time.monotonic() + seconds
            stderr = _pump(process, deadline, on_stdout or capture)
            process.wait(max(deadline - time.monotonic(), 1))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise PipelineError(ErrorCode.MEDIA_TOOL_TIMEOUT, f"{tool} was stopped after {seconds:.0f} s") from None
        finally:
            # Not yet reaped means that the group id is still ours, whatever members of the group are left.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    _raise_if_killed(tool, process.returncode)
    return ToolOutput(process.returncode, bytes(captured), stderr.decode("utf-8", "replace"))


def _absolute(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        raise PipelineError(ErrorCode.MEDIA_TOOL_MISSING, tool)
    return path


def _confinement(seconds: float) -> list[str]:
    """Both programs exec the next one, so the tool keeps the process id and is our direct child."""
    return [
        *(_absolute("setpriv"), "--pdeathsig", "KILL", "--no-new-privs", "--"),
        _absolute("prlimit"),
        f"--as={_within(resource.RLIMIT_AS, _MEMORY_BYTES)}",
        # Wall clock is the real limit; this one also holds while we ourselves are frozen. Twice, for two threads.
        f"--cpu={_within(resource.RLIMIT_CPU, int(2 * seconds) + 1)}",
        "--fsize=0",
        "--core=0",
        "--",
    ]


def _within(kind: int, wanted: int) -> int:
    """No more than we may have ourselves: prlimit would refuse, which looks as if the tool had refused the file."""
    _, most = resource.getrlimit(kind)
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most)


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _pump(process: subprocess.Popen[bytes], deadline: float, on_stdout: Callable[[bytes], None]) -> bytes:
    """Move both pipes until they close; returns the end of stderr. Raises TimeoutError at the deadline."""
    stdout, stderr = _pipe(process.stdout), _pipe(process.stderr)
    fcntl.fcntl(stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    tail = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        selector.register(stderr, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if time.monotonic() >= deadline:
                raise TimeoutError
            for key, _ in ready:
                chunk = os.read(key.fd, _PIPE_BYTES)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif key.fileobj is stdout:
                    on_stdout(chunk)
                else:
                    tail.extend(chunk)
                    del tail[:-_STDERR_BYTES]
    return bytes(tail)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # Popen was given PIPE
    return stream


def _raise_if_killed(tool: str, returncode: int) -> None:
    if returncode >= 0:
        return
    if returncode == -signal.SIGXCPU:
        raise PipelineError(ErrorCode.MEDIA_TOOL_TIMEOUT, f"{tool} used up its CPU time")
    raise PipelineError(ErrorCode.MEDIA_TOOL_CRASH, f"{tool} died of {signal.Signals(-returncode).name}")
