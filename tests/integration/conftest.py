"""The door, open for every test that asks for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from pynetdicom import _config, dimse_messages

from dicom_node import books
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.listener import Listener
from dicom_node.tables import RemoteAE
from tests.harness.door import Door, OpenDoor, small_film
from tests.harness.node import free_port


@pytest.fixture(autouse=True)
def end_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a listener or a sender switches for its whole process ends with the test, whoever started it."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(dimse_messages, "NamedTemporaryFile", dimse_messages.NamedTemporaryFile)
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", False)
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", False)
    monkeypatch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", False)


@pytest.fixture
def open_door(database: Database, tmp_path: Path) -> Iterator[OpenDoor]:
    """Opens doors onto one database; each must leave balanced books and an empty incoming folder."""
    opened: list[Door] = []
    with structlog.testing.capture_logs() as log:

        def open_one(**settings: object) -> Door:
            with database.write() as tx:
                for title in ("PACS", "CR1"):
                    tx.add(RemoteAE(ae_title=title, may_send=True))
            fields = {"bind_address": "127.0.0.1", "reserve_mebibytes": 1, **settings}
            config = NodeConfig(
                port=free_port(),
                data_folder=tmp_path / "data",
                database="sqlite://",
                **fields,
            )  # type: ignore[arg-type]
            door = Door(config, database, Listener(config, database), log)  # type: ignore[arg-type]
            door.listener.start()
            opened.append(door)
            return door

        yield open_one
        for door in opened:
            door.listener.stop(patience_seconds=5)
    with database.read() as tx:
        assert books.balance(tx).problems == ()


@pytest.fixture
def door(open_door: OpenDoor) -> Door:
    return open_door()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "film.dcm"
    small_film().save_as(path, enforce_file_format=True)
    return path
