"""Pixels go after the end, and only then; nothing that a row names is an orphan."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node import retention, worklist
from dicom_node.files import stored_path
from dicom_node.tables import Book, Delivery, Instance, Outcome
from dicom_node.worklist import Arrival, Ending
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
    return retention.purge(desk.database, store, now, keep=KEEP)


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


def delivered(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    desk.sent(desk.must_take())
    desk.proven(desk.must_take())


@pytest.mark.parametrize("database", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_late_image_that_is_not_yet_committed_keeps_the_pixels(desk: Desk, tmp_path: Path) -> None:
    delivered(desk)
    paths = pixels(desk, tmp_path)
    late = Arrival(header(instance="1.2.3.2"), "1.2.840.10008.1.2.1", "d" * 64, 1000, "PACS")
    with desk.database.write() as tx:
        assert worklist.record_instance(tx, late, desk.now) is Outcome.STORED
        assert purge(desk, tmp_path, 99) == 0
    assert purge(desk, tmp_path, 99) == 0
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize("database", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_late_image_waits_for_a_purge_and_keeps_its_own_pixels(desk: Desk, tmp_path: Path) -> None:
    delivered(desk)
    with desk.database.write() as tx:
        purged = retention.book_purge(tx, desk.now + timedelta(days=99), keep=KEEP)
        late = threading.Thread(target=desk.receive, args=(header(instance="1.2.3.2"),))
        late.start()
        late.join(0.5)
        assert late.is_alive()
    late.join(10)
    assert desk.study().revision == 2
    both = desk.ask(lambda tx: list(tx.scalars(select(Instance.digest).order_by(Instance.id))))
    assert purged.digests == (both[0],)


def test_pixels_that_a_crash_left_after_the_commit_are_swept(desk: Desk, tmp_path: Path) -> None:
    delivered(desk)
    (path,) = pixels(desk, tmp_path)
    os.utime(path, (1, 1))
    desk.do(lambda tx: retention.book_purge(tx, desk.now + timedelta(days=99), keep=KEEP))
    assert path.exists()
    assert sweep(desk, tmp_path) == 1
    assert not path.exists()


def test_film_that_returns_after_a_purge_is_not_kept_for_ever(desk: Desk, tmp_path: Path) -> None:
    delivered(desk)
    assert purge(desk, tmp_path, 99) == 1
    assert desk.receive() is Outcome.DUPLICATE
    (path,) = pixels(desk, tmp_path)
    assert sweep(desk, tmp_path) == 0, "a day to requeue the study"
    os.utime(path, (1, 1))
    assert sweep(desk, tmp_path) == 1


def test_film_that_returns_after_a_purge_is_read_again_when_a_person_asks(desk: Desk, tmp_path: Path) -> None:
    delivered(desk)
    assert purge(desk, tmp_path, 99) == 1
    desk.receive()
    (path,) = pixels(desk, tmp_path)
    os.utime(path, (1, 1))
    desk.requeue()
    assert sweep(desk, tmp_path) == 0
    assert path.exists()


# --- orphans ----------------------------------------------------------------------------------------------------------

ALSO = (Delivery.sop_instance_uid,)  # any column will do


def sweep(desk: Desk, store: Path) -> int:
    return retention.sweep(desk.database, store, older_than=timedelta(days=1), also_named=ALSO)


def lay(store: Path, digest: str, *, old: bool = True) -> Path:
    path = stored_path(store, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    if old:
        os.utime(path, (1, 1))
    return path


def test_orphans_are_files_that_no_row_names(desk: Desk, tmp_path: Path) -> None:
    desk.peer()
    desk.draft()
    (film,) = pixels(desk, tmp_path)
    os.utime(film, (1, 1))
    named = [film, lay(tmp_path, desk.deliveries()[0].digest), lay(tmp_path, desk.deliveries()[0].sop_instance_uid)]
    lost, fresh = lay(tmp_path, "b" * 64), lay(tmp_path, "c" * 64, old=False)
    assert sweep(desk, tmp_path) == 1
    assert not lost.exists()
    assert all(path.exists() for path in (*named, fresh))


def test_orphan_is_deleted_an_hour_after_it_was_taken(desk: Desk, tmp_path: Path) -> None:
    lay(tmp_path, "b" * 64)
    assert sweep(desk, tmp_path) == 1
    taken = tmp_path / "trash" / f"{'b' * 64}.dcm"
    assert sweep(desk, tmp_path) == 0
    assert taken.exists()
    os.utime(taken, (1, 1))
    assert sweep(desk, tmp_path) == 0
    assert not taken.exists()


def test_object_that_comes_while_orphans_are_listed_is_not_lost(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing takes minutes in a full store; what was unknown at its begin is acknowledged by its end."""
    desk.receive()
    (path,) = pixels(desk, tmp_path)
    os.utime(path, (1, 1))
    monkeypatch.setattr(retention, "orphans", lambda *_: [path])
    assert sweep(desk, tmp_path) == 0
    assert path.exists()


@pytest.mark.parametrize("again", [False, True])
def test_object_that_comes_at_the_moment_of_the_move_is_put_back(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    path = lay(tmp_path, "b" * 64)
    rename = Path.rename

    def with_a_newcomer(source: Path, target: Path) -> None:
        source.write_bytes(b"new")  # adopted, not yet committed
        rename(source, target)
        if again:
            source.write_bytes(b"newer")

    monkeypatch.setattr(Path, "rename", with_a_newcomer)
    assert sweep(desk, tmp_path) == 0
    assert path.read_bytes() == (b"newer" if again else b"new")
    assert list((tmp_path / "trash").iterdir()) == []


def test_what_a_row_names_is_put_back_from_the_trash(desk: Desk, tmp_path: Path) -> None:
    desk.receive()
    (path,) = pixels(desk, tmp_path)
    trash = tmp_path / "trash"
    trash.mkdir()
    taken = path.rename(trash / path.name)
    os.utime(taken, (1, 1))
    sweep(desk, tmp_path)
    assert path.exists()
    assert not taken.exists()
