"""Run as a process: puts recordings through the job `process_media`, one after the other, models loaded once.

    python -m transcribe_pipeline.corpus < plan.json        (`evaluation.candidates.Plan`)

The environment names the home. Registration and run requests are the sensor's own; only the daemon is left out, whose
3 s per run would make a corpus slow. Prints an `Outcome` in JSON, a line each, as soon as it is there.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import dagster as dg
from sqlalchemy import Engine, update

from transcribe_pipeline.definitions import defs
from transcribe_pipeline.errors import ErrorCode
from transcribe_pipeline.evaluation.candidates import Outcome, Plan
from transcribe_pipeline.jobs import process_media
from transcribe_pipeline.ledger import backlog, files, timings, transcripts
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.models import MediaFile
from transcribe_pipeline.partitions import media_files
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.sensors import register_uploads, run_request, runs_to_request
from transcribe_pipeline.settings import Settings, settings


def main() -> None:
    plan = Plan.model_validate_json(sys.stdin.read())
    results = _reserve_stdout()
    configured = settings()
    ledger = connect(configured.resolved_database_url.get_secret_value())
    migrate(ledger)
    with dg.DagsterInstance.get() as instance:
        for outcome in process(plan, configured, ledger, instance):
            print(outcome.model_dump_json(), file=results, flush=True)


def _reserve_stdout() -> TextIO:
    """Standard output for outcomes alone: whatever Dagster, the engines and their native code print goes to stderr."""
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return results


def process(plan: Plan, configured: Settings, ledger: Engine, instance: dg.DagsterInstance) -> Iterator[Outcome]:
    """An outcome for each recording of the plan, in its order."""
    store = open_store(configured.resolved_store_url)
    for key, recording in plan.recordings.items():
        store.put_file(key, recording)
        register_uploads(store, ledger, configured, None)
        _request_options(ledger, key, plan.options)
        needed = [run for run in runs_to_request(ledger, configured) if run.object_key == key]
        backlog.mark_queued(ledger, needed)
        restart_peak()
        runs = [_execute(run, instance) for run in needed]
        yield _outcome(ledger, key, runs)


def _request_options(ledger: Engine, object_key: str, options: Mapping[str, Any]) -> None:
    """As `transcribe reprocess` does, but for a file that has not been processed at all."""
    with ledger.begin() as connection:
        connection.execute(
            update(MediaFile).where(MediaFile.object_key == object_key).values(requested_options=dict(options))
        )


@dataclass(frozen=True)
class _Run:
    seconds: float
    """From RUN_START to the run's end."""
    failure: str | None


def _execute(needed: backlog.RunNeeded, instance: dg.DagsterInstance) -> _Run:
    instance.add_dynamic_partitions(str(media_files.name), [needed.partition_key])
    result = defs.resolve_job_def(process_media.name).execute_in_process(
        partition_key=needed.partition_key,
        instance=instance,
        tags=dict(run_request(needed).tags),
        raise_on_error=False,
    )
    record = instance.get_run_record_by_id(result.run_id)
    seconds = (record.end_time or 0.0) - (record.start_time or 0.0) if record else 0.0
    return _Run(seconds, _failure(result))


def _failure(result: dg.ExecuteInProcessResult) -> str | None:
    """What the first failed step says. The ledger keeps no error that a retry may mend, and here nobody retries."""
    for event in result.all_events:
        if event.is_step_failure:
            details = event.step_failure_data.user_failure_data
            if details is None or "error_code" not in details.metadata:
                return f"{ErrorCode.INTERNAL}: {event.step_key}"
            return f"{details.metadata['error_code'].value}: {details.description}"
    return None


def _outcome(ledger: Engine, object_key: str, runs: Sequence[_Run]) -> Outcome:
    file = next((file for file in files.find(ledger, object_key) if file.object_key == object_key), None)
    if file is None or not runs:
        return Outcome(name=object_key, error="the pipeline did not take it for a recording")
    return Outcome(
        name=object_key,
        transcript=transcripts.load(ledger, file.current_transcript_id) if file.current_transcript_id else None,
        error=next((run.failure for run in runs if run.failure), None),
        seconds=sum(run.seconds for run in runs),
        stages={timing.stage: timing.seconds for timing in timings.of_file(ledger, file.id)},
        peak_bytes=peak_bytes(),
    )


# --- memory ---------------------------------------------------------------------------------------------------------

_PROC = Path("/proc/self")


def restart_peak() -> None:
    """Let the kernel count this process' peak from here (Linux; elsewhere it counts from the start)."""
    if (_PROC / "clear_refs").exists():
        (_PROC / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """Peak resident memory. Not from getrusage on Linux: after fork and exec that begins at the parent's."""
    if (_PROC / "status").exists():
        line = next(line for line in (_PROC / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


if __name__ == "__main__":
    main()
