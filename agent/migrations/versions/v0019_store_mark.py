"""The folder of stored objects has a mark, which the database names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dicom_node.database import UTCDateTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "store_mark",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mark", sa.String(length=32), nullable=False),
        sa.Column("at", UTCDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_mark")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("store_mark")
