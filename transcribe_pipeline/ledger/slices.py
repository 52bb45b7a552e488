"""Which files are meant: the conditions by which people choose many at once.

What belongs here: conditions on files. What does not: what is done with those that meet them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, not_, or_, select

from transcribe_pipeline.errors import ErrorCode
from transcribe_pipeline.ledger.forgetting import is_sealed
from transcribe_pipeline.ledger.models import MediaFile, TranscriptVersion
from transcribe_pipeline.ledger.states import State, in_state


@dataclass(frozen=True)
class Slice:
    """All conditions must hold; without any, every file is meant that is not being forgotten. Times are aware."""

    owner: str | None = None
    names: str | None = None
    """Pattern of file names: `*` stands for any characters, `?` for one; case counts for other letters than ASCII's."""
    since: datetime | None = None
    """Added at or after this time."""
    until: datetime | None = None
    """Added before this time."""
    states: Sequence[State] = ()
    codes: Sequence[ErrorCode] = ()
    """The error that they ended with."""
    state_since: datetime | None = None
    """In their present state from this time on, or a later one: failed since yesterday."""
    language: str | None = None
    """Of the current transcript, ISO 639-1."""
    model: str | None = None
    """That heard the current transcript: 'base', or with its engine, 'faster-whisper base'."""

    @property
    def is_narrowed(self) -> bool:
        """By more than an owner: then not every file is meant by mistake."""
        return replace(self, owner=None) != Slice()

    def conditions(self) -> list[ColumnElement[bool]]:
        conditions = [not_(is_sealed())]
        if self.owner is not None:
            conditions.append(MediaFile.owner == self.owner)
        if self.names is not None:
            conditions.append(MediaFile.file_name.ilike(_like(self.names), escape="\\"))
        if self.since is not None:
            conditions.append(MediaFile.registered_at >= self.since)
        if self.until is not None:
            conditions.append(MediaFile.registered_at < self.until)
        if self.states:
            conditions.append(or_(*map(in_state, self.states)))
        if self.codes:
            conditions.append(MediaFile.error_code.in_([code.value for code in self.codes]))
        if self.state_since is not None:
            conditions.append(MediaFile.status_since >= self.state_since)
        if self.language is not None or self.model is not None:
            conditions.append(self._by_transcript())
        return conditions

    def _by_transcript(self) -> ColumnElement[bool]:
        current = select(TranscriptVersion.id)
        if self.language is not None:
            current = current.where(TranscriptVersion.language == self.language)
        if self.model is not None:
            recogniser = TranscriptVersion.recogniser
            of_any_engine = recogniser.endswith(f" {self.model}", autoescape=True)
            current = current.where(or_(recogniser == self.model, of_any_engine))
        return MediaFile.current_transcript_id.in_(current)


def _like(pattern: str) -> str:
    for character in "\\%_":
        pattern = pattern.replace(character, f"\\{character}")
    return pattern.replace("*", "%").replace("?", "_")
