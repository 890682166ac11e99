"""The last look before bytes leave, for each form, and the other form of coded findings."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from agent.leaving import agrees_with_the_books, another_form
from dicom_node.files import make_store, read_document
from dicom_node.kinds import Kind, Stage
from dicom_node.probe import COMPREHENSIVE, COMPREHENSIVE_3D
from dicom_node.tables import DeliveryState
from dicom_node.worklist import Consignment
from reports.checks import DocumentRefused
from reports.messages.fhir import FhirSite, build_fhir
from reports.messages.oru import Parties, build_oru
from reports.messages.outcome import Result, outcome_of, to_json
from reports.messages.subject import message_uid
from reports.objects.frame import encode
from tests.unit.reports.coded import coded
from tests.unit.reports.films import CONFIG, MOMENT, draft, film

SYSTEMS = {"HOSP": "urn:oid:1.2.3", "": "urn:oid:1.2.4"}


def held(master: Dataset, kind: Kind, *, sop_class: str = "", uid: str = "") -> Consignment:
    return Consignment(
        delivery_id=1,
        token="t",
        state=DeliveryState.QUEUED,
        attempt=1,
        queued_at=datetime(2026, 11, 22, tzinfo=UTC),
        destination="PACS",
        to=None,
        kind=kind,
        stage=Stage.DRAFT,
        sop_class_uid=sop_class,
        sop_instance_uid=uid,
        digest="0" * 64,
        study_id=1,
        study_instance_uid=master.StudyInstanceUID,
        patient_id=master.PatientID,
        issuer_of_patient_id=master.get("IssuerOfPatientID", ""),
        accession_number=master.get("AccessionNumber", ""),
        called_off=False,
    )


def agrees(payload: bytes, booked: Consignment) -> None:
    agrees_with_the_books(payload, booked, patient_systems=SYSTEMS)


def of_document(document: Dataset, kind: Kind) -> Consignment:
    return held(document, kind, sop_class=document.SOPClassUID, uid=document.SOPInstanceUID)


def of_oru(master: Dataset) -> tuple[bytes, Consignment]:
    payload = build_oru(master, Parties(), CONFIG)
    return payload, held(master, Kind.ORU, uid=message_uid(master.SOPInstanceUID, Kind.ORU, Stage.DRAFT))


def of_outcome(master: Dataset) -> tuple[bytes, Consignment]:
    outcome = outcome_of(master, drafted_at=MOMENT, at=MOMENT + timedelta(minutes=1), result=Result.DRAFTED)
    return to_json(outcome), held(master, Kind.OUTCOME, uid=outcome.id)


def test_what_is_as_booked_may_leave() -> None:
    master = draft()
    agrees(encode(master), of_document(master, Kind.BASIC_TEXT))
    agrees(encode(coded(master)), of_document(coded(master), Kind.TID1500))
    agrees(*of_oru(master))
    agrees(*of_outcome(master))


@pytest.mark.parametrize("changes", [{"patient_id": "P2"}, {"study_instance_uid": "1.2.3"}, {"accession_number": "X"}])
def test_what_is_of_another_study_stays(changes: dict[str, str]) -> None:
    master = draft()
    messages = [of_oru(master)] if "patient_id" in changes else [of_oru(master), of_outcome(master)]
    for payload, booked in [(encode(master), of_document(master, Kind.BASIC_TEXT)), *messages]:
        with pytest.raises(DocumentRefused, match="not that of the books"):
            agrees(payload, replace(booked, **changes))  # type: ignore[arg-type]


def test_bundle_about_a_patient_of_another_issuer_stays() -> None:
    master = draft(film(IssuerOfPatientID="HOSP"))
    booked = held(master, Kind.FHIR, uid=message_uid(master.SOPInstanceUID, Kind.FHIR, Stage.DRAFT))
    agrees(build_fhir(master, FhirSite(SYSTEMS), CONFIG), booked)

    elsewhere = build_fhir(master, FhirSite({"HOSP": "urn:oid:9.9"}), CONFIG)
    with pytest.raises(DocumentRefused, match="not of the issuer of the books"):
        agrees(elsewhere, booked)


def test_message_of_another_document_stays() -> None:
    master = draft()
    for payload, booked in (of_oru(master), of_outcome(master)):
        with pytest.raises(DocumentRefused, match=r"(UID|draft_uid) is not that of the books"):
            agrees(payload, replace(booked, sop_instance_uid="2.25.1"))


def test_coded_findings_are_offered_as_comprehensive_sr(tmp_path: Path) -> None:
    report = coded()
    assert report.SOPClassUID == COMPREHENSIVE_3D
    booked = of_document(report, Kind.TID1500)
    make_store(tmp_path, "here")
    other = another_form(encode(report), booked, tmp_path)
    assert other is not None
    payload = read_document(tmp_path, other.digest)
    document = dcmread(io.BytesIO(payload))

    assert (other.destination, other.kind, other.stage) == ("PACS", Kind.TID1500, Stage.DRAFT)
    assert (other.sop_class_uid, document.SOPClassUID) == (COMPREHENSIVE, COMPREHENSIVE)
    assert other.sop_instance_uid == document.SOPInstanceUID != report.SOPInstanceUID
    assert other.device_uid == report.DeviceUID
    agrees(payload, of_document(document, Kind.TID1500))
    assert another_form(payload, of_document(document, Kind.TID1500), tmp_path) is None, "there is no third form"


def test_nothing_else_has_another_form(tmp_path: Path) -> None:
    master = draft()
    assert another_form(encode(master), of_document(master, Kind.BASIC_TEXT), tmp_path) is None
