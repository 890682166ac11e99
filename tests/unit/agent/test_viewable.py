"""Films for a person's screen: the small picture and every value, of every encoding that films come in."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from agent.imaging.pixels import UndecodableImage, render
from agent.imaging.viewable import MAGIC, Look, describe, facts
from tests.unit.agent.test_pixels import RAMP, lut, make, saved

BROAD = np.linspace(0, 4095, 1500 * 2100).astype(np.uint16).reshape(1500, 2100)


def parsed(answer: bytes) -> tuple[dict[str, Any], NDArray[np.uint16]]:
    """The answer read as deploy/docs/viewer.md describes it: header, and the place of every pixel."""
    plain = gzip.decompress(answer)
    assert plain[:4] == MAGIC
    (length,) = struct.unpack("<I", plain[4:8])
    header = json.loads(plain[8 : 8 + length])
    shape = header["height"], header["width"]
    planes = np.frombuffer(plain[8 + length :], dtype=np.uint8).reshape(header["planes"], *shape)
    differences = sum(plane.astype(np.uint32) << (8 * place) for place, plane in enumerate(planes))
    places = np.cumsum(differences, axis=1) % (1 << 8 * header["planes"])
    return header, places.astype(np.uint16)


def values_of(answer: bytes) -> NDArray[np.float64]:
    """Every pixel after the Modality LUT."""
    header, places = parsed(answer)
    if "list" in header:
        return np.array(header["list"])[places]
    stored = header["lowest"] + (places.astype(np.int64) << header["step"])
    return np.asarray(stored * header["slope"] + header["intercept"])


def seen(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(Look().preview(path))))


@pytest.mark.parametrize("syntax", [None, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_every_value_survives_every_lossless_encoding(tmp_path: Path, syntax: str | None) -> None:
    dataset = make(RAMP, WindowCenter=2048, WindowWidth=2048)
    if syntax:
        dataset.compress(syntax)

    answer = Look().values(saved(tmp_path, dataset))

    assert np.array_equal(values_of(answer), RAMP)
    assert parsed(answer)[0]["shown"] == {"function": "LINEAR", "center": 2048.0, "width": 2048.0}


@pytest.mark.parametrize(
    ("pixels", "change"),
    [
        (np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64), {}),
        (np.arange(-32768, 32768, 16, dtype=np.int16).reshape(64, 64), {"BitsStored": 16, "HighBit": 15}),
        (np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64), {"BitsStored": 16, "HighBit": 15}),
        (np.arange(4096, dtype=np.uint16).reshape(64, 64) % 251, {}),
        ((np.arange(4096) % 256).astype(np.uint8).reshape(64, 64), {}),
        (np.full((64, 64), 77, dtype=np.uint16), {}),
    ],
    ids=["12 bits signed", "16 bits signed", "16 bits", "few values", "8 bits", "one value"],
)
def test_every_depth_and_sign_arrives_as_it_was(tmp_path: Path, pixels: NDArray[Any], change: dict[str, Any]) -> None:
    answer = Look().values(saved(tmp_path, make(pixels, **change)))

    assert np.array_equal(values_of(answer), pixels)
    assert parsed(answer)[0]["planes"] == (1 if int(pixels.max()) - int(pixels.min()) < 256 else 2)


def test_rescale_and_a_modality_lut_give_the_values_of_the_standard(tmp_path: Path) -> None:
    scaled = Look().values(saved(tmp_path, make(RAMP, RescaleSlope="0.5", RescaleIntercept="-1024")))
    assert np.array_equal(values_of(scaled), RAMP * 0.5 - 1024)

    table = [(value * value) // 4095 for value in range(4096)]
    looked_up = Look().values(saved(tmp_path, make(RAMP, ModalityLUTSequence=[lut(0, table)])))
    assert np.array_equal(values_of(looked_up), np.array(table)[RAMP])


def test_a_slope_that_is_no_number_is_no_slope(tmp_path: Path) -> None:
    broken = make(RAMP, WindowCenter=2048, WindowWidth=4096)
    broken.add_new("RescaleSlope", "DS", "1e400")
    broken.add_new("RescaleIntercept", "DS", "0")

    assert np.array_equal(values_of(Look().values(saved(tmp_path, broken))), RAMP)


def test_voi_luts_are_told_as_grays_of_every_place(tmp_path: Path) -> None:
    first, second = [lut(0, [int(65535 * (i / 4095) ** power) for i in range(4096)]) for power in (2, 3)]
    first.LUTExplanation, second.LUTExplanation = "CHEST", "BONE"
    path = saved(tmp_path, make(RAMP, VOILUTSequence=[first, second]))

    header, places = parsed(Look().values(path))

    grays = [np.frombuffer(base64.b64decode(one["grays"]), "<u2")[places] for one in header["voi"]]
    assert [one["explanation"] for one in header["voi"]] == ["CHEST", "BONE"]
    assert np.array_equal(grays[1], (65535 * (RAMP / 4095) ** 3).astype(np.uint16))
    assert header["shown"] is None  # the first VOI LUT
    assert np.abs(grays[0] / 257 - render(path).pixels).max() <= 0.51


def test_low_values_that_are_bright_and_padding_are_told(tmp_path: Path) -> None:
    padded = RAMP.copy()
    padded[:4] = 0
    header, _ = parsed(
        Look().values(saved(tmp_path, make(padded, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0)))
    )
    assert header["inverted"] is True
    assert header["padding"] == [0, 0]

    inverse = saved(tmp_path, make(RAMP, PresentationLUTShape="INVERSE"))
    assert parsed(Look().values(inverse))[0]["inverted"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"WindowCenter": 2048, "WindowWidth": 2000},
        {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 1000, "WindowWidth": 900},
        {"VOILUTSequence": [lut(0, [65535 * (i > 2000) for i in range(4096)])], "PresentationLUTShape": "INVERSE"},
        {},
    ],
    ids=["window", "inverted", "lut", "none"],
)
def test_the_small_picture_has_the_grays_that_the_reader_sees(tmp_path: Path, change: dict[str, Any]) -> None:
    path = saved(tmp_path, make(BROAD, **change))

    small, film = seen(path), render(path).pixels

    assert small.shape == (731, 1024)
    assert np.abs(small.mean() - film.mean()) < 1
    for row, column in ((20, 20), (300, 500), (360, 100), (700, 1000)):
        y, x = (row * 1500 // 731), (column * 2100 // 1024)
        assert abs(int(small[row, column]) - film[y : y + 3, x : x + 3].mean()) < 8


def test_a_small_film_is_not_made_larger(tmp_path: Path) -> None:
    assert seen(saved(tmp_path, make(RAMP, WindowCenter=2048, WindowWidth=4096))).shape == (64, 64)


def test_a_blank_film_is_shown_to_eyes_although_no_reader_gets_it(tmp_path: Path) -> None:
    path = saved(tmp_path, make(np.full((64, 64), 500, dtype=np.uint16)))

    with pytest.raises(UndecodableImage):
        render(path)
    assert set(np.unique(seen(path))) == {0}
    assert "blank, or nothing but black and white" in parsed(Look().values(path))[0]["notes"]


def test_a_film_is_decoded_once_for_both_and_another_one_takes_its_place(tmp_path: Path) -> None:
    look = Look()
    first, second = tmp_path / "1.dcm", tmp_path / "2.dcm"
    make(RAMP).save_as(first, enforce_file_format=True)
    make(4095 - RAMP).save_as(second, enforce_file_format=True)
    look.preview(first)
    first.unlink()

    assert np.array_equal(values_of(look.values(first)), RAMP)
    assert np.array_equal(values_of(look.values(second)), 4095 - RAMP)
    with pytest.raises(UndecodableImage) as caught:
        look.values(first)
    assert caught.value.code == "file-missing"


def test_a_film_in_jpeg_says_that_it_is_lossy() -> None:
    name = get_testdata_file("SC_rgb_small_odd_jpeg.dcm")
    found = facts(dcmread(name, stop_before_pixels=True))

    assert found["lossy"] == {"ratio": None}
    assert dcmread(name).file_meta.TransferSyntaxUID == JPEGBaseline8Bit


def test_the_header_says_what_stands_beside_a_film(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        make(
            RAMP,
            Modality="DX",
            ViewPosition="PA",
            ImageLaterality="U",
            PatientOrientation=["L", "F"],
            BodyPartExamined="CHEST",
            AcquisitionDate="20260101",
            AcquisitionTime="101500.5",
            ImagerPixelSpacing=[0.143, 0.143],
            LossyImageCompression="01",
            LossyImageCompressionRatio=[4, 2.5],
            WindowCenter=[2048, 1000],
            WindowWidth=[4096, 0],
            WindowCenterWidthExplanation=["NORMAL", "BROKEN"],
            PatientName="Doe^Jane",
        ),
    )

    found = json.loads(describe(path))

    assert found["windows"] == [{"function": "LINEAR", "center": 2048.0, "width": 4096.0, "explanation": "NORMAL"}]
    assert found["spacing"] == {"row": 0.143, "column": 0.143, "at": "detector"}
    assert found["lossy"] == {"ratio": 10.0}
    assert found["taken"] == "2026-01-01 10:15"
    assert [
        found[name] for name in ("view", "laterality", "orientation", "body_part", "modality", "width", "bits")
    ] == [
        *("PA", "U", ["L", "F"], "CHEST", "DX", 64, 12),
    ]
    assert "Doe" not in json.dumps(found)


@pytest.mark.parametrize("nonsense", ["00000000", "20261301", "20260230", "99999999"])
def test_a_date_that_is_no_day_gives_way_to_the_next_one(nonsense: str) -> None:
    header = Dataset()
    header.add_new("AcquisitionDate", "DA", nonsense)
    header.add_new("AcquisitionTime", "TM", "101500")
    assert facts(header)["taken"] == ""

    header.add_new("StudyDate", "DA", "20260102")
    header.add_new("StudyTime", "TM", "0930")
    assert facts(header)["taken"] == "2026-01-02 09:30"


def test_a_header_of_nonsense_says_nothing(tmp_path: Path) -> None:
    header = Dataset()
    header.add_new("PatientOrientation", "CS", ["<b>", "F"])
    header.add_new("ViewPosition", "CS", "P\x07A" + "x" * 500)
    header.add_new("PixelSpacing", "DS", ["0", "-1"])
    header.add_new("WindowCenter", "DS", ["1e400", "3"])
    header.add_new("StudyDate", "DA", "yesterday")

    found = facts(header)

    assert (found["orientation"], found["spacing"], found["windows"], found["taken"]) == ([], None, [], "")
    assert found["view"] == "PA" + "x" * 62
    with pytest.raises(UndecodableImage) as caught:
        describe(tmp_path / "absent.dcm")
    assert caught.value.code == "file-missing"
