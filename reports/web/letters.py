"""Dead letters: deliveries that were given up, studies that were, and where to look for the cause of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from dicom_node.kinds import NOTES
from dicom_node.tables import Book, Delivery, DeliveryState, Revision, Study

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
    """One delivery that was given up. again: can be requeued, since its study has not gone on without it."""

    delivery: Delivery
    study: Study
    explanation: str
    cure: str
    again: bool


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
    return [
        Letter(
            delivery=delivery,
            study=study,
            explanation=delivery.last_error or delivery.revision.explanation or "no reason was recorded",
            cure=CURES.get(delivery.reason, ELSEWHERE),
            again=_is_open(delivery, study),
        )
        for delivery, study in tx.execute(chosen)
    ]


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
    return list(
        tx.scalars(
            select(Study.id)
            .distinct()
            .join(Revision, Revision.study_id == Study.id)
            .join(Delivery, Delivery.revision_id == Revision.id)
            .where(*wish.conditions, open_, Study.hold_reason == "")
            .order_by(Study.id)
            .limit(MOST)
        )
    )


def _is_open(delivery: Delivery, study: Study) -> bool:
    """A requeue of a study that has gone on would read it anew."""
    return not study.hold_reason and (delivery.revision.number == study.revision or delivery.stage in NOTES)
