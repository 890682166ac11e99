"""The audit trail, searched: by study, person, event and time; a page of it, or all of it in small reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from dicom_node.database import Database
from dicom_node.errors import ConfigurationError
from dicom_node.tables import AuditRow, Study
from reports.web import spreadsheet

PAGE: Final = 100
_AT_ONCE: Final = 500
HEADER: Final = ("number", "time", "who", "event", "study", "detail", "sealed_as", "seal")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for; empty texts: everything. before: only rows older than this number."""

    study: str = ""
    who: str = ""
    event: str = ""
    since: str = ""  # 2026-11-22, or 2026-11-22T14:05, in UTC
    until: str = ""
    before: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Wish:
        """As an address or a form says it; what is no number of a row is passed over."""
        before = asked.get("before", "")
        return cls(
            **{name: asked.get(name, "").strip()[:64] for name in ("study", "who", "event", "since", "until")},
            before=int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None,
        )

    @property
    def filters(self) -> dict[str, str]:
        """What is set, without the place in the list."""
        names = ("study", "who", "event", "since", "until")
        return {name: value for name in names if (value := getattr(self, name))}


def newest(tx: Session, wish: Wish, page: int = PAGE) -> Sequence[AuditRow]:
    """One row more than a page, the newest first. Raises ConfigurationError: a time that is none."""
    chosen = _chosen(tx, wish)
    if wish.before is not None:
        chosen = chosen.where(AuditRow.id < wish.before)
    return tx.scalars(chosen.order_by(AuditRow.id.desc()).limit(page + 1)).all()


def count(tx: Session, wish: Wish) -> int:
    """How many rows there are. Raises ConfigurationError."""
    return tx.scalar(select(func.count()).select_from(_chosen(tx, wish).subquery())) or 0


def everything(database: Database, wish: Wish, last: int) -> Iterator[AuditRow]:
    """All rows up to number `last`, the oldest first, read in small pieces: no view stays open while somebody loads."""
    after = 0
    while True:
        with database.read() as tx:
            wanted = _chosen(tx, wish).where(AuditRow.id > after, AuditRow.id <= last)
            rows = tx.scalars(wanted.order_by(AuditRow.id).limit(_AT_ONCE)).all()
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1].id


def events(tx: Session) -> list[str]:
    """Every kind of event that was ever written, by name."""
    return list(tx.scalars(select(AuditRow.event).distinct().order_by(AuditRow.event)))


def last_number(tx: Session) -> int:
    """The number of the newest row; 0 where there is none."""
    return tx.scalar(select(func.max(AuditRow.id))) or 0


def unsealed(tx: Session) -> int:
    """Rows that `dispatch` has not sealed yet."""
    return tx.scalar(select(func.count(AuditRow.id)).where(AuditRow.sealed_as.is_(None))) or 0


def as_csv(rows: Iterator[AuditRow]) -> Iterator[str]:
    """A spreadsheet, line by line."""
    yield spreadsheet.BYTE_ORDER_MARK + spreadsheet.line(HEADER)
    for row in rows:
        yield spreadsheet.line(
            (row.id, row.at, row.actor, row.event, row.study_id, row.detail, row.sealed_as, row.seal)
        )


def as_json_lines(rows: Iterator[AuditRow]) -> Iterator[str]:
    """One JSON object a line."""
    for row in rows:
        plain = (
            row.id,
            row.at.astimezone(UTC).isoformat(),
            row.actor,
            row.event,
            row.study_id,
            json.loads(row.detail),
            row.sealed_as,
            row.seal,
        )
        yield json.dumps(dict(zip(HEADER, plain, strict=True)), ensure_ascii=False) + "\n"


def _chosen(tx: Session, wish: Wish) -> Select[AuditRow]:
    conditions: list[ColumnElement[bool]] = []
    if wish.study:
        conditions.append(AuditRow.study_id.in_(_studies(tx, wish.study)))
    if wish.who:
        conditions.append(AuditRow.actor.contains(wish.who, autoescape=True))
    if wish.event:
        conditions.append(AuditRow.event == wish.event)
    if wish.since:
        conditions.append(AuditRow.at >= _moment(wish.since))
    if wish.until:
        conditions.append(AuditRow.at < _end(wish.until))
    return select(AuditRow).where(*conditions)


def _studies(tx: Session, key: str) -> list[int]:
    """Our number, an accession number or a Study Instance UID."""
    number = key.removeprefix("#")
    matches = or_(Study.accession_number == key, Study.study_instance_uid == key)
    if number.isascii() and number.isdecimal() and len(number) < 10:
        matches = or_(matches, Study.id == int(number))
    return list(tx.scalars(select(Study.id).where(matches)))


def _moment(text: str) -> datetime:
    """Raises ConfigurationError."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"{text!r} is no time: write 2026-11-22 or 2026-11-22T14:05, in UTC") from error


def _end(text: str) -> datetime:
    """Until a day means to its end, until a minute the same. Raises ConfigurationError."""
    try:
        return _moment(text) + (timedelta(days=1) if len(text) <= 10 else timedelta(minutes=1))
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
