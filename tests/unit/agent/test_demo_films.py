"""What a person names as a film is looked at before anything starts."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pydicom.data
import pytest
from pydicom import Dataset, dcmread

from agent.demo import films
from agent.demo.phantom import film
from dicom_node.errors import ConfigurationError, NotFound


def new_film() -> Dataset:
    numbers = count(1)
    return film(
        1, now=datetime(2026, 11, 22, tzinfo=UTC), new_uid=lambda: f"2.25.9{next(numbers)}", rows=96, columns=80
    )


def test_a_dicom_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    new_film().save_as(path, enforce_file_format=True)

    assert films.usable(path, tmp_path) == path


@pytest.mark.parametrize("implicit", [True, False])
def test_a_bare_data_set_gets_file_meta_information(tmp_path: Path, implicit: bool) -> None:
    image, path = new_film(), tmp_path / "bare"
    del image.file_meta
    image.save_as(path, implicit_vr=implicit, little_endian=True)

    made = dcmread(films.usable(path, tmp_path))

    assert made.file_meta.TransferSyntaxUID.is_implicit_VR == implicit
    assert made.PixelData == image.PixelData
    assert made.SOPInstanceUID == image.SOPInstanceUID


@pytest.mark.parametrize("content", [b"", b"no film" * 100, bytes(132) + b"DICM", b"\x89PNG" + bytes(500)])
def test_what_is_no_film_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"chest radiograph|dcmconv"):
        films.usable(path, tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        films.usable(tmp_path / "none.dcm", tmp_path)


def test_without_internet_one_sentence_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(_name: str) -> None:
        print("retrying, retrying")
        raise OSError("no route")

    monkeypatch.setattr(pydicom.data, "get_testdata_file", fails)

    with pytest.raises(NotFound, match="is there internet"):
        films.real_film()
    assert capfd.readouterr() == ("", "")
