"""The first schema: files, transcript versions with segments and speakers, stage timings, events.

Column types are spelled out, not taken from the models: a migration says what the database was at its time.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "media_file",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("partition_key", sa.String(64), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("eligible_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("error_code", sa.String(64), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("degraded", sa.JSON(), nullable=False),
        sa.Column("current_transcript_id", sa.String(36), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_media_file"),
        sa.UniqueConstraint("object_key", name="uq_media_file_object_key"),
        sa.UniqueConstraint("partition_key", name="uq_media_file_partition_key"),
    )
    op.create_index("ix_media_file_file_name", "media_file", ["file_name"])
    op.create_index("ix_media_file_registered_at", "media_file", ["registered_at"])
    op.create_index("ix_media_file_status_owner", "media_file", ["status", "owner"])
    op.create_table(
        "transcript",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("media_file_id", sa.String(36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("source_sha256", sa.String(64), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("artifact_key", sa.Text(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("segment_count", sa.Integer(), nullable=False),
        sa.Column("word_count", sa.Integer(), nullable=False),
        sa.Column("speaker_count", sa.Integer(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("language_probability", sa.Double(), nullable=False),
        sa.Column("audio_seconds", sa.Double(), nullable=False),
        sa.Column("no_speech", sa.Boolean(), nullable=False),
        sa.Column("recogniser", sa.Text(), nullable=False),
        sa.Column("diarizer", sa.Text(), nullable=False),
        sa.Column("word_times", sa.Text(), nullable=False),
        sa.Column("embedding_model", sa.Text(), nullable=True),
        sa.Column("quality", sa.JSON(), nullable=False),
        sa.Column("paragraphs", sa.JSON(), nullable=False),
        sa.Column("turns", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["media_file_id"], ["media_file.id"], name="fk_transcript_media_file_id"),
        sa.PrimaryKeyConstraint("id", name="pk_transcript"),
        sa.UniqueConstraint("media_file_id", "digest", name="uq_transcript_media_file_id_digest"),
        sa.UniqueConstraint("media_file_id", "version", name="uq_transcript_media_file_id_version"),
    )
    op.create_table(
        "segment",
        sa.Column("transcript_id", sa.String(36), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start_seconds", sa.Double(), nullable=False),
        sa.Column("end_seconds", sa.Double(), nullable=False),
        sa.Column("speaker", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["transcript_id"], ["transcript.id"], name="fk_segment_transcript_id"),
        sa.PrimaryKeyConstraint("transcript_id", "position", name="pk_segment"),
    )
    op.create_table(
        "speaker",
        sa.Column("transcript_id", sa.String(36), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.Column("embedding", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["transcript_id"], ["transcript.id"], name="fk_speaker_transcript_id"),
        sa.PrimaryKeyConstraint("transcript_id", "position", name="pk_speaker"),
    )
    op.create_table(
        "stage_timing",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("media_file_id", sa.String(36), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("error_code", sa.String(64), nullable=True),
        sa.ForeignKeyConstraint(["media_file_id"], ["media_file.id"], name="fk_stage_timing_media_file_id"),
        sa.PrimaryKeyConstraint("run_id", "media_file_id", "stage", name="pk_stage_timing"),
    )
    op.create_index("ix_stage_timing_media_file_id", "stage_timing", ["media_file_id"])
    op.create_table(
        "outbox_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("media_file_id", sa.String(36), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["media_file_id"], ["media_file.id"], name="fk_outbox_event_media_file_id"),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_event"),
        sa.UniqueConstraint(
            "media_file_id", "generation", "kind", name="uq_outbox_event_media_file_id_generation_kind"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_event_delivered_at", "outbox_event", ["delivered_at"])
    # The two tables point at each other. Batch: SQLite can only add a constraint by copying the (still empty) table.
    with op.batch_alter_table("media_file") as media_file:
        media_file.create_foreign_key(
            "fk_media_file_current_transcript_id", "transcript", ["current_transcript_id"], ["id"]
        )
