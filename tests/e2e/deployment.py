"""The pipeline as people run it: Dagster's daemon with its code server, real folders, a real ledger, dropped files."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import dagster as dg
import psutil
from sqlalchemy import Engine

from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.states import ENDED
from transcribe_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
TERMINAL = set(ENDED)

T = TypeVar("T")


class Home:
    """A TRANSCRIBE_HOME of its own: environment for child processes, ledger, uploads folder."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.dagster_home = folder / "dagster"
        self.dagster_home.mkdir(parents=True)
        shutil.copy(ROOT / "dagster.yaml", self.dagster_home)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("TRANSCRIBE_", "DAGSTER_"))},
            "TRANSCRIBE_HOME": str(folder),
            "DAGSTER_HOME": str(self.dagster_home),
            "TRANSCRIBE_SETTLE_SECONDS": "1",
            # Loading the sentence model takes a process 7 s; the corpus and the demo have it.
            "TRANSCRIBE_SEARCH_MODEL": "none",
            **environment,
        }
        url = (
            environment.get("TRANSCRIBE_DATABASE_URL") or Settings(home=folder).resolved_database_url.get_secret_value()
        )
        self.ledger: Engine = connect(url)
        migrate(self.ledger)

    @property
    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.dagster_home))

    def drop(self, recording: Path, owner: str, name: str | None = None) -> str:
        """Copy a recording into an owner's uploads; returns its object key."""
        target = self.folder / "store" / "uploads" / owner / (name or recording.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(recording, target)
        return str(target.relative_to(self.folder / "store"))

    def file(self, object_key: str) -> FileView | None:
        found = files.find(self.ledger, object_key)
        return found[0] if found else None

    def wait(self, object_key: str, until: Callable[[FileView], bool], seconds: float = 180) -> FileView:
        """The file's view as soon as `until` holds for it."""
        seen: FileView | None = None

        def reached() -> bool:
            nonlocal seen
            seen = self.file(object_key)
            return seen is not None and until(seen)

        wait_for(reached, seconds, lambda: f"{object_key}: {seen}")
        assert seen
        return seen

    def runs(self, file: FileView, seconds: float = 60) -> list[dg.DagsterRun]:
        """The file's runs, oldest first, once none of them is at work any more."""
        with self.instance as instance:

            def runs() -> list[dg.DagsterRun]:
                return list(instance.get_runs(dg.RunsFilter(tags={"dagster/partition": file.partition_key})))

            wait_for(lambda: all(run.is_finished for run in runs()), seconds, lambda: f"{runs()}")
            return runs()[::-1]

    def results(self, file: FileView) -> Path:
        return self.folder / "store" / "results" / file.owner / file.partition_key

    def run_process(self) -> psutil.Process:
        """The process that holds a scratch folder's lock: the one running a pipeline run."""
        locks = {str(lock) for lock in (self.folder / "scratch").glob("*/lock")}
        for process in psutil.process_iter():
            try:
                if locks & {opened.path for opened in process.open_files()}:
                    return process
            except psutil.Error:
                continue
        raise AssertionError("no process holds scratch")

    def process_of(self, file: FileView) -> psutil.Process:
        """The process of the run that last claimed this file."""
        for process in psutil.process_iter(["cmdline"]):
            if file.run_id and any(file.run_id in word for word in process.info["cmdline"] or ()):
                return process
        raise AssertionError(f"no process runs {file.run_id}")

    def leftovers(self) -> list[str]:
        """Scratch folders of dead processes, and processes of this home that outlived their run (media tools)."""
        folders = [str(path) for path in (self.folder / "scratch").iterdir() if path.is_dir()]
        return folders + [
            f"{process.info['name']} ({process.pid})"
            for process in psutil.process_iter(["name", "cwd"])
            if (process.info["cwd"] or "").startswith(str(self.folder / "scratch"))
        ]


def wait_for(condition: Callable[[], bool], seconds: float, describe: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {describe()}")
        time.sleep(0.2)


@contextmanager
def daemon(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """Dagster's daemon and the code server it starts, ended with all their children."""
    log = (home.folder / "daemon.log").open("wb")
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")],
        cwd=ROOT,
        env=home.environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        family = [process, *psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
        for member in family:
            try:
                os.kill(member.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()
        log.close()
