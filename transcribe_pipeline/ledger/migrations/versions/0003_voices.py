"""Decisions about voices, and who each speaker was last said to be."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "voice_decision",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("profile_id", sa.String(36), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("transcript_id", sa.String(36), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("merged_id", sa.String(36), nullable=True),
        sa.Column("undoes", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_voice_decision"),
        sa.UniqueConstraint("owner", "number", name="uq_voice_decision_owner_number"),
    )
    op.create_table(
        "speaker_identity",
        sa.Column("transcript_id", sa.String(36), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("band", sa.String(16), nullable=False),
        sa.Column("profile_id", sa.String(36), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("similarity", sa.Double(), nullable=True),
        sa.Column("margin", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["transcript_id"], ["transcript.id"], name="fk_speaker_identity_transcript_id"),
        sa.PrimaryKeyConstraint("transcript_id", "label", name="pk_speaker_identity"),
    )
