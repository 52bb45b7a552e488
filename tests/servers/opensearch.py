"""A real OpenSearch node for tests: from Maven, with little memory, on a free loopback port (deploy/scripts)."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "deploy/scripts/opensearch-from-maven.sh"
_INSTALL_SECONDS = 300
_START_SECONDS = 60


@dataclass
class OpenSearchNode:
    """One node that a test may kill and start again."""

    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when the node answers. Call it from a thread that stays: the node ends with it (pdeathsig)."""
        # The thorough compiler pays off after minutes only.
        options = "-Xms512m -Xmx512m -XX:TieredStopAtLevel=1"
        environment = os.environ | {"OPENSEARCH_PORT": str(self.port), "OPENSEARCH_JAVA_OPTS": options}
        with (self.folder / "node.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", str(_SCRIPT), str(self.folder)],
                stdout=log,
                stderr=log,
                env=environment,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "node.log").read_text())
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, connections are cut, the next start recovers from the translog."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        # Not before the state of an earlier life is recovered and the indices' shards have started.
        try:
            with urllib.request.urlopen(f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=1s", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running_node() -> Iterator[OpenSearchNode]:
    """A fresh node. Skips the test where Java or Maven is missing."""
    if missing := [tool for tool in ("java", "mvn") if shutil.which(tool) is None]:
        pytest.skip(f"no OpenSearch node without {' and '.join(missing)} (apt install default-jre maven)")
    # Once per machine: 60 MB.
    subprocess.run([_SCRIPT, "--install"], check=True, timeout=_INSTALL_SECONDS, stdout=subprocess.DEVNULL)
    folder = Path(tempfile.mkdtemp(prefix="opensearch-"))
    node = OpenSearchNode(folder, _free_port())
    try:
        node.start()
        yield node
    finally:
        node.kill()
        shutil.rmtree(folder)


@contextmanager
def opensearch_server() -> Iterator[str]:
    """URL of a node for tests that only talk to it: the one that OPENSEARCH_URL names, else a fresh one."""
    if url := os.environ.get("OPENSEARCH_URL"):
        yield url
        return
    with running_node() as node:
        yield node.url


def _free_port() -> int:
    """One of those that the script may use."""
    for port in range(9201, 9300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError("ports 9201 to 9299 are all taken")
