"""Who was refused: counted, bounded, and safe to print."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dicom_node import turned_away
from dicom_node.access import Caller, Refusal
from tests.harness.node import wait_until
from tests.unit.dicom_node.desk import Desk

REFUSAL = Refusal(1, 1, 3, "calling-ae-title-not-recognized", "only the case differs from 'PACS'")


def caller(title: str = "pacs", address: str = "10.0.0.9") -> Caller:
    return Caller(title, "WETREAD", address, frozenset())


def test_same_caller_is_counted_and_not_listed_twice(desk: Desk) -> None:
    desk.do(lambda tx: turned_away.record(tx, caller(), REFUSAL, desk.now))
    desk.now += timedelta(minutes=1)
    desk.do(lambda tx: turned_away.record(tx, caller(), REFUSAL, desk.now, times=4))
    desk.do(lambda tx: turned_away.record(tx, caller(address="10.0.0.8"), REFUSAL, desk.now))
    rows = desk.ask(turned_away.newest)
    assert [(row.address, row.times) for row in rows] == [("10.0.0.8", 1), ("10.0.0.9", 5)]
    assert rows[1].last_at - rows[1].first_at == timedelta(minutes=1)
    assert rows[1].explanation == REFUSAL.explanation


def test_strangers_cannot_fill_the_database(desk: Desk) -> None:
    for number in range(turned_away.MOST + 20):
        desk.now += timedelta(seconds=1)
        desk.do(lambda tx, number=number: turned_away.record(tx, caller(f"X{number}"), REFUSAL, desk.now))  # type: ignore[misc]
    rows = desk.ask(turned_away.newest)
    assert len(rows) == turned_away.MOST
    assert rows[0].calling_ae_title == f"X{turned_away.MOST + 19}"


def test_what_is_old_is_forgotten(desk: Desk) -> None:
    desk.do(lambda tx: turned_away.record(tx, caller("OLD"), REFUSAL, desk.now))
    desk.now += turned_away.KEPT + timedelta(seconds=1)
    desk.do(lambda tx: turned_away.record(tx, caller("NEW"), REFUSAL, desk.now))
    assert [row.calling_ae_title for row in desk.ask(turned_away.newest)] == ["NEW"]


def test_control_characters_of_a_stranger_do_not_reach_a_terminal(desk: Desk) -> None:
    desk.do(lambda tx: turned_away.record(tx, caller("A\x1b[2J\x00"), REFUSAL, desk.now))
    assert [row.calling_ae_title for row in desk.ask(turned_away.newest)] == ["A?[2J?"]


def test_newest_cause_wins_within_seconds_and_every_one_is_counted(desk: Desk) -> None:
    register = turned_away.Register(desk.database, every_seconds=0.1)
    for words in ("first", "second", "third"):
        register.note(caller(), replace(REFUSAL, explanation=words))

    def told() -> bool:
        return [(row.times, row.explanation) for row in desk.ask(turned_away.newest)] == [(3, "third")]

    wait_until(told, "the newest cause", seconds=30)


def test_stop_writes_down_what_was_only_counted(desk: Desk) -> None:
    register = turned_away.Register(desk.database, every_seconds=3600)
    for words in ("first", "second", "third"):
        register.note(caller(), replace(REFUSAL, explanation=words))
    register.close()
    assert [(row.times, row.explanation) for row in desk.ask(turned_away.newest)] == [(3, "third")]
