"""Which destinations have named a study or film of ours: one that has it no more may have had it deleted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.tables import Base


class KnownStudy(Base):
    """A destination named this study in an answer at STUDY level (PS3.4 C.6.2.1)."""

    __tablename__ = "known_study"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True, autoincrement=False)
    destination: Mapped[str] = mapped_column(String(64), primary_key=True)
    named_at: Mapped[datetime]  # for the first time
    misses: Mapped[int] = mapped_column(default=0)  # answers without it, one after another, since it was last named
    missed_at: Mapped[datetime | None]  # when that was last counted


class KnownFilm(Base):
    """A destination named this image in an answer at IMAGE level (PS3.4 C.6.2.1)."""

    __tablename__ = "known_film"

    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), primary_key=True, autoincrement=False)
    destination: Mapped[str] = mapped_column(String(64), primary_key=True)
    misses: Mapped[int] = mapped_column(default=0)  # answers without it, one after another, since it last had it
    missed_at: Mapped[datetime | None]  # when that was last counted
