"""One study in several forms for one peer: a class that is refused costs that form, never the others."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import select

from dicom_node import books
from dicom_node.database import Database
from dicom_node.files import read_document, write_document
from dicom_node.kinds import Kind, Stage
from dicom_node.probe import COMPREHENSIVE
from dicom_node.tables import Book, Delivery, DeliveryState, Proof, RemoteAE
from dicom_node.worklist import Consignment, Outgoing
from tests.harness import dcmtk
from tests.harness.outbox import Outbox, encoded
from tests.harness.parcels import CLASSES, object_of

Instead = Callable[[Outbox, bytes, Consignment], Outgoing | None]


def as_comprehensive(box: Outbox, payload: bytes, held: Consignment) -> Outgoing | None:
    if held.sop_class_uid != CLASSES[Kind.TID1500]:
        return None
    document = dcmread(io.BytesIO(payload))
    document.SOPClassUID = document.file_meta.MediaStorageSOPClassUID = COMPREHENSIVE
    document.SOPInstanceUID = document.file_meta.MediaStorageSOPInstanceUID = "2.25.33"
    digest = write_document(box.config.store_folder, encoded(document))
    return Outgoing(held.destination, held.kind, held.stage, COMPREHENSIVE, "2.25.33", "", digest)


def outbox(
    database: Database, folder: Path, port: int, *kinds: Kind, instead: Instead = as_comprehensive, **settings: Any
) -> Outbox:
    """An outbox whose peer gets further forms of the draft; a class that it refuses goes as `instead` says."""
    box = Outbox(
        database,
        folder / "data",
        port=port,
        proof=Proof.ACKNOWLEDGEMENT,
        fallback=lambda payload, held: instead(box, payload, held),
        **settings,
    )
    queue(box, *kinds)
    return box


def queue(box: Outbox, *kinds: Kind) -> None:
    """More forms of the draft that is in the outbox already."""
    with box.database.write() as tx:
        tx.scalars(select(RemoteAE)).one().objects = "basic-text,tid1500,kos,pdf"
        first = tx.scalars(select(Delivery)).one()
        for kind in kinds:
            document = object_of(kind)
            tx.add(
                Delivery(
                    revision_id=first.revision_id,
                    destination=first.destination,
                    kind=kind,
                    stage=Stage.DRAFT,
                    sop_class_uid=document.SOPClassUID,
                    sop_instance_uid=document.SOPInstanceUID,
                    digest=write_document(box.config.store_folder, encoded(document)),
                    state=DeliveryState.QUEUED,
                    next_attempt_at=first.next_attempt_at,
                    queued_at=first.queued_at,
                )
            )


def outcome(database: Database) -> list[tuple[Kind, str, DeliveryState, str]]:
    with database.read() as tx:
        everyone = tx.scalars(select(Delivery).order_by(Delivery.id)).all()
        assert books.balance(tx).problems == ()
        return [(one.kind, one.sop_class_uid, one.state, one.reason) for one in everyone]


@pytest.mark.parametrize("takes_comprehensive", [True, False])
def test_refused_class_costs_that_form_alone(database: Database, tmp_path: Path, takes_comprehensive: bool) -> None:
    taken = [CLASSES[Kind.BASIC_TEXT], CLASSES[Kind.KOS]] + [COMPREHENSIVE] * takes_comprehensive
    with dcmtk.receiver(tmp_path / "store", *dcmtk.profile(tmp_path / "profile", *taken)) as port:
        box = outbox(database, tmp_path, port, Kind.TID1500, Kind.PDF)
        while box.sender.deliver_one():
            pass

    found = outcome(database)
    canceled, committed = DeliveryState.CANCELED, DeliveryState.COMMITTED
    assert found[:3] == [
        (Kind.BASIC_TEXT, CLASSES[Kind.BASIC_TEXT], committed, ""),
        (Kind.TID1500, CLASSES[Kind.TID1500], canceled, "class-refused"),
        (Kind.PDF, CLASSES[Kind.PDF], canceled, "class-refused"),
    ]
    assert found[3:] == [
        (Kind.TID1500, COMPREHENSIVE, *((committed, "") if takes_comprehensive else (canceled, "class-refused")))
    ]
    assert box.book() is Book.DELIVERED
    received = {str(dcmread(path).SOPClassUID) for path in (tmp_path / "store").iterdir() if path.suffix != ".log"}
    assert received == {CLASSES[Kind.BASIC_TEXT]} | ({COMPREHENSIVE} if takes_comprehensive else set())


def test_narrative_that_is_refused_is_a_dead_letter_and_the_others_arrive(database: Database, tmp_path: Path) -> None:
    options = dcmtk.profile(tmp_path / "profile", CLASSES[Kind.PDF])
    with dcmtk.receiver(tmp_path / "store", *options) as port:
        box = outbox(database, tmp_path, port, Kind.PDF)
        while box.sender.deliver_one():
            pass

    assert [(kind, state) for kind, _, state, _ in outcome(database)] == [
        (Kind.BASIC_TEXT, DeliveryState.FAILED),
        (Kind.PDF, DeliveryState.COMMITTED),
    ]
    assert box.book() is Book.DEAD_LETTERED


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_store_that_goes_before_the_other_form_is_written_costs_none(database: Database, tmp_path: Path) -> None:
    def too_late(box: Outbox, payload: bytes, held: Consignment) -> Outgoing | None:
        box.config.store_folder.rename(tmp_path / "away")
        return as_comprehensive(box, payload, held)

    taken = [CLASSES[Kind.BASIC_TEXT], COMPREHENSIVE]
    with dcmtk.receiver(tmp_path / "store", *dcmtk.profile(tmp_path / "profile", *taken)) as port:
        box = outbox(database, tmp_path, port, Kind.TID1500, instead=too_late, age=timedelta(days=30))
        assert box.sender.deliver_one()
        assert box.sender.deliver_one()
    assert [state for *_, state, _ in outcome(database)] == [DeliveryState.COMMITTED, DeliveryState.QUEUED]


def test_what_was_written_instead_is_in_the_store_before_it_is_queued(database: Database, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "store", *dcmtk.profile(tmp_path / "profile", CLASSES[Kind.BASIC_TEXT])) as port:
        box = outbox(database, tmp_path, port, Kind.TID1500)
        box.sender.deliver_one()
        box.sender.deliver_one()

    with database.read() as tx:
        instead = tx.scalars(select(Delivery).where(Delivery.sop_class_uid == COMPREHENSIVE)).one()
    assert dcmread(io.BytesIO(read_document(box.config.store_folder, instead.digest))).SOPClassUID == COMPREHENSIVE
