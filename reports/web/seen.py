"""Who looked at which study: each look of a signed-in visitor is in the audit trail, but not each reload of a page."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Final

from sqlalchemy import Select, bindparam, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.database import Database, clock
from reports.people.rights import Visitor
from reports.people.tables import StudyView

AGAIN_AFTER: Final = timedelta(minutes=10)
_KEPT: Final = timedelta(days=1)
REPORT_AND_FILM: Final = "report and film"  # the page that shows both
_HELD_BY: Final = MappingProxyType({"report": (REPORT_AND_FILM,), "film": (REPORT_AND_FILM,)})


def seen(database: Database, visitor: Visitor, study_id: int, what: str) -> None:
    """Write down that a visitor saw a study; once in ten minutes for the same session, study and `what`.

    what: "study", "report", "film", "search", or `REPORT_AND_FILM`, which is both: what its page fetches then is no
    look of its own. Nobody is nobody: an open house has no names to write down. Not inside a transaction.
    """
    viewer = f"session:{visitor.session}" if visitor.session else visitor.login
    if visitor.user_id == 0 and not visitor.login.startswith("service:"):
        return
    key = (viewer, study_id, what)
    with database.read() as tx:
        now, last = clock(tx), _last(tx, viewer, study_id, what)
    if last is not None and now - last < AGAIN_AFTER:
        return
    with database.write() as tx:
        tx.execute(delete(StudyView).where(StudyView.at < now - _KEPT))
        if _is_first(tx, key, now):
            audit.append(tx, "study-seen", at=now, actor=visitor.actor, study_id=study_id, what=what)


def _last(tx: Session, viewer: str, study_id: int, what: str) -> datetime | None:
    return tx.scalar(_looks(), {"viewer": viewer, "study": study_id, "whats": [what, *_HELD_BY.get(what, ())]})


@cache
def _looks() -> Select[datetime]:
    what = StudyView.what.in_(bindparam("whats", expanding=True))
    whose = (StudyView.viewer == bindparam("viewer")) & (StudyView.study_id == bindparam("study"))
    return select(func.max(StudyView.at)).where(whose, what)


def _is_first(tx: Session, key: tuple[str, int, str], now: datetime) -> bool:
    """Keep the time of this look; False where another request has written it down since we asked."""
    last = tx.get(StudyView, key, with_for_update=True)
    if last is not None:
        if now - last.at < AGAIN_AFTER:
            return False
        last.at = now
        return True
    viewer, study_id, what = key
    try:
        with tx.begin_nested():
            tx.add(StudyView(viewer=viewer, study_id=study_id, what=what, at=now))
    except IntegrityError:
        return False
    return True
