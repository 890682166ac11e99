"""What one answer shows of a patient is in the audit trail together: each study once, in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, select, text

from dicom_node import audit
from dicom_node.database import Database, clock
from dicom_node.tables import AuditRow
from reports.people.rights import NOBODY, Visitor
from reports.people.tables import StudyView
from reports.web.seen import AGAIN_AFTER, seen, seen_together
from tests.harness.node import wait_until

KIM = Visitor(1, "kim", frozenset(), session="5")
MANY = range(1, 201)


@contextmanager
def commits(database: Database) -> Iterator[list[object]]:
    """Every transaction that is written."""
    found: list[object] = []
    add = found.append
    event.listen(database.engine, "commit", add)
    try:
        yield found
    finally:
        event.remove(database.engine, "commit", add)


def looks(database: Database) -> list[int | None]:
    """The studies of all looks in the trail, whose seals all fit."""
    with database.write() as tx:
        while audit.seal(tx):
            continue
    with database.read() as tx:
        assert audit.broken_seal(tx) is None
        rows = tx.scalars(select(AuditRow).where(AuditRow.event == "study-seen").order_by(AuditRow.id)).all()
    assert {(row.actor, row.detail) for row in rows} <= {("person:kim", '{"what": "search"}')}
    return [row.study_id for row in rows]


def test_all_studies_of_a_search_are_one_transaction(database: Database) -> None:
    with commits(database) as written:
        seen_together(database, KIM, reversed(MANY), "search")
    assert len(written) == 1
    assert looks(database) == list(MANY)

    with commits(database) as written:
        seen_together(database, KIM, MANY, "search")
        seen_together(database, KIM, [], "search")
        seen_together(database, NOBODY, MANY, "search")
    assert written == []
    assert looks(database) == list(MANY)


def test_what_was_looked_at_just_before_or_long_ago_is_told_apart_study_by_study(database: Database) -> None:
    seen(database, KIM, 2, "search")
    seen(database, KIM, 3, "search")
    with database.write() as tx:
        tx.query(StudyView).filter_by(study_id=3).one().at -= AGAIN_AFTER
        tx.add(StudyView(viewer="session:9", study_id=1, what="search", at=clock(tx) - timedelta(days=2)))

    seen_together(database, KIM, [1, 2, 3, 4, 4], "search")

    assert looks(database) == [2, 3, 3, 1, 4]
    with database.read() as tx:
        assert set(tx.scalars(select(StudyView.viewer))) == {"session:5"}  # those of two days ago are gone


def test_searches_at_the_same_moment_write_each_study_once(database: Database) -> None:
    start = threading.Barrier(4, timeout=60)

    def search(studies: list[int]) -> None:
        start.wait()
        seen_together(database, KIM, studies, "search")

    with ThreadPoolExecutor(4) as pool:
        halves = [list(MANY)[:150], list(MANY)[50:], list(MANY)[::-1], list(MANY)[::2]]
        list(pool.map(search, halves))

    assert sorted(one or 0 for one in looks(database)) == list(MANY)


@pytest.mark.postgres
def test_study_that_another_request_is_just_writing_down_takes_no_other_with_it(empty_postgres_url: str) -> None:
    database = Database(empty_postgres_url)
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    def is_waiting() -> bool:
        with database.read() as tx:
            return bool(tx.scalar(waits))

    with ThreadPoolExecutor(1) as pool:
        with database.write() as tx:
            tx.add(StudyView(viewer="session:5", study_id=7, what="search", at=clock(tx)))
            tx.flush()
            asked = pool.submit(seen_together, database, KIM, range(5, 10), "search")
            wait_until(is_waiting, "the search waits for the other request")
        asked.result(60)

    assert looks(database) == [5, 6, 8, 9]
    database.close()
