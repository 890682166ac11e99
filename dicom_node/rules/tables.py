"""The tables of rules, of what was decided by them, and of what peers told about the completeness of studies."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.tables import Base


class Late(StrEnum):
    """What becomes of an image that comes after its study was complete."""

    NEVER = "never"  # kept and booked; nothing is read again
    REPLACE = "replace"  # revision + 1 with all images; its draft replaces the older one
    ADD = "add"  # revision + 1 with the late images only, once the older draft is out; both stand


class Trigger(StrEnum):
    """What said that no more images are expected."""

    QUIET = "quiet"  # nothing came for node.quiet_seconds
    DEADLINE = "deadline"  # open for node.deadline_seconds
    COUNT = "count"  # a peer that was asked has no more instances than we do
    COMMITMENT = "commitment"  # the sender asked us to keep all that it sent
    IAN = "ian"  # Instance Availability Notification: all instances that it names are here
    MPPS = "mpps"  # the modality's procedure step is COMPLETED, and all its instances are here
    ASSOCIATION = "association-end"  # the sender released the association that brought it
    PERSON = "person"


class RuleRow(Base):
    """One rule as it is in force. What it was before stands in the audit trail."""

    __tablename__ = "rule"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    position: Mapped[int]  # rules are asked in this order; the first one that matches decides
    version: Mapped[int] = mapped_column(default=1)  # counts the changes
    enabled: Mapped[bool] = mapped_column(default=True)
    form: Mapped[str] = mapped_column(Text)  # JSON of `forms.Rule`
    changed_at: Mapped[datetime]
    changed_by: Mapped[str] = mapped_column(String(64))


class Routing(Base):
    """How a study revision came to be complete, and what was decided about it then."""

    __tablename__ = "routing"

    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id", ondelete="CASCADE"), primary_key=True)
    completed_by: Mapped[str] = mapped_column(String(24), default="")  # a `Trigger`; empty: not yet
    decided_at: Mapped[datetime | None] = mapped_column(index=True)  # empty: not claimable, somebody must decide
    rule: Mapped[str] = mapped_column(String(64), default="")  # empty: none matched
    rule_version: Mapped[int] = mapped_column(default=0)
    reader: Mapped[str] = mapped_column(String(64), default="")  # empty: any
    priority_from: Mapped[str] = mapped_column(String(16), default="")  # rule, header or default
    destinations: Mapped[str] = mapped_column(Text, default="")  # JSON: name to mode; empty: as registered
    late: Mapped[str] = mapped_column(String(16), default="")  # a `Late`; empty: node.late_images
    beside: Mapped[bool] = mapped_column(default=False)  # reads only what came with it; older drafts stand
    no_rules: Mapped[bool] = mapped_column(default=False)  # a person wanted it read without rules
    remarks: Mapped[str] = mapped_column(Text, default="[]")  # JSON: why rules could not be asked; no patient


class Signal(Base):
    """A peer told of a study that it is whole: which objects it has. It may come before the first of them."""

    __tablename__ = "signal"
    __table_args__ = (Index("ix_signal_open", "study_instance_uid", "used_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64))
    trigger: Mapped[str] = mapped_column(String(24))  # a `Trigger`
    peer: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    instances: Mapped[str] = mapped_column(Text)  # JSON: SOP Instance UIDs that belong to it
    used_at: Mapped[datetime | None]  # when it completed a study, or was older than that


class PerformedStep(Base):
    """A Modality Performed Procedure Step (PS3.4 F.7) that a modality told of, while it goes on."""

    __tablename__ = "performed_step"

    sop_instance_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))  # IN PROGRESS, COMPLETED, DISCONTINUED
    instances: Mapped[str] = mapped_column(Text, default="[]")  # JSON: SOP Instance UIDs of its images
    peer: Mapped[str] = mapped_column(String(16))
    begun_at: Mapped[datetime]
    changed_at: Mapped[datetime]
