"""Messages over real sockets to systems that read them with other libraries than those that wrote them."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hl7apy.core import Message
from pydantic import SecretStr
from pydicom import Dataset

from dicom_node.credentials import Credential
from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Mode, Proof
from dicom_node.transports import Destination, Parcel, Way
from reports.findings import extract
from reports.hl7.mllp import MllpTransport
from reports.messages.fhir import FhirSite, build_fhir, build_fhir_withdrawal
from reports.messages.oru import Parties, build_oru
from reports.messages.outcome import Result, outcome_of, to_json
from reports.messages.subject import message_uid
from reports.objects.content import read_content
from reports.objects.signed import build_addendum, build_signed
from reports.objects.signer import Signature, Signer
from reports.rest.calls import Caller
from reports.rest.fhir import FhirTransport
from reports.rest.webhook import WebhookTransport
from reports.text import DraftText
from tests.harness.reporting import Ehr, Ris, ehr, reply, ris
from tests.unit.reports.films import CHARSETS, CONFIG, MOMENT, draft, film, in_charset, text

PATIENTS = "https://hospital.example/patients"
SITE = FhirSite(patient_systems={"": PATIENTS})
READER = Signature(Signer("Reader^Rita", "Example Hospital"), MOMENT + timedelta(minutes=5))
FINDINGS = list(extract("No pneumothorax. Left effusion.").by_label.values())
PATIENT = MllpTransport(connect_seconds=60, answer_seconds=60)  # the peers here are slow on a busy machine
QUICK = MllpTransport(connect_seconds=60, answer_seconds=1)


@pytest.fixture
def system() -> Iterator[Ris]:
    with ris() as made:
        yield made


@pytest.fixture
def server() -> Iterator[Ehr]:
    with ehr() as made:
        made.add({"resourceType": "Patient", "identifier": [{"system": PATIENTS, "value": "EX-0001"}]})
        yield made


@pytest.fixture
def caller() -> Iterator[Caller]:
    with Caller(seconds=60) as made:
        yield made


def signed(source: Dataset, words: DraftText | None = None) -> Dataset:
    arguments: dict[str, Any] = {"number": 1, "not_before": MOMENT, "config": CONFIG, "predecessor": source}
    return build_signed(source, words or text(), [READER], **arguments)


def addendum(final: Dataset) -> Dataset:
    later = Signature(READER.signer, READER.at + timedelta(minutes=1))
    arguments: dict[str, Any] = {"number": 2, "not_before": READER.at, "config": CONFIG, "predecessor": final}
    return build_addendum(final, "Compared with CT.", later, **arguments)


def to(way: Way, *, port: int = 0, url: str = "", credential: str = "") -> Destination:
    return Destination(
        name="OTHER",
        way=way,
        host="127.0.0.1",
        port=port,
        url=url,
        mode=Mode.DRAFT,
        proof=Proof.ACKNOWLEDGEMENT,
        objects=frozenset({Kind.ORU, Kind.FHIR, Kind.OUTCOME}),
        credential=credential,
    )


def parcel(payload: bytes, master: Dataset, kind: Kind, destination: Destination) -> Parcel:
    stage = read_content(master).stage
    uid = message_uid(master.SOPInstanceUID, kind, stage)
    return Parcel(destination, payload, kind, stage, "", uid, master.StudyInstanceUID)


def oru(master: Dataset, system: Ris) -> Parcel:
    return parcel(build_oru(master, Parties(), CONFIG), master, Kind.ORU, to(Way.MLLP, port=system.port))


def fhir(master: Dataset, server: Ehr, **site: Any) -> Parcel:
    payload = build_fhir(master, SITE, CONFIG, findings=FINDINGS)
    return parcel(payload, master, Kind.FHIR, to(Way.FHIR, url=server.url, **site))


def as_archived(message: Message) -> tuple[str, str]:
    """CompletionFlag and VerificationFlag that dcm4chee's published style sheet gives to the report that it makes."""
    status = message.obr.obr_25.value
    return "PARTIAL" if status == "P" else "COMPLETE", "VERIFIED" if status in {"P", "F"} else "UNVERIFIED"


def test_draft_stays_unverified_in_an_archive_and_a_signed_report_is_verified(system: Ris) -> None:
    drafted = draft()
    for master in (drafted, signed(drafted)):
        assert PATIENT.send(oru(master, system)) == "AA"

    assert [as_archived(one)[1] for one in system.messages] == ["UNVERIFIED", "VERIFIED"]
    system.messages[0].obr.obr_25.value = "P"
    assert as_archived(system.messages[0])[1] == "VERIFIED"  # why a draft is never P


def test_archive_finds_study_and_texts_where_it_looks_for_them(system: Ris) -> None:
    PATIENT.send(oru(draft(), system))

    (message,) = system.messages
    (study,) = [one.obx_5.value for one in message.obx if one.obx_3.obx_3_2.value == "DICOM Study"]
    assert study == draft().StudyInstanceUID
    assert not [one for one in message.obx if one.obx_2.value == "HD"]
    assert not [one for one in message.obx if one.obx_3.obx_3_2.value == "SR Instance UID"]
    assert {one.obx_2.value for one in message.obx if one.obx_11.value == "R"} == {"TX"}


@pytest.mark.parametrize("charset", ["korean", "arabic", "chinese-gb18030", "cyrillic", "japanese"])
def test_names_of_every_script_arrive_over_hl7(system: Ris, charset: str) -> None:
    PATIENT.send(oru(draft(in_charset(charset)), system))

    names = [(one.xpn_1.value, one.xpn_2.value) for one in system.messages[0].pid.pid_5]
    assert "=".join("^".join(name) for name in names) == CHARSETS[charset][1]


def _garbage(connection: socket.socket, raw: bytes) -> None:
    connection.sendall(b"\x0b\xff\x00nonsense\x1c\r")


def _unframed(connection: socket.socket, raw: bytes) -> None:
    connection.sendall(b"MSA|AA|1\x1c\r")


def _silence(connection: socket.socket, raw: bytes) -> None:
    connection.settimeout(60)
    connection.recv(1)  # until the other end has had enough


def _closed(connection: socket.socket, raw: bytes) -> None:
    connection.close()


def _endless(connection: socket.socket, raw: bytes) -> None:
    try:
        connection.sendall(b"\x0b" + b"A" * 10_000_000)
    except OSError:
        return


def _drip(connection: socket.socket, raw: bytes) -> None:
    for _ in range(240):
        try:
            connection.sendall(b"\x0b")
        except OSError:
            return
        threading.Event().wait(0.25)


@pytest.mark.parametrize(
    ("script", "transport", "words"),
    [
        (_garbage, PATIENT, "another message"),
        (_unframed, PATIENT, "without an MLLP frame"),
        (_silence, QUICK, "TimeoutError"),
        (_closed, PATIENT, "closed the connection"),
        (_endless, PATIENT, "more than 65536 bytes"),
        (_drip, QUICK, "did not finish|TimeoutError"),
    ],
)
def test_bad_answers_are_failures_worth_another_try(
    system: Ris, script: Any, transport: MllpTransport, words: str
) -> None:
    system.script = script
    started = time.monotonic()

    with pytest.raises(SendFailure, match=words) as failure:
        transport.send(oru(draft(), system))
    assert time.monotonic() - started < 30, "the silent and the dripping peer go on for a minute"
    assert not failure.value.permanent
    assert "EX-0001" not in str(failure.value)


@pytest.mark.parametrize(
    ("code", "permanent"), [("AE", False), ("CE", False), ("AR", True), ("CR", True), ("ZZ", False), ("", False)]
)
def test_acknowledgment_code_decides_whether_to_try_again(system: Ris, code: str, permanent: bool) -> None:
    system.script = lambda connection, raw: reply(connection, code, raw.split(b"|")[9].decode())

    with pytest.raises(SendFailure) as failure:
        PATIENT.send(oru(draft(), system))
    assert failure.value.permanent is permanent


def test_commit_accept_counts_and_acknowledgment_of_another_message_does_not(system: Ris) -> None:
    system.script = lambda connection, raw: reply(connection, "CA", raw.split(b"|")[9].decode())
    assert PATIENT.send(oru(draft(), system)) == "CA"

    system.script = lambda connection, raw: reply(connection, "AA", "OTHER")
    with pytest.raises(SendFailure, match="another message"):
        PATIENT.send(oru(draft(), system))


def test_refused_connection_is_worth_another_try_and_rubbish_never_is(system: Ris) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    master = draft()
    with pytest.raises(SendFailure) as failure:
        PATIENT.send(parcel(build_oru(master, Parties(), CONFIG), master, Kind.ORU, to(Way.MLLP, port=free)))
    assert not failure.value.permanent

    with pytest.raises(SendFailure) as failure:
        PATIENT.send(parcel(b"MSH|\x1c\r", master, Kind.ORU, to(Way.MLLP, port=system.port)))
    assert failure.value.permanent


def test_threads_send_at_once_and_each_gets_its_own_answer(system: Ris) -> None:
    parcels = [oru(draft(film(AccessionNumber=f"A{number}")), system) for number in range(8)]
    answers: list[str] = []
    threads = [threading.Thread(target=lambda one=one: answers.append(MllpTransport().send(one))) for one in parcels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == ["AA"] * 8
    assert {one.obr.obr_18.value for one in system.messages} == {f"A{number}" for number in range(8)}


def test_life_of_a_report_is_one_resource_and_a_resend_changes_nothing(server: Ehr, caller: Caller) -> None:
    transport = FhirTransport(caller, {})
    drafted = draft()
    final = signed(drafted)
    states = []
    for master in (drafted, drafted, final, addendum(final)):
        one = fhir(master, server)
        assert transport.send(one) == "200"
        assert transport.holds(one)
        reports = [found for key, found in server.store.items() if key[0] == "DiagnosticReport"]
        states.append([found["status"] for found in reports])

    assert states == [["partial"], ["partial"], ["final"], ["appended"]]
    kinds = [kind for kind, _ in server.store]
    assert {kind: kinds.count(kind) for kind in ("Patient", "Device", "ImagingStudy")} == {
        "Patient": 1,
        "Device": 1,
        "ImagingStudy": 1,
    }
    assert not transport.holds(fhir(drafted, server))  # the server has a later one


def test_references_of_the_stored_report_lead_to_the_patient_and_the_study(server: Ehr, caller: Caller) -> None:
    FhirTransport(caller, {}).send(fhir(draft(), server))

    (report,) = [found for key, found in server.store.items() if key[0] == "DiagnosticReport"]
    assert report["subject"]["reference"] == "Patient/1"
    kind, number = report["imagingStudy"][0]["reference"].split("/")
    assert server.store[kind, int(number)]["identifier"][0]["value"] == f"urn:oid:{draft().StudyInstanceUID}"


def test_withdrawal_reaches_the_same_resource(server: Ehr, caller: Caller) -> None:
    transport = FhirTransport(caller, {})
    master = draft()
    transport.send(fhir(master, server))
    gone = build_fhir_withdrawal(master, Stage.REJECTION, "Expired.", MOMENT, SITE, CONFIG, findings=FINDINGS)

    taken = parcel(gone, master, Kind.FHIR, to(Way.FHIR, url=server.url))
    transport.send(taken)

    assert transport.holds(taken)
    assert not transport.holds(fhir(master, server))  # the same document, another status
    (report,) = [found for key, found in server.store.items() if key[0] == "DiagnosticReport"]
    assert report["status"] == "cancelled"


def test_unknown_patient_is_refused_for_good_and_nobody_is_named(server: Ehr, caller: Caller) -> None:
    server.store.clear()

    with pytest.raises(SendFailure) as failure:
        FhirTransport(caller, {}).send(fhir(draft(), server))

    assert failure.value.permanent
    assert "412 (not-found)" in str(failure.value)
    assert "Secret" not in str(failure.value)
    assert "EX-0001" not in str(failure.value)
    assert server.store == {}


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (301, True),
        (307, True),
        (400, True),
        (401, False),
        (403, False),
        (404, True),
        (407, False),
        (409, False),
        (422, True),
        (429, False),
        (500, False),
        (503, False),
    ],
)
def test_http_status_decides_whether_to_try_again(server: Ehr, caller: Caller, status: int, permanent: bool) -> None:
    server.script = lambda *_: (status, b"<html>", {"Location": "http://127.0.0.1:9/elsewhere"})
    one = fhir(draft(), server)

    for attempt in (FhirTransport(caller, {}).send, FhirTransport(caller, {}).holds):
        with pytest.raises(SendFailure) as failure:
            attempt(one)
        assert failure.value.permanent is permanent
    assert len(server.requests) == 2  # a redirect was not followed


def test_transaction_that_was_not_taken_whole_is_a_failure(server: Ehr, caller: Caller) -> None:
    entries = [{"response": {"status": "201"}}, {"response": {"status": "422 Unprocessable"}}]
    answer = json.dumps({"entry": entries}).encode()
    server.script = lambda method, _: (200, answer, {}) if method == "POST" else None

    with pytest.raises(SendFailure, match="not 1 of its entries"):
        FhirTransport(caller, {}).send(fhir(draft(), server))


def test_answer_without_end_and_no_answer_are_failures(server: Ehr, caller: Caller) -> None:
    server.script = lambda method, _: (200, b"x" * (2 << 20), {}) if method == "POST" else None
    with pytest.raises(SendFailure, match="more than"):
        FhirTransport(caller, {}).send(fhir(draft(), server))

    had_enough = threading.Event()
    server.script = lambda *_: (had_enough.wait(60), (200, b"{}", {}))[1]
    with Caller(seconds=1) as hasty, pytest.raises(SendFailure, match="ReadTimeout"):
        FhirTransport(hasty, {}).send(fhir(draft(), server))
    had_enough.set()


def test_answer_that_drips_is_not_waited_for_for_ever() -> None:
    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(600):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return
                threading.Event().wait(0.1)

    master = draft()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
        with Caller(seconds=3) as hasty, pytest.raises(SendFailure, match="did not finish"):
            WebhookTransport(hasty, {}).send(parcel(b"{}", master, Kind.OUTCOME, to(Way.WEBHOOK, url=url)))
        thread.join()


def test_token_goes_with_every_request_and_never_in_clear_over_the_network(server: Ehr, caller: Caller) -> None:
    transport = FhirTransport(caller, {"ehr": Credential(token=SecretStr("t0ken"))})
    one = fhir(draft(), server, credential="ehr")
    transport.send(one)
    transport.holds(one)

    assert {headers["Authorization"] for _, _, headers, _ in server.requests} == {"Bearer t0ken"}
    far = parcel(one.payload, draft(), Kind.FHIR, to(Way.FHIR, url="http://ehr.example/fhir", credential="ehr"))
    with pytest.raises(SendFailure, match="no https"):
        transport.send(far)
    with pytest.raises(SendFailure, match=r"delivery\.credentials"):
        FhirTransport(caller, {}).send(one)


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "file:///etc/passwd", "https://user:pass@host/", "nonsense", "http://"]
)
def test_url_that_is_none_is_refused_before_anything_is_sent(caller: Caller, url: str) -> None:
    master = draft()
    one = parcel(build_fhir(master, SITE, CONFIG), master, Kind.FHIR, to(Way.FHIR, url=url))

    with pytest.raises(SendFailure) as failure:
        FhirTransport(caller, {}).send(one)
    assert failure.value.permanent


def test_webhook_is_signed_and_can_be_verified_by_its_receiver(server: Ehr, caller: Caller) -> None:
    master = draft()
    payload = to_json(outcome_of(master, drafted_at=MOMENT, at=MOMENT, result=Result.REJECTED, reason="wrong-view"))
    url = server.url.replace("/fhir", "/hook")
    one = parcel(payload, master, Kind.OUTCOME, to(Way.WEBHOOK, url=url, credential="hook"))
    transport = WebhookTransport(caller, {"hook": Credential(token=SecretStr("k3y"))})

    assert transport.send(one) == "204"
    assert transport.holds(one)

    ((_, path, headers, body),) = server.requests
    assert (path, body) == ("/hook", payload)
    expected = hmac.new(b"k3y", body, hashlib.sha256).hexdigest()
    assert headers["X-Wetread-Signature"] == f"sha256={expected}"
    assert headers["X-Wetread-Delivery"] == one.sop_instance_uid


def test_webhook_without_its_key_or_with_a_bad_answer_fails(server: Ehr, caller: Caller) -> None:
    master = draft()
    url = server.url.replace("/fhir", "/hook")
    one = parcel(b"{}", master, Kind.OUTCOME, to(Way.WEBHOOK, url=url, credential="hook"))
    with pytest.raises(SendFailure, match=r"delivery\.credentials"):
        WebhookTransport(caller, {}).send(one)
    assert server.requests == []

    server.script = lambda *_: (500, b"", {})
    with pytest.raises(SendFailure) as failure:
        WebhookTransport(caller, {"hook": Credential(token=SecretStr("k3y"))}).send(one)
    assert not failure.value.permanent
