"""What a peer may do and from where, which of our AE titles was called, and who was turned away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import dicom_node.database

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OF_PEERS = (
    ("may_verify", sa.Boolean(), sa.true()),
    ("may_query", sa.Boolean(), sa.false()),
    ("own_ae_title", sa.String(length=16), ""),
    ("calls_from", sa.Text(), ""),
    ("maximum_associations", sa.Integer(), "0"),
    ("tls", sa.Boolean(), sa.false()),
    ("tls_name", sa.String(length=255), ""),
    ("must_use_tls", sa.Boolean(), sa.false()),
)


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("remote_ae", schema=None) as batch_op:
        for name, kind, default in _OF_PEERS:
            batch_op.add_column(sa.Column(name, kind, nullable=False, server_default=default))
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.add_column(sa.Column("called_ae_title", sa.String(length=16), nullable=False, server_default=""))
    op.create_table(
        "refused_caller",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("called_ae_title", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("last_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_caller")),
        sa.UniqueConstraint(
            "calling_ae_title", "called_ae_title", "address", "code", name=op.f("uq_refused_caller_calling_ae_title")
        ),
    )
    with op.batch_alter_table("refused_caller", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_refused_caller_last_at"), ["last_at"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("refused_caller", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_refused_caller_last_at"))
    op.drop_table("refused_caller")
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.drop_column("called_ae_title")
    with op.batch_alter_table("remote_ae", schema=None) as batch_op:
        for name, _kind, _default in reversed(_OF_PEERS):
            batch_op.drop_column(name)
