"""The audit rows of one study, in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.tables import AuditRow

_MOST = 1000  # rows shown, the newest

WORDS: Final = MappingProxyType(
    {
        "study-opened": "The first object arrived.",
        "study-complete": "No more images are expected; revision {revision} is complete.",
        "study-reopened": "Opened again as revision {revision}.",
        "study-held": "Held for a person: {reason}.",
        "study-confirmed": "A person confirmed that the film may be read.",
        "study-released": "Released; what came last is used. It was held because of: {reason}.",
        "study-requeued": "A person asked for another try: {done}.",
        "instance-conflict": "An object came again with other bytes; the first one is used.",
        "workitem-claimed": "Reading started, attempt {attempt}.",
        "attempt-failed": "Attempt {attempt} failed: {reason}.",
        "draft-recorded": "The draft was recorded.",
        "delivery-sent": "Sent to {destination}, which answered success.",
        "delivery-committed": "{destination} has it; proof: {proof}.",
        "delivery-missing": "{destination} answered success but does not have it; it is sent again.",
        "delivery-attempt-failed": "{destination} did not take or prove it, attempt {attempt}.",
        "delivery-refused": "{destination} takes no objects of the form {kind}; it gets another form, or does without.",
        "delivery-failed": "Given up for {destination}: a dead letter.",
        "revision-delivered": "Revision {revision} is delivered: every destination proved it.",
        "revision-excluded": "Revision {revision} is excluded: {reason}.",
        "revision-dead-lettered": "Revision {revision} is a dead letter: {reason}.",
        "revision-awaiting-sign-off": "Revision {revision} waits for a radiologist's signature.",
        "revision-closed-undelivered": "Revision {revision} is closed, nothing was delivered: {reason}.",
        "pixels-deleted": "The received files were deleted; the books stay.",
    }
)


class _Detail(dict[str, object]):
    """What an audit row says more; what it does not say reads as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the timeline."""

    at: datetime
    actor: str
    sentence: str


def timeline(tx: Session, study_id: int) -> list[Happening]:
    """What happened to a study, in the order in which it happened."""
    rows = tx.scalars(
        select(AuditRow).where(AuditRow.study_id == study_id).order_by(AuditRow.id.desc()).limit(_MOST)
    ).all()
    return [Happening(row.at, row.actor, _in_words(row)) for row in reversed(rows)]


def _in_words(row: AuditRow) -> str:
    detail = _Detail(json.loads(row.detail))
    if row.event in WORDS:
        return WORDS[row.event].format_map(detail)
    rest = ", ".join(f"{name} {value}" for name, value in detail.items())
    return f"{row.event.replace('-', ' ').capitalize()}{': ' if rest else '.'}{rest}"
