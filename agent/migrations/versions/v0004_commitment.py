"""Commitments asked for and given, and what reconciliation found missing; switches may name a peer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import dicom_node.database

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _create_commitment_request()
    _create_gap()
    _create_reconciliation()
    _create_commitment()
    with op.batch_alter_table("switch", schema=None) as batch_op:
        batch_op.alter_column(
            "name", existing_type=sa.VARCHAR(length=32), type_=sa.String(length=96), existing_nullable=False
        )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("switch", schema=None) as batch_op:
        batch_op.alter_column(
            "name", existing_type=sa.String(length=96), type_=sa.VARCHAR(length=32), existing_nullable=False
        )

    with op.batch_alter_table("commitment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_commitment_delivery_id"))

    op.drop_table("commitment")
    with op.batch_alter_table("reconciliation", schema=None) as batch_op:
        batch_op.drop_index("ix_reconciliation_newest")

    op.drop_table("reconciliation")
    with op.batch_alter_table("gap", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gap_study_instance_uid"))
        batch_op.drop_index(batch_op.f("ix_gap_closed_at"))

    op.drop_table("gap")
    with op.batch_alter_table("commitment_request", schema=None) as batch_op:
        batch_op.drop_index("ix_commitment_request_due")

    op.drop_table("commitment_request")


def _create_commitment_request() -> None:
    op.create_table(
        "commitment_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("called_ae_title", sa.String(length=16), nullable=False),
        sa.Column("requested_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("instances", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("reported_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_request")),
        sa.UniqueConstraint("transaction_uid", "calling_ae_title", name=op.f("uq_commitment_request_transaction_uid")),
    )
    with op.batch_alter_table("commitment_request", schema=None) as batch_op:
        batch_op.create_index("ix_commitment_request_due", ["reported_at", "next_attempt_at"], unique=False)


def _create_gap() -> None:
    op.create_table(
        "gap",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("seen_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("asked_for_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("closed_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gap")),
        sa.UniqueConstraint("peer", "study_instance_uid", name=op.f("uq_gap_peer")),
    )
    with op.batch_alter_table("gap", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gap_closed_at"), ["closed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_gap_study_instance_uid"), ["study_instance_uid"], unique=False)


def _create_reconciliation() -> None:
    op.create_table(
        "reconciliation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("asked_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation")),
    )
    with op.batch_alter_table("reconciliation", schema=None) as batch_op:
        batch_op.create_index("ix_reconciliation_newest", ["peer", "day"], unique=False)


def _create_commitment() -> None:
    op.create_table(
        "commitment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum("ASKED", "COMMITTED", "FAILED", "SPENT", name="asked", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("asked_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("answered_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("failure_reason", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("fk_commitment_delivery_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment")),
        sa.UniqueConstraint("transaction_uid", "delivery_id", name=op.f("uq_commitment_transaction_uid")),
    )
    with op.batch_alter_table("commitment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_commitment_delivery_id"), ["delivery_id"], unique=False)
