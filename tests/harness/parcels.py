"""Parcels as the outbox hands them to transports, of small documents in each class that we send."""

from __future__ import annotations

from types import MappingProxyType

from pydicom import Dataset

from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Mode, Proof, Way
from dicom_node.transports import Destination, Parcel
from tests.harness.outbox import document, encoded

CLASSES = MappingProxyType(
    {
        Kind.BASIC_TEXT: "1.2.840.10008.5.1.4.1.1.88.11",
        Kind.TID1500: "1.2.840.10008.5.1.4.1.1.88.34",
        Kind.KOS: "1.2.840.10008.5.1.4.1.1.88.59",
        Kind.PDF: "1.2.840.10008.5.1.4.1.1.104.1",
    }
)


def destination(
    port: int = 0, *, name: str = "PACS", way: Way = Way.DIMSE, url: str = "", credential: str = ""
) -> Destination:
    return Destination(
        name=name,
        way=way,
        host="127.0.0.1",
        port=port,
        url=url,
        mode=Mode.DRAFT,
        proof=Proof.QUERY,
        objects=frozenset(CLASSES),
        credential=credential,
    )


def object_of(kind: Kind, number: int = 1) -> Dataset:
    """A document of this class; `number` makes its UID."""
    draft = document()
    draft.SOPClassUID = draft.file_meta.MediaStorageSOPClassUID = CLASSES[kind]
    draft.SOPInstanceUID = draft.file_meta.MediaStorageSOPInstanceUID = (
        f"2.25.{list(CLASSES).index(kind) + 1}{number:06}"
    )
    draft.SeriesInstanceUID = f"2.25.9{list(CLASSES).index(kind)}"
    if kind is Kind.PDF:
        draft.MIMETypeOfEncapsulatedDocument, draft.EncapsulatedDocument = "application/pdf", b"%PDF-1.4 \x00"
    return draft


def parcel(to: Destination, kind: Kind = Kind.BASIC_TEXT, number: int = 1) -> Parcel:
    draft = object_of(kind, number)
    return Parcel(
        destination=to,
        payload=encoded(draft),
        kind=kind,
        stage=Stage.DRAFT,
        sop_class_uid=draft.SOPClassUID,
        sop_instance_uid=draft.SOPInstanceUID,
        study_instance_uid=draft.StudyInstanceUID,
    )
