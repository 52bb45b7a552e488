"""The search index of this installation, what it should hold by the ledger, and how the two are made equal again.

Nothing is opened before it is used: an index that does not answer costs a file its place in it for a while, and nothing
else. An index holds no truth of its own; it can be thrown away and filled again at any time.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import SearchDocument
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insights import Insights
from transcribe_pipeline.ledger import files, insights, searchable, transcripts, voices
from transcribe_pipeline.search import documents
from transcribe_pipeline.search.documents import MediaDocument
from transcribe_pipeline.search.index import SearchIndex
from transcribe_pipeline.search.reconcile import Gap, Wanted, compare, repair
from transcribe_pipeline.search.vectors import embedded_chunks
from transcribe_pipeline.settings import Settings, settings
from transcribe_pipeline.text.embeddings import Embedder, Remembering, load_embedder

STAGE = "search_document"


class Search:
    """Assets annotate `search: dg.ResourceParam[Search]`."""

    def __init__(self, configured: Settings) -> None:
        self._settings = configured

    @cached_property
    def embedder(self) -> Embedder | None:
        """The model for search and topics; it loads when something is embedded."""
        found = load_embedder(self._settings.search_model, cache=self._settings.home / "models")
        return found and Remembering(found)

    @cached_property
    def index(self) -> SearchIndex:
        """OpenSearch where it is configured, else SQLite beside everything else that this machine keeps."""
        s = self._settings
        if not s.search_url:
            from transcribe_pipeline.search.embedded import EmbeddedIndex

            return EmbeddedIndex(s.home / "search.db", self.embedder)
        from transcribe_pipeline.search.opensearch import OpenSearchIndex

        password = s.search_password.get_secret_value()
        return OpenSearchIndex(
            s.search_url, s.search_index, user=s.search_user, password=password, embedder=self.embedder
        )

    def publish(self, ledger: Engine, partition_key: str) -> SearchDocument:
        """Make a file's current transcript findable by its words, and what was found of it before no longer.

        Meaning follows with the next `reconcile`, for many files at a time: the sentence model takes 7 s to load, which
        is more than all other stages but speech together.
        """
        (document,) = LedgerSource(ledger, None).documents([partition_key])
        self.index.put(document)
        return SearchDocument(transcript_id=document.transcript_id, passages=len(document.passages))

    def is_equal(self, ledger: Engine) -> bool:
        """Does the index hold what it should, and nothing else?"""
        return next(compare(self.index.held(), self.source(ledger).wanted()), None) is None

    def reconcile(self, ledger: Engine) -> Counter[Gap]:
        """Repair what differs, and nothing else. Files that lacked their place in the index lack it no longer."""
        lacking = files.lacking(ledger, STAGE)
        gaps = repair(self.index, self.source(ledger))
        for partition_key, transcript_id in lacking:
            files.mend(ledger, partition_key, STAGE, transcript_id)
        return gaps

    def source(self, ledger: Engine) -> "LedgerSource":
        return LedgerSource(ledger, self.embedder)


@dataclass(frozen=True)
class LedgerSource:
    """The current transcripts with their insights, as an index should hold them."""

    ledger: Engine
    embedder: Embedder | None

    def wanted(self) -> Iterator[Wanted]:
        for each in searchable.all_files(self.ledger):
            digest = documents.digest(
                owner=each.owner,
                file_name=each.file_name,
                transcript_id=each.transcript_id,
                names=each.names,
                embedding_model=self.embedder.name if self.embedder else None,
                insights=each.insights,
            )
            yield Wanted(each.partition_key, digest)

    def documents(self, partition_keys: Sequence[str]) -> Iterator[MediaDocument]:
        return (document for key in partition_keys if (document := self._document(key)))

    def _document(self, partition_key: str) -> MediaDocument | None:
        try:
            file = files.get(self.ledger, partition_key)
        except PipelineError as error:
            if error.code is ErrorCode.FILE_UNKNOWN:
                return None
            raise
        record = transcripts.current(self.ledger, partition_key)
        if record is None:
            return None
        transcript = transcripts.load(self.ledger, record.transcript_id)
        names = voices.last_said(self.ledger, file.owner, record.transcript_id).names
        made = insights.latest(self.ledger, record.transcript_id)
        told = Insights.model_validate({stage: view.value for stage, view in made.items()})
        return MediaDocument(
            partition_key=partition_key,
            owner=file.owner,
            file_name=file.file_name,
            generation=record.generation,
            transcript_id=record.transcript_id,
            language=transcript.language,
            added_at=file.registered_at,
            seconds=transcript.audio_seconds,
            names=names,
            passages=documents.passages(transcript, names) + documents.insight_passages(told, transcript, names),
            insights={stage: view.version for stage, view in made.items()},
            chunks=embedded_chunks(transcript, self.embedder) if self.embedder else (),
            embedding_model=self.embedder.name if self.embedder else None,
        )


class SearchResource(dg.ConfigurableResource[Search]):
    def create_resource(self, context: dg.InitResourceContext) -> Search:
        return Search(settings())
