"""The JSON API on a real database: what a program gets, what it is refused, and what its document promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import event, update
from starlette.testclient import TestClient

from dicom_node import worklist
from dicom_node.database import clock
from dicom_node.rules import book, forms
from dicom_node.tables import AuditRow, Delivery, DeliveryState
from reports.people import tokens
from reports.people.rights import Right, Role
from reports.provenance import NOTICE
from reports.tables import Report
from reports.web.access import Access
from reports.web.api.table import OPERATIONS
from reports.web.standing import MEANING, Status
from tests.harness.people import PASSWORD, add_user, signed_in
from tests.harness.reading_room import TEXT, ReadingRoom
from tests.unit.reports import films

PIN = {"pin": "2580"}
SEE = frozenset({Right.SEE})


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    made = ReadingRoom(tmp_path)
    add_user(made.database, "rita", Role.RADIOLOGIST, name="Reader^Rita")
    add_user(made.database, "ada", Role.ADMINISTRATOR)
    yield made
    made.close()


def program(room: ReadingRoom, *scopes: Right, service: str = "ris") -> TestClient:
    """A program with a token."""
    token = f"{tokens.PREFIX}{service}-token-of-a-test"
    with room.database.write() as tx:
        tokens.add(tx, service, token, scopes, expires_at=None, now=clock(tx), actor="test")
    return TestClient(room.app, base_url="http://localhost", headers={"Authorization": f"Bearer {token}"})


def sign(room: ReadingRoom, report: Report) -> None:
    """As a radiologist does it."""
    rita = signed_in(room.app, room.database, "rita")
    address = f"/study/{room.number(report)}/report"

    def act(name: str, **body: Any) -> dict[str, Any]:
        answer = rita.post(f"{address}/{name}", json={"report": report.id, **body})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    for name in ("open", "shown"):
        act(name)
    act("accept", version=act("identity")["version"], **PIN)


def problem_of(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Every refusal has one form."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    told: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= told.keys()
    assert (told["type"], told["status"], told["code"]) == ("about:blank", status, code)
    return told


# --- studies ------------------------------------------------------------------------------------------------------


def test_worklist_is_paged_and_filtered_as_the_page_is(room: ReadingRoom) -> None:
    numbers = [room.number(room.study()) for _ in range(3)]
    ris = program(room, Right.SEE)

    first = ris.get("/api/v1/studies", params={"limit": 2}).json()
    second = ris.get("/api/v1/studies", params={"limit": 2, "before": first["next"]}).json()
    by_urgency = ris.get("/api/v1/studies", params={"show": "drafts", "limit": 2}).json()
    rest = ris.get("/api/v1/studies", params={"show": "drafts", "limit": 2, "before": by_urgency["next"]}).json()
    found = ris.get("/api/v1/studies", params={"q": "ACC0002"}).json()

    assert [one["number"] for one in first["items"] + second["items"]] == numbers[::-1]
    assert second["next"] is None
    assert sorted(one["number"] for one in by_urgency["items"] + rest["items"]) == numbers
    assert [one["accession_number"] for one in found["items"]] == ["ACC0002"]


def test_study_says_where_it_is_and_what_the_draft_names(room: ReadingRoom) -> None:
    number = room.number(room.study())

    study = program(room, Right.SEE).get(f"/api/v1/studies/{number}").json()

    assert (study["number"], study["patient_id"], study["page"]) == (number, "EX-0001", f"/study/{number}")
    assert study["status"] in {"drafted, on its way", "awaiting sign-off", "dead letter"}
    assert study["report"]["state"] == "DRAFT"
    assert "Pleural Effusion" in study["report"]["present"]
    assert study["report"]["critical"] is False
    assert 0 <= study["age_seconds"] < 600


def test_study_says_whom_its_draft_was_handed_to(room: ReadingRoom) -> None:
    report = room.study()
    rita = signed_in(room.app, room.database, "rita")
    number, carl = room.number(report), add_user(room.database, "carl", Role.RADIOLOGIST)
    ris = program(room, Right.SEE)
    before = ris.get(f"/api/v1/studies/{number}").json()["handed_to"]

    assert rita.post(f"/study/{number}/report/hand-over", json={"report": report.id, "to": carl}).status_code == 200

    assert (before, ris.get(f"/api/v1/studies/{number}").json()["handed_to"]) == ("", "carl")

    room.end_all()
    after = ris.get(f"/api/v1/studies/{number}").json()
    assert (after["report"]["state"], after["handed_to"]) == ("WITHDRAWN", "")


def test_study_is_found_by_what_others_know(room: ReadingRoom) -> None:
    number = room.number(room.study())
    ris = program(room, Right.SEE)

    def find(**known: str) -> Any:
        return ris.get("/api/v1/study", params=known)

    uid = ris.get(f"/api/v1/studies/{number}").json()["study_instance_uid"]
    assert find(accession_number="ACC0001").json()["number"] == number
    assert find(study_instance_uid=uid).json()["number"] == number
    assert find(study_instance_uid=uid, patient_id="EX-0001").json()["number"] == number
    problem_of(find(accession_number="ACC9"), 404, "unknown-study")
    problem_of(find(patient_id="EX-0001"), 422, "invalid")
    assert (
        "EX-" not in problem_of(find(accession_number="ACC0001", patient_id="EX-2"), 409, "another-patient")["detail"]
    )


def test_accession_number_of_two_studies_is_not_guessed(room: ReadingRoom) -> None:
    numbers = [room.number(room.study(AccessionNumber="SAME", PatientID=patient)) for patient in ("P1", "P2")]
    ris = program(room, Right.SEE)

    both = ris.get("/api/v1/study", params={"accession_number": "SAME"})
    one = ris.get("/api/v1/study", params={"accession_number": "SAME", "patient_id": "P1"})

    assert problem_of(both, 409, "several-studies")["studies"] == numbers[::-1]
    assert one.json()["number"] == numbers[0]


def test_draft_says_in_every_form_that_it_is_one(room: ReadingRoom) -> None:
    address = f"/api/v1/studies/{room.number(room.study())}/report"
    ris = program(room, Right.SEE)

    told, text, file = ris.get(address).json(), ris.get(f"{address}.txt"), ris.get(f"{address}.dcm")

    assert (told["verified"], told["mark"], told["signatures"]) == (False, NOTICE, [])
    assert told["impression"] == "Small left pleural effusion."
    assert "NOT VERIFIED" in text.text
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    document = dcmread(BytesIO(file.content))
    assert document.VerificationFlag == "UNVERIFIED"
    assert (document.SOPInstanceUID, file.headers["content-type"]) == (told["sop_instance_uid"], "application/dicom")


def test_signed_report_takes_the_place_of_the_draft(room: ReadingRoom) -> None:
    report = room.study()
    ris = program(room, Right.SEE)
    address = f"/api/v1/studies/{room.number(report)}/report"
    draft = ris.get(address).json()

    sign(room, report)

    told = ris.get(address).json()
    assert (told["verified"], told["mark"]) == (True, "Verified by a radiologist.")
    assert [(one["kind"], one["login"]) for one in told["signatures"]] == [("signed", "rita")]
    assert told["sop_instance_uid"] == told["signatures"][0]["sop_instance_uid"] != draft["sop_instance_uid"]
    assert dcmread(BytesIO(ris.get(f"{address}.dcm").content)).VerificationFlag == "VERIFIED"


def test_report_that_is_not_valid_any_more_is_not_given(room: ReadingRoom) -> None:
    report = room.study()
    rita = signed_in(room.app, room.database, "rita")
    address = f"/study/{room.number(report)}/report"
    for act, body in (("open", {}), ("shown", {}), ("reject", {"reason": "quality", "words": "Too dark."})):
        answer = rita.post(f"{address}/{act}", json={"report": report.id, **body})
        assert answer.status_code == 200, answer.text
    ris = program(room, Right.SEE)

    for form in ("report", "report.txt", "report.dcm"):
        refused = ris.get(f"/api/v1/studies/{room.number(report)}/{form}")
        assert problem_of(refused, 410, "not-valid")["state"] == "REJECTED"
        assert "effusion" not in refused.text


def test_report_can_be_asked_for_again_while_the_store_is_away(room: ReadingRoom) -> None:
    number = room.number(room.study())
    room.desk.config.node.store_folder.rename(room.folder / "away")
    ris = program(room, Right.SEE)
    for form in ("report", "report.txt", "report.dcm"):
        problem_of(ris.get(f"/api/v1/studies/{number}/{form}"), 503, "store-away")


def test_nothing_is_reported_of_a_study_without_a_draft(room: ReadingRoom) -> None:
    room.receive(films.film())
    ris = program(room, Right.SEE)

    assert ris.get("/api/v1/studies/1").json()["report"] is None
    problem_of(ris.get("/api/v1/studies/1/report"), 404, "no-report")
    problem_of(ris.get("/api/v1/studies/999/report"), 404, "unknown-study")
    problem_of(ris.get("/api/v1/studies/99999999999999999999"), 404, "unknown-study")


def test_audit_trail_is_read_page_by_page_and_the_reading_is_in_it(room: ReadingRoom) -> None:
    room.peer()
    numbers = [room.number(room.study()) for _ in range(2)]
    auditor = program(room, Right.AUDIT, service="siem")

    def read(**asked: Any) -> dict[str, Any]:
        answer = auditor.get("/api/v1/audit", params=asked)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    everything = read(limit=1000)
    first = read(limit=3, before=everything["items"][0]["number"] + 1)
    rest = read(limit=1000, before=first["next"])
    lately = {"since": "2020-01-01T00:00:00Z", "until": "2999-01-01T00:00:00+09:00"}
    of_one = read(study=f"#{numbers[1]}", **lately)

    assert first["items"] + rest["items"] == everything["items"]
    assert (everything["total"], everything["next"]) == (len(everything["items"]), None)
    assert {one["event"] for one in everything["items"]} > {"study-opened", "token-added"}
    assert {one["study"] for one in of_one["items"]} == {numbers[1]}
    assert read(study="ACC0002", until=lately["since"])["items"] == []
    assert read(event="study-opened")["items"][0]["sentence"]
    booked = read(event="audit-exported", who="service:siem")["items"]
    assert [one["detail"]["rows"] for one in booked[::-1]][:2] == [len(everything["items"]), 3]
    assert booked[1]["detail"] == {"form": "api", "of_study": "ACC0002", "of_until": "2020-01-01T00:00", "rows": 0}


@pytest.mark.parametrize(
    "asked", ["since=yesterday", "since=2026-11-22", "since=0001-01-01T00:00:00%2B10:00", "limit=0"]
)
def test_time_that_is_none_is_no_question_to_the_audit_trail(room: ReadingRoom, asked: str) -> None:
    problem_of(program(room, Right.AUDIT).get(f"/api/v1/audit?{asked}"), 422, "invalid")
    assert "audit-exported" not in room.events()


def test_house_is_told_as_its_pages_show_it(room: ReadingRoom) -> None:
    room.peer("PACS")
    with room.database.write() as tx:
        rule = forms.make({"name": "children", "exclude": "a child", "when": ["PatientAge < 18"]})
        book.add(tx, rule, now=clock(tx), actor="person:ada")
    admin = program(room, Right.ADMINISTER)

    (peer,) = admin.get("/api/v1/peers").json()["items"]
    (rule,) = admin.get("/api/v1/rules").json()["items"]
    models = admin.get("/api/v1/models").json()

    assert (peer["ae_title"], peer["gets"], peer["mode"]) == ("PACS", True, "draft")
    assert (rule["name"], rule["when"], rule["exclude"]) == ("children", ["PatientAge < 18"], "a child")
    assert models["facts"] or models["trouble"]
    assert {one["name"].partition("@")[0] for one in models["workers"]} <= {"work"}


@pytest.mark.parametrize("address", ["audit", "peers", "rules", "models"])
def test_who_only_sees_studies_is_told_nothing_of_the_house(room: ReadingRoom, address: str) -> None:
    problem_of(program(room, Right.SEE, Right.QUEUES).get(f"/api/v1/{address}"), 403, "forbidden")


def test_search_of_a_program_for_one_patient_is_a_look_at_each_of_the_studies(room: ReadingRoom) -> None:
    for _ in range(6):
        room.receive_film(PatientID="KIM-7")
    ris, written = program(room, Right.SEE), []
    ris.get("/api/v1/quality")  # it has been here
    add = written.append
    event.listen(room.database.engine, "commit", add)

    found = ris.get("/api/v1/studies", params={"q": "KIM-7"}).json()["items"]

    event.remove(room.database.engine, "commit", add)
    assert len(found) == 6
    assert len(written) == 1
    assert room.events().count("study-seen") == 6


def test_views_of_a_program_are_in_the_audit_trail(room: ReadingRoom) -> None:
    number = room.number(room.study())
    ris = program(room, Right.SEE)

    for _ in range(2):
        ris.get(f"/api/v1/studies/{number}")
        ris.get(f"/api/v1/studies/{number}/report")
        ris.get("/api/v1/studies", params={"q": "EX-0001"})

    with room.database.read() as tx:
        rows = tx.query(AuditRow).filter(AuditRow.event == "study-seen").all()
    assert sorted((row.actor, row.study_id, row.detail) for row in rows) == [
        ("service:ris", number, f'{{"what": "{what}"}}') for what in ("report", "search", "study")
    ]


def test_page_of_a_report_that_a_program_asks_for_is_a_look(room: ReadingRoom) -> None:
    number = room.number(room.study())

    assert program(room, Right.SEE).get(f"/study/{number}/report").status_code == 200

    assert room.events().count("study-seen") == 1


def test_figures_of_quality_are_those_of_the_decisions(room: ReadingRoom) -> None:
    office = program(room, Right.QUALITY)
    before = office.get("/api/v1/quality").json()
    report = room.study(InstitutionName="Example Hospital")
    sign(room, report)

    after = office.get("/api/v1/quality", params={"days": 1}).json()

    assert (before["whole"]["drafts"], before["whole"]["success"]["value"], before["weeks"]) == (0, None, [])
    assert (after["whole"]["drafts"], after["whole"]["few"], after["whole"]["success"]["value"]) == (1, True, 1.0)
    assert after["whole"]["verdicts"]["accepted"]["count"] == 1
    assert [week["drafts"] for week in after["weeks"]] == [1]
    assert [[one["drafts"] for one in after[group]] for group in ("devices", "readers")] == [[1], [1]]
    assert [(one["name"], one["drafts"]) for one in after["sites"]] == [("Example Hospital", 1)]
    effusion = next(one for one in after["findings"] if one["name"] == "Pleural Effusion")
    assert (effusion["drafted"], effusion["signed"], effusion["both"], effusion["few"]) == (1, 1, 1, True)
    assert (effusion["same"]["value"], effusion["kappa"]) == (1.0, None)


# --- running the node ---------------------------------------------------------------------------------------------


def test_brakes_are_pulled_and_let_go(room: ReadingRoom) -> None:
    operator = program(room, Right.ADMINISTER)
    room.peer("PACS")

    pulled = operator.post("/api/v1/pauses", json={"what": "send", "peer": "PACS", "on": True}).json()
    listed = operator.get("/api/v1/pauses").json()
    queues = operator.get("/api/v1/queues").json()
    gone = operator.post("/api/v1/pauses", json={"what": "send", "peer": "PACS", "on": False}).json()

    assert [(one["what"], one["peer"], one["by"]) for one in pulled["items"]] == [("send", "PACS", "service:ris")]
    assert listed == pulled
    assert [(one["name"], one["paused"]) for one in queues["destinations"]] == [("PACS", True)]
    assert gone == {"items": []}


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"what": "send", "peer": "NOBODY", "on": True}, 404, "unknown-peer"),
        ({"what": "work", "peer": "PACS", "on": True}, 409, "refused"),
        ({"what": "everything", "on": True}, 422, "invalid"),
        ({"what": "send"}, 422, "invalid"),
        ({"what": "send", "on": "yes"}, 422, "invalid"),
        ({"what": "send", "on": True, "more": 1}, 422, "invalid"),
        ([], 422, "invalid"),
    ],
)
def test_orders_that_make_no_sense_are_refused(room: ReadingRoom, order: Any, status: int, code: str) -> None:
    problem_of(program(room, Right.ADMINISTER).post("/api/v1/pauses", json=order), status, code)


def test_body_that_is_no_json_is_refused(room: ReadingRoom) -> None:
    operator = program(room, Right.ADMINISTER)
    json_type = {"Content-Type": "application/json"}

    problem_of(operator.post("/api/v1/pauses", data={"what": "send"}), 415, "no-json")
    problem_of(operator.post("/api/v1/pauses", content=b"{", headers=json_type), 422, "invalid")
    problem_of(operator.post("/api/v1/pauses", content=b"[" * 100_000, headers=json_type), 422, "invalid")
    nul = {"what": "send", "peer": "PACS\0", "on": True}
    assert "U+0000" in problem_of(operator.post("/api/v1/pauses", json=nul), 422, "invalid")["detail"]
    problem_of(operator.post("/api/v1/pauses", content=b" " * (1 << 21), headers=json_type), 413, "too-large")


def test_dead_letters_are_listed_with_a_cure_and_requeued(room: ReadingRoom) -> None:
    room.peer("PACS")
    number = room.number(room.study())
    with room.database.write() as tx:
        tx.execute(update(Delivery).values(state=DeliveryState.FAILED, reason="undeliverable", last_error="No answer."))
    operator = program(room, Right.ADMINISTER)

    found = operator.get("/api/v1/dead-letters", params={"destination": "PACS"}).json()["items"]
    nothing = operator.get("/api/v1/dead-letters", params={"destination": "OTHER"}).json()["items"]
    done = operator.post(f"/api/v1/studies/{number}/requeue")

    assert {(one["study"], one["explanation"], one["can_be_requeued"]) for one in found} == {
        (number, "No answer.", True)
    }
    assert found[0]["cure"].startswith("Mend the destination")
    assert nothing == []
    assert (done.status_code, "queued again" in done.json()["detail"]) == (200, True)
    states = program(room, Right.SEE, service="viewer").get(f"/api/v1/studies/{number}/deliveries").json()["items"]
    assert {one["state"] for one in states} == {"QUEUED"}


# --- who may ------------------------------------------------------------------------------------------------------


def test_every_operation_is_behind_its_scope(room: ReadingRoom) -> None:
    without = TestClient(room.app, base_url="http://localhost")
    wider = {Right.STATUS: Right.SEE, Right.QUEUES: Right.ADMINISTER}  # scopes that a lesser one is a part of
    having = {scope: program(room, scope, service=f"has-{scope}") for scope in tokens.SCOPES}
    lacking = {
        scope: program(
            room, *(one for one in tokens.SCOPES if one not in {scope, wider.get(scope)}), service=f"not-{scope}"
        )
        for scope in tokens.SCOPES
    }

    for one in OPERATIONS:
        address = one.path.replace("{number:int}", "1")
        nobody = without.request(one.method, address)
        problem_of(nobody, 401, "unauthorized")
        assert nobody.headers["www-authenticate"] == 'Bearer realm="wetread"'
        problem_of(lacking[one.right].request(one.method, address), 403, "forbidden")
        for scope in {one.right, wider.get(one.right, one.right)}:
            assert having[scope].request(one.method, address).status_code in {200, 404, 415, 422}, one.name


def test_program_that_shows_a_line_and_a_link_learns_nothing_else(room: ReadingRoom) -> None:
    room.peer("PACS")
    report = room.study()
    ris = program(room, Right.STATUS)

    told = ris.get("/api/v1/status?accession_number=ACC0001&patient_id=EX-0001")

    assert told.status_code == 200
    assert told.json() == {
        "number": room.number(report),
        "status": "drafted, on its way",
        "sentence": "An AI draft is written and on its way.",
        "state": "DRAFT",
        "verified": False,
        "page": "/study/1/report",
    }
    assert ris.get("/badge?accession_number=ACC0001").status_code == 200
    problem_of(ris.get("/api/v1/status?accession_number=ACC0001&patient_id=X"), 409, "another-patient")
    for further in ("studies", "study?accession_number=ACC0001", "studies/1", "studies/1/report", "queues"):
        problem_of(ris.get(f"/api/v1/{further}"), 403, "forbidden")


def reject(room: ReadingRoom) -> str:
    """A radiologist rejects a draft and says what it lacks; gives the words."""
    report = room.study()
    rita = signed_in(room.app, room.database, "rita")
    words = "Large right pneumothorax was missed."
    for name, body in (("open", {}), ("shown", {}), ("reject", {"reason": "missed-finding", "words": words})):
        answer = rita.post(f"/study/{room.number(report)}/report/{name}", json={"report": report.id, **body})
        assert answer.status_code == 200, answer.text
    return words


def withdraw(room: ReadingRoom) -> str:
    """A radiologist takes back what was signed."""
    report = room.study()
    sign(room, report)
    rita = signed_in(room.app, room.database, "rita")
    body = {"report": report.id, "words": "The nodule is on the left.", "password": PASSWORD}
    answer = rita.post(f"/study/{room.number(report)}/report/withdraw", json=body)
    assert answer.status_code == 200, answer.text
    return "The nodule is on the left."


def exclude(room: ReadingRoom) -> str:
    """The gate reads no children."""
    room.receive_film()
    held, words = room.claim(), "The patient is under 18 years."
    room.do(lambda tx: worklist.exclude(tx, held, reason="child", explanation=words, now=clock(tx)))
    return words


@pytest.mark.parametrize(("happens", "status"), [(reject, "rejected"), (withdraw, "withdrawn"), (exclude, "excluded")])
def test_program_that_shows_a_line_reads_nothing_that_was_written_about_the_study(
    room: ReadingRoom, happens: Callable[[ReadingRoom], str], status: str
) -> None:
    words = happens(room)
    ris = program(room, Right.STATUS)
    told = ris.get("/api/v1/status?accession_number=ACC0001")
    badge = ris.get("/badge?accession_number=ACC0001")

    full = program(room, Right.SEE, service="viewer").get("/api/v1/study?accession_number=ACC0001").json()
    assert (full["status"], words in full["sentence"]) == (status, True)  # who may see all reads it
    assert (told.json()["status"], told.json()["sentence"]) == (status, MEANING[Status(status)])
    assert f"<strong>{status}</strong>" in badge.text
    assert words not in told.text + badge.text
    assert MEANING.keys() == set(Status)


def test_signed_in_people_use_it_too_and_other_sites_cannot(room: ReadingRoom) -> None:
    ada = signed_in(room.app, room.database, "ada")

    assert ada.get("/api/v1/queues").status_code == 200
    order = {"what": "work", "on": True}
    assert ada.post("/api/v1/pauses", json=order).status_code == 200
    elsewhere = ada.post("/api/v1/pauses", json=order, headers={"Sec-Fetch-Site": "cross-site"})
    problem_of(elsewhere, 403, "forbidden")
    problem_of(signed_in(room.app, room.database, "rita").get("/api/v1/queues"), 403, "forbidden")


def test_unknown_addresses_and_methods_are_told_as_problems(room: ReadingRoom) -> None:
    ris = program(room, Right.SEE)

    problem_of(ris.get("/api/v2"), 404, "not-found")
    refused = ris.delete("/api/v1/studies")
    problem_of(refused, 405, "method-not-allowed")
    assert "GET" in refused.headers["allow"]
    problem_of(ris.get("/api/v1/studies", params=[("limit", "1"), ("limit", "2")]), 422, "invalid")
    problem_of(ris.get("/api/v1/studies", params={"limit": "0"}), 422, "invalid")
    problem_of(ris.get("/api/v1/studies", params={"sesame": "open"}), 422, "invalid")
    problem_of(ris.get("/api/v1/studies", params={"before": "1.2.3.4"}), 422, "invalid")


# --- links and badges ---------------------------------------------------------------------------------------------


def test_link_of_a_ris_leads_to_the_report(room: ReadingRoom) -> None:
    number = room.number(room.study())
    rita = signed_in(room.app, room.database, "rita")

    there = rita.get("/go", params={"accession_number": "ACC0001", "patient_id": "EX-0001"})
    wrong = rita.get("/go", params={"accession_number": "ACC0001", "patient_id": "EX-2"})
    unknown = rita.get("/go", params={"accession_number": "<script>"})
    stranger = TestClient(room.app, base_url="http://localhost", follow_redirects=False).get(
        "/go?accession_number=ACC0001", headers={"Accept": "text/html"}
    )

    assert (there.status_code, there.headers["Location"]) == (303, f"/study/{number}/report")
    assert (wrong.status_code, "another Patient ID" in wrong.text) == (409, True)
    assert (unknown.status_code, "<script>" in unknown.text) == (404, False)
    assert stranger.headers["Location"] == "/sign-in?next=%2Fgo%3Faccession_number%3DACC0001"


@pytest.mark.parametrize("origin", ["", "https://ris.hospital.example"])
def test_badge_is_framed_by_configured_origins_alone(room: ReadingRoom, origin: str) -> None:
    from agent.config import WebConfig
    from agent.pages import access, make_pages

    room.study()
    web = WebConfig(frame_origins=(origin,) if origin else ())
    app = make_pages(room.desk.config.model_copy(update={"web": web}), room.database)
    rita = signed_in(app, room.database, "rita")

    badge = rita.get("/badge", params={"accession_number": "ACC0001"})
    other = rita.get("/")

    assert access(web) == Access(framers=(origin,) if origin else ())
    assert "AI draft: <strong>" in badge.text
    policy = badge.headers["Content-Security-Policy"]
    assert policy.endswith(f"frame-ancestors {origin or chr(39) + 'none' + chr(39)}")
    assert ("X-Frame-Options" in badge.headers) is not bool(origin)
    assert other.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in other.headers["Content-Security-Policy"]
    assert rita.get("/badge", params={"accession_number": "ACC9"}).status_code == 404


def test_text_of_the_draft_is_that_of_the_model(room: ReadingRoom) -> None:
    told = program(room, Right.SEE).get(f"/api/v1/studies/{room.number(room.study())}/report").json()

    assert TEXT.startswith(f"FINDINGS: {told['findings'].partition('.')[0]}")


def test_page_lists_the_operations(room: ReadingRoom) -> None:
    page = TestClient(room.app, base_url="http://localhost").get("/api/v1").text

    assert [one.name for one in OPERATIONS if one.path.replace(":int", "") not in page] == []
