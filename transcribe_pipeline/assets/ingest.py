"""From an object in the store to proven media, its metadata and clean audio."""

import warnings
from collections.abc import Iterator

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import Audio, MediaMetadata, Upload
from transcribe_pipeline.assets.common import code_version, media_asset
from transcribe_pipeline.ledger import leases
from transcribe_pipeline.media.metadata import read_metadata
from transcribe_pipeline.media.probe import probe
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.recordings import Recordings
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import TRIGGER_TAG, Stage

# Beta in Dagster 1.13, but what makes an identical upload leave everything downstream fresh.
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*data_version.*")


@dg.asset(
    **media_asset("upload", "ingest", "obstore", "ffmpeg"),
    output_required=False,
    code_version=code_version(1),
)
def upload(
    context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Engine], recordings: dg.ResourceParam[Recordings]
) -> Iterator[dg.Output[Upload]]:
    """The uploaded object, proven to be media from its bytes: size, SHA-256, container, streams.

    When the bytes equal those of the current transcript (a file uploaded again, unchanged), the run ends here.
    """
    with Stage(context, ledger) as stage:
        claim = stage.claim
        path, fetched = recordings.original(claim.object_key, claim.etag, on_progress=stage.progress)
        leases.record_sha256(ledger, claim, fetched.sha256)
        is_known = fetched.sha256 == claim.transcribed_sha256
        # Whoever re-executes a run wants the work done; the sensor's tags are on that run too.
        is_sensors = context.run.tags.get(TRIGGER_TAG) == "upload" and context.run.parent_run_id is None
        if is_known and is_sensors:
            recordings.discard_original(claim.object_key, claim.etag)
            stage.complete()
            context.log.info("The bytes equal those of the current transcript: nothing to do.")
            return
        media = probe(path)
        stage.report(size_bytes=fetched.size_bytes, container=media.container, streams=len(media.streams))
        value = Upload(
            object_key=claim.object_key,
            owner=claim.owner,
            file_name=claim.file_name,
            etag=fetched.etag,
            version=fetched.version,
            size_bytes=fetched.size_bytes,
            modified_at=claim.modified_at,
            sha256=fetched.sha256,
            media=media,
        )
    yield dg.Output(value, data_version=dg.DataVersion(fetched.sha256))


@dg.asset(**media_asset("media_metadata", "ingest", "exiftool"), code_version=code_version(1))
def media_metadata(
    context: dg.AssetExecutionContext,
    upload: Upload,
    ledger: dg.ResourceParam[Engine],
    recordings: dg.ResourceParam[Recordings],
) -> MediaMetadata:
    """What the recording says about itself: file, video, audio, creation, content, place; normalised, raw kept."""
    with Stage(context, ledger) as stage:
        path, _ = recordings.original(upload.object_key, upload.etag)
        metadata = read_metadata(path, upload.file_name, upload.size_bytes, upload.media)
        stage.report(
            raw_tags=len(metadata.raw),
            warnings=len(metadata.warnings),
            media_seconds=metadata.file.duration_seconds or 0.0,
        )
        return metadata


@dg.asset(**media_asset("audio", "ingest", "ffmpeg"), code_version=code_version(1, "language"))
def audio(
    context: dg.AssetExecutionContext,
    upload: Upload,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
    recordings: dg.ResourceParam[Recordings],
) -> Audio:
    """The speech track as 16 kHz mono FLAC: silence where it starts late, loudness measured, length proven."""
    from transcribe_pipeline.media.decode import decode_audio  # with numpy, which no other process of Dagster needs

    configured = settings()
    with Stage(context, ledger) as stage:
        path, _ = recordings.original(upload.object_key, upload.etag)
        folder = f"{configured.artifacts_prefix}/{context.partition_key}/{upload.sha256[:16]}"
        key = f"{folder}/g{stage.claim.generation:04d}/audio.flac"
        flac, decoded = recordings.decode(
            key,
            lambda destination: decode_audio(
                path,
                upload.media,
                destination,
                max_seconds=configured.max_audio_seconds,
                preferred_language=configured.language or None,
                on_progress=stage.progress,
            ),
        )
        leases.check(ledger, stage.claim)
        store.put_file(key, flac)
        recordings.discard_original(upload.object_key, upload.etag)
        for warning in decoded.warnings:
            context.log.warning(warning)
        stage.report(
            audio_seconds=decoded.seconds,
            start_offset_seconds=decoded.start_offset_seconds,
            track=decoded.track_rule,
            downmix=decoded.downmix,
            loudness_lufs=decoded.loudness_lufs if decoded.loudness_lufs is not None else "silence",
            warnings=list(decoded.warnings),
        )
        return Audio(object_key=key, **vars(decoded))
