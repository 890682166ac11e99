"""What was promised and by whom: commitments that we asked for, those that others ask of us, and gaps in our books."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Enum, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.tables import Base


class Asked(StrEnum):
    """What became of our question whether one object is committed (PS3.4 J.3)."""

    ASKED = "ASKED"  # the N-ACTION is out, or may be; no report yet
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"  # with a reason
    SPENT = "SPENT"  # nothing more is expected of it: it was refused, or its answer was acted on


class Commitment(Base):
    """One object of one storage commitment transaction of ours, written before the N-ACTION leaves."""

    __tablename__ = "commitment"
    __table_args__ = (UniqueConstraint("transaction_uid", "delivery_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(64))
    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"), index=True)
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    state: Mapped[Asked] = mapped_column(
        Enum(Asked, native_enum=False, length=24, values_callable=lambda kind: [one.value for one in kind])
    )
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    failure_reason: Mapped[int | None]  # (0008,1197), PS3.3 C.14.1.1


class CommitmentRequest(Base):
    """One storage commitment transaction that a peer asked us for, until it took our report or we gave that up."""

    __tablename__ = "commitment_request"
    __table_args__ = (
        UniqueConstraint("transaction_uid", "calling_ae_title"),
        Index("ix_commitment_request_due", "reported_at", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(64))
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    called_ae_title: Mapped[str] = mapped_column(String(16))
    requested_at: Mapped[datetime]
    instances: Mapped[str] = mapped_column(Text)  # JSON: [[SOP Class UID, SOP Instance UID], ...]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    reported_at: Mapped[datetime | None]  # or given up: `last_error` says why it could not be told
    failures: Mapped[int] = mapped_column(default=0)  # instances that were not committed
    last_error: Mapped[str] = mapped_column(Text, default="")


class Reconciliation(Base):
    """One comparison of a peer's day with our books."""

    __tablename__ = "reconciliation"
    __table_args__ = (Index("ix_reconciliation_newest", "peer", "day"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    peer: Mapped[str] = mapped_column(String(64))
    day: Mapped[str] = mapped_column(String(10))  # Study Date, ISO
    asked_at: Mapped[datetime]
    found: Mapped[int] = mapped_column(default=0)  # chest films there, as studies
    missing: Mapped[int] = mapped_column(default=0)  # of these, not here
    trouble: Mapped[str] = mapped_column(Text, default="")  # why it could not be asked; empty where it answered


class Gap(Base):
    """One study that a peer has and we do not, until it came."""

    __tablename__ = "gap"
    __table_args__ = (UniqueConstraint("peer", "study_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    peer: Mapped[str] = mapped_column(String(64))
    day: Mapped[str] = mapped_column(String(10))
    study_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    modality: Mapped[str] = mapped_column(String(16), default="")
    instances: Mapped[int] = mapped_column(default=0)  # as the peer says; 0: it does not
    seen_at: Mapped[datetime]
    asked_for_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None] = mapped_column(index=True)  # it came, or is not there any more
    last_error: Mapped[str] = mapped_column(Text, default="")
