"""A destination that has named a study is remembered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dicom_node.database import UTCDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "known_study",
        sa.Column("study_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("named_at", UTCDateTime(timezone=True), nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("missed_at", UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_known_study_study_id")),
        sa.PrimaryKeyConstraint("study_id", "destination", name=op.f("pk_known_study")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("known_study")
