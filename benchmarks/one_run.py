"""Runs `process_media` on the one upload of this home, in this process."""

import dagster as dg

from transcribe_pipeline.definitions import defs
from transcribe_pipeline.resources.ledger import open_ledger
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.sensors import register_uploads, run_request, runs_to_request
from transcribe_pipeline.settings import load_settings

if __name__ == "__main__":
    configured = load_settings().model_copy(update={"settle_seconds": 0.0})
    ledger = open_ledger(configured.resolved_database_url.get_secret_value())
    register_uploads(open_store(configured.resolved_store_url), ledger, configured, None)
    (needed,) = runs_to_request(ledger, configured)
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("media_files", [needed.partition_key])
        defs.resolve_job_def("process_media").execute_in_process(
            partition_key=needed.partition_key, instance=instance, tags=dict(run_request(needed).tags)
        )
