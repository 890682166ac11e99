"""What the worklist page asks the database: studies, each with the facts of its newest revision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar, TypeVarTuple

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, func, or_, select
from sqlalchemy.orm import Session, contains_eager, lazyload
from sqlalchemy.orm.attributes import set_committed_value

from dicom_node.books import Backlog
from dicom_node.database import clock
from dicom_node.forecast import readings_per_hour
from dicom_node.hours import Hours
from dicom_node.rules.decision import ROUTINE
from dicom_node.tables import Delivery, Instance, Revision, Role, Study, Switch, Workitem, WorkitemState
from dicom_node.worklist.urgency import order_of_claims
from reports import drafts
from reports.glance import Glance, Urgency, marked
from reports.people.tables import Account
from reports.signoff.copies import holder_of
from reports.signoff.tables import WorkingCopy
from reports.tables import Report
from reports.web import choice
from reports.web.offers import is_able, offer_of
from reports.web.standing import Facts
from reports.web.wish import Priority, Show, Sort, Wish
from reports.web.withdrawal import BY_A_PERSON

OPEN: Final = choice.OPEN
_NAMED: Final = 5  # a search that finds at most so many patients is a look at each of them


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


@dataclass(frozen=True, slots=True)
class _Written:
    """A report with who has it open, to whom it is handed over, and what the worklist shows of it."""

    report: Report | None
    copy: WorkingCopy | None
    glance: Glance | None
    login: str | None = None
    name: str | None = None
    withdrawn: Report | None = None  # the newest that a person took back


_NONE: Final = _Images(0, "", None)
_NOTHING: Final = _Written(None, None, None)
Columns = TypeVarTuple("Columns")
OfRevision = TypeVar("OfRevision", Workitem, Delivery)
_among: Final[BindParameter[Any]] = bindparam(choice.AMONG, expanding=True)
_REVISIONS: Final = (
    select(Revision)
    .join(Study, (Revision.study_id == Study.id) & (Revision.number == Study.revision))
    .where(Study.id.in_(_among))
    .options(contains_eager(Revision.study))
)
_WORKITEMS: Final = select(Workitem).where(Workitem.revision_id.in_(_among)).options(lazyload(Workitem.revision))
_DELIVERIES: Final = (
    select(Delivery).where(Delivery.revision_id.in_(_among)).order_by(Delivery.id).options(lazyload(Delivery.revision))
)
_IMAGES: Final = (
    select(Instance.study_id, func.count(), func.min(Instance.calling_ae_title), func.max(Instance.received_at))
    .where(Instance.study_id.in_(_among), Instance.role == Role.IMAGE, Instance.conflict.is_(False))
    .group_by(Instance.study_id)
)
_REPORTS: Final = (
    select(Revision.study_id, Report, WorkingCopy, Glance, Account.login, Account.name)
    .join(Report, Report.revision_id == Revision.id)
    .outerjoin(WorkingCopy, WorkingCopy.report_id == Report.id)
    .outerjoin(Account, is_able())
    .outerjoin(Glance, Glance.report_id == Report.id)
    .where(Revision.study_id.in_(_among), Revision.reason != choice.SHADOW)
    .order_by(Report.id.desc())
)
_PAUSED: Final = select(Switch.name).where(Switch.on)


def find(tx: Session, wish: Wish, now: datetime, *, user_id: int, limit: int, hours: Hours | None = None) -> Found:
    """One page of the studies that fit, in the order that was asked for."""
    chosen = _narrowed(choice.page(wish.show, wish.sort), wish, now)
    rows = tx.execute(chosen, {choice.USER: user_id, choice.NUMBER: limit + 1}).all()
    older: tuple[int, ...] = ()
    if len(rows) > limit:
        last, turn, urgency = rows[limit - 1]
        older = (turn, urgency, last.study_id) if wish.sort is Sort.URGENT else (last.study_id,)
    return Found(facts_of(tx, [revision for revision, _, _ in rows[:limit]], now, hours), older)


def looked_at(wish: Wish, found: Sequence[Facts]) -> Sequence[int]:
    """The studies that a search shows of named patients, for the audit trail; none of a list of many patients.

    A study without a Patient ID is a patient of its own.
    """
    studies = [one.revision.study for one in found]
    patients = {(one.patient_id, one.issuer_of_patient_id) if one.patient_id else one.id for one in studies}
    return [one.id for one in studies] if wish.search and len(patients) <= _NAMED else ()


def first(tx: Session, wish: Wish, now: datetime, *, user_id: int, limit: int) -> frozenset[int]:
    """The studies of that page, without anything about them."""
    chosen = _narrowed(choice.first(wish.show, wish.sort), wish, now)
    return frozenset(tx.scalars(chosen, {choice.USER: user_id, choice.NUMBER: limit}))


def fitting(tx: Session, wish: Wish, now: datetime, *, user_id: int, among: Iterable[int]) -> frozenset[int]:
    """Which of these studies fit."""
    chosen = choice.some(wish.show)
    filters = _filters(wish, now)
    asked = chosen.where(*filters) if filters else chosen
    return frozenset(tx.scalars(asked, {choice.USER: user_id, choice.AMONG: list(among)}))


def revisions(tx: Session, studies: Iterable[int]) -> Sequence[Revision]:
    """The newest revisions of these studies."""
    return tx.scalars(_REVISIONS, {choice.AMONG: list(studies)}).all()


def counts(tx: Session, waiting: Backlog, *, user_id: int) -> dict[Show, int]:
    """How many studies wait for somebody or something, by tab."""
    found = {
        Show.COMING: waiting.receiving + waiting.scheduled + waiting.in_progress,
        Show.HELD: waiting.held,
        Show.DEAD_LETTERS: waiting.dead_letters,
    }
    for show in (Show.DRAFTS, Show.MINE) if user_id else (Show.DRAFTS,):
        found[show] = tx.scalar(choice.count(show), {choice.USER: user_id}) or 0
    return found


def readers(tx: Session) -> Sequence[str]:
    """Names of the readers that wrote reports."""
    return tx.scalars(select(Report.reader).distinct().order_by(Report.reader)).all()


def _narrowed(chosen: Select[*Columns], wish: Wish, now: datetime) -> Select[*Columns]:
    """What a person asked for beside the tab."""
    wanted = (*_filters(wish, now), *choice.after(wish.before, wish.sort))
    return chosen.where(*wanted) if wanted else chosen  # the same question, which is known by now


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


def facts_of(
    tx: Session, revisions: Sequence[Revision], now: datetime | None = None, hours: Hours | None = None
) -> list[Facts]:
    """The facts of these revisions, in their order, with a fixed number of questions.

    now: as the database's clock. hours: of backlog.
    """
    now = now or clock(tx)
    known = {revision.id: revision for revision in revisions}
    wanted, studies = {choice.AMONG: list(known)}, [revision.study_id for revision in revisions]
    workitems = {one.revision_id: one for one in _of(tx.scalars(_WORKITEMS, wanted), known)}
    deliveries: dict[int, list[Delivery]] = {}
    for delivery in _of(tx.scalars(_DELIVERIES, wanted), known):
        deliveries.setdefault(delivery.revision_id, []).append(delivery)
    images = _images(tx, studies)
    waits = any(one.state is WorkitemState.SCHEDULED for one in workitems.values())
    places, waiting = _queue(tx, wanted[choice.AMONG], now) if waits else ({}, 0)
    written = _written(tx, studies)
    paused = frozenset(tx.scalars(_PAUSED))
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
            report=(found := written.get(revision.study_id, _NOTHING)).report,
            holder=holder_of(found.copy, now),
            offer=offer_of(found.copy, found.login, found.name, now),
            glance=found.glance,
            withdrawn=taken if (taken := found.withdrawn) and taken.revision_id != revision.id else None,
            backlog_hours=hours,
        )
        for revision in revisions
    ]


def _of(found: Iterable[OfRevision], known: Mapping[int, Revision]) -> Iterator[OfRevision]:
    """Rows with their revisions, which are here: joined once more, they would take longer than the rows themselves."""
    for one in found:
        set_committed_value(one, "revision", known[one.revision_id])
        yield one


def _images(tx: Session, studies: Sequence[int]) -> dict[int, _Images]:
    """The images of each study that has any."""
    counted = tx.execute(_IMAGES, {choice.AMONG: studies})
    return {study_id: _Images(number, sender, last_at) for study_id, number, sender, last_at in counted}


def _written(tx: Session, studies: Sequence[int]) -> dict[int, _Written]:
    """Of each study the report that people care for. Those of shadow mode are shown to nobody."""
    by_study: dict[int, dict[Report, _Written]] = {}
    for study_id, report, copy, seen, login, name in tx.execute(_REPORTS, {choice.AMONG: studies}):
        by_study.setdefault(study_id, {})[report] = _Written(report, copy, seen, login, name)
    return {study_id: _foremost(reports) for study_id, reports in by_study.items()}


def _foremost(reports: Mapping[Report, _Written]) -> _Written:
    """reports: of one study, newest first."""
    report = drafts.foremost(list(reports))
    withdrawn = next((one for one in reports if one.event in BY_A_PERSON), None)
    return replace(reports[report], withdrawn=withdrawn) if report is not None else _NOTHING


def _queue(tx: Session, revisions: Sequence[int], now: datetime) -> tuple[dict[int, int], int]:
    """The place of each revision in the order in which readings are claimed, and how many wait there."""
    waits = (Workitem.state == WorkitemState.SCHEDULED, Workitem.hold_reason == "")
    order = order_of_claims(now)
    queue = select(Workitem.revision_id, func.row_number().over(order_by=order).label("place")).where(*waits).subquery()
    rows = tx.execute(select(queue.c.revision_id, queue.c.place).where(queue.c.revision_id.in_(revisions)))
    places = {int(revision_id): int(place) for revision_id, place in rows}
    return places, tx.scalar(select(func.count(Workitem.id)).where(*waits)) or 0
