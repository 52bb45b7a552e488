"""OpenSearch gives what every backend must give, asks only within the scope, and says what is wrong with the server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from tests.search.contract import ALL, ANN, SearchContract, every_hit, where
from tests.search.samples import CORPUS, A, Signs, document, with_chunks
from tests.servers.opensearch_proxy import OpenSearchProxy, opensearch_proxy
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search import opensearch, opensearch_schema
from transcribe_pipeline.search.index import Query, Scope
from transcribe_pipeline.search.opensearch import OpenSearchIndex

_names = (f"test{i}" for i in count())


@pytest.fixture(scope="module")
def index(opensearch_url) -> Iterator[OpenSearchIndex]:
    index = OpenSearchIndex(opensearch_url, "corpus")
    index.put_all(CORPUS)
    yield index
    index.discard(*index.aliases())


@pytest.fixture
def empty_index(opensearch_url) -> Iterator[OpenSearchIndex]:
    index = OpenSearchIndex(opensearch_url, next(_names))
    yield index
    index.discard(*index.aliases())


@pytest.fixture
def meaning(opensearch_url) -> Iterator[OpenSearchIndex]:
    index = OpenSearchIndex(opensearch_url, next(_names), embedder=Signs())
    if not index.has_knn():
        pytest.skip("this OpenSearch has no k-NN plugin")
    yield index
    index.discard(*index.aliases())


@pytest.fixture
def proxy(opensearch_url) -> Iterator[OpenSearchProxy]:
    with opensearch_proxy(opensearch_url) as proxy:
        yield proxy


def through(proxy: OpenSearchProxy, index: OpenSearchIndex, **more: Any) -> OpenSearchIndex:
    """The same index, by way of the proxy."""
    return OpenSearchIndex(proxy.url, index.name, **more)


class TestOpenSearch(SearchContract):
    pass


# --- isolation ---


def test_every_search_is_confined_to_the_scope(proxy, meaning):
    meaning.put(with_chunks("pets", "ann", [["The puppy barks."]]))
    index = through(proxy, meaning, embedder=Signs())
    for query in [Query("barks"), Query("bargs"), Query("dog", semantic=True), Query("", owners=frozenset({"bob"}))]:
        index.search(query, ANN)
    index.suggest("pu", ANN)
    assert len(proxy.searches) > 8
    for body in proxy.searches:
        for query in [body["query"], *_inside(body, "filter", of="vector")]:
            assert {"terms": {"owner": ["ann"]}} in query["bool"]["filter"]
    assert any(_inside(body, "filter", of="vector") for body in proxy.searches)


def test_user_input_never_becomes_syntax(proxy, index):
    hostile = 'owner:* OR "x y" z* w~ -v [a TO b] /(a+)+$/ ${script} {"match_all":{}}'
    through(proxy, index).search(Query(hostile, fuzzy=True, speakers=frozenset({"*"})), ANN)
    through(proxy, index).suggest("a.*|.*", ANN)
    keys = {key for body in proxy.searches for key in _keys(body)}
    assert "match_phrase" in keys
    assert not keys & {"query_string", "simple_query_string", "script", "regexp", "wildcard", "global", "template"}


def _inside(value: Any, key: str, *, of: str) -> list[Any]:
    """Values of `key` in objects that have `of` too."""
    if isinstance(value, dict):
        own = [value[key]] if key in value and of in value else []
        return own + [found for inner in value.values() for found in _inside(inner, key, of=of)]
    return [found for inner in value for found in _inside(inner, key, of=of)] if isinstance(value, list) else []


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


# --- writing ---


@pytest.mark.parametrize("status", [429, 500, 503])
def test_items_that_are_refused_for_now_are_sent_again_and_no_others(proxy, empty_index, status):
    refused = {"x:1:1", "x:media"}
    proxy.refuses = lambda request, identifier: status if identifier in refused and request < 2 else None
    through(proxy, empty_index).put(document("x", "ann", "en", [(A, "one"), (A, "two"), (A, "three")]))
    assert proxy.bulks == [["x:1:0", "x:1:1", "x:1:2", "x:media"], ["x:1:1", "x:media"], ["x:1:1", "x:media"]]
    assert every_hit(empty_index, Query()) == {"x": [0, 1, 2]}


def test_a_server_that_stays_busy_is_unavailable(proxy, empty_index, monkeypatch):
    monkeypatch.setattr(opensearch, "_WRITE_PATIENCE", 0.5)
    proxy.refuses = lambda request, identifier: 429
    with pytest.raises(PipelineError) as failed:
        through(proxy, empty_index).put(document("x", "ann", "en", [(A, "one")]))
    assert failed.value.code is ErrorCode.SEARCH_UNAVAILABLE
    assert len(proxy.bulks) > 1


def test_requests_that_are_turned_away_are_repeated(proxy, index):
    proxy.answers.extend([(429, "rejected_execution_exception"), (503, "no_server")])
    assert where(through(proxy, index).search(Query("believes"), ALL)) == {"budget": [1]}


def test_an_item_that_can_never_be_stored_is_said_with_its_reason(empty_index):
    with pytest.raises(PipelineError) as failed:
        empty_index.put(document("x", "o" * 40_000, "en", [(A, "one")]))
    assert failed.value.code is ErrorCode.INTERNAL
    assert "illegal_argument_exception" in failed.value.detail
    assert "owner" in failed.value.detail


def test_fields_that_nobody_planned_are_refused(empty_index):
    empty_index.put(document("x", "ann", "en", [(A, "one")]))
    answer = empty_index._server.client.bulk(body=[{"index": {"_id": "y"}}, {"surprise": 1}], index=empty_index.name)
    assert answer["items"][0]["index"]["error"]["type"] == "strict_dynamic_mapping_exception"


def test_a_blocked_index_is_unavailable_and_heals(empty_index):
    """What OpenSearch does when the disk is nearly full."""
    empty_index.put(document("x", "ann", "en", [(A, "one")]))
    block = "index.blocks.read_only_allow_delete"
    empty_index._server.client.indices.put_settings(index=empty_index.name, body={block: True})
    with pytest.raises(PipelineError) as failed:
        empty_index.put(document("y", "ann", "en", [(A, "two")]))
    assert failed.value.code is ErrorCode.SEARCH_UNAVAILABLE
    assert every_hit(empty_index, Query()) == {"x": [0]}
    empty_index._server.client.indices.put_settings(index=empty_index.name, body={block: None})
    empty_index.put(document("y", "ann", "en", [(A, "two")]))
    assert every_hit(empty_index, Query()) == {"x": [0], "y": [0]}


def test_processes_that_begin_at_once_share_an_index(opensearch_url, empty_index):
    def put(key: str) -> None:
        OpenSearchIndex(opensearch_url, empty_index.name).put(document(key, "ann", "en", [(A, "one")]))

    keys = [f"file{i}" for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, keys))
    assert [held.partition_key for held in empty_index.held()] == keys
    assert len(empty_index._indices()) == 1


def test_more_than_a_bulk_request_holds_is_stored_completely(proxy, empty_index):
    lines = [(A, f"word{i} again") for i in range(2_500)]
    through(proxy, empty_index).put(document("long", "ann", "en", lines))
    assert [len(bulk) for bulk in proxy.bulks] == [1000, 1000, 501]
    assert [(held.expected, held.passages) for held in empty_index.held()] == [(2_500, 2_500)]


def test_without_the_plugin_there_are_words_and_a_note(opensearch_url, empty_index):
    body = {"settings": opensearch_schema.settings(with_vectors=False), "mappings": opensearch_schema.mapping()}
    name = empty_index.name
    empty_index._server.client.indices.create(index=f"{name}-v1-0", body=body | {"aliases": {name: {}}})
    index = OpenSearchIndex(opensearch_url, name, embedder=Signs())
    index.put(with_chunks("pets", "ann", [["The puppy barks."]]))
    results = index.search(Query("puppy", semantic=True), ALL)
    assert where(results) == {"pets": [0]}
    assert "k-NN" in results.notes[0]
    assert (index.status().vectors, "k-NN" in index.status().semantic) == (0, True)


# --- a server that is not as it should be ---


def _uses(index: OpenSearchIndex) -> list[Any]:
    return [
        lambda: index.search(Query("word"), ANN),
        lambda: index.suggest("wo", ANN),
        lambda: index.put(CORPUS[0]),
        lambda: index.remove(["x"]),
        lambda: list(index.held()),
        index.status,
    ]


def test_a_server_that_is_not_there_is_unavailable():
    index = OpenSearchIndex("http://someone:secret@127.0.0.1:9")
    for use in _uses(index):
        with pytest.raises(PipelineError) as failed:
            use()
        assert failed.value.code is ErrorCode.SEARCH_UNAVAILABLE
        assert "secret" not in str(failed.value)
        assert "http://127.0.0.1:9 cannot be reached" in str(failed.value)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, "security_exception", ErrorCode.CONFIGURATION),
        (403, "security_exception", ErrorCode.CONFIGURATION),
        (403, "cluster_block_exception", ErrorCode.SEARCH_UNAVAILABLE),
        (500, "null_pointer_exception", ErrorCode.SEARCH_UNAVAILABLE),
    ],
)
def test_answers_have_their_meaning(proxy, index, status, kind, code):
    for use in _uses(through(proxy, index)):
        proxy.answers.append((status, kind))
        with pytest.raises(PipelineError) as failed:
            use()
        assert failed.value.code is code
        proxy.answers.clear()


def test_a_certificate_that_cannot_be_checked_is_said(opensearch_url):
    with pytest.raises(PipelineError) as failed:
        OpenSearchIndex(opensearch_url.replace("http:", "https:")).status()
    assert failed.value.code is ErrorCode.CONFIGURATION


@pytest.mark.parametrize("url", ["", "localhost:9200", "ftp://host", "https://u:secret@host:port", "https://"])
def test_what_is_no_url_is_said_without_quoting_it(url):
    with pytest.raises(PipelineError) as failed:
        OpenSearchIndex(url)
    assert failed.value.code is ErrorCode.CONFIGURATION
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("name", ["", "a,b", "*", "Capital", "../x", "-x", "x" * 200])
def test_names_that_mean_something_else_to_opensearch_are_refused(name):
    with pytest.raises(PipelineError) as failed:
        OpenSearchIndex("http://localhost", name)
    assert failed.value.code is ErrorCode.CONFIGURATION


def test_credentials_are_sent_and_never_shown(index):
    url = index._server.location.replace("//", "//us%40er:p%C3%A4ss@")
    assert OpenSearchIndex(url, index.name).search(Query("bank"), Scope.of("ann")).total_hits == 2
    assert "p" + "äss" not in repr(OpenSearchIndex(url, index.name).status())
