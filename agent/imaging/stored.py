"""From a DICOM file to its stored pixel values (PS3.3 C.7.6.3), as one plane of integers.

Headers lie: every figure is checked against the bytes before memory is asked for.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
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
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from agent.imaging.attributes import BROKEN, drop_unreadable, value
from dicom_node.errors import WetreadError

_LARGEST: Final = 100_000_000  # pixels; the largest films have 25 million
_COLOR_SPREAD: Final = 16  # gray levels between the channels of one pixel; JPEG alone makes up to about ten
_COLORED_SHARE: Final = 0.005  # of all pixels: a colored mark in a corner, not a colored picture

# The fastest of the plug-ins that are installed, all of them bit-exact; pydicom's own order differs. For JPEG baseline
# the one that survives broken streams: gdcm aborts its process on some.
_PLUGINS: Final = MappingProxyType(
    {
        JPEGLSLossless: "pyjpegls",
        JPEGLSNearLossless: "pyjpegls",
        JPEG2000Lossless: "gdcm",
        JPEG2000: "gdcm",
        JPEGLossless: "gdcm",
        JPEGLosslessSV1: "gdcm",
        RLELossless: "pylibjpeg",
        JPEGBaseline8Bit: "pillow",
    }
)

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
    if rows < 1 or columns < 1 or rows * columns > _LARGEST:
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
        values = _with_plugin(dataset, syntax)
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
        raise UndecodableImage("undecodable", f"The pixel data cannot be decoded ({syntax.name}).") from error


def _is_plain(dataset: pydicom.Dataset, syntax: UID) -> bool:
    little = syntax in {ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian}
    gray = str(dataset.get("PhotometricInterpretation", "")).startswith("MONOCHROME")
    return little and gray and _whole_number(dataset, "SamplesPerPixel", 1) == 1


def _plain(dataset: pydicom.Dataset) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Uncompressed gray pixels, five times faster than the general way."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    allocated = int(dataset.BitsAllocated)
    if len(dataset.PixelData) < rows * columns * allocated // 8:
        raise UndecodableImage("truncated-pixels", "The pixel data are shorter than the header says.")
    raw = np.frombuffer(dataset.PixelData, dtype=f"<u{allocated // 8}", count=rows * columns).reshape(rows, columns)
    stored = _whole_number(dataset, "BitsStored", allocated)
    high = _whole_number(dataset, "HighBit", stored - 1)
    signed = _whole_number(dataset, "PixelRepresentation", 0) == 1
    return _unpack(raw, stored, high - stored + 1, signed=signed)


def _unpack(raw: NDArray[Any], stored: int, shift: int, *, signed: bool) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Take `stored` bits from bit `shift` on. What lies outside has no meaning (PS3.5 8.1.1): overlays, junk, signs."""
    allocated = raw.dtype.itemsize * 8
    notes: tuple[str, ...] = ()
    if not (1 <= stored <= allocated and 0 <= shift <= allocated - stored):
        notes, stored, shift = ("bits stored and high bit contradict each other; not believed",), allocated, 0
    if stored < allocated and not signed and _uses_bits_above(raw, stored + shift):
        notes, stored, shift = ("pixel values exceed the bits stored; bits stored not believed",), allocated, 0
    if stored == allocated:
        return (raw.view(f"<i{raw.dtype.itemsize}") if signed else raw), notes
    left = allocated - stored - shift
    if signed:  # an arithmetic shift to the right brings the sign along
        return (raw << raw.dtype.type(left)).view(f"<i{raw.dtype.itemsize}") >> (allocated - stored), notes
    return (raw >> raw.dtype.type(shift)) & raw.dtype.type((1 << stored) - 1), notes


def _uses_bits_above(raw: NDArray[Any], end: int) -> bool:
    """Whether so many pixels have bits above `end` that they are brightness and not an overlay or padding."""
    if end >= raw.dtype.itemsize * 8:
        return False
    above = raw >> raw.dtype.type(end)
    return bool(np.count_nonzero(above) > raw.size // 5 and np.unique(above[::8, ::8]).size > 2)


def _with_plugin(dataset: pydicom.Dataset, syntax: UID) -> NDArray[Any]:
    decoder = get_decoder(syntax)
    plugin = _PLUGINS.get(syntax, "")
    if plugin not in decoder.available_plugins:
        return np.asarray(decoder.as_array(dataset)[0])
    try:
        return np.asarray(decoder.as_array(dataset, decoding_plugin=plugin)[0])
    except BROKEN:
        return np.asarray(decoder.as_array(dataset)[0])  # slower plug-ins forgive other defects


def _gray(colors: NDArray[Any]) -> NDArray[np.uint8]:
    """Gray out of red, green and blue, where the picture has no color to lose."""
    if colors.dtype.itemsize > 1:
        colors = (colors >> (8 * (colors.dtype.itemsize - 1))).astype(np.uint8)
    spread = colors.max(axis=2).astype(np.int16) - colors.min(axis=2)
    if np.count_nonzero(spread > _COLOR_SPREAD) > _COLORED_SHARE * spread.size:
        raise UndecodableImage("color-image", "The picture is in color; a radiograph is gray.")
    return np.asarray(np.rint(colors @ np.array([0.299, 0.587, 0.114])), dtype=np.uint8)
