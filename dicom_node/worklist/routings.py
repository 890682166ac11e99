"""What was decided about study revisions when they were complete: by which rule, for whom, or why not."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import islice
from types import MappingProxyType
from typing import Final

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.rules.decision import RANKS, Decision
from dicom_node.rules.tables import Routing
from dicom_node.tables import Book, Instance, Mode, Revision, Workitem, WorkitemState
from dicom_node.transports import Destination
from dicom_node.worklist.moves import Ending, call_off, images_of
from dicom_node.worklist.paging import in_pages

EXCLUDED_BY_RULE: Final = "excluded-by-rule"
_ORDER: Final = (Mode.SHADOW, Mode.HOLD, Mode.DRAFT)  # the first lets the least out


@dataclass(frozen=True, slots=True)
class Undecided:
    """A complete study revision that waits for a decision."""

    revision_id: int
    study_id: int
    no_rules: bool  # a person wanted it so
    images: tuple[Instance, ...]


def routing_of(tx: Session, revision_id: int) -> Routing:
    """The row of a revision, made where there is none yet."""
    found = tx.get(Routing, revision_id)
    if found is None:
        found = Routing(revision_id=revision_id)
        tx.add(found)
        tx.flush()
    return found


def undecided(tx: Session, *, limit: int) -> Sequence[Undecided]:
    """The revisions whose readings wait for a decision, oldest first."""
    waiting = select(Routing.revision_id, Routing.no_rules).where(Routing.decided_at.is_(None))
    waiting = waiting.order_by(Routing.revision_id)

    def scheduled(page: Sequence[tuple[int, bool]]) -> Collection[tuple[int, bool]]:
        among = Workitem.revision_id.in_([revision_id for revision_id, _ in page])
        found = set(tx.scalars(select(Workitem.revision_id).where(among, Workitem.state == WorkitemState.SCHEDULED)))
        return {one for one in page if one[0] in found}

    def ask(size: int, passed: int) -> list[tuple[int, bool]]:
        return [(revision_id, no_rules) for revision_id, no_rules in tx.execute(waiting.limit(size).offset(passed))]

    return [
        Undecided(revision_id, tx.get_one(Revision, revision_id).study_id, no_rules, tuple(to_read(tx, revision_id)))
        for revision_id, no_rules in islice(in_pages(ask, scheduled), limit)
    ]


def readable(tx: Session, revisions: Sequence[int], reader: str) -> frozenset[int]:
    """Those of these revisions about which nobody has to decide first, and for which no rule wants another reader.

    reader: the name of the one that asks; empty for any.
    """
    chosen = select(Routing.revision_id, Routing.decided_at, Routing.reader).where(Routing.revision_id.in_(revisions))
    others = {
        revision_id
        for revision_id, decided_at, wanted in tx.execute(chosen)
        if decided_at is None or (reader and wanted not in {"", reader})
    }
    return frozenset(revisions) - others


def decided(tx: Session, revision_id: int, decision: Decision, now: datetime) -> None:
    """Enter a decision: the reading is claimable from now on, with its priority, or the revision is excluded."""
    workitem = tx.scalar(
        select(Workitem).where(Workitem.revision_id == revision_id).with_for_update(of=Workitem, skip_locked=True)
    )
    # Read only now: another dispatcher may just have decided, and given the workitem free.
    routing = tx.get_one(Routing, revision_id, populate_existing=True)
    if routing.decided_at is not None or workitem is None or workitem.state is not WorkitemState.SCHEDULED:
        return
    routing.decided_at = now
    routing.rule, routing.rule_version, routing.reader = decision.rule, decision.version, decision.reader
    routing.priority_from, routing.late = decision.priority_from, decision.late
    routing.destinations = json.dumps(list(decision.to)) if decision.to else ""
    routing.remarks = json.dumps(list(decision.remarks))
    workitem.priority = RANKS[decision.priority]
    _tell(tx, workitem.revision, decision, now)
    if decision.exclude:
        workitem.content_at = now  # of the notice, where somebody wants one
        words = f"rule {decision.rule}: {decision.exclude}"
        call_off(tx, workitem.revision, Ending(Book.EXCLUDED, EXCLUDED_BY_RULE, words), now, actor="dispatch")


def _tell(tx: Session, revision: Revision, decision: Decision, now: datetime) -> None:
    """Nobody must look for a decision that nobody took."""
    if not decision.rule and decision.priority_from == "default" and not decision.remarks:
        return
    audit.append(
        tx,
        "study-routed",
        at=now,
        actor="dispatch",
        study_id=revision.study_id,
        revision=revision.number,
        rule=decision.rule or "none",
        version=decision.version,
        priority=decision.priority,
        remarks="; ".join(decision.remarks),
    )


def is_undecided() -> ColumnElement[bool]:
    """Of a workitem: nobody has decided about it yet."""
    return exists().where(Routing.revision_id == Workitem.revision_id, Routing.decided_at.is_(None))


def to_read(tx: Session, revision_id: int) -> Sequence[Instance]:
    """The images that a revision is about: all of its study; or, where older drafts stand, those they do not know."""
    revision = tx.get_one(Revision, revision_id)
    images = images_of(tx, revision.study_id)
    routing = tx.get(Routing, revision_id)
    if routing is None or not routing.beside:
        return images
    told = (
        select(func.max(Revision.number))
        .where(Revision.study_id == revision.study_id, Revision.number < revision.number)
        .where(Revision.book == Book.DELIVERED)
    )
    newest = tx.scalar(told) or 0
    return [image for image in images if image.revision > newest]


def stands_beside(tx: Session, revision_id: int) -> bool:
    """Is its draft one of late images only, which replaces no older one?"""
    return bool(tx.scalar(select(Routing.beside).where(Routing.revision_id == revision_id)))


def bound_for(tx: Session, revision_id: int, everyone: Sequence[Destination]) -> tuple[Destination, ...]:
    """Those of the destinations that a revision goes to, each in its mode or the stricter one that a rule says.

    A rule never lets out more than the destination's own mode: that one is what the site agreed upon.
    """
    wanted = _targets(tx, revision_id)
    if wanted is None:
        return tuple(everyone)
    return tuple(_as_told(one, wanted[one.name]) for one in everyone if one.name in wanted)


def _targets(tx: Session, revision_id: int) -> Mapping[str, str] | None:
    told = tx.scalar(_told(), {"revision": revision_id})
    if not told:
        return None
    return MappingProxyType({name: mode for name, _, mode in (target.partition("=") for target in json.loads(told))})


@cache
def _told() -> Select[str]:
    return select(Routing.destinations).where(Routing.revision_id == bindparam("revision"))


def _as_told(destination: Destination, mode: str) -> Destination:
    if not mode:
        return destination
    return replace(destination, mode=min(destination.mode, Mode(mode), key=_ORDER.index))
