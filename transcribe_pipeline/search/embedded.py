"""The embedded index: SQLite FTS5 in a file of its own, for one machine and up to about 200,000 segments.

What belongs here: the file and its connections. What does not: what is in it (`embedded_tables.py`), how it is asked
(`embedded_search.py`), how text is cut (`tokens.py`) and what a query looks like to FTS5 (`embedded_match.py`).
"""

import fcntl
import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search.documents import SCHEMA, MediaDocument
from transcribe_pipeline.search.embedded_search import Search, completions
from transcribe_pipeline.search.embedded_tables import LAYOUT, MEDIA_BITS, TABLES, insert, remove
from transcribe_pipeline.search.index import IndexedMedia, IndexStatus, Query, Results, Scope, SearchIndex
from transcribe_pipeline.search.query_text import parse
from transcribe_pipeline.text.embeddings import Embedder

_VERSION: Final = SCHEMA * 1000 + LAYOUT
_BUSY_SECONDS: Final = 30.0
_CACHE_KIB: Final = 64 * 1024
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_log = logging.getLogger(__name__)


class _Unusable(Exception):
    """The file is not an index of this program. The message says why."""


class EmbeddedIndex(SearchIndex):
    """Any number of processes may search and index at once. A file that is damaged, or was made by an older program, is
    put aside as `<name>.old`: the index is then empty, and whoever compares it with the ledger fills it again."""

    def __init__(self, path: Path, embedder: Embedder | None = None) -> None:
        """:param path: of the database; made on first use, with its folder.
        :param embedder: for search by meaning; its vectors are compared with those of documents of the same model.
        """
        self._path = path
        self._embedder = embedder

    # --- what is held ---

    def put(self, document: MediaDocument) -> None:
        with self._changing() as connection:
            remove(connection, document.partition_key)
            insert(connection, document)

    def remove(self, partition_keys: Sequence[str]) -> None:
        with self._changing() as connection:
            for key in partition_keys:
                remove(connection, key)

    def scrub(self) -> None:
        with self._open() as connection:
            # FTS5 only notes what is deleted; merging its lists drops it. VACUUM then leaves the free pages behind.
            connection.execute("INSERT INTO passage (passage) VALUES ('optimize')")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._aside.unlink(missing_ok=True)

    def held(self) -> Iterator[IndexedMedia]:
        with self._reading() as connection:
            counted = Counter[int]()
            for (rowid,) in connection.execute("SELECT rowid FROM passage"):
                counted[rowid >> MEDIA_BITS] += 1
            rows = connection.execute("SELECT id, partition_key, digest, expected FROM media ORDER BY partition_key")
            media = [IndexedMedia(key, digest, expected, counted[id_]) for id_, key, digest, expected in rows]
        yield from media

    def status(self) -> IndexStatus:
        with self._reading() as connection:
            media, passages, vectors = connection.execute(
                "SELECT (SELECT count(*) FROM media), (SELECT total(passages) FROM speaker),"
                " (SELECT total(number) FROM chunks)"
            ).fetchone()
            pages, page_bytes = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
            )
        details = {"SQLite": sqlite3.sqlite_version}
        if self._aside.exists():
            details["put aside"] = f"{self._aside}: damaged, or of an older program; it can be deleted"
        return IndexStatus(
            backend="SQLite FTS5",
            location=str(self._path),
            media=media,
            passages=int(passages),
            vectors=int(vectors),
            size_bytes=pages * page_bytes,
            semantic="" if self._embedder else "no embedding model is loaded",
            details=details,
        )

    # --- what is asked ---

    def _search(self, query: Query, scope: Scope) -> Results:
        parsed = parse(query.text)
        with self._reading() as connection:
            return Search(connection, query, parsed, scope, self._embedder).results()

    def _suggest(self, prefix: str, scope: Scope, limit: int) -> list[str]:
        with self._reading() as connection:
            return completions(connection, prefix, scope, limit)

    # --- the file ---

    @property
    def _aside(self) -> Path:
        return self._path.with_name(f"{self._path.name}.old")

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; one process at a time."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Everything that is read is of one moment."""
        with self._open() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for each call: threads, forks and a file put aside then need no thought."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._file_id()
            try:
                connection = self._connect()
            except _Unusable as unusable:
                self._put_aside(file, str(unusable))
                file = self._file_id()
                connection = self._connect()
            with closing(connection):
                yield connection
        except _Unusable as unusable:
            raise PipelineError(ErrorCode.SEARCH_UNAVAILABLE, f"{self._path.name}: {unusable}") from unusable
        except sqlite3.Error as error:
            if _is_damage(error):
                self._put_aside(file, "it is damaged")
            raise _known(error, self._path) from error
        except OSError as error:
            raise PipelineError(ErrorCode.SEARCH_UNAVAILABLE, f"{self._path.name}: {error.strerror}") from error

    def _connect(self) -> sqlite3.Connection:
        """Raises _Unusable."""
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            version = _version(connection) or _make_tables(connection)
            if version > _VERSION:
                raise PipelineError(ErrorCode.SEARCH_UNAVAILABLE, f"{self._path.name} was made by a newer program")
            if version < _VERSION:
                raise _Unusable("an older program made it")
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.DatabaseError) and _is_damage(error):
                raise _Unusable("it is damaged") from error
            raise
        return connection

    def _file_id(self) -> int | None:
        """Tells one file of that name from the next; None where there is none."""
        return self._path.stat().st_ino if self._path.exists() else None

    def _put_aside(self, file: int | None, reason: str) -> None:
        """Move that file away, unless another process has done so and there is a new one."""
        with self._path.with_name(f"{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if file is None or self._file_id() != file:
                return
            # What was not yet written into the old file must never be applied to the new one.
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._path.replace(self._aside)
        _log.warning("The search index was put aside as %s and begins anew: %s.", self._aside, reason)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _make_tables(connection: sqlite3.Connection) -> int:
    """The version that the file then has; another process may have been faster."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    if not _version(connection):
        for statement in TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")
    return _version(connection)


def _is_damage(error: sqlite3.Error) -> bool:
    return _code(error) in _DAMAGED


def _known(error: sqlite3.Error, path: Path) -> Exception:
    if _code(error) == sqlite3.SQLITE_FULL:
        return PipelineError(ErrorCode.DISK_FULL, path.name)
    if _code(error) in (None, sqlite3.SQLITE_ERROR):  # a statement of ours is wrong: no state of the file
        return error
    return PipelineError(ErrorCode.SEARCH_UNAVAILABLE, f"{path.name}: {error}")


def _code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; the higher bits say where it happened."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
