"""May what was queued still go where it was queued for? Asked when it is due: destinations change meanwhile."""

from __future__ import annotations

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from dicom_node.destinations import find, takes
from dicom_node.kinds import FINAL, KEPT, NOTES, TAKES_BACK, Kind, Stage
from dicom_node.tables import Book, Delivery, DeliveryState, RemoteAE, Revision, Study
from dicom_node.worklist.moves import CALLED_OFF, NOTHING_THERE, SIGNED_INSTEAD

REPLACING = frozenset({Kind.ORU, Kind.FHIR})  # one report of a study at its receiver


def why_it_is_off(tx: Session, delivery: Delivery) -> str:
    """Why a queued object must not go to its destination as that is registered now; empty where it may."""
    to = find(tx, delivery.destination)
    if to is None:
        return "the destination was removed; wetread ae add or wetread destination add registers it again"
    send_to = tx.scalar(select(RemoteAE.send_to).where(RemoteAE.ae_title == delivery.destination))
    if send_to is False:
        return "the destination gets nothing any more (ae edit --no-send-to)"
    if delivery.stage not in TAKES_BACK and not takes(to, delivery.kind, delivery.stage):
        return f"the destination is in mode {to.mode} now and gets no {delivery.kind} at stage {delivery.stage}"
    return ""


def why_it_is_not_needed(tx: Session, delivery: Delivery) -> str:
    """A code: why a queued object has no purpose at its destination any more; empty where it has one."""
    if delivery.stage in TAKES_BACK:
        return "" if _got_any(tx, delivery) and not _is_replaced(tx, delivery) else NOTHING_THERE
    if _is_taken_back(tx, delivery):
        return CALLED_OFF
    return SIGNED_INSTEAD if _is_signed_over(tx, delivery) else ""


def is_called_off(tx: Session, delivery: Delivery) -> bool:
    """Taken back, superseded, held, or excluded while it was on its way.

    Asked anew: others change it while a row is waited for. The book of the revision alone does not say it: a dead
    letter of another destination stands there as well. What takes documents back is wanted for as long as they are
    there.
    """
    if delivery.stage in TAKES_BACK:
        return False
    if delivery.reason == CALLED_OFF or _is_taken_back(tx, delivery):
        return True
    if delivery.stage in KEPT:  # a newer revision replaces no signature, and a hold only makes it wait
        return False
    asked = select(Study.hold_reason, Study.revision, Revision.number, Revision.book, Revision.reason)
    hold_reason, newest, number, book, reason = tx.execute(
        asked.join(Study, Study.id == Revision.study_id).where(Revision.id == delivery.revision_id)
    ).one()
    return bool(hold_reason) or number != newest or (book is Book.IN_FLIGHT and bool(reason))


def _is_taken_back(tx: Session, delivery: Delivery) -> bool:
    """Was something queued after it that takes it back, whatever became of that?"""
    chosen = select(Delivery.id).where(
        Delivery.revision_id == delivery.revision_id,
        Delivery.destination == delivery.destination,
        Delivery.stage.in_(TAKES_BACK),
        Delivery.id > delivery.id,
    )
    return tx.scalar(chosen.limit(1)) is not None


def _is_signed_over(tx: Session, delivery: Delivery) -> bool:
    """Has a person signed a report of the study since this draft's message was queued? Sent after it, the draft would
    replace it; where the draft came already, in doubt or not, the signed one replaces the draft.
    """
    if delivery.kind not in REPLACING or delivery.stage is not Stage.DRAFT:
        return False
    signed = (
        select(Delivery.id)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(
            Revision.study_id == delivery.revision.study_id,
            Delivery.destination == delivery.destination,
            Delivery.kind == delivery.kind,
            Delivery.stage.in_(FINAL),
            Delivery.state != DeliveryState.CANCELED,
            Delivery.id > delivery.id,
        )
    )
    return tx.scalar(signed.limit(1)) is not None


def _is_replaced(tx: Session, delivery: Delivery) -> bool:
    """Has a later message of another report replaced what this one takes back? Then it would take that one back.

    Later than the last of its own: a draft of late images that came before the signature has replaced nothing. For a
    patient's safety it goes out all the same: it may be about another patient.
    """
    if delivery.kind not in REPLACING or delivery.stage is not Stage.REJECTION:
        return False
    there = (Delivery.destination == delivery.destination, Delivery.kind == delivery.kind, Delivery.stage.not_in(NOTES))
    last = select(func.max(Delivery.id)).where(Delivery.revision_id == delivery.revision_id, *there)
    later = (
        select(Delivery.id)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(
            Revision.study_id == delivery.revision.study_id,
            Revision.id != delivery.revision_id,
            Delivery.id > last.scalar_subquery(),
            Delivery.state.in_([DeliveryState.SENT, DeliveryState.COMMITTED]),
            *there,
        )
    )
    return tx.scalar(later.limit(1)) is not None


def _got_any(tx: Session, delivery: Delivery) -> bool:
    """Did this destination get, or may it have got, anything of the study that can be taken back?"""
    chosen = (
        select(Delivery.id)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(
            Revision.study_id == delivery.revision.study_id,
            Delivery.destination == delivery.destination,
            or_(Delivery.sent_at.is_not(None), Delivery.claim_token != ""),
            Delivery.stage.not_in(TAKES_BACK),  # a notice that there is no draft is taken back as well
        )
    )
    return tx.scalar(chosen.limit(1)) is not None
