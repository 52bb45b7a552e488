"""Confinement, with real processes: what a tool may not do, and that none outlives its time or its caller."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.tools import constant_name, run_tool


def shell(script: str, folder: Path, seconds: float = 20, **options):
    return run_tool(["sh", "-c", script], folder=folder, seconds=seconds, **options)


def wait_until_gone(pid: int) -> None:
    """Fails by the suite's timeout if the process stays; a zombie waiting for init is gone."""
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)


def test_output_and_exit_code_come_back(tmp_path):
    output = shell("echo out; echo err >&2; exit 3", tmp_path)
    assert (output.returncode, output.stdout, output.stderr) == (3, b"out\n", "err\n")


def test_runs_in_the_folder_with_a_minimal_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    output = shell("pwd; env", tmp_path).stdout.decode()
    assert output.startswith(str(tmp_path))
    assert "canary" not in output


def test_cannot_write_a_file(tmp_path):
    with pytest.raises(PipelineError) as caught:
        shell("exec head -c 10 /dev/zero > there", tmp_path)
    assert caught.value.code is ErrorCode.MEDIA_TOOL_CRASH
    assert "SIGXFSZ" in caught.value.detail
    assert (tmp_path / "there").stat().st_size == 0


def test_cannot_take_more_memory_than_allowed(tmp_path):
    output = run_tool([sys.executable, "-I", "-c", "bytearray(3 * 1024**3)"], folder=tmp_path, seconds=20)
    assert output.returncode == 1
    assert "MemoryError" in output.stderr


def test_a_process_under_tighter_limits_can_still_start_tools(tmp_path):
    """Where prlimit refuses, the tool seems to have refused the recording."""
    ask = "import sys, pathlib; from transcribe_pipeline.media.tools import run_tool;"
    ask += "sys.exit(run_tool(['true'], folder=pathlib.Path(sys.argv[1]), seconds=20).returncode)"
    limited = ["prlimit", f"--as={2**30}", "--cpu=30", sys.executable, "-c", ask, str(tmp_path)]
    assert subprocess.run(limited, check=False, timeout=60).returncode == 0


def test_missing_tool_is_named(tmp_path):
    with pytest.raises(PipelineError) as caught:
        run_tool(["no-such-tool"], folder=tmp_path, seconds=1)
    assert caught.value.code is ErrorCode.MEDIA_TOOL_MISSING
    assert caught.value.detail == "no-such-tool"


def test_a_crash_names_the_signal(tmp_path):
    with pytest.raises(PipelineError) as caught:
        shell("kill -SEGV $$", tmp_path)
    assert caught.value.code is ErrorCode.MEDIA_TOOL_CRASH
    assert "SIGSEGV" in caught.value.detail


@pytest.mark.parametrize("script", ["sleep 600", "exec >&- 2>&-; sleep 600"], ids=["open pipes", "closed pipes"])
def test_timeout_kills_the_whole_group(tmp_path, script):
    heard = bytearray()
    with pytest.raises(PipelineError) as caught:
        shell(f"sleep 600 & echo $!; {script}", tmp_path, seconds=0.5, on_stdout=heard.extend)
    assert caught.value.code is ErrorCode.MEDIA_TOOL_TIMEOUT
    wait_until_gone(int(heard))


def test_a_callback_that_raises_ends_the_tool(tmp_path):
    heard = []

    def stop(chunk: bytes) -> None:
        heard.append(int(chunk))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shell("echo $$; exec sleep 600", tmp_path, on_stdout=stop)
    assert not psutil.pid_exists(heard[0])


def test_an_interrupt_ends_the_tool(tmp_path):
    heard = bytearray()
    # A suite that a shell has put into the background is born deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        shell("echo $$; exec sleep 600", tmp_path, on_stdout=heard.extend)
    assert not psutil.pid_exists(int(heard))


def test_the_tool_dies_with_a_killed_caller(tmp_path):
    program = (
        "from pathlib import Path; from transcribe_pipeline.media.tools import run_tool;"
        "run_tool(['sh', '-c', 'echo $$; exec sleep 600'], folder=Path.cwd(), seconds=600,"
        " on_stdout=lambda chunk: print(chunk.decode(), flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as caller:
        tool = int(caller.stdout.readline())
        caller.kill()
    wait_until_gone(tool)


def test_endless_output_is_cut_off(tmp_path):
    with pytest.raises(PipelineError) as caught:
        run_tool(["cat", "/dev/zero"], folder=tmp_path, seconds=20)
    assert caught.value.code is ErrorCode.CORRUPT_MEDIA


def test_endless_complaints_keep_only_their_end(tmp_path):
    output = shell("head -c 3000000 /dev/zero >&2; echo last >&2", tmp_path)
    assert len(output.stderr) == 256 * 1024
    assert output.stderr.endswith("last\n")


@pytest.mark.parametrize("name", ["-y.wav", "a\n-if\nx", "concat:x", "Board.mp3", "å.mp3", "%03d", ".."])
def test_users_names_never_reach_a_tool(name):
    with pytest.raises(ValueError, match="names made by this program"):
        constant_name(Path("/folder") / name)
