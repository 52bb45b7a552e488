"""Jobs people and sensors launch."""

import dagster as dg

process_media = dg.define_asset_job(
    "process_media",
    selection=dg.AssetSelection.groups("ingest", "speech", "delivery", "insight"),
    description="One recording, from the uploaded object to its downloadable transcript and what it says.",
)
