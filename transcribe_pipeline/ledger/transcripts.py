"""Transcript versions: stored whole in one transaction, never changed, one of them current."""

import hashlib
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from transcribe_pipeline.artifacts import Transcript, TranscriptRecord
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events
from transcribe_pipeline.ledger.database import read, write
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
    "quality",
    "paragraphs",
    "turns",
)
"""Fields of a Transcript that are columns of the same name."""


def save(
    engine: Engine, claim: Claim, transcript: Transcript, *, artifact_key: str, provenance: dict[str, Any]
) -> TranscriptRecord:
    """Store a transcript as the file's newest version and make it the current one, all in one transaction.

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
            select(MediaFile.sha256, MediaFile.current_transcript_id).where(fence(claim)).with_for_update()
        ).one_or_none()
        if file is None:
            raise lost(claim)
        transcript_id = _existing(connection, claim.media_file_id, digest)
        if transcript_id is None:
            transcript_id = _insert(connection, claim, document, digest, file.sha256, artifact_key, provenance)
        if transcript_id != file.current_transcript_id:
            _make_current(connection, claim, transcript_id)
        record = connection.execute(_RECORDS.where(TranscriptVersion.id == transcript_id)).one()
        return TranscriptRecord(**record._asdict())

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
    source_sha256: str | None,
    artifact_key: str,
    provenance: dict[str, Any],
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
            source_sha256=source_sha256,
            run_id=claim.run_id,
            created_at=datetime.now(UTC),
            artifact_key=artifact_key,
            provenance=provenance,
            segment_count=len(segments),
            word_count=sum(len(segment["words"]) for segment in segments),
            speaker_count=len(speakers),
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
    }


def _make_current(connection: Connection, claim: Claim, transcript_id: str) -> None:
    connection.execute(update(MediaFile).where(fence(claim)).values(current_transcript_id=transcript_id))
    events.announce_latest(
        connection, claim.media_file_id, claim.generation, EventKind.TRANSCRIBED, {"transcript_id": transcript_id}
    )


# --- reading --------------------------------------------------------------------------------------------------------

_RECORDS = select(
    TranscriptVersion.id.label("transcript_id"),
    TranscriptVersion.version,
    TranscriptVersion.generation,
    TranscriptVersion.digest,
    TranscriptVersion.segment_count.label("segments"),
    TranscriptVersion.word_count.label("words"),
    TranscriptVersion.speaker_count.label("speakers"),
    (TranscriptVersion.id == func.coalesce(MediaFile.current_transcript_id, "")).label("is_current"),
).join(MediaFile, MediaFile.id == TranscriptVersion.media_file_id)


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
