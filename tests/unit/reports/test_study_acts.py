"""What a person can do with a study from its page: offered where it is possible, refused in words, audited by name."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from agent.routing import Router
from dicom_node import peers, worklist
from dicom_node.database import clock
from dicom_node.files import stored_path
from dicom_node.tables import AuditRow, Book, Instance, Revision, Study
from dicom_node.worklist import Ending
from reports.people import tokens
from reports.people.rights import Role
from reports.web.film import MOST_FILMS
from tests.harness.morning import CLEAR, Morning
from tests.harness.people import add_user, signed_in
from tests.harness.reading_room import ReadingRoom
from tests.unit.agent.desk_of_readers import service
from tests.unit.agent.ward import now

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
    """A study of one film that can be shown; its number is 1, as that of the study."""
    room.receive_film(BodyPartExamined=None)
    held = room.claim()
    words = "The body part is absent."
    room.do(lambda tx: worklist.hold(tx, held, reason="body-part-unknown", explanation=words, now=clock(tx)))


def another_film(room: ReadingRoom, content: bytes = b"", number: int = 9) -> int:
    """One more film of the study. content: what lies in the store; else it can be shown."""
    with room.database.write() as tx:
        first = tx.get_one(Instance, 1)
        payload = content or stored_path(room.desk.config.node.store_folder, first.digest).read_bytes() + b"\0\0"
        digest = hashlib.sha256(payload).hexdigest()
        path = stored_path(room.desk.config.node.store_folder, digest)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(payload)
        values = {column.name: getattr(first, column.name) for column in Instance.__table__.columns}
        added = Instance(
            **{**values, "id": None, "sop_instance_uid": f"{first.sop_instance_uid}.{number}", "digest": digest}
        )
        tx.add(added)
        tx.flush()
        return added.id


def refused(room: ReadingRoom, client: TestClient, verb: str, **data: Any) -> str:
    """Nothing was done, and why."""
    before = room.events()
    answer = client.post(f"/study/1/{verb}", data={"sure": "yes", **data})
    assert answer.status_code == 422
    assert [one for one in room.events() if one != "study-seen"] == [one for one in before if one != "study-seen"]
    (fault,) = re.findall(r'<p class="fault" role="alert">(.*?)</p>', answer.text)
    return html.unescape(str(fault))


def standing(client: TestClient) -> str:
    (said,) = re.findall(r'<p class="standing">(.*?)<', client.get("/study/1").text)
    return html.unescape(str(said))


def trail(room: ReadingRoom, event: str) -> AuditRow:
    return room.ask(lambda tx: tx.scalars(select(AuditRow).where(AuditRow.event == event)).one())


def test_study_that_the_gate_holds_is_let_through_by_who_looked(room: ReadingRoom) -> None:
    hold(room)
    rita = web(room, "rita")
    assert offers(rita.get("/study/1").text) == {"confirm", "exclude"}

    done = rita.post("/study/1/confirm", data={"sure": "yes", "shown": "1"})

    assert (done.status_code, done.headers["location"]) == (303, "/study/1?done=confirm")
    page = rita.get("/study/1?done=confirm").text
    assert "Done: Let it be read." in page
    assert "(films shown here before: 1)" in page
    row = trail(room, "study-confirmed")
    assert (row.actor, row.detail) == ("person:rita", '{"shown": 1}')


def test_nobody_says_to_have_looked_at_what_was_not_shown(room: ReadingRoom) -> None:
    hold(room)
    rita = web(room, "rita")
    command = "says so by a command: wetread study confirm '#1'"
    for numbers in ([], ["7"], ["x"], ["9" * 30]):  # nothing, a film of another study, none
        fault = refused(room, rita, "confirm", shown=numbers)
        assert "The film was not shown on this page" in fault
        assert fault.endswith(command)

    second = another_film(room)  # came after the page was opened
    assert "1 of 2 films was shown" in refused(room, rita, "confirm", shown=["1"])
    assert rita.post("/study/1/confirm", data={"sure": "yes", "shown": ["1", str(second)]}).status_code == 303
    assert trail(room, "study-confirmed").detail == '{"shown": 2}'


def test_film_that_can_be_shown_to_nobody_holds_nobody_up_but_is_no_look(room: ReadingRoom) -> None:
    hold(room)
    broken = another_film(room, b"no film")
    rita = web(room, "rita")

    assert "was not shown" in refused(room, rita, "confirm")
    assert "1 of 2 films was shown" in refused(room, rita, "confirm", shown=[str(broken)])
    assert rita.post("/study/1/confirm", data={"sure": "yes", "shown": "1"}).status_code == 303
    assert trail(room, "study-confirmed").detail == '{"shown": 1}'


def test_film_that_is_away_for_a_while_is_demanded_and_the_command_named(room: ReadingRoom) -> None:
    hold(room)
    second = another_film(room)
    digest = room.ask(lambda tx: tx.get_one(Instance, second).digest)
    path = stored_path(room.desk.config.node.store_folder, digest)
    path.rename(path.with_suffix(".away"))
    rita = web(room, "rita")

    fault = refused(room, rita, "confirm", shown=["1"])

    assert "1 of 2 films was shown" in fault
    assert "cannot be shown at this moment: The image file is gone from the store." in fault
    assert fault.endswith("by a command: wetread study confirm '#1'")
    troubles = [one["trouble"] for one in rita.get("/study/1/films.json").json()["films"]]
    assert [one and one["passes"] for one in troubles] == [None, True]
    assert rita.get(f"/film/{second}/pixels").json()["passes"]
    path.with_suffix(".away").rename(path)
    assert rita.post("/study/1/confirm", data={"sure": "yes", "shown": ["1", str(second)]}).status_code == 303


def test_films_beyond_those_that_the_page_lists_are_demanded(room: ReadingRoom) -> None:
    hold(room)
    content = stored_path(
        room.desk.config.node.store_folder, room.ask(lambda tx: tx.get_one(Instance, 1).digest)
    ).read_bytes()
    for number in range(1, MOST_FILMS + 1):
        another_film(room, content + bytes(2 * number), number)
    rita = web(room, "rita")
    listed = [str(one["id"]) for one in rita.get("/study/1/films.json").json()["films"]]
    assert len(listed) == MOST_FILMS

    fault = refused(room, rita, "confirm", shown=listed)

    assert f"24 of 25 films were shown on this page; it lists no more than {MOST_FILMS}." in fault
    assert fault.endswith("by a command: wetread study confirm '#1'")


def test_program_lets_no_film_be_read_whatever_it_may(room: ReadingRoom) -> None:
    hold(room)
    secret = f"{tokens.PREFIX}all"
    with room.database.write() as tx:
        tokens.add(tx, "ris", secret, tokens.SCOPES, expires_at=None, now=clock(tx), actor="person:test")
    ris = TestClient(room.app, base_url="http://localhost:8080", headers={"Authorization": f"Bearer {secret}"})

    for verb in ("confirm", "overrule"):
        assert ris.post(f"/study/1/{verb}", data={"sure": "yes", "shown": "1"}).status_code == 403
    assert "study-confirmed" not in room.events()


def test_command_lets_it_be_read_and_the_trail_says_that_nothing_was_shown(room: ReadingRoom) -> None:
    hold(room)

    room.do(lambda tx: worklist.confirm(tx, tx.get_one(Study, 1), clock(tx), actor="command:a"))  # as `study confirm`

    assert trail(room, "study-confirmed").detail == '{"shown": 0}'
    assert "(films shown here before: 0)" in web(room, "rita").get("/study/1").text


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
    closed = {words: " disabled" in attributes for attributes, words in buttons.items()}
    assert (closed["Let it be read"], closed["Take it out"]) == (True, False)  # that script opens it
    said = "The film needs JavaScript. Who has looked at it in the site's own viewer says so by a command: "
    assert f'<p class="no-script">{said}wetread study confirm &#39;#1&#39;</p>' in page


def test_confirmation_without_its_box_changes_nothing(room: ReadingRoom) -> None:
    hold(room)

    answer = web(room, "rita").post("/study/1/confirm", data={"shown": "1"})

    assert answer.status_code == 422
    assert "Check the box first" in answer.text
    assert "study-confirmed" not in room.events()


def test_trainee_is_offered_neither_confirmation_nor_overruling(room: ReadingRoom) -> None:
    hold(room)
    tom = web(room, "tom")

    assert offers(tom.get("/study/1").text) == {"exclude"}
    assert tom.post("/study/1/confirm", data={"sure": "yes", "shown": "1"}).status_code == 403
    assert tom.post("/study/1/overrule", data={"sure": "yes", "shown": "1"}).status_code == 403


@pytest.mark.parametrize("login", ["rita", "ada"])
def test_exclusion_of_the_gate_is_overruled_by_its_code(room: ReadingRoom, login: str) -> None:
    room.receive_film()
    held = room.claim()
    words = "The patient is under 18 years."
    room.do(lambda tx: worklist.exclude(tx, held, reason="child", explanation=words, now=clock(tx)))
    client = web(room, login)
    assert offers(client.get("/study/1").text) == {"overrule", "reprocess"}
    assert 'id="film"' in client.get("/study/1").text
    assert refused(room, client, "overrule").endswith("wetread study confirm '#1' --overrule child")
    assert newest(room).number == 1

    client.post("/study/1/overrule", data={"sure": "yes", "shown": "1"})

    assert newest(room).number == 2
    assert trail(room, "exclusion-overruled").detail == '{"reason": "child", "shown": 1}'


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


def test_dead_letter_for_a_destination_that_was_removed_is_not_tried_again(room: ReadingRoom) -> None:
    Morning(room, 1, "rita").dead_letter()
    room.do(lambda tx: peers.remove(tx, "PACS", now=clock(tx), actor="command:a"))
    page = web(room, "ada").get("/study/1").text

    assert "requeue" not in offers(page)
    assert "for PACS was given up. Another try would fail as well: the destination was removed" in " ".join(
        page.split()
    )


def test_study_that_was_given_up_is_tried_again_although_an_older_letter_cannot_be(room: ReadingRoom) -> None:
    """A requeue leaves the letter of the older revision alone, and reads the study anew."""
    Morning(room, 1, "rita").dead_letter()
    ada = web(room, "ada")
    ada.post("/study/1/reprocess")
    Router(room.desk).step()
    room.do(lambda tx: peers.remove(tx, "PACS", now=clock(tx), actor="command:a"))
    held = room.claim()
    ending = Ending(Book.DEAD_LETTERED, "reading-failed", "every attempt failed")
    room.do(lambda tx: worklist.finish(tx, held, [], nothing_leaves=ending, now=clock(tx)))
    assert offers(ada.get("/study/1").text) == {"requeue", "reprocess"}

    ada.post("/study/1/requeue")
    assert newest(room).number == 3


def test_signed_study_is_read_again_only_once_its_report_is_withdrawn_and_the_new_draft_says_so(
    room: ReadingRoom,
) -> None:
    morning, ada = Morning(room, 1, "rita"), web(room, "ada")
    morning.sign(room.study(CLEAR))
    room.deliver()
    assert offers(ada.get("/study/1").text) == set()
    assert "the study has a signed report" in refused(room, ada, "reprocess")

    service(room).withdraw(1, morning.reader, "Another patient's film", now())
    page = ada.get("/study/1").text
    assert (offers(page), "of an older revision" in page) == ({"reprocess"}, False)
    ada.post("/study/1/reprocess")

    hint = "The report of an older revision was withdrawn: Another patient's film."
    assert hint in standing(ada)
    Router(room.desk).step()
    draft = room.draft()
    assert hint in standing(ada)
    morning.sign(draft)
    assert hint not in standing(ada)


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
