"""Gray transformations, on files that are written here with every trap that real ones have."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from agent.imaging.gate import judge
from agent.imaging.pixels import UndecodableImage, render
from dicom_node import contexts

RAMP = np.linspace(0, 4095, 64 * 64).astype(np.uint16).reshape(64, 64)  # dark at the top


def make(pixels: np.ndarray, **attributes: Any) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "2.25.1"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated = bits
    dataset.BitsStored = 12 if bits == 16 else bits
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def shown(folder: Path, dataset: Dataset) -> np.ndarray:
    return render(saved(folder, dataset)).pixels


def saved(folder: Path, dataset: Dataset) -> Path:
    path = folder / "film.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def code_of(path: Path) -> str:
    with pytest.raises(UndecodableImage) as caught:
        render(path)
    assert caught.value.explanation == str(caught.value)
    return caught.value.code


def lut(first: int, values: list[int], bits: int = 16) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = values
    item["LUTData"].VR = "US"
    return item


def test_a_linear_window_follows_the_formula_of_the_standard(tmp_path: Path) -> None:
    film = shown(tmp_path, make(RAMP, WindowCenter=2048, WindowWidth=2048))
    expected = np.clip(((RAMP - 2047.5) / 2047 + 0.5), 0, 1) * 255
    assert np.abs(film - expected).max() <= 0.5


def test_linear_exact_and_sigmoid_are_other_curves(tmp_path: Path) -> None:
    exact = shown(tmp_path, make(RAMP, WindowCenter=2048, WindowWidth=2048, VOILUTFunction="LINEAR_EXACT"))
    assert np.abs(exact - np.clip((RAMP - 2048.0) / 2048 + 0.5, 0, 1) * 255).max() <= 0.5
    soft = shown(tmp_path, make(RAMP, WindowCenter=2048, WindowWidth=2048, VOILUTFunction="SIGMOID"))
    assert np.abs(soft - 255 / (1 + np.exp(-4 * (RAMP - 2048.0) / 2048))).max() <= 0.5


def test_the_first_of_several_windows_is_taken(tmp_path: Path) -> None:
    one = shown(tmp_path, make(RAMP, WindowCenter=2048, WindowWidth=2048))
    two = shown(tmp_path, make(RAMP, WindowCenter=[2048, 10], WindowWidth=[2048, 5]))
    assert np.array_equal(one, two)


def test_rescale_comes_before_the_window(tmp_path: Path) -> None:
    plain = shown(tmp_path, make(RAMP, WindowCenter=2048, WindowWidth=2048))
    scaled = make(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3096.5, WindowWidth=4095)
    assert np.abs(shown(tmp_path, scaled).astype(int) - plain).max() <= 1


def test_a_modality_lut_is_looked_up(tmp_path: Path) -> None:
    falling = make(RAMP, ModalityLUTSequence=[lut(0, list(range(4095, -1, -1)))], WindowCenter=2048, WindowWidth=4096)
    plain = shown(tmp_path, make(RAMP, WindowCenter=2048, WindowWidth=4096))
    assert np.abs(shown(tmp_path, falling).astype(int) - (255 - plain.astype(int))).max() <= 1


def test_a_voi_lut_wins_over_a_window(tmp_path: Path) -> None:
    values = [0] * 1024 + [65535 * i // 1023 for i in range(1024)] + [65535] * 2048
    film = shown(tmp_path, make(RAMP, VOILUTSequence=[lut(0, values)], WindowCenter=2048, WindowWidth=4096))
    assert film[RAMP < 1024].max() == 0
    assert film[RAMP > 2048].min() == 255


def test_a_voi_lut_that_declares_more_bits_than_it_uses_fills_the_range(tmp_path: Path) -> None:
    film = render(saved(tmp_path, make(RAMP, VOILUTSequence=[lut(0, list(range(4096)), 16)])))
    assert film.pixels.max() == 255
    assert any("narrower" in note for note in film.notes)


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 20000, "WindowWidth": 100},
        {"WindowCenter": -5, "WindowWidth": 2},
        {"WindowCenter": 2048, "WindowWidth": 1},
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": 1000000},
        {"VOILUTSequence": [lut(0, [7] * 4096)]},
        {},
    ],
)
def test_without_a_usable_window_the_film_still_shows(tmp_path: Path, window: dict[str, Any]) -> None:
    film = render(saved(tmp_path, make(RAMP, **window)))
    assert film.pixels[0, 0] < 10
    assert film.pixels[-1, -1] > 245
    assert 110 < film.pixels.mean() < 145
    assert any("no usable window" in note for note in film.notes)


@pytest.mark.parametrize("edge", [0, 4095])
def test_a_border_does_not_take_part_in_the_fallback_window(tmp_path: Path, edge: int) -> None:
    film = np.random.default_rng(1).normal(1500, 200, (100, 100)).clip(800, 2200).astype(np.uint16)
    bordered = np.full((160, 160), edge, np.uint16)
    bordered[30:130, 30:130] = film
    inside = shown(tmp_path, make(bordered))[30:130, 30:130]
    assert inside.std() > 40
    assert np.isin(inside, (0, 255)).mean() < 0.02


def test_monochrome1_shows_high_values_dark(tmp_path: Path) -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    two = shown(tmp_path, make(RAMP, **window))
    one = shown(tmp_path, make(RAMP, PhotometricInterpretation="MONOCHROME1", **window))
    assert np.abs(one.astype(int) - (255 - two.astype(int))).max() <= 1


@pytest.mark.parametrize(
    ("interpretation", "shape", "dark_first"),
    [
        ("MONOCHROME1", "INVERSE", False),
        ("MONOCHROME1", "IDENTITY", False),
        ("MONOCHROME1", None, False),
        ("MONOCHROME2", "INVERSE", False),
        ("MONOCHROME2", "IDENTITY", True),
        ("MONOCHROME2", "", True),
    ],
)
def test_nothing_is_inverted_twice(tmp_path: Path, interpretation: str, shape: str | None, dark_first: bool) -> None:
    dataset = make(RAMP, PhotometricInterpretation=interpretation)
    if shape is not None:
        dataset.PresentationLUTShape = shape
    film = shown(tmp_path, dataset)
    assert bool(film[0, 0] < film[-1, -1]) == dark_first


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_takes_no_part(tmp_path: Path, interpretation: str) -> None:
    pixels = (RAMP // 8 + 1000).astype(np.uint16)
    pixels[:, :20] = 4000
    dataset = make(pixels, PhotometricInterpretation=interpretation, PixelPaddingValue=4000)
    film = shown(tmp_path, dataset)
    assert film[:, :20].max() == 0
    assert film[:, 20:].std() > 50


def test_a_padding_value_that_is_the_whole_film_is_not_believed(tmp_path: Path) -> None:
    film = shown(tmp_path, make(RAMP, PixelPaddingValue=0, PixelPaddingRangeLimit=4095))
    assert film.max() > 245


def test_signed_values(tmp_path: Path) -> None:
    signed = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    film = shown(tmp_path, make(signed, WindowCenter=0, WindowWidth=4096))
    assert film[0, 0] <= 1
    assert film[-1, -1] >= 254
    masked = (signed.view(np.uint16) & 0x0FFF).view(np.int16)  # the sign bit is bit 11; nothing above it is promised
    assert np.array_equal(shown(tmp_path, make(masked, WindowCenter=0, WindowWidth=4096)), film)


def test_sixteen_signed_bits_from_end_to_end(tmp_path: Path) -> None:
    whole = np.linspace(-32768, 32767, 64 * 64).astype(np.int16).reshape(64, 64)
    film = shown(tmp_path, make(whole, BitsStored=16, HighBit=15))
    assert np.all(np.diff(film.ravel().astype(int)) >= 0)
    assert (film[0, 0], film[-1, -1]) == (0, 255)


def test_an_overlay_above_the_high_bit_is_no_brightness(tmp_path: Path) -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    marked = RAMP.copy()
    marked[5:9, 5:30] |= 0x8000
    assert np.array_equal(shown(tmp_path, make(marked, **window)), shown(tmp_path, make(RAMP, **window)))


def test_bits_stored_that_the_pixels_exceed_are_not_believed(tmp_path: Path) -> None:
    film = render(saved(tmp_path, make((RAMP * 16).astype(np.uint16), BitsStored=10, HighBit=9)))
    assert np.all(np.diff(film.pixels.ravel().astype(int)) >= 0)
    assert any("exceed" in note for note in film.notes)


def test_left_aligned_values(tmp_path: Path) -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    high = make((RAMP << 4).astype(np.uint16), HighBit=15, **window)
    assert np.array_equal(shown(tmp_path, high), shown(tmp_path, make(RAMP, **window)))


def test_a_high_bit_that_cannot_be_is_not_believed(tmp_path: Path) -> None:
    film = render(saved(tmp_path, make(RAMP, BitsStored=20, HighBit=3)))
    assert any("not believed" in note for note in film.notes)


@pytest.mark.parametrize("bits", [10, 14, 15, 16])
def test_other_depths(tmp_path: Path, bits: int) -> None:
    pixels = np.linspace(0, 2**bits - 1, 64 * 64).astype(np.uint16).reshape(64, 64)
    film = shown(tmp_path, make(pixels, BitsStored=bits, HighBit=bits - 1))
    assert abs(float(film.mean()) - 127.5) < 2


def test_eight_bits_without_window_stay_as_they_are(tmp_path: Path) -> None:
    pixels = (RAMP // 16).astype(np.uint8)
    assert np.array_equal(shown(tmp_path, make(pixels)), pixels)


def test_thirty_two_bits(tmp_path: Path) -> None:
    pixels = RAMP.astype(np.uint32) * 100_000
    film = shown(tmp_path, make(pixels))
    assert abs(float(film.mean()) - 127.5) < 2


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_is_shown_like_uncompressed(tmp_path: Path, syntax: str) -> None:
    plain = shown(tmp_path, make(RAMP))
    dataset = make(RAMP)
    dataset.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(shown(tmp_path, dataset), plain)


def test_what_the_door_takes_of_films_has_a_decoder_and_what_it_refuses_has_none() -> None:
    decoded = {syntax for syntax in contexts.TRANSFER_SYNTAXES if _has_decoder(syntax)}
    assert decoded == set(contexts.READABLE)


def _has_decoder(syntax: str) -> bool:
    try:
        return get_decoder(UID(syntax)).is_available
    except NotImplementedError:
        return False


def test_big_endian_is_shown_like_little_endian(tmp_path: Path) -> None:
    dataset = make(RAMP)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = RAMP.astype(">u2").tobytes()
    path = tmp_path / "big.dcm"
    dataset.save_as(path, little_endian=False, implicit_vr=False)
    assert np.array_equal(render(path).pixels, shown(tmp_path, make(RAMP)))


def test_a_file_without_preamble_and_meta_is_read(tmp_path: Path) -> None:
    dataset = make(RAMP)
    expected = shown(tmp_path, dataset)
    bare = Dataset()
    bare.update(dataset)
    path = tmp_path / "bare.dcm"
    pydicom.dcmwrite(path, bare, implicit_vr=True, little_endian=True)
    film = render(path)
    assert np.array_equal(film.pixels, expected)
    assert any(ImplicitVRLittleEndian.name in note for note in film.notes)


def test_gray_stored_as_rgb_is_gray_and_color_is_refused(tmp_path: Path) -> None:
    gray = (RAMP // 16).astype(np.uint8)
    same = np.repeat(gray[:, :, None], 3, axis=2)
    marked = same.copy()
    marked[:2, :8] = (255, 0, 0)  # a small colored mark does not make it a colored picture
    assert np.abs(shown(tmp_path, make(same)).astype(int) - gray).max() <= 1
    assert np.abs(shown(tmp_path, make(marked))[2:].astype(int) - gray[2:]).max() <= 1
    colored = same.copy()
    colored[:, :, 0] = 255 - gray
    assert code_of(saved(tmp_path, make(colored))) == "color-image"


def test_a_gray_palette_is_gray(tmp_path: Path) -> None:
    gray = (RAMP // 16).astype(np.uint8)
    dataset = make(gray, PhotometricInterpretation="PALETTE COLOR")
    for color in ("Red", "Green", "Blue"):
        setattr(dataset, f"{color}PaletteColorLookupTableDescriptor", [256, 0, 16])
        values = np.arange(256, dtype=np.uint16) * 257
        setattr(dataset, f"{color}PaletteColorLookupTableData", values.tobytes())
    assert np.abs(shown(tmp_path, dataset).astype(int) - gray).max() <= 1


def test_orientation_is_told_and_never_applied(tmp_path: Path) -> None:
    turned = render(saved(tmp_path, make(RAMP, PatientOrientation=["F", "R"])))
    assert np.array_equal(turned.pixels, shown(tmp_path, make(RAMP, PatientOrientation=["L", "F"])))
    assert any("Orientation" in note for note in turned.notes)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"NumberOfFrames": 2}, "multi-frame"),
        ({"Rows": 46341, "Columns": 46341}, "absurd-size"),
        ({"Rows": 0}, "absurd-size"),
        ({"Rows": 1, "Columns": 4096}, "absurd-size"),
        ({"Rows": 128}, "truncated-pixels"),
        ({"BitsAllocated": 1}, "unusual-bits"),
        ({"SamplesPerPixel": 4}, "unusual-samples"),
        ({"PixelData": bytes(64 * 64 * 2)}, "blank-image"),
    ],
)
def test_what_cannot_be_a_film_says_why(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    assert code_of(saved(tmp_path, make(RAMP, **change))) == code


def test_no_pixels_no_file_no_dicom(tmp_path: Path) -> None:
    bare = make(RAMP)
    del bare.PixelData
    assert code_of(saved(tmp_path, bare)) == "no-pixels"
    assert code_of(tmp_path / "absent.dcm") == "file-missing"
    (tmp_path / "noise.dcm").write_bytes(np.random.default_rng(3).bytes(5000))
    assert code_of(tmp_path / "noise.dcm") in {"unreadable-file", "no-pixels"}


def test_a_broken_stream_is_undecodable(tmp_path: Path) -> None:
    dataset = make((RAMP // 16).astype(np.uint8))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xe0 this is no picture"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    assert code_of(saved(tmp_path, dataset)) == "undecodable"


@pytest.mark.parametrize("broken", [b"XX", b"UK", b"QQ"])
def test_attributes_with_a_nonsense_vr_are_left_out(tmp_path: Path, broken: bytes) -> None:
    path = saved(tmp_path, make(RAMP, WindowCenter=2048, WindowWidth=4096, PresentationLUTShape="IDENTITY"))
    whole = path.read_bytes()
    for tag in (b"\x28\x00\x50\x10", b"\x50\x20\x20\x00"):
        path.write_bytes(whole.replace(tag + (b"DS" if tag[0] == 0x28 else b"CS"), tag + broken))
        film = render(path)
        assert film.pixels[0, 0] < film.pixels[-1, -1]
        assert any("unreadable" in note for note in film.notes)


def test_no_damage_to_a_header_raises_anything_else(tmp_path: Path) -> None:
    attributes = {"WindowCenter": [2048, 10], "WindowWidth": [4096, 5], "RescaleSlope": 1, "RescaleIntercept": 0}
    sequences = {"VOILUTSequence": [lut(0, list(range(64)))]}
    path = saved(tmp_path, make(RAMP, PixelPaddingValue=5, PatientOrientation=["L", "F"], **attributes, **sequences))
    whole, end = path.read_bytes(), path.stat().st_size - RAMP.nbytes
    random = np.random.default_rng(11)
    films = 0
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[int(random.integers(132, end))] = int(random.integers(256))
        path.write_bytes(damaged)
        try:
            films += render(path).pixels.size > 0
            judge(pydicom.dcmread(path, force=True, stop_before_pixels=True), received=date(2026, 1, 1))
        except UndecodableImage:
            continue
    assert films > 100
