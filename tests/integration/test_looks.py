"""Looks at studies, as a page makes them: several requests of one browser at once, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import func, select

from dicom_node.database import Database
from dicom_node.tables import AuditRow
from reports.people.tables import StudyView
from reports.web.rights import Visitor
from reports.web.seen import AGAIN_AFTER, seen

PAIRS = 12


def looks(database: Database) -> dict[int | None, int]:
    counted = select(AuditRow.study_id, func.count()).where(AuditRow.event == "study-seen").group_by(AuditRow.study_id)
    with database.read() as tx:
        return {study: number for study, number in tx.execute(counted)}  # noqa: C416


def test_requests_that_note_the_same_look_at_once_note_it_once(database: Database) -> None:
    visitor = Visitor(1, "kim", frozenset(), session="5")
    together = threading.Barrier(2)

    def look() -> None:
        for study in range(1, PAIRS + 1):
            together.wait(60)
            seen(database, visitor, study, "film")

    def twice() -> None:
        with ThreadPoolExecutor(2) as pool:
            for asked in [pool.submit(look) for _ in range(2)]:
                asked.result(120)

    twice()
    assert looks(database) == dict.fromkeys(range(1, PAIRS + 1), 1)

    with database.write() as tx:
        for row in tx.scalars(select(StudyView)):
            row.at -= AGAIN_AFTER + timedelta(minutes=1)
    twice()
    assert looks(database) == dict.fromkeys(range(1, PAIRS + 1), 2)
