"""Pixels go after the end, and only then; nothing that a row names is an orphan."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node import retention
from dicom_node.files import stored_path
from dicom_node.tables import Book, Instance
from dicom_node.worklist import Ending
from tests.unit.dicom_node.desk import Desk, header

KEEP = timedelta(days=30)


def pixels(desk: Desk, store: Path) -> list[Path]:
    """The files of all instances, written as the listener does."""
    paths = [stored_path(store, digest) for digest in desk.ask(lambda tx: tx.scalars(select(Instance.digest)).all())]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"pixels")
    return paths


def purge(desk: Desk, store: Path, after_days: float) -> int:
    now = desk.now + timedelta(days=after_days)
    return desk.do(lambda tx: retention.purge(tx, store, now, keep=KEEP))


@pytest.mark.parametrize("book", [Book.EXCLUDED, Book.CLOSED])
def test_pixels_of_an_ended_study_go_after_the_time_set(desk: Desk, tmp_path: Path, book: Book) -> None:
    desk.receive()
    desk.complete()
    if book is Book.CLOSED:
        desk.finish(desk.must_claim(), (), ending=Ending(Book.CLOSED, "shadow"))
    else:
        desk.set_aside()
    (path,) = pixels(desk, tmp_path)
    assert purge(desk, tmp_path, 29.9) == 0
    assert path.exists()
    assert purge(desk, tmp_path, 30.1) == 1
    assert not path.exists()
    assert purge(desk, tmp_path, 31) == 0, "once is enough"
    assert "pixels-deleted" in desk.events()


def test_pixels_of_a_delivered_study_go(desk: Desk, tmp_path: Path) -> None:
    desk.peer()
    desk.draft()
    (path,) = pixels(desk, tmp_path)
    desk.sent(desk.must_take())
    assert purge(desk, tmp_path, 99) == 0, "success without proof is not delivered"
    desk.proven(desk.must_take())
    assert purge(desk, tmp_path, 99) == 1
    assert not path.exists()


def test_pixels_of_what_waits_or_failed_stay(desk: Desk, tmp_path: Path) -> None:
    desk.receive()
    desk.complete()
    desk.fail(desk.must_claim(), attempts=1)  # a dead letter
    desk.receive(header(study="1.2.8", instance="1.2.8.1", patient=""))  # held
    desk.receive(header(study="1.2.9", instance="1.2.9.1"))
    desk.complete()
    desk.finish(desk.must_claim(), (), ending=Ending(Book.AWAITING_SIGNOFF))
    paths = pixels(desk, tmp_path)
    assert purge(desk, tmp_path, 9999) == 0
    assert all(path.exists() for path in paths)
    assert len(paths) == 3


def test_pixels_stay_while_a_newer_revision_is_under_way(desk: Desk, tmp_path: Path) -> None:
    desk.peer()
    desk.draft()
    desk.sent(desk.must_take())
    desk.proven(desk.must_take())
    desk.receive(header(instance="1.2.3.2"))
    paths = pixels(desk, tmp_path)
    assert purge(desk, tmp_path, 99) == 0
    assert all(path.exists() for path in paths)


def test_orphans_are_files_that_no_row_names(desk: Desk, tmp_path: Path) -> None:
    desk.peer()
    desk.draft()
    named = [*pixels(desk, tmp_path), stored_path(tmp_path, desk.deliveries()[0].digest)]
    elsewhere, lost, fresh = (stored_path(tmp_path, character * 64) for character in "abc")
    for path in (*named, elsewhere, lost, fresh):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        os.utime(path, (1, 1))
    recent = desk.now.timestamp()
    os.utime(fresh, (recent, recent))
    found = desk.ask(
        lambda tx: retention.orphans(tx, tmp_path, desk.now, older_than=timedelta(days=1), also_named=[elsewhere.stem])
    )
    assert found == [lost]
