"""C-GET: what a PACS gives on our own association is received as if it had been sent to our port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless
from sqlalchemy import select

from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.errors import SendFailure
from dicom_node.fetching import have_given
from dicom_node.files import stored_path
from dicom_node.peer import Address
from dicom_node.reconcile import Series
from dicom_node.storage import Storage
from dicom_node.tables import Instance, Reception
from tests.harness import dcmtk
from tests.harness.door import small_film
from tests.harness.node import free_port
from tests.harness.orthanc import TITLE, Orthanc
from tests.harness.qrscp import qrscp


@dataclass
class Us:
    """No port is open: nobody can send to us."""

    config: NodeConfig
    database: Database

    def fetch(self, title: str, port: int, film: Dataset, *, series: str = "") -> int:
        address = Address("WETREAD", title, "127.0.0.1", port, 10, 30)
        wanted = [Series(series or film.SeriesInstanceUID, "DX", 1)]
        storage = Storage(self.config, self.database)
        return have_given(address, film.StudyInstanceUID, wanted, storage, maximum_pdu_size=131072)

    def instances(self) -> dict[str, Instance]:
        with self.database.read() as tx:
            return {row.sop_instance_uid: row for row in tx.scalars(select(Instance))}

    def receptions(self) -> list[tuple[str, str]]:
        with self.database.read() as tx:
            return [(row.outcome.value, row.calling_ae_title) for row in tx.scalars(select(Reception))]

    def leftovers(self) -> list[Path]:
        return list(self.config.incoming_folder.iterdir())


@pytest.fixture
def us(tmp_path: Path, sqlite_url: str) -> Iterator[Us]:
    config = NodeConfig(data_folder=tmp_path / "data", reserve_mebibytes=1, dimse_timeout_seconds=30)
    database = Database(sqlite_url, busy_seconds=10)
    yield Us(config, database)
    database.close()


def lay(folder: Path, port: int, called: str, film: Dataset, *options: str) -> None:
    path = folder / f"{film.SOPInstanceUID}.dcm"
    film.save_as(path, enforce_file_format=True)
    done = dcmtk.store(port, path, called=called, options=options)
    assert done.returncode == 0, done.stdout


def test_orthanc_gives_films_as_they_are_coded(us: Us, tmp_path: Path) -> None:
    plain, coded = small_film(), small_film()
    coded.StudyInstanceUID, coded.SeriesInstanceUID = plain.StudyInstanceUID, plain.SeriesInstanceUID
    coded.compress(JPEG2000Lossless, generate_instance_uid=False)
    with Orthanc(tmp_path / "pacs", wetread_port=free_port(), routes=False) as pacs:
        lay(tmp_path, pacs.port, TITLE, plain)
        lay(tmp_path, pacs.port, TITLE, coded, "-xv")
        assert us.fetch(TITLE, pacs.port, plain) == 2
        came = us.instances()
        assert came.keys() == {plain.SOPInstanceUID, coded.SOPInstanceUID}
        assert came[coded.SOPInstanceUID].transfer_syntax_uid == JPEG2000Lossless
        assert {(row.calling_ae_title, row.called_ae_title) for row in came.values()} == {(TITLE, "WETREAD")}
        assert all(stored_path(us.config.store_folder, row.digest).exists() for row in came.values())
        assert us.fetch(TITLE, pacs.port, plain) == 2, "again: nothing new"
    assert us.receptions() == [("stored", TITLE)] * 2 + [("duplicate", TITLE)] * 2
    assert us.leftovers() == []


def test_dcmqrscp_gives_a_film(us: Us, tmp_path: Path) -> None:
    film = small_film()
    with dcmtk.archive(tmp_path / "qr") as port:
        lay(tmp_path, port, "QRSCP", film)
        assert us.fetch("QRSCP", port, film) == 1
    assert us.receptions() == [("stored", "QRSCP")]
    assert us.leftovers() == []


def test_qrscp_gives_a_film(us: Us, tmp_path: Path) -> None:
    film = small_film()
    with qrscp(tmp_path / "qr", our_port=free_port()) as port:
        lay(tmp_path, port, "QRSCP", film)
        assert us.fetch("QRSCP", port, film) == 1
    assert us.receptions() == [("stored", "QRSCP")]
    assert us.leftovers() == []


def test_who_gives_nothing_is_named(us: Us, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "pacs") as port, pytest.raises(SendFailure, match="takes no Study Root") as failure:
        us.fetch("STORESCP", port, small_film())
    assert failure.value.class_refused
    assert "--retrieve move" in str(failure.value)
