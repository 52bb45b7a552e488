# ruff: noqa: S608  # what is put into statements is constants of this module
"""What the embedded index holds: its tables, and how a document goes into them and out again.

A passage's rowid says where it belongs, so that hits are counted and filtered by FTS5's own lists alone:
media id * 2^36 + number of the speaker in the file * 2^20 + position. The table `speaker` has a row for each speaker of
each file; its id is the rowid of the speaker's passages without the position.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.search.documents import Chunk, Kind, MediaDocument
from transcribe_pipeline.search.embedded_match import stem_token
from transcribe_pipeline.search.tokens import fold, is_word, tokens

LAYOUT: Final = 1
"""Raised when the tables or the tokens change; what is older is indexed again."""

POSITION_BITS: Final = 20
_SPEAKER_BITS: Final = 16
MEDIA_BITS: Final = _SPEAKER_BITS + POSITION_BITS
MAX_POSITION: Final = (1 << POSITION_BITS) - 1

# `words` and `stems` are tokens with spaces between them (a stem with its language: 'de_haus'); `shown` is a word as it
# was said; a speaker's `passages` are of one kind; `segments` are pairs of int32, `vectors` rows of float32.
TABLES = """
CREATE TABLE media (
    id INTEGER PRIMARY KEY, partition_key TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, file_name TEXT NOT NULL,
    folded_name TEXT NOT NULL, transcript_id TEXT NOT NULL, language TEXT NOT NULL, added_at TEXT NOT NULL,
    seconds REAL NOT NULL, digest TEXT NOT NULL, expected INTEGER NOT NULL, embedding_model TEXT
);
CREATE INDEX media_owner ON media (owner);
CREATE TABLE speaker (
    id INTEGER PRIMARY KEY, media_id INTEGER NOT NULL, kind TEXT NOT NULL, label TEXT, name TEXT NOT NULL,
    small_name TEXT NOT NULL, folded_name TEXT NOT NULL, passages INTEGER NOT NULL
);
CREATE INDEX speaker_media ON speaker (media_id);
CREATE VIRTUAL TABLE passage USING fts5 (
    words, stems, text UNINDEXED, start UNINDEXED, "end" UNINDEXED, tokenize = "ascii tokenchars '_'"
);
INSERT INTO passage (passage, rank) VALUES ('rank', 'bm25(10.0, 1.0)');
CREATE TABLE word (
    owner TEXT NOT NULL, word TEXT NOT NULL, letters INTEGER NOT NULL, shown TEXT NOT NULL, passages INTEGER NOT NULL,
    PRIMARY KEY (owner, word)
) WITHOUT ROWID;
CREATE INDEX word_letters ON word (owner, letters, word, passages);
CREATE TABLE chunks (
    media_id INTEGER PRIMARY KEY, number INTEGER NOT NULL, segments BLOB NOT NULL, vectors BLOB NOT NULL
);
"""


def remove(connection: sqlite3.Connection, partition_key: str) -> None:
    """Nothing of that file is left. Within the caller's transaction."""
    found = connection.execute("SELECT id, owner FROM media WHERE partition_key = ?", (partition_key,)).fetchone()
    if not found:
        return
    media, owner = found
    passages = (media << MEDIA_BITS, ((media + 1) << MEDIA_BITS) - 1)
    rows = connection.execute("SELECT words FROM passage WHERE rowid BETWEEN ? AND ?", passages)
    said = Counter(word for (words,) in rows for word in set(words.split()) if is_word(word))
    connection.executemany(
        "UPDATE word SET passages = passages - ? WHERE owner = ? AND word = ?",
        ((count, owner, word) for word, count in said.items()),
    )
    connection.executemany(
        "DELETE FROM word WHERE owner = ? AND word = ? AND passages <= 0", ((owner, word) for word in said)
    )
    connection.execute("DELETE FROM passage WHERE rowid BETWEEN ? AND ?", passages)
    for table in ("chunks", "speaker"):
        connection.execute(f"DELETE FROM {table} WHERE media_id = ?", (media,))
    connection.execute("DELETE FROM media WHERE id = ?", (media,))


def insert(connection: sqlite3.Connection, document: MediaDocument) -> None:
    """A document of which nothing is held. Within the caller's transaction."""
    media = connection.execute(
        "INSERT INTO media (partition_key, owner, file_name, folded_name, transcript_id, language, added_at, seconds,"
        " digest, expected, embedding_model) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            document.partition_key,
            document.owner,
            clean(document.file_name),
            fold(clean(document.file_name)),
            document.transcript_id,
            document.language,
            moment(document.added_at),
            document.seconds,
            document.digest,
            len(document.passages),
            document.embedding_model,
        ),
    ).lastrowid
    assert media is not None
    _insert_passages(connection, media, document)
    if document.chunks:
        _insert_chunks(connection, media, document.chunks)


def _insert_chunks(connection: sqlite3.Connection, media: int, chunks: Sequence[Chunk]) -> None:
    """A file's vectors in one row: reading them is most of the work of comparing them."""
    import numpy as np

    segments = np.array([(chunk.first_segment, chunk.last_segment) for chunk in chunks], dtype="<i4")
    vectors = np.array([chunk.vector for chunk in chunks], dtype="<f4")
    connection.execute(
        "INSERT INTO chunks VALUES (?, ?, ?, ?)", (media, len(chunks), segments.tobytes(), vectors.tobytes())
    )


def _insert_passages(connection: sqlite3.Connection, media: int, document: MediaDocument) -> None:
    speakers: dict[tuple[Kind, str | None, str], int] = {}
    passages = Counter[int]()
    vocabulary = Counter[str]()
    shown: dict[str, str] = {}
    rows: list[tuple[int, str, str, str, float, float]] = []
    for passage in document.passages:
        who = (passage.kind, passage.speaker, passage.speaker_name)
        speaker = speakers.setdefault(who, (media << _SPEAKER_BITS) + len(speakers))
        passages[speaker] += 1
        cut = tokens(passage.text)
        forms = {token.text: passage.text[token.start : token.end] for token in cut if is_word(token.text)}
        vocabulary.update(forms.keys())
        for word, form in forms.items():
            if word not in shown or form.islower():  # words that begin a sentence are shown as they are within one
                shown[word] = form
        stems = (stem_token(form.casefold(), document.language) for form in forms.values())
        rows.append(
            (
                _rowid(speaker, passage.position),
                " ".join(token.text for token in cut),
                " ".join(filter(None, stems)),
                passage.text,
                passage.start,
                passage.end,
            )
        )
    if len(speakers) > 1 << _SPEAKER_BITS:
        raise PipelineError(ErrorCode.INTERNAL, f"{len(speakers):,} speakers in one file")
    connection.executemany(
        'INSERT INTO passage (rowid, words, stems, text, start, "end") VALUES (?, ?, ?, ?, ?, ?)', sorted(rows)
    )
    connection.executemany(
        "INSERT INTO speaker VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (id_, media, kind, label, name, name.casefold(), fold(name), passages[id_])
            for (kind, label, name), id_ in speakers.items()
        ),
    )
    connection.executemany(
        "INSERT INTO word VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET passages = passages + excluded.passages",
        ((document.owner, word, len(word), shown[word], count) for word, count in vocabulary.items()),
    )


def _rowid(speaker: int, position: int) -> int:
    if not 0 <= position <= MAX_POSITION:
        raise PipelineError(ErrorCode.INTERNAL, f"segment {position:,} of one file")
    return (speaker << POSITION_BITS) + position


def moment(time: datetime) -> str:
    """UTC, so written that texts sort as times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")
