"""Asset checks: each is a promise made to people, tested for every file.

Checks per partition are in preview in Dagster 1.13; without them a check would have one state for all files.
"""

import warnings

import dagster as dg

warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*partitions_def.*")

from transcribe_pipeline.checks import insight, transcripts  # noqa: E402  # the filter must come first

all_checks = [*transcripts.all_checks, *insight.all_checks]
