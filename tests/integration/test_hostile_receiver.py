"""dcmtk's storescp as a PACS with bad manners: nothing is lost, nothing is called delivered without proof."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import update

from dicom_node.database import Database
from dicom_node.tables import Book, DeliveryState, Proof, RemoteAE
from tests.harness import dcmtk
from tests.harness.outbox import Outbox, document

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.mark.parametrize(
    ("manners", "patience", "words"),
    [
        (["--refuse"], 60, "rejected the association"),
        (["--abort-during"], 60, "broke off before it answered C-STORE"),
        (["--abort-after"], 60, "broke off before it answered C-STORE"),
        (["--sleep-during", "60"], 3, "did not answer C-STORE within 3 s"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_manners_are_outlived(
    database: Database, tmp_path: Path, manners: list[str], patience: float, words: str
) -> None:
    with dcmtk.receiver(tmp_path / "pacs", *manners) as port:
        box = Outbox(database, tmp_path / "data", port=port, proof=Proof.ACKNOWLEDGEMENT, answer_seconds=patience)
        delivery = box.step()
        assert (delivery.state, box.book()) == (DeliveryState.QUEUED, Book.IN_FLIGHT)
        assert words in delivery.last_error
        assert box.pause() == 30


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # in pynetdicom
def test_slow_release_after_the_answer_does_no_harm(database: Database, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "pacs", "--sleep-after", "60") as port:
        box = Outbox(database, tmp_path / "data", port=port, proof=Proof.ACKNOWLEDGEMENT, answer_seconds=30)
        assert box.step().state is DeliveryState.COMMITTED


def test_delivery_succeeds_once_the_manners_are_better(database: Database, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "bad", "--abort-after") as port:
        box = Outbox(database, tmp_path / "data", port=port, proof=Proof.ACKNOWLEDGEMENT)
        assert box.step().state is DeliveryState.QUEUED
    with dcmtk.receiver(tmp_path / "good") as port:
        with database.write() as tx:
            tx.execute(update(RemoteAE).values(port=port))
        box.skip_the_wait()
        assert box.step().state is DeliveryState.COMMITTED
    (stored,) = [path for path in (tmp_path / "good").iterdir() if path.suffix != ".log"]
    assert dcmread(stored) == document()


def test_receiver_that_takes_implicit_only_gets_the_same_data_set(database: Database, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "pacs", "+xi") as port:
        box = Outbox(database, tmp_path / "data", port=port, proof=Proof.ACKNOWLEDGEMENT)
        assert box.step().state is DeliveryState.COMMITTED
    (stored,) = [path for path in (tmp_path / "pacs").iterdir() if path.suffix != ".log"]
    received = dcmread(stored)
    assert received.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    assert received == document()


def test_receiver_that_cannot_be_asked_is_a_dead_letter_with_its_cure(database: Database, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "pacs") as port:
        box = Outbox(database, tmp_path / "data", port=port)
        assert box.step().state is DeliveryState.SENT
        delivery = box.step()
    assert (delivery.state, box.book()) == (DeliveryState.FAILED, Book.DEAD_LETTERED)
    assert "wetread ae edit 'PACS' --proof acknowledgement" in delivery.last_error
