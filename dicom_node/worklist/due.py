"""Which deliveries are due, in which order, and which must not overtake another of their study.

The queue is asked a page at a time (`paging`): by its own columns alone, then what of that page may go out now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from dicom_node.kinds import FINAL, TAKES_BACK, Stage
from dicom_node.tables import Delivery, DeliveryState, Revision, Study
from dicom_node.worklist.paging import in_pages
from dicom_node.worklist.permits import REPLACING

AT_ONCE: Final = 2  # live claims for one destination, over all senders: a silent one leaves the other threads free
_WAITED_FOR: Final = frozenset({*FINAL, Stage.WITHDRAWAL})  # by whoever has just signed, or taken back


def due(tx: Session, now: datetime, *, paused: Sequence[str] = ()) -> Iterator[int]:
    """Ids of due deliveries: what a person waits for before drafts, then by time; none for a `paused` destination or
    one with `AT_ONCE` live claims, none that overtakes an older one of its study and destination.

    Rows that others change meanwhile may be passed over; they are there for whoever asks next.
    """
    waiting = _waiting(now).where(Delivery.destination.not_in(paused))
    yield from in_pages(
        lambda size, passed: tx.scalars(waiting.limit(size).offset(passed)).all(),
        lambda page: set(tx.scalars(_allowed(page, now))),
    )


def free(now: datetime, *, at_latest: datetime | None = None) -> tuple[ColumnElement[bool], ...]:
    """Due by now, or `at_latest` by then, and in nobody's hands. Canceled with a claim that nobody ended is due too."""
    waiting = Delivery.state.in_([DeliveryState.QUEUED, DeliveryState.SENT])
    return (
        or_(waiting, and_(Delivery.state == DeliveryState.CANCELED, Delivery.claim_token != "")),
        Delivery.next_attempt_at <= (at_latest or now),
        or_(Delivery.lease_until.is_(None), Delivery.lease_until < now),
    )


def _waiting(now: datetime) -> Select[int]:
    waited_for = case((Delivery.stage.in_(_WAITED_FOR), 0), else_=1)
    return (
        select(Delivery.id)
        .where(*free(now), Delivery.destination.not_in(_full(now)))
        .order_by(waited_for, Delivery.next_attempt_at, Delivery.id)
    )


def _full(now: datetime) -> Select[str]:
    """Destinations with as many live claims as one may have."""
    live = aliased(Delivery)
    states = [DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.CANCELED]
    held = select(live.destination).where(live.state.in_(states), live.claim_token != "", live.lease_until >= now)
    return held.group_by(live.destination).having(func.count() >= AT_ONCE)


def _allowed(page: Sequence[int], now: datetime) -> Select[int]:
    """Those of a page that overtake nothing, and are of no study that is held."""
    older, older_revision = aliased(Delivery), aliased(Revision)
    # coalesce keeps SQLite from walking the whole queue by state or destination: a study has few revisions
    state, replaces = func.coalesce(older.state, older.state), Delivery.kind.in_(REPLACING)
    queued, same = state == DeliveryState.QUEUED, older_revision.number == Revision.number
    claimed = and_(older.claim_token != "", older.lease_until >= now)
    under_way = state.in_([DeliveryState.QUEUED, DeliveryState.CANCELED]) & claimed
    overtakes = exists().where(
        older_revision.study_id == Revision.study_id,
        older.revision_id == older_revision.id,
        func.coalesce(older.destination, older.destination) == Delivery.destination,
        or_(
            # messages replace each other: a note on an older draft comes before a newer one that was queued again
            and_(queued, replaces, older_revision.number < Revision.number),
            and_(queued, or_(~replaces, same), older.id < Delivery.id),
            # what a person signed replaces the drafts of all revisions, so it comes after any that is being transmitted
            and_(replaces, Delivery.stage.in_(FINAL), older.id < Delivery.id, under_way),
        ),
    )
    wanted = or_(
        Study.hold_reason == "",
        Delivery.state != DeliveryState.QUEUED,
        Delivery.stage.in_(TAKES_BACK),  # wanted all the more
    )
    return (
        select(Delivery.id)
        .join(Revision, Revision.id == Delivery.revision_id)
        .join(Study, Study.id == Revision.study_id)
        .where(Delivery.id.in_(page), ~overtakes, wanted)
    )
