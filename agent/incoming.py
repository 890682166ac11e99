"""What others tell us about a study: objects that are no images, and HL7 messages. Both become events of its report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

import structlog
from pydicom import Dataset, dcmread
from sqlalchemy import ColumnElement, Select, delete, func, or_, select
from sqlalchemy.orm import Session

from agent.drafting import Desk
from dicom_node import audit
from dicom_node.database import clock
from dicom_node.files import stored_path
from dicom_node.headers import UNREADABLE
from dicom_node.tables import Book, Delivery, Instance, Revision, Role, Study
from dicom_node.worklist.holds import PATIENT_CHANGED, hold_study
from reports import drafts, life
from reports.hl7 import server
from reports.hl7.incoming import Ack, Code, Incoming, Meaning
from reports.messages.subject import PatientId
from reports.objects import tree
from reports.tables import Event, Report, ReportState, Sighting

log = structlog.get_logger("incoming")

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
_FINAL_STATES: Final = frozenset({"F", "C", "A"})  # OBR-25, table 0123
_KEEP_EARLY: Final = timedelta(days=30)  # a report may come before its images, but not by a month
_OPEN: Final = (ReportState.DRAFT, ReportState.AWAITING_SECOND)


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
        """Examine what has come; returns how many objects."""
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
        path = stored_path(self._desk.config.node.store_folder, instance.digest)
        seen = look(path) if instance.size <= _LARGEST else []
        with self._desk.database.write() as tx:
            book_object(tx, instance, seen, clock(tx))


def _unexamined(after: int) -> Select[Instance]:
    looked_at = select(Sighting.id).where(Sighting.instance_id == Instance.id).exists()
    return select(Instance).where(Instance.id > after, Instance.role == Role.OTHER, ~looked_at).order_by(Instance.id)


def look(path: Path) -> list[Seen]:
    """What a stored object says; nothing where it is no final report and no rejection, or cannot be read."""
    try:
        document = dcmread(path, stop_before_pixels=True)
        sop_class = tree.plain(document, "SOPClassUID")
        if sop_class in _REPORTS:
            return _of_a_report(document)
        return list(_of_a_note(document)) if sop_class == _KEY_OBJECT else []
    except (*UNREADABLE, FileNotFoundError) as error:
        log.warning("object_not_examined", error=type(error).__name__)
        return []


def _of_a_report(document: Dataset) -> list[Seen]:
    """Complete, verified, and not called preliminary."""
    flags = [tree.plain(document, name) for name in ("CompletionFlag", "VerificationFlag", "PreliminaryFlag")]
    if flags not in (["COMPLETE", "VERIFIED", ""], ["COMPLETE", "VERIFIED", "FINAL"]):
        return []
    return [Seen(tree.plain(document, "StudyInstanceUID"), Event.FINAL_ELSEWHERE)]


def _of_a_note(document: Dataset) -> Iterator[Seen]:
    event = _NOTES.get(tree.name_of(document)[0])
    if event is None:
        return
    for study in document.get("CurrentRequestedProcedureEvidenceSequence") or []:
        for series in study.get("ReferencedSeriesSequence") or []:
            for reference in series.get("ReferencedSOPSequence") or []:
                about = tree.plain(reference, "ReferencedSOPInstanceUID")
                yield Seen(tree.plain(study, "StudyInstanceUID"), event, about)


def book_object(tx: Session, instance: Instance, seen: Sequence[Seen], now: datetime) -> None:
    """Remember that an object was examined, and let happen what it says. Once, however often it is called."""
    key = _key("object", str(instance.id))
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
            key = _key("object", str(instance.id), str(study.id), one.about)
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
    return set(tx.scalars(select(Instance.sop_instance_uid).where(Instance.digest == report.film_digest)))


# --- HL7 --------------------------------------------------------------------------------------------------------------


def serve_hl7(desk: Desk) -> server.MllpServer | None:
    """The MLLP server, bound and not yet started; None where no sender is configured.

    For `wetread listen`: start it, and stop it before the process ends. Raises OSError: the address is taken.
    """
    hl7 = desk.config.hl7
    if not hl7.senders:
        return None
    door = server.Hl7Config(senders=hl7.senders, host=hl7.bind_address, port=hl7.port, applications=hl7.applications)
    return server.MllpServer(door, lambda incoming: hear(desk, incoming), lambda: _now(desk))


def hear(desk: Desk, incoming: Incoming) -> Ack:
    """Let happen what a message says, and commit. What concerns no study of ours is accepted as well."""
    with desk.database.write() as tx:
        now = clock(tx)
        if incoming.meaning in {Meaning.REPORT_FINAL, Meaning.REPORT_CORRECTION}:
            matched = _hear_report(tx, incoming, now)
        else:
            matched = _hear_patient(tx, incoming, now, hold_on_update=desk.config.hl7.hold_on_update)
    log.info("message_heard", meaning=incoming.meaning.value, studies=matched)
    return Ack(Code.ACCEPT)


def forget_early(tx: Session, now: datetime) -> int:
    """Delete what was heard of studies that never came; returns how many."""
    old = select(Sighting.id).where(Sighting.study_id.is_(None), Sighting.at < now - _KEEP_EARLY).limit(10_000)
    ids = tx.scalars(old).all()
    tx.execute(delete(Sighting).where(Sighting.id.in_(ids)))
    return len(ids)


def _hear_report(tx: Session, incoming: Incoming, now: datetime) -> int:
    """A signed report ends the drafts of its study; of a study that has not come yet it is remembered."""
    source = _source(incoming)
    matched = 0
    for kind, value in _named(incoming):
        studies = _studies_named(tx, kind, value, incoming.patient)
        if len(studies) > 1:
            log.warning("message_ambiguous", meaning=incoming.meaning.value, studies=len(studies))
        elif not studies:
            _remember(tx, _key("early", kind, value), None, life.name_digest(kind, value), source, now)
            log.info("message_of_no_study", meaning=incoming.meaning.value)
        else:
            study = life.lock(tx, studies[0].id)
            if _remember(tx, _key("hl7", str(study.id)), study.id, "", source, now):
                audit.append(tx, f"seen-{Event.FINAL_ELSEWHERE.value}", at=now, actor=source, study_id=study.id)
            life.end_all(tx, study.id, Event.FINAL_ELSEWHERE, now, actor=source)
            matched += 1
    return matched


def _named(incoming: Incoming) -> list[tuple[str, str]]:
    """By what a message names its studies: the Study Instance UID, else each accession number."""
    if incoming.study_instance_uid:
        return [("study", incoming.study_instance_uid)]
    final = [one for one in incoming.reported if one.status in _FINAL_STATES]
    numbers = dict.fromkeys(one.accession or one.filler or one.placer for one in final)
    return [("accession", number) for number in numbers if number]


def _studies_named(tx: Session, kind: str, value: str, patient: Sequence[PatientId]) -> Sequence[Study]:
    """Of several studies with one accession number those of the message's patient: two issuers may number alike."""
    column = Study.study_instance_uid if kind == "study" else Study.accession_number
    found = tx.scalars(select(Study).where(column == value).limit(100)).all()
    if len(found) < 2:
        return found
    return [study for study in found if any(_is_of(study, one) for one in patient)]


def _hear_patient(tx: Session, incoming: Incoming, now: datetime, *, hold_on_update: bool) -> int:
    """A merge or a change holds the patient's studies whose reports are not signed yet, and withdraws the drafts."""
    if incoming.meaning is Meaning.UPDATE and not hold_on_update:
        return 0
    prior = [one for merge in incoming.merges for one in merge.prior] or list(incoming.patient)
    chosen = select(Study).where(Study.patient_id.in_({one.value for one in prior}), or_(*_unsigned()))
    held = 0
    for found in tx.scalars(chosen.order_by(Study.id)).all():
        if not any(_is_of(found, one) for one in prior):
            continue
        study = life.lock(tx, found.id)
        life.end_all(tx, study.id, Event.PATIENT_CHANGED, now, actor=_source(incoming))
        hold_study(tx, study, PATIENT_CHANGED, now, actor=_source(incoming))
        held += 1
    return held


def _unsigned() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Studies of which something may still be read, sent or signed."""
    of_study = select(Revision.id).where(Revision.study_id == Study.id)
    in_work = of_study.where(
        Revision.number == Study.revision, Revision.book.in_([Book.IN_FLIGHT, Book.AWAITING_SIGNOFF])
    )
    open_report = select(Report.id).join(Revision).where(Revision.study_id == Study.id, Report.state.in_(_OPEN))
    return in_work.exists(), open_report.exists()


def _is_of(study: Study, patient: PatientId) -> bool:
    """Is it this patient's? An absent issuer agrees with any one."""
    issuers = {patient.issuer, patient.universal} - {""}
    return study.patient_id == patient.value and (
        not study.issuer_of_patient_id or not issuers or study.issuer_of_patient_id in issuers
    )


def _remember(tx: Session, key: str, study_id: int | None, about: str, source: str, now: datetime) -> bool:
    """Add a final report that was seen; False where it was seen already."""
    if tx.scalar(select(Sighting.id).where(Sighting.key == key)) is not None:
        return False
    event = Event.FINAL_ELSEWHERE
    tx.add(Sighting(key=key, study_id=study_id, event=event, about=about, source=source, at=now))
    return True


def _source(incoming: Incoming) -> str:
    return f"hl7:{incoming.sending_application}"[:64]


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _now(desk: Desk) -> datetime:
    with desk.database.read() as tx:
        return clock(tx)
