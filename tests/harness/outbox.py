"""An outbox with one draft in it, for tests of what becomes of it."""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select, update

from dicom_node import worklist
from dicom_node.commitment_proof import CommitmentProof
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.dimse import DimseTransport
from dicom_node.files import make_store, write_document
from dicom_node.headers import Header
from dicom_node.kinds import Kind, Stage
from dicom_node.sender import Check, Fallback, Look, Sender, asks_nobody, nothing_instead
from dicom_node.tables import AuditRow, Book, Delivery, DeliveryState, Mode, Proof, RemoteAE, Revision, Way
from dicom_node.worklist import Arrival, Consignment, Ending, Outgoing

SR = "1.2.840.10008.5.1.4.1.1.88.11"
STUDY = "1.2.826.0.1.3680043.10.7"
WAITS = (30.0, 60.0, 120.0)


def document() -> Dataset:
    """A small Basic Text SR: enough for a peer to store it."""
    draft = Dataset()
    draft.SpecificCharacterSet = "ISO_IR 192"
    draft.SOPClassUID, draft.SOPInstanceUID = SR, "2.25.4712"
    draft.StudyInstanceUID, draft.SeriesInstanceUID = STUDY, "2.25.4713"
    draft.PatientID, draft.PatientName, draft.Modality = "P1", "Hong^Gildong=洪^吉洞=홍^길동", "SR"
    draft.ValueType, draft.CompletionFlag, draft.VerificationFlag = "CONTAINER", "PARTIAL", "UNVERIFIED"
    draft.file_meta = FileMetaDataset()
    draft.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    draft.file_meta.MediaStorageSOPClassUID, draft.file_meta.MediaStorageSOPInstanceUID = SR, "2.25.4712"
    return draft


def encoded(draft: Dataset) -> bytes:
    stream = io.BytesIO()
    dcmwrite(stream, draft, enforce_file_format=True)
    return stream.getvalue()


class Outbox:
    """One draft, due now, for the peer PACS on this machine."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        port: int,
        proof: Proof = Proof.QUERY,
        check: Check = lambda _payload, _held: None,
        fallback: Fallback = nothing_instead,
        look: Look = asks_nobody,
        answer_seconds: float = 5,
        age: timedelta = timedelta(minutes=1),
        waits: Sequence[float] = WAITS,
        commitment_seconds: float = 60,
    ) -> None:
        self.database = database
        self.config = NodeConfig(data_folder=folder, dimse_timeout_seconds=answer_seconds, retry_seconds=tuple(waits))
        make_store(self.config.store_folder, "here")
        self.transport = DimseTransport("WETREAD", connect_seconds=5, answer_seconds=answer_seconds)
        self.commitment = CommitmentProof(
            database,
            self.transport,
            lambda: secrets.token_hex(16),
            patience=timedelta(seconds=commitment_seconds),
            keep_seconds=120,
        )
        self.sender = Sender(
            self.config,
            database,
            {Way.DIMSE: self.transport},
            check,
            lambda: secrets.token_hex(16),
            fallback=fallback,
            look=look,
            commitment=self.commitment,
        )
        self._queue(port, proof, datetime.now(UTC) - age)

    def step(self) -> Delivery:
        """Let the sender do what is due, and look at the delivery."""
        assert self.sender.deliver_one(), "nothing was due"
        return self.delivery()

    def delivery(self) -> Delivery:
        with self.database.read() as tx:
            return tx.scalars(select(Delivery)).one()

    def book(self) -> Book:
        with self.database.read() as tx:
            return tx.scalars(select(Revision.book)).one()

    def wait_seconds(self) -> float:
        """How long the sender decided to wait; must be asked for at once."""
        return round((self.delivery().next_attempt_at - datetime.now(UTC)).total_seconds())

    def pause(self) -> float:
        """How many seconds the sender decided to wait after its latest failed attempt, whenever that was."""
        with self.database.read() as tx:
            failed = select(AuditRow.at).where(AuditRow.event == "delivery-attempt-failed")
            decided = tx.scalars(failed.order_by(AuditRow.id.desc())).first()
        assert decided is not None, "no attempt failed"
        return (self.delivery().next_attempt_at - decided).total_seconds()

    def skip_the_wait(self) -> None:
        with self.database.write() as tx:
            tx.execute(update(Delivery).values(next_attempt_at=datetime.now(UTC) - timedelta(seconds=1)))

    def free_the_dead(self) -> None:
        """What `dispatch` does with the claims of a sender that was killed."""
        with self.database.write() as tx:
            worklist.release_lost(tx, datetime.now(UTC), is_dead=lambda _owner: True, attempts=3, wait=timedelta())

    def _queue(self, port: int, proof: Proof, now: datetime) -> None:
        draft = document()
        digest = write_document(self.config.store_folder, encoded(draft))
        head = Header("1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.1", STUDY, "1.2.3", "P1", "", "", "")
        outgoing = Outgoing("PACS", Kind.BASIC_TEXT, Stage.DRAFT, SR, draft.SOPInstanceUID, "", digest)
        with self.database.write() as tx:
            tx.add(RemoteAE(ae_title="PACS", host="127.0.0.1", port=port, send_to=True, mode=Mode.DRAFT, proof=proof))
            worklist.record_instance(tx, Arrival(head, ExplicitVRLittleEndian, "0" * 64, 1, "PACS"), now)
            worklist.complete_studies(tx, now, quiet=timedelta(), deadline=timedelta())
            held = worklist.claim(tx, worker="w", token="t", lease=timedelta(minutes=1), now=now)
            assert held is not None
            worklist.finish(tx, held, [outgoing], nothing_leaves=Ending(Book.CLOSED), now=now)


__all__ = ["SR", "STUDY", "Consignment", "DeliveryState", "Outbox", "document", "encoded"]
