"""What others tell us by HL7: a report was signed, a patient was merged or changed. Both become events of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from agent import hearing
from agent.desk import Desk
from dicom_node.database import clock
from dicom_node.tables import Book, Revision, Study
from dicom_node.worklist.holds import PATIENT_CHANGED, hold_study
from reports import life
from reports.hl7 import server
from reports.hl7.incoming import Ack, Code, Incoming, Meaning, Merge
from reports.hl7.tls import server_context
from reports.messages.identity import PatientId
from reports.tables import Event, Report, ReportState, Sighting

log = structlog.get_logger("listen")

_FINAL_STATES: Final = frozenset({"F", "C", "A"})  # OBR-25, table 0123
# OBR-24: table 0074 has RAD, RX and XRC; the others are what RIS write for radiographs.
_SECTIONS: Final = frozenset({"", "RAD", "RX", "XRC", "XR", "CXR", "CR", "DX", "DR", "DI", "IMG"})
_OPEN: Final = (ReportState.DRAFT, ReportState.AWAITING_SECOND)


def serve_hl7(desk: Desk) -> server.MllpServer | None:
    """The MLLP server, bound and not yet started; None where no sender is configured.

    For `wetread listen`: start it, and stop it before the process ends. Raises OSError: the address is taken.
    ConfigurationError: TLS is wanted, and its files are not as they must be.
    """
    hl7 = desk.config.hl7
    if not hl7.senders:
        return None
    door = server.Hl7Config(
        senders=hl7.senders,
        host=hl7.bind_address,
        port=hl7.port,
        applications=hl7.applications,
        tls=server_context(hl7),
    )
    return server.MllpServer(door, lambda incoming: hear(desk, incoming), lambda: _now(desk))


def hear(desk: Desk, incoming: Incoming) -> Ack:
    """Let happen what a message says, and commit. What concerns no study of ours is accepted as well."""
    incoming = with_our_issuers(incoming, desk.config.hl7.authorities)
    with desk.database.write() as tx:
        now = clock(tx)
        if incoming.meaning in {Meaning.REPORT_FINAL, Meaning.REPORT_CORRECTION}:
            matched = _hear_report(tx, incoming, now)
        else:
            matched = _hear_patient(tx, incoming, now, hold_on_update=desk.config.hl7.hold_on_update)
    log.info("message_heard", meaning=incoming.meaning.value, studies=matched)
    return Ack(Code.ACCEPT)


def with_our_issuers(incoming: Incoming, authorities: Mapping[str, str]) -> Incoming:
    """Name the issuers of patients' identifiers as the images do, by the table of the site; others stay as they are."""

    def ours(identifiers: tuple[PatientId, ...]) -> tuple[PatientId, ...]:
        return tuple(_with_our_issuer(one, authorities) for one in identifiers)

    merges = tuple(Merge(ours(one.prior), ours(one.into)) for one in incoming.merges)
    return replace(incoming, patient=ours(incoming.patient), merges=merges)


def _with_our_issuer(patient: PatientId, authorities: Mapping[str, str]) -> PatientId:
    """By its name or its universal identifier; the empty name stands for identifiers without an authority."""
    named = [name for name in (patient.issuer, patient.universal) if name] or [""]
    found = next((authorities[name] for name in named if name in authorities), None)
    return patient if found is None else PatientId(patient.value, found, "", "")


def _hear_report(tx: Session, incoming: Incoming, now: datetime) -> int:
    """A signed report ends the drafts of its studies; of a study that has not come yet it is remembered."""
    source = _source(incoming)
    matched = 0
    for names in _named(incoming):
        studies: Sequence[Study] = ()
        for kind, value in names:
            if studies := _studies_named(tx, kind, value, incoming.patient):
                break
            digests = (digest for one in incoming.patient for digest in life.early_digests(kind, value, one))
            hearing.remember_early(tx, digests, now, source=source)
        if not studies:
            log.info("message_of_no_study", meaning=incoming.meaning.value)
        for found in studies:
            hearing.final_elsewhere(tx, found.id, now, way="hl7", source=source)
            matched += 1
    return matched


def _named(incoming: Incoming) -> list[tuple[tuple[str, str], ...]]:
    """By what a message names each of its studies, the likeliest first, where only the first that fits counts.

    The Study Instance UID alone, else what each order has: sites put a room into OBR-18, or the accession number where
    others have the number of the filler or of the placer.
    """
    signed = [one for one in incoming.reported if one.status in _FINAL_STATES]
    final = [one for one in signed if one.section in _SECTIONS]
    if len(final) < len(signed):
        log.warning("message_of_another_section", meaning=incoming.meaning.value, orders=len(signed) - len(final))
    if incoming.study_instance_uid:
        return [(("study", incoming.study_instance_uid),)] if final else []
    orders = dict.fromkeys((one.accession, one.filler, one.placer) for one in final)
    return [tuple(("accession", one) for one in dict.fromkeys(order) if one) for order in orders if any(order)]


def _studies_named(tx: Session, kind: str, value: str, patient: Sequence[PatientId]) -> Sequence[Study]:
    """Those of the message's patient: two issuers may number alike, and a laboratory numbers as it likes."""
    column = Study.study_instance_uid if kind == "study" else Study.accession_number
    found = tx.scalars(select(Study).where(column == value).order_by(Study.id).limit(100)).all()
    agreeing = [study for study in found if any(_is_of(study, one) for one in patient)]
    if found and not agreeing:
        log.warning("message_of_another_patient", named_by=kind, studies=len(found))
    return agreeing


def _hear_patient(tx: Session, incoming: Incoming, now: datetime, *, hold_on_update: bool) -> int:
    """A merge or a change holds the patient's studies whose reports are not signed yet, and withdraws the drafts."""
    merged = incoming.meaning is Meaning.MERGE
    if not merged and not hold_on_update:
        return 0
    prior = [one for merge in incoming.merges for one in merge.prior] or list(incoming.patient)
    if merged:
        _remember_merged(tx, incoming, now)
    chosen = select(Study).where(Study.patient_id.in_({one.value for one in prior}), or_(*_unsigned()))
    held = 0
    for found in tx.scalars(chosen.order_by(Study.id)).all():
        if not any(_is_of(found, one) for one in prior):
            # one issuer may go by two names in DICOM and HL7; a merge that is missed signs for the wrong patient
            log.warning("message_of_another_issuer", meaning=incoming.meaning.value, study=found.id, held=merged)
            if not merged:
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


def _remember_merged(tx: Session, incoming: Incoming, now: datetime) -> None:
    """Keep which Patient IDs are dead: images under them may still come. What the merge keeps lives on."""
    for merge in incoming.merges:
        for value in sorted({one.value for one in merge.prior} - {one.value for one in merge.into}):
            about = life.merged_digest(value)
            seen = Sighting(key=about, about=about, source=_source(incoming), at=now)
            hearing.remember(tx, seen, Event.PATIENT_CHANGED)


def _source(incoming: Incoming) -> str:
    return f"hl7:{incoming.sending_application}"[:64]


def _now(desk: Desk) -> datetime:
    with desk.database.read() as tx:
        return clock(tx)
