"""Whom and what a message is about: patient, study and order, read from the narrative that it is made from."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_node.kinds import FINAL, Kind, Stage
from dicom_node.uids import derived_uid, number_of
from reports import codes
from reports.config import ReportsConfig
from reports.findings import Finding
from reports.messages.identity import PatientId
from reports.objects.basic_text import PROCEDURE
from reports.objects.frame import local, series_uid
from reports.objects.tree import plain


@dataclass(frozen=True, slots=True)
class Name:
    """One component group of a Person Name (PS3.5 6.2): its five components, and A, I or P."""

    family: str
    given: str
    middle: str
    prefix: str
    suffix: str
    representation: str


@dataclass(frozen=True, slots=True)
class Order:
    """The request that the report answers; every field may be empty. procedure: never empty."""

    accession: str
    accession_issuer: str
    placer: str
    filler: str
    procedure_id: str
    procedure: Code


@dataclass(frozen=True, slots=True)
class Subject:
    """Patient, study and order of a document.

    birth_date: YYYYMMDD or empty. sex: F, M, O or empty. study_date, study_time: as in DICOM, or empty.
    offset: offset from UTC that the images name, such as +0900, or empty: then none is added.
    written: when the document was written, aware.
    """

    patient: PatientId
    names: tuple[Name, ...]
    birth_date: str
    sex: str
    study_instance_uid: str
    study_date: str
    study_time: str
    offset: str
    study_description: str
    referrer: tuple[Name, ...]
    order: Order
    written: datetime
    sop_instance_uid: str


def read_subject(document: Dataset, config: ReportsConfig) -> Subject:
    """Read it from one of our documents."""
    return Subject(
        patient=_patient(document),
        names=names(plain(document, "PatientName")),
        birth_date=plain(document, "PatientBirthDate"),
        sex=plain(document, "PatientSex"),
        study_instance_uid=plain(document, "StudyInstanceUID"),
        study_date=plain(document, "StudyDate"),
        study_time=plain(document, "StudyTime"),
        offset=plain(document, "TimezoneOffsetFromUTC"),
        study_description=plain(document, "StudyDescription"),
        referrer=names(plain(document, "ReferringPhysicianName")),
        order=_order(document),
        written=_written(document, config),
        sop_instance_uid=plain(document, "SOPInstanceUID"),
    )


def names(person_name: str) -> tuple[Name, ...]:
    """Read the component groups of a Person Name; empty ones are left out."""
    found = []
    for group, representation in zip(person_name.split("="), "AIP", strict=False):
        parts = [part.strip(" ") for part in group.split("^", 4)]
        if any(parts):
            family, given, middle, prefix, suffix = [*parts, "", "", "", ""][:5]
            found.append(Name(family, given, middle, prefix, suffix, representation))
    return tuple(found)


def message_uid(sop_instance_uid: str, kind: Kind, stage: Stage) -> str:
    """UID of the message that is made from a document: one for each kind and stage."""
    return derived_uid("message", sop_instance_uid, kind.value, stage.value)


def short_id(uid: str) -> str:
    """20 characters for fields that hold no UID, such as MSH-10: 100 bits of its SHA-256 in base 32."""
    return b32encode(hashlib.sha256(uid.encode()).digest()).decode()[:20]


def replaces_a_final(document: Dataset, stage: Stage) -> bool:
    """Does it correct a report that was final at its destination? An addendum always does."""
    if stage is Stage.ADDENDUM:
        return True
    final = series_uid(plain(document, "StudyInstanceUID"), plain(document, "SOPClassUID"), Stage.SIGNED)
    return stage in FINAL and any(
        number_of(plain(series, "SeriesInstanceUID")) == number_of(final)
        for study in document.get("PredecessorDocumentsSequence") or []
        for series in study.get("ReferencedSeriesSequence") or []
    )


def one_per_code(findings: Iterable[Finding]) -> list[Finding]:
    """Leave out labels whose code another one has already said: the two label sets overlap."""
    said: dict[str, Finding] = {}
    for finding in findings:
        said.setdefault(codes.ROW_OF[finding.label].code.value, finding)
    return list(said.values())


def _patient(document: Dataset) -> PatientId:
    qualifiers = (document.get("IssuerOfPatientIDQualifiersSequence") or [Dataset()])[0]
    return PatientId(
        value=plain(document, "PatientID"),
        issuer=plain(document, "IssuerOfPatientID"),
        universal=plain(qualifiers, "UniversalEntityID"),
        kind=plain(qualifiers, "UniversalEntityIDType"),
    )


def _order(document: Dataset) -> Order:
    request = (document.get("ReferencedRequestSequence") or [Dataset()])[0]
    issuer = (document.get("IssuerOfAccessionNumberSequence") or [Dataset()])[0]
    return Order(
        accession=plain(document, "AccessionNumber"),
        accession_issuer=plain(issuer, "LocalNamespaceEntityID"),
        placer=plain(request, "PlacerOrderNumberImagingServiceRequest"),
        filler=plain(request, "FillerOrderNumberImagingServiceRequest"),
        procedure_id=plain(request, "RequestedProcedureID"),
        procedure=_procedure(document, request),
    )


def _procedure(document: Dataset, request: Dataset) -> Code:
    """What was ordered; else what was done; else what the study or the order is called, without a code."""
    for coded in (request.get("RequestedProcedureCodeSequence"), document.get("PerformedProcedureCodeSequence")):
        for item in coded or []:
            return Code(plain(item, "CodeValue"), plain(item, "CodingSchemeDesignator"), plain(item, "CodeMeaning"))
    called = plain(request, "RequestedProcedureDescription") or plain(document, "StudyDescription")
    return Code("", "", called) if called else PROCEDURE


def _written(document: Dataset, config: ReportsConfig) -> datetime:
    """Content Date and Time with their offset; they were written by us in the zone that `local` finds."""
    moment = datetime.strptime(
        plain(document, "ContentDate") + plain(document, "ContentTime") + "+0000", "%Y%m%d%H%M%S%z"
    )
    return moment.replace(tzinfo=local(moment, document, config).tzinfo)
