"""From a transcript to what people find, read and download."""

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import ExportFile, Subtitles, Transcript, TranscriptRecord
from transcribe_pipeline.assets.common import code_version, media_asset
from transcribe_pipeline.export.formats import FORMATS, result_keys, write_all
from transcribe_pipeline.ledger import leases, transcripts
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import Stage


@dg.asset(**media_asset("transcript_record", "delivery", "sqlalchemy"), code_version=code_version(1))
def transcript_record(
    context: dg.AssetExecutionContext,
    transcript: Transcript,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> TranscriptRecord:
    """The transcript as a version in the ledger: complete in one transaction, and from then on the current one."""
    with Stage(context, ledger) as stage:
        # The claim knows the content: the transcript that this stage reads was made from it.
        version = FileVersion(content_id(stage.claim.sha256 or ""), stage.claim.generation)
        artifacts = ArtifactStore(store, settings().artifacts_prefix)
        record = transcripts.save(
            ledger,
            stage.claim,
            transcript,
            artifact_key=artifacts.find(context.partition_key, version, "transcript") or "",
            provenance={
                "run_id": context.run.run_id,
                "recogniser": transcript.recogniser,
                "diarizer": transcript.diarizer,
                "word_times": transcript.word_times,
            },
        )
        stage.report(version=record.version, words=record.words, speakers=record.speakers)
        return record


@dg.asset(**media_asset("subtitles", "delivery", "python"), code_version=code_version(1))
def subtitles(
    context: dg.AssetExecutionContext,
    transcript: Transcript,
    transcript_record: TranscriptRecord,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> Subtitles:
    """SRT, WebVTT, text, JSON and CSV in the results prefix, with every word of the transcript."""
    with Stage(context, ledger) as stage:
        claim = stage.claim
        keys = result_keys(settings().results_prefix, claim.owner, context.partition_key)
        rendered = write_all(transcript, file_name=claim.file_name, names={})
        leases.check(ledger, claim)
        files = []
        for name, content in rendered.items():
            store.put_bytes(keys[name], content)
            words = len(FORMATS[name].read_words(content.decode()))
            files.append(ExportFile(format=name, object_key=keys[name], size_bytes=len(content), words=words))
        stage.report(
            files=dg.MetadataValue.md("\n".join(f"- `{store.url(file.object_key)}`" for file in files)),
            bytes=sum(file.size_bytes for file in files),
        )
        return Subtitles(transcript_id=transcript_record.transcript_id, files=tuple(files))
