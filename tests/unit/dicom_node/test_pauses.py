"""The brakes and the forecast: what stands still for whom, and when a queue will be empty."""

from __future__ import annotations

import pytest

from dicom_node import books
from dicom_node.forecast import forecast
from dicom_node.worklist import pauses
from dicom_node.worklist.pauses import What
from tests.unit.dicom_node.desk import Desk, header


def pull(desk: Desk, what: What, peer: str = "", *, on: bool = True) -> None:
    desk.do(lambda tx: pauses.pause(tx, what, peer=peer, on=on, now=desk.now, actor="person:a"))


def names(desk: Desk) -> list[tuple[str, str]]:
    return desk.ask(lambda tx: [(one.what, one.peer) for one in pauses.pauses(tx)])


def test_sending_to_one_peer_stands_still_and_the_others_go_on(desk: Desk) -> None:
    for title in ("PACS", "OTHER"):
        desk.peer(title)
    desk.draft(destinations=("PACS", "OTHER"))
    pull(desk, What.SEND, "PACS")
    held = desk.must_take()
    assert held.destination == "OTHER"
    assert desk.take() is None
    pull(desk, What.SEND, "PACS", on=False)
    assert desk.must_take().destination == "PACS"


def test_sending_stands_still_for_all(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    pull(desk, What.SEND)
    assert desk.take() is None
    assert desk.ask(lambda tx: pauses.is_paused(tx, What.SEND, "PACS"))


@pytest.mark.parametrize(("what", "peer"), [(What.RECEIVE, "PACS 1"), (What.SEND, "A" * 64), (What.WORK, "")])
def test_each_brake_is_listed_with_the_command_that_lets_it_go(desk: Desk, what: What, peer: str) -> None:
    pull(desk, what, peer)
    (brake,) = desk.ask(pauses.pauses)
    assert (brake.what, brake.peer, brake.by) == (what, peer, "person:a")
    assert brake.command == f"wetread resume --what {what.value}" + (f" --peer '{peer}'" if peer else "")
    assert "switched" in desk.events()
    pull(desk, what, peer, on=False)
    assert names(desk) == []


def test_peer_whose_name_begins_like_another_is_not_held_back(desk: Desk) -> None:
    pull(desk, What.RECEIVE, "PACS")
    assert desk.ask(lambda tx: pauses.is_paused(tx, What.RECEIVE, "PACS"))
    assert not desk.ask(lambda tx: pauses.is_paused(tx, What.RECEIVE, "PACS2"))
    assert not desk.ask(lambda tx: pauses.is_paused(tx, What.RECEIVE, "pacs"))


def test_forecast_goes_by_the_last_quarter_of_an_hour(desk: Desk) -> None:
    desk.peer()
    for number in range(12):
        desk.receive(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"))
    desk.complete()
    for _ in range(4):
        desk.wait(60)
        desk.finish(desk.must_claim())
    desk.wait(60)
    ahead = desk.ask(lambda tx: forecast(tx, books.backlog(tx), desk.now))
    assert ahead.read_per_hour == 60  # four in the four minutes since the first was done
    assert ahead.read_by is not None
    assert (ahead.read_by - desk.now).total_seconds() == pytest.approx(8 * 60)
    assert (ahead.sent_per_hour, ahead.sent_by) == (0, None), "nothing was sent, so nobody knows"

    pull(desk, What.SEND)
    assert desk.ask(lambda tx: forecast(tx, books.backlog(tx), desk.now)) == ahead
    pull(desk, What.WORK)
    ahead = desk.ask(lambda tx: forecast(tx, books.backlog(tx), desk.now))
    assert (ahead.read_per_hour, ahead.read_by) == (60, None), "nothing ends while nothing is read"


def test_forecast_of_an_empty_queue_names_no_moment(desk: Desk) -> None:
    ahead = desk.ask(lambda tx: forecast(tx, books.backlog(tx), desk.now))
    assert (ahead.read_per_hour, ahead.read_by, ahead.sent_by) == (0, None, None)
