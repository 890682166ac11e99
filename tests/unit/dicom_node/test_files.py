"""Files that never change, named by their content."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from dicom_node import files
from dicom_node.errors import CannotUnderstand, NotFound, StoreAway
from tests.unit.dicom_node.test_headers import encoded

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "incoming.part"
    path.write_bytes(encoded())
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    files.make_store(tmp_path / "store", "here")
    return tmp_path / "store"


def test_digest_is_of_data_set_and_transfer_syntax_not_of_who_wrote_the_file(part: Path, tmp_path: Path) -> None:
    whole = part.read_bytes()
    other = tmp_path / "other"
    other.write_bytes(b"X" * 128 + whole[128:])
    assert files.digest_of_dataset(part, EXPLICIT) == files.digest_of_dataset(other, EXPLICIT)
    assert files.digest_of_dataset(part, EXPLICIT) != files.digest_of_dataset(part, "1.2.840.10008.1.2")
    other.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert files.digest_of_dataset(part, EXPLICIT) != files.digest_of_dataset(other, EXPLICIT)


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(200), bytes(128) + b"DICM" + bytes(20)])
def test_what_is_no_part_10_file_is_not_understood(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.dcm"
    path.write_bytes(content)
    with pytest.raises(CannotUnderstand):
        files.dataset_offset(path)


def test_adopted_file_lies_under_its_digest_and_nowhere_else(part: Path, store: Path) -> None:
    digest, content = files.digest_of_dataset(part, EXPLICIT), part.read_bytes()
    placed = files.adopt(part, store, digest)
    assert placed == files.stored_path(store, digest)
    assert placed.read_bytes() == content
    assert not part.exists()


@pytest.mark.parametrize("links", [True, False])
def test_several_who_make_one_store_return_one_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refused)
    together = Barrier(4)

    def make(number: int, mark: int) -> str:
        together.wait(60)
        return files.make_store(tmp_path / str(number), f"mark{mark}")

    with ThreadPoolExecutor(4) as pool:
        for number in range(20):
            told = set(pool.map(make, [number] * 4, range(4)))
            assert told == {files.mark_of(tmp_path / str(number))}
            assert [path.name for path in (tmp_path / str(number)).iterdir()] == [files.MARK]


def refused(*_arguments: object) -> None:
    """As a file system without hard links answers."""
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_empty_mark_of_a_write_that_broke_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_WRITTEN_SECONDS", 0.01)
    (tmp_path / files.MARK).touch()
    assert files.make_store(tmp_path, "here") == "here"


def test_sweeping_outlives_a_disk_that_is_away(tmp_path: Path) -> None:
    assert files.sweep(tmp_path / "incoming", older_than_seconds=0) == 0


def test_a_store_that_is_away_is_not_made_in_its_place(part: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(StoreAway, match="mount its disk"):
        files.adopt(part, store, "ab")
    with pytest.raises(StoreAway, match="mount its disk"):
        files.write_document(store, b"report")
    with pytest.raises(StoreAway, match="mount its disk"):
        files.read_document(store, "ab")
    assert (part.exists(), store.exists()) == (True, False)


@pytest.mark.parametrize("mark", ["", "there"])
def test_a_folder_without_the_mark_of_the_store_is_none(part: Path, store: Path, mark: str) -> None:
    """What is left under a disk that is not mounted, and the disk of another installation."""
    files.require(store)
    (store / files.MARK).write_text(mark)
    with pytest.raises(StoreAway, match="mount its disk"):
        files.require(store, "here")
    if not mark:
        with pytest.raises(StoreAway, match="empty mount point"):
            files.adopt(part, store, "ab")
        with pytest.raises(StoreAway, match="empty mount point"):
            files.write_document(store, b"report")
        assert (part.exists(), [path.name for path in store.iterdir()]) == (True, [files.MARK])


def test_a_store_that_is_marked_keeps_its_mark(store: Path) -> None:
    assert files.make_store(store, "there") == "here" == files.mark_of(store)
    assert [path.name for path in store.iterdir()] == [files.MARK]


def test_an_object_that_fell_into_the_mount_point_is_not_taken(
    part: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk goes while the object is forced to it: the folder that it is moved into is another one by then."""

    def unmount(path: Path) -> None:
        if path == part:
            store.rename(tmp_path / "disk")
            (store / "ab").mkdir(parents=True)

    monkeypatch.setattr(files, "sync_file", unmount)
    with pytest.raises(StoreAway, match="empty mount point"):
        files.adopt(part, store, "ab")


def test_document_is_written_once_and_read_back(store: Path) -> None:
    digest = files.write_document(store, b"report")
    before = files.stored_path(store, digest).stat().st_ino
    assert files.write_document(store, b"report") == digest == hashlib.sha256(b"report").hexdigest()
    assert files.stored_path(store, digest).stat().st_ino == before
    assert files.read_document(store, digest) == b"report"
    assert not list(store.rglob("*.part"))


def test_document_that_is_written_again_is_young_again(store: Path) -> None:
    """The same bytes may be drafted again a week later; the sweep of orphans looks at the age."""
    path = files.stored_path(store, files.write_document(store, b"report"))
    os.utime(path, (1, 1))
    files.write_document(store, b"report")
    assert path.stat().st_mtime > 1


def test_damaged_or_missing_document_is_told(store: Path) -> None:
    digest = files.write_document(store, b"report")
    files.stored_path(store, digest).write_bytes(b"reporT")
    with pytest.raises(NotFound, match="damaged"):
        files.read_document(store, digest)
    files.stored_path(store, digest).unlink()
    with pytest.raises(NotFound, match="missing"):
        files.read_document(store, digest)


def test_sweep_deletes_only_what_is_old(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for path in (old, new):
        path.touch()
    os.utime(old, (1, 1))
    (tmp_path / "folder").mkdir()
    assert files.sweep(tmp_path, older_than_seconds=3600) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "new"]


def test_quarantine_keeps_the_bytes(part: Path, tmp_path: Path) -> None:
    content = part.read_bytes()
    files.quarantine(part, tmp_path / "quarantine", "abc")
    assert (tmp_path / "quarantine" / "abc.dcm").read_bytes() == content


def test_trimmed_folder_keeps_the_youngest_that_fit(tmp_path: Path) -> None:
    now = time.time()
    for age, size in ((10, 40), (20, 40), (30, 40), (9000, 1)):
        path = tmp_path / f"{age}.dcm"
        path.write_bytes(bytes(size))
        os.utime(path, (now - age, now - age))
    assert files.trim(tmp_path, older_than_seconds=3600, most_bytes=90) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10.dcm", "20.dcm"]
    assert files.trim(tmp_path, older_than_seconds=0, most_bytes=90) == 2
    assert files.trim(tmp_path / "absent", older_than_seconds=0, most_bytes=90) == 0
