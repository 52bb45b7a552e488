"""What every per-media asset's decorator shares."""

import hashlib
import json
from typing import Any

from transcribe_pipeline.partitions import media_files
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import STAGES

OWNERS = ["team:transcripts"]


def media_asset(name: str, group: str, *kinds: str) -> dict[str, Any]:
    """Arguments of `dg.asset` for a stage of `STAGES`: an asset per media file, kept as an artifact."""
    return {
        "name": name,
        "partitions_def": media_files,
        "group_name": group,
        "kinds": set(kinds),
        "owners": OWNERS,
        "io_manager_key": "artifacts",
        # In one process Dagster runs ready steps by priority, then by name; progress counts on the flow order.
        "op_tags": {"dagster/priority": str(-list(STAGES).index(name))},
    }


def code_version(revision: int, *setting_names: str) -> str:
    """'<revision>-<hash of the settings that shape the value>'. Raise `revision` when the code makes something else."""
    values = {name: str(getattr(settings(), name)) for name in setting_names}
    if not values:
        return str(revision)
    return f"{revision}-{hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]}"
