"""Every page for administrators, with something on it, on both databases."""

from __future__ import annotations

from pathlib import Path

from dicom_node.database import Database
from tests.unit.reports.busy_office import BusyOffice

PAGES = (
    "/peers",
    "/peers/edit",
    "/peers/edit?title=PACS",
    "/peers/service",
    "/peers/service?name=RIS",
    "/rules",
    "/rules/edit",
    "/rules/edit?name=er-first",
    "/rules/rules.toml",
    "/queues",
    "/dead-letters",
    "/dead-letters?destination=PACS&reason=never-found",
    "/models",
    "/audit",
    "/audit?study=%231&who=kim&event=switched&since=2026-01-01&until=2036-01-01T10:00&before=99&prove=yes",
    "/check",
    "/quarantine",
    "/sheet",
    "/sheet.txt",
    "/conformance",
    "/quality",
    "/quality/drafts.csv",
    "/quality/groups.csv",
    "/quality/findings.csv",
)


def test_every_page_is_shown_on_both_databases(database: Database, tmp_path: Path) -> None:
    office = BusyOffice(tmp_path, decided=6, database=database)

    answers = {address: office.web.get(address) for address in PAGES}

    assert {address: answer.status_code for address, answer in answers.items() if answer.status_code != 200} == {}
    assert "6 drafts decided about" in office.read("/quality")
    assert "routine 6 0 0 now" in office.read("/queues")
    assert "study-complete" in office.web.post("/audit/export", data={"form": "csv", "event": "study-complete"}).text
    assert "9 studies; 0 would be decided by another rule" in office.send_form("/rules/try", span="24h")
    assert "2 queued again" in office.send_form("/dead-letters/requeue-all", destination="PACS", sure="yes")
    assert "Everything is stopped" in office.send_form("/queues/stop", word="STOP")


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    office = BusyOffice(tmp_path, decided=0)

    assert "'NOBODY' is not registered" in office.read("/peers/edit?title=NOBODY", code=404)
    assert "'NOBODY' is no destination" in office.read("/peers/service?name=NOBODY", code=404)
    assert "there is no rule 'none'" in office.read("/rules/edit?name=none", code=404)
    assert "no study has the number" in office.send_form("/dead-letters/requeue", code=422, study="4711")
    assert "no whole number" in office.send_form("/dead-letters/close", code=422, delivery="x", why="meant")
