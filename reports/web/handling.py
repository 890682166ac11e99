"""What a person can do with a study from its page: the same acts as `wetread study ...`, by the same functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy.orm import Session

from dicom_node import worklist
from dicom_node.errors import ConfigurationError
from dicom_node.tables import Book, DeliveryState, Study, StudyState, WorkitemState
from dicom_node.worklist.overrulings import WORTH_OVERRULING
from dicom_node.worklist.requeues import is_wanted
from reports.web.rights import Right, Visitor
from reports.web.study import Dossier

LONGEST_REASON: Final = 200


@dataclass(frozen=True, slots=True)
class Act:
    """One button. asks: label of a line that must be written. sure: what must be checked before. looks: with the film
    before one's eyes, which `reports.web.looking` proves.
    """

    verb: str
    words: str
    right: Right
    hint: str
    asks: str = ""
    sure: str = ""
    looks: bool = False


ACTS: Final = MappingProxyType(
    {
        act.verb: act
        for act in (
            Act("complete", "Wait for no more images", Right.HANDLE, "It is read as it is now."),
            Act(
                "confirm",
                "Let it be read",
                Right.OVERRULE,
                "The gate could not tell what the film shows. Your name stands in the audit trail.",
                sure="I looked: it is a frontal chest film of an adult",
                looks=True,
            ),
            Act(
                "overrule",
                "Read it all the same",
                Right.OVERRULE,
                "Every other reason against it still counts. Your name stands in the audit trail.",
                sure="I looked: the reason does not hold for this film",
                looks=True,
            ),
            Act(
                "release",
                "Use what came last",
                Right.HANDLE,
                "Send the corrected study first. Its images must agree on one patient; those without a Patient ID are "
                "set aside.",
                sure="The study was corrected and came again",
            ),
            Act("requeue", "Try again", Right.HANDLE, "Failed deliveries are queued anew; else it is read anew."),
            Act("reprocess", "Read it again", Right.HANDLE, "A new revision; its draft replaces the older one."),
            Act(
                "exclude",
                "Take it out",
                Right.HANDLE,
                "It is not read, and nothing of it is sent.",
                asks="Reason, without patient data",
            ),
        )
    }
)


def offered(found: Dossier, visitor: Visitor) -> list[Act]:
    """What this person can do with this study now."""
    return [ACTS[verb] for verb in _possible(found) if visitor.may(ACTS[verb].right)]


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants it. reason: a sentence, of what is excluded; what is overruled is the reason in the books.

    shown: how many of its films that person was shown here.
    """

    actor: str
    reason: str = ""
    shown: int = 0


def act(tx: Session, study: Study, verb: str, now: datetime, order: Order) -> str:
    """Do it; returns what was done, in words. Raises WrongState, ConfigurationError."""
    if verb == "exclude" and not 0 < len(order.reason) <= LONGEST_REASON:
        raise ConfigurationError(f"Give a reason of 1 to {LONGEST_REASON} characters.")
    return _DOERS[verb](tx, study, now, order)


def _possible(found: Dossier) -> Iterator[str]:
    study, book, workitem = found.facts.revision.study, found.facts.revision.book, found.facts.workitem
    held = bool(study.hold_reason)
    waits = workitem is not None and workitem.state is WorkitemState.SCHEDULED and book is Book.IN_FLIGHT
    if study.state is StudyState.RECEIVING:
        yield "complete"
    if waits and workitem is not None and workitem.hold_reason and not held:
        yield "confirm"
    if book is Book.EXCLUDED and found.facts.revision.reason in WORTH_OVERRULING:
        yield "overrule"
    if held or any(instance.conflict for instance in found.instances):
        yield "release"
    failed = [delivery for delivery in found.deliveries if delivery.state is DeliveryState.FAILED]
    can_go = any(delivery.id not in found.in_vain for delivery in failed)
    reads_anew = book is Book.DEAD_LETTERED and not found.signed and not any(is_wanted(study, one) for one in failed)
    if not held and (can_go or reads_anew):
        yield "requeue"
    reading = waits or (workitem is not None and workitem.state is WorkitemState.IN_PROGRESS)
    if study.state is StudyState.COMPLETE and not held and not reading and not found.signed:
        yield "reprocess"
    if waits or (held and book is Book.IN_FLIGHT):
        yield "exclude"


def _confirm(tx: Session, study: Study, now: datetime, order: Order) -> str:
    worklist.confirm(tx, study, now, actor=order.actor, shown=order.shown)
    return "confirmed; it will be read"


def _overrule(tx: Session, study: Study, now: datetime, order: Order) -> str:
    code = worklist.current_revision(tx, study).reason
    return worklist.overrule(tx, study, code, now, actor=order.actor, shown=order.shown)


def _exclude(tx: Session, study: Study, now: datetime, order: Order) -> str:
    worklist.set_aside(tx, study, explanation=order.reason, now=now, actor=order.actor)
    return "excluded"


Doer = Callable[[Session, Study, datetime, Order], str]
_DOERS: Final[MappingProxyType[str, Doer]] = MappingProxyType(
    {
        "complete": lambda tx, study, now, order: worklist.complete_now(tx, study, now, actor=order.actor),
        "confirm": _confirm,
        "overrule": _overrule,
        "release": lambda tx, study, now, order: worklist.release_study(tx, study, now, actor=order.actor),
        "requeue": lambda tx, study, now, order: worklist.requeue(tx, study, now, actor=order.actor),
        "reprocess": lambda tx, study, now, order: worklist.reprocess(tx, study, now, actor=order.actor),
        "exclude": _exclude,
    }
)
