"""A peer has time-outs and a longest PDU of its own, and gives films by C-MOVE or C-GET."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_OF_PEERS = (
    ("dimse_timeout_seconds", sa.Integer(), "0"),
    ("idle_timeout_seconds", sa.Integer(), "0"),
    ("acse_timeout_seconds", sa.Integer(), "0"),
    ("maximum_pdu_size", sa.Integer(), "0"),
    ("retrieve", sa.Enum("move", "get", name="retrieve", native_enum=False, length=24), "move"),
)


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("remote_ae", schema=None) as batch_op:
        for name, kind, default in _OF_PEERS:
            batch_op.add_column(sa.Column(name, kind, nullable=False, server_default=default))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("remote_ae", schema=None) as batch_op:
        for name, _kind, _default in reversed(_OF_PEERS):
            batch_op.drop_column(name)
