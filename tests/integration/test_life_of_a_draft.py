"""Real processes, a real PACS and real sockets: what ends a draft takes it back where it was sent."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select, update

from agent.demo.phantom import film
from agent.desk import Desk
from agent.incoming import serve_hl7
from dicom_node import books
from dicom_node.files import read_document
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Delivery, DeliveryState, Revision, Study
from reports.objects import tree
from reports.tables import Event, Report, ReportState
from tests.harness import dcmtk
from tests.harness.node import Node, free_port, wait_until
from tests.harness.orthanc import TITLE, Orthanc

NUMBERS = count(1)
MSH = "MSH|^~\\&|RIS|HOSP|WETREAD|AI|20250302||{}|C1|P|2.5.1"

pytestmark = pytest.mark.timeout(600)

House = tuple[Node, Orthanc, int]  # the last one is the port for HL7


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Orthanc routes everything to us and gets our drafts; the RIS speaks to `listen` by MLLP."""
    folder = tmp_path_factory.mktemp("life")
    hl7_port = free_port()
    hl7 = f'[hl7]\nsenders = ["127.0.0.0/8"]\nbind_address = "127.0.0.1"\nport = {hl7_port}\n'
    with Node(folder / "node", reader=hl7) as node, Orthanc(folder / "pacs", wetread_port=node.port) as pacs:
        node.add_peer(TITLE, pacs.port, send_to=True)
        yield node, pacs, hl7_port
        with node.database.read() as tx:
            assert books.balance(tx).problems == ()


def store(pacs: Orthanc, folder: Path, **elements: str) -> Dataset:
    """Store a film in the PACS as a modality does."""
    drawing = next(NUMBERS)  # one of its own: the picture of another patient would be held
    image = film(drawing, now=datetime.now(UTC), new_uid=lambda: f"2.25.65{next(NUMBERS)}{time.time_ns()}")
    image.PatientID = image.AccessionNumber = f"L{next(NUMBERS)}"
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    path = folder / f"{image.SOPInstanceUID}.dcm"
    image.save_as(path, enforce_file_format=True)
    sent = dcmtk.store(pacs.port, path, calling="DX1", called=TITLE, options=("-R",))
    assert sent.returncode == 0, sent.stdout
    return image


def tell(port: int, *lines: str) -> str:
    """Send one HL7 message as a RIS does; returns the acknowledgment."""
    message = "\r".join(lines).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"\x0b" + message + b"\x1c\r")
        answer = b""
        while not answer.endswith(b"\x1c\r"):
            answer += connection.recv(4096)
    return answer.decode()


def final_report(image: Dataset) -> list[str]:
    order = f"OBR|1|||||||||||||||||{image.AccessionNumber}|||||||F"
    return [MSH.format("ORU^R01"), f"PID|1||{image.PatientID}||Secret^Name", order]


def report_of(node: Node, image: Dataset, revision: int = 1) -> Report | None:
    chosen = select(Report).join(Revision).join(Study, Study.id == Revision.study_id)
    with node.database.read() as tx:
        return tx.scalar(chosen.where(Study.study_instance_uid == image.StudyInstanceUID, Revision.number == revision))


def deliveries_of(node: Node, image: Dataset) -> list[Delivery]:
    chosen = select(Delivery).join(Revision).join(Study, Study.id == Revision.study_id)
    with node.database.read() as tx:
        return list(tx.scalars(chosen.where(Study.study_instance_uid == image.StudyInstanceUID).order_by(Delivery.id)))


def drafted(house: House, folder: Path, **elements: str) -> Dataset:
    """A film whose draft is in the PACS, proven."""
    node, pacs, _ = house
    image = store(pacs, folder, **elements)
    wait_until(lambda: book_of(node, image) == ("delivered", ""), "the draft to be delivered", seconds=180)
    return image


def book_of(node: Node, image: Dataset, revision: int = 1) -> tuple[str, str]:
    chosen = select(Revision).join(Study, Study.id == Revision.study_id)
    chosen = chosen.where(Study.study_instance_uid == image.StudyInstanceUID, Revision.number == revision)
    with node.database.read() as tx:
        found = tx.scalar(chosen)
    return (found.book.value, found.reason) if found is not None else ("unknown", "")


def note_in(house: House, image: Dataset) -> Dataset:
    """The rejection note of the study that the PACS has by now."""
    node, pacs, _ = house

    def there() -> list[dict[str, str]]:
        return [note for note in pacs.instances("KO") if note["StudyInstanceUID"] == image.StudyInstanceUID]

    (found,) = wait_until(there, "the note in the PACS", seconds=60)
    (note,) = (one for one in deliveries_of(node, image) if one.kind is Kind.KOS)
    wait_until(lambda: deliveries_of(node, image)[-1].state is DeliveryState.COMMITTED, "its proof", seconds=60)
    assert found["SOPInstanceUID"] == note.sop_instance_uid
    return dcmread(io.BytesIO(read_document(node.config.node.store_folder, note.digest)))


def test_a_final_report_by_hl7_takes_the_draft_back(house: House, tmp_path: Path) -> None:
    node, _, port = house
    image = drafted(house, tmp_path)

    answer = tell(port, *final_report(image))

    assert "MSA|AA|C1" in answer
    report = report_of(node, image)
    assert report is not None
    assert (report.state, report.event) == (ReportState.WITHDRAWN, Event.FINAL_ELSEWHERE)
    note = note_in(house, image)
    assert tree.name_of(note)[0] == "113001"
    assert report.sop_instance_uid in str(note)
    wait_until(
        lambda: book_of(node, image) == ("closed undelivered", "final-elsewhere"), "the book to be closed", seconds=30
    )
    assert node.cli("check").returncode == 0
    assert "Secret" not in node.logs()


def test_a_signed_report_that_the_pacs_routes_takes_the_draft_back(house: House, tmp_path: Path) -> None:
    node, pacs, _ = house
    image = drafted(house, tmp_path)
    uid = f"2.25.64{time.time_ns()}"
    signed = Dataset()
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyDate", "StudyTime"):
        setattr(signed, keyword, image.get(keyword, ""))
    signed.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    signed.SOPInstanceUID, signed.SeriesInstanceUID, signed.Modality = uid, f"{uid}.1"[:64], "SR"
    signed.CompletionFlag, signed.VerificationFlag = "COMPLETE", "VERIFIED"
    signed.file_meta = image.file_meta.__class__()
    signed.file_meta.MediaStorageSOPClassUID = signed.SOPClassUID
    signed.file_meta.MediaStorageSOPInstanceUID = uid
    signed.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    signed.save_as(tmp_path / "signed.dcm", enforce_file_format=True)

    assert dcmtk.store(pacs.port, tmp_path / "signed.dcm", calling="RIS", called=TITLE, options=("-R",)).returncode == 0

    wait_until(
        lambda: book_of(node, image) == ("closed undelivered", "final-elsewhere"),
        "the draft to be taken back",
        seconds=60,
    )
    assert tree.name_of(note_in(house, image))[0] == "113001"


def test_a_draft_expires(house: House, tmp_path: Path) -> None:
    """A day is not waited for: the draft is made a day older."""
    node, _, _ = house
    image = drafted(house, tmp_path)
    report = report_of(node, image)
    assert report is not None
    with node.database.write() as tx:
        older = report.changed_at - timedelta(hours=25)
        tx.execute(update(Report).where(Report.id == report.id).values(drafted_at=older, changed_at=older))

    note = note_in(house, image)

    assert "expired" in tree.section_text(note)
    wait_until(lambda: book_of(node, image) == ("closed undelivered", "expired"), "the book to be closed")


def test_a_late_image_replaces_the_draft(house: House, tmp_path: Path) -> None:
    node, pacs, _ = house
    image = drafted(house, tmp_path)
    first = report_of(node, image)
    same = {name: str(image[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID")}
    store(pacs, tmp_path, AccessionNumber=str(image.AccessionNumber), **same)

    wait_until(lambda: book_of(node, image, 2) == ("delivered", ""), "the second draft", seconds=180)
    second = report_of(node, image, 2)
    note = note_in(house, image)

    assert first is not None
    assert second is not None
    draft = dcmread(io.BytesIO(read_document(node.config.node.store_folder, second.digest)))
    (series,) = draft.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.sop_instance_uid
    assert first.sop_instance_uid in str(note)
    assert second.sop_instance_uid not in str(note)
    wait_until(lambda: book_of(node, image)[0] == "closed undelivered", "the older book to be closed")


def test_a_merged_patient_holds_the_study(house: House, tmp_path: Path) -> None:
    node, _, port = house
    image = drafted(house, tmp_path)
    merge = [MSH.format("ADT^A40"), "PID|1||OTHER||Secret^Name", f"MRG|{image.PatientID}"]

    assert "MSA|AA|C1" in tell(port, *merge)

    (shown,) = node.ask("study", "list", "--limit", "1")
    assert shown["study_instance_uid"] == image.StudyInstanceUID
    note = note_in(house, image)
    assert tree.name_of(note)[0] == "113037"
    detail = node.ask("study", "show", str(image.StudyInstanceUID))
    assert "merged or changed" in detail["to_do"]
    assert [one.stage for one in deliveries_of(node, image)] == [Stage.DRAFT, Stage.WITHDRAWAL]


def test_without_senders_the_port_stays_closed(house: House) -> None:
    node, _, _ = house
    closed = node.config.model_copy(update={"hl7": node.config.hl7.model_copy(update={"senders": ()})})
    assert serve_hl7(Desk(closed, node.database)) is None
