"""Which studies the worklist page shows, and in which order: the questions, each of them made once.

To make such a question takes longer than to ask it; what differs between two askings is put in by name (`USER`, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, Integer, Select, and_, bindparam, case, func, or_, select
from sqlalchemy.orm import aliased, contains_eager

from dicom_node.rules.decision import BACKLOG, ROUTINE
from dicom_node.tables import Book, Revision, Study, Workitem
from reports import drafts
from reports.glance import Glance, Urgency
from reports.signoff.tables import WorkingCopy
from reports.tables import ENDED, Report, ReportState
from reports.web.wish import Show, Sort

OPEN: Final = drafts.OPEN
SHADOW: Final = "shadow"  # why a revision is closed whose draft nobody may see
USER, AMONG, NUMBER = "user_id", "among", "number"  # whose page; numbers of studies; how many rows

_urgency: Final = func.coalesce(Glance.urgency, int(Urgency.PLAIN))
# Whose turn it is to be read by a person: what may be critical whoever ordered it, then what was ordered as stat.
_turn: Final = case(
    (_urgency == int(Urgency.CRITICAL), 0),
    (Workitem.priority < ROUTINE, 1),
    (_urgency == int(Urgency.DOUBTFUL), 2),
    (Workitem.priority >= BACKLOG, 4),
    else_=3,
)
ORDER_OF_READING: Final = (_turn, _urgency, Revision.study_id)  # columns of workitem, glance and revision
_ORDERS: Final[Mapping[Sort, tuple[Any, ...]]] = MappingProxyType(
    {Sort.URGENT: ORDER_OF_READING, Sort.OLDEST: (Study.id,), Sort.NEWEST: (Study.id.desc(),)}
)


def user() -> BindParameter[int]:
    """The number of whoever asks."""
    return bindparam(USER, type_=Integer)


@cache
def page(show: Show, sort: Sort) -> Select[Revision, int, int]:
    """So many of the newest revisions that fit, with what their order is made of."""
    chosen = _fitting(show).with_only_columns(Revision, _turn, _urgency, maintain_column_froms=True)
    ordered = chosen.order_by(*_ORDERS[sort]).limit(bindparam(NUMBER, type_=Integer))
    return ordered.options(contains_eager(Revision.study))


@cache
def first(show: Show, sort: Sort) -> Select[int]:
    """The numbers of the same studies alone."""
    chosen = _fitting(show).with_only_columns(Study.id, maintain_column_froms=True)
    return chosen.order_by(*_ORDERS[sort]).limit(bindparam(NUMBER, type_=Integer))


@cache
def some(show: Show) -> Select[int]:
    """Those among the numbers of studies that fit."""
    chosen = _fitting(show).with_only_columns(Study.id, maintain_column_froms=True)
    return chosen.where(Study.id.in_(bindparam(AMONG, expanding=True)))


@cache
def count(show: Show) -> Select[int]:
    """How many fit."""
    return _fitting(show).with_only_columns(func.count(), maintain_column_froms=True)


def after(before: tuple[int, ...], sort: Sort) -> tuple[ColumnElement[bool], ...]:
    """Only what comes behind the end of the page before."""
    if not before:
        return ()
    if sort is Sort.URGENT:
        turn, urgency, number = before
        same = and_(_turn == turn, or_(_urgency > urgency, and_(_urgency == urgency, Study.id > number)))
        return (or_(_turn > turn, same),)
    (number,) = before
    return (Study.id > number if sort is Sort.OLDEST else Study.id < number,)


@cache
def first_open() -> Select[int]:
    """Numbers of reports: of each study the oldest open one that people may see."""
    return _first_open()


def _first_open(*more: ColumnElement[bool]) -> Select[int]:
    written, draft = aliased(Revision), aliased(Report)
    among = [draft.id.in_(select(WorkingCopy.report_id).where(*more))] if more else []
    return (
        select(func.min(draft.id))
        .join(written, written.id == draft.revision_id)
        .where(draft.taken_back_at.is_(None), draft.state.in_(OPEN), written.reason != SHADOW, *among)
        .group_by(written.study_id)
    )


@cache
def _fitting(show: Show) -> Select[Revision]:
    """The newest revision of every study that fits. Report, glance and workitem of that revision are joined, if there
    are any; where drafts are asked for, those of the study's oldest open draft, whatever became of later images.
    """
    chosen = (
        select(Revision)
        .select_from(Study)
        .join(Revision, (Revision.study_id == Study.id) & (Revision.number == Study.revision))
    )
    written: Any = Revision
    if show in (Show.DRAFTS, Show.MINE):
        written = aliased(Revision)
        chosen = chosen.join(written, written.study_id == Study.id)
    chosen = (
        chosen.outerjoin(Report, Report.revision_id == written.id)
        .outerjoin(Glance, (Glance.report_id == Report.id) & (written.reason != SHADOW))
        .outerjoin(Workitem, Workitem.revision_id == written.id)
    )
    return chosen.where(*_shown(show))


def _shown(show: Show) -> tuple[ColumnElement[bool], ...]:
    held = or_(Study.hold_reason != "", and_(Workitem.id.is_not(None), Workitem.hold_reason != ""))
    mine = or_(WorkingCopy.holder_id == user(), WorkingCopy.offered_to == user())
    older, signed = aliased(Revision), aliased(Report)
    final = select(signed.id).join(older, older.id == signed.revision_id).where(older.study_id == Study.id)
    conditions: dict[Show, tuple[ColumnElement[bool], ...]] = {
        Show.DRAFTS: (Report.id.in_(first_open()),),
        Show.MINE: (Report.id.in_(_first_open(mine)),),
        Show.COMING: (Revision.book == Book.IN_FLIGHT, Report.id.is_(None), ~held),
        Show.HELD: (Revision.book == Book.IN_FLIGHT, held),
        Show.DEAD_LETTERS: (Revision.book == Book.DEAD_LETTERED,),
        Show.EXCLUDED: (Revision.book == Book.EXCLUDED,),
        Show.SIGNED: (final.where(signed.state == ReportState.VERIFIED).exists(),),
        Show.ENDED: (or_(Report.state.in_(ENDED), Revision.book == Book.CLOSED),),
    }
    return conditions.get(show, ())
