"""Reports that were signed at a FHIR server end our drafts; whatever else the server answers ends nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from agent import hearing
from agent.config import Config
from agent.watching import Watcher
from dicom_node.kinds import Stage
from reports import life
from reports.messages.identity import URI, report_uid
from reports.rest.calls import Caller
from reports.tables import Event, ReportState
from tests.harness.signing import MRN, Answer, Signer, numbered, signed, signer
from tests.unit.agent.ward import Ward
from tests.unit.agent.watched import Watched
from tests.unit.reports import films

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # test_watching_thread.py has both

STUDY = films.STUDY


@pytest.fixture
def server() -> Iterator[Signer]:
    with signer() as made:
        yield made


@pytest.fixture
def watched(ward: Ward, server: Signer) -> Iterator[Watched]:
    with Caller(seconds=60) as caller:
        yield Watched(ward, server, caller)


# --- what ends a draft ------------------------------------------------------------------------------------------------


def test_a_signed_report_withdraws_the_draft_and_takes_it_back(watched: Watched, server: Signer) -> None:
    ward = watched.ward
    ward.peer()
    ward.study_with_draft()
    ward.deliver()
    server.put(signed(study=STUDY))

    watched.ask()

    assert ward.report().state is ReportState.WITHDRAWN
    assert ward.report().event == Event.FINAL_ELSEWHERE
    assert ward.events().count("seen-final-elsewhere") == 1
    ward.recaller.step()
    assert [one.stage for one in ward.deliver()] == [Stage.REJECTION]


@pytest.mark.parametrize("status", ["amended", "corrected", "appended"])
def test_what_was_changed_after_it_was_signed_is_signed_as_well(watched: Watched, server: Signer, status: str) -> None:
    watched.ward.receive(films.film())
    server.put(signed(study=STUDY, status=status))
    watched.ask()
    assert watched.ward.ask(lambda tx: life.silence(tx, 1)) is Event.FINAL_ELSEWHERE


def test_a_study_is_found_by_whatever_names_it(watched: Watched, server: Signer) -> None:
    """By a contained or a referenced ImagingStudy, an order, or an identifier of the report; the patient likewise."""
    study = {"identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}], "status": "available"}
    study |= {"resourceType": "ImagingStudy", "id": "77", "subject": {"reference": "Patient/5"}}
    patient = {"resourceType": "Patient", "id": "5", "identifier": [{"system": MRN, "value": "EX-0001"}]}
    order = {"resourceType": "ServiceRequest", "id": "9", "status": "active", "intent": "order"}
    order |= {"subject": {"reference": "Patient/5"}, "identifier": [numbered("ACC0001")]}
    for resource in (study, patient, order):
        server.put(resource)
    ways = [
        {"imagingStudy": [{"reference": "#s"}], "contained": [{**study, "id": "s"}]},
        {"imagingStudy": [{"reference": "ImagingStudy/77"}]},
        {"imagingStudy": [{"reference": f"{server.url}/ImagingStudy/77/_history/1"}]},
        {"basedOn": [{"reference": "ServiceRequest/9"}]},
        {"identifier": [numbered("ACC0001")]},
        {"imagingStudy": [{"reference": "ImagingStudy/77"}], "subject": {"reference": "Patient/5"}},
    ]
    watched.ward.study_with_draft()
    study_id = watched.ward.study().id
    heard: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hearing, "final_elsewhere", lambda tx, study_id, now, **_: heard.append(study_id))
        for number, way in enumerate(ways):
            server.put(signed(f"r{number}", **way))
        watched.ask()

    assert heard == [study_id] * len(ways)


def test_a_report_that_comes_before_its_images_silences_the_draft(watched: Watched, server: Signer) -> None:
    server.put(signed(accession="ACC0001"))
    watched.ask()

    watched.ward.peer()
    watched.ward.study_with_draft()

    assert watched.ward.report().state is ReportState.WITHDRAWN
    assert watched.ward.deliveries() == []


@pytest.mark.parametrize(
    ("system", "issuer", "ends"),
    [
        (MRN, "", True),
        ("", "HOSP", True),
        ("urn:oid:4.5.6", "HOSP", True),
        (MRN, "HOSP", False),
        ("urn:oid:4.5.6", "", False),
        ("http://social.example", "", False),
        ("http://other.example", "ELSEWHERE", True),
        (MRN, "ELSEWHERE", False),
    ],
)
@pytest.mark.parametrize("early", [False, True], ids=["late", "early"])
def test_the_system_of_the_patient_is_that_of_the_issuer(
    watched: Watched, server: Signer, system: str, issuer: str, ends: bool, early: bool
) -> None:
    if early and issuer == "ELSEWHERE":
        ends = False  # whose system that is cannot be known before the images come
    ward = watched.ward
    film = films.film(**({"IssuerOfPatientID": issuer} if issuer else {}))
    server.put(signed(study=STUDY, system=system))
    if early:
        watched.ask()
    ward.receive(film)
    if not early:
        watched.ask()

    assert ward.ask(lambda tx: life.silence(tx, 1)) is (Event.FINAL_ELSEWHERE if ends else None)


# --- what ends nothing ------------------------------------------------------------------------------------------------


def test_another_report_ends_nothing(watched: Watched, server: Signer) -> None:
    """Of another patient under the same number, study, order; of nobody; or of a laboratory."""
    ours = [{"system": URI, "value": f"urn:oid:{report_uid(STUDY)}"}]
    others = [
        signed("1", study=STUDY, patient="EX-0002"),
        signed("2", accession="ACC0001", patient="EX-0002"),
        signed("3", accession="ACC0001", study="1.2.3.4"),
        signed("4", accession="OTHER"),
        signed("5", study=STUDY, subject={"display": "nobody"}),
        signed("6", study=STUDY, category=[{"coding": [{"code": "LAB"}]}]),
        signed("7", identifier=[numbered("ACC0001", kind="SNO")]),
        signed("8", study=STUDY, patient="EX-0002", identifier=ours),
        signed("9", study=STUDY, status="preliminary", identifier=ours),
        signed("10", study=STUDY, status="preliminary"),
    ]
    watched.ward.study_with_draft()
    for report in others:
        server.put(report)
    with capture_logs() as log:
        watched.ask()

    assert watched.ward.report().state is ReportState.DRAFT
    assert watched.row().failing_since is None
    assert not any(secret in str(log) for secret in ("Secret", "SECRET", "EX-000", "ACC0001", "1.2."))


def test_an_accession_number_of_another_system_is_none_of_ours(ward: Ward, server: Signer) -> None:
    with Caller(seconds=60) as caller:
        watched = Watched(ward, server, caller, order_system="http://ris.example")
        ward.study_with_draft()
        server.put(signed("1", basedOn=[{"identifier": numbered("ACC0001", system="http://laboratory.example")}]))
        watched.ask()
        assert ward.report().state is ReportState.DRAFT
        server.put(signed("2", basedOn=[{"identifier": numbered("ACC0001", system="http://ris.example")}]))
        watched.ask()
        assert ward.report().state is ReportState.WITHDRAWN


# --- asking -----------------------------------------------------------------------------------------------------------


def test_the_server_is_asked_from_where_it_was_left_also_after_a_restart(watched: Watched, server: Signer) -> None:
    server.put(signed("1", accession="OTHER"), at=datetime.now(UTC) - timedelta(hours=3))
    watched.ask()
    with Caller(seconds=60) as caller:
        again = Watcher(watched.desk, caller)
        again.step()

    first, second = (datetime.fromisoformat(one["_lastUpdated"][0].removeprefix("gt")) for one in server.searches())
    stamp = datetime.fromisoformat(server.resources["DiagnosticReport/1"]["meta"]["lastUpdated"])
    assert first < stamp - timedelta(hours=20)
    assert stamp - timedelta(minutes=3) < second < stamp
    assert server.searches()[0]["status"] == ["final,amended,corrected,appended"]


def test_every_page_is_heard(watched: Watched, server: Signer) -> None:
    server.page = 3
    start = datetime.now(UTC) - timedelta(hours=1)
    for number in range(10):
        server.put(signed(f"r{number}", accession="OTHER"), at=start + timedelta(seconds=number))
    server.put(signed("last", study=STUDY))
    watched.ward.study_with_draft()
    watched.ask()
    assert watched.ward.report().state is ReportState.WITHDRAWN
    assert len(server.searches()) == 4


def test_a_stamp_of_the_future_is_not_believed(watched: Watched, server: Signer) -> None:
    server.put(signed("1", accession="OTHER"), at=datetime(9999, 1, 1, tzinfo=UTC))
    watched.ask()
    server.put(signed("2", study=STUDY))
    watched.ward.study_with_draft()
    watched.ask()
    assert watched.ward.report().state is ReportState.WITHDRAWN


def test_a_server_is_asked_when_its_time_has_come_and_ever_later_where_it_fails(
    watched: Watched, server: Signer
) -> None:
    server.script = lambda path: (500, b"")
    asked = []
    for second in range(0, 4000, 20):
        watched.at = float(second)
        before = len(server.asked)
        watched.watcher.step()
        asked += [second] if len(server.asked) > before else []
    assert asked[:5] == [0, 120, 360, 840, 1740]
    assert {later - earlier for earlier, later in pairwise(asked[4:])} == {900}


def test_after_a_failure_it_goes_on_and_is_told_once(watched: Watched, server: Signer) -> None:
    watched.ward.study_with_draft()
    server.put(signed(study=STUDY))
    server.script = lambda path: (503, b"SECRET")
    with capture_logs() as log:
        watched.ask()
        watched.ask()
    assert [one["event"] for one in log].count("watch_failed") == 1
    assert "SECRET" not in str(log)
    assert "503" in watched.row().last_error
    server.script = None
    watched.ask()
    assert watched.ward.report().state is ReportState.WITHDRAWN
    assert watched.row().failing_since is None


# --- hostile answers --------------------------------------------------------------------------------------------------


def bundle(*resources: dict[str, object], following: str = "") -> bytes:
    links = [{"relation": "next", "url": following}] if following else []
    entries = [{"resource": one} for one in resources]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}).encode()


def test_pages_without_end_are_given_up_and_what_they_held_is_heard(
    watched: Watched, server: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.rest.watch.PAGES", 20)
    count = iter(range(10_000))

    def endless(path: str) -> Answer:
        number = next(count)
        report = signed(study=STUDY) if number == 2 else signed(f"r{number}", accession=f"A{number}")
        return 200, bundle(report, following=f"{server.url}/DiagnosticReport?page={number}")

    watched.ward.study_with_draft()
    server.script = endless
    watched.ask()

    assert len(server.asked) == 20
    assert "no end" in watched.row().last_error
    assert watched.ward.report().state is ReportState.WITHDRAWN


def test_what_is_no_bundle_is_a_failure(watched: Watched, server: Signer) -> None:
    other = b'{"resourceType": "OperationOutcome"}'
    for number, body in enumerate((b"", b"\xff\xfe", b"[]", b"null", b'"Bundle"', b"[" * 200_000, other, b"<Bundle/>")):
        server.script = lambda path, body=body: (200, body)  # type: ignore[misc]
        watched.ask()
        assert watched.row().failing_since is not None, number
        server.script = lambda path: (200, bundle())
        watched.ask()
        assert watched.row().failing_since is None


def test_a_bundle_of_nonsense_ends_nothing_and_stops_nothing(watched: Watched, server: Signer) -> None:
    watched.ward.study_with_draft()
    nameless = {"resourceType": "DiagnosticReport"}
    for nonsense in (
        {"entry": 7, "link": "next"},
        {"entry": [None, 3, {"resource": 5}, {"resource": nameless}], "link": [{"url": 5}]},
        {"entry": [{"resource": {**nameless, "id": {}, "status": ["final"]}}]},
        {"entry": [{"resource": {**signed(), "subject": [], "imagingStudy": {}, "basedOn": "x", "meta": 5}}]},
        {"entry": [{"resource": {**signed(), "category": [5, {"coding": 7}], "identifier": {"value": "ACC0001"}}}]},
        {"entry": [{"resource": {**signed(study=STUDY), "subject": {"identifier": {"value": 1}}}}]},
        {"entry": [{"resource": {**signed(study=STUDY), "subject": {"reference": "Patient/../../secret"}}}]},
        {"entry": [{"resource": signed(f"a{sign}", accession=f"ACC{sign}")} for sign in ("\0", "\ud800", "\n")]},
        {"entry": [{"resource": signed("b", accession="ACC0001", patient=f"{sign}")} for sign in ("\0", "\ud800")]},
    ):
        server.asked.clear()
        body = json.dumps({"resourceType": "Bundle", **nonsense}).encode()
        server.script = lambda path, body=body: (200, body)  # type: ignore[misc]
        watched.ask()
        assert watched.row().failing_since is None
        assert len(server.asked) == 1
    assert watched.ward.report().state is ReportState.DRAFT


def test_no_server_makes_us_ask_another_one(watched: Watched, server: Signer) -> None:
    with signer() as other:
        report = signed(imagingStudy=[{"reference": f"{other.url}/ImagingStudy/1"}])
        server.script = lambda path: (200, bundle(report, following=f"{other.url}/DiagnosticReport?next"))
        watched.ask()
        assert other.asked == []
    assert "another server" in watched.row().last_error


def test_an_answer_that_is_too_large_is_a_failure(
    watched: Watched, server: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.rest.watch.PAGE_BYTES", 1000)
    server.script = lambda path: (200, b" " * 2000)
    watched.ask()
    assert "more than 1000 bytes" in watched.row().last_error


def test_a_search_that_takes_too_long_is_given_up_and_goes_on_from_where_it_was(
    watched: Watched, server: Signer
) -> None:
    server.page = 1
    start = datetime.now(UTC) - timedelta(hours=5)
    for number in range(6):
        server.put(signed(f"r{number}", accession="OTHER"), at=start + timedelta(minutes=10 * number))

    def slow(path: str) -> None:
        watched.at += 250

    server.script = slow
    watched.ask()
    assert "too slowly" in watched.row().last_error
    assert len(server.searches()) == 3
    server.script = None
    watched.ask()
    assert watched.row().failing_since is None
    assert len(server.searches()) == 3 + 4


def test_what_may_not_be_read_keeps_no_other_report_from_being_heard(watched: Watched, server: Signer) -> None:
    first = signed("1", imagingStudy=[{"reference": "ImagingStudy/forbidden"}])
    server.put(first, at=datetime.now(UTC) - timedelta(minutes=5))
    server.put(signed("2", study=STUDY))
    server.script = lambda path: (403, b"") if "forbidden" in path else None
    watched.ward.study_with_draft()
    watched.ask()
    assert watched.ward.report().state is ReportState.WITHDRAWN


def test_nobody_is_asked_unless_that_is_wanted(ward: Ward) -> None:
    assert Config().fhir.watch is False
    assert ward.desk.config.fhir.watch is False
