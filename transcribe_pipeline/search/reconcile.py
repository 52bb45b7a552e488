"""What an index holds against what it should hold, and repairing only the difference. The same for every backend.

What belongs here: the comparison and the repair. What does not: where the truth comes from (the ledger), and when it is
asked for (an asset check, a schedule).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final, Protocol, TypeVar

from transcribe_pipeline.search.documents import MediaDocument
from transcribe_pipeline.search.index import IndexedMedia, SearchIndex

_BATCH: Final = 50
"""Recordings whose documents are asked for at a time."""


@dataclass(frozen=True)
class Wanted:
    partition_key: str
    digest: str
    """`MediaDocument.digest` of what should be held."""


M = TypeVar("M", IndexedMedia, Wanted)


class Source(Protocol):
    """The truth that an index is a projection of."""

    def wanted(self) -> Iterable[Wanted]:
        """Everything that should be held, by partition key in the order of code points (SQL: COLLATE "C")."""

    def documents(self, partition_keys: Sequence[str]) -> Iterable[MediaDocument]:
        """As they are now; nothing for those that should not be held any more."""


class Gap(StrEnum):
    MISSING = "missing"
    STALE = "stale"
    """Held as it was before, or not completely."""
    SUPERFLUOUS = "superfluous"


@dataclass(frozen=True)
class Difference:
    partition_key: str
    gap: Gap


def compare(held: Iterable[IndexedMedia], wanted: Iterable[Wanted]) -> Iterator[Difference]:
    """The differences by partition key. Both sides are read once and side by side, so memory does not grow with them.

    Raises ValueError for a side that is not in order: half of it would be missing and superfluous at once.
    """
    here = _ordered(held)
    there = _ordered(wanted)
    one, other = next(here, None), next(there, None)
    while one or other:
        if other is None or (one and one.partition_key < other.partition_key):
            assert one
            yield Difference(one.partition_key, Gap.SUPERFLUOUS)
            one = next(here, None)
        elif one is None or other.partition_key < one.partition_key:
            yield Difference(other.partition_key, Gap.MISSING)
            other = next(there, None)
        else:
            if one.digest != other.digest or one.passages != one.expected:
                yield Difference(one.partition_key, Gap.STALE)
            one, other = next(here, None), next(there, None)


def _ordered(media: Iterable[M]) -> Iterator[M]:
    last = ""
    for one in media:
        if one.partition_key <= last:
            raise ValueError(f"{one.partition_key!r} comes after {last!r}")
        last = one.partition_key
        yield one


def repair(index: SearchIndex, source: Source) -> Counter[Gap]:
    """Make `index` hold what `source` wants, touching only what differs; how often each kind of gap was found.

    What changes meanwhile is left for the next time. May be interrupted at any point and run again.
    """
    gaps = Counter[Gap]()
    differences = compare(index.held(), source.wanted())
    while batch := list(islice(differences, _BATCH)):
        gaps.update(difference.gap for difference in batch)
        _bring_up_to_date(index, source, [difference.partition_key for difference in batch])
    return gaps


def _bring_up_to_date(index: SearchIndex, source: Source, partition_keys: list[str]) -> None:
    """The source is asked again what is wanted now: the comparison is of a moment ago."""
    wanted: set[str] = set()

    def documents() -> Iterator[MediaDocument]:
        for document in source.documents(partition_keys):
            wanted.add(document.partition_key)
            yield document

    index.put_all(documents())
    index.remove([key for key in partition_keys if key not in wanted])
