"""A listener in this process, and callers with good and bad manners."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from sqlalchemy import select

from agent.demo.phantom import film
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.listener import Listener
from dicom_node.tables import Instance, Reception

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DX = DigitalXRayImageStorageForPresentation
NUMBERS = count(1)


def small_film(**elements: str) -> Dataset:
    image = film(1, now=NOW, new_uid=lambda: f"2.25.88{next(NUMBERS)}", rows=96, columns=80)
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    return image


@dataclass
class Door:
    """A listener in this process, its database, and what it logged."""

    config: NodeConfig
    database: Database
    listener: Listener
    log: list[dict[str, object]]

    @property
    def port(self) -> int:
        return self.config.port

    def outcomes(self) -> list[str]:
        with self.database.read() as tx:
            return [row.outcome.value for row in tx.scalars(select(Reception).order_by(Reception.id))]

    def instances(self) -> Sequence[Instance]:
        with self.database.read() as tx:
            return tx.scalars(select(Instance).order_by(Instance.id)).all()

    def logged(self, event: str) -> list[dict[str, object]]:
        return [line for line in self.log if line["event"] == event]

    def quarantined(self) -> list[Path]:
        return sorted(self.config.quarantine_folder.iterdir())

    def largest_part(self) -> int:
        return max((path.stat().st_size for path in self.leftovers()), default=0)

    def leftovers(self) -> list[Path]:
        return list(self.config.incoming_folder.iterdir())


OpenDoor = Callable[..., Door]


@contextmanager
def associated(port: int, sop_class: str = DX, *syntaxes: str, title: str = "PACS") -> Iterator[Association]:
    entity = AE(ae_title=title)
    entity.add_requested_context(sop_class, list(syntaxes) or [ExplicitVRLittleEndian])
    association = entity.associate("127.0.0.1", port, ae_title="WETREAD")
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def store(port: int, image: Dataset, title: str = "PACS") -> Dataset:
    with associated(port, image.SOPClassUID, title=title) as association:
        return association.send_c_store(image)


def store_bytes(association: Association, content: bytes, *, sop_class: str, instance: str) -> Dataset:
    """A C-STORE whose data set is whatever `content` is."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(sop_class), UID(instance)
    request.Priority = 2
    request.DataSet = BytesIO(content)
    association._reactor_checkpoint.clear()
    try:
        association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
        _, answer = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    response = Dataset()
    if answer is not None:
        response.Status = answer.Status  # type: ignore[union-attr]
        response.ErrorComment = getattr(answer, "ErrorComment", None) or ""
    return response


def half_a_store(port: int) -> Association:
    """An association that has sent the first half of a data set."""
    entity = AE(ae_title="PACS")
    entity.add_requested_context(DX, [ExplicitVRLittleEndian])
    association = entity.associate("127.0.0.1", port, ae_title="WETREAD", max_pdu=16382)
    image = film(1, now=NOW, new_uid=lambda: f"2.25.88{next(NUMBERS)}", rows=400, columns=400)
    content = encode(image, False, True)
    assert content is not None
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = DX, image.SOPInstanceUID
    request.Priority = 2
    request.DataSet = BytesIO(content)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    fragments = list(message.encode_msg(association.accepted_contexts[0].context_id, 16382))
    for fragment in fragments[: len(fragments) // 2]:
        association.dul.send_pdu(fragment)
    association.rest = fragments[len(fragments) // 2 :]  # type: ignore[attr-defined]
    return association
