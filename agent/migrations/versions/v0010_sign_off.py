"""What sign-off keeps: working copies, who saw the film, what was signed, what was decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import dicom_node.database

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _make_decision()
    _make_film_shown()
    _make_signed_document()
    _make_working_copy()


def downgrade() -> None:
    """Take back."""
    op.drop_table("working_copy")
    op.drop_table("signed_document")
    op.drop_table("film_shown")
    op.drop_table("decision")


def _make_decision() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("report_id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column(
            "verdict",
            sa.Enum("accepted", "minor", "major", "rejected", name="verdict", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("words_drafted", sa.Integer(), nullable=False),
        sa.Column("words_signed", sa.Integer(), nullable=False),
        sa.Column("words_changed", sa.Integer(), nullable=False),
        sa.Column("drafted", sa.Text(), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.Column("received_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("drafted_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("opened_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("decided_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("reader", sa.String(length=128), nullable=False),
        sa.Column("reader_digest", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=128), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("withdrawn_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_decision_report_id")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_decision_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
        sa.UniqueConstraint("report_id", name=op.f("uq_decision_report_id")),
    )
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_decision_decided_at"), ["decided_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_decision_verdict"), ["verdict"], unique=False)


def _make_film_shown() -> None:
    op.create_table(
        "film_shown",
        sa.Column("report_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_film_shown_report_id")),
        sa.PrimaryKeyConstraint("report_id", "user_id", name=op.f("pk_film_shown")),
    )


def _make_signed_document() -> None:
    op.create_table(
        "signed_document",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("report_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("attested", "signed", "cosigned", "addendum", name="signedkind", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("identifier", sa.String(length=64), nullable=False),
        sa.Column("scheme", sa.String(length=16), nullable=False),
        sa.Column("may_verify", sa.Boolean(), nullable=False),
        sa.Column("at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("predecessor_id", sa.Integer(), nullable=True),
        sa.Column("ended_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["predecessor_id"], ["signed_document.id"], name=op.f("fk_signed_document_predecessor_id")
        ),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_signed_document_report_id")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_signed_document_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signed_document")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_signed_document_sop_instance_uid")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_signed_document_study_id")),
    )
    with op.batch_alter_table("signed_document", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_signed_document_report_id"), ["report_id"], unique=False)


def _make_working_copy() -> None:
    op.create_table(
        "working_copy",
        sa.Column("report_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("impression", sa.Text(), nullable=False),
        sa.Column("chips", sa.Text(), nullable=False),
        sa.Column("edited_by", sa.String(length=64), nullable=False),
        sa.Column("edited_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("holder_id", sa.Integer(), nullable=True),
        sa.Column("holder_login", sa.String(length=64), nullable=False),
        sa.Column("holder_name", sa.Text(), nullable=False),
        sa.Column("held_since", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("heard_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("first_opened_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("offered_to", sa.Integer(), nullable=True),
        sa.Column("identity", sa.String(length=24), nullable=False),
        sa.Column("identity_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_working_copy_report_id")),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_working_copy")),
    )
