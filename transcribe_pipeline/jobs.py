"""Jobs people and sensors launch."""

import dagster as dg

from transcribe_pipeline.partitions import media_files

process_media = dg.define_asset_job(
    "process_media",
    selection=dg.AssetSelection.groups("ingest", "speech", "delivery"),
    partitions_def=media_files,
    description="One recording, from the uploaded object to its downloadable transcript.",
)
