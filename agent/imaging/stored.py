"""From a DICOM file to its stored pixel values (PS3.3 C.7.6.3), as one plane of integers.

Headers lie: every figure is checked against the bytes before memory is asked for.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from agent.imaging.attributes import BROKEN, drop_unreadable, value
from agent.imaging.codestream import Codestream, examine
from agent.imaging.ending import completed
from dicom_node.errors import WetreadError

_LARGEST: Final = 100_000_000  # pixels; the largest films have 25 million
_LONGEST_STRIP: Final = 20  # longer side over shorter one; a reader would enlarge the shorter one to its own size
_COLOR_SPREAD: Final = 16  # gray levels between the channels of one pixel; JPEG alone makes up to about ten
_COLORED_SHARE: Final = 0.005  # of all pixels: a colored mark in a corner, not a colored picture

# Plug-ins in the order in which they are asked; what one refuses the next may take. The fastest first, all of them
# bit-exact. gdcm, which aborts its process on some broken streams, only where it is much the fastest; pylibjpeg not for
# JPEG-LS, where it makes a picture of streams that are damaged.
_PLUGINS: Final = MappingProxyType(
    {
        JPEGLSLossless: ("pyjpegls", "gdcm"),
        JPEGLSNearLossless: ("pyjpegls", "gdcm"),
        JPEG2000Lossless: ("gdcm", "pylibjpeg"),
        JPEG2000: ("gdcm", "pylibjpeg"),
        JPEGLossless: ("gdcm", "pylibjpeg"),
        JPEGLosslessSV1: ("gdcm", "pylibjpeg"),
        RLELossless: ("pylibjpeg", "pydicom"),
        JPEGBaseline8Bit: ("pillow", "pylibjpeg"),
        JPEGExtended12Bit: ("pillow", "pylibjpeg"),
    }
)

# What is kept in cells of Bits Allocated, or decoded into such: Bits Stored says how much of them counts.
_IN_CELLS: Final = frozenset(
    {
        *(ExplicitVRBigEndian, RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless),
        *(JPEGBaseline8Bit, JPEGExtended12Bit),
    }
)
_RUST: Final = "pyo3_runtime"  # whose panics are no Exception

# Everything in the header that decides what the picture looks like.
_DECIDING: Final = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "RescaleType", "VOILUTSequence", "VOILUTFunction"),
    *("WindowCenter", "WindowWidth", "PresentationLUTShape", "PatientOrientation"),
)


class UndecodableImage(WetreadError):
    """No film can be made of this file. `code` is a word for the books; the sentence holds no patient data."""

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(explanation)
        self.code = code
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class Stored:
    """values: (rows, columns) integers, signed where the data are; header: the data set without its pixels' meaning."""

    values: NDArray[Any]
    header: pydicom.Dataset
    notes: tuple[str, ...]


def read(path: Path) -> Stored:
    """Read and decode one single-frame image. Raises UndecodableImage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of every oddity that is handled here
        try:
            dataset = pydicom.dcmread(path, force=True)
        except FileNotFoundError as error:
            raise UndecodableImage("file-missing", "The image file is gone from the store.") from error
        except (MemoryError, *BROKEN) as error:  # a random length field can ask for any memory
            raise UndecodableImage("unreadable-file", "The file cannot be read as DICOM.") from error
        dropped = drop_unreadable(dataset, _DECIDING)
        syntax, notes = _transfer_syntax(dataset)
        notes += tuple(f"unreadable {keyword} ignored" for keyword in dropped)
        _check_shape(dataset)
        return _decode(dataset, syntax, notes)


def _transfer_syntax(dataset: pydicom.Dataset) -> tuple[UID, tuple[str, ...]]:
    meta = getattr(dataset, "file_meta", None)
    if meta is not None and meta.get("TransferSyntaxUID"):
        return UID(str(meta.TransferSyntaxUID)), ()
    implicit, little = dataset.original_encoding
    if implicit:
        guess = ImplicitVRLittleEndian
    else:
        guess = ExplicitVRLittleEndian if little is not False else ExplicitVRBigEndian
    return guess, (f"the file names no transfer syntax; read as {guess.name}",)


def _whole_number(dataset: pydicom.Dataset, keyword: str, default: int | None = None) -> int:
    try:
        found = value(dataset, keyword)
        if found in (None, "") and default is not None:
            return default
        return int(found)
    except (TypeError, ValueError) as error:
        raise UndecodableImage("broken-header", f"The attribute {keyword} is absent or no number.") from error


def _check_shape(dataset: pydicom.Dataset) -> None:
    if "PixelData" not in dataset:
        raise UndecodableImage("no-pixels", "The object has no pixel data, or none of whole numbers.")
    frames = _whole_number(dataset, "NumberOfFrames", 1)
    if frames > 1:
        raise UndecodableImage("multi-frame", f"The object has {frames} frames; a radiograph has one.")
    rows, columns = _whole_number(dataset, "Rows"), _whole_number(dataset, "Columns")
    strip = max(rows, columns) > _LONGEST_STRIP * min(rows, columns)
    if rows < 1 or columns < 1 or rows * columns > _LARGEST or strip:
        raise UndecodableImage("absurd-size", f"The header claims {rows} x {columns} pixels.")
    if _whole_number(dataset, "BitsAllocated") not in {8, 16, 32}:
        raise UndecodableImage("unusual-bits", "Pixels of this number of bits are no gray image.")
    if _whole_number(dataset, "SamplesPerPixel", 1) not in {1, 3}:
        raise UndecodableImage("unusual-samples", "The object has neither one nor three samples a pixel.")


def _decode(dataset: pydicom.Dataset, syntax: UID, notes: tuple[str, ...]) -> Stored:
    try:
        if _is_plain(dataset, syntax):
            values, more = _plain(dataset)
            return Stored(values, dataset, notes + more)
        if syntax != dataset.file_meta.get("TransferSyntaxUID"):
            dataset.file_meta.TransferSyntaxUID = syntax
        values, more = _coded(dataset, syntax)
        notes += more
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            values = apply_color_lut(values, dataset)
        if values.ndim == 3:
            return Stored(_gray(values), dataset, (*notes, "stored in color, shown as gray"))
        if values.ndim != 2 or values.dtype.kind not in "iu":
            raise UndecodableImage("no-gray-image", "The pixel data are no single gray image.")
        return Stored(values, dataset, notes)
    except MemoryError as error:
        raise UndecodableImage("out-of-memory", "Decoding the image needs more memory than it may have.") from error
    except BROKEN as error:
        raise _undecodable(syntax) from error
    except BaseException as error:
        if type(error).__module__ == _RUST:
            raise _undecodable(syntax) from error
        raise


def _undecodable(syntax: UID) -> UndecodableImage:
    return UndecodableImage("undecodable", f"The pixel data cannot be decoded ({syntax.name}).")


def _is_plain(dataset: pydicom.Dataset, syntax: UID) -> bool:
    little = syntax in {ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian}
    gray = str(dataset.get("PhotometricInterpretation", "")).startswith("MONOCHROME")
    return little and gray and _whole_number(dataset, "SamplesPerPixel", 1) == 1


def _plain(dataset: pydicom.Dataset) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Uncompressed gray pixels, five times faster than the general way."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    allocated = int(dataset.BitsAllocated)
    length = rows * columns * allocated // 8
    if len(dataset.PixelData) < length:
        raise UndecodableImage("truncated-pixels", "The pixel data are shorter than the header says.")
    notes = ("more pixel data than the header says; the rest left out",) if len(dataset.PixelData) > length + 1 else ()
    raw = np.frombuffer(dataset.PixelData, dtype=f"<u{allocated // 8}", count=rows * columns).reshape(rows, columns)
    stored = _whole_number(dataset, "BitsStored", allocated)
    high = _whole_number(dataset, "HighBit", stored - 1)
    signed = _whole_number(dataset, "PixelRepresentation", 0) == 1
    values, more = _unpack(raw, stored, high - stored + 1, signed=signed)
    return values, notes + more


def _unpack(raw: NDArray[Any], stored: int, shift: int, *, signed: bool) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Take `stored` bits from bit `shift` on. What lies outside has no meaning (PS3.5 8.1.1): overlays, junk, signs."""
    allocated = raw.dtype.itemsize * 8
    notes: tuple[str, ...] = ()
    if not (1 <= stored <= allocated and 0 <= shift <= allocated - stored):
        notes, stored, shift = ("bits stored and high bit contradict each other; not believed",), allocated, 0
    if shift and _fits_below(raw, stored, signed=signed) and _is_brightness(raw & raw.dtype.type((1 << shift) - 1)):
        notes, shift = ("pixel values lie below the high bit; high bit not believed",), 0
    if stored < allocated and not signed and _is_brightness(raw >> raw.dtype.type(stored + shift)):
        notes, stored, shift = ("pixel values exceed the bits stored; bits stored not believed",), allocated, 0
    if stored == allocated:
        return (raw.view(f"<i{raw.dtype.itemsize}") if signed else raw), notes
    left = allocated - stored - shift
    if signed:  # an arithmetic shift to the right brings the sign along
        return (raw << raw.dtype.type(left)).view(f"<i{raw.dtype.itemsize}") >> (allocated - stored), notes
    return (raw >> raw.dtype.type(shift)) & raw.dtype.type((1 << stored) - 1), notes


def _fits_below(raw: NDArray[Any], stored: int, *, signed: bool) -> bool:
    """Whether every pixel is a number of `stored` bits from bit 0 on. Low bits alone may be noise below the values."""
    if not signed:
        return int(raw.max()) < 1 << stored
    numbers, end = raw.view(f"<i{raw.dtype.itemsize}"), 1 << (stored - 1)
    return -end <= int(numbers.min()) and int(numbers.max()) < end


def _is_brightness(beside: NDArray[Any]) -> bool:
    """Whether so many pixels have bits beside those that count that they are no overlay or padding."""
    return bool(np.count_nonzero(beside) > beside.size // 5 and np.unique(beside[::8, ::8]).size > 2)


def _coded(dataset: pydicom.Dataset, syntax: UID) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Whatever is not plain: compressed, in color, or big-endian."""
    told, notes = _codestream(dataset, syntax) if syntax.is_encapsulated else (None, ())
    if syntax not in _IN_CELLS or _whole_number(dataset, "SamplesPerPixel", 1) != 1:
        return _with_plugin(dataset, syntax), notes
    allocated = _whole_number(dataset, "BitsAllocated")
    if told is not None:
        allocated = 8 if told.bits <= 8 else 16  # gdcm ends its process where a header says more
    whole = {"bits_allocated": allocated, "bits_stored": allocated, "pixel_representation": 0}
    cells = _with_plugin(dataset, syntax, **whole, correct_unused_bits=False, apply_jls_sign_correction=False)
    stored = _whole_number(dataset, "BitsStored", allocated)
    high = _whole_number(dataset, "HighBit", stored - 1)
    if told is not None and high >= told.bits:  # the picture has no such bits
        high = stored - 1
    if told is not None and stored < told.bits < allocated:
        notes += ("the compressed picture has more bits than the header says",)
        stored, high = told.bits, told.bits - 1
    signed = _whole_number(dataset, "PixelRepresentation", 0) == 1
    raw = cells.astype(f"<u{allocated // 8}", copy=False)
    values, more = _unpack(raw, stored, high - stored + 1, signed=signed)
    return values, notes + more


def _codestream(dataset: pydicom.Dataset, syntax: UID) -> tuple[Codestream | None, tuple[str, ...]]:
    """What the compressed picture says of itself. Raises UndecodableImage where it is not what the data set says."""
    frames = list(generate_frames(dataset.PixelData, number_of_frames=1))
    told = examine(frames[0])
    if len(frames) > 1 or (told is not None and not told.is_alone):
        raise UndecodableImage("multi-frame", "The object has several frames; a radiograph has one.")
    if told is None:
        return None, ()
    rows, columns = _whole_number(dataset, "Rows"), _whole_number(dataset, "Columns")
    samples, allocated = _whole_number(dataset, "SamplesPerPixel", 1), _whole_number(dataset, "BitsAllocated")
    is_gray_in_color = syntax == JPEGBaseline8Bit and (samples, told.samples, told.bits, allocated) == (1, 3, 8, 8)
    if is_gray_in_color and dataset.get("PhotometricInterpretation") == "MONOCHROME2":
        samples = 3  # what is no gray is refused once it is decoded
    if (told.rows or rows, told.columns, told.samples) != (rows, columns, samples) or told.bits > allocated:
        raise UndecodableImage(
            "broken-header",
            f"The header says {rows} x {columns} pixels of {samples} x {allocated} bits, the compressed picture "
            f"{told.rows} x {told.columns} of {told.samples} x {told.bits}.",
        )
    notes = _one_whole(dataset, frames[0], told)
    if samples != _whole_number(dataset, "SamplesPerPixel", 1):
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "YBR_FULL_422", 0
        notes += ("the compressed picture is in color, the header says gray",)
    return told, notes


def _one_whole(dataset: pydicom.Dataset, stream: bytes, told: Codestream) -> tuple[str, ...]:
    """Leave nothing but one whole picture in the data set. Raises UndecodableImage where it is not whole."""
    if told.is_whole and told.is_last:
        return ()
    single = stream[: told.end] if told.is_whole else completed(stream, told)
    if single is None:
        raise UndecodableImage("truncated-pixels", "The compressed picture ends too early.")
    dataset.PixelData = encapsulate([single])
    for table in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        dataset.pop(table, None)
    if told.is_whole:
        return ("a smaller or larger picture follows the film; left out",)
    return ("the compressed picture lacks its end marker and nothing else",)


def _with_plugin(dataset: pydicom.Dataset, syntax: UID, **options: Any) -> NDArray[Any]:
    """options: of pydicom's decoder, where the data set is not believed."""
    decoder = get_decoder(syntax)
    plugins = [one for one in _PLUGINS.get(syntax, ()) if one in decoder.available_plugins]
    for plugin in plugins[:-1]:
        with suppress(*BROKEN):
            return np.asarray(decoder.as_array(dataset, decoding_plugin=plugin, **options)[0])
    return np.asarray(decoder.as_array(dataset, decoding_plugin=plugins[-1] if plugins else "", **options)[0])


def _gray(colors: NDArray[Any]) -> NDArray[np.uint8]:
    """Gray out of red, green and blue, where the picture has no color to lose."""
    if colors.dtype.itemsize > 1:
        colors = (colors >> (8 * (colors.dtype.itemsize - 1))).astype(np.uint8)
    spread = colors.max(axis=2).astype(np.int16) - colors.min(axis=2)
    if np.count_nonzero(spread > _COLOR_SPREAD) > _COLORED_SHARE * spread.size:
        raise UndecodableImage("color-image", "The picture is in color; a radiograph is gray.")
    return np.asarray(np.rint(colors @ np.array([0.299, 0.587, 0.114])), dtype=np.uint8)
