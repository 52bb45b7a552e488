"""Transcript versions: stored whole in one transaction, never changed, one of them current.

A new version becomes current by itself, unless it holds much less than the current one of the same recording; then it
waits (`held_back`) for a person to `promote` it.
"""

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Text, cast, func, insert, select, update

from transcribe_pipeline.artifacts import Transcript, TranscriptRecord
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events
from transcribe_pipeline.ledger.database import clock, read, write
from transcribe_pipeline.ledger.leases import Claim, fence, lost
from transcribe_pipeline.ledger.models import EventKind, MediaFile, Segment, Speaker, TranscriptVersion
from transcribe_pipeline.ledger.text import clean, may_need_cleaning

_HEAD_FIELDS = (
    "language",
    "language_probability",
    "audio_seconds",
    "no_speech",
    "recogniser",
    "diarizer",
    "word_times",
    "embedding_model",
    "text_source",
    "translation",
    "quality",
    "paragraphs",
    "turns",
)
"""Fields of a Transcript that are columns of the same name."""

_KEPT_SHARE = 0.6
"""A version with less than this share of the current one's certain words, or of its covered speech, has collapsed.
On crosstalk (AMI, telephone; Whisper base) another beam or compute type moves both by up to 10 %. Invented words that
go do not count, since they are doubtful; a wrong language, channel or window loses nearly everything."""
_TELLING_WORDS, _TELLING_SECONDS = 20, 10.0
"""Of a current version with less than this nobody can tell what a collapse is."""


def save(
    engine: Engine, claim: Claim, transcript: Transcript, *, artifact_key: str, provenance: dict[str, Any]
) -> TranscriptRecord:
    """Store a transcript as the file's newest version and make it the current one, all in one transaction.

    It does not become current if it has collapsed against the current version of the same bytes: fewer than
    60 % of its certain words or covered speech are left. Then `held_back` of the record says so. Another language makes
    words incomparable, and a given transcript, before or now, is what people want, so neither is held back for them.

    The same transcript is never stored twice: saving it again (after a crash, say) returns the version that there is.
    Control characters and lone surrogates are left out of its text. Raises LEASE_LOST.

    50,000 words in 5,000 segments take 0.7 to 1.1 s on PostgreSQL, 0.5 s on SQLite (2 cores).
    """
    document = transcript.model_dump()
    canonical = _canonical_json(document)
    if may_need_cleaning(canonical):
        document = clean(document)
        canonical = _canonical_json(document)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    provenance = clean(provenance)

    def work(connection: Connection) -> TranscriptRecord:
        file = connection.execute(
            select(MediaFile.sha256, MediaFile.sidecars, MediaFile.current_transcript_id)
            .where(fence(claim))
            .with_for_update()
        ).one_or_none()
        if file is None:
            raise lost(claim)
        transcript_id = _existing(connection, claim.media_file_id, digest)
        if transcript_id is None:
            made_from = {"source_sha256": file.sha256, "sidecars": file.sidecars, "artifact_key": artifact_key}
            transcript_id = _insert(connection, claim, document, digest, provenance, made_from)
        if transcript_id != file.current_transcript_id:
            collapse = _collapse(connection, transcript_id, file.current_transcript_id)
            if collapse:
                _hold_back(connection, transcript_id, collapse)
            else:
                _make_current(connection, claim.media_file_id, claim.generation, transcript_id)
        return _record(connection, transcript_id)

    return write(engine, work)


def _canonical_json(document: dict[str, Any]) -> str:
    """Sorted keys, no spaces, ASCII only: equal transcripts give equal text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _existing(connection: Connection, media_file_id: str, digest: str) -> str | None:
    statement = select(TranscriptVersion.id).where(
        TranscriptVersion.media_file_id == media_file_id, TranscriptVersion.digest == digest
    )
    return connection.execute(statement).scalar_one_or_none()


def _insert(
    connection: Connection,
    claim: Claim,
    document: dict[str, Any],
    digest: str,
    provenance: dict[str, Any],
    made_from: dict[str, Any],
) -> str:
    transcript_id = str(uuid.uuid4())
    segments, speakers = document["segments"], document["speakers"]
    latest = select(func.coalesce(func.max(TranscriptVersion.version), 0)).where(
        TranscriptVersion.media_file_id == claim.media_file_id
    )
    connection.execute(
        insert(TranscriptVersion).values(
            id=transcript_id,
            media_file_id=claim.media_file_id,
            version=connection.execute(latest).scalar_one() + 1,
            generation=claim.generation,
            digest=digest,
            run_id=claim.run_id,
            created_at=datetime.now(UTC),
            provenance=provenance,
            segment_count=len(segments),
            word_count=sum(len(segment["words"]) for segment in segments),
            speaker_count=len(speakers),
            **made_from,
            **{field: document[field] for field in _HEAD_FIELDS},
        )
    )
    if segments:
        connection.execute(insert(Segment), [_segment_row(transcript_id, segment) for segment in segments])
    if speakers:
        rows = [{"transcript_id": transcript_id, "position": n} | speaker for n, speaker in enumerate(speakers)]
        connection.execute(insert(Speaker), rows)
    return transcript_id


def _segment_row(transcript_id: str, segment: dict[str, Any]) -> dict[str, Any]:
    return {
        "transcript_id": transcript_id,
        "position": segment["id"],
        "start_seconds": segment["start"],
        "end_seconds": segment["end"],
        "speaker": segment["speaker"],
        "text": segment["text"],
        "confidence": segment["confidence"],
        "words": segment["words"],
        "doubts": segment["doubts"],
    }


def _make_current(connection: Connection, media_file_id: str, generation: int, transcript_id: str) -> None:
    """The file's row is locked."""
    connection.execute(
        update(MediaFile).where(MediaFile.id == media_file_id).values(current_transcript_id=transcript_id)
    )
    events.announce_latest(
        connection, media_file_id, generation, EventKind.TRANSCRIBED, {"transcript_id": transcript_id}
    )


def _hold_back(connection: Connection, transcript_id: str, reason: str) -> None:
    connection.execute(update(TranscriptVersion).where(TranscriptVersion.id == transcript_id).values(held_back=reason))


# --- which of two holds more ----------------------------------------------------------------------------------------


class _Content(NamedTuple):
    """How much a version holds, doubtful stretches left out."""

    source_sha256: str | None
    text_source: str
    language: str
    words: int
    speech_seconds: float


def _content(connection: Connection, transcript_id: str) -> _Content:
    version = connection.execute(
        select(
            TranscriptVersion.source_sha256,
            TranscriptVersion.text_source,
            TranscriptVersion.language,
            TranscriptVersion.word_count,
            TranscriptVersion.quality,
        ).where(TranscriptVersion.id == transcript_id)
    ).one()
    doubtful = connection.execute(
        # As text, since PostgreSQL cannot compare JSON.
        select(Segment.words).where(Segment.transcript_id == transcript_id, cast(Segment.doubts, Text) != "[]")
    )
    covered = version.quality["covered_speech_seconds"] - version.quality.get("doubtful_seconds", 0.0)
    return _Content(
        version.source_sha256,
        version.text_source,
        version.language,
        version.word_count - sum(len(words) for words in doubtful.scalars()),
        max(covered, 0.0),
    )


def _collapse(connection: Connection, transcript_id: str, current_id: str | None) -> str | None:
    """Why this version must not take the current one's place by itself; None if it may."""
    if current_id is None:
        return None
    new, old = _content(connection, transcript_id), _content(connection, current_id)
    if new.source_sha256 != old.source_sha256 or "given" in (new.text_source, old.text_source):
        return None
    if old.speech_seconds >= _TELLING_SECONDS and new.speech_seconds < _KEPT_SHARE * old.speech_seconds:
        return f"{new.speech_seconds:.0f} s of certain speech, the current version has {old.speech_seconds:.0f} s"
    is_telling = new.language == old.language and old.words >= _TELLING_WORDS
    if is_telling and new.words < _KEPT_SHARE * old.words:
        return f"{new.words} certain words, the current version has {old.words}"
    return None


# --- promotion ------------------------------------------------------------------------------------------------------


def promote(engine: Engine, partition_key: str, version: int, *, force: bool = False) -> TranscriptRecord:
    """Make a version the current one, be it a newer one that was held back or an older one to go back to.

    :raises PipelineError: FILE_UNKNOWN; ARTIFACT_MISSING, if there is no such version; LEASE_HELD while a run works on
        the file, since its result would be next; PROMOTION_REFUSED, unless forced, if the version has collapsed against
        the current one, or was made from other bytes.
    """

    def work(connection: Connection) -> TranscriptRecord:
        file = connection.execute(
            select(
                MediaFile.id,
                MediaFile.generation,
                MediaFile.current_transcript_id,
                MediaFile.lease_owner,
                (MediaFile.lease_until > clock()).label("is_held"),
            )
            .where(MediaFile.partition_key == partition_key)
            .with_for_update()
        ).one_or_none()
        if file is None:
            raise PipelineError(ErrorCode.FILE_UNKNOWN)
        transcript_id = connection.execute(
            select(TranscriptVersion.id).where(
                TranscriptVersion.media_file_id == file.id, TranscriptVersion.version == version
            )
        ).scalar_one_or_none()
        if transcript_id is None:
            raise PipelineError(ErrorCode.ARTIFACT_MISSING, f"version {version}")
        if transcript_id == file.current_transcript_id:
            return _record(connection, transcript_id)
        if file.lease_owner is not None and file.is_held:
            raise PipelineError(ErrorCode.LEASE_HELD, f"run {file.lease_owner}")
        if not force:
            _refuse_worse(connection, transcript_id, file.current_transcript_id)
        _make_current(connection, file.id, file.generation, transcript_id)
        return _record(connection, transcript_id)

    return write(engine, work)


def _refuse_worse(connection: Connection, transcript_id: str, current_id: str | None) -> None:
    if current_id is None:
        return
    if _content(connection, transcript_id).source_sha256 != _content(connection, current_id).source_sha256:
        raise PipelineError(ErrorCode.PROMOTION_REFUSED, "it was made from other content than the current version")
    if collapse := _collapse(connection, transcript_id, current_id):
        raise PipelineError(ErrorCode.PROMOTION_REFUSED, collapse)


# --- reading --------------------------------------------------------------------------------------------------------

_RECORDS = select(
    TranscriptVersion.id.label("transcript_id"),
    TranscriptVersion.version,
    TranscriptVersion.generation,
    TranscriptVersion.digest,
    TranscriptVersion.segment_count.label("segments"),
    TranscriptVersion.word_count.label("words"),
    TranscriptVersion.speaker_count.label("speakers"),
    TranscriptVersion.held_back,
    (TranscriptVersion.id == func.coalesce(MediaFile.current_transcript_id, "")).label("is_current"),
).join(MediaFile, MediaFile.id == TranscriptVersion.media_file_id)


def _record(connection: Connection, transcript_id: str) -> TranscriptRecord:
    return TranscriptRecord(**connection.execute(_RECORDS.where(TranscriptVersion.id == transcript_id)).one()._asdict())


def versions(engine: Engine, partition_key: str) -> list[TranscriptRecord]:
    """Every version of a file, oldest first; none for a file without transcripts, or an unknown one."""
    statement = _RECORDS.where(MediaFile.partition_key == partition_key).order_by(TranscriptVersion.version)
    return read(engine, lambda connection: [TranscriptRecord(**row._asdict()) for row in connection.execute(statement)])


def current(engine: Engine, partition_key: str) -> TranscriptRecord | None:
    """The version that people see, or None while there is none."""
    statement = _RECORDS.where(
        MediaFile.partition_key == partition_key, TranscriptVersion.id == MediaFile.current_transcript_id
    )
    row = read(engine, lambda connection: connection.execute(statement).one_or_none())
    return None if row is None else TranscriptRecord(**row._asdict())


@dataclass(frozen=True)
class VersionView:
    """A version as people compare it with others."""

    transcript_id: str
    version: int
    generation: int
    created_at: datetime
    is_current: bool
    held_back: str | None
    source_sha256: str | None
    text_source: str
    language: str
    recogniser: str
    diarizer: str
    word_times: str
    words: int
    speakers: int
    quality: dict[str, Any]
    """`TranscriptQuality`."""
    run_id: str


def history(engine: Engine, partition_key: str) -> list[VersionView]:
    """Every version of a file, oldest first, with what made it and how good it is."""
    shared = {"text_source", "language", "recogniser", "diarizer", "word_times", "quality", "run_id", "created_at"}
    columns = [getattr(TranscriptVersion, name) for name in sorted(shared | {"source_sha256"})]
    statement = (
        _RECORDS.add_columns(*columns)
        .where(MediaFile.partition_key == partition_key)
        .order_by(TranscriptVersion.version)
    )
    rows = read(engine, lambda connection: connection.execute(statement).all())
    return [VersionView(**{name: getattr(row, name) for name in VersionView.__dataclass_fields__}) for row in rows]


def load(engine: Engine, transcript_id: str) -> Transcript:
    """The transcript exactly as it was stored. Raises ARTIFACT_MISSING if there is no such version."""
    return read(engine, lambda connection: _load(connection, transcript_id))


def _load(connection: Connection, transcript_id: str) -> Transcript:
    columns = [getattr(TranscriptVersion, field) for field in _HEAD_FIELDS]
    head = connection.execute(select(*columns).where(TranscriptVersion.id == transcript_id)).one_or_none()
    if head is None:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "no such transcript version")
    segments = connection.execute(
        select(
            Segment.position.label("id"),
            Segment.start_seconds.label("start"),
            Segment.end_seconds.label("end"),
            Segment.speaker,
            Segment.text,
            Segment.confidence,
            Segment.words,
            Segment.doubts,
        )
        .where(Segment.transcript_id == transcript_id)
        .order_by(Segment.position)
    )
    speakers = connection.execute(
        select(Speaker.label, Speaker.seconds, Speaker.words, Speaker.embedding)
        .where(Speaker.transcript_id == transcript_id)
        .order_by(Speaker.position)
    )
    return Transcript.model_validate(
        dict(head._mapping)
        | {
            "segments": [dict(row._mapping) for row in segments],
            "speakers": [dict(row._mapping) for row in speakers],
        }
    )
