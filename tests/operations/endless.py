"""A code location for `test_runs`, loaded by a real code server: a job that never ends by itself."""

import time

import dagster as dg


@dg.op
def wait() -> None:
    time.sleep(600)


@dg.job(executor_def=dg.in_process_executor)
def endless() -> None:
    wait()


defs = dg.Definitions(jobs=[endless])
