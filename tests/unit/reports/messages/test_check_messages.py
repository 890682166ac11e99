"""The gate of messages: each good one passes, and each spoiled one is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydicom import Dataset

from dicom_node.kinds import Kind, Stage
from reports.checks import DocumentRefused
from reports.checks.messages import Booked, check_message
from reports.findings import extract
from reports.messages.fhir import FhirSite, build_fhir, build_fhir_withdrawal
from reports.messages.oru import Parties, build_oru, build_oru_withdrawal
from reports.messages.outcome import Result, outcome_of, to_json
from reports.objects.basic_text import build_notice
from reports.objects.content import read_content
from reports.objects.signed import build_addendum, build_signed
from reports.objects.signer import Signature, Signer
from reports.text import DraftText
from tests.unit.reports.films import CHARSETS, CONFIG, MOMENT, draft, film, in_charset, ordered_cr, provenance

SITE = FhirSite(patient_systems={"": "https://hospital.example/patients"})
READER = Signature(Signer("Reader^Rita", "Example Hospital"), MOMENT + timedelta(minutes=5))
FINDINGS = list(extract("No pneumothorax. Left effusion.").by_label.values())


def signed() -> Dataset:
    words = DraftText("Small left effusion.", "Effusion.")
    arguments: dict[str, Any] = {"number": 1, "not_before": MOMENT, "config": CONFIG, "predecessor": None}
    return build_signed(draft(), words, [READER], **arguments)


def addendum() -> Dataset:
    later = Signature(READER.signer, READER.at + timedelta(minutes=1))
    arguments: dict[str, Any] = {"number": 2, "not_before": READER.at, "config": CONFIG, "predecessor": None}
    return build_addendum(signed(), "Compared with CT.", later, **arguments)


def notice() -> Dataset:
    return build_notice([film()], "A lateral.", provenance(), revision=1, content_at=MOMENT, config=CONFIG)


def booked(master: Dataset, stage: Stage | None = None) -> Booked:
    return Booked(
        stage=stage or read_content(master).stage,
        patient_id=master.PatientID,
        issuer_of_patient_id=master.get("IssuerOfPatientID", ""),
        study_instance_uid=master.StudyInstanceUID,
        accession_number=master.AccessionNumber,
        document_uid=master.SOPInstanceUID,
    )


def oru(master: Dataset) -> bytes:
    return build_oru(master, Parties(), CONFIG, findings=FINDINGS)


def fhir(master: Dataset) -> bytes:
    return build_fhir(master, SITE, CONFIG, findings=FINDINGS)


@pytest.mark.parametrize("make", [draft, signed, addendum, notice, lambda: draft(ordered_cr())])
def test_good_messages_pass(make: Callable[[], Dataset]) -> None:
    master = make()

    check_message(oru(master), Kind.ORU, booked(master))
    check_message(fhir(master), Kind.FHIR, booked(master))


@pytest.mark.parametrize("charset", CHARSETS)
def test_messages_of_every_character_set_pass(charset: str) -> None:
    master = draft(in_charset(charset))

    check_message(oru(master), Kind.ORU, booked(master))
    check_message(fhir(master), Kind.FHIR, booked(master))


@pytest.mark.parametrize("stage", [Stage.REJECTION, Stage.WITHDRAWAL])
@pytest.mark.parametrize("make", [draft, signed])
def test_messages_that_take_back_pass(make: Callable[[], Dataset], stage: Stage) -> None:
    master = make()

    check_message(
        build_oru_withdrawal(master, stage, "Not right.", MOMENT, Parties(), CONFIG, findings=FINDINGS),
        Kind.ORU,
        booked(master, stage),
    )
    check_message(
        build_fhir_withdrawal(master, stage, "Not right.", MOMENT, SITE, CONFIG), Kind.FHIR, booked(master, stage)
    )


def test_a_newer_message_that_deletes_texts_passes_and_one_that_keeps_their_words_does_not() -> None:
    master = signed()
    message = build_oru(master, Parties(), CONFIG, replaced=[draft()])

    check_message(message, Kind.ORU, booked(master))
    assert message.count(b"||WITHDRAWN||||||D\r") == 1
    with pytest.raises(DocumentRefused, match="a text stands that is taken back"):
        check_message(message.replace(b"||WITHDRAWN||", b"||AI draft||"), Kind.ORU, booked(master))


def test_a_newer_message_that_deletes_codes_passes() -> None:
    newer = build_oru(draft(), Parties(), CONFIG, findings=FINDINGS[:1], formerly=FINDINGS)
    assert b"|^WITHDRAWN||||||D\r" in newer
    check_message(newer, Kind.ORU, booked(draft()))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"|^WITHDRAWN||||||W\r", b"|^WITHDRAWN||||||R\r", "OBX-11 of a finding"),
        (b"|^WITHDRAWN|", b"|52101004^Present^SCT|", "a finding stands that is taken back"),
        (b"60046008", b"36118008", "a finding stands twice"),
    ],
)
def test_what_is_taken_back_with_a_code_that_stands_is_refused(old: bytes, new: bytes, problem: str) -> None:
    master = draft()
    taken = build_oru_withdrawal(master, Stage.WITHDRAWAL, "No.", MOMENT, Parties(), CONFIG, findings=FINDINGS)
    assert old in taken
    with pytest.raises(DocumentRefused, match=problem):
        check_message(taken.replace(old, new), Kind.ORU, booked(master, Stage.WITHDRAWAL))


def test_outcome_passes_and_another_study_does_not() -> None:
    master = draft()
    payload = to_json(outcome_of(master, drafted_at=MOMENT, at=MOMENT, result=Result.DRAFTED))

    check_message(payload, Kind.OUTCOME, booked(master))
    with pytest.raises(DocumentRefused, match="study_instance_uid"):
        check_message(payload, Kind.OUTCOME, replace(booked(master), study_instance_uid="1.2.3"))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"patient_id": "EX-2"}, "PID-3 is not that of the books"),
        ({"issuer_of_patient_id": "OTHER"}, "the issuer of PID-3 is not that of the books"),
        ({"accession_number": "ACC2"}, "OBR-18 is not that of the books"),
        ({"study_instance_uid": "1.2.3"}, "the Study Instance UID is not that of the books"),
        ({"document_uid": "1.2.3"}, "the SOP Instance UID is not that of the books"),
        ({"stage": Stage.SIGNED}, "OBR-25 is not the status of this stage"),
    ],
)
def test_oru_about_something_else_is_refused(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(DocumentRefused, match=problem):
        check_message(oru(draft()), Kind.ORU, replace(booked(draft()), **changed))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"|RAD|R\r", b"|RAD|P\r", "OBR-25 is not the status of this stage"),
        (b"||||||R\r", b"||||||P\r", "OBX-11 is not the status of this stage"),
        (b"AI-GENERATED DRAFT", b"GENERATED DRAFT", "the notice is not the first text"),
        (b"MSH|", b"MSX|", "does not begin with MSH"),
        (b"UNICODE UTF-8", b"8859/1", "MSH-18 is not that of the books"),
        (b"|RAD|R\r", b"|RAD|R|||||||&Reader&Rita\r", "a person stands as interpreter"),
        (b"\rORC", b"\rPID|1||EX-2\rORC", "not about exactly one patient"),
        ("≤".encode(), b"\xff", "the message holds bytes that are not utf-8"),
    ],
)
def test_spoiled_oru_is_refused_by_name(old: bytes, new: bytes, problem: str) -> None:
    good = oru(draft())
    assert old in good
    with pytest.raises(DocumentRefused, match=problem):
        check_message(good.replace(old, new), Kind.ORU, booked(draft()))


def test_bundle_about_another_study_is_refused() -> None:
    with pytest.raises(DocumentRefused, match="the Study Instance UID is not that of the books"):
        check_message(fhir(draft()), Kind.FHIR, replace(booked(draft()), study_instance_uid="1.2.3"))


def _status(report: dict[str, Any]) -> None:
    report["status"] = "final"


def _preliminary(report: dict[str, Any]) -> None:
    report["status"] = "preliminary"


def _unknown(report: dict[str, Any]) -> None:
    report["status"] = 7


def _patient(report: dict[str, Any]) -> None:
    report["subject"]["identifier"]["value"] = "EX-2"


def _issuer(report: dict[str, Any]) -> None:
    report["subject"]["identifier"]["system"] = "https://elsewhere.example"


def _person(report: dict[str, Any]) -> None:
    report["performer"] = [{"display": "Dr. Model"}]


def _silent(report: dict[str, Any]) -> None:
    report["text"]["div"] = report["text"]["div"].replace("AI-GENERATED", "SO-CALLED")


def _order(report: dict[str, Any]) -> None:
    del report["basedOn"]


def _document(report: dict[str, Any]) -> None:
    report["identifier"][1]["value"] = "urn:oid:1.2.3"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_status, "the status is not that of this stage"),
        (_preliminary, "the status is not that of this stage"),
        (_unknown, "no valid FHIR bundle"),
        (_patient, "the patient's identifier is not that of the books"),
        (_issuer, "not of the issuer of the books"),
        (_person, "a person is named for what no person has signed"),
        (_silent, "the notice is not the first text"),
        (_order, "the accession number is not that of the books"),
        (_document, "the SOP Instance UID is not that of the books"),
    ],
)
def test_spoiled_bundle_is_refused_by_name(spoil: Callable[[dict[str, Any]], None], problem: str) -> None:
    bundle = json.loads(fhir(draft()))
    spoil(bundle["entry"][-1]["resource"])

    with pytest.raises(DocumentRefused, match=problem):
        check_message(json.dumps(bundle).encode(), Kind.FHIR, booked(draft()))


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"\xff", b'{"resourceType":"Bundle","type":"transaction"}'])
@pytest.mark.parametrize("kind", [Kind.ORU, Kind.FHIR, Kind.OUTCOME, Kind.PDF])
def test_rubbish_is_refused_in_every_form(payload: bytes, kind: Kind) -> None:
    with pytest.raises(DocumentRefused):
        check_message(payload, kind, booked(draft()))
