"""A destination that has had a film is remembered, and how often it has been without it since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dicom_node.database import UTCDateTime

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "known_film",
        sa.Column("instance_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("missed_at", UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name=op.f("fk_known_film_instance_id")),
        sa.PrimaryKeyConstraint("instance_id", "destination", name=op.f("pk_known_film")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("known_film")
