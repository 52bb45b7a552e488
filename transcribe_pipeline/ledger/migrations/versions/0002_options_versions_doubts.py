"""Options and sidecars of a file, transcripts held back, doubts about segments, processor time of stages."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("media_file", sa.Column("cause", sa.String(16), nullable=False, server_default="upload"))
    op.add_column("media_file", sa.Column("sidecars", sa.String(64), nullable=False, server_default=""))
    op.add_column("media_file", sa.Column("requested_options", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("transcript", sa.Column("sidecars", sa.String(64), nullable=False, server_default=""))
    op.add_column("transcript", sa.Column("held_back", sa.Text(), nullable=True))
    op.add_column("transcript", sa.Column("text_source", sa.Text(), nullable=False, server_default="recogniser"))
    op.add_column("transcript", sa.Column("translation", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("segment", sa.Column("doubts", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("stage_timing", sa.Column("cpu_seconds", sa.Double(), nullable=True))
    op.add_column("stage_timing", sa.Column("gpu_seconds", sa.Double(), nullable=True))
