"""The ledger's tables. Columns and constraints only; no queries.

Ids are UUID strings. Times are aware UTC datetimes of the machine that wrote them, except leases: those are read on the
database's own clock, so that machines whose clocks differ agree on who holds one.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Status(StrEnum):
    """How far the work on a generation is. Which may follow which: `states`."""

    PENDING = "pending"
    """Known, and no run has been requested for this generation."""
    QUEUED = "queued"
    """A run was requested, or is to come back after a failure that is worth another try."""
    PROCESSING = "processing"
    COMPLETED = "completed"
    ERROR = "error"
    """It failed, and the same input would fail again; or it waits for recovery to try once more."""
    CANCELLING = "cancelling"
    """A person wants its run to stop, and it has not yet."""
    CANCELLED = "cancelled"
    ORPHANED = "orphaned"
    """The uploaded object is gone, and there is no transcript of this content."""
    QUARANTINED = "quarantined"
    """It failed every time it was tried. Only a person brings it back."""


class Cause(StrEnum):
    """Why a generation is to be processed."""

    UPLOAD = "upload"
    """Its content, or what lies beside it, is new."""
    REPROCESS = "reprocess"
    """Somebody wants the same content processed again."""
    RECOVERY = "recovery"
    """What was begun was lost, or failed in a way that may pass; only what is missing is made."""
    REDRIVE = "redrive"
    """Somebody wants it continued from a stage."""


class EventKind(StrEnum):
    TRANSCRIBED = "transcribed"
    """Another transcript version has become current."""
    COMPLETED = "completed"
    FAILED = "failed"
    """It ended in any other way; the payload's `status` says how."""


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class DecisionKind(StrEnum):
    CONFIRM = "confirm"
    RENAME = "rename"
    MERGE = "merge"
    UNDO = "undo"


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in, aware UTC out. SQLite keeps no zone, so it is converted before and put back after."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger takes datetimes with a time zone only")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _by_value(kind: type[StrEnum]) -> Enum:
    """A column of an enum's values, without a CHECK: another member needs no migration."""
    return Enum(kind, native_enum=False, length=16, values_callable=lambda members: [each.value for each in members])


class Base(DeclarativeBase):
    # Named constraints: a migration can then drop or alter each of them on either database.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it from the class, with this very type
        datetime: UtcDateTime,
        float: Double,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        Status: _by_value(Status),
        Cause: _by_value(Cause),
        EventKind: _by_value(EventKind),
        Outcome: _by_value(Outcome),
        DecisionKind: _by_value(DecisionKind),
    }


_Id = String(36)
_Hash = String(64)


class MediaFile(Base):
    """One object under the uploads prefix, whatever its content is at the moment: `generation` counts the contents."""

    __tablename__ = "media_file"
    __table_args__ = (
        # next_requests and count_queued look at the few rows that are not finished, whatever the table's size.
        Index("ix_media_file_status_owner", "status", "owner"),
        Index("ix_media_file_registered_at", "registered_at"),
        # Recovery, reports and the breaker ask for what ended lately.
        Index("ix_media_file_finished_at", "finished_at"),
    )

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    partition_key: Mapped[str] = mapped_column(String(64), unique=True)
    object_key: Mapped[str] = mapped_column(Text, unique=True)
    owner: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str] = mapped_column(Text, index=True)
    registered_at: Mapped[datetime]

    # the content, as the store last listed it
    etag: Mapped[str] = mapped_column(Text)
    version: Mapped[str | None] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    modified_at: Mapped[datetime]
    """By the store's clock, which may be wrong."""
    seen_at: Mapped[datetime]
    """When this content was first listed."""
    eligible_at: Mapped[datetime]
    """Not to be read before: the file may still be being written."""
    generation: Mapped[int]
    cause: Mapped[Cause] = mapped_column(server_default=Cause.UPLOAD.value)
    sha256: Mapped[str | None] = mapped_column(_Hash)
    """Of this generation's bytes, once a run has read them."""
    sidecars: Mapped[str] = mapped_column(_Hash, server_default="")
    """Fingerprint of the files that lie beside the object and belong to it; empty without any. A change of them is a
    change of content."""
    requested_options: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """What `transcribe reprocess` asked for this and later generations, over all defaults."""

    # the work on this generation
    base_generation: Mapped[int] = mapped_column(server_default="1")
    """Where the present work began: recovery raises the generation, and goes on with what was made since this one."""
    resume_from: Mapped[str | None] = mapped_column(Text)
    """The stage that this generation begins with; None for the first."""
    tries: Mapped[int] = mapped_column(server_default="0")
    """Runs that the pipeline itself started since `base_generation`, over all of its ways to try again."""
    legal_hold: Mapped[str | None] = mapped_column(Text)
    """Why nothing of this file may be deleted by itself."""
    status: Mapped[Status]
    status_since: Mapped[datetime] = mapped_column(server_default="1970-01-01 00:00:00")
    ended_as: Mapped[Status | None]
    """How this generation ended before a person had some stage of it run again."""
    stage: Mapped[str | None] = mapped_column(Text)
    progress: Mapped[float]
    """0..1, never falls within a generation."""
    attempts: Mapped[int]
    """Runs that have claimed this generation."""
    requested_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    run_id: Mapped[str | None] = mapped_column(Text)
    """The run that last claimed this generation."""
    lease_owner: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[float | None]
    """Unix seconds on the database's clock."""
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_text: Mapped[str | None] = mapped_column(Text)
    degraded: Mapped[list[Any]]
    """Names of the stages that failed without costing the transcript."""

    current_transcript_id: Mapped[str | None] = mapped_column(
        # The two tables point at each other, so this constraint is added when both exist.
        ForeignKey("transcript.id", use_alter=True, name="fk_media_file_current_transcript_id")
    )


class TranscriptVersion(Base):
    """One complete transcript of a file. Never changed once written; a better one is another version."""

    __tablename__ = "transcript"
    __table_args__ = (UniqueConstraint("media_file_id", "version"), UniqueConstraint("media_file_id", "digest"))

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    media_file_id: Mapped[str] = mapped_column(ForeignKey("media_file.id"))
    version: Mapped[int]
    generation: Mapped[int]
    digest: Mapped[str] = mapped_column(_Hash)
    source_sha256: Mapped[str | None] = mapped_column(_Hash)
    """Of the recording it was made from."""
    run_id: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    artifact_key: Mapped[str] = mapped_column(Text)
    sidecars: Mapped[str] = mapped_column(_Hash, server_default="")
    """`media_file.sidecars` as it was made with."""
    held_back: Mapped[str | None] = mapped_column(Text)
    """Why it did not become current by itself; promotion by a person leaves the reason standing."""
    provenance: Mapped[dict[str, Any]]
    """Models and parameters that made it."""
    segment_count: Mapped[int]
    word_count: Mapped[int]
    speaker_count: Mapped[int]
    # what artifacts.Transcript holds besides segments and speakers
    language: Mapped[str] = mapped_column(Text)
    language_probability: Mapped[float]
    audio_seconds: Mapped[float]
    no_speech: Mapped[bool]
    recogniser: Mapped[str] = mapped_column(Text)
    diarizer: Mapped[str] = mapped_column(Text)
    word_times: Mapped[str] = mapped_column(Text)
    embedding_model: Mapped[str | None] = mapped_column(Text)
    """Of all its speakers' embeddings. Those of different models must never be compared."""
    text_source: Mapped[str] = mapped_column(Text, server_default="recogniser")
    translation: Mapped[list[Any]] = mapped_column(server_default="[]")
    quality: Mapped[dict[str, Any]]
    paragraphs: Mapped[list[Any]]
    turns: Mapped[list[Any]]


class Segment(Base):
    """One segment with its words.

    Words are a JSON column of their segment, not a table: they are read with their segment and never looked for on
    their own (search has its own index). As rows, 50,000 words alone took 2.6 s on PostgreSQL; this way the whole
    transcript takes 0.7 to 1.1 s.
    """

    __tablename__ = "segment"

    transcript_id: Mapped[str] = mapped_column(ForeignKey("transcript.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start_seconds: Mapped[float]
    end_seconds: Mapped[float]
    speaker: Mapped[str | None] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    confidence: Mapped[float]
    words: Mapped[list[Any]]
    doubts: Mapped[list[Any]] = mapped_column(server_default="[]")


class Speaker(Base):
    """One voice of one transcript."""

    __tablename__ = "speaker"

    transcript_id: Mapped[str] = mapped_column(ForeignKey("transcript.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str] = mapped_column(Text)
    seconds: Mapped[float]
    words: Mapped[int]
    embedding: Mapped[list[Any]]


class InsightVersion(Base):
    """One insight of one transcript version. Never changed once written: a better one is another version."""

    __tablename__ = "insight"

    transcript_id: Mapped[str] = mapped_column(ForeignKey("transcript.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """1, 2, 3, ... for each stage of each transcript; the highest is what people see."""
    generation: Mapped[int]
    run_id: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    digest: Mapped[str] = mapped_column(_Hash)
    # what `insights.Provenance` says, where it can be asked for
    method: Mapped[str] = mapped_column(String(16))
    provider: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    prompt_hash: Mapped[str | None] = mapped_column(_Hash)
    body: Mapped[dict[str, Any]]
    """The `insights.Insight`."""


class StageTiming(Base):
    """How long one stage of one run took on one file, and how it ended."""

    __tablename__ = "stage_timing"

    run_id: Mapped[str] = mapped_column(Text, primary_key=True)
    media_file_id: Mapped[str] = mapped_column(ForeignKey("media_file.id"), primary_key=True, index=True)
    stage: Mapped[str] = mapped_column(Text, primary_key=True)
    generation: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime] = mapped_column(index=True)
    seconds: Mapped[float]
    cpu_seconds: Mapped[float | None]
    """Of all threads and child processes; more than `seconds` where several cores worked."""
    gpu_seconds: Mapped[float | None]
    """Time a GPU was held busy; None where there is none."""
    outcome: Mapped[Outcome]
    error_code: Mapped[str | None] = mapped_column(String(64))


class LanguageModelCall(Base):
    """One request to a language model, and what became of it. No text of either side."""

    __tablename__ = "language_model_call"

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    media_file_id: Mapped[str] = mapped_column(ForeignKey("media_file.id"), index=True)
    generation: Mapped[int]
    run_id: Mapped[str] = mapped_column(Text)
    stage: Mapped[str] = mapped_column(Text)
    provider: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(index=True)
    seconds: Mapped[float]
    outcome: Mapped[str] = mapped_column(String(64))
    """'answered', or an error code."""
    turn: Mapped[int]
    """0 for the question, 1 and 2 for repairs."""
    tokens_counted: Mapped[int]
    """By our own safe bound, before it was sent."""
    tokens_in: Mapped[int | None]
    tokens_out: Mapped[int | None]
    cost_usd: Mapped[float | None]
    detail: Mapped[str] = mapped_column(Text)


class OperationEntry(Base):
    """One thing that the pipeline's own care, or an admin, did to a file or to the whole: the audit log."""

    __tablename__ = "operation"
    __table_args__ = (Index("ix_operation_operation_at", "operation", "at"),)

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    at: Mapped[datetime]
    operation: Mapped[str] = mapped_column(String(32))
    """'recovery', 'cancel', 'redrive', ...: `operations.Operation`."""
    cause: Mapped[str] = mapped_column(Text)
    """What was found."""
    action: Mapped[str] = mapped_column(Text)
    """What was done about it."""
    actor: Mapped[str] = mapped_column(Text)
    """Who or what did it: 'stuck_files', 'cli:ann', ..."""
    media_file_id: Mapped[str | None] = mapped_column(ForeignKey("media_file.id"), index=True)
    generation: Mapped[int | None]
    run_id: Mapped[str | None] = mapped_column(Text)
    """The run it was about."""
    detail: Mapped[dict[str, Any]]
    """Evidence. No names of files or people, no speech."""


class IntakePause(Base):
    """A time in which no runs are requested for waiting files. The one without an end is in force."""

    __tablename__ = "intake_pause"

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    paused_at: Mapped[datetime]
    paused_by: Mapped[str] = mapped_column(Text)
    """'breaker', or whoever asked for it."""
    error_code: Mapped[str | None] = mapped_column(String(64))
    """The failure that so many files had in common."""
    reason: Mapped[str] = mapped_column(Text)
    probed_at: Mapped[datetime | None]
    """When a single file was last let through to see whether the cause is gone."""
    resumed_at: Mapped[datetime | None] = mapped_column(index=True)
    resumed_by: Mapped[str | None] = mapped_column(Text)


class OutboxEvent(Base):
    """Something the world must be told, written in the transaction in which it became true."""

    __tablename__ = "outbox_event"
    __table_args__ = (
        UniqueConstraint("media_file_id", "generation", "kind"),
        # Without it SQLite gives a deleted event's id to the next one, which may then count as delivered.
        {"sqlite_autoincrement": True},
    )

    # SQLite numbers rows by itself only where the type is exactly INTEGER.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    media_file_id: Mapped[str] = mapped_column(ForeignKey("media_file.id"))
    generation: Mapped[int]
    kind: Mapped[EventKind]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None] = mapped_column(index=True)


class VoiceDecision(Base):
    """What a person decided about the voices of one owner. Only ever appended to: profiles are derived from it.

    No foreign keys to transcripts: a decision stays in the log when its recording is deleted, and the voice sample it
    pointed to is gone with the recording.
    """

    __tablename__ = "voice_decision"
    __table_args__ = (UniqueConstraint("owner", "number"),)

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    number: Mapped[int]
    """1, 2, 3, ... for each owner: the order in which decisions take effect."""
    kind: Mapped[DecisionKind]
    decided_at: Mapped[datetime]
    profile_id: Mapped[str | None] = mapped_column(_Id)
    """The profile that is confirmed, renamed or merged into; None for an undo."""
    name: Mapped[str | None] = mapped_column(Text)
    """Of that profile, by this decision."""
    transcript_id: Mapped[str | None] = mapped_column(_Id)
    """confirm: whose speaker `label` is the sample."""
    label: Mapped[str | None] = mapped_column(Text)
    merged_id: Mapped[str | None] = mapped_column(_Id)
    """merge: the profile that becomes part of `profile_id`."""
    undoes: Mapped[int | None]
    """undo: number of the decision that no longer counts."""


class SpeakerIdentity(Base):
    """Who a speaker of a transcript was last said to be: what people see until it is derived again."""

    __tablename__ = "speaker_identity"

    transcript_id: Mapped[str] = mapped_column(ForeignKey("transcript.id"), primary_key=True)
    label: Mapped[str] = mapped_column(Text, primary_key=True)
    band: Mapped[str] = mapped_column(String(16))
    profile_id: Mapped[str | None] = mapped_column(_Id)
    name: Mapped[str | None] = mapped_column(Text)
    similarity: Mapped[float | None]
    margin: Mapped[float | None]
