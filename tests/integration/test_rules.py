"""Rules in a whole node: a procedure step completes the study long before its quiet time, and a rule decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE
from sqlalchemy import select

from dicom_node.database import clock
from dicom_node.mpps import PERFORMED_STEP
from dicom_node.rules import book, forms
from dicom_node.rules.tables import Routing
from dicom_node.tables import Book, Revision, Study
from tests.harness import dcmtk
from tests.harness.door import small_film
from tests.harness.node import Node, wait_until

HOUR = 3600


def report_step(port: int, study: str, image: str) -> None:
    """As a modality does; dcmtk has no SCU for this, so it is pynetdicom's."""
    entity = AE(ae_title="CR1")
    entity.add_requested_context(PERFORMED_STEP)
    line = entity.associate("127.0.0.1", port, ae_title="WETREAD")
    assert line.is_established
    begun, done, reference, series = Dataset(), Dataset(), Dataset(), Dataset()
    scheduled = Dataset()
    scheduled.StudyInstanceUID = study
    begun.ScheduledStepAttributesSequence = [scheduled]
    begun.PerformedProcedureStepStatus = "IN PROGRESS"
    reference.ReferencedSOPInstanceUID = image
    series.ReferencedImageSequence = [reference]
    done.PerformedSeriesSequence = [series]
    done.PerformedProcedureStepStatus = "COMPLETED"
    uid = UID(f"{study}.99")
    assert line.send_n_create(begun, PERFORMED_STEP, uid)[0].Status == 0x0000
    assert line.send_n_set(done, PERFORMED_STEP, uid)[0].Status == 0x0000
    line.release()


def arrive(node: Node, folder: Path, **elements: str) -> str:
    film = small_film(**elements)
    path = folder / f"{film.SOPInstanceUID}.dcm"
    film.save_as(path, enforce_file_format=True)
    assert dcmtk.store(node.port, path, calling="CR1").returncode == 0
    report_step(node.port, str(film.StudyInstanceUID), str(film.SOPInstanceUID))
    return str(film.StudyInstanceUID)


def rule(node: Node, name: str, **fields: Any) -> None:
    with node.database.write() as tx:
        book.add(tx, forms.make({"name": name, **fields}), now=clock(tx), actor="test")


def settled(node: Node, study: str) -> tuple[str, str, Revision]:
    """What completed the study, which rule decided, and what the books say then."""

    def decided() -> tuple[str, str, Revision] | None:
        chosen = (
            select(Routing, Revision)
            .join(Revision, Revision.id == Routing.revision_id)
            .join(Study, Study.id == Revision.study_id)
            .where(Study.study_instance_uid == study, Routing.decided_at.is_not(None))
        )
        with node.database.read() as tx:
            row = tx.execute(chosen).one_or_none()
            return None if row is None else (row[0].completed_by, row[0].rule, row[1])

    found: tuple[str, str, Revision] = wait_until(decided, "a decision", seconds=100)
    return found


def test_a_step_completes_and_a_rule_decides(tmp_path: Path) -> None:
    settings = "count_quiet_seconds = 0.5"
    with Node(tmp_path / "node", quiet_seconds=HOUR, deadline_seconds=HOUR, node=settings) as node:
        node.add_peer("CR1", may_send=True)
        rule(node, "er", when=["StationName ~ ^ER"], priority="stat")
        rule(node, "rest", when=["calling_ae = CR1"], exclude="only the emergency room is read")
        urgent = settled(node, arrive(node, tmp_path, StationName="ER_1"))
        other = settled(node, arrive(node, tmp_path, StationName="WARD_1"))

    assert urgent[:2] == ("mpps", "er")
    assert other[:2] == ("mpps", "rest")
    assert (other[2].book, other[2].reason) == (Book.EXCLUDED, "excluded-by-rule")
    assert other[2].explanation == "rule rest: only the emergency room is read"
