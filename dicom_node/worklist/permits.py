"""May what was queued still go where it was queued for? Asked when it is due: destinations change meanwhile."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.destinations import find, takes
from dicom_node.kinds import TAKES_BACK, Stage
from dicom_node.tables import Delivery, RemoteAE, Revision


def why_it_is_off(tx: Session, delivery: Delivery) -> str:
    """Why a queued object must not go to its destination as that is registered now; empty where it may."""
    to = find(tx, delivery.destination)
    if to is None:
        return "the destination was removed; wetread ae add or wetread destination add registers it again"
    send_to = tx.scalar(select(RemoteAE.send_to).where(RemoteAE.ae_title == delivery.destination))
    if send_to is False:
        return "the destination gets nothing any more (ae edit --no-send-to)"
    if delivery.stage in TAKES_BACK:
        return "" if _got_any(tx, delivery) else "the destination never got what this takes back"
    if not takes(to, delivery.kind, delivery.stage):
        return f"the destination is in mode {to.mode} now and gets no {delivery.kind} at stage {delivery.stage}"
    return ""


def _got_any(tx: Session, delivery: Delivery) -> bool:
    """Did this destination get, or may it have got, what a rejection (drafts) or withdrawal (anything) takes back?"""
    chosen = (
        select(Delivery.id)
        .join(Revision, Revision.id == Delivery.revision_id)
        .where(
            Revision.study_id == delivery.revision.study_id,
            Delivery.destination == delivery.destination,
            Delivery.sent_at.is_not(None),
            Delivery.stage.not_in(TAKES_BACK) if delivery.stage is Stage.WITHDRAWAL else Delivery.stage == Stage.DRAFT,
        )
    )
    return tx.scalar(chosen.limit(1)) is not None
