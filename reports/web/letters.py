"""Dead letters: deliveries that were given up, studies that were, and where to look for the cause of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from dicom_node.destinations import find
from dicom_node.kinds import NOTES
from dicom_node.tables import Book, Delivery, DeliveryState, Revision, Study
from dicom_node.worklist.moves import DESTINATION_OFF, MAY_BE_THERE
from dicom_node.worklist.permits import is_called_off, why_it_is_off

PAGE: Final = 100  # letters that are shown
MOST: Final = 500  # studies that are requeued by one click

# What a person does about each, in short; the manual has the whole of it (operate.md, section 5).
CURES: Final = MappingProxyType(
    {
        "undeliverable": "Mend the destination (Peers: C-ECHO says why), then requeue.",
        "destination-off": "Meant? Close it. Else let the destination get our documents again (Peers), then requeue.",
        "class-refused": "Probe the peer (Peers) and choose forms that it takes, then requeue.",
        "may-be-there": "Look there for the object and have it removed; requeue asks again, and sends nothing.",
        "never-found": "It may change UIDs on arrival: choose the proof acknowledgement (Peers), then requeue.",
        "identity-differs": "The PACS has another patient or order: have the film sent anew, or release the study.",
        "identity-coerced": "Look there at once: a draft may stand in another patient's record. Withdraw the report.",
        "study-gone": "The PACS no longer has the study. Meant? Close it. Else bring it back there, then requeue.",
        "film-gone": "The PACS no longer has a film of the draft. Meant? Close it. Else bring it back, then requeue.",
        "no-destination": "Register one (Peers), or correct the rule that names another (Rules), then requeue.",
        "reading-failed": "The log of work has the place; mend it, then requeue.",
        "decode-timeout": "reader.decode_seconds, if films of this sender are that large; then requeue.",
        "out-of-memory": "reader.decode_mebibytes, if films of this sender are that large; then requeue.",
        "decoder-crashed": "Look at the film in a viewer; then requeue.",
        "reading-timeout": "A slow or busy device: fewer reader.slots, or more reader.seconds; then requeue.",
        "worker-lost": "GPU memory? node.lease_seconds too short? Then requeue.",
        "draft-refused": "A defect of this program: report it with these words, which hold nothing of a patient.",
    }
)
ELSEWHERE: Final = "The study's page says what happened, and what helps."


@dataclass(frozen=True, slots=True)
class Wish:
    """Which letters; empty texts: all."""

    destination: str = ""
    reason: str = ""

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """As the database asks."""
        wanted: list[ColumnElement[bool]] = [Delivery.state == DeliveryState.FAILED]
        if self.destination:
            wanted.append(Delivery.destination == self.destination)
        if self.reason:
            wanted.append(Delivery.reason == self.reason)
        return wanted


@dataclass(frozen=True, slots=True)
class Letter:
    """One delivery that was given up. hindrance: why it cannot be requeued, in a sentence; empty where it can."""

    delivery: Delivery
    study: Study
    explanation: str
    cure: str
    hindrance: str


def letters(tx: Session, wish: Wish) -> list[Letter]:
    """The newest first."""
    chosen = (
        select(Delivery, Study)
        .join(Revision, Revision.id == Delivery.revision_id)
        .join(Study, Study.id == Revision.study_id)
        .where(*wish.conditions)
        .order_by(Delivery.id.desc())
        .limit(PAGE)
    )
    return [_letter(tx, delivery, study) for delivery, study in tx.execute(chosen)]


def _letter(tx: Session, delivery: Delivery, study: Study) -> Letter:
    off = why_in_vain(tx, delivery)
    return Letter(
        delivery=delivery,
        study=study,
        explanation=delivery.last_error or delivery.revision.explanation or "no reason was recorded",
        cure=CURES.get(DESTINATION_OFF if off else delivery.reason, ELSEWHERE),
        hindrance=_closed(delivery, study) or off,
    )


def why_in_vain(tx: Session, delivery: Delivery) -> str:
    """Why another try would end as the same dead letter, in a sentence: its destination was removed, or turned off."""
    is_asked = delivery.reason == MAY_BE_THERE or is_called_off(tx, delivery)  # and not sent
    off = "" if is_asked and find(tx, delivery.destination) is not None else why_it_is_off(tx, delivery)
    return f"Another try would fail as well: {off}." if off else ""


def all_in_vain(tx: Session, destination: str) -> str:
    """As `why_in_vain`, where it holds of every letter for this destination; else empty.

    Of a destination that is there, but gets less, the oldest are judged one by one: those that were called off since
    can still be asked for.
    """
    wanted = select(func.max(Delivery.id)).where(*Wish(destination).conditions)
    newest = tx.scalars(wanted.group_by(Delivery.kind, Delivery.stage, Delivery.reason)).all()
    why = [why_in_vain(tx, tx.get_one(Delivery, number)) for number in newest]
    if not why or not all(why):
        return ""
    if find(tx, destination) is not None:
        oldest = select(Delivery).where(*Wish(destination).conditions).order_by(Delivery.id).limit(MOST)
        if any(not why_in_vain(tx, letter) for letter in tx.scalars(oldest)):
            return ""
    return why[0]


def counts(tx: Session) -> list[tuple[str, str, int]]:
    """Destination, reason, how many; the most first."""
    rows = tx.execute(
        select(Delivery.destination, Delivery.reason, func.count())
        .where(Delivery.state == DeliveryState.FAILED)
        .group_by(Delivery.destination, Delivery.reason)
        .order_by(func.count().desc(), Delivery.destination, Delivery.reason)
    )
    return [(destination, reason, count) for destination, reason, count in rows]


def given_up(tx: Session) -> Sequence[Revision]:
    """Studies that are dead letters without a delivery that is one: nothing of them could be made or sent."""
    failed = select(Delivery.id).where(Delivery.revision_id == Revision.id, Delivery.state == DeliveryState.FAILED)
    return tx.scalars(
        select(Revision)
        .join(Study, (Study.id == Revision.study_id) & (Study.revision == Revision.number))
        .where(Revision.book == Book.DEAD_LETTERED, ~failed.exists())
        .order_by(Revision.id.desc())
        .limit(PAGE)
    ).all()


def studies_of(tx: Session, wish: Wish) -> list[int]:
    """Numbers of the studies whose letters can be requeued, the oldest first."""
    open_ = or_(Revision.number == Study.revision, Delivery.stage.in_(NOTES))
    chosen = select(Delivery.destination).distinct().where(*wish.conditions)
    vain = [destination for destination in tx.scalars(chosen) if all_in_vain(tx, destination)]
    return list(
        tx.scalars(
            select(Study.id)
            .distinct()
            .join(Revision, Revision.study_id == Study.id)
            .join(Delivery, Delivery.revision_id == Revision.id)
            .where(*wish.conditions, open_, Study.hold_reason == "", Delivery.destination.not_in(vain))
            .order_by(Study.id)
            .limit(MOST)
        )
    )


def _closed(delivery: Delivery, study: Study) -> str:
    """A requeue of a study that has gone on would read it anew."""
    if study.hold_reason:
        return "The study is held: its page says for what."
    goes_on = delivery.revision.number == study.revision or delivery.stage in NOTES
    return "" if goes_on else "A newer revision of the study has gone on without it."
