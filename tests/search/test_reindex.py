"""An index is replaced while people search and files are indexed, or it stays as it was."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest

from tests.search.contract import ALL, every_hit
from tests.search.samples import CORPUS, A, document
from tests.search.test_reconcile import Shelf
from tests.servers.opensearch import OpenSearchNode, running_node
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search.documents import MediaDocument
from transcribe_pipeline.search.index import Query
from transcribe_pipeline.search.opensearch import OpenSearchIndex
from transcribe_pipeline.search.reconcile import Gap, Wanted, compare, repair
from transcribe_pipeline.search.reindex import abandon, confirm, reindex, roll_back

_names = (f"anew{i}" for i in count())


@pytest.fixture
def index(opensearch_url) -> Iterator[OpenSearchIndex]:
    index = OpenSearchIndex(opensearch_url, next(_names))
    index.put_all(CORPUS)
    yield index
    index.discard(*index.aliases())


@pytest.fixture
def source() -> Shelf:
    return Shelf(*CORPUS)


def differences(index: OpenSearchIndex, source: Shelf) -> list[str]:
    return [difference.partition_key for difference in compare(index.held(), source.wanted())]


def late(number: int, text: str = "come late") -> MediaDocument:
    return document(f"late{number:03}", "ann", "en", [(A, text)])


def test_the_new_index_takes_over_and_the_old_one_goes_when_confirmed(index, source):
    before = every_hit(index, Query("bank"))
    (old,) = index.aliases().values()
    reindex(index, source)
    aliases = index.aliases()
    assert aliases == {index.name: aliases[index.name], index.previous_alias: old}
    assert aliases[index.name] != old
    assert every_hit(index, Query("bank")) == before
    assert not differences(index, source)
    confirm(index)
    assert index._indices() == {aliases[index.name]: {index.name}}


def test_no_query_fails_and_no_write_is_lost_while_the_alias_moves(index, source):
    stop = Event()
    expected = every_hit(index, Query("bank"))

    def search() -> int:
        asked = 0
        while not stop.is_set():
            assert every_hit(index, Query("bank")) == expected
            asked += 1
        return asked

    def write() -> int:
        for number in count():
            if stop.is_set():
                return number
            # The ledger knows first, as in the pipeline.
            source.content[f"late{number:03}"] = late(number)
            index.put(late(number))
        raise AssertionError

    with ThreadPoolExecutor(2) as pool:
        searching, writing = pool.submit(search), pool.submit(write)
        try:
            for _ in range(3):
                reindex(index, source)
        finally:
            stop.set()
        assert searching.result() > 5
        assert writing.result() > 5
    assert not differences(index, source)
    assert every_hit(index, Query("late")).keys() == {key for key in source.content if key.startswith("late")}


class Meddling(Shelf):
    """Something happens when documents are asked for the first time, after they have been read."""

    def happens(self) -> None:
        raise NotImplementedError

    def documents(self, partition_keys: Sequence[str]) -> Iterator[MediaDocument]:
        first = not self.asked
        read = list(super().documents(partition_keys))
        if first:
            self.happens()
        yield from read


def test_a_file_that_changes_after_it_was_read_is_caught_up(index):
    class Changing(Meddling):
        def happens(self) -> None:
            self.content["budget"] = document("budget", "ann", "en", [(A, "Quite new.")], generation=2)
            index.put(self.content["budget"])
            del self.content["oma"]
            index.remove(["oma"])

    source = Changing(*CORPUS)
    reindex(index, source)
    assert not differences(index, source)
    assert every_hit(index, Query("quite")) == {"budget": [0]}
    assert not every_hit(index, Query("Haus"))


def test_a_write_that_knew_only_the_old_index_is_caught_up(index):
    class Late(Meddling):
        def happens(self) -> None:
            self.content["late000"] = late(0)
            index._write_to(index.name, [late(0)])

    source = Late(*CORPUS)
    reindex(index, source)
    assert every_hit(index, Query("late")) == {"late000": [0]}


def test_an_index_that_does_not_equal_its_source_never_takes_over(index):
    class Lying(Shelf):
        def wanted(self) -> Iterator[Wanted]:
            yield from (Wanted(each.partition_key, "another") for each in super().wanted())

    before = index.aliases()
    with pytest.raises(PipelineError) as refused:
        reindex(index, Lying(*CORPUS[:2]))
    assert refused.value.code is ErrorCode.REINDEX_REFUSED
    assert "2 files" in refused.value.detail
    assert index.aliases() == before
    assert index._indices().keys() == set(before.values())
    assert not differences(index, Shelf(*CORPUS))


def test_a_source_that_fails_leaves_everything_as_it_was(index):
    class Failing(Meddling):
        def happens(self) -> None:
            raise PipelineError(ErrorCode.DATABASE_UNAVAILABLE)

    before = index.aliases()
    with pytest.raises(PipelineError) as failed:
        reindex(index, Failing(*CORPUS))
    assert failed.value.code is ErrorCode.DATABASE_UNAVAILABLE
    assert index._indices().keys() == set(before.values())


def test_two_are_never_built_at_once(index, source):
    class Twice(Meddling):
        def happens(self) -> None:
            with pytest.raises(PipelineError) as refused:
                reindex(index, source)
            assert refused.value.code is ErrorCode.REINDEX_REFUSED

    reindex(index, Twice(*CORPUS))
    assert not differences(index, source)


def test_remains_of_a_killed_attempt_are_discarded_on_request(index, source):
    index.start_building()
    with pytest.raises(PipelineError, match="being built"):
        reindex(index, source)
    index.put(late(0))  # still goes to both
    source.content["late000"] = late(0)
    abandon(index)
    index.put(late(0))
    reindex(index, source)
    assert not differences(index, source)


def test_an_index_that_vanishes_is_never_made_by_a_write(index):
    building = index.start_building()
    index.discard(index.building_alias)
    with pytest.raises(PipelineError) as refused:
        building.put(late(0))
    assert refused.value.code is ErrorCode.REINDEX_REFUSED
    assert len(index._indices()) == 1


def test_the_previous_index_can_be_searched_again_and_catches_up(index, source):
    (old,) = index.aliases().values()
    reindex(index, source)
    source.content["late000"] = late(0)
    index.put(late(0))
    roll_back(index, source)
    assert index.aliases() == {index.name: old}
    assert index._indices().keys() == {old}
    assert every_hit(index, Query("late")) == {"late000": [0]}
    with pytest.raises(PipelineError) as refused:
        roll_back(index, source)
    assert refused.value.code is ErrorCode.REINDEX_REFUSED


def test_an_unconfirmed_previous_index_makes_room_for_the_next(index, source):
    for _ in range(3):
        reindex(index, source)
    assert len(index._indices()) == 2


@pytest.fixture(scope="module")
def own_node() -> Iterator[OpenSearchNode]:
    with running_node() as node:
        yield node


@pytest.mark.e2e
def test_a_node_that_is_killed_while_indexing_is_filled_completely_when_it_is_back(own_node):
    index = OpenSearchIndex(own_node.url, "killed")
    lines = [(A, f"Sentence number {i} of many") for i in range(400)]
    source = Shelf(*(document(f"file{i:03}", "ann", "en", lines) for i in range(60)))
    index.put(source.content["file000"])
    with ThreadPoolExecutor(1) as pool:
        indexing = pool.submit(repair, index, source)
        while index.search(Query("sentence"), ALL).total_files < 5:
            time.sleep(0.05)
        own_node.kill()
        error = indexing.exception()
    for failure in (error, _failure(lambda: index.search(Query("sentence"), ALL)), _failure(index.status)):
        assert isinstance(failure, PipelineError)
        assert failure.code is ErrorCode.SEARCH_UNAVAILABLE
    own_node.start()
    gaps = repair(index, source)
    assert 0 < gaps[Gap.MISSING] + gaps[Gap.STALE] < 60
    assert not differences(index, source)
    results = index.search(Query("sentence", limit=100), ALL)
    assert (results.total_files, results.total_hits) == (60, 60 * 400)
    assert {file.total for file in results.files} == {400}


def _failure(use: object) -> Exception | None:
    try:
        use()  # type: ignore[operator]
    except PipelineError as error:
        return error
    return None
