"""C-GET: what a PACS gives on our own association is received as if it had been sent to our port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RSP
from sqlalchemy import select

from dicom_node import contexts
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.errors import SendFailure
from dicom_node.fetching import GET, have_given
from dicom_node.files import free_mebibytes, stored_path
from dicom_node.peer import Address
from dicom_node.reconcile import Series
from dicom_node.storage import Storage
from dicom_node.tables import Instance, Reception
from tests.harness import dcmtk
from tests.harness.door import small_film
from tests.harness.node import free_port
from tests.harness.orthanc import TITLE, Orthanc


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


def test_who_gives_nothing_is_named(us: Us, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "pacs") as port, pytest.raises(SendFailure, match="takes no Study Root") as failure:
        us.fetch("STORESCP", port, small_film())
    assert failure.value.class_refused
    assert "--retrieve move" in str(failure.value)


# --- an archive that gives what a test wants ------------------------------------------------------------------------


@contextmanager
def giving(*films: Dataset, answers: list[int] | None = None) -> Iterator[int]:
    """A C-GET SCP for any question; `answers`: what we said to each of its C-STOREs."""
    entity = AE(ae_title="PACS")
    entity.add_supported_context(GET)
    for uid in contexts.RADIOGRAPHS:
        entity.add_supported_context(uid, scu_role=True, scp_role=True)

    def give(_event: evt.Event) -> Iterator[object]:
        yield len(films)
        for film in films:
            yield 0xFF00, film

    def answered(event: evt.Event) -> None:
        if answers is not None and isinstance(event.message, C_STORE_RSP):
            answers.append(event.message.command_set.Status)

    handlers = [(evt.EVT_C_GET, give), (evt.EVT_DIMSE_RECV, answered)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def test_unusable_film_is_quarantined_and_the_others_come(us: Us) -> None:
    good, bad, answers = small_film(), small_film(), []
    del bad.StudyInstanceUID
    with giving(bad, good, answers=answers) as port, pytest.raises(SendFailure, match="1 object failed") as failure:
        us.fetch("PACS", port, good)
    assert "wetread quarantine list" in str(failure.value)
    assert answers[0] in {0xA900, 0xC000}
    assert answers[1] == 0x0000
    assert us.receptions() == [("quarantined", "PACS"), ("stored", "PACS")]
    assert len(list(us.config.quarantine_folder.iterdir())) == 1
    assert us.leftovers() == []


def test_full_disk_is_our_trouble_and_says_later(us: Us) -> None:
    film, answers = small_film(), []
    us.config = us.config.model_copy(update={"reserve_mebibytes": 2 * free_mebibytes(us.config.data_folder.parent)})
    with giving(film, answers=answers) as port, pytest.raises(SendFailure):
        us.fetch("PACS", port, film)
    assert answers == [0xA700]
    assert us.receptions() == []
    assert us.leftovers() == []


def test_object_without_an_end_is_cut_off(us: Us) -> None:
    film = small_film()
    film.TextValue = "x" * (4 << 20)
    us.config = us.config.model_copy(update={"maximum_object_mebibytes": 1})
    with giving(film) as port, pytest.raises(SendFailure, match="cut off: the object is larger"):
        us.fetch("PACS", port, film)
    assert us.receptions() == [("quarantined", "PACS")]
    assert us.leftovers() == []
