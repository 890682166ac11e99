"""What sign-off keeps: the text as it is being edited, who was shown the film, what was signed, what was decided.

The working copy holds the words of a report and is emptied when it is signed. No other table here has a word of it,
and none has anything of a patient.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Enum, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.tables import Base

SILENCE: Final = timedelta(minutes=2)  # of the one who has it open, until somebody else may take it


class Identity(StrEnum):
    """What the check against the PACS said of the study's patient."""

    SAME = "same"  # a destination has the study, with the same patient and order
    DIFFERS = "differs"
    UNKNOWN = "unknown"  # it was asked, and did not say or does not know the study
    NOBODY = "nobody-to-ask"  # no destination can be asked


class SignedKind(StrEnum):
    """What a signature made."""

    ATTESTED = "attested"  # waits for a second person; nothing leaves for it
    SIGNED = "signed"
    COSIGNED = "cosigned"  # verified by two people
    ADDENDUM = "addendum"


class Verdict(StrEnum):
    """What a person made of the draft. deploy/docs/signoff.md has the rule."""

    ACCEPTED = "accepted"  # not a word changed
    MINOR = "minor"
    MAJOR = "major"
    REJECTED = "rejected"


def _words(kind: type[StrEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=24, values_callable=lambda one: [member.value for member in one])


class WorkingCopy(Base):
    """The text of one report between draft and signature. No row: nobody has opened it yet."""

    __tablename__ = "working_copy"

    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), primary_key=True)
    version: Mapped[int] = mapped_column(default=1)  # counts changes of text, chips and holder by take-over
    findings: Mapped[str] = mapped_column(Text, default="")  # both empty: the draft as it was written
    impression: Mapped[str] = mapped_column(Text, default="")
    chips: Mapped[str] = mapped_column(Text, default="{}")  # JSON: label to state, those that a person has set
    edited_by: Mapped[str] = mapped_column(String(64), default="")  # login
    edited_at: Mapped[datetime | None]
    holder_id: Mapped[int | None]  # user who has it open
    holder_login: Mapped[str] = mapped_column(String(64), default="")
    holder_name: Mapped[str] = mapped_column(Text, default="")
    held_since: Mapped[datetime | None]  # where nobody has it: since when it is offered
    heard_at: Mapped[datetime | None]  # last heartbeat of the holder
    first_opened_at: Mapped[datetime | None]
    offered_to: Mapped[int | None]  # user to whom it was handed over, until anybody opens it
    identity: Mapped[str] = mapped_column(String(24), default="")  # an `Identity`; empty: not checked
    identity_at: Mapped[datetime | None]


class FilmShown(Base):
    """The film of a report was displayed to a person, since that person opened it last."""

    __tablename__ = "film_shown"

    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]


class SignedDocument(Base):
    """One signature and the document that it made, as it is kept; destinations may have an edition of their own."""

    __tablename__ = "signed_document"
    __table_args__ = (UniqueConstraint("study_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), index=True)
    number: Mapped[int]  # among the signatures of the study, from 1; Instance Number of the document
    kind: Mapped[SignedKind] = mapped_column(_words(SignedKind))
    digest: Mapped[str] = mapped_column(String(64))  # in the store; of what was attested: its words as JSON
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int]
    login: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Text)  # of the person who signed; DICOM Person Name
    organization: Mapped[str] = mapped_column(String(64))
    identifier: Mapped[str] = mapped_column(String(64), default="")
    scheme: Mapped[str] = mapped_column(String(16), default="")
    may_verify: Mapped[bool]  # False: of a trainee
    at: Mapped[datetime]
    predecessor_id: Mapped[int | None] = mapped_column(ForeignKey("signed_document.id"))
    ended_at: Mapped[datetime | None]  # sent back, lapsed or withdrawn


class Decision(Base):
    """What a person made of one draft, in numbers: what a quality dashboard counts. No word of the report."""

    __tablename__ = "decision"

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), unique=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    verdict: Mapped[Verdict] = mapped_column(_words(Verdict), index=True)
    reason: Mapped[str] = mapped_column(String(32), default="")  # of a rejection
    words_drafted: Mapped[int]
    words_signed: Mapped[int] = mapped_column(default=0)
    words_changed: Mapped[int] = mapped_column(default=0)  # word edit distance between both
    drafted: Mapped[str] = mapped_column(Text, default="{}")  # JSON: label to state, by `reports.findings`
    signed: Mapped[str] = mapped_column(Text, default="{}")
    received_at: Mapped[datetime | None]  # the film that was read
    drafted_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]  # first, by anybody
    decided_at: Mapped[datetime] = mapped_column(index=True)
    reader: Mapped[str] = mapped_column(String(128))  # the model: name, version and precision
    reader_digest: Mapped[str] = mapped_column(String(64))
    device: Mapped[str] = mapped_column(String(128), default="")  # manufacturer and model of the film's device
    station: Mapped[str] = mapped_column(String(64), default="")  # Station Name of the film
    institution: Mapped[str] = mapped_column(String(64), default="")  # Institution Name of the film: the site
    user_id: Mapped[int]
    withdrawn_at: Mapped[datetime | None]  # the signed report was taken back later
