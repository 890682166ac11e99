"""What destinations said of our studies: remembered once, counted where they answer without, forgotten with them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from dicom_node import endpoints, peers
from dicom_node.database import Database, clock
from dicom_node.known_tables import KnownFilm, KnownStudy
from dicom_node.tables import Instance, RemoteAE, Role, Study, StudyState
from dicom_node.transports import Film
from dicom_node.worklist import known
from dicom_node.worklist.known_films import Films

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)


@pytest.fixture
def studies(database: Database) -> list[str]:
    """Study Instance UIDs of two studies that are ours."""
    uids = ["1.2.3.1", "1.2.3.2"]
    with database.write() as tx:
        for uid in uids:
            moments = {"first_received_at": NOW, "last_received_at": NOW, "completed_at": None}
            tx.add(Study(study_instance_uid=uid, state=StudyState.COMPLETE, **moments))
    return uids


def rows(database: Database) -> list[KnownStudy]:
    with database.read() as tx:
        return list(tx.scalars(select(KnownStudy).order_by(KnownStudy.destination, KnownStudy.study_id)))


def let_pass(database: Database, seconds: float = 30) -> None:
    """Since the last answer that was counted."""
    with database.write() as tx:
        for table in (KnownStudy, KnownFilm):
            tx.execute(update(table).values(missed_at=clock(tx) - timedelta(seconds=seconds)))


def test_who_named_a_study_is_remembered_for_that_destination_alone(database: Database, studies: list[str]) -> None:
    known.named(database, "PACS", [studies[0]])

    with database.read() as tx:
        assert known.has_named(tx, "PACS", studies[0])
        assert not known.has_named(tx, "PACS", studies[1])
        assert not known.has_named(tx, "VNA", studies[0])


def test_answers_without_it_are_counted_until_it_is_named_again(database: Database, studies: list[str]) -> None:
    assert known.missed(database, "PACS", studies[0]) == 0, "it has never named it"
    known.named(database, "PACS", studies)

    assert [known.missed(database, "PACS", studies[0]) for _ in range(3)] == [1, 1, 1], "three documents in one moment"
    let_pass(database)
    assert [known.missed(database, "PACS", studies[0]) for _ in range(2)] == [2, 2]
    assert known.missed(database, "PACS", studies[1]) == 1
    known.named(database, "PACS", [studies[0]])
    assert known.missed(database, "PACS", studies[0]) == 1


def test_five_answers_count_over_eight_minutes_however_many_documents_ask(
    database: Database, studies: list[str]
) -> None:
    known.named(database, "PACS", studies)
    its, one = Films(database, "PACS", studies[0]), film(database, studies[0])
    its.answered(one, there=True)

    def answers() -> tuple[int, int]:
        return known.missed(database, "PACS", studies[0]), its.answered(one, there=False)

    counted = [answers()]
    for too_soon, later in ((20, 30), (50, 60), (110, 120), (280, 300)):
        for seconds in (too_soon, later):
            let_pass(database, seconds)
            counted.append(answers())
    assert counted == [(count, count) for count in (1, 1, 2, 2, 3, 3, 4, 4, 5)]


def test_what_is_booked_is_not_written_again_and_what_is_not_ours_not_at_all(
    database: Database, studies: list[str]
) -> None:
    known.named(database, "PACS", [*studies, "1.2.3.4711", *(f"1.9.{number}" for number in range(1200))])
    before = [(row.study_id, row.named_at) for row in rows(database)]
    known.named(database, "PACS", studies)

    assert [(row.study_id, row.named_at) for row in rows(database)] == before
    assert len(before) == 2


def test_two_answers_at_once_are_one_row(database: Database, studies: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(known.named, database, "PACS", studies) for _ in range(8)]:
            done.result(timeout=60)

    assert len(rows(database)) == 2


def test_what_a_destination_said_is_forgotten_with_it(database: Database, studies: list[str]) -> None:
    with database.write() as tx:
        tx.add(RemoteAE(ae_title="PACS", host="10.0.0.5", port=104))
        endpoints.add(tx, "WEB", endpoints.place("https://archive.example.org/dicom-web"), now=NOW, actor="test")
    for name in ("PACS", "WEB", "VNA"):
        known.named(database, name, [studies[0]])
        Films(database, name, studies[0]).answered(film(database, studies[0]), there=True)

    with database.write() as tx:
        peers.remove(tx, "PACS", now=NOW, actor="test")
        endpoints.remove(tx, "WEB", now=NOW, actor="test")

    assert [row.destination for row in rows(database)] == ["VNA"]
    with database.read() as tx:
        assert list(tx.scalars(select(KnownFilm.destination))) == ["VNA"]


def film(database: Database, study: str) -> Film:
    """The only image of a study; DX1 sent it. What is no image stands beside it."""
    of_it = {"transfer_syntax_uid": "1.2.840.10008.1.2.1", "size": 9, "calling_ae_title": "DX1", "received_at": NOW}
    with database.write() as tx:
        study_id = tx.scalars(select(Study.id).where(Study.study_instance_uid == study)).one()
        if tx.scalar(select(Instance.id)) is None:
            for role, number in ((Role.IMAGE, 1), (Role.OTHER, 2)):
                uids = {"sop_instance_uid": f"{study}.{number}", "sop_class_uid": "1.2", "digest": f"{number:064}"}
                tx.add(Instance(study_id=study_id, revision=1, role=role, **uids, **of_it))
    (found,) = Films(database, "PACS", study).among([f"{study}.{number}" for number in (1, 2, 3)])
    return found


def test_film_is_missed_by_whoever_named_it_and_not_by_who_only_sent_it(database: Database, studies: list[str]) -> None:
    one = film(database, studies[0])
    named, sender, stranger = (Films(database, name, studies[0]) for name in ("PACS", "DX1", "VNA"))

    assert named.answered(one, there=True) == 0
    for _ in range(2):
        assert [who.answered(one, there=False) for who in (named, sender, stranger)] == [1, 0, 0], "one moment"
    let_pass(database)
    assert named.answered(one, there=False) == 2
    assert [sender.answered(one, there=True), sender.answered(one, there=False)] == [0, 1]
