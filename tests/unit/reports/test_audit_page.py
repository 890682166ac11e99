"""The audit trail, searched and taken out; and the pages about the installation."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from agent.health import findings
from dicom_node import audit, worklist
from dicom_node.database import Database, clock
from dicom_node.tables import AuditRow
from reports.web import spreadsheet, trail
from reports.web.rights import Role
from tests.unit.reports.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.database.close()


def filled(office: Office) -> None:
    """Two studies, a peer, and a pause."""
    office.add_peer("PACS")
    office.wait_for_a_reading(1)
    office.wait_for_a_reading(2, accession="ACC0002", patient_id="P2")
    office.send_form("/queues/pause", what="work", peer="", on="yes")


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("study=%232", {"study-opened", "study-complete"}),
        ("study=ACC0002&event=study-opened", {"study-opened"}),
        ("who=kim", {"switched"}),
        ("who=person", {"switched", "peer-added"}),
        ("who=%25", set()),
        ("event=peer-added", {"peer-added"}),
        ("study=none", set()),
        ("since=2999-01-01", set()),
        ("until=2000-01-01T10:00", set()),
        ("since=9999-12-31&until=9999-12-31", set()),
        ("since=0001-01-01&until=0001-01-01", set()),
    ],
)
def test_trail_is_searched_by_study_person_event_and_time(office: Office, query: str, events: set[str]) -> None:
    filled(office)
    page = office.web.get(f"/audit?{query}").text

    every = {event for event, _ in office.events()}
    assert {event for event in every if f'<td class="mono">{event}</td>' in page} == events


def test_several_roles_and_scopes_are_told_as_a_list(office: Office) -> None:
    with office.database.write() as tx:
        for event, told in (
            ("user-added", {"user": "kim", "roles": "auditor,trainee"}),
            ("roles-changed", {"user": "kim", "before": "auditor,trainee", "after": "radiologist,trainee"}),
            ("token-added", {"service": "ris", "scopes": "quality,see"}),
        ):
            audit.append(tx, event, at=clock(tx), actor="person:ada", **told)
    page = office.read("/audit")

    assert "User kim was added, as auditor, trainee." in page
    assert "User kim was auditor, trainee, and is radiologist, trainee." in page
    assert "Program ris got a token: quality, see." in page


def test_time_that_is_none_is_told(office: Office) -> None:
    assert "'yesterday' is no time" in office.read("/audit?since=yesterday", code=422)
    assert "is no time" in office.read("/audit?since=0001-01-01T00:00%2B10:00", code=422)
    assert "is no time" in office.read("/audit?until=9999-12-31T23:59-10:00", code=422)
    assert office.web.post("/audit/export", data={"form": "csv", "since": "yesterday"}).status_code == 400
    assert office.web.post("/audit/export", data={"form": "csv", "until": "9999-12-31"}).status_code == 200


NUL = [
    *("/audit?who=kim%00", "/audit?event=%00", "/peers?name=%00", "/rules/edit?name=%00", "/dead-letters?q=a%00b"),
    *("/go?accession_number=%00", "/badge?accession_number=%00", "/?%00=1", "/sheet.%00"),
    *("/api/v1/study?accession_number=%00", "/api/v1/dead-letters?destination=%00"),
]


def test_what_no_database_keeps_is_refused_before_it_is_asked(tmp_path: Path, database: Database) -> None:
    office = Office(tmp_path, *Role, database=database)

    answers = {address: office.web.get(address).status_code for address in NUL}
    form = office.web.post("/peers/edit", data={"ae_title": "PACS\0", "host": "a", "port": "104"})
    export = office.web.post("/audit/export", data={"form": "csv", "who": "kim\0"})

    assert {address: code for address, code in answers.items() if code != 400} == {}
    assert (form.status_code, export.status_code) == (400, 400)
    assert office.web.get("/audit?who=%2500").status_code == 200


def test_pages_of_the_trail_neither_lose_nor_repeat_a_row(office: Office) -> None:
    with office.database.write() as tx:
        for number in range(trail.PAGE + 7):
            audit.append(tx, f"event-{number}", at=clock(tx), actor="dispatch")
    first = office.web.get("/audit").text
    older = first.split("before=")[1].split('"')[0]
    second = office.web.get(f"/audit?before={older}").text

    found = [first.count('<td class="mono">event-'), second.count('<td class="mono">event-')]
    assert found == [trail.PAGE, 7]
    assert "107 rows" in first


def test_seals_are_proved_on_demand_and_a_changed_row_is_seen(office: Office) -> None:
    filled(office)
    assert "not sealed yet" in office.read("/audit")
    with office.database.write() as tx:
        audit.seal(tx)
    assert "the chain of seals is unbroken" in office.read("/audit?prove=yes")

    with office.database.write() as tx:
        tx.execute(text("UPDATE audit SET actor = 'nobody' WHERE id = 2"))
    assert "row 2 of the chain was changed" in office.read("/audit?prove=yes")


def test_export_is_whole_and_stands_in_the_trail(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "_AT_ONCE", 2)  # several reads, as for a long trail
    filled(office)
    rows = list(csv.DictReader(io.StringIO(office.web.post("/audit/export", data={"form": "csv"}).text[1:])))
    lines = office.web.post("/audit/export", data={"form": "jsonl", "event": "study-opened"}).text.splitlines()

    assert [row["event"] for row in rows] == [event for event, _ in office.events()][: len(rows)]
    assert rows[-1]["event"] == "audit-exported"
    assert rows[-1]["who"] == "person:kim"
    assert [json.loads(line)["study"] for line in lines] == [1, 2]
    with office.database.read() as tx:
        booked = [json.loads(row.detail) for row in tx.query(AuditRow).filter_by(event="audit-exported")]
    assert booked == [{"form": "csv", "rows": len(rows) - 1}, {"form": "jsonl", "of_event": "study-opened", "rows": 2}]


def test_no_cell_of_an_export_is_a_formula(office: Office) -> None:
    with office.database.write() as tx:
        for actor in ("=1+1", "+1", "-1", "@SUM(A1)", "\tx"):
            audit.append(tx, "switched", at=clock(tx), actor=actor)
    content = office.web.post("/audit/export", data={"form": "csv", "event": "switched"}).text

    rows = list(csv.DictReader(io.StringIO(content.removeprefix(spreadsheet.BYTE_ORDER_MARK))))
    assert [row["who"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx"]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        (-1.5, "-1.5"),
        (None, ""),
        (True, "yes"),
        ('a"b,c', '"a""b,c"'),
        ("two\nlines", '"two\nlines"'),
        ("=A1", "'=A1"),
        ("a;=1+1;b", "a;'=1+1;b"),
        ("a; \t@x", "a; \t'@x"),
        ("a\n-1", '"a\n\'-1"'),
        ("up - down; then", "up - down; then"),
    ],
)
def test_cells_are_written_as_spreadsheets_read_them(cell: object, written: str) -> None:
    assert spreadsheet.line([cell, 1]) == f"{written},1\r\n"


def test_auditor_searches_and_changes_nothing(office: Office) -> None:
    auditor = office.as_(Role.AUDITOR)

    assert auditor.get("/audit").status_code == 200
    assert [auditor.get(address).status_code for address in ("/queues", "/rules", "/check", "/models")] == [403] * 4
    assert office.as_(Role.RADIOLOGIST).get("/audit").status_code == 403
    assert office.as_(Role.RADIOLOGIST).post("/audit/export", data={"form": "csv"}).status_code == 403


# --- the installation ---------------------------------------------------------------------------------------------


def test_page_of_models_says_what_reads_and_how_fast(office: Office) -> None:
    office.add_peer()
    office.beat()
    office.wait_for_a_reading()
    office.draft_of(1)
    page = office.read("/models")

    assert "digest" in page
    assert "Memory weights" in page
    assert "alive work@host" in page
    assert "CXR-LLaVA demo 1.0 fp32" in page
    assert "Of the newest 200 drafts" in page
    assert "The model is whole" in office.send_form("/models/verify")


def test_check_says_what_the_command_says(office: Office) -> None:
    page = office.read("/check")

    for found in findings(office.config):
        if found.subject in {"database", "audit trail", "books", "peers"}:
            assert " ".join(found.words.split()) in page
    assert "wrong" in page


def test_quarantine_lists_what_was_refused(office: Office) -> None:
    assert "Nothing was refused." in office.read("/quarantine")
    with office.database.write() as tx:
        worklist.record_quarantine(
            tx,
            clock(tx),
            calling_ae_title="XRAY2",
            reason="cannot-understand",
            digest="a" * 64,
            sop_class_uid="",
            sop_instance_uid="",
        )

    assert f"XRAY2 cannot-understand deleted {'a' * 64}" in office.read("/quarantine")


def test_sheet_is_shown_and_given_as_text_and_pdf(office: Office) -> None:
    office.add_peer("PACS")
    page = office.read("/sheet?host=ai.example.org")

    assert "ai.example.org" in page
    assert "WETREAD" in page
    written = office.web.get("/sheet.txt?host=ai.example.org")
    assert "ai.example.org" in written.text
    assert 'filename="wetread-sheet.txt"' in written.headers["Content-Disposition"]
    assert office.web.get("/sheet.pdf").content.startswith(b"%PDF-")
    assert office.web.get("/sheet.exe").status_code == 404
    assert "Conformance" in office.read("/conformance")
