"""What people see of a study whose images came late: drafts beside each other, older drafts, what nobody has read."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dicom_node import worklist
from dicom_node.rules.tables import Late
from dicom_node.tables import DeliveryState, Proof, Study
from reports.people.rights import Role
from reports.signoff.reasons import Reason
from reports.tables import Report, ReportState
from reports.web.report import Papers, papers
from reports.web.standing import CAME_LATE
from tests.harness.morning import CLEAR, PNEUMOTHORAX, Morning
from tests.harness.people import add_user, signed_in
from tests.harness.reading_room import ReadingRoom, chest, with_pixels
from tests.unit.agent.desk_of_readers import service
from tests.unit.agent.ward import now
from tests.unit.reports import films


@dataclass
class Place:
    room: ReadingRoom
    morning: Morning
    rita: TestClient

    def late(self, number: int, policy: Late = Late.REPLACE) -> None:
        """Another image of a study comes."""
        study = self.room.ask(lambda tx: tx.get_one(Study, number))
        uid = study.study_instance_uid
        header = films.film(
            StudyInstanceUID=uid,
            SeriesInstanceUID=f"{uid}.1",
            SOPInstanceUID=f"{uid}.1.2",
            PatientID=study.patient_id,
            AccessionNumber=study.accession_number,
        )
        self.room.receive(with_pixels(header, chest()), late=policy)

    def beside(self) -> tuple[Report, Report]:
        """Two drafts of one study, the second of the late image alone."""
        first = self.room.study(PNEUMOTHORAX)
        self.room.deliver()
        self.late(1, Late.ADD)
        return first, self.room.draft(text=CLEAR)

    def studies(self, show: str) -> list[int]:
        page = self.rita.get(f"/?show={show}")
        assert page.status_code == 200
        return [int(number) for number in re.findall(r'<tr id="study-(\d+)"', page.text)]

    def row(self, number: int) -> str:
        """One row as a person reads it."""
        page = self.rita.get("/?show=all").text
        found = re.search(rf'<tr id="study-{number}".*?</tr>', page, re.DOTALL)
        assert found
        return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", found[0]).split()))

    def papers(self, report: int = 0) -> Papers:
        """Those of study 1."""
        found = self.room.ask(lambda tx: papers(tx, 1, report))
        assert found is not None
        return found

    def shown(self, report: int = 0) -> tuple[int, ReportState]:
        """Which report the papers of study 1 are of."""
        found = self.papers(report)
        assert found.report is not None
        return found.report.id, found.report.state


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    room = ReadingRoom(tmp_path)
    room.peer(proof=Proof.ACKNOWLEDGEMENT)
    reader = add_user(room.database, "rita", Role.RADIOLOGIST)
    yield Place(room, Morning(room, reader, "rita"), signed_in(room.app, room.database, "rita"))
    room.close()


def test_of_two_drafts_the_older_one_is_shown_until_it_is_signed(place: Place) -> None:
    first, second = place.beside()
    assert place.shown() == (first.id, ReportState.DRAFT)
    assert place.shown(second.id) == (second.id, ReportState.DRAFT)

    place.morning.sign(first)

    assert place.shown() == (second.id, ReportState.DRAFT)
    assert place.shown(first.id) == (first.id, ReportState.VERIFIED)


def test_page_of_the_study_shows_the_same_one_of_two_drafts(place: Place) -> None:
    place.beside()

    text = html.unescape(place.rita.get("/study/1").text)
    shown = re.search(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)

    assert shown
    assert "Moderate right pneumothorax." in " ".join(shown[1].split())
    assert "of revision 1; the study is at revision 2" in text


def test_act_is_of_the_draft_that_it_names_and_answers_with_that(place: Place) -> None:
    first, second = place.beside()
    base = "/study/1/report"

    for act in ("open", "shown", "identity"):
        opened = place.rita.post(f"{base}/{act}", json={"report": second.id}).json()
    signed = place.rita.post(
        f"{base}/accept", json={"report": second.id, "version": opened["version"], "pin": "2580"}
    ).json()

    assert (opened["report"], opened["state"]) == (second.id, "DRAFT")
    assert (signed["report"], signed["state"]) == (second.id, "VERIFIED")
    assert place.rita.get(f"{base}/desk?report={second.id}").json()["report"] == second.id
    assert place.rita.get(f"{base}/desk?report=x").json()["report"] == first.id


def test_draft_beside_a_signed_report_still_waits(place: Place) -> None:
    first, second = place.beside()

    place.morning.sign(second)

    assert place.studies("drafts") == place.studies("signed") == [1]
    assert "awaiting sign-off An older draft is open, not signed." in place.row(1)
    assert "Pneumothorax" in place.row(1)
    assert place.shown() == (first.id, ReportState.DRAFT)
    assert place.shown(first.id + 7) == (first.id, ReportState.DRAFT)
    assert place.rita.get("/report/next").headers["location"] == "/study/1/report"
    service(place.room).film_shown(first.id, place.morning.reader, now())

    service(place.room).reject(first.id, place.morning.reader, Reason("quality"), "", now())

    assert place.studies("drafts") == []
    assert place.shown() == (second.id, ReportState.VERIFIED)
    assert place.shown(first.id) == (first.id, ReportState.REJECTED)
    assert place.rita.get("/report/next").headers["location"] == "/"


def test_page_of_a_draft_beside_a_signed_report_says_what_to_do_and_lets_it(place: Place) -> None:
    add_user(place.room.database, "tom", Role.TRAINEE)
    first, second = place.beside()
    base = "/study/1/report"
    for report in (second, first):
        for act in ("open", "shown", "identity"):
            desk = place.rita.post(f"{base}/{act}", json={"report": report.id}).json()
        if report is second:
            accepted = {"report": second.id, "version": desk["version"], "pin": "2580"}
            assert place.rita.post(f"{base}/accept", json=accepted).status_code == 200

    assert (desk["beside"]["by"], desk["beside"]["address"]) == ("Rita Test", f"{base}?report={second.id}")
    assert desk["obstacles"]["sign"].startswith("The study has a signed report: take this draft over")
    assert (desk["obstacles"]["take-over"], desk["obstacles"]["close"]) == ("", "")
    tom = signed_in(place.room.app, place.room.database, "tom")
    assert tom.post(f"{base}/close", json={"report": first.id}).status_code == 403
    for act in ("open", "shown"):
        tom.post(f"{base}/{act}", json={"report": first.id})
    rejected = tom.post(f"{base}/reject", json={"report": first.id, "reason": "quality", "words": ""})
    assert (rejected.status_code, "radiologist says" in rejected.json()["detail"]) == (409, True)
    refused = place.rita.post(f"{base}/accept", json={"report": first.id, "version": desk["version"], "pin": "2580"})
    assert (refused.status_code, refused.json()["code"]) == (409, "signed-beside")
    body = {"report": first.id, "version": desk["version"], "words": "Pneumothorax on the first film.", "pin": "2580"}
    over = place.rita.post(f"{base}/take-over", json={**body, "seen": desk["beside"]["number"]}).json()

    assert (over["state"], over["beside"], over["closed"]) == ("WITHDRAWN", None, True)
    assert over["added"] == [desk["beside"]["number"] + 1]
    assert tom.get(f"{base}/desk").json()["added"] == []  # it is not his
    assert "taken this AI draft over" in over["happened"]
    assert place.shown() == (second.id, ReportState.VERIFIED)
    assert "Pneumothorax on the first film." in place.rita.get(base).text


def test_what_was_signed_before_says_nothing_of_the_draft_that_is_shown(place: Place) -> None:
    first, second = place.beside()
    place.morning.sign(second)
    place.room.deliver()

    draft, signed = place.papers(), place.papers(second.id)

    assert (place.shown()[0], draft.signed, draft.sendings) == (first.id, [], ())
    assert (len(signed.signed), {one.state for one in signed.sendings}) == (1, {DeliveryState.COMMITTED})


def test_what_was_taken_back_is_in_no_pacs(place: Place) -> None:
    report = place.room.study(CLEAR)
    place.morning.sign(report)
    place.room.deliver()
    assert place.papers().sendings

    service(place.room).withdraw(1, place.morning.reader, "Another patient.", now() + timedelta(seconds=2))

    assert (place.papers().signed, place.papers().sendings) == ([], ())
    assert place.rita.get("/study/1/report/desk").json()["arrival"] == {"there": False, "words": "", "to": []}


def test_image_that_comes_after_the_signature_is_told(place: Place) -> None:
    report = place.room.study(CLEAR)
    place.morning.sign(report)
    place.room.do(lambda tx: setattr(tx.get_one(Report, report.id), "changed_at", now()))
    assert CAME_LATE not in place.row(1)
    assert not place.papers().late

    place.late(1)

    assert f"signed {CAME_LATE} Signed, not yet in PACS." in place.row(1)
    assert place.papers().late
    assert CAME_LATE in place.rita.get("/study/1/report").text


def test_answer_about_another_film_is_marked_as_such(place: Place) -> None:
    first, second = place.beside()
    ask = {"words": "Is there a fracture?"}
    assert place.rita.post("/study/1/report/questions", json=ask).json()["questions"][0]["elsewhere"] is False
    service(place.room).reject(first.id, place.morning.reader, Reason("quality"), "", now())
    assert place.shown() == (second.id, ReportState.DRAFT)

    listed = place.rita.get("/study/1/report/questions").json()["questions"]

    assert [(one["words"], one["elsewhere"]) for one in listed] == [("Is there a fracture?", True)]


def test_film_of_the_draft_that_is_shown_is_the_one_that_was_read(place: Place) -> None:
    place.beside()

    films_of_study = place.rita.get("/study/1/films.json").json()["films"]

    assert [(one["id"], one["read"]) for one in films_of_study] == [(1, 1), (2, 0)]


def test_each_of_two_reports_has_films_and_questions_of_its_own(place: Place) -> None:
    first, second = place.beside()
    place.morning.sign(first)  # the other one is foremost now

    def films_of(report: int) -> list[tuple[int, int]]:
        told = place.rita.get(f"/study/1/films.json?report={report}").json()["films"]
        return [(one["id"], one["read"]) for one in told]

    assert (films_of(first.id), films_of(second.id)) == ([(1, 1), (2, 0)], [(2, 1), (1, 0)])
    assert films_of(0) == films_of(second.id)
    for report in (first, second):
        ask = {"words": f"Question {report.id}?", "report": report.id}
        assert place.rita.post("/study/1/report/questions", json=ask).status_code == 200
    for report, elsewhere in ((first, [False, True]), (second, [True, False])):
        told = place.rita.get(f"/study/1/report/questions?report={report.id}").json()["questions"]
        assert [one["elsewhere"] for one in sorted(told, key=lambda one: str(one["words"]))] == elsewhere


def test_films_of_a_replaced_report_are_nobodys(place: Place) -> None:
    first = place.room.study(PNEUMOTHORAX)
    place.late(1)
    place.room.draft(text=CLEAR)

    assert place.rita.get(f"/study/1/films.json?report={first.id}").status_code == 409
    assert place.rita.get(f"/study/1/report/questions?report={first.id}").status_code == 409
    ask = {"words": "Is there a fracture?", "report": first.id}
    assert place.rita.post("/study/1/report/questions", json=ask).status_code == 409


def test_draft_stays_in_the_list_when_the_late_image_is_excluded(place: Place) -> None:
    place.room.study(PNEUMOTHORAX)
    place.late(1)
    held = place.room.claim()
    place.room.do(lambda tx: worklist.exclude(tx, held, reason="not-a-chest", explanation="No chest.", now=now()))

    assert place.studies("drafts") == place.studies("excluded") == [1]
    assert "awaiting sign-off An older draft is open, not signed. Not read: No chest." in place.row(1)
    assert '<b data-count="drafts">1</b>' in place.rita.get("/?show=all").text


def test_draft_stays_in_the_list_when_the_late_image_is_a_dead_letter(place: Place) -> None:
    place.room.study(PNEUMOTHORAX)
    place.late(1)
    held = place.room.claim()
    words = "It cannot be decoded."
    place.room.do(
        lambda tx: worklist.fail(tx, held, reason="pixels", explanation=words, attempts=1, wait=timedelta(), now=now())
    )

    assert place.studies("drafts") == place.studies("dead-letters") == [1]
    assert "awaiting sign-off An older draft is open, not signed. Given up:" in place.row(1)


def test_draft_says_so_while_the_late_image_is_on_its_way(place: Place) -> None:
    place.room.study(PNEUMOTHORAX)
    place.late(1)

    assert place.studies("drafts") == place.studies("coming") == [1]
    assert "receiving An older draft is open, not signed. 2 images so far" in place.row(1)
