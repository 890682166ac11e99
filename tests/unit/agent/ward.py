"""A node without processes: what arrives, is drafted, sent and heard goes through the functions of the processes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent import drafting, incoming
from agent.config import Config
from agent.desk import Desk
from agent.examining import Examiner
from agent.leaving import agrees_with_the_books
from agent.recalling import Recaller
from dicom_node import books, files, worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.destinations import in_words
from dicom_node.headers import read_header
from dicom_node.kinds import Kind
from dicom_node.rules.tables import Late
from dicom_node.tables import (
    AuditRow,
    Delivery,
    DeliveryState,
    Endpoint,
    Mode,
    Proof,
    RemoteAE,
    Revision,
    Study,
    Way,
)
from dicom_node.worklist import Claim, Consignment
from reports.config import FhirConfig, Hl7Config, ReportsConfig
from reports.hl7.incoming import Ack, parse
from reports.tables import Report
from reports.text import sections
from tests.unit.reports import films

EXPLICIT = str(ExplicitVRLittleEndian)
CLEAR = "FINDINGS: The lungs are clear. No pneumothorax.\nIMPRESSION: No acute process."
LEASE = timedelta(minutes=5)

T = TypeVar("T")


class Ward:
    """One data folder and one database; the clock is the test's."""

    def __init__(self, folder: Path, database: Database, **reports: Any) -> None:
        config = Config(
            node=NodeConfig(data_folder=folder, retry_seconds=(0.0,)),
            reports=ReportsConfig(**reports),
            hl7=Hl7Config(sending_facility="WARD"),
            fhir=FhirConfig(patient_systems={"": "urn:oid:1.2.3"}),
        )
        files.make_store(config.node.store_folder, "here")
        self.desk = Desk(config, database)
        self.folder = folder
        self.database = database
        self.examiner = Examiner(self.desk)
        self.recaller = Recaller(self.desk)
        self._tokens = 0

    def do(self, change: Callable[[Session], T]) -> T:
        with self.database.write() as tx:
            return change(tx)

    def ask(self, question: Callable[[Session], T]) -> T:
        with self.database.read() as tx:
            return question(tx)

    # --- destinations -------------------------------------------------------------------------------------------------

    def peer(
        self,
        title: str = "PACS",
        *objects: Kind,
        mode: Mode = Mode.DRAFT,
        notices: bool = False,
        proof: Proof = Proof.QUERY,
    ) -> None:
        chosen = in_words(objects or (Kind.BASIC_TEXT, Kind.KOS))
        row = RemoteAE(
            ae_title=title,
            host="127.0.0.1",
            port=104,
            may_send=True,
            send_to=True,
            mode=mode,
            proof=proof,
            objects=chosen,
            notices=notices,
        )
        self.do(lambda tx: tx.add(row))

    def service(self, name: str, way: Way, *, mode: Mode = Mode.DRAFT) -> None:
        row = Endpoint(name=name, way=way, host="127.0.0.1", port=2575, url="http://127.0.0.1", mode=mode)
        self.do(lambda tx: tx.add(row))

    def set_mode(self, title: str, mode: Mode) -> None:
        self.do(lambda tx: setattr(tx.scalars(select(RemoteAE).where(RemoteAE.ae_title == title)).one(), "mode", mode))

    # --- listen, dispatch, work ---------------------------------------------------------------------------------------

    def receive(self, dataset: Dataset, caller: str = "PACS", *, late: Late = Late.REPLACE) -> None:
        path = self.folder / "arrived.dcm"
        path.write_bytes(as_file(dataset))
        header = read_header(path)
        digest = files.digest_of_dataset(path, EXPLICIT)
        size = path.stat().st_size
        files.adopt(path, self.desk.config.node.store_folder, digest)
        arrival = worklist.Arrival(header, EXPLICIT, digest, size, caller)
        self.do(lambda tx: worklist.record_instance(tx, arrival, now(), late=late))

    def claim(self) -> Claim:
        def take(tx: Session) -> Claim | None:
            worklist.complete_studies(tx, now(), quiet=timedelta(), deadline=timedelta(), most=20_000)
            return worklist.claim(tx, worker="w", token=self._token(), lease=LEASE, now=now())

        claimed = self.do(take)
        assert claimed is not None
        return claimed

    def draft(self, claim: Claim | None = None, text: str = CLEAR, **reader: str) -> Report:
        """Write the draft of what is claimed, from the newest image. reader: changes of its provenance."""
        claim = claim or self.claim()
        draft, report = self.prepare(claim, text, **reader)
        drafting.commit(self.desk, claim, draft, report)
        return report

    def prepare(self, claim: Claim, text: str = CLEAR, **reader: str) -> tuple[drafting.Draft, Report]:
        """Everything before the commit."""
        instance = self.ask(lambda tx: worklist.images_of(tx, claim.study_id))[-1]
        source = dcmread(files.stored_path(self.desk.config.node.store_folder, instance.digest))
        made_by = films.provenance(films=(instance.sop_instance_uid,), **reader)
        draft = drafting.write(self.desk, claim, [source], sections(text), made_by)
        report = Report(
            revision_id=claim.revision_id,
            film_digest=instance.digest,
            reader="parrot 1",
            reader_digest="0" * 64,
            generation="greedy",
        )
        return draft, report

    def study_with_draft(self, **changes: Any) -> Report:
        self.receive(films.film(**changes))
        return self.draft()

    # --- send ---------------------------------------------------------------------------------------------------------

    def take(self) -> Consignment | None:
        token = self._token()
        return self.do(lambda tx: worklist.claim_delivery(tx, sender="s", token=token, lease=LEASE, now=now()))

    def must_take(self) -> Consignment:
        held = self.take()
        assert held is not None
        return held

    def deliver(self) -> list[Consignment]:
        """Send and prove everything that is due, after the sender's own last look; returns what was sent, in order."""
        sent = []
        while held := self.take():
            if held.state is DeliveryState.QUEUED:
                agrees_with_the_books(
                    self.payload(held),
                    held,
                    patient_systems=self.desk.config.fhir.patient_systems,
                    authorities=self.desk.config.hl7.authorities,
                )
                sent.append(held)
                self.do(lambda tx, held=held: worklist.mark_sent(tx, held, now()))  # type: ignore[misc]
            else:
                self.do(lambda tx, held=held: worklist.mark_committed(tx, held, now()))  # type: ignore[misc]
        return sent

    def payload(self, held: Consignment) -> bytes:
        return files.read_document(self.desk.config.node.store_folder, held.digest)

    def document(self, held: Consignment) -> Dataset:
        return dcmread(io.BytesIO(self.payload(held)))

    # --- what others say ----------------------------------------------------------------------------------------------

    def hear(self, *lines: str) -> Ack:
        return incoming.hear(self.desk, parse("\r".join(lines).encode()))

    # --- questions ----------------------------------------------------------------------------------------------------

    def report(self, revision: int = 1) -> Report:
        chosen = select(Report).join(Revision).where(Revision.number == revision)
        return self.ask(lambda tx: tx.scalars(chosen).one())

    def revision(self, number: int = 1) -> Revision:
        return self.ask(lambda tx: tx.scalars(select(Revision).where(Revision.number == number)).one())

    def study(self) -> Study:
        return self.ask(lambda tx: tx.scalars(select(Study)).one())

    def deliveries(self) -> Sequence[Delivery]:
        return self.ask(lambda tx: tx.scalars(select(Delivery).order_by(Delivery.id)).all())

    def events(self) -> list[str]:
        return self.ask(lambda tx: list(tx.scalars(select(AuditRow.event).order_by(AuditRow.id))))

    def problems(self) -> tuple[str, ...]:
        return self.ask(lambda tx: books.balance(tx).problems)

    def _token(self) -> str:
        self._tokens += 1
        return f"{self._tokens:032d}"


def now() -> datetime:
    return datetime.now(UTC)


def as_file(dataset: Dataset) -> bytes:
    """A Part 10 file as a device would send it."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
