"""What is read of an arrived object, whatever its bytes are."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.errors import CannotUnderstand, DatasetMismatch
from dicom_node.headers import agree, read_header

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
