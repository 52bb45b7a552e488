"""Run as a process: puts recordings through the job `process_media`, one after the other, models loaded once.

    python -m tests.e2e.corpus < recordings.json      {"object key": "path of the recording", ...}

The environment names the home. Registration and run requests are the sensor's own; only the daemon is left out, whose
3 s per run would make a corpus slow. Prints the peak memory of the process in MiB.
"""

import json
import resource
import shutil
import sys
from pathlib import Path

import dagster as dg

from transcribe_pipeline.definitions import defs
from transcribe_pipeline.ledger import backlog
from transcribe_pipeline.resources.ledger import open_ledger
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.sensors import register_uploads, run_request, runs_to_request
from transcribe_pipeline.settings import settings


def main() -> None:
    configured = settings()
    ledger = open_ledger(configured.resolved_database_url.get_secret_value())
    store = open_store(configured.resolved_store_url)
    for object_key, recording in json.load(sys.stdin).items():
        target = configured.home / "store" / object_key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(recording), target)
    print(register_uploads(store, ledger, configured, None))
    job = defs.resolve_job_def("process_media")
    with dg.DagsterInstance.get() as instance:
        while needed := runs_to_request(ledger, configured):
            backlog.mark_queued(ledger, needed)
            for run in needed:
                instance.add_dynamic_partitions("media_files", [run.partition_key])
                tags = dict(run_request(run).tags)
                job.execute_in_process(
                    partition_key=run.partition_key, instance=instance, tags=tags, raise_on_error=False
                )
    print("peak MiB:", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


if __name__ == "__main__":
    main()
