"""What this machine has for speech models, and what to do when it is not enough.

Belongs here: devices, cores, free memory, how much a model will want (the ladder of rungs), telling a lack of memory
from other failures, and metering what a stage used. Does not: loading models (`models.py`), or what an engine does on
its rung. Importing this is cheap; torch and CTranslate2 are only asked where they are needed anyway.
"""

import errno
import gc
import math
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from transcribe_pipeline.errors import ErrorCode, PipelineError

T = TypeVar("T")


@dataclass(frozen=True)
class Rung:
    """One way to run a model. `ladder` has those for Whisper; other engines list their own for `descend`."""

    device: str
    """'cuda', 'mps' or 'cpu'."""
    compute_type: str
    """CTranslate2's name."""
    batch_size: int
    needs_bytes: int = field(default=0, compare=False)
    """Estimated peak of the device's memory, model included."""


# --- devices and cores ----------------------------------------------------------------------------------------------


def resolve_device(configured: str, *, torch_engine: bool = False) -> str:
    """'cuda', 'mps' or 'cpu' for a setting that may also be 'auto'.

    :param torch_engine: whether the engine could use Apple's GPU ('mps'); CTranslate2 cannot, and gets the CPU.
    """
    if configured == "mps" and not torch_engine:
        return "cpu"
    if configured != "auto":
        return configured
    import ctranslate2  # 1 s cheaper to import than torch, and sees the same CUDA devices

    if ctranslate2.get_cuda_device_count():
        return "cuda"
    return "mps" if torch_engine and _has_mps() else "cpu"


def _has_mps() -> bool:
    if sys.platform != "darwin":
        return False
    import torch

    return bool(torch.backends.mps.is_available())


def cpu_threads(configured: int = 0) -> int:
    """Threads per model: as configured, else the cores this process may use (never more: oversubscription is slow).

    That is the cores it may be scheduled on and the quota of its container, which Python and torch do not look at. A
    quota of 1.5 cores gives 2: the threads of one model wait for each other, so they are throttled together, and 1
    would leave a third unused.
    """
    if configured:
        return configured
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(cores, ControlGroup().cpu_quota()))


def set_torch_threads(configured: int = 0) -> None:
    """Hold torch's own pool to `cpu_threads`; to be called wherever an engine loads that computes with torch."""
    import torch

    torch.set_num_threads(cpu_threads(configured))


# --- memory ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ControlGroup:
    """Limits that a container puts on this process; version 1 and 2. A group is bound by its ancestors' limits too."""

    membership: Path = Path("/proc/self/cgroup")
    mount: Path = Path("/sys/fs/cgroup")

    def cpu_quota(self) -> float:
        """Cores worth of time; infinite where there is no quota."""
        quotas = [math.inf]
        for folder in self._folders("cpu"):
            numbers = _words(folder / "cpu.max") or _words(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
            if len(numbers) == 2 and numbers[0] not in ("max", "-1"):
                quotas.append(int(numbers[0]) / int(numbers[1]))
        return min(quotas)

    def free_bytes(self) -> float:
        """Memory left below the limit, infinite where there is none. File cache that can go at once counts as free."""
        rooms = [math.inf]
        for folder in self._folders("memory"):
            limit = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
            used = _words(folder / "memory.current") or _words(folder / "memory.usage_in_bytes")
            if not limit or not used or limit == ["max"]:
                continue
            words = _words(folder / "memory.stat")
            statistics = dict(zip(words[::2], words[1::2], strict=False))
            cache = statistics.get("total_inactive_file") or statistics.get("inactive_file") or "0"
            rooms.append(max(int(limit[0]) - int(used[0]) + int(cache), 0))
        return min(rooms)

    def _folders(self, controller: str) -> Iterator[Path]:
        try:
            lines = self.membership.read_text().splitlines()
        except OSError:  # not Linux
            return
        for line in lines:
            number, controllers, path = line.split(":", 2)
            if number != "0" and controller not in controllers.split(","):
                continue
            root = self.mount if number == "0" else self.mount / controller
            # Inside a container the path may be the host's and not exist; the root then is the container's own group.
            group = root / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _words(*files: Path) -> list[str]:
    """All words of the files; [] if one is missing or not for us."""
    try:
        return [word for file in files for word in file.read_text().split()]
    except OSError:
        return []


def free_bytes(device: str) -> int:
    """Memory that this process may still take on the device. Apple's GPU shares the machine's."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    import psutil  # 60 ms that no process without models needs

    return int(min(psutil.virtual_memory().available, ControlGroup().free_bytes(), _address_space_left()))


def _address_space_left() -> float:
    """Below `ulimit -v`, as batch systems set it; infinite without."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    import psutil

    return max(limit - psutil.Process().memory_info().vms, 0)


def empty_caches() -> None:
    """Give memory of models that nobody refers to any more back to the device."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch and torch.backends.mps.is_available():
        torch.mps.empty_cache()


# --- the ladder -----------------------------------------------------------------------------------------------------

# CPU: Whisper base int8, beam 5, 147 s of speech on 2 cores: 26.3 s in batches of 4, 18.7 s of 8, 19.1 s of 16.
# CUDA: turbo, 8,005 s on an A6000: 106.6 s in batches of 2, 86.2 s of 4, 73.5 s of 16, 71.2 s of 32 (OpenTranscribe,
# docs/whisper-vram-profile).
_BATCHES = {"cuda": (16, 4, 1), "cpu": (8, 4, 2, 1)}
_SMALL_BATCHES = {"cuda": (4, 1), "cpu": (1,)}
"""With int8 in place of the type that was asked for."""

# Peaks as multiples of the weights' file, float16 as Whisper is published.
# CPU, measured with base (138 MiB): loading peaks at 257 MiB with int8 and 306 MiB with float32, since the file is
# read whole and then converted; each 30 s of a batch adds 90 MiB (278, 348, 542, 903 MiB with 1, 2, 4, 8; the same at
# beam 1 and 5). faster-whisper's README gives the same 0.63 for small (1.48 GB, 3.61 GB in batches of 8).
_CPU_FLOAT32, _CPU_OTHER, _CPU_ITEM = 2.2, 1.9, 0.65
# CUDA, not measured here but solved from faster-whisper's README (large-v2, 3.1 GB of weights: float16 4.53 GB, in
# batches of 8 6.09 GB; int8 2.93 GB, 4.50 GB); 0.07 is also what OpenTranscribe saw with turbo (116 MB).
_CUDA_FLOAT32, _CUDA_FLOAT16, _CUDA_INT8, _CUDA_ITEM = 2.0, 1.0, 0.5, 0.073
_CUDA_CONTEXT_BYTES = 1_200_000_000


def default_compute_type(device: str) -> str:
    """CTranslate2's best on the device: int8 on CPU (float32 takes twice as long), float16 on GPUs that have it."""
    if device != "cuda":
        return "int8"
    import ctranslate2

    supported = ctranslate2.get_supported_compute_types("cuda")
    return next(each for each in ("float16", "int8", "float32") if each in supported)


def whisper_bytes_needed(device: str, compute_type: str, batch_size: int, weights_bytes: int) -> int:
    """Estimated peak of the device's memory for Whisper in CTranslate2, of which `weights_bytes` are on disk."""
    if device == "cuda":
        weights = {"float32": _CUDA_FLOAT32, "float16": _CUDA_FLOAT16, "bfloat16": _CUDA_FLOAT16}.get(
            compute_type, _CUDA_INT8
        )
        return int(_CUDA_CONTEXT_BYTES + weights_bytes * (weights + _CUDA_ITEM * batch_size))
    weights = _CPU_FLOAT32 if compute_type == "float32" else _CPU_OTHER
    return int(weights_bytes * (weights + _CPU_ITEM * batch_size))


def ladder(device: str, compute_type: str, weights_bytes: int) -> tuple[Rung, ...]:
    """Ways to run Whisper in CTranslate2, best first: smaller batches, then int8, then the CPU.

    The rungs depend on machine and model alone, not on the memory that happens to be free, so that a position on the
    ladder means the same to a retry. `first_fitting` says where to start.

    :param device: as configured; 'auto' and 'mps' are resolved.
    :param compute_type: CTranslate2's; 'default' for `default_compute_type`.
    :param weights_bytes: size of the weights on disk, see `models.whisper_bytes`.
    """
    device = resolve_device(device)
    if compute_type == "default":
        compute_type = default_compute_type(device)
    ways = [(device, compute_type, _BATCHES[device])]
    if not compute_type.startswith("int8"):
        ways.append((device, "int8_float16" if compute_type == "float16" else "int8", _SMALL_BATCHES[device]))
    if device != "cpu":
        ways.append(("cpu", default_compute_type("cpu"), _BATCHES["cpu"]))
    return tuple(
        Rung(device, compute_type, batch, whisper_bytes_needed(device, compute_type, batch, weights_bytes))
        for device, compute_type, batches in ways
        for batch in batches
    )


def first_fitting(rungs: Sequence[Rung], remembered: int = 0, room: Callable[[str], int] = free_bytes) -> int:
    """Position of the best rung that the memory there is allows; the last if none does.

    :param remembered: where an earlier attempt ended, perhaps on another machine; nothing above it is tried.
    :param room: bytes to be had on a device; `models.shelf.room` counts what loaded models would give back.
    """
    fitting = (
        position
        for position, rung in enumerate(rungs)
        if position >= remembered and rung.needs_bytes <= room(rung.device)
    )
    return next(fitting, len(rungs) - 1)


def is_out_of_memory(error: BaseException, rung: Rung | None = None) -> bool:
    """Did this fail for lack of memory? Told by type and by memory, never by words in a message.

    Python, numpy and torch's GPU allocators have types for it. CTranslate2, torch on CPU and onnxruntime raise one
    type for everything (all tried under `ulimit -v`; CTranslate2 on CUDA is known to be no better). Such an error
    counts if the device has less room than its rung needs altogether. What the failed batch had taken may be back by
    then, but that only shows what room it had; the model itself is counted once too often, which errs towards a
    smaller batch rather than a lost file. A real defect stays one: it comes again on a rung that fits, and is raised.

    :param rung: what the work ran on; without it an error of the untyped kind is no lack of memory.
    """
    if isinstance(error, PipelineError):
        return error.code is ErrorCode.OUT_OF_MEMORY
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    torch = sys.modules.get("torch")  # an error of a library that is not loaded cannot be its own
    if torch and isinstance(error, torch.OutOfMemoryError):
        return True
    return rung is not None and _has_no_type(error) and free_bytes(rung.device) < rung.needs_bytes


def _has_no_type(error: BaseException) -> bool:
    kind = type(error)
    return kind is RuntimeError or kind.__module__ == "onnxruntime.capi.onnxruntime_pybind11_state"


def descend(
    rungs: Sequence[Rung], work: Callable[[Rung], T], on_step: Callable[[Rung], None], release: Callable[[], None]
) -> tuple[T, Rung]:
    """`work` on the first rung that has memory enough for it, and that rung. Raises OUT_OF_MEMORY below the last.

    :param on_step: called with the rung that is tried next, before it is.
    :param release: lets go of loaded models, see `models.Shelf.clear`; `work` itself must not hold on to any.
    """
    for position, rung in enumerate(rungs):
        if position:
            # Out here the error is gone, and with it the frames that held the last attempt's models.
            release()
            on_step(rung)
        try:
            with busy(rung.device):
                return work(rung), rung
        except Exception as error:
            if not is_out_of_memory(error, rung):
                raise
            if rung is rungs[-1]:
                raise PipelineError(ErrorCode.OUT_OF_MEMORY, "even with the smallest batch") from error
    raise ValueError("a ladder has at least one rung")


# --- what a stage used ----------------------------------------------------------------------------------------------


class _Clock:
    """Seconds during which anything was entered; what overlaps counts once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._since = self._total = 0.0

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._since = time.monotonic()
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._total += time.monotonic() - self._since

    def read(self) -> float:
        with self._lock:
            return self._total + (time.monotonic() - self._since if self._inside else 0.0)


_gpu = _Clock()


@contextmanager
def busy(device: str) -> Iterator[None]:
    """Count what happens inside as seconds of GPU, unless `device` is the CPU. May be nested."""
    if device == "cpu":
        yield
        return
    _gpu.enter()
    try:
        yield
    finally:
        _gpu.leave()


class Meter:
    """CPU and GPU time from its making until it is read. Of the whole process: a run's stages follow each other.

    GPU seconds are wall time inside `busy`, not the kernels' own time: torch's events see only torch's streams, and
    not those of CTranslate2, and what a GPU costs is the time it is held.
    """

    def __init__(self) -> None:
        self._cpu, self._gpu = _cpu_seconds(), _gpu.read()

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all threads, and of child processes that have ended."""
        return _cpu_seconds() - self._cpu

    @property
    def gpu_seconds(self) -> float | None:
        """None if no GPU was used."""
        return (_gpu.read() - self._gpu) or None


def _cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
