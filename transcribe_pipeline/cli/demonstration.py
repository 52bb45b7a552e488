"""`transcribe demo`: a newcomer's first transcript, made by the real job on a real recording, watched as it happens.

The run is a Dagster run like any other, on the instance of DAGSTER_HOME, so the UI shows it later. It works in a
process of its own: Dagster and the engines write what they like to its log file, the display here stays clean, and a
crash of native code is noticed.
"""

import importlib.util
import multiprocessing
import os
import shutil
import signal
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from sqlalchemy import Engine

import transcribe_pipeline
from transcribe_pipeline.cli import output, transcript_view, uploads
from transcribe_pipeline.cli.files import current_transcript, open_ledger, result_locations
from transcribe_pipeline.cli.output import ExitCode
from transcribe_pipeline.cli.setup import migrate_ledger
from transcribe_pipeline.cli.watching import outcome
from transcribe_pipeline.errors import CATALOGUE, ErrorCode, PipelineError
from transcribe_pipeline.ledger import backlog, files, requests, timings
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.states import ENDED
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.sensors import run_request
from transcribe_pipeline.settings import Settings, load_settings
from transcribe_pipeline.stage import STAGES

_OWNER = "demo"
_POLL_SECONDS = 0.2
_CANCEL_SECONDS = 20.0


def run() -> None:
    """Ends with the transcript on stdout. Exit code FAILED names the log file."""
    configured = load_settings()
    recording = sample_recording()
    prepare(configured)
    ledger, store = open_ledger(configured), open_store(configured.resolved_store_url)
    key = uploads.upload_key(configured, _OWNER, recording.name)
    added = uploads.put(store, ledger, configured, recording, key)
    if added.file.status is Status.COMPLETED:
        output.note("The demo recording is transcribed already; here it is.")
        _show(ledger, configured, added.file)
        return
    output.note(f"Transcribing {recording.name}: two people on the telephone, {_seconds(recording):.0f} seconds.")
    log = configured.home.resolve() / "logs" / "demo.log"
    exit_code = _transcribe(ledger, _fresh(ledger, added.file), log, audio_seconds=_seconds(recording))
    finished = files.get(ledger, added.file.partition_key)
    if finished.status is not Status.COMPLETED:
        _explain_failure(finished, exit_code, log)
    _show(ledger, configured, finished)


def sample_recording() -> Path:
    """The recording that comes with pyannote.audio: found, not imported, since that takes seconds.

    :raises PipelineError: CONFIGURATION, if the speech extra is not installed.
    """
    parent = importlib.util.find_spec("pyannote")
    for folder in (parent.submodule_search_locations or []) if parent else []:
        sample = Path(folder) / "audio" / "sample" / "sample.wav"
        if sample.is_file():
            return sample
    raise PipelineError(
        ErrorCode.CONFIGURATION,
        "the demo's recording comes with the speech extra, which is not installed: run 'make demo',"
        " or pip install 'transcribe-pipeline[speech]'",
    )


def prepare(configured: Settings) -> None:
    """Folders, DAGSTER_HOME with its dagster.yaml, and the ledger's tables, where they are missing."""
    configured.home.mkdir(parents=True, exist_ok=True)
    dagster_home = Path(os.environ.setdefault("DAGSTER_HOME", str((configured.home / "dagster").resolve())))
    dagster_home.mkdir(parents=True, exist_ok=True)
    if not (dagster_home / "dagster.yaml").exists():
        template = Path(transcribe_pipeline.__file__).parents[1] / "dagster.yaml"
        if not template.is_file():
            raise PipelineError(
                ErrorCode.CONFIGURATION, "DAGSTER_HOME has no dagster.yaml: copy the repository's there"
            )
        shutil.copyfile(template, dagster_home / "dagster.yaml")
    migrate_ledger(configured)


def _fresh(ledger: Engine, file: FileView) -> FileView:
    """An earlier demo that failed or was cancelled is begun anew: no run goes on with it by itself."""
    if file.status in ENDED:
        requests.request_again(ledger, [file.partition_key], {}, actor="demo")
    return files.get(ledger, file.partition_key)


def _seconds(recording: Path) -> float:
    with wave.open(str(recording)) as audio:
        return float(audio.getnframes() / audio.getframerate())


# --- the run --------------------------------------------------------------------------------------------------------


def _transcribe(ledger: Engine, file: FileView, log: Path, *, audio_seconds: float) -> int:
    """Run the job for this file in a process of its own, and show its stages until it ends. Returns its exit code."""
    needed = backlog.RunNeeded(
        file.partition_key, file.owner, file.generation, file.object_key, file.file_name, file.size_bytes
    )
    backlog.mark_queued(ledger, [needed])  # else a running sensor would request it too
    log.parent.mkdir(parents=True, exist_ok=True)
    # Spawned, not forked: the store's threads would not survive a fork.
    process = multiprocessing.get_context("spawn").Process(target=_execute, args=(needed, log), name="demo")
    process.start()
    try:
        with _stage_display(audio_seconds) as display:
            _follow(ledger, file.partition_key, process, display)
    except BaseException:
        # Above all an interrupt. The run is given time to say in the ledger that it was cancelled.
        if process.pid and process.is_alive():
            os.kill(process.pid, signal.SIGINT)
        process.join(_CANCEL_SECONDS)
        process.kill()
        raise
    process.join()
    return process.exitcode or 0


def _execute(needed: backlog.RunNeeded, log: Path) -> None:
    """The run itself, in its process: everything it prints goes to `log`."""
    os.setpgid(0, 0)  # a terminal interrupts whole groups, and a second interrupt would break off Dagster's clean end
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    import dagster as dg

    from transcribe_pipeline.definitions import defs
    from transcribe_pipeline.jobs import process_media
    from transcribe_pipeline.partitions import media_files

    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(str(media_files.name), [needed.partition_key])
        request = run_request(needed)
        job = defs.get_job_def(process_media.name)
        result = job.execute_in_process(
            partition_key=request.partition_key, tags=request.tags, instance=instance, raise_on_error=False
        )
    raise SystemExit(0 if result.success else 1)


class _Display(Protocol):
    def done(self, stage: str, seconds: float) -> None: ...

    def working(self, stage: str, fraction: float) -> None: ...


def _follow(ledger: Engine, partition_key: str, process: BaseProcess, display: _Display) -> None:
    """Tell `display` what the ledger knows, until the process has ended."""
    told: set[str] = set()
    while True:
        ended = not process.is_alive()
        file = files.get(ledger, partition_key)
        for timing in timings.of_file(ledger, file.id):
            if timing.run_id == file.run_id and timing.stage not in told and not timing.error_code:
                told.add(timing.stage)
                display.done(timing.stage, timing.seconds)
        if file.status is Status.PROCESSING and file.stage and file.stage not in told:
            display.working(file.stage, _fraction(file.stage, file.progress))
        if ended:
            return
        process.join(_POLL_SECONDS)


def _fraction(stage: str, progress: float) -> float:
    """How much of its present stage is done, from the file's overall progress, which weighs the stages."""
    names = list(STAGES)
    before = sum(STAGES[name] for name in names[: names.index(stage)])
    return min(max((progress * sum(STAGES.values()) - before) / STAGES[stage], 0.0), 1.0)


# --- showing it -----------------------------------------------------------------------------------------------------


@contextmanager
def _stage_display(audio_seconds: float) -> Iterator[_Display]:
    """Bars on a terminal; elsewhere a line for each stage when it is done."""
    console = output.stderr()
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.fields[mark]} {task.description:<18}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[figures]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, audio_seconds)


class _Lines:
    def done(self, stage: str, seconds: float) -> None:
        output.note(f"{stage:<18} {seconds:6.1f} s")

    def working(self, stage: str, fraction: float) -> None:
        pass


class _Bars:
    def __init__(self, progress: Progress, audio_seconds: float) -> None:
        self._progress = progress
        self._audio_seconds = audio_seconds
        self._since: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {
            stage: progress.add_task(_readable(stage), total=1.0, mark=" ", figures="") for stage in STAGES
        }

    def done(self, stage: str, seconds: float) -> None:
        self._progress.update(self._tasks[stage], completed=1.0, mark="✓", figures=f"{seconds:.1f} s")

    def working(self, stage: str, fraction: float) -> None:
        seconds = time.monotonic() - self._since.setdefault(stage, time.monotonic())
        figures = f"{seconds:.0f} s"
        if stage in _ALONG_THE_AUDIO and fraction:
            position, total = fraction * self._audio_seconds, self._audio_seconds
            figures += f", at {output.clock(position)} of {output.clock(total)}"
        self._progress.update(self._tasks[stage], completed=fraction, mark=">", figures=figures)


_ALONG_THE_AUDIO = frozenset({"audio", "transcription"})
"""Stages whose progress is a position in the recording."""


def _readable(stage: str) -> str:
    return stage.replace("_", " ")


def _show(ledger: Engine, configured: Settings, file: FileView) -> None:
    transcript = current_transcript(ledger, file)
    if transcript:
        typer.echo()
        transcript_view.print_transcript(transcript)
        typer.echo()
        transcript_view.print_speakers(transcript)
        typer.echo()
    for location in result_locations(configured, file):
        typer.echo(location)
    output.note(
        "'make up' starts the pipeline and its user interface; then drop files of your own into"
        f" {configured.uploads_prefix}/<you>/ or 'transcribe add' them."
    )
    if code := outcome([file]):
        raise typer.Exit(code)


def _explain_failure(file: FileView, exit_code: int, log: Path) -> None:
    """Ends the command with what the ledger knows and where the rest is written."""
    if file.status is not Status.PROCESSING and file.error_code:
        output.note(f"{file.error_text} {CATALOGUE[ErrorCode(file.error_code)].remedy} [{file.error_code}]")
    elif exit_code < 0:
        output.note(str(PipelineError(ErrorCode.WORKER_LOST, signal.Signals(-exit_code).name)))
    elif file.status is Status.PROCESSING:
        output.note(str(PipelineError(ErrorCode.LEASE_HELD)))
    else:
        output.note(str(PipelineError(ErrorCode.INTERNAL, "the run did not begin")))
    output.note(f"Its log is {log}.")
    raise typer.Exit(ExitCode.FAILED)
