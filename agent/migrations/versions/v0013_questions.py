"""Questions about films, with the answers of the reader."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import dicom_node.database

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "question",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("film_digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("waiting", "answering", "answered", "failed", name="answerstate", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("reader", sa.String(length=128), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("asked_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_question_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_question")),
    )
    op.create_index(op.f("ix_question_study_id"), "question", ["study_id"], unique=False)
    op.create_index(op.f("ix_question_state"), "question", ["state"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_table("question")
