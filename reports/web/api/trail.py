"""The operation on the audit trail. To read it is itself in it, as it is when it is taken out as a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, Field

from dicom_node import audit
from dicom_node.database import clock
from dicom_node.tables import AuditRow
from reports.web import trail
from reports.web.api.answers import Strict
from reports.web.api.operations import Asked
from reports.web.api.problems import Problem
from reports.web.doors import visitor_of
from reports.web.timeline import sentence

_TO_THE_MINUTE = "To the minute"


class AuditQuery(Strict):
    """Which rows, as on the page."""

    study: str = Field("", max_length=64, description="Number here, accession number or Study Instance UID")
    who: str = Field("", max_length=64, description="Part of the actor: person:kim, command:root, service:ris")
    event: str = Field("", max_length=64)
    since: AwareDatetime | None = Field(None, description=_TO_THE_MINUTE)
    until: AwareDatetime | None = Field(None, description=f"{_TO_THE_MINUTE}, which belongs to it")
    limit: int = Field(trail.PAGE, ge=1, le=1000)
    before: int | None = Field(None, ge=1, le=2**31 - 1, description="`next` of the page before")


class AuditAnswer(Strict):
    """One row. detail: no patient's name and no word of a report. sealed_as: place in the chain of seals."""

    number: int
    at: AwareDatetime
    who: str
    event: str
    study: int | None
    detail: dict[str, Any]
    sentence: str
    sealed_as: int | None = Field(description="null: not sealed yet")
    seal: str


class AuditPage(Strict):
    """Some rows, the newest first. total: how many fit. next: `before` of the next page; null on the last one."""

    items: list[AuditAnswer]
    total: int
    next: int | None


def audited(asked: Asked) -> AuditPage:
    """A page of the trail; who took which rows is the row after."""
    query: AuditQuery = asked.query
    wish = trail.Wish(query.study, query.who, query.event, _moment(query.since), _moment(query.until), query.before)
    with asked.site.database.read() as tx:
        rows, total = trail.newest(tx, wish, query.limit), trail.count(tx, wish)
    items = [_row(row) for row in rows[: query.limit]]
    with asked.site.database.write() as tx:
        taken: dict[str, Any] = {f"of_{name}": value for name, value in wish.filters.items()}
        actor = visitor_of(asked.request).actor
        audit.append(tx, "audit-exported", at=clock(tx), actor=actor, form="api", rows=len(items), **taken)
    return AuditPage(items=items, total=total, next=items[-1].number if len(rows) > query.limit else None)


def _moment(at: datetime | None) -> str:
    """As a person writes it. Raises Problem."""
    if at is None:
        return ""
    try:
        return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="minutes")
    except OverflowError:
        raise Problem(422, "invalid", "There is no such time in UTC.") from None


def _row(row: AuditRow) -> AuditAnswer:
    return AuditAnswer(
        number=row.id,
        at=row.at,
        who=row.actor,
        event=row.event,
        study=row.study_id,
        detail=json.loads(row.detail),
        sentence=sentence(row),
        sealed_as=row.sealed_as,
        seal=row.seal,
    )
