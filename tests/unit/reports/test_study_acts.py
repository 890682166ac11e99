"""What a person can do with a study from its page: offered where it is possible, refused in words, audited by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from dicom_node.tables import AuditRow, Book, Revision
from reports.people.rights import Role
from tests.harness.morning import CLEAR, Morning
from tests.harness.people import add_user, signed_in
from tests.harness.reading_room import ReadingRoom

PEOPLE = {
    "rita": Role.RADIOLOGIST,
    "tom": Role.TRAINEE,
    "ada": Role.ADMINISTRATOR,
}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    made = ReadingRoom(tmp_path)
    made.peer()
    for login, role in PEOPLE.items():
        add_user(made.database, login, role)
    yield made
    made.close()


def web(room: ReadingRoom, login: str) -> TestClient:
    return signed_in(room.app, room.database, login)


def offers(page: str) -> set[str]:
    return set(re.findall(r'action="/study/1/([a-z]+)"', page))


def newest(room: ReadingRoom) -> Revision:
    return room.ask(lambda tx: tx.scalars(select(Revision).order_by(Revision.number.desc()).limit(1)).one())


def hold(room: ReadingRoom) -> None:
    Morning(room, 1, "rita").held()


def test_study_that_the_gate_holds_is_let_through_by_who_looked(room: ReadingRoom) -> None:
    hold(room)
    rita = web(room, "rita")
    assert offers(rita.get("/study/1").text) == {"confirm", "exclude"}

    done = rita.post("/study/1/confirm", data={"sure": "yes"})

    assert (done.status_code, done.headers["location"]) == (303, "/study/1?done=confirm")
    assert "Done: Let it be read." in rita.get("/study/1?done=confirm").text
    row = room.ask(lambda tx: tx.scalars(select(AuditRow).where(AuditRow.event == "study-confirmed")).one())
    assert row.actor == "person:rita"


def test_who_says_to_have_looked_has_the_film_on_that_page(room: ReadingRoom) -> None:
    hold(room)
    page = web(room, "rita").get("/study/1").text

    assert 'id="film" data-study="1"' in page  # its script lists the films of that study
    assert "study_film.js" in page
    buttons = dict(re.findall(r"<button([^>]*)>([^<]*)</button>", page))
    waits = {
        words: "data-looks" in attributes for attributes, words in buttons.items() if "aria-describedby" in attributes
    }
    assert waits == {"Let it be read": True, "Take it out": False}
    assert not any(
        "disabled" in attributes for attributes in buttons
    )  # that script closes them; without it the form works
    assert 'data-command="wetread study confirm &#39;#1&#39;"' in page


def test_confirmation_without_its_box_changes_nothing(room: ReadingRoom) -> None:
    hold(room)

    answer = web(room, "rita").post("/study/1/confirm", data={})

    assert answer.status_code == 422
    assert "Check the box first" in answer.text
    assert "study-confirmed" not in room.events()


def test_trainee_is_offered_neither_confirmation_nor_overruling(room: ReadingRoom) -> None:
    hold(room)
    tom = web(room, "tom")

    assert offers(tom.get("/study/1").text) == {"exclude"}
    assert tom.post("/study/1/confirm", data={"sure": "yes"}).status_code == 403
    assert tom.post("/study/1/overrule", data={"sure": "yes"}).status_code == 403


@pytest.mark.parametrize("login", ["rita", "ada"])
def test_exclusion_of_the_gate_is_overruled_by_its_code(room: ReadingRoom, login: str) -> None:
    Morning(room, 1, "rita").excluded()
    client = web(room, login)
    assert offers(client.get("/study/1").text) == {"overrule", "reprocess"}
    assert 'id="film"' in client.get("/study/1").text

    client.post("/study/1/overrule", data={"sure": "yes"})

    assert newest(room).number == 2
    assert "exclusion-overruled" in room.events()


def test_study_that_waits_is_taken_out_with_a_reason_and_not_without(room: ReadingRoom) -> None:
    morning = Morning(room, 1, "rita")
    morning.arrive()
    morning.complete()
    tom = web(room, "tom")

    assert tom.post("/study/1/exclude", data={"reason": " "}).status_code == 422
    assert newest(room).book is Book.IN_FLIGHT
    assert tom.post("/study/1/exclude", data={"reason": "of a phantom"}).status_code == 303
    assert (newest(room).book, newest(room).explanation) == (Book.EXCLUDED, "of a phantom")


def test_study_that_still_receives_is_completed(room: ReadingRoom) -> None:
    Morning(room, 1, "rita").arrive()
    tom = web(room, "tom")
    assert offers(tom.get("/study/1").text) == {"complete"}

    tom.post("/study/1/complete")

    assert offers(tom.get("/study/1").text) == {"exclude"}


def test_dead_letter_is_tried_again_and_a_delivered_study_read_again(room: ReadingRoom) -> None:
    Morning(room, 1, "rita").dead_letter()
    ada = web(room, "ada")
    assert "requeue" in offers(ada.get("/study/1").text)

    ada.post("/study/1/requeue")
    assert newest(room).book is Book.IN_FLIGHT
    room.deliver()
    assert offers(ada.get("/study/1").text) == {"reprocess"}
    ada.post("/study/1/reprocess")

    assert newest(room).number == 2


def test_study_held_for_its_patient_is_released_only_when_what_came_agrees(room: ReadingRoom) -> None:
    Morning(room, 1, "rita").arrive(PatientID=None)
    Morning(room, 1, "rita").complete()
    rita = web(room, "rita")
    assert offers(rita.get("/study/1").text) >= {"release", "exclude"}

    answer = rita.post("/study/1/release", data={"sure": "yes"})

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "study-released" not in room.events()


def test_what_is_not_possible_is_refused_in_words(room: ReadingRoom) -> None:
    room.study(CLEAR)

    answer = web(room, "ada").post("/study/1/complete")

    assert answer.status_code == 422
    assert "the study is complete already" in answer.text


def test_study_that_is_not_there_is_not_found(room: ReadingRoom) -> None:
    ada = web(room, "ada")

    assert ada.post("/study/7/complete").status_code == 404
    assert ada.post("/study/99999999999/complete").status_code == 404


def test_look_at_a_study_is_in_its_trail(room: ReadingRoom) -> None:
    room.study(CLEAR)

    web(room, "rita").get("/study/1")

    row = room.ask(lambda tx: tx.scalars(select(AuditRow).where(AuditRow.event == "study-seen")).one())
    assert (row.actor, row.study_id) == ("person:rita", 1)
