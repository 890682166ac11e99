"""What a signature depends on is asked with the study locked: in few questions, whatever has happened before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from dicom_node.database import Database
from dicom_node.errors import NotFound
from reports.signoff.scene import look
from reports.signoff.tables import SignedKind
from reports.tables import ReportState
from tests.harness.reading_room import ReadingRoom
from tests.unit.agent.desk_of_readers import RITA, service, sign
from tests.unit.agent.ward import now

MOST = 12


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    made = ReadingRoom(tmp_path)
    yield made
    made.close()


@contextmanager
def questions(database: Database) -> Iterator[list[str]]:
    """What is asked meanwhile by those who write."""
    asked: list[str] = []

    def heard(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(database.engine, "before_cursor_execute", heard)
    try:
        yield asked
    finally:
        event.remove(database.engine, "before_cursor_execute", heard)


def test_a_look_asks_few_questions(room: ReadingRoom) -> None:
    room.peer("PACS")
    report = room.study()
    with room.database.write() as tx, questions(room.database) as asked:
        scene = look(tx, report.id)
    assert 1 <= len([one for one in asked if one.lstrip().startswith("SELECT")]) <= MOST
    assert scene.state is ReportState.DRAFT
    assert (scene.first, scene.last, scene.beside, scene.next_number) == (None, None, None, 1)
    assert [one.name for one in scene.everyone] == ["PACS"]
    assert scene.images == scene.films


def test_two_looks_with_nothing_between_them_are_equal(room: ReadingRoom) -> None:
    report = room.study()
    room.peer("PACS")
    first = room.ask(lambda tx: look(tx, report.id))
    assert room.do(lambda tx: look(tx, report.id)) == first

    room.peer("SECOND")
    assert room.ask(lambda tx: look(tx, report.id)) != first


def test_a_withdrawn_signature_counts_in_the_numbers_alone(room: ReadingRoom) -> None:
    report = room.study()
    sign(room)
    signed = room.ask(lambda tx: look(tx, report.id))
    assert signed.last is not None
    assert (signed.last.kind, signed.next_number) == (SignedKind.SIGNED, 2)

    service(room).withdraw(room.number(report), RITA, "The wrong film was hung.", now())
    after = room.ask(lambda tx: look(tx, report.id))
    assert (after.last, after.next_number) == (None, 2)


def test_there_is_no_scene_without_a_report(room: ReadingRoom) -> None:
    with pytest.raises(NotFound, match="4711"):
        room.ask(lambda tx: look(tx, 4711))
