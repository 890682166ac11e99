"""What the worklist page asks the database: studies, the newest first, each with the facts of its newest revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from dicom_node.database import clock
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
from reports.web.standing import Facts

_LONGEST_SEARCH = 64  # characters; longer than any UID, accession number or usual Patient ID


class Show(StrEnum):
    """Which studies: the rest of the page's address names one."""

    ALL = "all"
    HELD = "held"
    DEAD_LETTERS = "dead-letters"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for. `before`: only studies with a smaller number, which is how pages are turned."""

    search: str = ""
    show: Show = Show.ALL
    before: int | None = None

    @classmethod
    def of(cls, search: str, show: str, before: str) -> Wish:
        """Read it from a page's address; what makes no sense is left out."""
        printable = "".join(character for character in search if character.isprintable())
        number = int(before) if before.isdecimal() and len(before) <= 9 else None
        shown = Show(show) if show in set(Show) else Show.ALL
        return cls(printable.strip()[:_LONGEST_SEARCH], shown, number)

    @property
    def is_plain(self) -> bool:
        """Is it the first page of everything?"""
        return self == Wish()


def newest(tx: Session, wish: Wish, *, limit: int) -> list[Facts]:
    """At most `limit` studies, the newest first."""
    chosen = (
        select(Revision)
        .join(Study, (Study.id == Revision.study_id) & (Study.revision == Revision.number))
        .order_by(Study.id.desc())
        .limit(limit)
    )
    if wish.search:
        columns = (Study.accession_number, Study.study_instance_uid, Study.patient_id)
        chosen = chosen.where(or_(*(column.istartswith(wish.search, autoescape=True) for column in columns)))
    if wish.before is not None:
        chosen = chosen.where(Study.id < wish.before)
    if wish.show is Show.DEAD_LETTERS:
        chosen = chosen.where(Revision.book == Book.DEAD_LETTERED)
    if wish.show is Show.HELD:
        held = select(Workitem.id).where(Workitem.revision_id == Revision.id, Workitem.hold_reason != "")
        chosen = chosen.where(Revision.book == Book.IN_FLIGHT, or_(Study.hold_reason != "", held.exists()))
    return facts_of(tx, tx.scalars(chosen).all())


def facts_of(tx: Session, revisions: Sequence[Revision]) -> list[Facts]:
    """The facts of these revisions, in their order, with a fixed number of questions."""
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
    paused = frozenset(tx.scalars(select(Switch.name).where(Switch.on)))
    return [
        Facts(
            revision=revision,
            workitem=workitems.get(revision.id),
            deliveries=deliveries.get(revision.id, []),
            images=images.get(revision.study_id, 0),
            place=places.get(revision.id),
            waiting=waiting,
            paused=paused,
        )
        for revision in revisions
    ]


def _images(tx: Session, studies: Sequence[int]) -> dict[int, int]:
    """How many images each study has."""
    counted = (
        select(Instance.study_id, func.count())
        .where(Instance.study_id.in_(studies), Instance.role == Role.IMAGE, Instance.conflict.is_(False))
        .group_by(Instance.study_id)
    )
    return {study_id: count for study_id, count in tx.execute(counted)}  # noqa: C416  dict() loses the types


def _queue(tx: Session, revisions: Sequence[int]) -> tuple[dict[int, int], int]:
    """The place of each revision in the order in which readings are claimed, and how many wait there."""
    waits = (Workitem.state == WorkitemState.SCHEDULED, Workitem.hold_reason == "")
    order = order_of_claims(clock(tx))
    queue = select(Workitem.revision_id, func.row_number().over(order_by=order).label("place")).where(*waits).subquery()
    rows = tx.execute(select(queue.c.revision_id, queue.c.place).where(queue.c.revision_id.in_(revisions)))
    places = {int(revision_id): int(place) for revision_id, place in rows}
    return places, tx.scalar(select(func.count(Workitem.id)).where(*waits)) or 0
