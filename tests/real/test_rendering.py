"""Real chest films come out upright, not mirrored, not inverted and well windowed; hostile files come out as words.

The regions are fractions of the film and were placed by eye; every judgement is shown able to fail.
"""

from __future__ import annotations

import hashlib
import os
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import HTJ2KLossless

from agent.imaging.decoder import DecoderProcess
from agent.imaging.gate import judge
from agent.imaging.pixels import Film, UndecodableImage, render
from agent.imaging.stored import _with_plugin

DATA = Path(os.environ.get("WETREAD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
CHESTS = ("cxr", "RG1_J2KI", "NIH_DX_no_finding", "SIIM_CR_jpegbaseline")

# top, bottom, left, right
RIGHT_LUNG = (0.30, 0.50, 0.20, 0.36)
LEFT_LUNG = (0.30, 0.50, 0.64, 0.80)
MEDIASTINUM = (0.45, 0.65, 0.46, 0.56)
HEART = (0.58, 0.70, 0.56, 0.66)
MIRRORED_HEART = (0.58, 0.70, 0.34, 0.44)
ABDOMEN = (0.88, 0.96, 0.30, 0.70)
NECK = (0.04, 0.12, 0.30, 0.70)

pytestmark = pytest.mark.real


def film_of(name: str) -> Film:
    return render(DATA / "dicom" / "cr_dx" / f"{name}.dcm")


def gray(pixels: np.ndarray, region: tuple[float, float, float, float]) -> float:
    rows, columns = pixels.shape
    top, bottom, left, right = region
    part = pixels[int(top * rows) : int(bottom * rows), int(left * columns) : int(right * columns)]
    return float(np.median(part))


def is_positive(pixels: np.ndarray) -> bool:
    """Air is dark, bone and blood are bright."""
    darker = min(gray(pixels, MEDIASTINUM), gray(pixels, ABDOMEN)) - 50
    return gray(pixels, RIGHT_LUNG) < darker and gray(pixels, LEFT_LUNG) < darker


def is_upright(pixels: np.ndarray) -> bool:
    """The abdomen below is thicker than the neck above."""
    return gray(pixels, ABDOMEN) > gray(pixels, NECK) + 20


def is_unmirrored(pixels: np.ndarray) -> bool:
    """The heart lies on the right of the picture, which is the patient's left."""
    return gray(pixels, HEART) > gray(pixels, MIRRORED_HEART) + 5


def is_well_windowed(pixels: np.ndarray) -> bool:
    """Most of the gray scale is used, next to nothing is cut off, and the middle is neither dark nor pale."""
    low, middle, high = np.percentile(pixels, (1, 50, 99))
    clipped = np.isin(pixels, (0, 255)).mean()
    return bool(high - low >= 150 and clipped < 0.02 and 60 <= middle <= 215)


@pytest.mark.parametrize("name", CHESTS)
def test_a_chest_film_looks_as_on_a_light_box(name: str) -> None:
    pixels = film_of(name).pixels
    assert is_positive(pixels)
    assert is_upright(pixels)
    assert is_unmirrored(pixels)
    assert is_well_windowed(pixels)


@pytest.mark.parametrize("name", CHESTS)
def test_the_judgements_see_a_spoiled_film(name: str) -> None:
    pixels = film_of(name).pixels
    assert not is_positive(255 - pixels)
    assert not is_upright(pixels[::-1])
    assert not is_unmirrored(pixels[:, ::-1])
    assert not is_well_windowed((pixels // 3).astype(np.uint8))
    assert not is_well_windowed(np.clip(pixels.astype(int) * 3 - 255, 0, 255).astype(np.uint8))


def test_a_wrong_photometric_tag_is_followed_until_the_image_gate_sees_pixels() -> None:
    """The same pixels as SIIM_CR_jpegbaseline, tagged MONOCHROME1: only the picture itself can tell."""
    right, wrong = film_of("SIIM_CR_jpegbaseline").pixels, film_of("Fake_MONOHR1").pixels
    assert np.abs(wrong.astype(int) - (255 - right.astype(int))).max() <= 1
    assert not is_positive(wrong)


def test_a_film_without_preamble_is_the_same_film() -> None:
    bare = film_of("CR-MONO1-10-chest_nopreamble")
    assert np.array_equal(bare.pixels, film_of("cxr").pixels)
    assert any("no transfer syntax" in note for note in bare.notes)


def test_every_transfer_syntax_of_one_film_gives_the_same_picture() -> None:
    lossless = [film_of(f"RG3_{name}").pixels for name in ("JLSL", "JPLL", "RLE")]
    assert all(np.array_equal(lossless[0], other) for other in lossless[1:])
    for lossy in ("RG3_J2KI", "RG3_JLSN"):
        assert np.abs(film_of(lossy).pixels.astype(int) - lossless[0]).mean() < 2


def test_high_throughput_jpeg_2000_gives_the_values_of_another_decoder() -> None:
    """The digest is that of what OpenJPH 0.26.3 makes of the same stream, of 480 x 640 pixels in color."""
    path = DATA / "dicom" / "odd" / "HTJ2KLossless_08_RGB.dcm"
    values = _with_plugin(pydicom.dcmread(path), HTJ2KLossless)
    assert values.shape == (480, 640, 3)
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    assert digest == "9d87240604f5d7522c6a8056ace6cefc2c8d6d0b07bd6e7303d5e5b21af9a49e"
    with pytest.raises(UndecodableImage) as caught:
        render(path)
    assert caught.value.code == "color-image"


def test_a_blank_film_is_refused() -> None:
    with pytest.raises(UndecodableImage) as caught:
        film_of("agfa_hand_voilut_blank")
    assert caught.value.code == "blank-image"


def test_no_file_ends_the_decoder() -> None:
    files = sorted((DATA / "dicom").glob("*/*"))
    assert len(files) == 96
    codes = []
    with DecoderProcess(30.0, 1024) as decoder:
        for file in files:
            try:
                codes.append(decoder.render(file).pixels.dtype.name)
            except UndecodableImage as error:
                codes.append(error.code)
    assert codes.count("uint8") >= 30
    assert not {"decoder-crashed", "decode-timeout", "out-of-memory"} & set(codes)


def test_the_gate_lets_through_only_chests() -> None:
    read = set()
    for file in sorted((DATA / "dicom").glob("*/*")):
        try:
            header = pydicom.dcmread(file, force=True, stop_before_pixels=True)
        except OSError:  # one file ends in the middle of a tag
            continue
        if judge(header, received=date(2026, 11, 22)).decision == "read":
            read.add(file.stem)
    assert read == {
        "CR-MONO1-10-chest_nopreamble",
        "Fake_MONOHR1",
        "RG1_J2KI",
        "SIIM_CR_jpegbaseline",
        "chrJapMulti",  # headers of chest films; their pixels are missing, which rendering says
        "chrJapMultiExplicitIR6",
        "cxr",
    }
