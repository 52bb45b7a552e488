# ruff: noqa: S608  # what is put into statements is constants of this module
"""How the embedded index is asked. What any question may see is decided here, in one place: `_VISIBLE`."""

import json
import re
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.search.embedded_match import Clause, Match, most_edits, single_word, stems_of
from transcribe_pipeline.search.embedded_tables import MAX_POSITION, MEDIA_BITS, POSITION_BITS, moment
from transcribe_pipeline.search.index import FileHits, Hit, Query, Results, Scope
from transcribe_pipeline.search.query_text import ParsedQuery
from transcribe_pipeline.search.tokens import fold
from transcribe_pipeline.search.vectors import MIN_SIMILARITY, NEAREST_CHUNKS, fuse
from transcribe_pipeline.text.embeddings import Embedder

MAX_CHUNKS: Final = 20_000
"""Vectors of 384 numbers that one search compares in 0.13 s of processor time; 330 hours of speech."""

_RANKED_HITS: Final = 10_000
"""More hits than this are counted but not ranked against each other: bm25 takes 3 µs for each, counting 0.5 µs. Files
are then ordered by their number of hits."""
_FUSED_HITS: Final = 1000
"""As many of the best hits by words are fused with those by meaning."""
_FACET_VALUES: Final = 20
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")

# The one place where owners are held apart: what people ask reads media and words by these names alone.
_VISIBLE = """
WITH visible AS (SELECT * FROM media WHERE owner IN (SELECT value FROM json_each(:scope))),
visible_word AS (SELECT * FROM word WHERE owner IN (SELECT value FROM json_each(:scope)))
"""

# Speakers whose passages a query may find: `wanted` stands for the scope and all filters in every later statement.
_WANTED = """
INSERT INTO wanted
SELECT speaker.id, visible.id FROM visible JOIN speaker ON speaker.media_id = visible.id
WHERE (:owners IS NULL OR visible.owner IN (SELECT value FROM json_each(:owners)))
AND (:languages IS NULL OR visible.language IN (SELECT value FROM json_each(:languages)))
AND (:files IS NULL OR visible.partition_key IN (SELECT value FROM json_each(:files)))
AND (:since IS NULL OR visible.added_at >= :since)
AND (:until IS NULL OR visible.added_at < :until)
AND (:min_seconds IS NULL OR visible.seconds >= :min_seconds)
AND (:max_seconds IS NULL OR visible.seconds <= :max_seconds)
AND (:speakers IS NULL OR speaker.small_name IN (SELECT value FROM json_each(:speakers)))
AND (:kinds IS NULL OR speaker.kind IN (SELECT value FROM json_each(:kinds)))
"""

_SCRATCH_TABLES = """
CREATE TEMP TABLE wanted (id INTEGER PRIMARY KEY, media_id INTEGER NOT NULL);
CREATE TEMP TABLE found (speaker_id INTEGER NOT NULL, media_id INTEGER NOT NULL, hits INTEGER NOT NULL, best REAL);
CREATE TEMP TABLE fused (id INTEGER PRIMARY KEY, score REAL NOT NULL, is_added INTEGER NOT NULL);
"""


def completions(connection: sqlite3.Connection, prefix: str, scope: Scope, limit: int) -> list[str]:
    """Words, names of speakers and of files that begin so, the most frequent first."""
    folded = fold(prefix)
    if not folded:
        return []
    rows = connection.execute(
        f"""{_VISIBLE}
        SELECT max(shown), sum(passages) AS frequency FROM visible_word
        WHERE word >= :first AND word < :after GROUP BY word
        UNION ALL
        SELECT speaker.name, sum(speaker.passages) FROM visible JOIN speaker ON speaker.media_id = visible.id
        WHERE speaker.folded_name >= :first AND speaker.folded_name < :after GROUP BY speaker.name
        UNION ALL
        SELECT file_name, count(*) FROM visible
        WHERE folded_name >= :first AND folded_name < :after GROUP BY file_name
        ORDER BY frequency DESC, 1 LIMIT :limit""",
        {
            "scope": _owners(connection, scope),
            "first": folded,
            "after": folded + chr(0x10FFFF),
            "limit": limit,
        },
    )
    return list(dict.fromkeys(shown for shown, _ in rows))


def _listed(values: Iterable[str]) -> str:
    """As json_each takes them. SQLite ends its JSON texts at NUL, so a value with one would pass for a shorter one."""
    return json.dumps([value for value in values if not _UNSTORABLE.search(value)])


def _owners(connection: sqlite3.Connection, scope: Scope) -> str:
    if scope.owners is not None:
        return _listed(scope.owners)
    return _listed(owner for (owner,) in connection.execute("SELECT DISTINCT owner FROM media"))


def _wishes(query: Query) -> dict[str, str | float | None]:
    def listed(values: Iterable[str]) -> str | None:
        return _listed(values) if values else None

    return {
        "owners": listed(query.owners),
        "languages": listed(query.languages),
        "files": listed(query.files),
        "kinds": listed(query.kinds),
        "speakers": listed(name.casefold() for name in query.speakers) if query.speakers else None,
        "since": moment(query.since) if query.since else None,
        "until": moment(query.until) if query.until else None,
        "min_seconds": query.min_seconds,
        "max_seconds": query.max_seconds,
    }


class Search:
    """One question, from a connection that reads one moment."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        query: Query,
        parsed: ParsedQuery,
        scope: Scope,
        embedder: Embedder | None,
    ) -> None:
        self._connection = connection
        self._query = query
        self._parsed = parsed
        self._embedder = embedder
        self._scope = {"scope": _owners(connection, scope)}
        self._notes: list[str] = []
        self._vocabulary: dict[int, dict[str, int]] = {}
        for statement in _SCRATCH_TABLES.split(";"):
            connection.execute(statement)  # executescript would end the transaction
        connection.execute(_VISIBLE + _WANTED, self._scope | _wishes(query))
        self._match = Match.of(parsed, languages=self._languages(), nearest=self._nearest, fuzzy=query.fuzzy)

    def results(self) -> Results:
        self._is_ranked = self._find_words()
        self._find_meaning()
        total_files, total_hits = self._total()
        return Results(
            files=self._page(),
            total_files=total_files,
            total_hits=total_hits,
            facets=self._facets(),
            suggestion=self._suggestion(),
            notes=tuple(self._notes),
        )

    def _languages(self) -> list[str]:
        rows = self._connection.execute(f"{_VISIBLE} SELECT DISTINCT language FROM visible", self._scope)
        return [language for (language,) in rows]

    # --- words ---

    def _find_words(self) -> bool:
        """Fill `found`. True if there are words to rank the hits by, and not too many hits."""
        if not self._match.required:
            self._connection.execute(
                "INSERT INTO found SELECT id, wanted.media_id, passages, NULL FROM wanted JOIN speaker USING (id)"
            )
            return False
        self._count("NULL")
        if self._total()[1] > _RANKED_HITS:
            return False
        self._connection.execute("DELETE FROM found")
        self._count("min(rank)")
        return True

    def _count(self, best: str) -> None:
        self._connection.execute(
            f"INSERT INTO found SELECT rowid >> {POSITION_BITS}, rowid >> {MEDIA_BITS}, count(*), {best}"
            f" FROM passage WHERE passage MATCH ? AND rowid >> {POSITION_BITS} IN (SELECT id FROM wanted)"
            f" GROUP BY rowid >> {POSITION_BITS}",
            (self._match.expression,),
        )

    def _total(self) -> tuple[int, int]:
        """Files, hits."""
        files, hits = self._connection.execute("SELECT count(DISTINCT media_id), total(hits) FROM found").fetchone()
        return files, int(hits)

    # --- meaning ---

    def _find_meaning(self) -> None:
        """Add what is near in meaning to `found`, and fill `fused` with the scores of both rankings."""
        if not self._query.semantic or not self._match.required:
            return
        if not self._embedder:
            self._notes.append("Only words were searched: no embedding model is loaded.")
            return
        try:
            by_meaning = self._nearest_passages(self._embedder)
        except PipelineError as error:
            self._notes.append(f"Only words were searched. {error.sentence}")
            return
        by_words = self._best_by_words()
        added = {rowid for rowid, has_words in by_meaning.items() if not has_words}
        self._connection.executemany(
            "INSERT INTO fused VALUES (?, ?, ?)",
            ((rowid, score, rowid in added) for rowid, score in fuse(by_words, list(by_meaning)).items()),
        )
        self._connection.executemany(
            "INSERT INTO found VALUES (?, ?, 1, NULL)",
            ((rowid >> POSITION_BITS, rowid >> MEDIA_BITS) for rowid in added),
        )

    def _best_by_words(self) -> list[int]:
        if not self._is_ranked:
            return []
        rows = self._connection.execute(
            f"SELECT rowid FROM passage WHERE passage MATCH ? AND rowid >> {POSITION_BITS} IN (SELECT id FROM wanted)"
            " ORDER BY rank, rowid LIMIT ?",
            (self._match.expression, _FUSED_HITS),
        )
        return [rowid for (rowid,) in rows]

    def _nearest_passages(self, embedder: Embedder) -> dict[int, bool]:
        """The nearest chunks' passages -> do the words find them too? Of a chunk those that they do, or its first."""
        nearest: dict[int, bool] = {}
        for media, first, last in self._nearest_chunks(embedder):
            passages = self._connection.execute(
                f"SELECT passage.rowid, text, language FROM wanted JOIN speaker USING (id) JOIN media"
                f" ON media.id = wanted.media_id CROSS JOIN passage ON passage.rowid"
                f" BETWEEN (wanted.id << {POSITION_BITS}) + ? AND (wanted.id << {POSITION_BITS}) + ?"
                f" WHERE wanted.media_id = ? AND kind = 'segment' ORDER BY passage.rowid & {MAX_POSITION}",
                (first, last, media),
            ).fetchall()
            allowed = [row for row in passages if not self._match.excludes(*row[1:])]
            found = [rowid for rowid, *said in allowed if self._match.finds(*said)]
            nearest |= dict.fromkeys(found, True) if found else {rowid: False for rowid, *_ in allowed[:1]}
        return nearest

    def _nearest_chunks(self, embedder: Embedder) -> list[tuple[int, int, int]]:
        """(media, first segment, last segment), the nearest first."""
        import numpy as np

        self._note_files_without_vectors(embedder)
        files = self._files_to_compare(embedder)
        if not files:
            return []
        read = [
            self._connection.execute("SELECT segments, vectors FROM chunks WHERE media_id = ?", (media,)).fetchone()
            for media in files
        ]
        media = np.repeat(list(files), list(files.values()))
        segments = np.frombuffer(b"".join(row[0] for row in read), dtype="<i4").reshape(-1, 2)
        vectors = np.frombuffer(b"".join(row[1] for row in read), dtype="<f4").reshape(len(media), -1)
        wish = " ".join(term.text for term in self._parsed.required)
        similarities = vectors @ embedder.embed([wish])[0]
        order = np.argsort(-similarities, kind="stable")[:NEAREST_CHUNKS]
        return [
            (int(media[i]), int(segments[i][0]), int(segments[i][1]))
            for i in order
            if similarities[i] >= MIN_SIMILARITY
        ]

    def _files_to_compare(self, embedder: Embedder) -> dict[int, int]:
        """Media id -> number of chunks, the newest first, up to MAX_CHUNKS together."""
        rows = self._connection.execute(
            "SELECT media_id, number FROM chunks JOIN media ON media.id = media_id"
            " WHERE embedding_model = ? AND media_id IN (SELECT media_id FROM wanted) ORDER BY added_at DESC, media_id",
            (embedder.name,),
        ).fetchall()
        files: dict[int, int] = {}
        room = MAX_CHUNKS
        for media, number in rows:
            room -= number
            if room < 0:
                self._notes.append(f"Files compared by meaning: only the newest {len(files):,} of {len(rows):,}.")
                break
            files[media] = number
        return files

    def _note_files_without_vectors(self, embedder: Embedder) -> None:
        files, without = self._connection.execute(
            "SELECT count(*), total(embedding_model IS NOT ?) FROM media"
            " WHERE expected > 0 AND id IN (SELECT media_id FROM wanted)",
            (embedder.name,),
        ).fetchone()
        if without:
            self._notes.append(f"{int(without)} of {files} files have no vectors of {embedder.name}.")

    # --- what is shown ---

    def _page(self) -> tuple[FileHits, ...]:
        media = self._media_on_page()
        hits = self._hits(media)
        rows = self._connection.execute(
            "SELECT media.id, partition_key, owner, file_name, transcript_id, language, added_at, seconds, sum(hits)"
            " FROM found JOIN media ON media.id = media_id WHERE media_id IN (SELECT value FROM json_each(?))"
            " GROUP BY media_id",
            (json.dumps(media),),
        )
        files = {
            id_: FileHits(key, owner, name, transcript_id, language, datetime.fromisoformat(added), seconds, total,
                          tuple(hits[id_]))
            for id_, key, owner, name, transcript_id, language, added, seconds, total in rows
        }  # fmt: skip
        return tuple(files[id_] for id_ in media)

    def _media_on_page(self) -> list[int]:
        order = "min(best)" if self._is_ranked else "-sum(hits)" if self._match.required else "NULL"
        rows = self._connection.execute(
            f"SELECT media_id FROM found JOIN media ON media.id = media_id"
            f" LEFT JOIN (SELECT id >> {MEDIA_BITS} AS fused_media, max(score) AS score FROM fused GROUP BY 1)"
            f" ON fused_media = media_id GROUP BY media_id"
            f" ORDER BY max(score) DESC NULLS LAST, {order}, added_at DESC, partition_key LIMIT ? OFFSET ?",
            (self._query.limit, self._query.offset),
        )
        return [media for (media,) in rows]

    def _hits(self, media: list[int]) -> dict[int, list[Hit]]:
        """Media id -> its best hits."""
        # CROSS: SQLite would rather look at every passage than take the few found to where they are.
        rows = self._connection.execute(
            f"""WITH hit AS ({self._hits_of_media()} UNION ALL SELECT id, 0.0 FROM fused
                WHERE is_added AND id >> {MEDIA_BITS} IN (SELECT value FROM json_each(:media))),
            scored AS (
                SELECT hit.id, CASE WHEN :is_fused THEN coalesce(score, 0.0) ELSE 0.0 - hit.rank END AS score,
                coalesce(is_added, 0) AS is_added,
                row_number() OVER (
                    PARTITION BY hit.id >> {MEDIA_BITS}
                    ORDER BY score DESC NULLS LAST, hit.rank, hit.id & {MAX_POSITION}, hit.id
                ) AS place
                FROM hit LEFT JOIN fused ON fused.id = hit.id
            )
            SELECT scored.id, score, is_added, kind, label, name, text, start, "end", language
            FROM scored CROSS JOIN passage ON passage.rowid = scored.id
            JOIN speaker ON speaker.id = scored.id >> {POSITION_BITS} JOIN media ON media.id = media_id
            WHERE place <= :hits ORDER BY place""",
            {
                "expression": self._match.expression,
                "media": json.dumps(media),
                "hits": self._query.hits_per_file,
                "is_fused": self._is_fused(),
            },
        )
        hits: dict[int, list[Hit]] = {id_: [] for id_ in media}
        for rowid, score, by_meaning, kind, label, name, text, start, end, language in rows:
            pieces = self._match.pieces(text, language)
            hits[rowid >> MEDIA_BITS].append(
                Hit(kind, rowid & MAX_POSITION, start, end, label, name, pieces, score, bool(by_meaning))
            )
        return hits

    def _is_fused(self) -> bool:
        return bool(self._connection.execute("SELECT EXISTS (SELECT 1 FROM fused)").fetchone()[0])

    def _hits_of_media(self) -> str:
        """Statement: (id, rank) of what the words find in :media."""
        if self._match.required:
            return (
                f"SELECT rowid AS id, {'rank' if self._is_ranked else '0.0'} AS rank FROM passage"
                f" WHERE passage MATCH :expression AND rowid >> {MEDIA_BITS} IN (SELECT value FROM json_each(:media))"
                f" AND rowid >> {POSITION_BITS} IN (SELECT id FROM wanted)"
            )
        return (
            f"SELECT passage.rowid AS id, 0.0 AS rank FROM wanted CROSS JOIN passage ON passage.rowid"
            f" BETWEEN wanted.id << {POSITION_BITS} AND (wanted.id << {POSITION_BITS}) + {MAX_POSITION}"
            f" WHERE media_id IN (SELECT value FROM json_each(:media))"
        )

    def _facets(self) -> dict[str, dict[str, int]]:
        facets = {}
        for facet, column in {"owner": "owner", "speaker": "name", "language": "language"}.items():
            rows = self._connection.execute(
                f"SELECT {column}, sum(hits) AS hits FROM found JOIN speaker ON speaker.id = speaker_id"
                f" JOIN media ON media.id = found.media_id WHERE {column} != '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?",
                (_FACET_VALUES,),
            )
            facets[facet] = dict(rows.fetchall())
        return facets

    # --- spelling ---

    def _nearest(self, word: str) -> list[str]:
        """Words of the scope that differ little, the nearest first and of those the most frequent."""
        edits = most_edits(word)
        candidates: dict[str, int] = {}
        for letters in range(len(word) - edits, len(word) + edits + 1):
            candidates |= self._words(letters)
        found = process.extract(
            word, list(candidates), scorer=OSA.distance, processor=None, score_cutoff=edits, limit=None
        )
        return [near for near, _, _ in sorted(found, key=lambda near: (near[1], -candidates[near[0]], near[0]))]

    def _words(self, letters: int) -> dict[str, int]:
        """Words of that length in the scope -> number of passages."""
        if letters not in self._vocabulary:
            rows = self._connection.execute(
                f"{_VISIBLE} SELECT word, sum(passages) FROM visible_word WHERE letters = :letters GROUP BY word",
                self._scope | {"letters": letters},
            )
            self._vocabulary[letters] = dict(rows.fetchall())
        return self._vocabulary[letters]

    def _suggestion(self) -> str | None:
        suggested = self._parsed.with_words(self._better)
        return str(suggested) if suggested != self._parsed else None

    def _better(self, text: str) -> str:
        word = single_word(text)
        if word is None or self._is_known(word, text):
            return text
        nearest = self._nearest(word)
        return (self._shown(nearest[0]) if nearest else None) or text

    def _is_known(self, word: str, text: str) -> bool:
        if self._shown(word):
            return True
        stems = Clause(((word,),), stems_of(text, self._languages())).expression
        found = self._connection.execute(
            f"SELECT 1 FROM passage WHERE passage MATCH ? AND rowid >> {POSITION_BITS} IN (SELECT id FROM wanted)"
            " LIMIT 1",
            (stems,),
        ).fetchone()
        return found is not None

    def _shown(self, word: str) -> str | None:
        """The word as the scope's recordings have it; None if they do not."""
        row = self._connection.execute(
            f"{_VISIBLE} SELECT shown FROM visible_word WHERE word = :word ORDER BY passages DESC LIMIT 1",
            self._scope | {"word": word},
        ).fetchone()
        return row and str(row[0])
