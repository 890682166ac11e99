"""Pixel data that are not what the header says, or not whole: a film comes out right, or not at all."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from agent.imaging.codestream import Codestream, examine
from agent.imaging.decoder import DecoderProcess
from agent.imaging.ending import completed
from agent.imaging.pixels import render
from tests.harness import dcmtk
from tests.unit.agent.test_pixels import code_of, make, saved, shown

Y, X = np.mgrid[0:61, 0:47]
PICTURE = (2048 + 1500 * np.sin(X / 9) * np.cos(Y / 11) + np.random.default_rng(5).normal(0, 30, X.shape)).astype(
    np.uint16
)
GRAYS = (PICTURE // 16).astype(np.uint8)
WINDOW = MappingProxyType({"WindowCenter": 2048, "WindowWidth": 4096})


def by_pydicom(syntax: UID) -> Callable[[Path, Dataset], Dataset]:
    def encode(_folder: Path, plain: Dataset) -> Dataset:
        plain.compress(syntax, generate_instance_uid=False)
        return plain

    return encode


def by_dcmtk(*command: str) -> Callable[[Path, Dataset], Dataset]:
    def encode(folder: Path, plain: Dataset) -> Dataset:
        coded = folder / "coded.dcm"
        done = dcmtk.run(*command, saved(folder, plain), coded)
        assert done.returncode == 0, done.stdout
        return dcmread(coded)

    return encode


LOSSLESS = MappingProxyType(
    {
        "JPEG Lossless": by_dcmtk("dcmcjpeg", "+e1"),
        "JPEG-LS": by_pydicom(JPEGLSLossless),
        "JPEG 2000": by_pydicom(JPEG2000Lossless),
        "RLE": by_pydicom(RLELossless),
    }
)
JPEG = MappingProxyType(
    {
        "JPEG baseline": by_dcmtk("dcmcjpeg", "+eb"),
        "JPEG extended": by_dcmtk("dcmcjpeg", "+ee"),
        "JPEG Lossless": LOSSLESS["JPEG Lossless"],
        "JPEG-LS": LOSSLESS["JPEG-LS"],
    }
)
EVERY = MappingProxyType({**JPEG, **LOSSLESS})
TOLD = ("JPEG Lossless", "JPEG-LS", "JPEG 2000")  # RLE says nothing of its size


def stream_of(coded: Dataset) -> bytes:
    return next(generate_frames(coded.PixelData, number_of_frames=1))


def with_stream(coded: Dataset, *streams: bytes, **options: Any) -> Dataset:
    coded.PixelData = encapsulate(list(streams), **options)
    return coded


def photo(values: NDArray[np.uint8], interpretation: str, subsampling: int = 1) -> Dataset:
    """A color photo of the film, as JPEG."""
    written = BytesIO()
    Image.fromarray(values).save(written, "JPEG", quality=95, subsampling=subsampling)
    dataset = make(values, PhotometricInterpretation=interpretation)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([written.getvalue()])
    dataset["PixelData"].VR = "OB"
    return dataset


# --- what is not whole ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_picture_that_ends_too_early_is_no_film(tmp_path: Path, name: str, share: float) -> None:
    """Decoders fill the rest with gray."""
    coded = EVERY[name](tmp_path, make(PICTURE, **WINDOW))
    stream = stream_of(coded)
    cut = with_stream(coded, stream[: int(len(stream) * share)])
    assert code_of(saved(tmp_path, cut)) in {"truncated-pixels", "undecodable"}


@pytest.mark.parametrize("name", ["JPEG baseline", "JPEG-LS"])
@pytest.mark.parametrize("padding", [b"", b"\xff", b"\xff\x00", b"\x00\x00", b"\xff\xff\xff\x00"])
def test_a_picture_that_lacks_its_end_marker_only_is_shown(tmp_path: Path, name: str, padding: bytes) -> None:
    coded = JPEG[name](tmp_path, make(GRAYS))
    right = shown(tmp_path, coded)
    stream = stream_of(coded)
    film = render(saved(tmp_path, with_stream(coded, stream[: stream.rindex(b"\xff\xd9")] + padding)))
    assert np.array_equal(film.pixels, right)
    assert "the compressed picture lacks its end marker and nothing else" in film.notes


@pytest.mark.parametrize("name", ["JPEG baseline", "JPEG-LS"])
@pytest.mark.parametrize("is_blank_below", [False, True])
def test_a_picture_that_lacks_any_byte_before_its_end_marker_is_not_completed(
    tmp_path: Path, name: str, is_blank_below: bool
) -> None:
    grays = GRAYS.copy()
    if is_blank_below:
        grays[30:] = 0
    stream = stream_of(JPEG[name](tmp_path, make(grays)))
    end, begin = stream.rindex(b"\xff\xd9"), stream.index(b"\xff\xda") + 10
    data = stream[:end].rstrip(b"\x00\xff")
    for length in range(begin, len(data)):
        cut = stream[:length]
        told = examine(cut)
        assert told is not None
        assert completed(cut, told) is None, length


@pytest.mark.parametrize("option", [{"progressive": True}, {"restart_marker_blocks": 4}])
def test_where_an_end_marker_alone_cannot_be_told_from_more_it_is_no_film(
    tmp_path: Path, option: dict[str, Any]
) -> None:
    written = BytesIO()
    Image.fromarray(GRAYS).save(written, "JPEG", **option)
    stream = written.getvalue()
    told = examine(stream[:-2])
    assert told is not None
    assert completed(stream[:-2], told) is None
    coded = photo(GRAYS, "MONOCHROME2")
    assert code_of(saved(tmp_path, with_stream(coded, stream[:-2]))) == "truncated-pixels"


@pytest.mark.parametrize("name", ["JPEG baseline", "JPEG-LS"])
@pytest.mark.parametrize("behind", ["preview", "marker"])
def test_what_stands_behind_a_cut_picture_does_not_complete_it(tmp_path: Path, name: str, behind: str) -> None:
    coded = JPEG[name](tmp_path, make(GRAYS))
    stream = stream_of(coded)
    preview = stream_of(photo(GRAYS[::4, ::4], "MONOCHROME2"))
    more = preview if behind == "preview" else b"\xff\x40" + bytes(range(1, 200))
    cut = with_stream(coded, stream[: len(stream) * 3 // 4].rstrip(b"\xff") + more)
    assert code_of(saved(tmp_path, cut)) == "truncated-pixels"


def test_a_preview_behind_the_film_is_left_out(tmp_path: Path) -> None:
    coded = JPEG["JPEG baseline"](tmp_path, make(GRAYS))
    right, stream = shown(tmp_path, coded), stream_of(coded)
    preview = stream_of(photo(GRAYS[::4, ::4], "MONOCHROME2"))
    film = render(saved(tmp_path, with_stream(coded, stream + preview)))
    assert np.array_equal(film.pixels, right)
    assert any("left out" in note for note in film.notes)
    assert code_of(saved(tmp_path, with_stream(coded, stream + preview + stream))) == "multi-frame"
    assert np.array_equal(shown(tmp_path, with_stream(coded, stream + b"\xff\xd8\xff")), right)


def test_damaged_jpeg_ls_is_no_film(tmp_path: Path) -> None:
    """One of the decoders that are installed makes noise of it."""
    coded = LOSSLESS["JPEG-LS"](tmp_path, make(PICTURE, **WINDOW))
    stream = stream_of(coded)
    middle = len(stream) // 2
    assert code_of(saved(tmp_path, with_stream(coded, stream[:middle] + stream[middle + 200 :]))) == "undecodable"


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_file_that_ends_too_early_is_no_film(tmp_path: Path, name: str, share: float) -> None:
    path = saved(tmp_path, LOSSLESS[name](tmp_path, make(PICTURE, **WINDOW)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert code_of(path) in {"no-pixels", "unreadable-file", "truncated-pixels", "undecodable"}


def test_more_pixels_than_the_header_says_are_told(tmp_path: Path) -> None:
    film = render(saved(tmp_path, make(PICTURE, Rows=40, **WINDOW)))
    assert film.pixels.shape == (40, 47)
    assert any("more pixel data than the header says" in note for note in film.notes)
    padded = make(GRAYS)
    assert render(saved(tmp_path, padded)).notes == ("no usable window; 8 bits shown as they are",), "61 x 47 is odd"


# --- what the header says of it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize(
    "lie",
    [
        {"Rows": 30},
        {"Rows": 47, "Columns": 61},
        {"Rows": 5000, "Columns": 5000},
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0},
    ],
)
def test_a_picture_of_another_shape_than_the_header_says_is_no_film(
    tmp_path: Path, name: str, lie: dict[str, Any]
) -> None:
    """Believed, it would be cut, sheared or scrambled, or a decoder would end its process."""
    coded = LOSSLESS[name](tmp_path, make(PICTURE, **WINDOW))
    for keyword, value in lie.items():
        setattr(coded, keyword, value)
    assert code_of(saved(tmp_path, coded)) == "broken-header"


@pytest.mark.parametrize("lie", [{"Rows": 30}, {"Rows": 5000, "Columns": 5000}, {"BitsAllocated": 32}])
def test_rle_of_another_length_ends_no_process(tmp_path: Path, lie: dict[str, Any]) -> None:
    coded = LOSSLESS["RLE"](tmp_path, make(PICTURE, **WINDOW))
    for keyword, value in lie.items():
        setattr(coded, keyword, value)
    assert code_of(saved(tmp_path, coded)) == "undecodable"


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("lie", [{"BitsStored": 10, "HighBit": 9}, {"HighBit": 15}, {"BitsStored": 16, "HighBit": 15}])
def test_bits_that_the_pixels_do_not_have_are_not_believed(tmp_path: Path, name: str, lie: dict[str, Any]) -> None:
    coded = LOSSLESS[name](tmp_path, make(PICTURE, **WINDOW))
    for keyword, value in lie.items():
        setattr(coded, keyword, value)
    assert np.array_equal(shown(tmp_path, coded), shown(tmp_path, make(PICTURE, **WINDOW)))


def test_extended_jpeg_of_more_bits_than_are_said_to_be_stored(tmp_path: Path) -> None:
    coded = JPEG["JPEG extended"](tmp_path, make(PICTURE, **WINDOW))
    right = shown(tmp_path, coded)
    coded.BitsStored, coded.HighBit = 10, 9
    film = render(saved(tmp_path, coded))
    assert np.array_equal(film.pixels, right)
    assert "the compressed picture has more bits than the header says" in film.notes


def test_a_high_bit_above_the_values_is_not_believed(tmp_path: Path) -> None:
    film = render(saved(tmp_path, make(PICTURE, HighBit=15, **WINDOW)))
    assert np.array_equal(film.pixels, shown(tmp_path, make(PICTURE, **WINDOW)))
    assert any("high bit not believed" in note for note in film.notes)


JUNK = np.random.default_rng(6).integers(0, 16, PICTURE.shape).astype(np.uint16)


@pytest.mark.parametrize("low", [JUNK, PICTURE >> 8], ids=["noise", "replicated"])
@pytest.mark.parametrize("surround", [0, 20])
def test_bits_below_left_aligned_values_mean_nothing(tmp_path: Path, low: NDArray[np.uint16], surround: int) -> None:
    """PS3.5 8.1.1 lets a device leave there what it likes."""
    dark = PICTURE.copy()
    dark[:, :surround] = JUNK[:, :surround] * 15 + 20
    left = make(((dark << 4) | low).astype(np.uint16), HighBit=15, **WINDOW)
    film = render(saved(tmp_path, left))
    assert np.array_equal(film.pixels, shown(tmp_path, make(dark, **WINDOW)))
    assert film.notes == ()


@pytest.mark.parametrize("low", [JUNK, PICTURE >> 8], ids=["noise", "replicated"])
def test_bits_below_left_aligned_signed_values_mean_nothing(tmp_path: Path, low: NDArray[np.uint16]) -> None:
    signed, window = PICTURE.astype(np.int16) - 2048, {"WindowCenter": 0, "WindowWidth": 4096}
    left = ((signed.view(np.uint16) << 4) | low).astype(np.uint16).view(np.int16)
    film = render(saved(tmp_path, make(left, HighBit=15, **window)))
    assert np.array_equal(film.pixels, shown(tmp_path, make(PICTURE, **WINDOW)))
    assert film.notes == ()


def test_a_high_bit_above_signed_values_is_not_believed(tmp_path: Path) -> None:
    signed, window = PICTURE.astype(np.int16) - 2048, {"WindowCenter": 0, "WindowWidth": 4096}
    film = render(saved(tmp_path, make(signed, HighBit=15, **window)))
    assert np.array_equal(film.pixels, shown(tmp_path, make(PICTURE, **WINDOW)))
    assert any("high bit not believed" in note for note in film.notes)


@pytest.mark.parametrize("command", [("dcmcjpeg", "+e1"), ("dcmcjpls", "+el"), ("dcmcrle",), ("dcmconv", "+tb")])
def test_left_aligned_values_are_the_same_in_every_coding(tmp_path: Path, command: tuple[str, ...]) -> None:
    left = make((PICTURE << 4).astype(np.uint16), HighBit=15, **WINDOW)
    assert np.array_equal(shown(tmp_path, by_dcmtk(*command)(tmp_path, left)), shown(tmp_path, make(PICTURE, **WINDOW)))


@pytest.mark.parametrize("name", ["JPEG baseline", "JPEG Lossless", "JPEG-LS"])
def test_eight_bits_in_cells_of_sixteen(tmp_path: Path, name: str) -> None:
    coded = JPEG[name](tmp_path, make(GRAYS))
    right = shown(tmp_path, coded)
    coded.BitsAllocated = 16
    assert np.array_equal(shown(tmp_path, coded), right)


@pytest.mark.parametrize("name", ["JPEG Lossless", "JPEG-LS"])
def test_cells_of_thirty_two_bits_end_no_process(tmp_path: Path, name: str) -> None:
    coded = JPEG[name](tmp_path, make(PICTURE, **WINDOW))
    coded.BitsAllocated = 32
    assert np.array_equal(shown(tmp_path, coded), shown(tmp_path, make(PICTURE, **WINDOW)))


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"])
def test_a_stream_that_claims_another_size_asks_for_no_memory(tmp_path: Path, size: bytes) -> None:
    coded = JPEG["JPEG Lossless"](tmp_path, make(PICTURE, **WINDOW))
    stream = bytearray(stream_of(coded))
    frame = stream.find(b"\xff\xc3")
    stream[frame + 5 : frame + 9] = size
    assert code_of(saved(tmp_path, with_stream(coded, bytes(stream)))) == "broken-header"


def test_an_inflating_file_is_stopped_by_the_limit(tmp_path: Path) -> None:
    bomb = make(PICTURE)
    bomb.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    bomb.PixelData = bytes(300 << 20)
    path = saved(tmp_path, bomb)
    assert path.stat().st_size < 1 << 20
    with DecoderProcess(60.0, 128) as decoder:
        with pytest.raises(Exception, match=r"cannot be read as DICOM|needs more memory"):
            decoder.render(path)
        assert decoder.render(saved(tmp_path, make(PICTURE))).pixels.shape == PICTURE.shape


# --- frames and fragments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 0, None])
def test_one_frame_is_one_however_it_is_counted(tmp_path: Path, number: int | None) -> None:
    right = shown(tmp_path, make(PICTURE, **WINDOW))
    assert np.array_equal(shown(tmp_path, make(PICTURE, NumberOfFrames=number, **WINDOW)), right)
    coded = LOSSLESS["JPEG-LS"](tmp_path, make(PICTURE, **WINDOW))
    coded.NumberOfFrames = number
    assert np.array_equal(shown(tmp_path, coded), right)


@pytest.mark.parametrize("has_table", [True, False])
def test_a_frame_in_pieces_is_put_together_and_two_frames_are_no_film(tmp_path: Path, has_table: bool) -> None:
    coded = JPEG["JPEG Lossless"](tmp_path, make(PICTURE, **WINDOW))
    stream = stream_of(coded)
    pieces = with_stream(coded, stream, fragments_per_frame=7, has_bot=has_table)
    assert np.array_equal(shown(tmp_path, pieces), shown(tmp_path, make(PICTURE, **WINDOW)))
    assert code_of(saved(tmp_path, with_stream(coded, stream, stream, has_bot=has_table))) == "multi-frame"


def test_an_extended_offset_table(tmp_path: Path) -> None:
    coded = JPEG["JPEG Lossless"](tmp_path, make(PICTURE, **WINDOW))
    coded.PixelData, coded.ExtendedOffsetTable, coded.ExtendedOffsetTableLengths = encapsulate_extended(
        [stream_of(coded)]
    )
    assert np.array_equal(shown(tmp_path, coded), shown(tmp_path, make(PICTURE, **WINDOW)))
    coded.ExtendedOffsetTable = b"\xff" * 8
    assert code_of(saved(tmp_path, coded)) == "undecodable"


def test_fragments_of_nonsense_are_undecodable(tmp_path: Path) -> None:
    coded = JPEG["JPEG Lossless"](tmp_path, make(PICTURE, **WINDOW))
    good = coded.PixelData
    for place, number in ((4, 0xFFFFFFF0), (12, 0xFFFFFFF0), (12, 3)):  # lengths of the table and of the fragment
        coded.PixelData = good[:place] + struct.pack("<I", number) + good[place + 4 :]
        path = saved(tmp_path, coded)
        assert code_of(path) in {"undecodable", "no-pixels", "unreadable-file", "truncated-pixels"}


# --- color ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interpretation", "subsampling"), [("YBR_FULL_422", 1), ("YBR_FULL_422", 2), ("YBR_FULL", 0), ("RGB", 0)]
)
def test_a_gray_film_as_a_jpeg_photo_in_color(tmp_path: Path, interpretation: str, subsampling: int) -> None:
    film = render(saved(tmp_path, photo(np.repeat(GRAYS[:, :, None], 3, 2), interpretation, subsampling)))
    assert np.abs(film.pixels.astype(int) - GRAYS).mean() < 2
    assert "stored in color, shown as gray" in film.notes


def test_a_photo_in_color_or_of_other_samples_than_it_says_is_no_film(tmp_path: Path) -> None:
    colors = np.repeat(GRAYS[:, :, None], 3, 2)
    said_three = photo(colors, "YBR_FULL_422")
    said_three.PixelData = photo(GRAYS, "MONOCHROME2").PixelData
    assert code_of(saved(tmp_path, said_three)) == "broken-header"
    colors[:, :, 0] = 255 - colors[:, :, 0]
    assert code_of(saved(tmp_path, photo(colors, "YBR_FULL_422"))) == "color-image"
    said_gray = photo(colors, "MONOCHROME2")
    said_gray.SamplesPerPixel = 1
    assert code_of(saved(tmp_path, said_gray)) == "color-image"


def test_a_gray_photo_in_color_that_is_said_to_be_gray(tmp_path: Path) -> None:
    said_gray = photo(np.repeat(GRAYS[:, :, None], 3, 2), "MONOCHROME2")
    said_gray.SamplesPerPixel = 1
    film = render(saved(tmp_path, said_gray))
    assert np.abs(film.pixels.astype(int) - GRAYS).mean() < 2
    assert "the compressed picture is in color, the header says gray" in film.notes


def test_luminance_and_chrominance_without_compression(tmp_path: Path) -> None:
    full = np.full((*GRAYS.shape, 3), 128, np.uint8)
    full[:, :, 0] = GRAYS
    assert np.array_equal(shown(tmp_path, make(full, PhotometricInterpretation="YBR_FULL")), GRAYS)
    even = GRAYS[:, :46]
    packed = np.full((61, 23, 4), 128, np.uint8)
    packed[:, :, 0], packed[:, :, 1] = even[:, ::2], even[:, 1::2]
    halved = make(np.repeat(even[:, :, None], 3, 2), PhotometricInterpretation="YBR_FULL_422")
    halved.PixelData = packed.tobytes()
    assert np.array_equal(shown(tmp_path, halved), even)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"RedPaletteColorLookupTableData": (65535 - np.arange(256) * 257).astype("<u2").tobytes()}, "color-image"),
        ({"RedPaletteColorLookupTableData": bytes(10)}, "undecodable"),
        ({"RedPaletteColorLookupTableDescriptor": [100, 0, 16]}, "undecodable"),
        ({"SamplesPerPixel": 3}, "undecodable"),
    ],
)
def test_a_palette_that_is_colored_or_broken_is_no_film(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    dataset = make(GRAYS, PhotometricInterpretation="PALETTE COLOR")
    for color in ("Red", "Green", "Blue"):
        setattr(dataset, f"{color}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{color}PaletteColorLookupTableData", (np.arange(256) * 257).astype("<u2").tobytes())
    for keyword, value in change.items():
        setattr(dataset, keyword, value)
    assert code_of(saved(tmp_path, dataset)) == code


@pytest.mark.parametrize("word", ["", "GRAY", "monochrome2"])
def test_a_photometric_interpretation_that_is_none_is_no_film(tmp_path: Path, word: str) -> None:
    assert code_of(saved(tmp_path, make(PICTURE, PhotometricInterpretation=word))) == "undecodable"


def test_a_photometric_interpretation_that_is_not_quite_one_is_told(tmp_path: Path) -> None:
    film = render(saved(tmp_path, make(PICTURE, PhotometricInterpretation="MONOCHROME", **WINDOW)))
    assert any("no word of the standard" in note for note in film.notes)


# --- what a stream says of itself -------------------------------------------------------------------------------------


def test_heads_of_streams_are_read_and_nonsense_is_not(tmp_path: Path) -> None:
    for name in TOLD:
        head = examine(stream_of(LOSSLESS[name](tmp_path, make(PICTURE))))
        assert head is not None
        assert (head.rows, head.columns, head.samples, head.is_whole) == (61, 47, 1, True)
    random = np.random.default_rng(7)
    for begin in (b"\xff\xd8", b"\xff\xd8\xff\xff\xc0", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ", b""):
        for length in (0, 1, 7, 60):
            found = examine(begin + random.bytes(length))
            assert found is None or isinstance(found, Codestream)


def test_a_small_picture_in_the_head_is_not_the_end(tmp_path: Path) -> None:
    stream = stream_of(JPEG["JPEG baseline"](tmp_path, make(GRAYS)))
    inside = b"\xff\xe1" + struct.pack(">H", len(stream) + 2) + stream
    whole = b"\xff\xd8" + inside + stream[2:]
    head, cut = examine(whole), examine(whole[:-300])
    assert head is not None
    assert cut is not None
    assert (head.is_whole, head.is_alone, cut.is_whole) == (True, True, False)
