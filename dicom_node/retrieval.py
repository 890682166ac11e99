"""Getting one of our own objects back from where it was sent, to see whether it is still what it was.

Some archives answer a C-STORE with success and keep another object under its UID, or change what they take.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import keyword_for_tag
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet  # type: ignore[attr-defined]

from dicom_node.errors import SendFailure
from dicom_node.headers import UNREADABLE
from dicom_node.peer import Address, associate, named, shown

GET: Final = str(StudyRootQueryRetrieveInformationModelGet)
_PENDING: Final = frozenset({0xFF00, 0xFF01})


def get(address: Address, document: Dataset) -> Dataset | None:
    """C-GET (PS3.4 C.4.3) of the instance that has the document's UIDs; None where the peer has none.

    Raises SendFailure; `class_refused` where it takes no C-GET.
    """
    got: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        got.append(event.dataset)
        return 0x0000

    sop_class = str(document.SOPClassUID)
    opened = associate(address, [GET, sop_class], [(evt.EVT_C_STORE, keep)], as_scp=[sop_class])
    try:
        for wanted in (GET, sop_class):
            if not opened.takes(wanted):
                raise SendFailure(f"{address.where} gives nothing by {named(wanted)}", class_refused=True)
        for response, _ in opened.association.send_c_get(_keys(document), GET):
            status = response.get("Status")
            if status not in _PENDING | {0x0000}:
                raise opened.excess() or SendFailure(f"{address.peer_ae_title} answered C-GET with {shown(status)}")
    except RuntimeError as error:
        raise SendFailure(f"{address.peer_ae_title} ended the association") from error
    finally:
        opened.close()
    return next((one for one in got if one.get("SOPInstanceUID") == document.SOPInstanceUID), None)


def part_of(body: bytes, boundary: str) -> Dataset | None:
    """The first object in a multipart answer of WADO-RS (PS3.18 8.6.1.2); None where there is none.

    Raises SendFailure: what is there is no DICOM file.
    """
    parts = body.split(b"--" + boundary.encode("latin-1", "replace"))
    if len(parts) < 2 or b"\r\n\r\n" not in parts[1]:
        return None
    try:
        return dcmread(BytesIO(parts[1].split(b"\r\n\r\n", 1)[1]))
    except UNREADABLE as error:
        raise SendFailure(f"what came is no DICOM file ({type(error).__name__})") from error


def differences(sent: Dataset, kept: Dataset, where: str = "") -> Iterator[str]:
    """What is not the same, one phrase for each element, without a value. Order and file meta do not count."""
    for tag in sorted({*sent.keys(), *kept.keys()}):
        if tag.element == 0:  # group lengths are retired (PS3.5 7.2)
            continue
        name = f"{where}{keyword_for_tag(tag) or tag}"
        if tag not in kept:
            yield f"{name} is gone"
            continue
        if tag not in sent:
            yield f"{name} was added"
            continue
        one, other = sent[tag], kept[tag]
        if one.VR == "SQ":
            yield from _of_items(one, other, name)
        elif _comparable(one) != _comparable(other):
            yield f"{name} was changed"


def _of_items(one: DataElement, other: DataElement, name: str) -> Iterator[str]:
    if other.VR != "SQ" or len(one.value) != len(other.value):
        yield f"{name} has another number of items"
        return
    for number, (item, kept) in enumerate(zip(one.value, other.value, strict=True), 1):
        yield from differences(item, kept, f"{name}[{number}].")


def _comparable(element: DataElement) -> Any:
    value = element.value
    if isinstance(value, bytes):
        return value.rstrip(b"\0")
    if value is None:
        return ""
    several = value if element.VM > 1 else [value]
    return "\\".join(str(part) for part in several).rstrip(" \0")


def _keys(document: Dataset) -> Dataset:
    keys = Dataset()
    keys.QueryRetrieveLevel = "IMAGE"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(keys, keyword, document[keyword].value)
    return keys
