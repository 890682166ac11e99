"""The report table, what was seen of its study elsewhere, and the transitions of a report as data."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Enum, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.tables import Base


class ReportState(StrEnum):
    """Where a report stands between the machine's draft and a person's signature."""

    DRAFT = "DRAFT"
    AWAITING_SECOND = "AWAITING SECOND"
    VERIFIED = "VERIFIED"
    REJECTED = "REJECTED"
    SUPERSEDED = "SUPERSEDED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"


REPORT_TRANSITIONS = frozenset(
    {
        (ReportState.DRAFT, ReportState.AWAITING_SECOND),
        (ReportState.DRAFT, ReportState.VERIFIED),
        (ReportState.DRAFT, ReportState.REJECTED),
        (ReportState.DRAFT, ReportState.SUPERSEDED),
        (ReportState.DRAFT, ReportState.EXPIRED),
        (ReportState.DRAFT, ReportState.WITHDRAWN),
        (ReportState.AWAITING_SECOND, ReportState.VERIFIED),
        (ReportState.AWAITING_SECOND, ReportState.DRAFT),
        (ReportState.VERIFIED, ReportState.WITHDRAWN),
    }
)
ENDED = frozenset({ReportState.REJECTED, ReportState.SUPERSEDED, ReportState.EXPIRED, ReportState.WITHDRAWN})


class Event(StrEnum):
    """What can happen to a report; `reports.life.RULES` says what follows. The books show these words as reasons."""

    DRAFTED = "drafted"
    ATTESTED = "attested"
    SENT_BACK = "sent-back"
    SIGNED = "signed"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    FINAL_ELSEWHERE = "final-elsewhere"
    SIGNED_ALREADY = "signed-already"
    WITHDRAWN = "withdrawn"
    WITHDRAWN_FOR_SAFETY = "withdrawn-for-safety"
    CANCELED = "canceled-at-pacs"
    CANCELED_FOR_SAFETY = "canceled-for-safety"
    PATIENT_CHANGED = "patient-changed"
    REJECTED = "rejected"
    REJECTED_FOR_SAFETY = "rejected-for-safety"


class Report(Base):
    """One report of one study revision. The document itself lies in the store under `digest`."""

    __tablename__ = "report"
    __table_args__ = (Index("ix_report_open", "taken_back_at", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"), unique=True)
    state: Mapped[ReportState] = mapped_column(
        Enum(ReportState, native_enum=False, length=24, values_callable=lambda kind: [member.value for member in kind])
    )
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    digest: Mapped[str] = mapped_column(String(64))  # of the document in the store
    film_digest: Mapped[str] = mapped_column(String(64))  # of the instance that was read
    second_film_digest: Mapped[str] = mapped_column(String(64), default="")  # of a second one; mostly there is none
    reader: Mapped[str] = mapped_column(String(128))  # name, version and precision, for people
    reader_digest: Mapped[str] = mapped_column(String(64))
    generation: Mapped[str] = mapped_column(Text)  # how the tokens were chosen, in words
    drafted_at: Mapped[datetime]
    changed_at: Mapped[datetime]  # of the last change of state
    event: Mapped[str] = mapped_column(String(24))  # what changed it last: an `Event`
    explanation: Mapped[str] = mapped_column(Text, default="")  # a person's sentence; no patient, no report text
    taken_back_at: Mapped[
        datetime | None
    ]  # of an ended one: all that has to be sent for that is queued; of a signed one: the notes that hide its draft are

    @property
    def films(self) -> tuple[str, ...]:
        """Digests of the instances that were read."""
        return tuple(digest for digest in (self.film_digest, self.second_film_digest) if digest)


class Sighting(Base):
    """What was seen of a study elsewhere: a signed report, a rejection of images, a change of the patient.

    Every object that is no image gets one row when it was looked at, so that none is looked at twice.
    """

    __tablename__ = "sighting"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)  # digest of what was seen: a resend adds nothing
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), index=True)  # None: it has not come yet
    event: Mapped[str] = mapped_column(String(24), default="")  # an `Event`; empty: it means nothing to us
    about: Mapped[str] = mapped_column(String(64), default="", index=True)  # a rejected image, or digest of a name
    source: Mapped[str] = mapped_column(String(64))  # AE title or HL7 sender
    at: Mapped[datetime]
    instance_id: Mapped[int | None] = mapped_column(ForeignKey("instance.id"), index=True)
