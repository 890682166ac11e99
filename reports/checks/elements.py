"""What must hold of the elements, UIDs and moments of every DICOM document of ours, whatever its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from pydicom import DataElement, Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.uids import ROOT, is_root, is_uid, number_of, root_of
from reports.charset import SourceUnusable
from reports.objects.characters import carries
from reports.objects.frame import NotEncodable, encode
from reports.objects.tree import plain
from reports.provenance import device_uid
from reports.source import LENGTHS, has_controls, is_timezone_offset, joined

_SEVERAL = frozenset({"CS", "DA", "LO", "SH", "UI"})  # a backslash separates their values (PS3.5 6.4)
_TEXT_VRS = frozenset({"CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_LOOKED_AT = _TEXT_VRS | _SEVERAL


def of_the_elements(document: Dataset) -> Iterator[str]:
    """No private element, no control character, no bad UID, nothing too long."""
    for element in document.iterall():
        if element.tag.is_private:
            yield "a private element is present"
        elif element.VR in _LOOKED_AT:
            yield from _of_an_element(element)


def _of_an_element(element: DataElement) -> Iterator[str]:
    vr, text = element.VR, joined(element.value)
    values = text.split("\\") if vr in _SEVERAL else [text]
    if vr in _TEXT_VRS and has_controls(text, allowed="\r\n" if vr == "UT" else ""):
        yield f"{element.keyword} holds control characters"
    elif vr == "UI" and not all(is_uid(uid) for uid in values):
        yield f"{element.keyword} is no UID"
    elif vr == "DA" and text and not all(_is_date(one) for one in values):
        yield f"{element.keyword} is no date"
    elif any(len(value) > LENGTHS.get(vr, len(value)) for value in values):
        yield f"{element.keyword} is too long"


def of_the_encoding(document: Dataset) -> Iterator[str]:
    """It can be written, and reads back as it was."""
    yield from written(document)[1]


def written(document: Dataset) -> tuple[bytes, tuple[str, ...]]:
    """The file, and what is wrong with it: one phrase, and no file, where something would be lost."""
    try:
        return encode(document), ()
    except (NotEncodable, AttributeError, ValueError, TypeError) as error:
        return b"", (f"it cannot be written without loss ({type(error).__name__})",)


def of_the_charset(document: Dataset) -> Iterator[str]:
    """It is one that every text can be written in and read back from."""
    try:
        if not carries(document):
            yield "it cannot be written without loss in its character set"
    except SourceUnusable:
        yield "SpecificCharacterSet names no character set"


def of_the_file_meta(document: FileDataset) -> Iterator[str]:
    """The file names the object that is in it."""
    meta = document.file_meta
    if plain(meta, "MediaStorageSOPInstanceUID") != plain(document, "SOPInstanceUID"):
        yield "the file meta information names another SOP Instance UID"
    if plain(meta, "MediaStorageSOPClassUID") != plain(document, "SOPClassUID"):
        yield "the file meta information names another SOP Class UID"
    if plain(meta, "TransferSyntaxUID") != ExplicitVRLittleEndian:
        yield "the transfer syntax is not Explicit VR Little Endian"


def of_the_uids(document: Dataset, *, series: str, instance: str | None) -> Iterator[str]:
    """UIDs are derived by us, from this content, whatever the root that they stand below.

    series, instance: what they have to be; None: it has no content.
    """
    for name, uid in (("SOPInstanceUID", instance or ""), ("SeriesInstanceUID", series)):
        said = plain(document, name)
        if not is_uid(said) or not (root_of(said) == ROOT or is_same_below(said, uid)):
            yield f"{name} is not derived by us"
    if not is_same_below(plain(document, "SeriesInstanceUID"), series):
        yield "SeriesInstanceUID is not that of the study's documents of this kind"
    if plain(document, "SOPInstanceUID") != instance:
        yield "SOPInstanceUID is not that of this content"
    if root_of(plain(document, "SOPInstanceUID")) != root_of(plain(document, "SeriesInstanceUID")):
        yield "SOPInstanceUID and SeriesInstanceUID have different roots"


def is_same_below(uid: str, derived: str) -> bool:
    """Is it this derived UID, below whatever root a site has chosen?"""
    return is_root(root_of(uid)) and number_of(uid) == number_of(derived)


def of_the_reader(document: Dataset) -> Iterator[str]:
    """Device UID and digest of the reader agree."""
    try:
        digest = document.ContributingEquipmentSequence[0].DeviceSerialNumber
        if not is_same_below(plain(document, "DeviceUID"), device_uid(digest)):
            yield "DeviceUID is not that of the reader"
    except (AttributeError, IndexError):
        yield "the reader's digest is missing from the contributing equipment"


def of_the_moment(document: Dataset) -> Iterator[str]:
    """Dates, times and offset have the form that DICOM wants."""
    offset = plain(document, "TimezoneOffsetFromUTC")
    if offset and not is_timezone_offset(offset):
        yield "TimezoneOffsetFromUTC has no valid form"
    for name in ("ContentDate", "InstanceCreationDate"):
        if not _is_date(plain(document, name)):
            yield f"{name} is no date"
    for name in ("ContentTime", "InstanceCreationTime"):
        if re.fullmatch(r"([01]\d|2[0-3])[0-5]\d[0-5]\d", plain(document, name)) is None:
            yield f"{name} is no time"


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 8  # not the form with hyphens
