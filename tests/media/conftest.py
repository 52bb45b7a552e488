"""What the media tests share: recordings under their constant name in a folder of their own, some made on the spot."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def private(tmp_path: Path) -> Callable[[Path], Path]:
    """Copy a file as the pipeline does before any tool sees it: folder/input.bin, nothing else beside it."""

    def copy(source: Path) -> Path:
        folder = tmp_path / "private"
        folder.mkdir()
        return Path(shutil.copyfile(source, folder / "input.bin"))

    return copy


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Let ffmpeg make a small recording: make("-f", "lavfi", "-i", "sine=d=2", "-f", "wav") -> folder/input.bin."""

    def run(*arguments: str) -> Path:
        folder = tmp_path / "made"
        folder.mkdir()
        target = folder / "input.bin"
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *arguments, str(target)], check=True, timeout=60)
        return target

    return run
