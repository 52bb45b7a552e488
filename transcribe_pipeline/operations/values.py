"""Whether what a stage reads is still there, so that a file can be continued with that stage.

What belongs here: looking. What does not: which stage that is (`recovery`), and asking for it (`requests`).
"""

from collections.abc import Sequence
from functools import lru_cache

import dagster as dg

from transcribe_pipeline.artifacts import Audio
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.stage import STAGES

_READ_THE_UPLOAD = frozenset({"upload", "media_metadata", "audio"})


def lacking(artifacts: ArtifactStore, file: FileView, stages: Sequence[str]) -> list[str]:
    """The earlier stages whose values these stages read, and that have none for this content; in flow order."""
    version = FileVersion(content_id(file.sha256 or ""), file.generation)
    stored = artifacts.inherited(file.partition_key, version) if file.sha256 else {}
    needed = {read for stage in stages for read in reads()[stage]} - set(stages)
    missing = needed - stored.keys()
    if "audio" in needed - missing and not _has_sound(artifacts, file.partition_key, version):
        missing.add("audio")
    return [stage for stage in STAGES if stage in missing]


def lacks_upload(artifacts: ArtifactStore, file: FileView, stages: Sequence[str]) -> bool:
    """Do these stages read the uploaded object, and is it gone?"""
    return not _READ_THE_UPLOAD.isdisjoint(stages) and not artifacts.store.exists(file.object_key)


@lru_cache
def reads() -> dict[str, frozenset[str]]:
    """Stage -> the stages whose values it reads, as the assets declare it."""
    from transcribe_pipeline.assets import delivery, ingest, insight, speech  # jobs import this, and assets import jobs

    found = {}
    for asset in dg.load_assets_from_modules([ingest, speech, delivery, insight]):
        assert isinstance(asset, dg.AssetsDefinition)
        found[asset.key.to_python_identifier()] = frozenset(
            key.to_python_identifier()
            for name, key in asset.keys_by_input_name.items()
            if not asset.op.input_dict[name].dagster_type.is_nothing  # comes after it, and reads nothing of it
        )
    return found


def _has_sound(artifacts: ArtifactStore, partition_key: str, version: FileVersion) -> bool:
    """The value of `audio` only points at its FLAC files."""
    try:
        audio = artifacts.load(partition_key, version, "audio", Audio)
    except PipelineError as error:
        if error.code is ErrorCode.ARTIFACT_MISSING:
            return False
        raise
    return all(artifacts.store.exists(key) for key in (audio.object_key, *(each.object_key for each in audio.channels)))
