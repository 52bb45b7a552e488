"""One process that does the daemon's part for a site, once: a tick of `new_uploads`, then the runs that it asks for.

Started by `harness.Site.worker`. Nothing but this process works on the site's files then, so what a test does to it
(SIGKILL, SIGSTOP, another clock) happens to a run at a known point, and the next process is the test's to start. With
`--recover` it begins with passes of recovery, until one has found something; with `--one-pass` that is all it does.

Runs are in this very process, and Dagster retries none of them: of all recoverers only the ledger's is at work.
"""

import sys
import time

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.definitions import defs
from transcribe_pipeline.ledger import backlog
from transcribe_pipeline.ledger.database import connect
from transcribe_pipeline.operations.recovery import recover
from transcribe_pipeline.partitions import media_files
from transcribe_pipeline.resources.object_store import ObjectStore, open_store
from transcribe_pipeline.sensors import register_uploads, run_request, runs_to_request
from transcribe_pipeline.settings import settings

_RECOVERY_SECONDS = 120.0


def main(wish: str, only: set[str]) -> None:
    """:param only: object keys; the other files stay where they are."""
    configured = settings()
    ledger = connect(configured.resolved_database_url.get_secret_value())
    store = open_store(configured.resolved_store_url)
    with dg.DagsterInstance.get() as instance:
        match wish:
            case "--one-pass":
                recover(ledger, instance, store, configured, actor="faults")
                return
            case "--recover":
                _recover(ledger, instance, store)
        register_uploads(store, ledger, configured, None)
        _work(ledger, instance, only)


def _work(ledger: Engine, instance: dg.DagsterInstance, only: set[str]) -> None:
    needed = [run for run in runs_to_request(ledger, settings()) if not only or run.object_key in only]
    instance.add_dynamic_partitions(str(media_files.name), [run.partition_key for run in needed])
    backlog.mark_queued(ledger, needed)
    job = defs.get_job_def("process_media")
    for request in map(run_request, needed):
        job.execute_in_process(
            instance=instance,
            partition_key=request.partition_key,
            tags=dict(request.tags),
            asset_selection=list(request.asset_selection) if request.asset_selection else None,
            raise_on_error=False,
        )


def _recover(ledger: Engine, instance: dg.DagsterInstance, store: ObjectStore) -> None:
    deadline = time.monotonic() + _RECOVERY_SECONDS
    while time.monotonic() < deadline:
        made = recover(ledger, instance, store, settings(), actor="faults")
        if made.done:
            print("recovered:", dict(made.done), flush=True)
            return
        time.sleep(0.5)
    raise SystemExit("nothing was found to recover")


if __name__ == "__main__":
    wishes = [argument for argument in sys.argv[1:] if argument.startswith("--")]
    main("".join(wishes), set(sys.argv[1:]) - set(wishes))
