"""What peers say in reports on storage commitment, also where they say it badly."""

from __future__ import annotations

import io

import pytest
from pydicom import Dataset, dcmread, dcmwrite

from dicom_node.commitment import read_report


def received(information: Dataset) -> Dataset:
    """As it comes from the wire."""
    stream = io.BytesIO()
    dcmwrite(stream, information, implicit_vr=True, little_endian=True)
    stream.seek(0)
    return dcmread(stream, force=True)


@pytest.mark.parametrize(
    ("said", "taken"), [(0x0112, 0x0112), (None, 0x0110), ([], 0x0110), ([0x0112, 0x0119], 0x0110)]
)
def test_reason_that_is_no_number_is_a_processing_failure(said: object, taken: int) -> None:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.3.1"
    item.FailureReason = said
    information = Dataset()
    information.TransactionUID = "2.25.1"
    information.FailedSOPSequence = [item]
    assert read_report(received(information)).failed == {"1.2.3.1": taken}


def test_failure_without_a_reason_is_a_processing_failure() -> None:
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3.1"
    information = Dataset()
    information.TransactionUID = "2.25.1"
    information.FailedSOPSequence = [item]
    assert read_report(received(information)).failed == {"1.2.3.1": 0x0110}
