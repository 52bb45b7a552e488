"""A transcript page with its recording inside: one file to pass on."""

from sqlalchemy import Engine

from transcribe_pipeline.artifacts import Audio, Transcript
from transcribe_pipeline.export import page
from transcribe_pipeline.export.script import Script
from transcribe_pipeline.ledger import insights
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.transcripts import current
from transcribe_pipeline.media.encode import MP3, as_mp3
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.scratch import open_scratch
from transcribe_pipeline.settings import Settings


def portable_page(ledger: Engine, settings: Settings, file: FileView, script: Script, transcript: Transcript) -> bytes:
    """The page with the sound that was transcribed, as MP3: some 19 MB for an hour.

    Raises ARTIFACT_MISSING if the sound is no longer kept.
    """
    record = current(ledger, file.partition_key)
    store = open_store(settings.resolved_store_url)
    version = FileVersion(content_id(file.sha256 or ""), file.generation)
    audio = ArtifactStore(store, settings.artifacts_prefix).load(file.partition_key, version, "audio", Audio)
    with open_scratch(settings.home).folder() as folder:
        store.get_file(audio.object_key, folder / "audio.flac")
        sound = as_mp3(folder / "audio.flac", audio.seconds)
    return page.render(
        script,
        page.MediaSource.embedded(sound, MP3),
        partition_key=file.partition_key,
        transcript_id=record.transcript_id if record else "",
        translation=transcript.translation,
        insights=insights.seen(ledger, record.transcript_id) if record else None,
        added_at=file.registered_at,
    )
