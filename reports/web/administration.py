"""What the administrator's pages share: what stands above each, and the caretaker who does what pages cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException

from dicom_node import books
from dicom_node.database import clock
from reports.web.alarms import alarms
from reports.web.caretaker import Caretaker
from reports.web.site import Site


def top(tx: Session, not_ready: Sequence[str]) -> dict[str, Any]:
    """The moment, and the warnings above the page."""
    now = clock(tx)
    return {"now": now, "alarms": alarms(tx, now, books.backlog(tx), not_ready)}


def caretaker_of(site: Site) -> Caretaker:
    """Raises HTTPException: nobody lent one to these pages."""
    if site.equipment.caretaker is None:
        raise HTTPException(501, "These pages run without the application, so they cannot do this.")
    return site.equipment.caretaker
