"""What raters did, in a database of its own: who grades, in which order, and every grade that was ever given."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dicom_node.database import UTCDateTime

LONGEST_NAME: Final = 64
LONGEST_COMMENT: Final = 2000


class Grade(StrEnum):
    """How acceptable a report is (Lee et al., European Radiology 2025): A and B are a success."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"

    @property
    def is_success(self) -> bool:
        """Acceptable as it is, or after a minor revision."""
        return self in {Grade.A, Grade.B}


GRADE_WORDS: Final = MappingProxyType(
    {
        Grade.A: "Acceptable as it is",
        Grade.B: "Acceptable after minor revision",
        Grade.C: "Major revision needed",
        Grade.D: "Unacceptable",
    }
)


class Base(DeclarativeBase):
    """Tables of a reader study; they lie in no other database."""


class Origin(Base):
    """One row: the package that these grades are about."""

    __tablename__ = "origin"

    id: Mapped[int] = mapped_column(primary_key=True)
    package_digest: Mapped[str] = mapped_column(String(64))


class Rater(Base):
    """Who grades. Links and sessions are kept as SHA-256 only; an empty one opens nothing."""

    __tablename__ = "rater"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_NAME), unique=True)
    link_digest: Mapped[str] = mapped_column(String(64), default="")
    session_digest: Mapped[str] = mapped_column(String(64), default="")
    added_at: Mapped[datetime] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)


class Turn(Base):
    """One report in the order of one rater, with the grade that counts. version: of the grade, 0: none yet.

    seconds: that the page was in sight, all visits together that ended with a grade.
    """

    __tablename__ = "turn"
    __table_args__ = (UniqueConstraint("rater_id", "item"), CheckConstraint("grade IN ('', 'A', 'B', 'C', 'D')"))

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)  # from 1
    item: Mapped[str] = mapped_column(String(16))
    grade: Mapped[str] = mapped_column(String(1), default="")
    comment: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)
    shown_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    graded_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)


class Given(Base):
    """A grade as it was given; rows go only with their rater, which an `Act` tells of."""

    __tablename__ = "given"

    id: Mapped[int] = mapped_column(primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"))
    position: Mapped[int]
    version: Mapped[int]
    grade: Mapped[str] = mapped_column(String(1))
    comment: Mapped[str] = mapped_column(Text)
    seconds: Mapped[float]
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class What(StrEnum):
    """What an investigator did that whoever reads the result should know."""

    REMOVED = "removed"  # a rater with grades: they are gone, that they were given is not
    REOPENED = "reopened"  # one who had finished
    SHOWN = "shown"  # the result


class Act(Base):
    """Something that an investigator did; rows are only ever added. graded: how many grades there were."""

    __tablename__ = "act"

    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(LONGEST_NAME), default="")
    graded: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class Place(Base):
    """One row: how the links of raters began last."""

    __tablename__ = "place"

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(Text)
