"""What the listener must know of an arrived object: its UIDs, its patient, and whether it is an image.

Only these elements are decoded; the pixels are not touched.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from dicom_node.errors import CannotUnderstand, DatasetMismatch
from dicom_node.uids import is_uid

_TAGS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    "AccessionNumber",
    "DeviceUID",
)

# What pydicom raises on bytes that are no data set; found with hostile files, one by one.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# Retired and current classes whose names say "Image Storage", and those that do not although they carry pictures.
_OTHER_IMAGES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.77.1.4.1",  # Video Photographic Image Storage
        "1.2.840.10008.5.1.4.1.1.481.1",  # RT Image Storage
    }
)


@dataclass(frozen=True, slots=True)
class Header:
    """The elements that decide where an object belongs. Texts are decoded; absent ones are empty."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    accession_number: str
    device_uid: str

    @property
    def is_image(self) -> bool:
        """Does the SOP Class carry pixels that a person looks at? Segmentations and reports do not."""
        return self.sop_class_uid in _OTHER_IMAGES or "Image Storage" in UID(self.sop_class_uid).name


def read_header(path: Path) -> Header:
    """Read the header of a Part 10 file.

    Raises CannotUnderstand: no data set, or no usable SOP Instance or Study Instance UID. Raises OSError where the disk
    is to blame.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
            header = Header(*(_text(dataset, keyword) for keyword in _TAGS[1:]))
    except UNREADABLE as error:
        raise CannotUnderstand(f"no readable data set ({type(error).__name__})") from error
    except OSError as error:
        if error.errno is not None:
            raise  # the disk's trouble; pydicom's own, on bytes that end too early, has no number
        raise CannotUnderstand("no readable data set (it ends too early)") from error
    if not is_uid(header.sop_instance_uid):
        raise CannotUnderstand("SOP Instance UID (0008,0018) absent or no UID")
    if not is_uid(header.study_instance_uid):
        raise CannotUnderstand("Study Instance UID (0020,000D) absent or no UID")
    return header


def agree(header: Header, *, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Hold the data set against the C-STORE request that announced it (PS3.4 B.2.3). Raises DatasetMismatch."""
    if header.sop_instance_uid != sop_instance_uid:
        raise DatasetMismatch("SOP Instance UID of data set and request differ")
    if header.sop_class_uid != sop_class_uid:
        raise DatasetMismatch("SOP Class UID of data set and request differ")


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(" \0")
