"""Taking back goes on past what cannot be taken back, and `wetread check` says what stayed behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from agent import health
from agent.recalling import Recaller
from dicom_node import files
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import AuditRow, Way
from reports import life, recalls
from reports.tables import Event, Report
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films


def sent_and_expired(ward: Ward, *, studies: int) -> None:
    """Drafts that are out, of as many studies, and have expired."""
    for number in range(1, studies + 1):
        ward.study_with_draft(StudyInstanceUID=f"1.2.3.{number}", SOPInstanceUID=f"1.2.3.{number}.1")
    ward.deliver()
    ward.do(lambda tx: life.expire(tx, now(), after=timedelta()))


def lose(ward: Ward, report: int) -> None:
    row = ward.ask(lambda tx: tx.get_one(Report, report))
    files.stored_path(ward.desk.config.node.store_folder, row.digest).unlink()


def spoil(ward: Ward, report: int) -> None:
    """Its document is what the books name, and no DICOM object."""
    digest = files.write_document(ward.desk.config.node.store_folder, b"no object" * 100)
    ward.do(lambda tx: setattr(tx.get_one(Report, report), "digest", digest))


def findings(ward: Ward, subject: str) -> list[health.Finding]:
    return [one for one in ward.ask(lambda tx: list(health._database(tx))) if one.subject == subject]


def later(ward: Ward, duration: timedelta) -> None:
    """Everything that happened did so longer ago."""
    for report in ward.ask(lambda tx: tx.scalars(select(Report)).all()):
        then = report.changed_at - duration
        ward.do(lambda tx, i=report.id, then=then: setattr(tx.get_one(Report, i), "changed_at", then))  # type: ignore[misc]
    ward.do(lambda tx: tx.execute(update(AuditRow).values(at=now() - duration)))


@pytest.mark.parametrize("damage", [lose, spoil])
def test_what_cannot_be_taken_back_stops_nothing_else_and_is_told_once(
    ward: Ward, damage: Callable[[Ward, int], None]
) -> None:
    ward.peer()
    sent_and_expired(ward, studies=3)
    damage(ward, 1)
    damage(ward, 2)
    recaller = Recaller(ward.desk, at_once=2)

    with capture_logs() as said:
        queued = [recaller.step() for _ in range(4)]

    assert sum(queued) == 1
    assert [one.stage for one in ward.deliver()] == [Stage.REJECTION]
    assert [one["report"] for one in said if one["event"] == "recall_failed"] == [1, 2]
    assert {one.report_id for one in ward.ask(recalls.pending)} == {1, 2}


def test_what_is_taken_back_in_time_is_no_warning_and_what_is_not_is_one(ward: Ward) -> None:
    ward.peer()
    sent_and_expired(ward, studies=2)
    lose(ward, 2)
    ward.recaller.step()
    assert findings(ward, "taken back") == []

    later(ward, timedelta(minutes=11))

    (found,) = findings(ward, "taken back")
    assert (found.verdict, "1 ended report is not taken back yet from PACS" in found.words) == ("warning", True)
    assert found.words.endswith("studies #2")


def test_a_draft_that_nobody_can_be_told_of_is_a_warning_for_a_week(ward: Ward) -> None:
    ward.peer("PACS", Kind.BASIC_TEXT)
    sent_and_expired(ward, studies=12)
    assert findings(ward, "left behind") == []

    with capture_logs() as said:
        ward.recaller.step()

    assert {one["destination"] for one in said if one["event"] == "report_left_behind"} == {"PACS"}
    (found,) = findings(ward, "left behind")
    assert (found.verdict, "PACS could not be told" in found.words, " 12 studies" in found.words) == (
        "warning",
        True,
        True,
    )
    assert found.words.endswith("#12 #11 #10 #9 #8 #7 #6 #5 #4 #3 ...")
    later(ward, timedelta(days=8))
    assert findings(ward, "left behind") == []


def test_who_is_left_behind_is_booked_once_while_another_destination_waits(ward: Ward) -> None:
    ward.peer("PACS", Kind.BASIC_TEXT)
    ward.service("RIS", Way.MLLP)
    ward.study_with_draft()
    ward.deliver()
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.2"))
    ward.draft()
    for _ in range(3):
        assert ward.recaller.step() == 0
    assert "report-left-behind" not in ward.events(), "it is not clear yet who has what"

    ward.deliver()
    for _ in range(3):
        ward.recaller.step()

    assert ward.events().count("report-left-behind") == 1
    assert (ward.report(1).event, ward.report(1).taken_back_at is None) == (Event.SUPERSEDED, False)
