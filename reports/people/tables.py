"""Who may come in: accounts, their sessions, one-time links, tokens of programs, failed tries, and what was looked at.

No secret is kept as it is: passwords and PINs as argon2id, tokens and links (256 random bits each) as SHA-256.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Enum, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.tables import Base


class Purpose(StrEnum):
    """What a one-time link is for."""

    FIRST = "first"  # makes an administrator; has no account yet
    INVITE = "invite"
    RESET = "reset"


class Account(Base):
    """One person. Never deleted: signatures and the audit trail name it."""

    __tablename__ = "account"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(String(56), unique=True)  # casefolded; with `person:` it fits an audit row
    name: Mapped[str] = mapped_column(Text)  # DICOM Person Name, it stands in signed documents
    organization: Mapped[str] = mapped_column(String(64), default="")
    identifier: Mapped[str] = mapped_column(String(64), default="")  # staff number
    scheme: Mapped[str] = mapped_column(String(16), default="")  # whose numbers they are: Coding Scheme Designator
    roles: Mapped[str] = mapped_column(String(128))  # with commas, sorted
    password: Mapped[str] = mapped_column(Text, default="")  # argon2id, PHC string; empty: none yet, or by provider
    pin: Mapped[str] = mapped_column(Text, default="")  # the same
    issuer: Mapped[str | None] = mapped_column(Text)  # of OpenID Connect; with `subject` it names who signs in there
    subject: Mapped[str | None] = mapped_column(Text)
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class Attendance(Base):
    """A session: one browser in which a person has signed in. The row goes when it ends."""

    __tablename__ = "attendance"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  the number of one that ended names no other

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # of the token in the cookie
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    began_at: Mapped[datetime]
    ends_at: Mapped[datetime]  # whatever is done
    seen_at: Mapped[datetime]  # the last time that the person did something
    proven_at: Mapped[datetime]  # the last password, here or at the provider; long ago where that does not say
    wrong_pins: Mapped[int] = mapped_column(default=0)  # since then
    provider: Mapped[bool] = mapped_column(default=False)  # signed in at an OpenID provider


class OneTimeLink(Base):
    """A link with which a person sets a password."""

    __tablename__ = "one_time_link"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[Purpose] = mapped_column(
        Enum(Purpose, native_enum=False, length=8, values_callable=lambda kind: [member.value for member in kind])
    )
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ApiToken(Base):
    """What a program shows in place of a sign-in."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(String(56), unique=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(String(128))  # rights, with commas, sorted
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]


class FailedTries(Base):
    """Sign-ins that failed, by what they have in common. What was typed cannot be found out from the key."""

    __tablename__ = "failed_tries"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime]


class StudyView(Base):
    """The last time that a session's look at a study went into the audit trail."""

    __tablename__ = "study_view"

    viewer: Mapped[str] = mapped_column(String(80), primary_key=True)
    study_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    what: Mapped[str] = mapped_column(String(16), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
