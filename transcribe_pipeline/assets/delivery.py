"""From a transcript to what people find, read and download."""

from urllib.parse import quote

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import (
    SearchDocument,
    SpeakerIdentities,
    Subtitles,
    Transcript,
    TranscriptPage,
    TranscriptRecord,
)
from transcribe_pipeline.assets.common import code_version, media_asset
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import leases, transcripts, voices
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.results import publish, publish_insights, publish_page
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import Stage

_INDEX_FAILURES = frozenset({ErrorCode.SEARCH_UNAVAILABLE, ErrorCode.CONFIGURATION})


@dg.asset(**media_asset("transcript_record", "delivery", "sqlalchemy"), code_version=code_version(2))
def transcript_record(
    context: dg.AssetExecutionContext,
    transcript: Transcript,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> TranscriptRecord:
    """The transcript as a version in the ledger: complete in one transaction, and from then on the current one.

    Unless it holds much less than the current one of the same recording: then it waits for `transcribe promote`.
    """
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
        stage.report(
            version=record.version,
            words=record.words,
            speakers=record.speakers,
            current=record.is_current,
            **({"held_back": record.held_back} if record.held_back else {}),
        )
        return record


@dg.asset(
    **media_asset("speaker_identities", "delivery", "numpy"),
    code_version=code_version(1, "voice_auto_similarity", "voice_suggest_similarity", "voice_margin"),
)
def speaker_identities(
    context: dg.AssetExecutionContext,
    transcript_record: TranscriptRecord,
    ledger: dg.ResourceParam[Engine],
) -> SpeakerIdentities:
    """Names for the speakers, by the voices that people have confirmed in this owner's files; nobody else's."""
    from transcribe_pipeline.speech.voices import Thresholds

    with Stage(context, ledger) as stage:
        # Versions may have been promoted since: people see the current one.
        current = transcripts.current(ledger, context.partition_key) or transcript_record
        found = voices.identities(ledger, stage.claim, current.transcript_id, Thresholds.of(settings()))
        bands = [speaker.band for speaker in found.speakers]
        stage.report(speakers=len(bands), **{band: bands.count(band) for band in sorted(set(bands))})
        return found


@dg.asset(**media_asset("subtitles", "delivery", "python"), code_version=code_version(2), deps=[speaker_identities])
def subtitles(
    context: dg.AssetExecutionContext,
    transcript_record: TranscriptRecord,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> Subtitles:
    """SRT, WebVTT, text, JSON and CSV of the current version in the results prefix, with every word and known names."""
    with Stage(context, ledger) as stage:
        written = publish(
            ledger,
            store,
            settings().results_prefix,
            context.partition_key,
            before_write=lambda: leases.check(ledger, stage.claim),
        )
        stage.report(
            files=dg.MetadataValue.md("\n".join(f"- `{store.url(file.object_key)}`" for file in written.files)),
            bytes=sum(file.size_bytes for file in written.files),
        )
        return written


@dg.asset(
    **media_asset("transcript_page", "delivery", "javascript"), code_version=code_version(1), deps=[speaker_identities]
)
def transcript_page(
    context: dg.AssetExecutionContext,
    transcript_record: TranscriptRecord,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> TranscriptPage:
    """One HTML file to read, hear and search the current version in, beside the other results.

    With the insights that there are; those that are made later in the run write page and files again.
    """
    with Stage(context, ledger) as stage:

        def may_write() -> None:
            leases.check(ledger, stage.claim)

        written = publish_page(ledger, store, settings(), context.partition_key, before_write=may_write)
        publish_insights(ledger, store, settings(), context.partition_key, before_write=may_write)
        stage.report(
            page=dg.MetadataValue.url(f"{settings().pages_url.rstrip('/')}/{quote(written.object_key)}"),
            file=store.url(written.object_key),
            bytes=written.size_bytes,
        )
        return written


@dg.asset(
    **media_asset("search_document", "delivery", "opensearch" if settings().search_url else "sqlite"),
    code_version=code_version(1, "search_url", "search_index"),
    deps=[speaker_identities],
)
def search_document(
    context: dg.AssetExecutionContext,
    transcript_record: TranscriptRecord,
    ledger: dg.ResourceParam[Engine],
    search: dg.ResourceParam[Search],
) -> SearchDocument:
    """The current version's segments in the search index. Without an index the file goes on, and is indexed later."""
    with Stage(context, ledger) as stage:
        leases.check(ledger, stage.claim)
        try:
            document = search.publish(ledger, context.partition_key)
        except PipelineError as error:
            if error.code not in _INDEX_FAILURES:
                raise
            stage.degrade(error)
            return SearchDocument(transcript_id=transcript_record.transcript_id, passages=None)
        stage.report(passages=document.passages or 0)
        return document
