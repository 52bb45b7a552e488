"""Search with OpenSearch: one versioned index behind an alias.

What belongs here: what is in the index, and the life of indices. What does not: the shape of one
(`opensearch_schema.py`), asking (`opensearch_search.py`), the connection (`opensearch_server.py`), and the steps of
building an index anew (`reindex.py`).

Three aliases tell what an index `<name>-v<schema>-<stamp>` is for: `<name>` is searched, `<name>-building` is being
filled and gets every write too, `<name>-previous` is kept until the new one has proved itself.

The user needs these permissions and no others. On indices `<name>*`: `crud`, `create_index`, `indices:admin/get`,
`indices:admin/delete`, `indices:admin/aliases*`, `indices:admin/mapping/put`, `indices:admin/refresh*`,
`indices:monitor/stats`. On the cluster: `cluster_composite_ops`, `cluster:monitor/main`, `cluster:monitor/nodes/info`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Final

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search import opensearch_query as dsl
from transcribe_pipeline.search import opensearch_schema as schema
from transcribe_pipeline.search.documents import SCHEMA, MediaDocument
from transcribe_pipeline.search.index import IndexedMedia, IndexStatus, Query, Results, Scope, SearchIndex
from transcribe_pipeline.search.opensearch_query import Clause
from transcribe_pipeline.search.opensearch_search import Searcher, buckets
from transcribe_pipeline.search.opensearch_server import Busy, Exists, IndexGone, Server, failure_of, may_pass
from transcribe_pipeline.text.embeddings import Embedder

_WRITE_PATIENCE: Final = 60.0
"""Seconds for which a busy server is asked again to store documents: nobody is waiting."""
_BULK_ITEMS: Final = 1000
_BULK_BYTES: Final = 5_000_000
_BATCH_PASSAGES: Final = 20_000
"""Recordings up to so many passages are made visible at once: each time takes a refresh and a deletion, and leaves
small Lucene segments to be merged."""
_HELD_PAGE: Final = 1000
_IF_THERE: Final = {"ignore_unavailable": "true"}


class OpenSearchIndex(SearchIndex):
    backend = "OpenSearch"

    def __init__(
        self,
        url: str,
        name: str = "transcripts",
        *,
        user: str = "",
        password: str = "",
        embedder: Embedder | None = None,
    ) -> None:
        """
        :param url: of one node or a load balancer. https is verified with the system's authorities, or those that
            SSL_CERT_FILE names.
        :param name: the alias; other names begin with it.
        :param embedder: for search by meaning; only what it has embedded is compared with a query.

        Nothing is asked of the server yet. Raises CONFIGURATION for a URL or a name that cannot be one.
        """
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,99}", name):
            raise PipelineError(ErrorCode.CONFIGURATION, "an index name has small letters, digits, - and _")
        self._be(Server(url, user, password), name, embedder)

    def _be(self, server: Server, name: str, embedder: Embedder | None) -> None:
        self.name = name
        self._server = server
        self._searcher = Searcher(server, name, embedder)

    def _search(self, query: Query, scope: Scope) -> Results:
        return self._searcher.search(query, scope)

    def _suggest(self, prefix: str, scope: Scope, limit: int) -> list[str]:
        return self._searcher.suggest(prefix, scope, limit)

    # --- writing ---

    def put(self, document: MediaDocument) -> None:
        self._write([document])

    def put_all(self, documents: Iterable[MediaDocument]) -> None:
        for batch in _batches(documents):
            self._write(batch)

    def remove(self, partition_keys: Sequence[str]) -> None:
        self._for_each_target(lambda target: self._remove_from(target, partition_keys))

    def _write(self, documents: Sequence[MediaDocument]) -> None:
        self._for_each_target(lambda target: self._write_to(target, documents))

    def _write_to(self, target: str, documents: Sequence[MediaDocument]) -> None:
        with_vectors = self._takes_vectors(target, documents)
        stored = (schema.stored(document, with_vectors=with_vectors) for document in documents)
        self._bulk(target, chain.from_iterable(stored))
        self._server.do(lambda: self._server.client.indices.refresh(index=target))
        self._delete(target, _replaced_by(documents))

    def _remove_from(self, target: str, partition_keys: Sequence[str]) -> None:
        for start in range(0, len(partition_keys), _HELD_PAGE):
            self._delete(target, dsl.any_of("partition_key", partition_keys[start : start + _HELD_PAGE]))

    def _for_each_target(self, work: Callable[[str], object]) -> None:
        """`work` on the index under construction, if there is one, and then on the one that is searched.

        In this order: if the first takes over in between, the second write reaches it as well. The other way round, a
        write could go to an index that has just been replaced.
        """
        aliases = self.aliases()
        if self.name not in aliases:
            with suppress(Exists):  # another process was faster
                self._create(f"{self.name}-v{SCHEMA}-0", self.name)
        if self.building_alias in aliases:
            # Gone: it has been discarded, or has taken over and is written to next.
            with suppress(IndexGone):
                work(self.building_alias)
        work(self.name)

    def _takes_vectors(self, target: str, documents: Sequence[MediaDocument]) -> bool:
        """Whether vectors can be stored; makes their fields where they are missing."""
        dimensions = {len(chunk.vector) for document in documents for chunk in document.chunks}
        if not dimensions:
            return False
        has_knn, fields = self._server.description(target)
        for length in dimensions if has_knn else ():
            if schema.vector_field(length) not in fields:
                body = schema.vector_mapping(length)
                self._server.do(lambda body=body: self._server.client.indices.put_mapping(index=target, body=body))  # type: ignore[misc]
        return has_knn

    def _bulk(self, target: str, stored: Iterable[tuple[str, dict[str, Any]]]) -> None:
        for lines in _bulks(stored):
            self._server.do(lambda lines=lines: self._send(target, lines), patience=_WRITE_PATIENCE)  # type: ignore[misc]

    def _send(self, target: str, lines: list[str]) -> None:
        """Index what is in `lines`, and take out of it what has been accepted, so that only the rest is sent again."""
        # An alias that is gone must not become an index with a guessed mapping.
        answer = self._server.client.bulk(body="\n".join([*lines, ""]), index=target, params={"require_alias": "true"})
        if not answer["errors"]:
            return
        refused: list[int] = []
        for i, item in enumerate(item["index"] for item in answer["items"]):
            if "error" not in item:
                continue
            if not may_pass(item):
                raise failure_of(item)
            refused.append(i)
        lines[:] = chain.from_iterable(lines[2 * i : 2 * i + 2] for i in refused)
        raise Busy(f"{len(refused)} of {len(answer['items'])} documents refused for now")

    def _delete(self, target: str, query: Clause) -> None:
        """What another process has changed in the same moment is its business (`proceed`); reconciliation sees it."""
        params = {"refresh": "true", "conflicts": "proceed"}
        self._server.do(lambda: self._server.client.delete_by_query(index=target, body={"query": query}, params=params))

    # --- what is held ---

    def held(self) -> Iterator[IndexedMedia]:
        after: dict[str, Any] | None = None
        while True:
            key = {"key": {"terms": {"field": "partition_key"}}}
            pages = {"size": _HELD_PAGE, "sources": [key]} | ({"after": after} if after else {})
            manifest = {"digest": {"terms": {"field": "digest", "size": 1}}, "expected": {"max": {"field": "expected"}}}
            counts = {
                "media": {"filter": dsl.any_of("kind", [schema.MEDIA]), "aggs": manifest},
                "passages": {"filter": dsl.any_of("kind", dsl.KINDS)},
            }
            body = {"query": {"match_all": {}}, "size": 0, "aggs": {"held": {"composite": pages, "aggs": counts}}}
            page = self._searcher.ask(Scope.everything(), body).get("aggregations", {}).get("held", {"buckets": []})
            yield from map(_indexed, page["buckets"])
            after = page.get("after_key")
            if after is None:
                return

    def status(self) -> IndexStatus:
        number = self._server.do(self._server.client.info)["version"]["number"]
        aliases = self.aliases()
        current = aliases.get(self.name)
        kinds = {"query": {"match_all": {}}, "size": 0, "aggs": {"kind": {"terms": {"field": "kind", "size": 100}}}}
        counts = {
            bucket["key"]: bucket["doc_count"]
            for bucket in buckets(self._searcher.ask(Scope.everything(), kinds), "kind")
        }
        size = 0
        if current:
            stats = self._server.do(lambda: self._server.client.indices.stats(index=current, metric="store"))
            size = stats["_all"]["primaries"]["store"]["size_in_bytes"]
        return IndexStatus(
            backend=f"OpenSearch {number}",
            location=f"{self._server.location} {self.name}",
            media=counts.get(schema.MEDIA, 0),
            passages=sum(counts.get(kind, 0) for kind in dsl.KINDS),
            vectors=counts.get(schema.CHUNK, 0),
            size_bytes=size,
            semantic=self._searcher.missing_vectors(),
            details={alias.removeprefix(self.name) or "alias": index for alias, index in sorted(aliases.items())},
        )

    # --- the life of indices; `reindex.py` says in which order ---

    @property
    def building_alias(self) -> str:
        return f"{self.name}-building"

    @property
    def previous_alias(self) -> str:
        return f"{self.name}-previous"

    def aliases(self) -> dict[str, str]:
        """Those of our three aliases that exist -> their index."""
        ours = (self.name, self.building_alias, self.previous_alias)
        return {alias: index for index, aliases in self._indices().items() for alias in aliases if alias in ours}

    def start_building(self) -> "SearchIndex":
        """A new index that from now on gets every write as well; as an index of its own, to be filled.

        Raises REINDEX_REFUSED if there is one already.
        """
        # Numbered, and not by the time: of two processes that begin at once, one finds the name taken.
        number = 1 + max((int(index.rpartition("-")[2]) for index in self._indices()), default=0)
        try:
            if self.building_alias in self.aliases():
                raise Exists
            self._create(f"{self.name}-v{SCHEMA}-{number}", self.building_alias)
        except Exists:
            raise PipelineError(ErrorCode.REINDEX_REFUSED, "another index is being built") from None
        return _Building(self)

    def take_over(self) -> None:
        """Search what was built, in one step for everybody. What was searched stays as the previous one."""
        aliases = self.aliases()
        if self.building_alias not in aliases:
            raise PipelineError(ErrorCode.REINDEX_REFUSED, "what was built has been discarded")
        new, old, older = aliases[self.building_alias], aliases.get(self.name), aliases.get(self.previous_alias)
        actions: list[dict[str, Any]] = [_alias("remove", new, self.building_alias), _alias("add", new, self.name)]
        if old:
            actions += [_alias("remove", old, self.name), _alias("add", old, self.previous_alias)]
        if older:
            actions.append({"remove_index": {"index": older}})
        self._update_aliases(actions)

    def roll_back(self) -> None:
        """Search the previous index again, at once. What was written since is missing there until it is reconciled.

        Raises REINDEX_REFUSED if there is none.
        """
        aliases = self.aliases()
        if self.previous_alias not in aliases:
            raise PipelineError(ErrorCode.REINDEX_REFUSED, "there is no previous index to go back to")
        old = aliases[self.previous_alias]
        actions = [_alias("remove", old, self.previous_alias), _alias("add", old, self.name)]
        if self.name in aliases:
            actions.append({"remove_index": {"index": aliases[self.name]}})
        self._update_aliases(actions)

    def discard(self, *aliases: str) -> list[str]:
        """Delete the indices behind `aliases` and those of ours that have none, such as of a program that was killed;
        their names."""
        ours = {self.name, self.building_alias, self.previous_alias}
        unused = sorted(index for index, its in self._indices().items() if not its & (ours - set(aliases)))
        if unused:
            self._server.do(lambda: self._server.client.indices.delete(index=",".join(unused), params=_IF_THERE))
        return unused

    def _indices(self) -> dict[str, set[str]]:
        """Indices of ours -> their aliases."""
        found = self._server.do(lambda: self._server.client.indices.get_alias(index=f"{self.name}-v*"))
        ours = re.compile(rf"{re.escape(self.name)}-v\d+-\d+")
        return {index: set(entry["aliases"]) for index, entry in found.items() if ours.fullmatch(index)}

    def _create(self, index: str, alias: str) -> None:
        """With its alias in one step: nobody ever sees it without. Raises Exists."""
        settings = schema.settings(with_vectors=self.has_knn())
        body = {"settings": settings, "mappings": schema.mapping(), "aliases": {alias: {}}}
        self._server.do(lambda: self._server.client.indices.create(index=index, body=body), patience=_WRITE_PATIENCE)

    def has_knn(self) -> bool:
        """Whether the server's nodes have the plugin for vectors."""
        plugins = self._server.do(lambda: self._server.client.cat.plugins(params={"format": "json", "h": "component"}))
        return any("knn" in plugin["component"].lower() for plugin in plugins)

    def _update_aliases(self, actions: list[dict[str, Any]]) -> None:
        self._server.do(lambda: self._server.client.indices.update_aliases(body={"actions": actions}))


class _Building(OpenSearchIndex):
    """The index under construction, under its own alias."""

    def __init__(self, finished: OpenSearchIndex) -> None:
        self._be(finished._server, finished.building_alias, None)

    def _for_each_target(self, work: Callable[[str], object]) -> None:
        try:
            work(self.name)
        except IndexGone:
            raise PipelineError(ErrorCode.REINDEX_REFUSED, "what was built so far has been discarded") from None


# --- from and to JSON ---


def _batches(documents: Iterable[MediaDocument]) -> Iterator[list[MediaDocument]]:
    batch: list[MediaDocument] = []
    passages = 0
    for document in documents:
        batch.append(document)
        passages += len(document.passages)
        # Files of silence count too.
        if passages + len(batch) >= _BATCH_PASSAGES:
            yield batch
            batch, passages = [], 0
    if batch:
        yield batch


def _bulks(stored: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[list[str]]:
    """Lines of bulk requests: an action and a document in turn."""
    lines: list[str] = []
    size = 0
    for identifier, source in stored:
        document = json.dumps(source, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        if lines and (len(lines) >= 2 * _BULK_ITEMS or size + len(document) > _BULK_BYTES):
            yield lines
            lines, size = [], 0
        lines += [json.dumps({"index": {"_id": identifier}}), document]
        size += len(document)
    if lines:
        yield lines


def _replaced_by(documents: Sequence[MediaDocument]) -> Clause:
    """Whatever else the index holds of the same recordings."""
    return {
        "bool": {
            "filter": [dsl.any_of("partition_key", [document.partition_key for document in documents])],
            "must_not": [dsl.any_of("version", [schema.version(document) for document in documents])],
        }
    }


def _alias(action: str, index: str, alias: str) -> dict[str, Any]:
    return {action: {"index": index, "alias": alias}}


def _indexed(bucket: dict[str, Any]) -> IndexedMedia:
    """Without a manifest, indexing was interrupted; no digest is equal to none."""
    digests = bucket["media"]["digest"]["buckets"]
    return IndexedMedia(
        partition_key=bucket["key"]["key"],
        digest=digests[0]["key"] if digests else "",
        expected=int(bucket["media"]["expected"]["value"] or 0),
        passages=bucket["passages"]["doc_count"],
    )
