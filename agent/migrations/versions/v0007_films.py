"""Digests of decoded films, and exclusions that a person overruled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dicom_node.database import UTCDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "film_pixels",
        sa.Column("instance_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name=op.f("fk_film_pixels_instance_id")),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_film_pixels")),
    )
    with op.batch_alter_table("film_pixels", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_film_pixels_digest"), ["digest"], unique=False)
    op.create_table(
        "overruling",
        sa.Column("study_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("at", UTCDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_overruling_study_id")),
        sa.PrimaryKeyConstraint("study_id", "code", name=op.f("pk_overruling")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("overruling")
    with op.batch_alter_table("film_pixels", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_film_pixels_digest"))
    op.drop_table("film_pixels")
