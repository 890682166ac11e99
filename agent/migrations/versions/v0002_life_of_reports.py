"""The tables of reports: their states, and what was seen of their studies elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import dicom_node.database

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _create_report()
    _create_sighting()


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("sighting", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sighting_study_id"))
        batch_op.drop_index(batch_op.f("ix_sighting_instance_id"))
        batch_op.drop_index(batch_op.f("ix_sighting_about"))

    op.drop_table("sighting")
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.drop_index("ix_report_open")

    op.drop_table("report")


def _create_report() -> None:
    op.create_table(
        "report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("revision_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "DRAFT",
                "AWAITING SECOND",
                "VERIFIED",
                "REJECTED",
                "SUPERSEDED",
                "EXPIRED",
                "WITHDRAWN",
                name="reportstate",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("film_digest", sa.String(length=64), nullable=False),
        sa.Column("reader", sa.String(length=128), nullable=False),
        sa.Column("reader_digest", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("drafted_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(length=24), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("taken_back_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["revision_id"], ["revision.id"], name=op.f("fk_report_revision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint("revision_id", name=op.f("uq_report_revision_id")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_report_sop_instance_uid")),
    )
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.create_index("ix_report_open", ["taken_back_at", "state"], unique=False)


def _create_sighting() -> None:
    op.create_table(
        "sighting",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=True),
        sa.Column("event", sa.String(length=24), nullable=False),
        sa.Column("about", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name=op.f("fk_sighting_instance_id")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_sighting_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sighting")),
        sa.UniqueConstraint("key", name=op.f("uq_sighting_key")),
    )
    with op.batch_alter_table("sighting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sighting_about"), ["about"], unique=False)
        batch_op.create_index(batch_op.f("ix_sighting_instance_id"), ["instance_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sighting_study_id"), ["study_id"], unique=False)
