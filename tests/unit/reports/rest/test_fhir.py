"""What no person has signed here never replaces a report that a person has signed at the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Mode, Proof, Way
from dicom_node.transports import Destination, Parcel
from reports.messages.fhir import FhirSite, build_fhir, build_fhir_withdrawal
from reports.rest.calls import Caller
from reports.rest.fhir import FhirTransport
from tests.harness.reporting import Ehr, ehr
from tests.unit.reports.films import CONFIG, MOMENT, draft

PATIENTS = "https://hospital.example/patients"
SITE = FhirSite(patient_systems={"": PATIENTS})


@pytest.fixture
def server() -> Iterator[Ehr]:
    with ehr() as made:
        made.add({"resourceType": "Patient", "identifier": [{"system": PATIENTS, "value": "EX-0001"}]})
        yield made


@pytest.fixture
def transport() -> Iterator[FhirTransport]:
    with Caller(seconds=60) as caller:
        yield FhirTransport(caller, {})


def parcel(server: Ehr, stage: Stage) -> Parcel:
    """A draft, or what takes it back."""
    to = Destination(
        name="EHR",
        way=Way.FHIR,
        host="127.0.0.1",
        port=0,
        url=server.url,
        mode=Mode.DRAFT,
        proof=Proof.QUERY,
        objects=frozenset({Kind.FHIR}),
        credential="",
    )
    master = draft()
    payload = (
        build_fhir(master, SITE, CONFIG)
        if stage is Stage.DRAFT
        else build_fhir_withdrawal(master, stage, "Expired.", MOMENT, SITE, CONFIG)
    )
    return Parcel(to, payload, Kind.FHIR, stage, "", "2.25.1", master.StudyInstanceUID)


def report_in(server: Ehr) -> dict[str, Any]:
    (report,) = [one for (kind, _), one in server.store.items() if kind == "DiagnosticReport"]
    return report


def posted(server: Ehr) -> list[dict[str, Any]]:
    return [json.loads(body) for method, _, _, body in server.requests if method == "POST"]


@pytest.mark.parametrize("status", ["final", "amended", "corrected", "appended"])
@pytest.mark.parametrize("stage", [Stage.DRAFT, Stage.REJECTION, Stage.WITHDRAWAL])
def test_a_report_that_was_signed_in_place_is_never_replaced(
    server: Ehr, transport: FhirTransport, stage: Stage, status: str
) -> None:
    transport.send(parcel(server, Stage.DRAFT))
    report_in(server).update(status=status, conclusion="SECRET WORDS")

    with pytest.raises(SendFailure, match="a person has signed it there") as failure:
        transport.send(parcel(server, stage))

    assert failure.value.permanent
    assert not failure.value.may_be_there
    assert "SECRET" not in str(failure.value)
    assert report_in(server)["conclusion"] == "SECRET WORDS"
    assert len(posted(server)) == 1


def test_only_the_version_that_was_read_is_replaced(server: Ehr, transport: FhirTransport) -> None:
    transport.send(parcel(server, Stage.DRAFT))
    report_in(server).update(id="abc-1", meta={"versionId": "7"})
    server.script = lambda method, _: (200, b"{}", {}) if method == "POST" else None
    transport.send(parcel(server, Stage.REJECTION))

    bundle = posted(server)[-1]
    Bundle.model_validate(bundle)
    (entry,) = [one for one in bundle["entry"] if one["resource"]["resourceType"] == "DiagnosticReport"]
    assert entry["request"] == {"method": "PUT", "url": "DiagnosticReport/abc-1", "ifMatch": 'W/"7"'}
    assert (entry["resource"]["id"], entry["resource"]["status"]) == ("abc-1", "cancelled")


def test_a_report_that_is_changed_between_the_question_and_the_update_is_looked_at_again(
    server: Ehr, transport: FhirTransport
) -> None:
    transport.send(parcel(server, Stage.DRAFT))
    report_in(server).update(id="abc-1", meta={"versionId": "7"})
    changes: list[dict[str, Any]] = [{"meta": {"versionId": "8"}}, {"meta": {"versionId": "9"}, "status": "final"}]

    def other_came_first(method: str, _: str) -> tuple[int, bytes, dict[str, str]] | None:
        if method == "GET":
            return None
        report_in(server).update(changes.pop(0))
        return 412, b"{}", {}

    server.script = other_came_first
    with pytest.raises(SendFailure, match="changed the report meanwhile") as failure:
        transport.send(parcel(server, Stage.REJECTION))
    assert not failure.value.permanent
    with pytest.raises(SendFailure, match="signed it there") as failure:
        transport.send(parcel(server, Stage.REJECTION))
    assert failure.value.permanent


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"resourceType": "OperationOutcome"}'])
def test_where_it_cannot_be_read_nothing_is_sent(server: Ehr, transport: FhirTransport, body: bytes) -> None:
    server.script = lambda method, _: (200, body, {}) if method == "GET" else None
    with pytest.raises(SendFailure, match="something else than a Bundle") as failure:
        transport.send(parcel(server, Stage.DRAFT))
    assert not failure.value.permanent
    assert posted(server) == []


def test_a_final_report_of_another_name_stands_in_nobodys_way(server: Ehr, transport: FhirTransport) -> None:
    """A server that does not know the question answers with everything it has."""
    other = {"resourceType": "DiagnosticReport", "status": "final", "identifier": [{"value": "urn:oid:1.2"}]}
    everything = json.dumps({"resourceType": "Bundle", "entry": [{"resource": other}]}).encode()
    server.script = lambda method, _: (200, everything, {}) if method == "GET" else None
    assert transport.send(parcel(server, Stage.DRAFT)) == "200"
