"""From a DICOM file to an 8-bit film: what a radiologist would see, 0 black, bone white.

All gray transformations work on the list of values that occur, not on the pixels; a last look-up gives the film.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pydicom
from numpy.typing import NDArray

from agent.imaging.attributes import BROKEN, first
from agent.imaging.impression import Impression
from agent.imaging.lut import table_of
from agent.imaging.stored import Stored, UndecodableImage, read

__all__ = ["Curve", "Developed", "Film", "UndecodableImage", "curve_of", "develop", "digest_of", "render", "voi_lut"]

_TABLE: Final = 1 << 16  # values; wider data lose their lowest bits
_LEAST_GRAYS_SHARE: Final = 0.10  # of the pixels must be neither black nor white
_LEAST_SPREAD: Final = 48  # gray levels that the film must use, its outermost percents aside
_SPIKE: Final = 0.01  # of the pixels in one extreme value: border, collimator or saturation, no anatomy
_PERCENTILES: Final = (0.5, 99.5)
_WIDE_8_BIT: Final = 96  # gray levels between those percentiles: made for display already

_FARTHEST: Final = float(1 << 40)  # beyond any table

_KINDS: Final = ("u1", "i1", "<u2", "<i2", "<u4", "<i4")

_Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Film:
    """pixels: (rows, columns) uint8, 0 is black, bone is white, orientation as stored; notes: what was assumed.

    digest: of the stored values; the same for the same picture under other UIDs, headers and lossless compressions.
    impression: what the pixels say to the gate; None where nobody has looked yet.
    """

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...]
    digest: str = ""
    impression: Impression | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """A VOI LUT Function with its window (PS3.3 C.11.2.1.2 and C.11.2.1.3), in values after the Modality LUT."""

    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
    center: float
    width: float

    def grays(self, values: _Values) -> _Values:
        """From 0 to 1. The width is positive, of LINEAR at least 1."""
        if self.function == "SIGMOID":
            return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - self.center) / self.width, -60.0, 60.0))))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.center) / self.width + 0.5, 0.0, 1.0)
        if self.width == 1:
            return (values > self.center - 0.5).astype(np.float64)
        return np.clip((values - (self.center - 0.5)) / (self.width - 1.0) + 0.5, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class _Scale:
    """One way to see the film. grays: (values,) from 0 to 1 for every value that can occur; curve: None for a table."""

    grays: _Values
    notes: tuple[str, ...] = ()
    curve: Curve | None = None


@dataclass(frozen=True, slots=True)
class Developed:
    """A film with the list of values that can occur; the stored value of a place is `lowest + (place << step)`.

    indices: (rows, columns) places in that list, from 0; values: (n,) after the Modality LUT; padded: (n,) bool.
    grays: (n,) from 0 to 1, 0 is black; curve: what made them, before `inverted`; None: the first VOI LUT.
    span: where the anatomy lies, lowest and highest value.
    """

    indices: NDArray[Any]
    lowest: int
    step: int
    values: _Values
    padded: NDArray[np.bool_]
    grays: _Values
    curve: Curve | None
    inverted: bool
    span: tuple[float, float]
    notes: tuple[str, ...]

    def film(self) -> NDArray[np.uint8]:
        """(rows, columns), 8 bits, 0 is black; padding is black."""
        lookup = np.rint(np.clip(self.grays, 0.0, 1.0) * 255).astype(np.uint8)
        lookup[self.padded] = 0
        return np.ascontiguousarray(lookup[self.indices])


def render(path: Path) -> Film:
    """Decode, window and orient the gray scale of one file. Raises UndecodableImage."""
    stored = read(path)
    made = develop(stored)
    return Film(made.film(), made.notes, digest_of(stored.values))


def develop(stored: Stored, *, even_blank: bool = False) -> Developed:
    """Window and orient the gray scale. even_blank: for eyes, which may see that there is nothing.

    Raises UndecodableImage.
    """
    lowest, step, table = _domain(stored.values)
    indices = ((stored.values - lowest) >> step) if step else (stored.values - lowest)
    counts, padded = _histogram(indices, table, stored.header)
    values, notes = _modality(table, stored.header)
    scales = _scales(values, counts, stored)
    scale = _first_usable(scales, counts, _everything(values) if even_blank else None)
    inverted, why = _inverted(stored.header)
    return Developed(
        indices=indices,
        lowest=int(lowest),
        step=step,
        values=values,
        padded=padded,
        grays=1.0 - scale.grays if inverted else scale.grays,
        curve=scale.curve,
        inverted=inverted,
        span=_robust_range(values, counts),
        notes=stored.notes + notes + scale.notes + why + _orientation(stored.header),
    )


def digest_of(values: NDArray[Any]) -> str:
    """Of shape and integer values, in the smallest type that holds them: how many bits were allocated says nothing."""
    lowest, highest = int(values.min()), int(values.max())
    kind = next(kind for kind in _KINDS if np.iinfo(kind).min <= lowest and highest <= np.iinfo(kind).max)
    found = hashlib.blake2b(f"{values.shape} {kind}".encode(), digest_size=32)
    found.update(np.ascontiguousarray(values, dtype=kind).data)
    return found.hexdigest()


def _domain(values: NDArray[Any]) -> tuple[Any, int, NDArray[np.int64]]:
    """Lowest value, bits to drop, and every value from the lowest to the highest with that step."""
    lowest, highest = int(values.min()), int(values.max())
    step = max(0, (highest - lowest).bit_length() - 16)
    table = np.arange(((highest - lowest) >> step) + 1, dtype=np.int64) << step
    # a difference of stored values may leave their own type (-32768..32767)
    wide = np.int64(lowest) if values.dtype.kind == "i" or values.dtype.itemsize > 2 else values.dtype.type(lowest)
    return wide, step, table + lowest


def _histogram(
    indices: NDArray[Any], table: NDArray[np.int64], header: pydicom.Dataset
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Pixels of every value, without padding; and which values are padding (PS3.3 C.7.5.1.1.2)."""
    counts = np.bincount(indices.ravel(), minlength=table.size)
    padded = np.zeros(table.size, dtype=np.bool_)
    start = header.get("PixelPaddingValue")
    if isinstance(start, int):
        last = header.get("PixelPaddingRangeLimit")
        low, high = sorted((start, last if isinstance(last, int) else start))
        padded = (table >= low) & (table <= high)
    remaining = np.where(padded, 0, counts)
    if remaining.sum() < counts.sum() // 20:  # then it names the film itself, and cannot be meant
        return counts, np.zeros_like(padded)
    return remaining, padded


def _modality(table: NDArray[np.int64], header: pydicom.Dataset) -> tuple[_Values, tuple[str, ...]]:
    """Modality LUT or rescale (PS3.3 C.11.1)."""
    try:
        with np.errstate(all="ignore"):  # a slope of 1e400 gives no numbers, which is found below
            values = _rescaled(table, header)
    except BROKEN:
        return table.astype(np.float64), ("broken modality LUT or rescale ignored",)
    if not np.isfinite(values).all():
        return table.astype(np.float64), ("broken modality LUT or rescale ignored",)
    if values.size > 1 and values.min() == values.max():
        return table.astype(np.float64), ("modality LUT or rescale without contrast ignored",)
    return values, ()


def _rescaled(table: NDArray[np.int64], header: pydicom.Dataset) -> _Values:
    items = header.get("ModalityLUTSequence")
    if items:
        signed = _is_signed(table, header)
        return table_of(items[0], signed=signed, little_endian=_is_little_endian(header)).look_up(table)
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if slope is None and intercept is None:
        return table.astype(np.float64)
    return np.asarray(table.astype(np.float64) * float(slope) + float(intercept))  # one alone is broken


def _is_signed(values: NDArray[Any], header: pydicom.Dataset) -> bool:
    """Whether a table's first value is, by the values that come in: signed films may have none below 0."""
    return bool(values.min() < 0 or (header.get("PixelRepresentation") == 1 and values.max() <= 0x7FFF))


def _is_little_endian(header: pydicom.Dataset) -> bool:
    return header.original_encoding[1] is not False


def _scales(values: _Values, counts: NDArray[np.int64], stored: Stored) -> Iterator[_Scale]:
    """Ways to see the film, best first: VOI LUT, window, as it is (8 bits), percentiles."""
    header = stored.header
    looked_up, window = voi_lut(values, header), _window(values, header)
    if looked_up is not None:
        yield looked_up
    broken = ("broken VOI LUT ignored",) if looked_up is None and header.get("VOILUTSequence") else ()
    if window is not None:
        yield replace(window, notes=broken + window.notes)
        broken = ()
    low, high = _robust_range(values, counts)
    if stored.values.dtype.itemsize == 1 and high - low >= _WIDE_8_BIT and values.min() >= 0 and values.max() <= 255:
        yield _curved(values, _between(0.0, 255.0), *broken, "no usable window; 8 bits shown as they are")
    if high > low:
        words = "no usable window; percentiles 0.5 and 99.5 of the film taken"
        yield _curved(values, _between(low, high), *broken, words)


def _between(low: float, high: float) -> Curve:
    return Curve("LINEAR_EXACT", (low + high) / 2, high - low)


def _curved(values: _Values, curve: Curve, *notes: str) -> _Scale:
    return _Scale(curve.grays(values), notes, curve)


def _everything(values: _Values) -> _Scale:
    """From the lowest to the highest value."""
    low, high = float(values.min()), float(values.max())
    return _curved(values, _between(low, max(high, low + 1)), "blank, or nothing but black and white")


def voi_lut(values: _Values, header: pydicom.Dataset, index: int = 0) -> _Scale | None:
    """PS3.3 C.11.2.1.1. One of several; None where it is broken or absent."""
    if not header.get("VOILUTSequence"):
        return None
    try:
        signed = _is_signed(values, header)
        table = table_of(header.VOILUTSequence[index], signed=signed, little_endian=_is_little_endian(header))
    except BROKEN:
        return None
    looked_up = table.look_up(np.rint(np.clip(values, -_FARTHEST, _FARTHEST)).astype(np.int64))
    top, full = float(looked_up.max()), float((1 << table.bits) - 1)
    if top > full:  # 8 bits declared, 16 used
        return _Scale(looked_up / float((1 << int(top).bit_length()) - 1), ("VOI LUT wider than declared",))
    if top < full / 2:  # known of real devices: 16 bits declared, 12 used
        return _Scale(looked_up / top, ("VOI LUT narrower than declared",)) if top > 0 else None
    return _Scale(looked_up / full)


def _window(values: _Values, header: pydicom.Dataset) -> _Scale | None:
    """The first of several windows."""
    curve = curve_of(_first_number(header, "WindowCenter"), _first_number(header, "WindowWidth"), header)
    return None if curve is None else _curved(values, curve)


def curve_of(center: float | None, width: float | None, header: pydicom.Dataset) -> Curve | None:
    """A window with the function that the header names; None where its figures make no sense."""
    if center is None or width is None:
        return None
    function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function == "SIGMOID" and width > 0:
        return Curve("SIGMOID", center, width)
    if function == "LINEAR_EXACT" and width > 0:
        return Curve("LINEAR_EXACT", center, width)
    return Curve("LINEAR", center, width) if width >= 1 else None


def _first_number(header: pydicom.Dataset, keyword: str) -> float | None:
    try:
        number = float(first(header, keyword))
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _first_usable(scales: Iterator[_Scale], counts: NDArray[np.int64], otherwise: _Scale | None) -> _Scale:
    discarded: tuple[str, ...] = ()
    for scale in scales:
        if _is_usable(scale.grays, counts):
            return _Scale(scale.grays, discarded + scale.notes, scale.curve)
        discarded = ("the film's own window or VOI LUT makes it blank and was not taken",)
    if otherwise is not None:
        return otherwise
    raise UndecodableImage("blank-image", "The pixels hold no picture: blank, or nothing but black and white.")


def _is_usable(grays: _Values, counts: NDArray[np.int64]) -> bool:
    levels = np.rint(np.clip(grays, 0.0, 1.0) * 255).astype(np.int64)
    shares = np.bincount(levels, weights=counts, minlength=256) / counts.sum()
    low, high = np.searchsorted(np.cumsum(shares), (0.01, 0.99))
    return float(shares[1:255].sum()) >= _LEAST_GRAYS_SHARE and int(high - low) >= _LEAST_SPREAD


def _robust_range(values: _Values, counts: NDArray[np.int64]) -> tuple[float, float]:
    """Percentiles of the anatomy: values at either end that fill a border or are saturated do not count."""
    order = np.argsort(values, kind="stable")
    ordered, weights = values[order], counts[order].astype(np.float64)
    spikes = weights > _SPIKE * weights.sum()
    occupied = np.flatnonzero(weights)
    for end in (occupied[0], occupied[-1]):
        if spikes[end] and np.count_nonzero(weights) > 2:
            weights[end] = 0.0
    cumulated = np.cumsum(weights) / weights.sum()
    low, high = (float(ordered[np.searchsorted(cumulated, p / 100)]) for p in _PERCENTILES)
    return low, high


def _inverted(header: pydicom.Dataset) -> tuple[bool, tuple[str, ...]]:
    """Whether low values are bright. MONOCHROME1 and the shape INVERSE say the same thing once (PS3.3 C.8.11.3.1.2)."""
    interpretation = str(header.get("PhotometricInterpretation", "")).strip().upper()
    inverse = str(header.get("PresentationLUTShape") or "").strip().upper() == "INVERSE"
    if interpretation == "MONOCHROME1":
        return True, ()
    if inverse:
        return True, ("Presentation LUT Shape INVERSE on MONOCHROME2: inverted once",)
    if interpretation.startswith("MONOCHROME") and interpretation != "MONOCHROME2":
        return False, ("Photometric Interpretation is no word of the standard; taken for MONOCHROME2",)
    return False, ()


def _orientation(header: pydicom.Dataset) -> tuple[str, ...]:
    """The film stays as stored, as in every viewer; a tag that says otherwise is only told."""
    orientation = header.get("PatientOrientation")
    if not isinstance(orientation, (list, pydicom.multival.MultiValue)) or len(orientation) != 2:
        return ()
    if (str(orientation[0])[:1], str(orientation[1])[:1]) in {("L", "F"), ("", "")}:
        return ()
    return ("Patient Orientation is not left and foot; the film is shown as stored",)
