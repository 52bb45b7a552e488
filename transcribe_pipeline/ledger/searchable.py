"""What a search index should hold, by the ledger: the current transcript of every file, the names shown in it, and the
versions of its insights."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, Engine, select

from transcribe_pipeline.artifacts import InsightStage
from transcribe_pipeline.ledger.database import read
from transcribe_pipeline.ledger.insights import versions_of
from transcribe_pipeline.ledger.models import MediaFile, SpeakerIdentity

_PAGE = 500


@dataclass(frozen=True)
class Searchable:
    """A file with a transcript, and all that decides whether an index is up to date with it."""

    partition_key: str
    owner: str
    file_name: str
    transcript_id: str
    names: dict[str, str]
    """Label -> name, of the speakers that have one."""
    insights: dict[InsightStage, int]
    """Stage -> version that people see, of those that there are."""


def all_files(engine: Engine) -> Iterator[Searchable]:
    """By partition key in order, a page of rows in memory at a time."""
    page = _read(engine, "")
    while page:
        yield from page
        page = _read(engine, page[-1].partition_key)


def _read(engine: Engine, after: str) -> list[Searchable]:
    return read(engine, lambda connection: _page(connection, after))


def _page(connection: Connection, after: str) -> list[Searchable]:
    # Both databases, Python and the indices must agree on the order: by bytes, not as a language sorts.
    key = MediaFile.partition_key.collate("C" if connection.dialect.name == "postgresql" else "BINARY")
    files = (
        select(MediaFile.partition_key, MediaFile.owner, MediaFile.file_name, MediaFile.current_transcript_id)
        .where(key > after, MediaFile.current_transcript_id.is_not(None))
        .order_by(key)
        .limit(_PAGE)
    )
    rows = connection.execute(files).all()
    transcript_ids = [row.current_transcript_id for row in rows]
    names = _names(connection, transcript_ids)
    versions = versions_of(connection, transcript_ids)
    return [
        Searchable(
            row.partition_key,
            row.owner,
            row.file_name,
            row.current_transcript_id,
            names.get(row.current_transcript_id, {}),
            versions.get(row.current_transcript_id, {}),
        )
        for row in rows
    ]


def _names(connection: Connection, transcript_ids: list[str]) -> dict[str, dict[str, str]]:
    rows = connection.execute(
        select(SpeakerIdentity.transcript_id, SpeakerIdentity.label, SpeakerIdentity.name)
        .where(
            SpeakerIdentity.transcript_id.in_(transcript_ids),
            SpeakerIdentity.name.is_not(None),
            SpeakerIdentity.band.in_(("confirmed", "auto")),
        )
        .order_by(SpeakerIdentity.transcript_id)
    )
    return {
        transcript_id: {row.label: row.name for row in group}
        for transcript_id, group in groupby(rows, key=lambda row: row.transcript_id)
    }
