"""A question as OpenSearch's query DSL, and an answer's text with its marks.

What belongs here: pure functions from `Query`, `Scope` and parsed text to JSON. What does not: talking to the server.
User input only ever becomes a value: never a field's name, a script or the text of a query language (`query_string`).
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, get_args

from transcribe_pipeline.search.documents import Kind
from transcribe_pipeline.search.index import Piece, Query, Scope
from transcribe_pipeline.search.opensearch_schema import stem_field
from transcribe_pipeline.search.query_text import ParsedQuery, Term
from transcribe_pipeline.text.words import joins

Clause = dict[str, Any]

KINDS: Final = get_args(Kind)
"""Of what people look for; an index holds others for its own use."""
_NOTHING: Final[Clause] = {"match_none": {}}
# What is exactly so comes before another form of the word, and that before what is only similar.
_EXACT_BOOST, _SIMILAR_BOOST = 2.0, 0.3
_FUZZINESS: Final = "AUTO:3,6"
"""`Query.fuzzy`: one letter in words of 3 to 5, two in longer ones."""
# Similar words are looked for in everybody's vocabulary before the scope applies; with the default of 50, the words of
# others could displace the owner's.
_MAX_EXPANSIONS: Final = 200
_MARK, _END = "\x02", "\x03"
"""Control characters: `export.script.clean` leaves none in a passage."""
_WORD = re.compile(r"[^\W_]+")


def within(scope: Scope, query: Clause, *filters: Clause) -> Clause:
    """`query` with `filters` among what may be seen. Everything that is asked passes here: this is the isolation."""
    return filtered(query, [*_owned(scope), *filters])


def filtered(query: Clause, filters: Sequence[Clause]) -> Clause:
    return {"bool": {"must": [query], "filter": list(filters)}}


def _owned(scope: Scope) -> list[Clause]:
    return [] if scope.owners is None else [any_of("owner", scope.owners)]


def any_of(field: str, values: Iterable[str]) -> Clause:
    """Exactly one of `values`. What UTF-8 cannot hold is in no index."""
    sendable = sorted(value for value in values if _is_utf8(value))
    return {"terms": {field: sendable}} if sendable else _NOTHING


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def media_filters(query: Query) -> list[Clause]:
    """Those that hold for all of a recording or none of it."""
    wishes = {"owner": query.owners, "language": query.languages, "partition_key": query.files}
    made = [any_of(field, values) for field, values in wishes.items() if values]
    added = _range(gte=query.since and query.since.isoformat(), lt=query.until and query.until.isoformat())
    length = _range(gte=query.min_seconds, lte=query.max_seconds)
    made += [{"range": {"added_at": added}}] if added else []
    made += [{"range": {"seconds": length}}] if length else []
    return made


def passage_filters(query: Query, excluded: Sequence[Term] = ()) -> list[Clause]:
    """All filters of a query on passages, with the words that must not be there."""
    made = [*media_filters(query), any_of("kind", query.kinds or KINDS)]
    if query.speakers:
        made.append(any_of("speaker_name.lower", query.speakers))
    if excluded:
        made.append({"bool": {"must_not": [_exactly(term) for term in excluded]}})
    return made


def _range(**bounds: object) -> dict[str, object]:
    return {name: bound for name, bound in bounds.items() if bound is not None}


def all_terms(parsed: ParsedQuery, *, fuzzy: bool) -> Clause:
    """What is required of a passage's text."""
    if not parsed.required:
        return {"match_all": {}}
    return {"bool": {"must": [one_term(term, fuzzy=fuzzy) for term in parsed.required]}}


def one_term(term: Term, *, fuzzy: bool) -> Clause:
    match term.kind:
        case "phrase" | "prefix":
            return _exactly(term)
        case "fuzzy":
            return _best(_exactly(term), similar(term.text))
        case "word":
            stems = {"query": term.text, "type": "phrase", "fields": [stem_field("*")]}
            alternatives = [_exactly(term), {"multi_match": stems}]
            return _best(*alternatives, *([similar(term.text)] if fuzzy else []))


def _best(*alternatives: Clause) -> Clause:
    return {"dis_max": {"queries": list(alternatives)}}


def _exactly(term: Term) -> Clause:
    if term.kind != "prefix":
        return {"match_phrase": {"text": {"query": term.text, "boost": _EXACT_BOOST}}}
    if _is_one_token(term.text):
        # Unlike `match_phrase_prefix`, this takes every word that begins so and not only the first 50 of the alphabet.
        return {"match_bool_prefix": {"text": {"query": term.text, "operator": "and"}}}
    return {"match_phrase_prefix": {"text": {"query": term.text, "max_expansions": 1000}}}


def _is_one_token(text: str) -> bool:
    return len(_WORD.findall(text)) == 1 and all(joins(character, character) for character in text)


def similar(text: str) -> Clause:
    how = {"query": text, "fuzziness": _FUZZINESS, "max_expansions": _MAX_EXPANSIONS}
    return {"match": {"text": how | {"operator": "and", "boost": _SIMILAR_BOOST}}}


def highlight(fields: Sequence[str] = ("text", stem_field("*")), query: Clause | None = None) -> Clause:
    """Marks in the whole text, of `query` or else of the one that is asked. Read them with `pieces`."""
    made: Clause = {
        "fields": {field: {} for field in fields},
        "number_of_fragments": 0,
        "pre_tags": [_MARK],
        "post_tags": [_END],
        "max_analyzer_offset": 500_000,
    }
    return made | ({"highlight_query": query} if query else {})


def pieces(text: str, highlights: Iterable[Sequence[str]]) -> tuple[Piece, ...]:
    """`text` cut where a match begins or ends, by the marks that each of the analysed fields has set."""
    is_match = bytearray(len(text))
    for (marked,) in highlights:
        if marked.replace(_MARK, "").replace(_END, "") != text:
            continue  # of a text with such characters of its own
        position = 0
        for stretch in marked.split(_MARK):
            inside, end, after = stretch.rpartition(_END)
            length = len(inside) if end else 0
            is_match[position : position + length] = b"\x01" * length
            position += length + len(after)
    cuts = [0, *(i for i in range(1, len(text)) if is_match[i] != is_match[i - 1]), len(text)]
    return tuple(Piece(text[start:end], bool(is_match[start])) for start, end in pairwise(cuts) if end > start)
