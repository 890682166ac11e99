"""The page of queues and that of dead letters: what waits where, the brakes, and what was given up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node import peers, worklist
from dicom_node.database import clock
from dicom_node.tables import Book, Delivery, DeliveryState, Mode, Study
from dicom_node.worklist import Ending, pauses
from dicom_node.worklist.pauses import What
from reports.web import letters
from reports.web.rights import Role
from tests.unit.reports.office import Office

ROOT = Path(__file__).parents[3]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.database.close()


def brakes(office: Office) -> set[tuple[What, str]]:
    with office.database.read() as tx:
        return {(one.what, one.peer) for one in pauses.pauses(tx)}


def states(office: Office) -> list[DeliveryState]:
    with office.database.read() as tx:
        return list(tx.scalars(select(Delivery.state).order_by(Delivery.id)))


def bury(office: Office, number: int = 1, *, error: str = "it does not answer") -> None:
    """A draft that the destination would not take."""
    office.wait_for_a_reading(number, accession=f"ACC{number}", patient_id=f"P{number}")
    office.draft_of(number)
    held = office.consign()
    with office.database.write() as tx:
        worklist.mark_failed(tx, held, error=error, now=clock(tx))


# --- queues -------------------------------------------------------------------------------------------------------


def test_empty_node_says_that_nothing_waits(office: Office) -> None:
    page = office.read("/queues")

    assert "Nothing waits to be read." in page
    assert "No destination is registered" in page
    assert "Nobody sent anything, and nobody may" in page
    assert "Studies of priority backlog are read at any hour" in page


def test_queues_show_what_waits_for_whom(office: Office) -> None:
    office.add_peer("PACS")
    office.add_peer("ARCHIVE", Mode.SHADOW)
    office.wait_for_a_reading(1)
    office.draft(office.claim())
    held = office.consign()
    with office.database.write() as tx:
        now = clock(tx)
        worklist.mark_retry(tx, held, error="it was busy", wait=timedelta(hours=1), now=now)
    office.wait_for_a_reading(2, accession="ACC2")
    office.receive(3, accession="ACC3")
    page = office.read("/queues")

    assert "1 study coming in 1 waiting to be read" in page
    assert "1 document to be sent" in page
    assert "routine 1 0 0 now" in page
    assert "ARCHIVE 0 - - 0 0 -" in page
    assert "PACS 1 0 s" in page or "PACS 1 1 s" in page
    assert "Nothing gets through to PACS since 20" in page
    assert "it was busy. Waiting for it: 1; next try at 20" in page
    assert "Ask it yourself: wetread ae echo PACS" in page
    assert "The next attempts (1)" in page
    assert "Senders of the last 24 hours" in page
    assert "PACS 3 3 0 0 0" in page


@pytest.mark.parametrize("error", ["is the PACS running?", "it said no."])
def test_words_that_end_a_sentence_get_no_second_end(office: Office, error: str) -> None:
    office.add_peer("PACS")
    office.wait_for_a_reading(1)
    office.draft(office.claim())
    held = office.consign()
    with office.database.write() as tx:
        worklist.mark_retry(tx, held, error=error, wait=timedelta(hours=1), now=clock(tx))

    assert f"{error} Waiting for it: 1;" in office.read("/queues")


def test_brakes_are_pulled_and_let_go_by_name(office: Office) -> None:
    office.add_peer("PACS")

    assert "Paused." in office.send_form("/queues/pause", what="work", peer="", on="yes")
    assert "paused Go on send PACS" in office.send_form("/queues/pause", what="send", peer="PACS", on="yes")
    assert brakes(office) == {(What.WORK, ""), (What.SEND, "PACS")}
    assert "Reading is paused" in office.read("/")

    office.send_form("/queues/pause", what="work", peer="", on="no")
    assert brakes(office) == {(What.SEND, "PACS")}
    assert office.events_of_kim() == ["switched", "switched", "switched"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"what": "everything"}, "cannot be paused"),
        ({"what": "work", "peer": "PACS"}, "reading cannot be paused for one peer"),
        ({"what": "send", "peer": "NOBODY"}, "is not registered"),
    ],
)
def test_brake_that_there_is_not_is_refused(office: Office, fields: dict[str, str], told: str) -> None:
    assert told in office.send_form("/queues/pause", code=422, on="yes", **fields)
    assert brakes(office) == set()


def test_emergency_stop_wants_its_word(office: Office) -> None:
    office.add_peer("PACS")

    assert "Nothing was stopped" in office.send_form("/queues/stop", code=422, word="stop")
    assert brakes(office) == set()
    office.send_form("/queues/pause", what="receive", peer="PACS", on="yes")
    assert "Everything is stopped" in office.send_form("/queues/stop", word="STOP")
    assert brakes(office) == {(what, "") for what in What} | {(What.RECEIVE, "PACS")}

    assert "It goes on." in office.send_form("/queues/go-on")
    assert brakes(office) == set()


# --- dead letters -------------------------------------------------------------------------------------------------


def test_dead_letter_is_shown_with_reason_and_cure_and_requeued(office: Office) -> None:
    assert "There are none." in office.read("/dead-letters")
    office.add_peer("PACS")
    bury(office)
    page = office.read("/dead-letters")

    assert "undeliverable it does not answer" in page
    assert letters.CURES["undeliverable"] in page
    assert states(office) == [DeliveryState.FAILED]

    assert "1 queued again." in office.send_form("/dead-letters/requeue", study="1")
    assert states(office) == [DeliveryState.QUEUED]
    assert office.events_of_kim()[-1] == "study-requeued"


def test_dead_letter_that_is_meant_is_closed_with_a_sentence(office: Office) -> None:
    office.add_peer("PACS")
    bury(office)

    assert "say why in a sentence" in office.send_form("/dead-letters/close", code=422, delivery="1", why=" ")
    assert "It is never sent again" in office.send_form(
        "/dead-letters/close", delivery="1", why="the PACS was replaced"
    )
    assert states(office) == [DeliveryState.CANCELED]
    assert "no dead letter" in office.send_form("/dead-letters/close", code=422, delivery="1", why="again")
    assert office.events_of_kim()[:1] == ["delivery-closed"]


def test_all_of_a_destination_are_requeued_and_others_stay(office: Office) -> None:
    office.add_peer("PACS")
    bury(office, 1)
    bury(office, 2)
    office.add_peer("ARCHIVE")
    with office.database.write() as tx:
        peers.edit(tx, "PACS", now=clock(tx), actor="person:test", mode=Mode.SHADOW)
    bury(office, 3)
    with office.database.write() as tx:
        peers.edit(tx, "PACS", now=clock(tx), actor="person:test", mode=Mode.DRAFT)

    assert "check the box" in office.send_form("/dead-letters/requeue-all", code=422, destination="PACS")
    page = office.send_form("/dead-letters/requeue-all", destination="PACS", sure="yes")

    assert "2 queued again." in page
    assert states(office) == [DeliveryState.QUEUED, DeliveryState.QUEUED, DeliveryState.FAILED]


def test_filter_by_reason_requeues_what_it_shows(office: Office) -> None:
    office.add_peer("PACS")
    bury(office, 1)
    bury(office, 2)
    with office.database.write() as tx:
        tx.get_one(Delivery, 2).reason = "never-found"

    shown = office.read("/dead-letters?reason=never-found")
    assert "Requeue study 2" in shown
    assert "Requeue study 1" not in shown
    office.send_form("/dead-letters/requeue-all", reason="never-found", sure="yes")

    assert states(office) == [DeliveryState.FAILED, DeliveryState.QUEUED]


def test_letter_of_a_study_that_has_gone_on_offers_no_requeue(office: Office) -> None:
    """A requeue would read the study anew."""
    office.add_peer("PACS")
    bury(office)
    office.receive(1, accession="ACC1", patient_id="P1", instance=2)
    page = office.read("/dead-letters")

    assert "rev. 1" in page
    assert "Requeue study 1" not in page


def test_letter_for_a_destination_that_was_removed_says_why_it_cannot_be_requeued(office: Office) -> None:
    office.add_peer("PACS")
    bury(office)
    assert "Requeue study 1" in office.read("/dead-letters")
    with office.database.write() as tx:
        peers.remove(tx, "PACS", now=clock(tx), actor="person:test")
    page = office.read("/dead-letters")

    assert "Requeue study 1" not in page
    assert "Another try would fail as well: the destination was removed" in page
    assert letters.CURES["destination-off"] in page
    for fields in ({"destination": "PACS"}, {"destination": "PACS", "reason": "undeliverable"}):
        told = office.send_form("/dead-letters/requeue-all", code=422, sure="yes", **fields)
        assert "Another try would fail as well" in told
    assert states(office) == [DeliveryState.FAILED]


def test_letters_that_can_still_be_asked_for_are_not_refused_with_the_rest(office: Office) -> None:
    """The draft of the first study was called off since; that of the second has no way any more."""
    office.add_peer("PACS")
    bury(office)
    bury(office, 2)
    with office.database.write() as tx:
        peers.edit(tx, "PACS", now=clock(tx), actor="person:test", send_to=False)
    assert letters_in_vain(office)
    with office.database.write() as tx:
        tx.get_one(Study, 1).hold_reason = "patient"
    assert not letters_in_vain(office)


def letters_in_vain(office: Office) -> str:
    with office.database.read() as tx:
        return letters.all_in_vain(tx, "PACS")


def test_study_of_which_nothing_could_be_made_is_shown_and_requeued(office: Office) -> None:
    office.wait_for_a_reading()
    held = office.claim()
    with office.database.write() as tx:
        ending = Ending(Book.DEAD_LETTERED, "reading-failed", "every attempt failed")
        worklist.finish(tx, held, [], nothing_leaves=ending, now=clock(tx))
    page = office.read("/dead-letters")

    assert "reading-failed every attempt failed" in page
    assert letters.CURES["reading-failed"] in page
    office.send_form("/dead-letters/requeue", study="1")
    assert "There are none." in office.read("/dead-letters")


def test_every_code_of_a_dead_letter_in_the_manual_has_a_cure() -> None:
    manual = (ROOT / "deploy" / "docs" / "operate.md").read_text(encoding="utf-8")
    section = manual[manual.index("### Dead-lettered: a person is told") : manual.index("### Closed undelivered")]
    codes = {
        code.strip("`")
        for row in section.splitlines()
        if row.startswith("| `")
        for code in row.split("|")[1].split(", ")
    }

    assert {code.strip(" `") for code in codes} == set(letters.CURES)


@pytest.mark.parametrize("address", ["/queues/pause", "/queues/stop", "/queues/go-on", "/dead-letters/requeue"])
def test_nobody_else_changes_what_waits(office: Office, address: str) -> None:
    fields = {"what": "work", "on": "yes", "word": "STOP", "study": "1"}

    assert office.as_(Role.RADIOLOGIST).post(address, data=fields).status_code == 403
    assert office.as_(Role.AUDITOR).get("/queues").status_code == 403
    assert brakes(office) == set()
