"""What differs is found in one pass and repaired; nothing else is touched."""

from collections.abc import Iterator, Sequence
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.search.samples import CORPUS, A, document
from transcribe_pipeline.search.documents import MediaDocument
from transcribe_pipeline.search.embedded import EmbeddedIndex
from transcribe_pipeline.search.index import IndexedMedia
from transcribe_pipeline.search.reconcile import Difference, Gap, Wanted, compare, repair


class Shelf:
    """A source that holds documents in memory."""

    def __init__(self, *documents: MediaDocument) -> None:
        self.content = {document.partition_key: document for document in documents}
        self.asked: list[str] = []

    def wanted(self) -> Iterator[Wanted]:
        for key in sorted(self.content):
            yield Wanted(key, self.content[key].digest)

    def documents(self, partition_keys: Sequence[str]) -> Iterator[MediaDocument]:
        self.asked += partition_keys
        yield from (self.content[key] for key in partition_keys if key in self.content)


def held(key: str, digest: str = "d", *, missing: int = 0) -> IndexedMedia:
    return IndexedMedia(key, digest, expected=3, passages=3 - missing)


_KEYS = st.dictionaries(st.text("abcé\U0001f642-", min_size=1, max_size=3), st.sampled_from("xyz"), max_size=12)


@given(here=_KEYS, there=_KEYS)
def test_every_difference_is_found_once_and_in_order(here, there):
    expected = [
        Difference(key, Gap.MISSING if key not in here else Gap.SUPERFLUOUS if key not in there else Gap.STALE)
        for key in sorted(here | there)
        if here.get(key) != there.get(key)
    ]
    indexed = [held(key, here[key]) for key in sorted(here)]
    assert list(compare(indexed, [Wanted(key, there[key]) for key in sorted(there)])) == expected


@pytest.mark.parametrize("missing", [1, -1])
def test_media_with_passages_missing_or_left_over_are_stale(missing):
    assert list(compare([held("a", missing=missing)], [Wanted("a", "d")])) == [Difference("a", Gap.STALE)]


def test_both_sides_are_read_side_by_side():
    """Endless ones can be compared, so memory holds no more than one of each."""
    indexed = (held(f"{i:09}", "old" if i % 1000 == 0 else "d") for i in count())
    wanted = (Wanted(f"{i:09}", "d") for i in count())
    assert [each.partition_key for each in islice(compare(indexed, wanted), 3)] == [f"{i:09}" for i in (0, 1000, 2000)]


@pytest.mark.parametrize("keys", ["ba", "aa"])
def test_sides_out_of_order_are_refused(keys):
    """A database that sorts as a language does would otherwise make good files superfluous."""
    with pytest.raises(ValueError, match="comes after"):
        list(compare([], [Wanted(key, "d") for key in keys]))
    with pytest.raises(ValueError, match="comes after"):
        list(compare(map(held, keys), []))


def test_only_the_difference_is_repaired(tmp_path):
    index = EmbeddedIndex(tmp_path / "search.db")
    index.put_all(CORPUS)
    source = Shelf(*CORPUS)
    del source.content["oma"]
    source.content["budget"] = document("budget", "ann", "en", [(A, "New.")], generation=2)
    source.content["extra"] = document("extra", "ann", "en", [(A, "More.")])
    assert repair(index, source) == {Gap.STALE: 1, Gap.MISSING: 1, Gap.SUPERFLUOUS: 1}
    assert source.asked == ["budget", "extra", "oma"]
    assert not list(compare(index.held(), source.wanted()))
    assert not repair(index, source)


def test_what_changed_since_the_comparison_is_taken_as_it_is_now(tmp_path):
    """A file that is finished during the comparison must not be taken for superfluous."""
    index = EmbeddedIndex(tmp_path / "search.db")
    late = document("late", "ann", "en", [(A, "Just finished.")])

    class Changing(Shelf):
        def wanted(self) -> Iterator[Wanted]:
            yield from super().wanted()
            self.content["late"] = late
            del self.content["early"]

    source = Changing(document("early", "ann", "en", [(A, "Deleted meanwhile.")]))
    index.put(late)
    repair(index, source)
    assert [media.partition_key for media in index.held()] == ["late"]


def test_many_files_are_repaired_in_batches(tmp_path):
    source = Shelf(*(document(f"file{i:03}", "ann", "en", [(A, "Words.")]) for i in range(120)))
    index = EmbeddedIndex(tmp_path / "search.db")
    assert repair(index, source) == {Gap.MISSING: 120}
    assert len(list(index.held())) == 120
