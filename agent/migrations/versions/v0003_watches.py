"""How far FHIR servers were asked for signed reports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import dicom_node.database

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "watch",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("until", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("heard_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("failing_since", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_watch")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("watch")
