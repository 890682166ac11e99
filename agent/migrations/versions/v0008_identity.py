"""Whether a peer is asked whose study it is before an object is sent there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("remote_ae", schema=None) as batch_op:
        batch_op.add_column(sa.Column("identity_check", sa.Boolean(), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("remote_ae", schema=None) as batch_op:
        batch_op.drop_column("identity_check")
