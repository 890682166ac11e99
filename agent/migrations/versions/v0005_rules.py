"""Rules, what was decided by them, and what peers tell about the completeness of studies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dicom_node.database import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("performed_step", "signal", "routing", "rule")


def upgrade() -> None:
    """Apply."""
    _make_rule()
    _make_routing()
    _make_signal()
    _make_performed_step()


def _make_rule() -> None:
    op.create_table(
        "rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("changed_at", UTCDateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule")),
        sa.UniqueConstraint("name", name=op.f("uq_rule_name")),
    )


def _make_routing() -> None:
    op.create_table(
        "routing",
        sa.Column("revision_id", sa.Integer(), nullable=False),
        sa.Column("completed_by", sa.String(length=24), nullable=False),
        sa.Column("decided_at", UTCDateTime(timezone=True), nullable=True),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("reader", sa.String(length=64), nullable=False),
        sa.Column("priority_from", sa.String(length=16), nullable=False),
        sa.Column("destinations", sa.Text(), nullable=False),
        sa.Column("late", sa.String(length=16), nullable=False),
        sa.Column("beside", sa.Boolean(), nullable=False),
        sa.Column("no_rules", sa.Boolean(), nullable=False),
        sa.Column("remarks", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["revision_id"], ["revision.id"], name=op.f("fk_routing_revision_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("revision_id", name=op.f("pk_routing")),
    )
    op.create_index(op.f("ix_routing_decided_at"), "routing", ["decided_at"])


def _make_signal() -> None:
    op.create_table(
        "signal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("trigger", sa.String(length=24), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("at", UTCDateTime(timezone=True), nullable=False),
        sa.Column("instances", sa.Text(), nullable=False),
        sa.Column("used_at", UTCDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal")),
    )
    op.create_index("ix_signal_open", "signal", ["study_instance_uid", "used_at"])


def _make_performed_step() -> None:
    op.create_table(
        "performed_step",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("instances", sa.Text(), nullable=False),
        sa.Column("peer", sa.String(length=16), nullable=False),
        sa.Column("begun_at", UTCDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", UTCDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid", name=op.f("pk_performed_step")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_routing_decided_at"), table_name="routing")
    op.drop_index("ix_signal_open", table_name="signal")
    for table in _TABLES:
        op.drop_table(table)
