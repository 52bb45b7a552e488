import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.scratch import open_scratch

HOLDER = """
import sys, time
from pathlib import Path
from transcribe_pipeline.scratch import open_scratch
scratch = open_scratch(Path(sys.argv[1]))
scratch.cached("key", lambda path: path.write_bytes(b"x" * 1000))
print(scratch.path, flush=True)
if sys.argv[2] == "stay":
    time.sleep(600)
"""


def holder(home: Path, what: str) -> subprocess.Popen[str]:
    """Another process with a folder of its own and a file in it."""
    return subprocess.Popen([sys.executable, "-c", HOLDER, str(home), what], stdout=subprocess.PIPE, text=True)


def folder_of(process: subprocess.Popen[str]) -> Path:
    assert process.stdout
    return Path(process.stdout.readline().strip())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_killed_process_leaves_nothing_after_the_next_one_starts(tmp_path: Path):
    with holder(tmp_path, "stay") as killed, holder(tmp_path, "stay") as alive:
        killed_folder, alive_folder = folder_of(killed), folder_of(alive)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert list(killed_folder.glob("*/input.bin")), "SIGKILL leaves no time to clean up"
        mine = open_scratch(tmp_path).path
        assert {path for path in (tmp_path / "scratch").iterdir() if path.is_dir()} == {mine, alive_folder}
        assert list(alive_folder.glob("*/input.bin")), "what a living process has is not touched"
        alive.kill()


def test_a_process_that_ends_leaves_nothing(tmp_path: Path):
    with holder(tmp_path, "go") as process:
        folder = folder_of(process)
        assert process.wait() == 0
    assert not folder.exists()


def test_a_forked_child_has_a_folder_of_its_own(tmp_path: Path):
    code = (
        "import os, sys; from pathlib import Path; from transcribe_pipeline.scratch import open_scratch\n"
        "home = Path(sys.argv[1]); mine = open_scratch(home).path\n"
        "if os.fork() == 0: sys.exit(0 if open_scratch(home).path != mine else 1)\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]), mine.exists())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]
    assert [path for path in (tmp_path / "scratch").iterdir() if path.is_dir()] == []


def test_everything_is_private(tmp_path: Path):
    scratch = open_scratch(tmp_path)
    path, _ = scratch.cached("key", lambda path: path.write_bytes(b"x"))
    with scratch.folder() as folder:
        assert [mode(p) for p in (scratch.path, path.parent, folder)] == [0o700] * 3


def test_a_folder_is_removed_with_all_it_holds_even_after_an_error(tmp_path: Path):
    scratch = open_scratch(tmp_path)
    folders: list[Path] = []

    def task() -> None:
        with scratch.folder() as folder:
            folders.append(folder)
            (folder / "sub").mkdir()
            (folder / "sub" / "file").write_bytes(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        task()
    assert not folders[0].exists()


def test_a_file_is_made_once_for_all_who_ask_at_the_same_time(tmp_path: Path):
    scratch = open_scratch(tmp_path)
    made: list[Path] = []

    def make(path: Path) -> int:
        made.append(path)
        return path.write_bytes(b"recording")

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: scratch.cached("key", make), range(8)))
    assert len(made) == 1
    path = made[0]
    assert results == [(path, 9)] * 8
    assert [entry.name for entry in path.parent.iterdir()] == ["input.bin"], "nothing else lies beside it"
    scratch.discard("key")
    scratch.discard("key")
    assert not path.parent.exists()
    scratch.cached("key", make)
    assert len(made) == 2


def test_a_file_that_could_not_be_made_is_not_kept(tmp_path: Path):
    scratch = open_scratch(tmp_path)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError

    before = set(scratch.path.iterdir())
    with pytest.raises(OSError):  # noqa: PT011 - any
        scratch.cached("key", fail)
    assert set(scratch.path.iterdir()) == before


def test_a_lack_of_space_is_found_before_the_work(tmp_path: Path):
    scratch = open_scratch(tmp_path)
    scratch.require_free(1)
    with pytest.raises(PipelineError) as error:
        scratch.require_free(10**18)
    assert error.value.code == ErrorCode.DISK_FULL
    assert os.fspath(tmp_path) not in str(error.value)
