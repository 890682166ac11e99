"""Who took a report back. Its row says when and why; the person stands in the audit trail."""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.tables import AuditRow, Revision
from reports.people.tables import Account
from reports.tables import Event, Report

BY_A_PERSON: Final = frozenset({Event.WITHDRAWN, Event.WITHDRAWN_FOR_SAFETY})
_PERSON: Final = "person:"
_COMMAND: Final = "command:"  # an account of the machine's system, whatever user has the same name


def withdrawn_by(tx: Session, report: Report, revision: Revision) -> str:
    """Person Name of who withdrew it, or the login where no user has it; who typed a command; empty: no person did.

    revision: that of the report.
    """
    if report.event not in BY_A_PERSON:
        return ""
    of_study = (AuditRow.study_id == revision.study_id) & (AuditRow.event == "report-withdrawn")
    rows = tx.execute(select(AuditRow.actor, AuditRow.detail).where(of_study).order_by(AuditRow.id.desc()))
    actors = (actor for actor, detail in rows if json.loads(detail).get("revision") == revision.number)
    actor = next(actors, "")
    if actor.startswith(_COMMAND):
        return f"{actor.removeprefix(_COMMAND)} (by a command)"
    login = actor.removeprefix(_PERSON)
    return tx.scalar(select(Account.name).where(Account.login == login)) or login
