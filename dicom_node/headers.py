"""What the listener must know of an arrived object: its UIDs, its patient, and whether it is an image.

Only these elements are decoded; the pixels are not touched, and not inflated either: an object of half a MiB may hold
a GiB of zeros.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from dicom_node.errors import CannotUnderstand, DatasetMismatch
from dicom_node.files import dataset_offset
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
_LAST_TAG = 0x0020000E  # of the above

_BLOCK = 1 << 16
_HEADER_BYTES = 8 << 20  # room for a dozen overlays; a radiograph's header has some KiB
_FIRST_PIXELS = 0x7FE00001  # the pixel data group, extended offset table included
_LONGEST_TEXT = 1024  # VR LO has 64 characters; devices write more

# What pydicom raises on bytes that are no data set; found with hostile files, one by one.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
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

    Raises CannotUnderstand: no data set, no usable SOP Instance or Study Instance UID, texts that no database takes, or
    a deflated header of more than 8 MiB. Raises OSError where the disk is to blame.
    """
    with _reading():
        if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            dataset = _inflated_header(path, before=_LAST_TAG + 1, only=_TAGS)
        else:
            dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        header = Header(*(_text(dataset, keyword) for keyword in _TAGS[1:]))
    if not is_uid(header.sop_instance_uid):
        raise CannotUnderstand("SOP Instance UID (0008,0018) absent or no UID")
    if not is_uid(header.study_instance_uid):
        raise CannotUnderstand("Study Instance UID (0020,000D) absent or no UID")
    _must_fit(header.sop_class_uid, "SOP Class UID (0008,0016)", 64)
    _must_fit(header.patient_id, "Patient ID (0010,0020)", _LONGEST_TEXT)
    _must_fit(header.issuer_of_patient_id, "Issuer of Patient ID (0010,0021)", _LONGEST_TEXT)
    _must_fit(header.accession_number, "Accession Number (0008,0050)", _LONGEST_TEXT)
    # Nothing is decided by these two alone; a device's bad habit must not cost the film.
    return replace(
        header,
        series_instance_uid=_uid_or_nothing(header.series_instance_uid),
        device_uid=_uid_or_nothing(header.device_uid),
    )


def open_header(path: Path) -> Dataset:
    """The whole header of a Part 10 file, pixels left out, from at most 8 MiB of its data set (inflated).

    Raises CannotUnderstand: no data set, or none whose pixels, or end, come within that. Raises OSError where the disk
    is to blame. Single elements may still be unreadable when they are asked for.
    """
    with _reading():
        meta = read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            dataset = _inflated_header(path, before=_FIRST_PIXELS)
            dataset.file_meta = meta
            return dataset
        with path.open("rb") as stream:
            head = stream.read(dataset_offset(path) + _HEADER_BYTES)
            more = bool(stream.read(1))
        stop = _Stop(_FIRST_PIXELS)
        opened = read_partial(BytesIO(head), stop_when=stop)
        stop.must_be_reached(unless_whole=not more)
        return opened


def agree(header: Header, *, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Hold the data set against the C-STORE request that announced it (PS3.4 B.2.3). Raises DatasetMismatch."""
    if header.sop_instance_uid != sop_instance_uid:
        raise DatasetMismatch("SOP Instance UID of data set and request differ")
    if header.sop_class_uid != sop_class_uid:
        raise DatasetMismatch("SOP Class UID of data set and request differ")


class _Stop:
    """Stops pydicom before the first element of the data set that is not wanted, and remembers whether it came."""

    def __init__(self, before: int) -> None:
        self._before = before
        self._reached = False

    def __call__(self, tag: BaseTag, _vr: str | None, _length: int) -> bool:
        self._reached = self._reached or tag >= self._before
        return self._reached

    def must_be_reached(self, *, unless_whole: bool) -> None:
        if not (self._reached or unless_whole):
            raise CannotUnderstand(f"the header has more than {_HEADER_BYTES >> 20} MiB")


def _inflated_header(path: Path, *, before: int, only: Sequence[str] = ()) -> Dataset:
    """The elements of a deflated data set (PS3.5 A.5) before a tag, from a beginning that fits into memory."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    with path.open("rb") as stream:
        stream.seek(dataset_offset(path))
        head = bytearray()
        while len(head) < _HEADER_BYTES and not inflate.eof and (block := stream.read(_BLOCK)):
            head += inflate.decompress(block, _HEADER_BYTES - len(head))
    stop = _Stop(before)
    dataset = read_dataset(BytesIO(head), False, True, stop_when=stop, specific_tags=list(map(Tag, only)) or None)
    stop.must_be_reached(unless_whole=inflate.eof)
    return dataset


@contextmanager
def _reading() -> Iterator[None]:
    """What pydicom raises on bad bytes, as CannotUnderstand."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote what stands in the header
            yield
    except UNREADABLE as error:
        raise CannotUnderstand(f"no readable data set ({type(error).__name__})") from error
    except OSError as error:
        if error.errno is not None:
            raise  # the disk's trouble; pydicom's own, on bytes that end too early, has no number
        raise CannotUnderstand("no readable data set (it ends too early)") from error


def _must_fit(text: str, name: str, longest: int) -> None:
    """PostgreSQL takes neither NUL nor lone surrogates. Raises CannotUnderstand."""
    if len(text) > longest:
        raise CannotUnderstand(f"{name} is too long")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise CannotUnderstand(f"{name} holds control characters")


def _uid_or_nothing(text: str) -> str:
    return text if is_uid(text) else ""


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(" \0")
