"""What the worklist page asks the database: studies, each with the facts of its newest revision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from dicom_node.books import Backlog
from dicom_node.database import clock
from dicom_node.forecast import readings_per_hour
from dicom_node.rules.decision import BACKLOG, ROUTINE
from dicom_node.tables import (
    Book,
    Delivery,
    Instance,
    Revision,
    Role,
    Study,
    Switch,
    Workitem,
    WorkitemState,
)
from dicom_node.worklist.urgency import order_of_claims
from reports import drafts
from reports.glance import Glance, Urgency, marked
from reports.signoff.copies import holder_of
from reports.signoff.tables import WorkingCopy
from reports.tables import ENDED, Report, ReportState
from reports.web.standing import Facts
from reports.web.wish import Priority, Show, Sort, Wish

OPEN: Final = drafts.OPEN
_SHADOW: Final = "shadow"
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


@dataclass(frozen=True, slots=True)
class Found:
    """A page of studies. older: where the next page begins; empty where there is none."""

    facts: Sequence[Facts]
    older: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Images:
    """Those of one study: how many, who sent the first of them, and when the last one came."""

    number: int
    sender: str
    last_at: datetime | None


_NONE: Final = _Images(0, "", None)


def find(tx: Session, wish: Wish, now: datetime, *, user_id: int, limit: int) -> Found:
    """One page of the studies that fit, in the order that was asked for."""
    chosen = _after(_fitting(wish, now, user_id), wish)
    order: tuple[Any, ...] = ORDER_OF_READING if wish.sort is Sort.URGENT else (Study.id.desc(),)
    if wish.sort is Sort.OLDEST:
        order = (Study.id,)
    rows = tx.execute(chosen.add_columns(_turn, _urgency).order_by(*order).limit(limit + 1)).all()
    older: tuple[int, ...] = ()
    if len(rows) > limit:
        last, turn, urgency = rows[limit - 1]
        older = (turn, urgency, last.study_id) if wish.sort is Sort.URGENT else (last.study_id,)
    return Found(facts_of(tx, [revision for revision, _, _ in rows[:limit]]), older)


def fitting(tx: Session, wish: Wish, now: datetime, *, user_id: int, among: Iterable[int]) -> frozenset[int]:
    """Which of these studies fit."""
    chosen = _fitting(wish, now, user_id).where(Study.id.in_(tuple(among)))
    return frozenset(revision.study_id for revision in tx.scalars(chosen))


def revisions(tx: Session, studies: Iterable[int]) -> Sequence[Revision]:
    """The newest revisions of these studies."""
    newest = (Revision.study_id == Study.id) & (Revision.number == Study.revision)
    return tx.scalars(select(Revision).join(Study, newest).where(Study.id.in_(tuple(studies)))).all()


def counts(tx: Session, waiting: Backlog, now: datetime, *, user_id: int) -> dict[Show, int]:
    """How many studies wait for somebody or something, by tab."""
    found = {
        Show.COMING: waiting.receiving + waiting.scheduled + waiting.in_progress,
        Show.HELD: waiting.held,
        Show.DEAD_LETTERS: waiting.dead_letters,
    }
    for show in (Show.DRAFTS, Show.MINE) if user_id else (Show.DRAFTS,):
        ids = _fitting(Wish(show=show), now, user_id).with_only_columns(func.count())
        found[show] = tx.scalar(ids) or 0
    return found


def readers(tx: Session) -> Sequence[str]:
    """Names of the readers that wrote reports."""
    return tx.scalars(select(Report.reader).distinct().order_by(Report.reader)).all()


def _fitting(wish: Wish, now: datetime, user_id: int) -> Select[Any]:
    """The newest revision of every study that fits. Report, glance and workitem of that revision are joined, if there
    are any; where drafts are asked for, those of the study's oldest open draft, whatever became of later images.
    """
    chosen = (
        select(Revision)
        .select_from(Study)
        .join(Revision, (Revision.study_id == Study.id) & (Revision.number == Study.revision))
    )
    written = Revision
    if wish.show in (Show.DRAFTS, Show.MINE):
        written = aliased(Revision)
        chosen = chosen.join(written, written.study_id == Study.id)
    chosen = (
        chosen.outerjoin(Report, Report.revision_id == written.id)
        .outerjoin(Glance, (Glance.report_id == Report.id) & (written.reason != _SHADOW))
        .outerjoin(Workitem, Workitem.revision_id == written.id)
    )
    return chosen.where(*_shown(wish.show, user_id), *_filters(wish, now))


def _shown(show: Show, user_id: int) -> tuple[ColumnElement[bool], ...]:
    held = or_(Study.hold_reason != "", and_(Workitem.id.is_not(None), Workitem.hold_reason != ""))
    mine = or_(WorkingCopy.holder_id == user_id, WorkingCopy.offered_to == user_id)
    older, signed = aliased(Revision), aliased(Report)
    final = select(signed.id).join(older, older.id == signed.revision_id).where(older.study_id == Study.id)
    conditions: dict[Show, tuple[ColumnElement[bool], ...]] = {
        Show.DRAFTS: (Report.id.in_(first_open()),),
        Show.MINE: (Report.id.in_(first_open(select(WorkingCopy.report_id).where(mine))),),
        Show.COMING: (Revision.book == Book.IN_FLIGHT, Report.id.is_(None), ~held),
        Show.HELD: (Revision.book == Book.IN_FLIGHT, held),
        Show.DEAD_LETTERS: (Revision.book == Book.DEAD_LETTERED,),
        Show.EXCLUDED: (Revision.book == Book.EXCLUDED,),
        Show.SIGNED: (final.where(signed.state == ReportState.VERIFIED).exists(),),
        Show.ENDED: (or_(Report.state.in_(ENDED), Revision.book == Book.CLOSED),),
    }
    return conditions.get(show, ())


def first_open(among: Select[Any] | None = None) -> Select[Any]:
    """Numbers of reports: of each study the oldest open one that people may see. among: numbers of those that count."""
    written, draft = aliased(Revision), aliased(Report)
    chosen = (
        select(func.min(draft.id))
        .join(written, written.id == draft.revision_id)
        .where(draft.taken_back_at.is_(None), draft.state.in_(OPEN), written.reason != _SHADOW)
        .group_by(written.study_id)
    )
    return chosen if among is None else chosen.where(draft.id.in_(among))


def _filters(wish: Wish, now: datetime) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if wish.search:
        columns = (Study.accession_number, Study.study_instance_uid, Study.patient_id)
        wanted.append(or_(*(column.istartswith(wish.search, autoescape=True) for column in columns)))
    if wish.priority is not Priority.ANY:
        rank = Workitem.priority
        wanted.append({"stat": rank < ROUTINE, "routine": rank == ROUTINE, "backlog": rank > ROUTINE}[wish.priority])
    if wish.finding == "any":
        wanted.append(Glance.urgency <= int(Urgency.DOUBTFUL))
    elif wish.finding:
        label = marked([wish.finding])
        wanted.append(or_(*(column.contains(label, autoescape=True) for column in (Glance.present, Glance.uncertain))))
    if wish.reader:
        wanted.append(Report.reader == wish.reader)
    since, until, drafted = wish.moments(now)
    if since is not None:
        wanted.append(Revision.opened_at >= since)
    if until is not None:
        wanted.append(Revision.opened_at < until)
    if drafted is not None:
        wanted.append(func.coalesce(Report.drafted_at, Revision.opened_at) <= drafted)
    return wanted


def _after(chosen: Select[Any], wish: Wish) -> Select[Any]:
    """Only what comes behind the end of the page before."""
    if not wish.before:
        return chosen
    if wish.sort is Sort.URGENT:
        turn, urgency, number = wish.before
        same = and_(_turn == turn, or_(_urgency > urgency, and_(_urgency == urgency, Study.id > number)))
        return chosen.where(or_(_turn > turn, same))
    (number,) = wish.before
    return chosen.where(Study.id > number if wish.sort is Sort.OLDEST else Study.id < number)


def facts_of(tx: Session, revisions: Sequence[Revision]) -> list[Facts]:
    """The facts of these revisions, in their order, with a fixed number of questions."""
    now = clock(tx)
    wanted = [revision.id for revision in revisions]
    studies = [revision.study_id for revision in revisions]
    workitems = {
        workitem.revision_id: workitem
        for workitem in tx.scalars(select(Workitem).where(Workitem.revision_id.in_(wanted)))
    }
    deliveries: dict[int, list[Delivery]] = {}
    for delivery in tx.scalars(select(Delivery).where(Delivery.revision_id.in_(wanted)).order_by(Delivery.id)):
        deliveries.setdefault(delivery.revision_id, []).append(delivery)
    images = _images(tx, studies)
    places, waiting = _queue(tx, wanted)
    reports = _reports(tx, studies)
    copies, glances = _beside(tx, [report.id for report in reports.values()])
    paused = frozenset(tx.scalars(select(Switch.name).where(Switch.on)))
    an_hour = readings_per_hour(tx, now) if places else 0.0
    return [
        Facts(
            revision=revision,
            workitem=workitems.get(revision.id),
            deliveries=deliveries.get(revision.id, []),
            images=(counted := images.get(revision.study_id, _NONE)).number,
            last_image_at=counted.last_at,
            place=places.get(revision.id),
            waiting=waiting,
            paused=paused,
            an_hour=an_hour,
            sender=counted.sender,
            report=(report := reports.get(revision.study_id)),
            holder=holder_of(copies.get(report.id), now) if report is not None else None,
            glance=glances.get(report.id) if report is not None else None,
        )
        for revision in revisions
    ]


def _images(tx: Session, studies: Sequence[int]) -> dict[int, _Images]:
    """The images of each study that has any."""
    counted = (
        select(Instance.study_id, func.count(), func.min(Instance.calling_ae_title), func.max(Instance.received_at))
        .where(Instance.study_id.in_(studies), Instance.role == Role.IMAGE, Instance.conflict.is_(False))
        .group_by(Instance.study_id)
    )
    return {study_id: _Images(number, sender, last_at) for study_id, number, sender, last_at in tx.execute(counted)}


def _reports(tx: Session, studies: Sequence[int]) -> dict[int, Report]:
    """Of each study the report that people care for. Those of shadow mode are shown to nobody."""
    chosen = (
        select(Revision.study_id, Report)
        .join(Report, Report.revision_id == Revision.id)
        .where(Revision.study_id.in_(studies), Revision.reason != _SHADOW)
        .order_by(Report.id.desc())
    )
    by_study: dict[int, list[Report]] = {}
    for study_id, report in tx.execute(chosen):
        by_study.setdefault(study_id, []).append(report)
    found = {study_id: drafts.foremost(reports) for study_id, reports in by_study.items()}
    return {study_id: report for study_id, report in found.items() if report is not None}


def _beside(tx: Session, reports: Sequence[int]) -> tuple[dict[int, WorkingCopy], dict[int, Glance]]:
    copies = tx.scalars(select(WorkingCopy).where(WorkingCopy.report_id.in_(reports)))
    glances = tx.scalars(select(Glance).where(Glance.report_id.in_(reports)))
    return {copy.report_id: copy for copy in copies}, {glance.report_id: glance for glance in glances}


def _queue(tx: Session, revisions: Sequence[int]) -> tuple[dict[int, int], int]:
    """The place of each revision in the order in which readings are claimed, and how many wait there."""
    waits = (Workitem.state == WorkitemState.SCHEDULED, Workitem.hold_reason == "")
    order = order_of_claims(clock(tx))
    queue = select(Workitem.revision_id, func.row_number().over(order_by=order).label("place")).where(*waits).subquery()
    rows = tx.execute(select(queue.c.revision_id, queue.c.place).where(queue.c.revision_id.in_(revisions)))
    places = {int(revision_id): int(place) for revision_id, place in rows}
    return places, tx.scalar(select(func.count(Workitem.id)).where(*waits)) or 0
