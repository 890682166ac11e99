"""How far each FHIR server was asked for signed reports: a row for each, so that a restart goes on where it was."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from dicom_node.tables import Base
from dicom_node.worklist.turns import take_turn


class Watch(Base):
    """One server that is asked, by the name of its destination.

    until: a Last Updated of the server, never later than our own clock: what changed after it is still to be heard.
    """

    __tablename__ = "watch"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    until: Mapped[datetime]
    heard_at: Mapped[datetime | None]  # when it last answered to the end
    failing_since: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(Text, default="")  # a sentence, without a value of an answer


def cursor(tx: Session, name: str, *, otherwise: datetime) -> datetime:
    """From when on a server is asked; `otherwise` where it never was."""
    row = tx.get(Watch, name)
    return otherwise if row is None else row.until


def advance(tx: Session, name: str, until: datetime, now: datetime) -> None:
    """Everything up to a moment was heard; a stamp of the future is not believed, and nothing goes back."""
    row = _row(tx, name, min(until, now))
    row.until = max(row.until, min(until, now))


def succeed(tx: Session, name: str, until: datetime, now: datetime) -> None:
    """It answered to the end."""
    advance(tx, name, until, now)
    row = _row(tx, name, now)
    row.heard_at, row.failing_since, row.last_error = now, None, ""


def fail(tx: Session, name: str, until: datetime, error: str, now: datetime) -> bool:
    """It did not; True where it did the time before. until: as for `cursor`, for one that was never heard."""
    row = _row(tx, name, until)
    began = row.failing_since is None
    row.failing_since, row.last_error = row.failing_since or now, error
    return began


def _row(tx: Session, name: str, until: datetime) -> Watch:
    take_turn(tx, "watch")  # several dispatchers do no harm
    row = tx.get(Watch, name)
    if row is None:
        row = Watch(name=name, until=until, heard_at=None, failing_since=None, last_error="")
        tx.add(row)
    return row
