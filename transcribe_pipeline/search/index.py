"""The interface of search: what can be asked, what comes back, and who may see what.

Isolation lives here and nowhere else. Every question is asked within a `Scope`; `SearchIndex.search` hands it to the
backend, which must filter by it, and then refuses any hit that is outside of it. Callers cannot leave it out.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search.documents import Kind, MediaDocument

MAX_LIMIT: Final = 100
MAX_OFFSET: Final = 10_000
MAX_CHARACTERS: Final = 500
MAX_TERMS: Final = 32


@dataclass(frozen=True)
class Scope:
    """Whose recordings may be seen: of these owners, or everybody's (`owners` None) for admins and maintenance."""

    owners: frozenset[str] | None

    @classmethod
    def of(cls, *owners: str) -> "Scope":
        return cls(frozenset(owners))

    @classmethod
    def everything(cls) -> "Scope":
        return cls(None)

    def allows(self, owner: str) -> bool:
        return self.owners is None or owner in self.owners


@dataclass(frozen=True)
class Query:
    """What is looked for. All filters must hold; an empty `text` finds everything that passes them."""

    text: str = ""
    """Words (all of them), "exact phrases", prefix*, fuzzy~ and -excluded words; nothing else is syntax."""
    fuzzy: bool = False
    """Words may be misspelt: one letter in words of 3 to 5 letters, two in longer ones."""
    semantic: bool = False
    """Also find what means the same, where the index has vectors."""
    owners: frozenset[str] = frozenset()
    """A wish within the scope, never beyond it. Empty: no wish, as below."""
    speakers: frozenset[str] = frozenset()
    """Names as shown, compared without case."""
    languages: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    """Partition keys."""
    since: datetime | None = None
    until: datetime | None = None
    """When the file was added: since <= added_at < until."""
    min_seconds: float | None = None
    max_seconds: float | None = None
    """Length of the media."""
    kinds: frozenset[Kind] = frozenset()
    offset: int = 0
    """Files to skip."""
    limit: int = 10
    """Files on a page."""
    hits_per_file: int = 3


@dataclass(frozen=True)
class Piece:
    """A stretch of a hit's text; `is_match` where it is what was looked for. Pieces make up the whole text."""

    text: str
    is_match: bool = False


@dataclass(frozen=True)
class Hit:
    kind: Kind
    position: int
    """A segment's id in its transcript; chapters and statements of the summary are counted by themselves."""
    start: float
    end: float
    speaker: str | None
    speaker_name: str
    pieces: tuple[Piece, ...]
    """Text, not HTML: whoever shows it escapes it."""
    score: float
    by_meaning: bool = False
    """Found by its vector; no word of it needs to match."""


@dataclass(frozen=True)
class FileHits:
    """The hits of one recording, best first."""

    partition_key: str
    owner: str
    file_name: str
    transcript_id: str
    language: str
    added_at: datetime
    seconds: float
    total: int
    """Hits in this file; `hits` shows the best `Query.hits_per_file`."""
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Results:
    files: tuple[FileHits, ...]
    """Best file first; a page of them."""
    total_files: int
    total_hits: int
    facets: Mapping[str, Mapping[str, int]]
    """'owner', 'speaker', 'language' -> value -> number of hits, of all hits and not only of this page; the 20 most
    frequent values."""
    suggestion: str | None = None
    """The query with misspelt words replaced by words of the same scope; None if there is nothing better."""
    notes: tuple[str, ...] = ()
    """What was asked for and could not be done, such as `semantic` without vectors."""


@dataclass(frozen=True)
class IndexedMedia:
    """What the index holds of one media file, for comparison with the ledger."""

    partition_key: str
    digest: str
    """MediaDocument.digest of when it was indexed."""
    expected: int
    """Passages that were put in."""
    passages: int
    """Those that are really there."""


@dataclass(frozen=True)
class IndexStatus:
    backend: str
    """'SQLite FTS5' or 'OpenSearch 2.19.1'."""
    location: str
    """Path or URL without credentials, and index name."""
    media: int
    passages: int
    vectors: int
    size_bytes: int
    semantic: str = ""
    """Why there is no search by meaning; '' if there is."""
    details: Mapping[str, str] = field(default_factory=dict)


class SearchIndex(ABC):
    """A backend. All methods raise SEARCH_UNAVAILABLE when it does not answer."""

    def search(self, query: Query, scope: Scope) -> Results:
        """Raises BAD_QUERY for what cannot be asked."""
        _check(query)
        if scope.owners is not None and not scope.owners:
            return Results((), 0, 0, {})
        results = self._search(query, scope)
        if any(not scope.allows(file.owner) for file in results.files):
            raise PipelineError(ErrorCode.INTERNAL, "the search index gave hits outside of the scope")
        return results

    def suggest(self, prefix: str, scope: Scope, *, limit: int = 10) -> list[str]:
        """Words, speaker names and file names of the scope that begin so, the most frequent first."""
        if scope.owners is not None and not scope.owners:
            return []
        return self._suggest(prefix[:MAX_CHARACTERS], scope, limit)

    @abstractmethod
    def put(self, document: MediaDocument) -> None:
        """Make the index hold exactly this of the media file: what it held before goes once this can be found."""

    def put_all(self, documents: Iterable[MediaDocument]) -> None:
        """The same for many, as fast as the backend can."""
        for document in documents:
            self.put(document)

    @abstractmethod
    def remove(self, partition_keys: Sequence[str]) -> None:
        """Hold nothing of these files. Unknown ones are no error."""

    def scrub(self) -> None:  # noqa: B027  # most backends have nothing to add
        """Leave no byte of what was removed in files that this backend keeps itself. May take seconds."""

    @abstractmethod
    def held(self) -> Iterator[IndexedMedia]:
        """Everything held, by partition key in order."""

    @abstractmethod
    def status(self) -> IndexStatus: ...

    @abstractmethod
    def _search(self, query: Query, scope: Scope) -> Results:
        """`query` is within the limits; `scope` is not empty."""

    @abstractmethod
    def _suggest(self, prefix: str, scope: Scope, limit: int) -> list[str]: ...


def _check(query: Query) -> None:
    if len(query.text) > MAX_CHARACTERS:
        raise PipelineError(ErrorCode.BAD_QUERY, f"more than {MAX_CHARACTERS} characters")
    if not (
        0 <= query.offset <= MAX_OFFSET and 1 <= query.limit <= MAX_LIMIT and 1 <= query.hits_per_file <= MAX_LIMIT
    ):
        raise PipelineError(ErrorCode.BAD_QUERY, f"pages have 1 to {MAX_LIMIT} files and end at {MAX_OFFSET:,}")
