"""What is read of an arrived object, whatever its bytes are."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.errors import CannotUnderstand, DatasetMismatch
from dicom_node.headers import agree, open_header, read_header

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def encoded(syntax: str = ExplicitVRLittleEndian, **elements: object) -> bytes:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID, image.StudyInstanceUID = DX, "1.2.3", "1.2"
    image.PatientID, image.IssuerOfPatientID, image.AccessionNumber = "P1 ", "X", "A1"
    for keyword, value in elements.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.file_meta.MediaStorageSOPClassUID, image.file_meta.MediaStorageSOPInstanceUID = DX, "1.2.3"
    stream = io.BytesIO()
    dcmwrite(stream, image, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "object.dcm"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_header_is_read(path: Path, syntax: str) -> None:
    path.write_bytes(encoded(syntax))
    header = read_header(path)
    assert (header.patient_id, header.issuer_of_patient_id, header.accession_number) == ("P1", "X", "A1")
    assert (header.study_instance_uid, header.series_instance_uid, header.device_uid) == ("1.2", "", "")
    assert header.is_image


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "../../etc/passwd", "1." * 40 + "1"])
def test_object_without_usable_uids_is_not_understood(path: Path, keyword: str, value: str | None) -> None:
    path.write_bytes(encoded(**{keyword: value}))
    with pytest.raises(CannotUnderstand, match="absent or no UID"):
        read_header(path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.integers(0, 400))
@example(b"V", 257)  # a value whose length does not fit its representation: an exception of pydicom's own kind
def test_no_bytes_raise_anything_else(path: Path, noise: bytes, place: int) -> None:
    whole = encoded()
    start = 300 + place % (len(whole) - 300)  # behind the meta information, which pynetdicom writes itself
    path.write_bytes(whole[:start] + noise + whole[start + len(noise) // 2 :])
    with suppress(CannotUnderstand):
        read_header(path)


def test_request_and_data_set_must_agree(path: Path) -> None:
    path.write_bytes(encoded())
    header = read_header(path)
    agree(header, sop_class_uid=DX, sop_instance_uid="1.2.3")
    with pytest.raises(DatasetMismatch, match="SOP Instance UID"):
        agree(header, sop_class_uid=DX, sop_instance_uid="1.2.4")
    with pytest.raises(DatasetMismatch, match="SOP Class UID"):
        agree(header, sop_class_uid=f"{DX}.1", sop_instance_uid="1.2.3")


@pytest.mark.parametrize(
    ("sop_class", "is_image"),
    [
        (DX, True),
        ("1.2.840.10008.5.1.4.1.1.7", True),  # Secondary Capture
        ("1.2.840.10008.5.1.4.1.1.3", True),  # Ultrasound Multi-frame, retired
        ("1.2.840.10008.5.1.4.1.1.481.1", True),  # RT Image
        ("1.2.840.10008.5.1.4.1.1.88.11", False),  # Basic Text SR
        ("1.2.840.10008.5.1.4.1.1.66.4", False),  # Segmentation
        ("1.2.840.10008.5.1.4.1.1.11.1", False),  # Grayscale Softcopy Presentation State
        ("1.2.826.0.1.3680043.10.77", False),  # private
    ],
)
def test_images_and_others(path: Path, sop_class: str, is_image: bool) -> None:
    path.write_bytes(encoded(SOPClassUID=sop_class))
    assert read_header(path).is_image is is_image


def test_bytes_that_end_inside_a_sequence_are_the_objects_fault(path: Path) -> None:
    """pydicom raises OSError for them; answered as disk trouble they would be sent again for ever."""
    path.write_bytes(encoded() + b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff")
    with pytest.raises(CannotUnderstand, match="ends too early"):
        read_header(path)


def test_trouble_of_the_disk_is_not_the_objects_fault(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_header(path)


# --- what PostgreSQL would refuse -------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID", "AccessionNumber", "SOPClassUID"])
def test_texts_that_no_database_takes_are_the_objects_fault(path: Path, keyword: str) -> None:
    whole = encoded(**{keyword: "AB1234567"})
    assert b"AB1234567" in whole
    path.write_bytes(whole.replace(b"AB1234567", b"AB\x001234567"[:9]))
    with pytest.raises(CannotUnderstand, match=r"\(00"):
        read_header(path)


@pytest.mark.parametrize(("keyword", "length"), [("SOPClassUID", 66), ("PatientID", 70000)])
def test_texts_without_an_end_are_the_objects_fault(path: Path, keyword: str, length: int) -> None:
    path.write_bytes(encoded(ImplicitVRLittleEndian, **{keyword: "1" * length}))
    with pytest.raises(CannotUnderstand, match="too long"):
        read_header(path)


@pytest.mark.parametrize("value", ["1" * 66, "not-a-uid", "1.2\x003", ["1.2", "1.3"]])
@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "DeviceUID"])
def test_uid_that_decides_nothing_counts_as_absent_where_it_is_none(path: Path, keyword: str, value: object) -> None:
    path.write_bytes(encoded(**{keyword: value}))
    header = read_header(path)
    assert (header.series_instance_uid, header.device_uid) == ("", "")


# --- the header of a deflated object ----------------------------------------------------------------------------------

BOMB = 300 << 20


def deflated(*, before_pixels: bytes = b"", zeros: int = 0) -> bytes:
    """An object whose pixels, or something before them, are so many zeros."""
    whole = encoded()
    start = whole.index(b"\x08\x00\x16\x00UI")
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID, image.file_meta.MediaStorageSOPInstanceUID = DX, "1.2.3"
    stream = io.BytesIO()
    dcmwrite(stream, image, enforce_file_format=True)
    press = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    meta = stream.getvalue()[: -len(press.copy().flush())]
    head = press.compress(whole[start:] + before_pixels)
    return meta + head + b"".join(press.compress(bytes(1 << 20)) for _ in range(zeros >> 20)) + press.flush()


PIXELS = b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", BOMB)
PRIVATE = b"\x09\x00\x10\x00LO\x04\x00ACME\x09\x00\x10\x10OB\0\0" + struct.pack("<I", BOMB)


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that Python's allocator held at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_deflated_pixels_are_not_inflated_for_the_header(path: Path) -> None:
    path.write_bytes(deflated(before_pixels=PIXELS, zeros=BOMB))
    assert path.stat().st_size < 1 << 20

    def read() -> None:
        assert read_header(path).patient_id == "P1"
        assert open_header(path).PatientID.strip() == "P1"

    assert peak_of(read) < 64 << 20


def test_header_that_inflates_without_end_is_not_understood(path: Path) -> None:
    path.write_bytes(deflated(before_pixels=PRIVATE, zeros=BOMB))

    def read() -> None:
        with pytest.raises(CannotUnderstand, match="MiB"):
            read_header(path)
        with pytest.raises(CannotUnderstand, match="MiB"):
            open_header(path)

    assert peak_of(read) < 64 << 20


def test_deflated_object_without_pixels_is_read_to_its_end(path: Path) -> None:
    path.write_bytes(deflated())
    assert read_header(path).accession_number == "A1"
    assert open_header(path).AccessionNumber == "A1"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_opened_header_is_the_whole_header_without_pixels(path: Path, syntax: str) -> None:
    path.write_bytes(
        encoded(
            syntax,
            SpecificCharacterSet="ISO_IR 192",
            PatientName="김^희중",
            Rows=2,
            BitsAllocated=8,
            PixelData=b"\0" * 8,
        )
    )
    opened = open_header(path)
    expected = dcmread(path, stop_before_pixels=True)
    assert opened == expected
    assert opened.file_meta.TransferSyntaxUID == syntax
    assert str(opened.PatientName) == "김^희중"
    assert "PixelData" not in opened


def test_opened_header_larger_than_its_limit_is_not_understood(path: Path) -> None:
    path.write_bytes(encoded(EncapsulatedDocument=bytes(10 << 20)))
    assert read_header(path).patient_id == "P1", "the listener takes every class"
    with pytest.raises(CannotUnderstand, match="MiB"):
        open_header(path)


def test_deflated_bytes_that_are_none_are_not_understood(path: Path) -> None:
    whole = deflated()
    path.write_bytes(whole[:-40] + b"\xff" * 40)
    for read in (read_header, open_header):
        with pytest.raises(CannotUnderstand):
            read(path)
