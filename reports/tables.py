"""The report table: what was drafted, and later what became of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Enum, ForeignKey, String, Text
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


class Report(Base):
    """One report of one study revision. The document itself lies in the store under `digest`."""

    __tablename__ = "report"

    id: Mapped[int] = mapped_column(primary_key=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"), unique=True)
    state: Mapped[ReportState] = mapped_column(
        Enum(ReportState, native_enum=False, length=24, values_callable=lambda kind: [member.value for member in kind])
    )
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    digest: Mapped[str] = mapped_column(String(64))  # of the document in the store
    film_digest: Mapped[str] = mapped_column(String(64))  # of the instance that was read
    reader: Mapped[str] = mapped_column(String(128))  # name, version and precision, for people
    reader_digest: Mapped[str] = mapped_column(String(64))
    generation: Mapped[str] = mapped_column(Text)  # how the tokens were chosen, in words
    drafted_at: Mapped[datetime]
