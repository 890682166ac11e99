"""Objects that are no images and came by C-STORE: is one a signed report, or a rejection of what we read?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

import structlog
from pydicom import Dataset, dcmread
from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from agent.desk import Desk
from dicom_node import audit
from dicom_node.database import clock
from dicom_node.files import require, stored_path
from dicom_node.headers import UNREADABLE
from dicom_node.tables import Delivery, Instance, Role, Study
from reports import drafts, life
from reports.source import joined
from reports.tables import Event, Report, Sighting

log = structlog.get_logger("dispatch")

# Reports that a person can have verified; dose reports and what CAD writes are none.
_REPORTS: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34, 35))
_KEY_OBJECT: Final = "1.2.840.10008.5.1.4.1.1.88.59"
# IHE IOCM: titles of notes that reject what they name, and whether that is for the patient's safety.
_NOTES: Final = MappingProxyType(
    {
        "113001": Event.CANCELED,  # for quality
        "113037": Event.CANCELED_FOR_SAFETY,  # for the patient's safety
        "113038": Event.CANCELED_FOR_SAFETY,  # from a wrong worklist entry: another patient, or another study
        "113039": Event.CANCELED,  # retention is over
    }
)
_OF_A_DRAFT: Final = MappingProxyType(
    {Event.CANCELED: Event.REJECTED, Event.CANCELED_FOR_SAFETY: Event.REJECTED_FOR_SAFETY}
)
_LARGEST: Final = 32 << 20  # bytes; a report has some KiB
_AT_ONCE: Final = 50
_SLACK: Final = 1000  # commits may pass each other by some numbers
_KEEP_EARLY: Final = timedelta(days=30)  # a report may come before its images, but not by a month


@dataclass(frozen=True, slots=True)
class Seen:
    """What an object says about a study. about: SOP Instance UID of what it rejects; empty for a report."""

    study_instance_uid: str
    event: Event
    about: str = ""


class Examiner:
    """Looks once at every object that is no image. Remembers only from where on it has to look."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._from: int | None = None

    def step(self) -> int:
        """Examine what has come; returns how many objects. Raises StoreAway: what was not there says nothing."""
        with self._desk.database.read() as tx:
            if self._from is None:
                self._from = (tx.scalar(select(func.max(Sighting.instance_id))) or 0) - _SLACK
            newest = tx.scalar(select(func.max(Instance.id))) or 0
            waiting = tx.scalars(_unexamined(self._from).limit(_AT_ONCE)).all()
        for instance in waiting:
            self._examine(instance)
        self._from = max(self._from, (waiting[-1].id if len(waiting) == _AT_ONCE else newest) - _SLACK)
        return len(waiting)

    def _examine(self, instance: Instance) -> None:
        store = self._desk.config.node.store_folder
        seen = look(stored_path(store, instance.digest)) if instance.size <= _LARGEST else []
        if not seen:
            require(store)
        with self._desk.database.write() as tx:
            book_object(tx, instance, seen, clock(tx))


def _unexamined(after: int) -> Select[Instance]:
    looked_at = select(Sighting.id).where(Sighting.instance_id == Instance.id).exists()
    return select(Instance).where(Instance.id > after, Instance.role == Role.OTHER, ~looked_at).order_by(Instance.id)


def look(path: Path) -> list[Seen]:
    """What a stored object says; nothing where it is no final report and no rejection, or cannot be read."""
    try:
        document = dcmread(path, stop_before_pixels=True)
        sop_class = plain(document, "SOPClassUID")
        if sop_class in _REPORTS:
            return _of_a_report(document)
        return list(_of_a_note(document)) if sop_class == _KEY_OBJECT else []
    except (*UNREADABLE, FileNotFoundError) as error:
        log.warning("object_not_examined", error=type(error).__name__)
        return []


def _of_a_report(document: Dataset) -> list[Seen]:
    """Complete, verified, and not called preliminary."""
    flags = [plain(document, name) for name in ("CompletionFlag", "VerificationFlag", "PreliminaryFlag")]
    if flags not in (["COMPLETE", "VERIFIED", ""], ["COMPLETE", "VERIFIED", "FINAL"]):
        return []
    return [Seen(plain(document, "StudyInstanceUID"), Event.FINAL_ELSEWHERE)]


def _of_a_note(document: Dataset) -> Iterator[Seen]:
    event = _NOTES.get(_title(document))
    if event is None:
        return
    for study in document.get("CurrentRequestedProcedureEvidenceSequence") or []:
        for series in study.get("ReferencedSeriesSequence") or []:
            for reference in series.get("ReferencedSOPSequence") or []:
                about = plain(reference, "ReferencedSOPInstanceUID")
                yield Seen(plain(study, "StudyInstanceUID"), event, about)


def _title(document: Dataset) -> str:
    return plain((document.get("ConceptNameCodeSequence") or [Dataset()])[0], "CodeValue")


def book_object(tx: Session, instance: Instance, seen: Sequence[Seen], now: datetime) -> None:
    """Remember that an object was examined, and let happen what it says. Once, however often it is called."""
    key = life.key_of("object", str(instance.id))
    if tx.scalar(select(Sighting.id).where(Sighting.key == key)) is not None:
        return
    source = instance.calling_ae_title
    tx.add(Sighting(key=key, study_id=instance.study_id, source=source, at=now, instance_id=instance.id))
    uids = {one.study_instance_uid for one in seen}
    studies = tx.scalars(select(Study).where(Study.study_instance_uid.in_(uids)).order_by(Study.id)).all()
    for study in studies:
        of_it = [one for one in seen if one.study_instance_uid == study.study_instance_uid]
        life.lock(tx, study.id)
        for one in dict.fromkeys(of_it):
            key = life.key_of("object", str(instance.id), str(study.id), one.about)
            about = {"about": one.about, "source": source, "at": now, "instance_id": instance.id}
            tx.add(Sighting(key=key, study_id=study.id, event=one.event, **about))
        tx.flush()
        _happen(tx, study, of_it, now, actor=source)


def _happen(tx: Session, study: Study, seen: Sequence[Seen], now: datetime, *, actor: str) -> None:
    for event in dict.fromkeys(one.event for one in seen):
        about = {one.about for one in seen if one.event is event}
        audit.append(tx, f"seen-{event.value}", at=now, actor=actor, study_id=study.id)
        if event is Event.FINAL_ELSEWHERE:
            life.end_all(tx, study.id, event, now, actor=actor)
            continue
        for report in drafts.of_study(tx, study.id, lock=True):
            if _documents_of(tx, report) & about:
                life.end(tx, report, _OF_A_DRAFT[event], now, actor=actor)
            elif _films_of(tx, report) & about:
                life.end(tx, report, event, now, actor=actor)


def _documents_of(tx: Session, report: Report) -> set[str]:
    sent = tx.scalars(select(Delivery.sop_instance_uid).where(Delivery.revision_id == report.revision_id))
    return {report.sop_instance_uid, *sent}


def _films_of(tx: Session, report: Report) -> set[str]:
    return set(tx.scalars(select(Instance.sop_instance_uid).where(Instance.digest.in_(report.films))))


def plain(dataset: Dataset, keyword: str) -> str:
    """Return an element as one text; empty where absent."""
    return joined(dataset.get(keyword))


def forget_early(tx: Session, now: datetime) -> int:
    """Delete what was heard of studies that never came; returns how many."""
    old = select(Sighting.id).where(Sighting.study_id.is_(None), Sighting.at < now - _KEEP_EARLY).limit(10_000)
    ids = tx.scalars(old).all()
    tx.execute(delete(Sighting).where(Sighting.id.in_(ids)))
    return len(ids)
