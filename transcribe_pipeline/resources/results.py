"""The files that people download, kept in step with the transcript version that is current in the ledger.

Whoever makes another version current publishes afterwards: the assets `subtitles` and `transcript_page` after a run,
a run's last insight, `transcribe promote` after a person's decision. They may do so at the same
moment; whoever writes last looks last, so what stays is current.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Engine

from transcribe_pipeline.artifacts import ExportFile, Subtitles, TranscriptPage, Upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export import page
from transcribe_pipeline.export.formats import FORMATS, result_keys, write_all
from transcribe_pipeline.export.insight_files import Told, insight_keys, write_insights
from transcribe_pipeline.export.script import Script
from transcribe_pipeline.ledger import files, insights, transcripts, voices
from transcribe_pipeline.ledger.database import read
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.settings import Settings

T = TypeVar("T")

_SIGNED = timedelta(days=7)
"""The longest that S3 allows."""


def publish(
    ledger: Engine,
    store: ObjectStore,
    results_prefix: str,
    partition_key: str,
    *,
    before_write: Callable[[], None] = lambda: None,
) -> Subtitles:
    """Write the current version's files, with the names that its speakers were last given.

    :param before_write: raises if the caller may no longer write.
    :raises PipelineError: FILE_UNKNOWN; ARTIFACT_MISSING, if the file has no transcript.
    """

    def write(file: FileView, transcript_id: str) -> Subtitles:
        rendered = write_all(
            transcripts.load(ledger, transcript_id),
            file_name=file.file_name,
            names=voices.last_said(ledger, file.owner, transcript_id).names,
        )
        keys = result_keys(results_prefix, file.owner, file.partition_key)
        before_write()
        written = []
        for name, content in rendered.items():
            store.put_bytes(keys[name], content)
            words = len(FORMATS[name].read(content))
            written.append(ExportFile(format=name, object_key=keys[name], size_bytes=len(content), words=words))
        return Subtitles(transcript_id=transcript_id, files=tuple(written))

    return _of_current(ledger, partition_key, write)


def publish_page(
    ledger: Engine,
    store: ObjectStore,
    settings: Settings,
    partition_key: str,
    *,
    before_write: Callable[[], None] = lambda: None,
) -> TranscriptPage:
    """The same for the page; it finds the recording beside the results, in the same store."""

    def write(file: FileView, transcript_id: str) -> TranscriptPage:
        key = page.page_key(settings.results_prefix, file.owner, partition_key)
        transcript = transcripts.load(ledger, transcript_id)
        names = voices.last_said(ledger, file.owner, transcript_id).names
        content = page.render(
            Script.of(transcript, file_name=file.file_name, names=names),
            _recording(store, settings, file, key),
            partition_key=partition_key,
            transcript_id=transcript_id,
            translation=transcript.translation,
            insights=insights.seen(ledger, transcript_id),
            added_at=file.registered_at,
        )
        before_write()
        store.put_bytes(key, content)
        return TranscriptPage(transcript_id=transcript_id, object_key=key, size_bytes=len(content))

    return _of_current(ledger, partition_key, write)


def publish_insights(
    ledger: Engine,
    store: ObjectStore,
    settings: Settings,
    partition_key: str,
    *,
    before_write: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """The same for the files of the version's insights: name -> object key, of those that there is something for. The
    others are removed, such as the graph of a version that has none."""

    def write(file: FileView, transcript_id: str) -> dict[str, str]:
        told = Told.of(
            insights.seen(ledger, transcript_id),
            transcripts.load(ledger, transcript_id),
            voices.last_said(ledger, file.owner, transcript_id).names,
        )
        rendered = write_insights(told)
        keys = insight_keys(settings.results_prefix, file.owner, file.partition_key)
        there = set(store.list_keys(f"{settings.results_prefix}/{file.owner}/{file.partition_key}"))
        before_write()
        for name, key in keys.items():
            if name in rendered:
                store.put_bytes(key, rendered[name])
            elif key in there:
                store.delete(key)
        return {name: keys[name] for name in rendered}

    return _of_current(ledger, partition_key, write)


def _of_current(ledger: Engine, partition_key: str, write: Callable[[FileView, str], T]) -> T:
    """What `write` makes of the current version, and again as often as another has become current meanwhile, or has
    got another insight."""
    while True:
        file = files.get(ledger, partition_key)
        if file.current_transcript_id is None:
            raise PipelineError(ErrorCode.ARTIFACT_MISSING, "this file has no transcript yet")
        known = _insight_versions(ledger, file.current_transcript_id)
        written = write(file, file.current_transcript_id)
        now = files.get(ledger, partition_key).current_transcript_id
        if now == file.current_transcript_id and known == _insight_versions(ledger, now):
            return written


def _insight_versions(ledger: Engine, transcript_id: str) -> object:
    return read(ledger, lambda connection: insights.versions_of(connection, [transcript_id]))


def _recording(store: ObjectStore, settings: Settings, file: FileView, page_key: str) -> page.MediaSource:
    is_video = _is_video(store, settings, file)
    signed = store.signed_url(file.object_key, _SIGNED) if settings.page_media == "signed" else None
    if signed:
        return page.MediaSource.at(signed, is_video=is_video)
    return page.MediaSource.beside(page_key, file.object_key, is_video=is_video)


def _is_video(store: ObjectStore, settings: Settings, file: FileView) -> bool:
    """False also where nothing is known any more of the recording: then it is played as sound."""
    version = FileVersion(content_id(file.sha256 or ""), file.generation)
    try:
        upload = ArtifactStore(store, settings.artifacts_prefix).load(file.partition_key, version, "upload", Upload)
    except PipelineError as error:
        if error.code is ErrorCode.ARTIFACT_MISSING:
            return False
        raise
    return any(stream.kind == "video" for stream in upload.media.streams)
