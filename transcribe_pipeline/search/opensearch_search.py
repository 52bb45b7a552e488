"""Asking an OpenSearch index: the searches behind an answer, and the answer from what they give.

What belongs here: reading what people have said, always within a scope. What does not: the query language
(`opensearch_query.py`), changing the index (`opensearch.py`).
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any, Final

from transcribe_pipeline.search import opensearch_query as dsl
from transcribe_pipeline.search import opensearch_schema as schema
from transcribe_pipeline.search.index import FileHits, Hit, Query, Results, Scope
from transcribe_pipeline.search.opensearch_query import Clause
from transcribe_pipeline.search.opensearch_server import Busy, Server, failure_of, may_pass
from transcribe_pipeline.search.query_text import ParsedQuery, parse
from transcribe_pipeline.search.vectors import MIN_SIMILARITY, NEAREST_CHUNKS, fuse
from transcribe_pipeline.text.embeddings import Embedder

_TIMEOUT: Final = 15
_FACETS: Final = {"owner": "owner", "speaker": "speaker_name", "language": "language"}
_FACET_SIZE: Final = 20
_COUNTED_EXACTLY: Final = 40_000
"""Files up to which their number is exact (the most that OpenSearch's cardinality offers); beyond, an estimate."""
_FUSED_HITS: Final = 500
"""As many of the best hits by words are fused with those by meaning: a query may have 1,024 clauses."""
_SAMPLED: Final = 20_000
"""Passages that are read at most for a suggestion."""
_SIMILAR_HITS: Final = 20
_WORDS, _MEANING = "words", "meaning"
"""What has found a hit, as the server tells it."""


class Searcher:
    def __init__(self, server: Server, name: str, embedder: Embedder | None) -> None:
        """:param name: of the alias that is searched; it need not exist."""
        self._server = server
        self._name = name
        self._embedder = embedder

    def search(self, query: Query, scope: Scope) -> Results:
        parsed = parse(query.text)
        filters = dsl.passage_filters(query, parsed.excluded)
        lexical = dsl.all_terms(parsed, fuzzy=query.fuzzy)
        if query.semantic and parsed.required:
            return self._by_meaning_too(query, parsed, scope, filters, lexical)
        results = self._answer(_Asked(query, filters, lexical, lexical, lexical if parsed.required else None), scope)
        if results.total_hits or not parsed.required:
            return results
        return replace(results, suggestion=self._better(query, parsed, scope, filters))

    def _by_meaning_too(
        self, query: Query, parsed: ParsedQuery, scope: Scope, filters: list[Clause], lexical: Clause
    ) -> Results:
        """The best passages by words and by meaning, fused by rank; the other passages with the words come after."""
        best = self._ids(scope, lexical, filters, _FUSED_HITS)
        similar, note = self._similar_passages(query, parsed, scope, filters, lexical)
        either = [
            {"constant_score": {"filter": lexical, "boost": 0, "_name": _WORDS}},
            {"ids": {"values": similar, "boost": 0, "_name": _MEANING}},
        ]
        found = {"bool": {"should": either}}
        ranks = [{"ids": {"values": [hit], "boost": score}} for hit, score in fuse(best, similar).items()]
        ranked = {"bool": {"must": [found], "should": ranks}}
        results = self._answer(_Asked(query, filters, found, ranked, lexical), scope)
        suggestion = None if best else self._better(query, parsed, scope, filters)
        return replace(results, suggestion=suggestion, notes=(note,) if note else ())

    def _answer(self, asked: "_Asked", scope: Scope) -> Results:
        """In two steps: which files, with all numbers; then the hits of the files on the page. One step (`inner_hits`)
        would search once for each file."""
        page, counts = self.ask_all(scope, [asked.page(), asked.counts()])
        keys = [hit["fields"]["partition_key"][0] for hit in page["hits"]["hits"]]
        groups = buckets(self.ask(scope, asked.hits(keys)), "files") if keys else []
        files = {group["key"]: _file(group["doc_count"], group["hits"]["hits"]["hits"]) for group in groups}
        return Results(
            # One that was removed between the steps is left out.
            files=tuple(files[key] for key in keys if key in files),
            total_files=int(counts.get("aggregations", {}).get("files", {}).get("value", 0)),
            total_hits=counts["hits"]["total"]["value"],
            facets={name: {bucket["key"]: bucket["doc_count"] for bucket in buckets(counts, name)} for name in _FACETS},
        )

    def _similar_passages(
        self, query: Query, parsed: ParsedQuery, scope: Scope, filters: list[Clause], lexical: Clause
    ) -> tuple[list[str], str]:
        """Ids of passages of the nearest chunks, nearest first; and what to tell."""
        missing = self.missing_vectors()
        if self._embedder is None or missing:
            return [], f"search by meaning is off: {missing}"
        vector = self._embedder.embed([" ".join(term.text for term in parsed.required)])[0]
        near = {
            "vector": [float(value) for value in vector],
            "k": NEAREST_CHUNKS,
            # Within the search and not after it: the nearest of all may all be somebody else's.
            "filter": dsl.within(
                scope,
                {"match_all": {}},
                *dsl.media_filters(query),
                dsl.any_of("kind", [schema.CHUNK]),
                dsl.any_of("embedding_model", [self._embedder.name]),
            ),
        }
        nearest = {
            "query": {"knn": {schema.vector_field(self._embedder.dimensions): near}},
            "size": NEAREST_CHUNKS,
            "_source": ["partition_key", "first_segment", "last_segment"],
        }
        hits = self.ask(scope, nearest)["hits"]["hits"]
        if not hits:
            return [], "nothing in reach has been embedded with the present model"
        # Lucene scores cosine similarities as (1 + cosine) / 2.
        alike = [hit["_source"] for hit in hits if 2 * hit["_score"] - 1 >= MIN_SIMILARITY]
        return self._passages_of(scope, alike, lexical, filters) if alike else [], ""

    def _passages_of(
        self, scope: Scope, chunks: list[dict[str, Any]], lexical: Clause, filters: list[Clause]
    ) -> list[str]:
        """Of each chunk those passages that the words find too, or else the first that may be shown."""
        of_chunks = [_in_chunk(chunk) for chunk in chunks]
        with_words = {"constant_score": {"filter": lexical, "_name": _WORDS}}
        body = {
            "query": {"bool": {"must": [{"bool": {"should": of_chunks}}], "should": [with_words], "filter": filters}},
            "size": 10_000,
            "sort": [{"position": "asc"}],
            "_source": ["partition_key", "position"],
        }
        allowed = self.ask(scope, body)["hits"]["hits"]
        made: dict[str, None] = {}
        for chunk in chunks:
            inside = [hit for hit in allowed if _is_in_chunk(hit["_source"], chunk)]
            found = [hit for hit in inside if hit.get("matched_queries")]
            made |= dict.fromkeys(hit["_id"] for hit in found or inside[:1])
        return list(made)

    def _ids(self, scope: Scope, query: Clause, filters: list[Clause], size: int) -> list[str]:
        order = [{"_score": "desc"}, {"partition_key": "asc"}, {"position": "asc"}]
        body = {"query": dsl.filtered(query, filters), "size": size, "sort": order, "_source": False}
        answer = self.ask(scope, body)
        return [hit["_id"] for hit in answer["hits"]["hits"]]

    def _better(self, query: Query, parsed: ParsedQuery, scope: Scope, filters: list[Clause]) -> str | None:
        """The query with words that are not there replaced by similar ones that are; None if that finds nothing."""
        words = [term for term in parsed.required if term.kind == "word"]
        if query.fuzzy or not words:
            return None
        bodies: list[dict[str, Any]] = []
        for term in words:
            there, alike = dsl.one_term(term, fuzzy=False), dsl.similar(term.text)
            bodies.append(_is_any(dsl.filtered(there, filters)))
            marked = {"_source": ["text"], "highlight": dsl.highlight(["text"])}
            bodies.append({"query": dsl.filtered(alike, filters), "size": _SIMILAR_HITS} | marked)
        answers = self.ask_all(scope, bodies)
        replacements = {
            term.text: _nearest(term.text, alike)
            for term, there, alike in zip(words, answers[::2], answers[1::2], strict=True)
            if not there["hits"]["total"]["value"]
        }
        better = parsed.with_words(lambda word: replacements.get(word) or word)
        if better == parsed:
            return None
        finds = self.ask(scope, _is_any(dsl.filtered(dsl.all_terms(better, fuzzy=False), filters)))
        return str(better) if finds["hits"]["total"]["value"] else None

    def suggest(self, prefix: str, scope: Scope, limit: int) -> list[str]:
        beginning = schema.fold(" ".join(schema.storable(prefix).split()))
        if not beginning:
            return []
        passages = dsl.any_of("kind", dsl.KINDS)
        bodies = [
            _most_frequent(passages, "speaker_name.folded", beginning, {"field": "speaker_name", "size": limit}),
            _most_frequent(
                dsl.any_of("kind", [schema.MEDIA]), "file.folded", beginning, {"field": "file", "size": limit}
            ),
        ]
        if beginning.isalnum():  # and so without any meaning in a regular expression
            terms = {"field": "words", "include": f"{beginning}.*", "size": limit}
            bodies.append(_most_frequent(passages, "words", beginning, terms))
        names, files, *words = [buckets(answer, "sample", "found") for answer in self.ask_all(scope, bodies)]
        counted = [(bucket["key"], bucket["doc_count"]) for bucket in names + files]
        counted += [(schema.completed(bucket["key"]), bucket["doc_count"]) for bucket in chain(*words)]
        return list(dict.fromkeys(shown for shown, _ in sorted(counted, key=lambda found: (-found[1], found[0]))))[
            :limit
        ]

    def ask(self, scope: Scope, body: dict[str, Any]) -> dict[str, Any]:
        return self.ask_all(scope, [body])[0]

    def ask_all(self, scope: Scope, bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Searches, each confined to the scope. Nothing else here reads what people have said.

        The same copy of the index answers the same scope, so that pages do not differ in how they score.
        """
        copy = zlib.crc32("\x1f".join(sorted(scope.owners or ())).encode("utf-8", "replace"))
        header = {"preference": f"scope{copy}", "ignore_unavailable": True}
        lines: list[dict[str, Any]] = []
        for body in bodies:
            lines += [header, body | {"query": dsl.within(scope, body["query"])}]

        def search() -> list[dict[str, Any]]:
            answer = self._server.client.msearch(body=lines, index=self._name, params={"request_timeout": _TIMEOUT})
            for response in answer["responses"]:
                if "error" in response:
                    raise Busy if may_pass(response) else failure_of(response)
            return list(answer["responses"])

        return self._server.do(search)

    def missing_vectors(self) -> str:
        """Why there is no search by meaning; '' if there is."""
        if self._embedder is None:
            return "no embedding model"
        has_knn, fields = self._server.description(self._name)
        if not has_knn:
            return "the index was made on an OpenSearch without the k-NN plugin"
        field = schema.vector_field(self._embedder.dimensions)
        return "" if field in fields else "nothing has been embedded yet"


@dataclass(frozen=True)
class _Asked:
    """One question as the bodies of the searches that answer it."""

    query: Query
    filters: list[Clause]
    found: Clause
    """What is a hit, if it passes the filters."""
    ranked: Clause
    """The same, scored."""
    marked: Clause | None
    """What is highlighted; None: no words are looked for, so the newest file comes first."""

    def page(self) -> dict[str, Any]:
        """The files of the page in their order."""
        order = {"_score": "desc"} if self.marked else {"added_at": "desc"}
        return {
            "query": self._whole_files() or dsl.filtered(self.ranked, self.filters),
            "collapse": {"field": "partition_key"},
            "sort": [order, {"partition_key": "asc"}],
            "from": self.query.offset,
            "size": self.query.limit,
            "_source": False,
            "track_total_hits": False,
        }

    def _whole_files(self) -> Clause | None:
        """Where all that is said in a file is found, its document of kind 'media' stands for a thousand passages."""
        if self.marked or self.query.speakers or self.query.kinds:
            return None
        says_something = {"range": {"expected": {"gte": 1}}}
        return dsl.filtered(says_something, [*dsl.media_filters(self.query), dsl.any_of("kind", [schema.MEDIA])])

    def counts(self) -> dict[str, Any]:
        """The same on every page, so that the server has it ready."""
        return {
            "query": {"bool": {"filter": [self.found, *self.filters]}},
            "size": 0,
            "track_total_hits": True,
            "aggs": {
                "files": {"cardinality": {"field": "partition_key", "precision_threshold": _COUNTED_EXACTLY}},
                **{name: {"terms": {"field": field, "size": _FACET_SIZE}} for name, field in _FACETS.items()},
            },
        }

    def hits(self, partition_keys: list[str]) -> dict[str, Any]:
        """The best hits of each of these files."""
        best = {
            "size": self.query.hits_per_file,
            "sort": [*([{"_score": "desc"}] if self.marked else []), {"position": "asc"}, {"kind": "asc"}],
            "_source": {"excludes": ["stem_*"]},
        }
        best |= {"highlight": dsl.highlight(query=self.marked)} if self.marked else {}
        groups = {"field": "partition_key", "size": len(partition_keys)}
        return {
            "query": dsl.filtered(self.ranked, [*self.filters, dsl.any_of("partition_key", partition_keys)]),
            "size": 0,
            "aggs": {"files": {"terms": groups, "aggs": {"hits": {"top_hits": best}}}},
        }


def _file(total: int, hits: list[dict[str, Any]]) -> FileHits:
    source = hits[0]["_source"]
    return FileHits(
        partition_key=source["partition_key"],
        owner=source["owner"],
        file_name=source["file_name"],
        transcript_id=source["transcript_id"],
        language=source["language"],
        added_at=datetime.fromisoformat(source["added_at"]),
        seconds=source["seconds"],
        total=total,
        hits=tuple(map(_hit, hits)),
    )


def _hit(hit: dict[str, Any]) -> Hit:
    source = hit["_source"]
    pieces = dsl.pieces(source["text"], hit.get("highlight", {}).values())
    return Hit(
        kind=source["kind"],
        position=source["position"],
        start=source["start"],
        end=source["end"],
        speaker=source.get("speaker"),
        speaker_name=source.get("speaker_name", ""),
        pieces=pieces,
        score=hit["_score"] or 0.0,
        by_meaning=hit.get("matched_queries") == [_MEANING],
    )


def _in_chunk(chunk: dict[str, Any]) -> Clause:
    file = dsl.any_of("partition_key", [chunk["partition_key"]])
    segments = {"range": {"position": {"gte": chunk["first_segment"], "lte": chunk["last_segment"]}}}
    return {"bool": {"filter": [file, dsl.any_of("kind", ["segment"]), segments]}}


def _is_in_chunk(passage: dict[str, Any], chunk: dict[str, Any]) -> bool:
    is_between: bool = chunk["first_segment"] <= passage["position"] <= chunk["last_segment"]
    return is_between and passage["partition_key"] == chunk["partition_key"]


def _nearest(word: str, answer: dict[str, Any]) -> str | None:
    """Of the words that a search for similar ones has marked, the most similar; of equal ones, the most frequent."""
    from rapidfuzz.distance import OSA

    counts: Counter[str] = Counter()
    for hit in answer["hits"]["hits"]:
        marked = dsl.pieces(hit["_source"]["text"], hit.get("highlight", {}).values())
        counts.update(piece.text for piece in marked if piece.is_match)
    wanted = schema.fold(word)
    return min(
        counts, key=lambda found: (OSA.distance(wanted, schema.fold(found)), -counts[found], found), default=None
    )


def _is_any(query: Clause) -> dict[str, Any]:
    return {"query": query, "size": 0, "track_total_hits": 1}


def _most_frequent(kind: Clause, field: str, beginning: str, terms: dict[str, Any]) -> dict[str, Any]:
    found = {"sampler": {"shard_size": _SAMPLED}, "aggs": {"found": {"terms": terms}}}
    begins = {"bool": {"filter": [kind, {"prefix": {field: beginning}}]}}
    return {"query": begins, "size": 0, "aggs": {"sample": found}}


def buckets(answer: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """Of an aggregation within others; none where there is no index yet."""
    found = answer.get("aggregations", {})
    for name in names:
        found = found.get(name, {})
    return list(found.get("buckets", []))
