"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import dicom_node.database

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _create_audit()
    _create_destination()
    _create_process()
    _create_remote_ae()
    _create_study()
    _create_switch()
    _create_instance()
    _create_revision()
    _create_delivery()
    _create_reception()
    _create_workitem()


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("workitem", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_workitem_revision_id"))
        batch_op.drop_index("ix_workitem_due")

    op.drop_table("workitem")
    with op.batch_alter_table("reception", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reception_outcome"))

    op.drop_table("reception")
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_delivery_sop_instance_uid"))
        batch_op.drop_index(batch_op.f("ix_delivery_revision_id"))
        batch_op.drop_index("ix_delivery_due")
        batch_op.drop_index(batch_op.f("ix_delivery_device_uid"))

    op.drop_table("delivery")
    with op.batch_alter_table("revision", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_revision_book"))

    op.drop_table("revision")
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_instance_study_id"))

    op.drop_table("instance")
    op.drop_table("switch")
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_study_state"))
        batch_op.drop_index(batch_op.f("ix_study_accession_number"))

    op.drop_table("study")
    op.drop_table("remote_ae")
    op.drop_table("process")
    op.drop_table("destination")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_study_id"))
        batch_op.drop_index(batch_op.f("ix_audit_event"))

    op.drop_table("audit")


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=48), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("seal", sa.String(length=64), nullable=False),
        sa.Column("sealed_as", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sa.UniqueConstraint("sealed_as", name=op.f("uq_audit_sealed_as")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_event"), ["event"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_study_id"), ["study_id"], unique=False)


def _create_destination() -> None:
    op.create_table(
        "destination",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column(
            "way",
            sa.Enum("dimse", "stow", "mllp", "fhir", "webhook", name="way", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column(
            "mode", sa.Enum("draft", "hold", "shadow", name="mode", native_enum=False, length=24), nullable=False
        ),
        sa.Column(
            "proof", sa.Enum("query", "acknowledgement", name="proof", native_enum=False, length=24), nullable=False
        ),
        sa.Column("objects", sa.Text(), nullable=False),
        sa.Column("notices", sa.Boolean(), nullable=False),
        sa.Column("credential", sa.String(length=64), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destination")),
        sa.UniqueConstraint("name", name=op.f("uq_destination_name")),
    )


def _create_process() -> None:
    op.create_table(
        "process",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("beat_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_process")),
    )


def _create_remote_ae() -> None:
    op.create_table(
        "remote_ae",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("may_send", sa.Boolean(), nullable=False),
        sa.Column("send_to", sa.Boolean(), nullable=False),
        sa.Column(
            "mode", sa.Enum("draft", "hold", "shadow", name="mode", native_enum=False, length=24), nullable=False
        ),
        sa.Column(
            "proof", sa.Enum("query", "acknowledgement", name="proof", native_enum=False, length=24), nullable=False
        ),
        sa.Column("objects", sa.Text(), nullable=False),
        sa.Column("notices", sa.Boolean(), nullable=False),
        sa.Column("probed", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remote_ae")),
        sa.UniqueConstraint("ae_title", name=op.f("uq_remote_ae_ae_title")),
    )


def _create_study() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "state", sa.Enum("RECEIVING", "COMPLETE", name="studystate", native_enum=False, length=24), nullable=False
        ),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer_of_patient_id", sa.Text(), nullable=False),
        sa.Column("accession_number", sa.String(length=64), nullable=False),
        sa.Column("hold_reason", sa.String(length=64), nullable=False),
        sa.Column("first_received_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("last_received_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("completed_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
        sa.UniqueConstraint("study_instance_uid", name=op.f("uq_study_study_instance_uid")),
    )
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_study_accession_number"), ["accession_number"], unique=False)
        batch_op.create_index(batch_op.f("ix_study_state"), ["state"], unique=False)


def _create_switch() -> None:
    op.create_table(
        "switch",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("on", sa.Boolean(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_switch")),
    )


def _create_instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer_of_patient_id", sa.Text(), nullable=False),
        sa.Column("accession_number", sa.String(length=64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "role", sa.Enum("image", "other", "set aside", name="role", native_enum=False, length=24), nullable=False
        ),
        sa.Column("conflict", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("received_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_instance_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
        sa.UniqueConstraint("sop_instance_uid", "digest", name=op.f("uq_instance_sop_instance_uid")),
    )
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instance_conflict"), ["conflict"], unique=False)
        batch_op.create_index(batch_op.f("ix_instance_study_id"), ["study_id"], unique=False)


def _create_revision() -> None:
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "book",
            sa.Enum(
                "in flight",
                "awaiting sign-off",
                "delivered",
                "excluded",
                "dead-lettered",
                "closed undelivered",
                name="book",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("opened_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("closed_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("purged_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_revision_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_revision_study_id")),
    )
    with op.batch_alter_table("revision", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_revision_book"), ["book"], unique=False)


def _create_delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("revision_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        _kind_of_delivery(),
        _stage_of_delivery(),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("device_uid", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "QUEUED", "SENT", "COMMITTED", "FAILED", "CANCELED", name="deliverystate", native_enum=False, length=24
            ),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("resends", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("lease_until", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("claim_token", sa.String(length=32), nullable=False),
        sa.Column("claimed_by", sa.String(length=128), nullable=False),
        sa.Column("queued_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("sent_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("committed_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("proven_by", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["revision_id"], ["revision.id"], name=op.f("fk_delivery_revision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("destination", "sop_instance_uid", name=op.f("uq_delivery_destination")),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_delivery_device_uid"), ["device_uid"], unique=False)
        batch_op.create_index("ix_delivery_due", ["state", "next_attempt_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_delivery_revision_id"), ["revision_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_delivery_sop_instance_uid"), ["sop_instance_uid"], unique=False)


def _kind_of_delivery() -> sa.Column[str]:
    return sa.Column(
        "kind",
        sa.Enum(
            "basic-text",
            "tid1500",
            "kos",
            "pdf",
            "sc",
            "oru",
            "fhir",
            "outcome",
            name="kind",
            native_enum=False,
            length=24,
        ),
        nullable=False,
    )


def _stage_of_delivery() -> sa.Column[str]:
    return sa.Column(
        "stage",
        sa.Enum(
            "draft",
            "signed",
            "cosigned",
            "addendum",
            "notice",
            "rejection",
            "withdrawal",
            name="stage",
            native_enum=False,
            length=24,
        ),
        nullable=False,
    )


def _create_reception() -> None:
    op.create_table(
        "reception",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum("stored", "duplicate", "conflict", "quarantined", name="outcome", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name=op.f("fk_reception_instance_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reception")),
    )
    with op.batch_alter_table("reception", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reception_outcome"), ["outcome"], unique=False)


def _create_workitem() -> None:
    op.create_table(
        "workitem",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("revision_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED", name="workitemstate", native_enum=False, length=24
            ),
            nullable=False,
        ),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", dicom_node.database.UTCDateTime(timezone=True), nullable=False),
        sa.Column("lease_until", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("claim_token", sa.String(length=32), nullable=False),
        sa.Column("claimed_by", sa.String(length=128), nullable=False),
        sa.Column("hold_reason", sa.String(length=64), nullable=False),
        sa.Column("confirmed_by", sa.String(length=64), nullable=False),
        sa.Column("content_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("rung_at", dicom_node.database.UTCDateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["revision_id"], ["revision.id"], name=op.f("fk_workitem_revision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workitem")),
        sa.UniqueConstraint("uid", name=op.f("uq_workitem_uid")),
    )
    with op.batch_alter_table("workitem", schema=None) as batch_op:
        batch_op.create_index("ix_workitem_due", ["state", "priority", "next_attempt_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_workitem_revision_id"), ["revision_id"], unique=False)
