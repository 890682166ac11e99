"""What comes is written, or dropped and told: never taken for whole when it is not."""

from __future__ import annotations

from pathlib import Path

from pynetdicom.dimse_primitives import C_STORE

from dicom_node import parts


def test_object_of_which_a_part_could_not_be_written_is_told(tmp_path: Path) -> None:
    """A full disk says so when the bytes are handed over; what is in the file then may look like the whole object."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        part = parts.Part(lambda: full, tmp_path / "nowhere")
        part.write(b"film")
        part.file.flush()
        part.write(b"film")
        part.close()
    request = C_STORE()
    request._dataset_file = part  # type: ignore[assignment]
    trouble = parts.trouble_of(request)
    assert trouble is not None
    assert trouble.strerror == "No space left on device"
    assert parts.trouble_of(C_STORE()) is None
