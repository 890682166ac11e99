"""The mark of the store: which folder is given one, and which is not taken for the store."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import delete, select

from dicom_node import files, mark
from dicom_node.database import Database, clock
from dicom_node.errors import StoreAway
from dicom_node.headers import Header
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import AuditRow, Delivery, DeliveryState, Instance, Revision, StoreMark
from dicom_node.worklist import Arrival, record_instance
from tests.harness.hanging import answered, hang

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # those without it on PostgreSQL as well


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store"


def receive(database: Database, store: Path, number: int) -> Path:
    """A film of an earlier version: in the store and in the books."""
    path = files.stored_path(store, f"{number:064x}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"film")
    header = Header(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        sop_instance_uid=f"1.2.{number}",
        series_instance_uid="1.2.3",
        study_instance_uid=f"1.2.3.{number}",
        accession_number="",
        patient_id="1",
        issuer_of_patient_id="",
        device_uid="",
    )
    with database.write() as tx:
        record_instance(
            tx,
            Arrival(
                header=header,
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                digest=path.stem,
                size=4,
                calling_ae_title="PACS",
            ),
            clock(tx),
        )
    return path


def settled(database: Database, store: Path) -> bool:
    """Did the folder pass for the store? If so both sides name one mark."""
    try:
        mark.settle(database, store, new="new")
    except StoreAway:
        return False
    with database.read() as tx:
        mark.require(tx, store)
        assert mark.named(tx) == files.mark_of(store) != ""
    return True


def away(store: Path) -> None:
    store.rename(store.with_name("disk"))


def unmounted(store: Path) -> None:
    away(store)
    store.mkdir()


def written_to_while_unmounted(store: Path) -> None:
    """The newest film of five lies in the mount point."""
    unmounted(store)
    films = sorted(store.with_name("disk").glob("*/*.dcm"))
    (store / films[-1].parent.name).mkdir(exist_ok=True)
    films[-1].rename(store / films[-1].parent.name / films[-1].name)


def without_mark(store: Path) -> None:
    (store / files.MARK).unlink(missing_ok=True)


def of_another(store: Path) -> None:
    (store / files.MARK).write_text("another")


def as_it_was(_store: Path) -> None:
    """Nothing happens."""


@on_sqlite
@pytest.mark.parametrize(
    ("what", "earlier", "later"),
    [  # earlier: a store of a version without marks; later: one that was marked
        (as_it_was, True, True),
        (without_mark, True, True),
        (away, False, False),
        (unmounted, False, False),
        (written_to_while_unmounted, False, False),
        (of_another, True, False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("was_marked", [False, True])
def test_a_store_with_films_is_told_from_what_is_no_store(
    database: Database, store: Path, *, what: Callable[[Path], None], earlier: bool, later: bool, was_marked: bool
) -> None:
    for number in range(5):
        receive(database, store, number)
    if was_marked:
        assert settled(database, store)
    what(store)
    assert settled(database, store) == (later if was_marked else earlier)
    if was_marked and not later:
        with database.read() as tx, pytest.raises(StoreAway, match="mount its disk"):
            mark.require(tx, store)


@on_sqlite
@pytest.mark.parametrize("what", [as_it_was, away, unmounted, of_another])
def test_before_the_first_object_any_folder_may_become_the_store(
    database: Database, store: Path, what: Callable[[Path], None]
) -> None:
    assert settled(database, store)
    what(store)
    assert settled(database, store)


@on_sqlite
def test_a_store_whose_films_were_deleted_by_the_books_is_marked_where_it_is_there(
    database: Database, store: Path
) -> None:
    receive(database, store, 1).unlink()
    with database.write() as tx:
        tx.scalars(select(Revision)).one().purged_at = clock(tx)
        assert tx.scalars(select(Instance)).one()
    away(store)
    assert not settled(database, store)
    store.with_name("disk").rename(store)
    assert settled(database, store)


def test_a_person_may_say_which_folder_is_the_store(database: Database, store: Path) -> None:
    for number in range(3):
        receive(database, store, number)
    assert settled(database, store)
    unmounted(store)
    told = mark.adopt(database, store, new="chosen", actor="kim")
    assert (told, files.mark_of(store), settled(database, store)) == ((0, 2), "chosen", True)
    with database.read() as tx:
        (row,) = tx.scalars(select(AuditRow).where(AuditRow.event == "store-adopted"))
    assert row.actor == "kim"

    store.rename(store.with_name("mistake"))
    store.with_name("disk").rename(store)  # the disk comes back: it is not taken silently for what was adopted
    assert not settled(database, store)
    assert mark.adopt(database, store, new="unused", actor="kim") == (2, 2)
    assert settled(database, store)


def report(database: Database, store: Path, number: int) -> None:
    """A document of the study of film `number`, delivered; it is in the store and in the books."""
    path = files.stored_path(store, f"d{number:063x}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"document")
    with database.write() as tx:
        revision = tx.scalars(select(Revision).order_by(Revision.id).offset(number)).first()
        assert revision is not None
        tx.add(
            Delivery(
                revision_id=revision.id,
                destination="PACS",
                kind=Kind.BASIC_TEXT,
                stage=Stage.DRAFT,
                state=DeliveryState.COMMITTED,
                digest=path.stem,
                sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
                sop_instance_uid=f"1.2.9.{number}",
                queued_at=clock(tx),
                next_attempt_at=clock(tx),
            )
        )


def purge(database: Database, films: int) -> None:
    """Their days are over."""
    with database.write() as tx:
        for revision in tx.scalars(select(Revision).order_by(Revision.id).limit(films)):
            revision.purged_at = clock(tx)


@on_sqlite
@pytest.mark.parametrize(
    ("purged", "documents"),
    [(7, False), (7, True), (10, True)],
    ids=["it holds six films of nine", "and documents", "all films that are left"],
)
def test_a_mount_point_that_took_films_for_long_is_not_the_store(
    database: Database, store: Path, purged: int, documents: bool
) -> None:
    """Ten films came to the disk, of which few are kept, and then six to the mount point."""
    for number in range(16):
        if number == 10:
            unmounted(store)
        receive(database, store, number)
        if documents:
            report(database, store, number)
    purge(database, purged)
    assert not settled(database, store)
    store.rename(store.with_name("mount point"))
    store.with_name("disk").rename(store)
    assert settled(database, store) == (purged < 10)


def test_several_who_make_the_store_at_one_moment_name_one_mark(database: Database, tmp_path: Path) -> None:
    """As the first `listen` of two hosts."""
    together, failed = Barrier(4), []

    def settle(store: Path, number: int) -> None:
        together.wait(60)
        try:
            mark.settle(database, store, new=f"mark{number}")
        except Exception as error:  # noqa: BLE001  it is told by the test
            failed.append(error)

    for number in range(5):
        with database.write() as tx:
            tx.execute(delete(StoreMark))
        store = tmp_path / str(number) / "store"
        threads = [Thread(target=settle, args=(store, thread)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert settled(database, store)
        assert [path.name for path in store.iterdir()] == [files.MARK]


@on_sqlite
def test_nobody_waits_to_write_while_the_disk_hangs(database: Database, store: Path) -> None:
    store.mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        hang(store / files.MARK)
        settling = pool.submit(settled, database, store)
        with answered(store / files.MARK), database.write() as tx:
            assert clock(tx)
        assert settling.result(60)
