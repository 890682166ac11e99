"""The disk goes while we receive: nothing is lost, nothing is put in its place, and nobody has to start us again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from dicom_node import listener
from dicom_node.errors import ConfigurationError
from dicom_node.files import MARK
from dicom_node.listener import Listener
from tests.harness import dcmtk
from tests.harness.door import Door, associated, half_a_store, small_film, store
from tests.harness.node import wait_until

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@contextmanager
def removed(data: Path) -> Iterator[None]:
    away = data.with_name("away")
    data.rename(away)
    yield
    assert not data.exists(), "nothing is put where the disk belongs"
    away.rename(data)


@contextmanager
def unmounted(data: Path) -> Iterator[None]:
    """What is under the disk are the folders that were made before it was mounted for the first time."""
    away = data.with_name("away")
    data.rename(away)
    for name in ("store", "incoming", "quarantine"):
        (data / name).mkdir(parents=True)
    yield
    assert not [path for path in data.rglob("*") if path.is_file()], "nothing is put where the disk belongs"
    shutil.rmtree(data)
    away.rename(data)


@contextmanager
def unwritable(data: Path) -> Iterator[None]:
    """As on a disk that is mounted read-only: what is there can be read, and no file can be made for what comes."""
    incoming = data / "incoming"
    incoming.rmdir()
    incoming.touch()
    yield
    incoming.unlink()
    incoming.mkdir()


@pytest.mark.parametrize("go", [removed, unmounted, unwritable])
def test_films_are_refused_for_now_while_the_disk_is_away_and_taken_when_it_is_back(
    door: Door, go: Callable[[Path], Iterator[None]]
) -> None:
    films = [small_film() for _ in range(3)]
    with associated(door.port) as association:
        assert association.send_c_store(films[0]).Status == 0x0000
        with go(door.config.data_folder):  # type: ignore[attr-defined]
            refused = association.send_c_store(films[1])
            assert refused.Status == 0xA700
            assert refused.ErrorComment.endswith("send again later")
            assert store(door.port, films[2]).Status == 0xA700, "who comes now is answered as well"
            assert dcmtk.echo(door.port).returncode == 0
        assert [association.send_c_store(film).Status for film in films[1:]] == [0x0000, 0x0000]
    assert (door.outcomes(), door.leftovers(), door.quarantined()) == (["stored"] * 3, [], [])
    told = door.logged("store_unavailable")
    assert len(told) == 2
    assert all("mount its disk" in str(one["explanation"]) for one in told) == (go is not unwritable)


@pytest.mark.parametrize("go", [removed, unmounted])
def test_object_that_was_coming_when_the_disk_went_is_answered(
    door: Door, go: Callable[[Path], Iterator[None]]
) -> None:
    association = half_a_store(door.port)
    wait_until(door.leftovers, "the first half to arrive")
    with go(door.config.data_folder):  # type: ignore[attr-defined]
        assert answer_to_the_rest(association) == 0xA700
    association.release()
    assert door.outcomes() == []
    door.leftovers()[0].unlink()


def answer_to_the_rest(association: Association) -> int:
    association._reactor_checkpoint.clear()
    association.dimse_timeout = 120  # of the answer
    try:
        for fragment in association.rest:  # type: ignore[attr-defined]
            association.dul.send_pdu(fragment)
        _, answer = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    assert isinstance(answer, C_STORE)
    return int(answer.Status or 0)


def test_incoming_folder_that_was_deleted_is_made_again(door: Door) -> None:
    door.config.incoming_folder.rmdir()
    assert store(door.port, small_film()).Status == 0x0000


def test_log_says_once_that_the_store_is_away_and_once_that_it_is_back(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(listener, "_SWEEP_SECONDS", 0.0)
    stop = Event()
    minding = Thread(target=door.listener.mind, args=(stop,))
    minding.start()
    try:
        with unmounted(door.config.data_folder):
            wait_until(lambda: door.logged("store_away"), "the log to say it")
        wait_until(lambda: door.logged("store_back"), "the log to say it")
    finally:
        stop.set()
        minding.join()
    assert [len(door.logged(event)) for event in ("store_away", "store_back")] == [1, 1]


def test_listen_does_not_start_on_an_empty_mount_point_named_store(door: Door) -> None:
    assert store(door.port, small_film()).Status == 0x0000
    with (
        unmounted(door.config.data_folder),
        pytest.raises(ConfigurationError, match=f"carries no mark .{MARK}.*wetread db adopt-store"),
    ):
        Listener(door.config, door.database).start()
