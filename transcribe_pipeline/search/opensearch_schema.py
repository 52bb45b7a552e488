"""What an OpenSearch index of ours looks like: settings, analysers, mapping, and how a recording becomes documents.

What belongs here: the shape of what is stored. What does not: asking (`opensearch_query.py`) and talking to the server
(`opensearch.py`). Whoever changes the mapping or an analyser raises `documents.SCHEMA`; indices are then built anew.

Each passage is one document, each chunk with its vector another, and one document of kind 'media' per recording says
what must be there. Everything is of the server's core: no analysis plugin is needed.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from transcribe_pipeline.search.documents import Chunk, MediaDocument, Passage
from transcribe_pipeline.search.index import MAX_LIMIT, MAX_OFFSET

MEDIA, CHUNK = "media", "chunk"
"""Kinds of our own, beside those of `documents.Kind`."""

STEMMERS: Final = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "lv": "latvian", "nb": "norwegian",
    "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sv": "swedish", "tr": "turkish",
}  # fmt: skip
"""ISO 639-1 -> Lucene's stemmer. Without stop words: they are what people say, and phrases hold them."""

_LANGUAGES: Final = sorted(set(STEMMERS.values()))

# Where words are not separated by spaces, and in Korean, whose particles hang on words, each character is a word: any
# part of a text is then found as a phrase of characters. (Kana's length marks belong to no script of their own.)
_UNSPACED: Final = (
    r"\p{IsHan}\p{IsHiragana}\p{IsKatakana}\p{IsHangul}\p{IsThai}\p{IsLao}\p{IsMyanmar}\p{IsKhmer}"
    r"\u30fc\uff70\uff9e\uff9f"
)
# A word is letters, digits and the marks on them, as in `query_text.is_part_of_word`. Lucene's own tokenizer would keep
# "don't", 'owner:bob' and 'example.com' in one piece, and then nobody finds 'bob'. The first alternative says nothing
# new; it spares most words the slow ones.
_WORDS: Final = (
    r"[a-zA-Z0-9]++(?![\p{L}\p{N}\p{M}])"
    rf"|[{_UNSPACED}&&[^\p{{M}}]]\p{{M}}*"
    rf"|[\p{{L}}\p{{N}}\p{{M}}&&[^{_UNSPACED}]]+"
)
_CHARACTERS: Final = {
    # What `asciifolding` leaves, marks that are characters of their own: on Latin letters, Hebrew and Arabic vowels.
    "marks": ("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670]", ""),
    "yo": ("[\u0451\u0401]", "\u0435"),
    "final_sigma": ("\u03c2", "\u03c3"),
}
"""Name -> what is replaced before words are cut, by what."""


def settings(*, with_vectors: bool) -> dict[str, Any]:
    """Index settings. `with_vectors`: the node has the k-NN plugin."""
    made: dict[str, Any] = {
        "number_of_shards": 1,
        # A node alone is healthy without copies; a cluster keeps one.
        "auto_expand_replicas": "0-1",
        # Every write refreshes by itself before it deletes what it replaces.
        "refresh_interval": "30s",
        "max_result_window": MAX_OFFSET + MAX_LIMIT,
        "analysis": {
            "char_filter": {
                name: {"type": "pattern_replace", "pattern": pattern, "replacement": replacement}
                for name, (pattern, replacement) in _CHARACTERS.items()
            },
            "tokenizer": {"words": {"type": "pattern", "pattern": _WORDS, "group": 0}},
            "filter": {f"stem_{name}": {"type": "stemmer", "language": name} for name in _LANGUAGES},
            "normalizer": {
                "lower": {"type": "custom", "filter": ["lowercase"]},
                "folded": {"type": "custom", "char_filter": ["marks"], "filter": ["lowercase", "asciifolding"]},
            },
            "analyzer": {
                "exact": _analyser("cjk_width", "lowercase", "asciifolding"),
                **{f"stem_{name}": _analyser("lowercase", f"stem_{name}", "asciifolding") for name in _LANGUAGES},
            },
        },
    }
    return made | ({"knn": True} if with_vectors else {})


def _analyser(*filters: str) -> dict[str, Any]:
    return {"type": "custom", "char_filter": list(_CHARACTERS), "tokenizer": "words", "filter": list(filters)}


def mapping() -> dict[str, Any]:
    """Every field; a document with another one is refused. Vectors come with the first of them (`vector_mapping`)."""
    keyword = {"type": "keyword"}
    shown = {"type": "keyword", "index": False, "doc_values": False}
    looked_up = {"type": "keyword", "doc_values": False}
    stems = {stem_field(language): f"stem_{name}" for language, name in STEMMERS.items()}
    return {
        "dynamic": "strict",
        # Only suggestions need them, and never from there.
        "_source": {"excludes": ["words"]},
        "properties": {
            "kind": keyword,
            "partition_key": keyword,
            "owner": keyword,
            "language": keyword,
            "version": looked_up,
            "transcript_id": shown,
            "file_name": shown,
            "added_at": {"type": "date"},
            "seconds": {"type": "double", "doc_values": False},
            # of 'media'
            "file": _name("folded"),
            "digest": keyword,
            "expected": {"type": "integer"},
            # of passages
            "position": {"type": "integer"},
            "start": {"type": "double", "index": False},
            "end": {"type": "double", "index": False},
            "speaker": shown,
            "speaker_name": _name("folded", "lower"),
            "text": {"type": "text", "analyzer": "exact"},
            **{field: {"type": "text", "analyzer": analyser} for field, analyser in stems.items()},
            "words": keyword,
            # of chunks
            "first_segment": {"type": "integer", "index": False},
            "last_segment": {"type": "integer", "index": False},
            "embedding_model": looked_up,
        },
    }


def _name(*normalizers: str) -> dict[str, Any]:
    """A name as shown, and the same normalised for comparisons."""
    made = {name: {"type": "keyword", "normalizer": name, "doc_values": False} for name in normalizers}
    return {"type": "keyword", "fields": made}


def stem_field(language: str) -> str:
    return f"stem_{language}"


def vector_field(dimensions: int) -> str:
    """Vectors of different length live side by side, so that changing the model needs no new index."""
    return f"vector_{dimensions}"


def vector_mapping(dimensions: int) -> dict[str, Any]:
    """Lucene's HNSW: part of the k-NN plugin everywhere, and the one that filters while it searches."""
    method = {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}
    field = {"type": "knn_vector", "dimension": dimensions, "method": method}
    return {"properties": {vector_field(dimensions): field}}


def version(document: MediaDocument) -> str:
    """What tells a recording's current documents from those that they replace."""
    return f"{document.partition_key}:{document.generation}:{document.digest}"


def stored(document: MediaDocument, *, with_vectors: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and source of each document of a recording; that of kind 'media' comes last and vouches for the others."""
    common = {
        "partition_key": document.partition_key,
        "owner": storable(document.owner),
        "language": storable(document.language),
        "version": version(document),
        "transcript_id": document.transcript_id,
        "file_name": storable(document.file_name),
        "added_at": document.added_at.isoformat(),
        "seconds": document.seconds,
    }
    prefix = f"{document.partition_key}:{document.generation}"
    for passage in document.passages:
        kind = "" if passage.kind == "segment" else f"{passage.kind}:"
        yield f"{prefix}:{kind}{passage.position}", common | _passage(passage, document.language)
    for chunk in document.chunks if with_vectors else ():
        yield f"{prefix}:{CHUNK}:{chunk.position}", common | _chunk(chunk, document.embedding_model)
    manifest = {"kind": MEDIA, "digest": document.digest, "expected": len(document.passages)}
    yield f"{document.partition_key}:{MEDIA}", common | manifest | {"file": storable(document.file_name)}


def _passage(passage: Passage, language: str) -> dict[str, Any]:
    text, name = storable(passage.text), storable(passage.speaker_name)
    made: dict[str, Any] = {
        "kind": passage.kind,
        "position": passage.position,
        "start": passage.start,
        "end": passage.end,
        "text": text,
        "words": words(text),
    }
    if passage.speaker is not None:
        made["speaker"] = storable(passage.speaker)
    if name:
        made["speaker_name"] = name
    if language in STEMMERS:
        made[stem_field(language)] = text
    return made


def _chunk(chunk: Chunk, model: str | None) -> dict[str, Any]:
    return {
        "kind": CHUNK,
        "position": chunk.position,
        "first_segment": chunk.first_segment,
        "last_segment": chunk.last_segment,
        "embedding_model": model,
        vector_field(len(chunk.vector)): list(chunk.vector),
    }


_WORD = re.compile(r"[^\W_]+")
_MAX_WORD: Final = 40
"""Longer ones are not suggested: clauses of a script without spaces, or noise."""


def words(text: str) -> list[str]:
    """The different words of a text as they are completed: 'bank', and 'uber über' since both beginnings are typed."""
    found = {word for word in _WORD.findall(text.lower()) if len(word) <= _MAX_WORD}
    return sorted(word if fold(word) == word else f"{fold(word)} {word}" for word in found)


def completed(word: str) -> str:
    """A member of `words` as it is shown."""
    return word.rpartition(" ")[2]


def fold(text: str) -> str:
    """Without case and marks."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def storable(text: str) -> str:
    """JSON is UTF-8, which cannot hold lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")
