"""Who was turned away at the DICOM port, for the person who wonders why nothing comes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.tables import Base


class RefusedCaller(Base):
    """One pair of AE titles from one address, refused for one reason; counted, not listed."""

    __tablename__ = "refused_caller"
    __table_args__ = (UniqueConstraint("calling_ae_title", "called_ae_title", "address", "code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    called_ae_title: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(64))
    code: Mapped[str] = mapped_column(String(64))
    explanation: Mapped[str] = mapped_column(Text)  # with the likely cause, as in the log
    times: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
