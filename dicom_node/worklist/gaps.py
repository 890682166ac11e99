"""What a peer has and we do not: found by reconciliation, open until it came, is not there any more, or was let go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.commitment_tables import Gap, Reconciliation
from dicom_node.reconcile import Day, Found
from dicom_node.tables import Instance


def record(tx: Session, peer: str, day: date, told: Day, *, now: datetime, actor: str) -> Reconciliation:
    """Hold a peer's day against our books: gaps that are new are opened, those that closed are closed.

    None is closed where not all that the peer told could be read.
    """
    found = told.found
    missing = [one for one in found if not is_here(tx, one)]
    known = {gap.study_instance_uid: gap for gap in tx.scalars(select(Gap).where(Gap.peer == peer))}
    for one in missing:
        gap = known.get(one.study_instance_uid)
        if gap is None:
            gap = Gap(peer=peer, day=day.isoformat(), study_instance_uid=one.study_instance_uid, seen_at=now)
            tx.add(gap)
        gap.modality, gap.instances, gap.closed_at = one.series[0].modality, one.instances, None
    still = {one.study_instance_uid for one in missing}
    for gap in () if told.trouble else known.values():
        if gap.closed_at is None and gap.day == day.isoformat() and gap.study_instance_uid not in still:
            gap.closed_at = now
    row = Reconciliation(peer=peer, day=day.isoformat(), asked_at=now, found=len(found), missing=len(missing))
    row.trouble = told.trouble
    tx.add(row)
    event = "not-reconciled" if told.trouble else "reconciled"
    audit.append(tx, event, at=now, actor=actor, peer=peer, day=row.day, found=row.found, missing=row.missing)
    return row


def record_trouble(tx: Session, peer: str, day: date, *, trouble: str, now: datetime, actor: str) -> Reconciliation:
    """It could not be asked."""
    row = Reconciliation(peer=peer, day=day.isoformat(), asked_at=now, trouble=trouble)
    tx.add(row)
    audit.append(tx, "not-reconciled", at=now, actor=actor, peer=peer, day=row.day)
    return row


def is_here(tx: Session, one: Found) -> bool:
    """Did every film of the study come that the peer tells of? Where it gives no number, one of each series."""
    counted = select(Instance.series_instance_uid, func.count(Instance.sop_instance_uid.distinct())).where(
        Instance.series_instance_uid.in_([series.series_instance_uid for series in one.series])
    )
    here = {uid: number for uid, number in tx.execute(counted.group_by(Instance.series_instance_uid))}  # noqa: C416
    return all(here.get(series.series_instance_uid, 0) >= max(1, series.instances) for series in one.series)


def open_gaps(tx: Session, *, peer: str = "", day: date | None = None) -> Sequence[Gap]:
    """What is still missing, the oldest first; of one peer or day where told."""
    conditions: list[ColumnElement[bool]] = [Gap.closed_at.is_(None)]
    if peer:
        conditions.append(Gap.peer == peer)
    if day is not None:
        conditions.append(Gap.day == day.isoformat())
    return tx.scalars(select(Gap).where(*conditions).order_by(Gap.day, Gap.id)).all()


def count_open(tx: Session) -> int:
    """How many studies are missing here."""
    return tx.scalar(select(func.count(Gap.id)).where(Gap.closed_at.is_(None))) or 0


def mark_asked(tx: Session, gap_id: int, now: datetime, *, error: str = "") -> None:
    """The peer was told to send it, or refused."""
    gap = tx.get_one(Gap, gap_id)
    gap.asked_for_at, gap.last_error = now, error


def close_if_here(tx: Session, gap_id: int, found: Found, now: datetime) -> bool:
    """Close a gap whose films have come meanwhile, or of which the peer has none any more."""
    if not is_here(tx, found):
        return False
    tx.get_one(Gap, gap_id).closed_at = now
    return True


def close_all(tx: Session, peer: str, now: datetime, *, why: str) -> int:
    """Let go of all that a peer has and we do not; how many studies."""
    gaps = open_gaps(tx, peer=peer)
    for gap in gaps:
        gap.closed_at, gap.last_error = now, why
    return len(gaps)


def newest(tx: Session, peer: str, day: date) -> Reconciliation | None:
    """The last comparison of that day, whether or not it could be made."""
    chosen = select(Reconciliation).where(Reconciliation.peer == peer, Reconciliation.day == day.isoformat())
    return tx.scalar(chosen.order_by(Reconciliation.id.desc()).limit(1))
