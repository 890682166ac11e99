"""The worklist page on PostgreSQL: every view and order, the views that people keep, and the news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node import books
from dicom_node.database import Database, clock
from dicom_node.tables import Revision
from reports import life, saved_views
from reports.people.rights import Role
from reports.tables import Event, Report
from reports.web.news import News, Newsroom, Pace, told
from reports.web.wish import Show, Sort, Wish
from reports.web.worklist import counts, find, fitting
from tests.harness.people import add_user
from tests.unit.agent.ward import Ward
from tests.unit.reports import films

pytestmark = pytest.mark.postgres

CLEAR = "FINDINGS: The lungs are clear.\nIMPRESSION: No acute process."
PNEUMOTHORAX = "FINDINGS: There is a right pneumothorax.\nIMPRESSION: Pneumothorax."


def ward_of_three(folder: Path, database: Database) -> Ward:
    ward = Ward(folder, database)
    ward.peer()
    for number, text in enumerate((CLEAR, PNEUMOTHORAX, CLEAR), 1):
        root = f"{films.STUDY}.{number}"
        identity = {"StudyInstanceUID": root, "SeriesInstanceUID": f"{root}.1", "SOPInstanceUID": f"{root}.1.1"}
        ward.receive(films.film(**identity, AccessionNumber=f"ACC{number}"))
        ward.draft(text=text)
    return ward


def test_every_view_in_every_order(
    empty_postgres_url: str, tmp_path: Path, open_database: Callable[[str], Database]
) -> None:
    ward = ward_of_three(tmp_path, open_database(empty_postgres_url))

    def pages(show: Show, sort: Sort) -> list[int]:
        with ward.database.read() as tx:
            seen: list[int] = []
            wish = Wish(show=show, sort=sort)
            while True:
                page = find(tx, wish, clock(tx), user_id=1, limit=2)
                seen += [facts.revision.study_id for facts in page.facts]
                if not page.older:
                    return seen
                wish = Wish(show=show, sort=sort, before=page.older)

    found = {(show, sort): pages(show, sort) for show in Show for sort in Sort}

    first, second, third = found[Show.ALL, Sort.OLDEST]
    assert found[Show.ALL, Sort.NEWEST] == [third, second, first]
    assert found[Show.DRAFTS, Sort.URGENT] == [second, first, third]
    assert all(found[show, sort] == [] for show, sort in found if show not in {Show.ALL, Show.DRAFTS})
    with ward.database.read() as tx:
        now = clock(tx)
        assert counts(tx, books.backlog(tx), user_id=1)[Show.DRAFTS] == 3
        named = Wish(finding="Pneumothorax", search="acc2", older=0)
        assert fitting(tx, named, now, user_id=1, among=[first, second, third]) == {second}


def test_views_are_kept_and_replaced(empty_postgres_url: str, open_database: Callable[[str], Database]) -> None:
    database = open_database(empty_postgres_url)
    user = add_user(database, "rita", Role.RADIOLOGIST)
    for query in ("show=held", "show=all"):
        with database.write() as tx:
            saved_views.save(tx, user, "Mine", query, is_default=True)

    with database.read() as tx:
        assert [(view.name, view.query, view.is_default) for view in saved_views.views_of(tx, user)] == [
            ("Mine", "show=all", True)
        ]


def test_listener_hears_what_changed(
    empty_postgres_url: str, tmp_path: Path, open_database: Callable[[str], Database]
) -> None:
    ward = ward_of_three(tmp_path, open_database(empty_postgres_url))
    with ward.database.read() as tx:
        report = tx.scalars(select(Report).order_by(Report.id)).first()
    assert report is not None

    def expire() -> None:
        with ward.database.write() as tx:
            life.end(tx, tx.get_one(Report, report.id), Event.EXPIRED, clock(tx), actor="dispatch")

    async def listen() -> News:
        room = Newsroom(ward.database, Pace(looks=0.05))
        with room.seat() as seat:
            await room.ready()
            await asyncio.to_thread(expire)
            async for news in told(room, seat):
                if news is not None:
                    return news
        raise AssertionError

    news = asyncio.run(asyncio.wait_for(listen(), 60))

    with ward.database.read() as tx:
        assert news == News(frozenset({tx.get_one(Revision, report.revision_id).study_id}))
