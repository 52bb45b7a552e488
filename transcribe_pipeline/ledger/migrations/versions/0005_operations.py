"""Recovery, cancelling and quarantine of files; the state machine as a trigger; the audit log; pauses of intake."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ENDS = ("completed", "error", "orphaned", "quarantined", "cancelled")
_NEXT = {
    "pending": ("queued", "processing", "cancelled", "orphaned"),
    "queued": ("processing", "error", "orphaned", "quarantined", "cancelled"),
    "processing": (*_ENDS, "queued", "cancelling"),
    "cancelling": _ENDS,
    "completed": ("processing",),
    "error": ("processing", "orphaned", "quarantined"),
    "cancelled": ("processing",),
    "orphaned": ("processing",),
    "quarantined": ("processing",),
}
"""`ledger.states.NEXT` as it was when this migration was written."""


def upgrade() -> None:
    for column in (
        sa.Column("base_generation", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("resume_from", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("legal_hold", sa.Text(), nullable=True),
        sa.Column("status_since", sa.DateTime(timezone=True), nullable=False, server_default="1970-01-01 00:00:00"),
        sa.Column("ended_as", sa.String(16), nullable=True),
    ):
        op.add_column("media_file", column)
    op.execute(
        "UPDATE media_file SET base_generation = generation,"
        " status_since = coalesce(finished_at, started_at, requested_at, seen_at),"
        " ended_as = CASE WHEN finished_at IS NULL THEN NULL WHEN error_code IS NULL THEN 'completed' ELSE 'error' END"
    )
    op.create_index("ix_media_file_finished_at", "media_file", ["finished_at"])
    op.create_table(
        "operation",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operation", sa.String(32), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("media_file_id", sa.String(36), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["media_file_id"], ["media_file.id"], name="fk_operation_media_file_id"),
        sa.PrimaryKeyConstraint("id", name="pk_operation"),
    )
    op.create_index("ix_operation_operation_at", "operation", ["operation", "at"])
    op.create_index("ix_operation_media_file_id", "operation", ["media_file_id"])
    op.create_table(
        "intake_pause",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_by", sa.Text(), nullable=False),
        sa.Column("error_code", sa.String(64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("probed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resumed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_intake_pause"),
    )
    op.create_index("ix_intake_pause_resumed_at", "intake_pause", ["resumed_at"])
    # Reports ask what ran in a day or an hour.
    op.create_index("ix_stage_timing_finished_at", "stage_timing", ["finished_at"])
    for statement in _triggers(op.get_bind().dialect.name):
        op.execute(statement)


def _triggers(dialect: str) -> list[str]:
    """A generation never falls, begins pending (or sealed, when its file is forgotten), and goes by `_NEXT`."""
    allowed = ", ".join(f"'{before}>{after}'" for before, ends in _NEXT.items() for after in ends)
    illegal = (
        "NEW.generation < OLD.generation"
        " OR (NEW.generation > OLD.generation AND NEW.status NOT IN ('pending', 'error'))"
        " OR (NEW.generation = OLD.generation AND NEW.status <> OLD.status"
        f" AND (OLD.status || '>' || NEW.status) NOT IN ({allowed}))"
    )
    if dialect == "sqlite":
        return [
            "CREATE TRIGGER media_file_status BEFORE UPDATE OF status, generation ON media_file"
            f" WHEN {illegal} BEGIN SELECT RAISE(ABORT, 'illegal change of status'); END"
        ]
    return [
        "CREATE FUNCTION refuse_media_file_status() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'illegal change of status: % to %', OLD.status, NEW.status USING ERRCODE = 'check_violation';"
        " END $$",
        "CREATE TRIGGER media_file_status BEFORE UPDATE OF status, generation ON media_file FOR EACH ROW"
        f" WHEN ({illegal}) EXECUTE FUNCTION refuse_media_file_status()",
    ]
