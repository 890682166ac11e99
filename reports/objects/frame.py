"""What all our documents have in common: identity, equipment, references, UIDs, and the bytes of the file.

A `document` here is a Dataset without file meta information; `encode` makes the Part 10 file of it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, BasicTextSRStorage, ExplicitVRLittleEndian

from dicom_node.errors import WetreadError
from dicom_node.kinds import FINAL, Kind, Stage
from dicom_node.uids import ROOT, derived_uid, root_of, under
from reports.charset import UTF_8
from reports.config import ReportsConfig
from reports.source import OPTIONAL, SEQUENCES, TYPE_2, joined

DRAFT_SERIES = "AI DRAFT - NOT VERIFIED"
FINAL_SERIES = "REPORT - VERIFIED"
NOTICE_SERIES = "NO AI DRAFT"
REJECTION_SERIES = "REJECTED AI DRAFTS"

IDENTITY = tuple(
    sorted(
        {*TYPE_2, *OPTIONAL, *SEQUENCES, "TimezoneOffsetFromUTC"}
        - {
            "Modality",
            "BodyPartExamined",
            "ViewPosition",
            "PlacerOrderNumberImagingServiceRequest",
            "FillerOrderNumberImagingServiceRequest",
        }
    )
)
_EQUIPMENT = (
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "DeviceUID",
    "ContributingEquipmentSequence",
)
_BYTES = frozenset({"OB", "OW", "UN"})
_IMPLEMENTATION_UID = derived_uid("implementation", "wetread")


class NotEncodable(WetreadError):
    """A document cannot be written without loss of characters."""


def copy_identity(target: Dataset, source: Dataset) -> None:
    """Copy patient, study and order identity, byte for byte, from a normalized film or from one of our documents."""
    target.SpecificCharacterSet = source.get("SpecificCharacterSet") or UTF_8  # wanted; `settle_charset` decides
    target.StudyInstanceUID = source.StudyInstanceUID
    for keyword in IDENTITY:
        if keyword in source:
            setattr(target, keyword, source[keyword].value)


def copy_equipment(target: Dataset, document: Dataset) -> None:
    """Name the same program and the same reader as another of our documents does."""
    for keyword in _EQUIPMENT:
        if keyword in document:
            setattr(target, keyword, document[keyword].value)


def series_number(kind: Kind, stage: Stage, config: ReportsConfig) -> int:
    """Series Number: far from those of devices, another one for each kind, ten higher once a person has signed."""
    final = stage in FINAL
    return config.series_number + list(Kind).index(kind) + (10 if final else 20 if stage is Stage.NOTICE else 0)


def series_uid(study_instance_uid: str, sop_class_uid: str, stage: Stage, *, root: str = ROOT) -> str:
    """Series of a study's documents of one class: drafts, signed reports and notices are never in one series.

    Viewers fail on series with several SOP classes, and show a final in a draft's series as a draft.
    """
    final = stage in FINAL
    return under(root, derived_uid("series", study_instance_uid, sop_class_uid, "final" if final else stage.value))


def draft_series_uid(study_instance_uid: str) -> str:
    """Series of a study's drafts in Basic Text SR."""
    return series_uid(study_instance_uid, BasicTextSRStorage, Stage.DRAFT)


def content_uid(document: Dataset, what: str) -> str:
    """SOP Instance UID that a document with this content has: whoever changes a letter gets another one.

    It stands below the root of the document's series.

    what: a word that tells kinds apart, such as `draft` or `tid1500 draft`.
    """
    own = {"SOPInstanceUID", "SeriesInstanceUID"}
    content = Dataset({element.tag: element for element in document if element.keyword not in own})
    digest = hashlib.sha256(_explicit_little_endian(content)).hexdigest()
    reader = document.ContributingEquipmentSequence[0].DeviceSerialNumber
    uid = derived_uid(document.StudyInstanceUID, str(document.InstanceNumber), what, reader, digest)
    return under(root_of(document.SeriesInstanceUID) or ROOT, uid)


def stamp(document: Dataset, moment: datetime) -> None:
    """Set Content and Instance Creation Date and Time. moment: in the zone that people at the site read."""
    document.InstanceCreationDate = document.ContentDate = f"{moment:%Y%m%d}"
    document.InstanceCreationTime = document.ContentTime = f"{moment:%H%M%S}"


def local(moment: datetime, source: Dataset, config: ReportsConfig) -> datetime:
    """Convert to the source's time zone where it names one, else to the configured one.

    Raises ValueError: a naive moment.
    """
    if moment.tzinfo is None:
        raise ValueError("the moment needs a time zone")
    return moment.astimezone(_zone(source, config))


def evidence(films: Iterable[Dataset]) -> list[Dataset]:
    """Hierarchical references to images or documents (PS3.3 C.17.2.1), grouped by study and series, in order."""
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for film in films:
        of_study = studies.setdefault(str(film.StudyInstanceUID), {})
        of_study.setdefault(str(film.SeriesInstanceUID), []).append(reference(film))
    return [_study_item(uid, series) for uid, series in studies.items()]


def reference(instance: Dataset) -> Dataset:
    """SOP Instance Reference Macro (PS3.3 10.8)."""
    item = Dataset()
    item.ReferencedSOPClassUID = instance.SOPClassUID
    item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return item


def encode(document: Dataset) -> bytes:
    """Write a Part 10 file in Explicit VR Little Endian. Same dataset, same bytes.

    Raises NotEncodable where a character would be lost; pydicom alone writes '?' and warns.
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = document.SOPClassUID
    meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "WETREAD"
    copy = Dataset({element.tag: element for element in document})
    copy.file_meta = meta
    buffer = io.BytesIO()
    copy.save_as(buffer, enforce_file_format=True)
    written = buffer.getvalue()
    if not _is_same(dcmread(io.BytesIO(written)), document):
        raise NotEncodable("the document reads back differently than it was written; it holds what DICOM cannot carry")
    return written


def _is_same(read: Dataset, written: Dataset) -> bool:
    """Element by element, as texts: what a reader of the file sees is what was meant."""
    if read.keys() != written.keys():
        return False
    for element in written:
        other = read[element.tag]
        if element.VR == "SQ":
            if len(element.value) != len(other.value) or not all(map(_is_same, other.value, element.value)):
                return False
        elif element.VR in _BYTES:
            if bytes(element.value or b"") != bytes(other.value or b""):
                return False
        elif joined(element.value) != joined(other.value):
            return False
    return True


def _study_item(uid: str, series: dict[str, list[Dataset]]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = uid
    study.ReferencedSeriesSequence = [_series_item(*pair) for pair in series.items()]
    return study


def _series_item(uid: str, references: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedSOPSequence = list(references)
    return item


def _zone(source: Dataset, config: ReportsConfig) -> tzinfo:
    offset = source.get("TimezoneOffsetFromUTC", "")
    if not offset:
        return UTC if config.time_zone == "UTC" else ZoneInfo(config.time_zone)
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _explicit_little_endian(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    return buffer.getvalue()
