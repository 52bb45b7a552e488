"""What is put into a search index, and nothing about how: a recording's current transcript with the names shown."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.export.script import clean

Kind = Literal["segment"]
"""What a passage is. Chapters and summaries will stand beside segments."""

SCHEMA = 1
"""Raised when documents of an older program must be indexed again."""


@dataclass(frozen=True)
class Passage:
    """One thing that can be found. `position` counts within its kind: a segment's is its id in the transcript."""

    kind: Kind
    position: int
    start: float
    end: float
    """Seconds in the media."""
    speaker: str | None
    """The transcript's label."""
    speaker_name: str
    """As people see it: the name, or the label; '' if unknown."""
    text: str


@dataclass(frozen=True)
class Chunk:
    """Consecutive segments whose meaning is compared as one, with its vector."""

    position: int
    first_segment: int
    last_segment: int
    """Inclusive."""
    vector: Sequence[float]
    """Unit length."""


@dataclass(frozen=True)
class MediaDocument:
    """Everything that the index holds of one media file."""

    partition_key: str
    owner: str
    file_name: str
    generation: int
    """Of the transcript version."""
    transcript_id: str
    language: str
    """ISO 639-1; 'und' without speech."""
    added_at: datetime
    """When the file was first registered; aware, UTC."""
    seconds: float
    """Length of the media."""
    names: Mapping[str, str]
    """Label -> name, of the speakers that have one."""
    passages: tuple[Passage, ...]
    chunks: tuple[Chunk, ...] = ()
    embedding_model: str | None = None
    """Vectors of different models must never be compared."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what makes two documents differ: equal digests need no indexing."""
        return digest(
            owner=self.owner,
            file_name=self.file_name,
            transcript_id=self.transcript_id,
            names=self.names,
            embedding_model=self.embedding_model,
        )


def digest(
    *, owner: str, file_name: str, transcript_id: str, names: Mapping[str, str], embedding_model: str | None
) -> str:
    """A transcript never changes, so its id and the names shown stand for its text."""
    parts = [str(SCHEMA), owner, file_name, transcript_id, embedding_model or "", *map("=".join, sorted(names.items()))]
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def passages(transcript: Transcript, names: Mapping[str, str]) -> tuple[Passage, ...]:
    """The segments that say something. `names`: label -> name shown; speakers without one keep their label."""
    return tuple(
        Passage(
            kind="segment",
            position=segment.id,
            start=segment.start,
            end=segment.end,
            speaker=segment.speaker,
            speaker_name=clean(names.get(segment.speaker or "", "")) or clean(segment.speaker or ""),
            text=text,
        )
        for segment in transcript.segments
        if (text := clean(segment.text))
    )
