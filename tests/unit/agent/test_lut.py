"""Look-up tables, rescaling and padding as they stand in real and in broken files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from agent.imaging.lut import table_of
from agent.imaging.pixels import Film, render
from tests.unit.agent.test_pixels import RAMP, make, saved, shown

WHOLE = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
SIGNED = (RAMP.astype(np.int16) - 2048).astype(np.int16)
SIXTEEN = MappingProxyType({"BitsStored": 16, "HighBit": 15})
WINDOW = MappingProxyType({"WindowCenter": 2048, "WindowWidth": 4096})


def lut(values: Sequence[int] | bytes, number: int, *, first: int = 0, bits: int = 16, vr: str = "US") -> Dataset:
    """values: as US, or bytes as OW. number: what the descriptor says; vr: of the descriptor."""
    item = Dataset()
    item.LUTDescriptor = [number, first, bits]
    item["LUTDescriptor"].VR = vr
    if isinstance(values, bytes):
        item.add_new("LUTData", "OW", values)
    else:
        item.LUTData = list(values)
        item["LUTData"].VR = "US"
    return item


def film_of(folder: Path, dataset: Dataset) -> Film:
    return render(saved(folder, dataset))


def difference(film: Film, other: np.ndarray) -> int:
    return int(np.abs(film.pixels.astype(int) - other).max())


# --- VOI LUT ----------------------------------------------------------------------------------------------------------


def test_a_table_of_more_places_than_grays(tmp_path: Path) -> None:
    """4096 entries of 8 bits, as older CR devices write them."""
    film = film_of(tmp_path, make(RAMP, VOILUTSequence=[lut([i // 16 for i in range(4096)], 4096, bits=8)]))
    assert difference(film, RAMP // 16) <= 1
    assert film.notes == ()


def as_words(values: np.ndarray) -> Sequence[int]:
    return values.tolist()  # 128 KiB, which US has no room for in explicit VR: it is written as UN


def as_bytes(values: np.ndarray) -> bytes:
    return values.astype("<u2").tobytes()


@pytest.mark.parametrize("written", [as_words, as_bytes])
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_no_entries_are_65536(tmp_path: Path, written: Callable[[np.ndarray], Any], keyword: str) -> None:
    table = lut(written(np.arange(65536)), 0)
    film = film_of(tmp_path, make(WHOLE, **{keyword: [table]}, WindowCenter=32768, WindowWidth=65536, **SIXTEEN))
    assert difference(film, WHOLE // 257) <= 1
    assert film.notes == ()


def test_a_table_in_implicit_vr_and_one_in_big_endian(tmp_path: Path) -> None:
    table = np.arange(4096) * 16
    implicit = make(RAMP, VOILUTSequence=[lut(as_bytes(table), 4096)])
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert difference(film_of(tmp_path, implicit), RAMP // 16) <= 1

    big = make(RAMP, VOILUTSequence=[lut(table.astype(">u2").tobytes(), 4096)])
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    big.PixelData = RAMP.astype(">u2").tobytes()
    path = tmp_path / "big.dcm"
    big.save_as(path, little_endian=False, implicit_vr=False)
    assert difference(render(path), RAMP // 16) <= 1


@pytest.mark.parametrize("packed", [True, False])
def test_entries_of_eight_bits_in_bytes_or_words(tmp_path: Path, packed: bool) -> None:
    falling = np.arange(256)[::-1]
    data = falling.astype(np.uint8).tobytes() if packed else as_bytes(falling)
    gray = (RAMP // 16).astype(np.uint8)
    film = film_of(tmp_path, make(gray, VOILUTSequence=[lut(data, 256, bits=8)]))
    assert np.array_equal(film.pixels, 255 - gray)


@pytest.mark.parametrize(("first", "vr"), [(-2048, "SS"), (63488, "US")])
def test_the_first_value_of_a_signed_film_is_signed(tmp_path: Path, first: int, vr: str) -> None:
    table = lut((np.arange(4096) * 16).tolist(), 4096, first=first, vr=vr)
    assert difference(film_of(tmp_path, make(SIGNED, VOILUTSequence=[table])), RAMP // 16) <= 1


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_the_first_value_is_signed_where_no_pixel_is_below_zero(tmp_path: Path, keyword: str) -> None:
    table = lut((np.arange(4196) * 15).tolist(), 4196, first=65536 - 100)
    window = {"WindowCenter": 32768, "WindowWidth": 65536}
    film = film_of(tmp_path, make(RAMP.astype(np.int16), **{keyword: [table]}, **window, **SIXTEEN))
    assert difference(film, (RAMP + 100) * 15 // 257) <= 1
    assert film.notes == ()


def test_the_first_value_is_unsigned_where_rescaling_leaves_what_is_signed(tmp_path: Path) -> None:
    table = lut((np.arange(4096) * 16).tolist(), 4096, first=40000)
    film = film_of(tmp_path, make(SIGNED, VOILUTSequence=[table], RescaleSlope=1, RescaleIntercept=42048))
    assert difference(film, RAMP // 16) <= 1


def test_values_beside_the_table_get_its_ends(tmp_path: Path) -> None:
    """Also those which are 65536 and more beyond it, after rescaling."""
    ends = lut([i * 65535 // 19999 for i in range(20000)], 20000)
    film = shown(tmp_path, make(RAMP, VOILUTSequence=[ends], RescaleSlope=40, RescaleIntercept=-30000))
    values = RAMP * 40.0 - 30000
    assert film[values <= 0].max() == 0
    assert film[values > 19999].min() == 255
    assert values.max() > 65536 + 19999


def test_a_table_that_uses_more_bits_than_it_declares_fills_the_range(tmp_path: Path) -> None:
    film = film_of(tmp_path, make(RAMP, VOILUTSequence=[lut([i * 16 for i in range(4096)], 4096, bits=8)]))
    assert difference(film, RAMP // 16) <= 1
    assert "VOI LUT wider than declared" in film.notes


@pytest.mark.parametrize(
    "broken",
    [
        lut(range(100), 4096),
        lut(range(100), 0),
        lut(range(4096), 4096, bits=0),
        lut(range(4096), 4096, bits=65535),
        lut(b"", 4096),
        Dataset(),
    ],
)
def test_a_broken_table_is_told_and_the_window_taken(tmp_path: Path, broken: Dataset) -> None:
    film = film_of(tmp_path, make(RAMP, VOILUTSequence=[broken], **WINDOW))
    assert np.array_equal(film.pixels, shown(tmp_path, make(RAMP, **WINDOW)))
    assert film.notes == ("broken VOI LUT ignored",)
    without = film_of(tmp_path, make(RAMP, VOILUTSequence=[broken]))
    assert without.notes[0] == "broken VOI LUT ignored"
    assert "no usable window" in without.notes[1]

    modality = film_of(tmp_path, make(RAMP, ModalityLUTSequence=[broken], **WINDOW))
    assert modality.notes == ("broken modality LUT or rescale ignored",)


def test_monochrome1_is_inverted_after_both_tables(tmp_path: Path) -> None:
    falling = lut([65535 - i * 16 for i in range(4096)], 4096)
    rising = lut(as_bytes(np.arange(65536)), 0)
    plain = shown(tmp_path, make(RAMP, VOILUTSequence=[lut([i * 16 for i in range(4096)], 4096)]))
    both = make(RAMP, PhotometricInterpretation="MONOCHROME1", ModalityLUTSequence=[falling], VOILUTSequence=[rising])
    assert difference(film_of(tmp_path, both), plain) <= 1


def test_a_table_has_no_more_entries_than_it_says() -> None:
    table = table_of(lut(range(100), 10, first=5), signed=False)
    assert (table.first, table.entries.tolist(), table.bits) == (5, list(range(10)), 16)
    assert table.look_up(np.array([-9, 5, 6, 14, 15, 1 << 40])).tolist() == [0, 0, 1, 9, 9, 9]


# --- rescale ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slope", "intercept", "note"),
    [
        ("0", "0", "modality LUT or rescale without contrast ignored"),
        ("0", "1024", "modality LUT or rescale without contrast ignored"),
        ("nan", "0", "broken modality LUT or rescale ignored"),
        ("1e400", "0", "broken modality LUT or rescale ignored"),
        ("2", None, "broken modality LUT or rescale ignored"),
        (None, "5", "broken modality LUT or rescale ignored"),
        ("2\\3", "0", "broken modality LUT or rescale ignored"),
        ("", "", ""),
    ],
)
def test_a_rescale_that_says_nothing_is_told(
    tmp_path: Path, slope: str | None, intercept: str | None, note: str
) -> None:
    dataset = make(RAMP, **WINDOW)
    for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if value is not None:
            dataset.add_new(keyword, "DS", value)
    film = film_of(tmp_path, dataset)
    assert np.array_equal(film.pixels, shown(tmp_path, make(RAMP, **WINDOW)))
    assert film.notes == ((note,) if note else ())


def test_a_falling_rescale_turns_the_grays(tmp_path: Path) -> None:
    film = shown(tmp_path, make(RAMP, RescaleSlope=-1, RescaleIntercept=4095, **WINDOW))
    assert np.abs(film.astype(int) - (255 - shown(tmp_path, make(RAMP, **WINDOW)).astype(int))).max() <= 1


# --- padding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("vr", "value"), [("SS", -32768), ("US", 32768)])
def test_padding_of_signed_values_is_found_in_either_vr(tmp_path: Path, vr: str, value: int) -> None:
    padded = (WHOLE.astype(np.int32) // 4 - 8192).astype(np.int16)
    padded[:20] = -32768
    dataset = make(padded, **SIXTEEN)
    dataset.add_new("PixelPaddingValue", vr, value)
    film = shown(tmp_path, dataset)
    assert film[:20].max() == 0
    assert film[20:].std() > 60


@pytest.mark.parametrize(("vr", "value"), [("SS", -1), ("US", [0, 1]), ("US", 65535), ("US", None)])
def test_padding_that_no_pixel_has_changes_nothing(tmp_path: Path, vr: str, value: Any) -> None:
    dataset = make(RAMP, **WINDOW)
    dataset.add_new("PixelPaddingValue", vr, value)
    assert np.array_equal(shown(tmp_path, dataset), shown(tmp_path, make(RAMP, **WINDOW)))


def test_a_padding_value_above_the_bits_stored(tmp_path: Path) -> None:
    """What lies above is cut off of the pixels, and so of the value: PS3.3 C.7.5.1.1.2."""
    padded = (RAMP // 2 + 1024).astype(np.uint16)
    padded[:20] = 0xF000
    film = shown(tmp_path, make(padded, PixelPaddingValue=0xF000))
    assert film[:20].max() == 0
    assert film[20:].std() > 60
