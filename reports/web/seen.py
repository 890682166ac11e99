"""Who looked at which study: each look of a signed-in visitor is in the audit trail, but not each reload of a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    seen_together(database, visitor, (study_id,), what)


def seen_together(database: Database, visitor: Visitor, studies: Iterable[int], what: str) -> None:
    """As `seen`, of everything that one answer shows: one transaction, so all of it is in the trail or nothing."""
    viewer = f"session:{visitor.session}" if visitor.session else visitor.login
    wanted = sorted(set(studies))  # in one order, so that no two wait for each other
    if not wanted or (visitor.user_id == 0 and not visitor.login.startswith("service:")):
        return
    with database.read() as tx:
        now = clock(tx)
        lately = _lately(tx, viewer, wanted, what, now)
    wanted = [study_id for study_id in wanted if study_id not in lately]
    if not wanted:
        return
    with database.write() as tx:
        tx.execute(delete(StudyView).where(StudyView.at < now - _KEPT))
        for study_id in _first(tx, viewer, wanted, what, now):
            audit.append(tx, "study-seen", at=now, actor=visitor.actor, study_id=study_id, what=what)


def _lately(tx: Session, viewer: str, studies: Sequence[int], what: str, now: datetime) -> frozenset[int]:
    """Those whose last look is too young for another row."""
    whats = [what, *_HELD_BY.get(what, ())]
    found = tx.execute(_looks(), {"viewer": viewer, "studies": studies, "whats": whats})
    return frozenset(study_id for study_id, last in found if now - last < AGAIN_AFTER)


@cache
def _looks() -> Select[int, datetime]:
    what = StudyView.what.in_(bindparam("whats", expanding=True))
    which = StudyView.study_id.in_(bindparam("studies", expanding=True))
    whose = (StudyView.viewer == bindparam("viewer")) & which
    return select(StudyView.study_id, func.max(StudyView.at)).where(whose, what).group_by(StudyView.study_id)


def _first(tx: Session, viewer: str, studies: Sequence[int], what: str, now: datetime) -> Iterator[int]:
    """Keep the time of these looks; gives those that no other request has written down since we asked."""
    which = (StudyView.viewer == viewer) & (StudyView.what == what) & StudyView.study_id.in_(studies)
    rows = select(StudyView).where(which).order_by(StudyView.study_id)
    kept = {one.study_id: one for one in tx.scalars(rows.with_for_update())}
    for study_id, last in kept.items():
        if now - last.at >= AGAIN_AFTER:
            last.at = now
            yield study_id
    added = [one for one in studies if one not in kept]
    if added:
        yield from _added(tx, viewer, added, what, now)


def _added(tx: Session, viewer: str, studies: Sequence[int], what: str, now: datetime) -> Sequence[int]:
    """Those of them that no other request adds at the same moment."""
    try:
        with tx.begin_nested():
            tx.add_all(StudyView(viewer=viewer, study_id=one, what=what, at=now) for one in studies)
    except IntegrityError:  # one of them; only PostgreSQL lets two write at once
        return [] if len(studies) == 1 else [found for one in studies for found in _added(tx, viewer, [one], what, now)]
    return studies
