"""Our own documents in the store: read back, made durable for what goes out, and what could not be made, told of."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import structlog
from pydicom import Dataset, dcmread
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.files import read_document, write_document
from dicom_node.worklist import Outgoing
from reports.addenda import findings_in_all
from reports.findings import Finding
from reports.objects.content import read_content
from reports.outbox import LeftOut, Packet

log = structlog.get_logger()


def load(folder: Path, digest: str) -> Dataset:
    """Read one of our own documents from the store. Raises NotFound."""
    return dcmread(io.BytesIO(read_document(folder, digest)))


def store(folder: Path, packets: Sequence[Packet]) -> list[Outgoing]:
    """Make the bytes durable; what several destinations get is written once."""
    return [
        Outgoing(
            destination=packet.destination,
            kind=packet.kind,
            stage=packet.stage,
            sop_class_uid=packet.sop_class_uid,
            sop_instance_uid=packet.sop_instance_uid,
            device_uid=packet.device_uid,
            digest=write_document(folder, packet.payload),
        )
        for packet in packets
    ]


def findings_in(document: Dataset) -> tuple[Finding, ...]:
    """What the text of a narrative of ours says, its addenda in their order."""
    return findings_in_all(read_content(document))


def tell_of(tx: Session, study_id: int, left_out: Sequence[LeftOut], now: datetime, *, actor: str) -> None:
    """Say in the log and in the audit trail what a destination does not get, and why."""
    for one in left_out:
        log.error("object_left_out", destination=one.destination, kind=one.kind.value, explanation=one.words)
        detail = {"destination": one.destination, "kind": one.kind.value}
        audit.append(tx, "object-left-out", at=now, actor=actor, study_id=study_id, **detail)
