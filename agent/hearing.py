"""A report was signed elsewhere, however we hear of it: the drafts of its study end, or it is remembered."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from reports import life, recalls
from reports.tables import Event, Sighting


def final_elsewhere(tx: Session, study_id: int, now: datetime, *, way: str, source: str) -> None:
    """End the drafts of a study. way: hl7 or fhir; source: who said so, for the audit trail."""
    study = life.lock(tx, study_id)
    seen = Sighting(key=life.key_of(way, str(study.id)), study_id=study.id, source=source[:64], at=now)
    if remember(tx, seen, Event.FINAL_ELSEWHERE):
        audit.append(tx, f"seen-{Event.FINAL_ELSEWHERE.value}", at=now, actor=source, study_id=study.id)
    life.end_all(tx, study.id, Event.FINAL_ELSEWHERE, now, actor=source)


def final_in_place(tx: Session, study_id: int, now: datetime, *, destination: str) -> bool:
    """A person has signed the resource that our draft was at a server: as `final_elsewhere`, and it is not taken back
    there. False where that is known already.
    """
    source = f"fhir:{destination}"
    life.lock(tx, study_id)
    key = recalls.in_place_key(destination, study_id)
    new = remember(tx, Sighting(key=key, study_id=study_id, source=source[:64], at=now), Event.FINAL_ELSEWHERE)
    if new:
        audit.append(tx, "seen-final-in-place", at=now, actor=source, study_id=study_id, destination=destination)
    final_elsewhere(tx, study_id, now, way="fhir", source=source)
    return new


def remember_early(tx: Session, digests: Iterable[str], now: datetime, *, source: str) -> None:
    """Keep that a study which may still come has a signed report. digests: as `life` asks for them."""
    for about in sorted(set(digests)):
        seen = Sighting(key=life.key_of("early", about), about=about, source=source[:64], at=now)
        remember(tx, seen, Event.FINAL_ELSEWHERE)


def remember(tx: Session, seen: Sighting, event: Event) -> bool:
    """Add what was seen; False where it was seen already."""
    if tx.scalar(select(Sighting.id).where(Sighting.key == seen.key)) is not None:
        return False
    seen.event = event
    tx.add(seen)
    return True
