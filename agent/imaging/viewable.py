"""A film for a person's screen: a small picture at once, and every value of the film with all that a viewer asks for.

Both show the same gray scale as `pixels.render`. The formats are described in deploy/docs/viewer.md.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import date
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import UID

from agent.imaging.attributes import BROKEN, first, value
from agent.imaging.pixels import Curve, Developed, curve_of, develop, voi_lut
from agent.imaging.stored import UndecodableImage, read

SIDE: Final = 1024  # of the small picture, the longer one
MAGIC: Final = b"WFLM"

_QUALITY: Final = 88  # of the small JPEG; the values themselves are sent without loss
_LEVEL: Final = 1  # of deflate: half the size in a fifth of the time of level 6
_LONGEST: Final = 64  # characters of a word out of a header
_MOST_WINDOWS: Final = 16
_BASIC: Final = ("Rows", "Columns", "BitsStored", "PhotometricInterpretation", "PixelRepresentation")


@dataclass(frozen=True, slots=True)
class _Opened:
    path: Path
    header: pydicom.Dataset  # without pixels
    made: Developed


class Look:
    """Answers for one film after the other; what was decoded last is kept for the next question about it."""

    def __init__(self) -> None:
        self._last: _Opened | None = None

    @property
    def jobs(self) -> Mapping[str, Callable[[Path], bytes]]:
        """The questions. Each raises UndecodableImage."""
        return MappingProxyType({"describe": describe, "preview": self.preview, "values": self.values})

    def preview(self, path: Path) -> bytes:
        """The whole film as a JPEG of 8 bits, its longer side at most 1024."""
        return _small(self._opened(path).made.film())

    def values(self, path: Path) -> bytes:
        """Every value, without loss: gzip of MAGIC, length of the header, header (JSON), planes of differences."""
        opened = self._opened(path)
        made, wide = opened.made, opened.made.values.size > 256
        told = {
            **facts(opened.header),
            "width": made.indices.shape[1],
            "height": made.indices.shape[0],
            "lowest": made.lowest,
            "step": made.step,
            "count": made.values.size,
            "planes": 2 if wide else 1,
            "padding": _padding(made),
            "inverted": made.inverted,
            "shown": None if made.curve is None else asdict(made.curve),
            "span": made.span,
            "voi": _voi_luts(made, opened.header),
            "notes": made.notes,
            **_modality(made, opened.header),
        }
        return packed(told, *_planes(made.indices, wide=wide))

    def _opened(self, path: Path) -> _Opened:
        if self._last is None or self._last.path != path:
            self._last = None  # not both in memory
            stored = read(path)
            made = develop(stored, even_blank=True)
            header = stored.header
            header.pop("PixelData", None)
            self._last = _Opened(path, header, replace(made, indices=made.indices.astype(np.uint16)))
        return self._last


def of_grays(film: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """Preview and values of a plain picture, as `Look` makes them of DICOM. film: (rows, columns), 0 is black."""
    rows, columns = film.shape
    told = {
        **facts(pydicom.Dataset()),
        "width": columns,
        "height": rows,
        "bits": 8,
        "photometric": "MONOCHROME2",
        "lowest": 0,
        "step": 0,
        "count": 256,
        "planes": 1,
        "slope": 1.0,
        "intercept": 0.0,
        "padding": None,
        "inverted": False,
        "span": (0.0, 255.0),
        "voi": [],
        "notes": (),
        "shown": asdict(Curve("LINEAR_EXACT", 127.5, 255.0)),
    }
    return _small(film), packed(told, *_planes(film.astype(np.uint16), wide=False))


def opened(values: bytes) -> tuple[dict[str, Any], bytes]:
    """What `Look.values` answered, taken apart: its header, and the planes."""
    content = gzip.decompress(values)
    begin = len(MAGIC) + 4
    (length,) = struct.unpack_from("<I", content, len(MAGIC))
    return json.loads(content[begin : begin + length]), content[begin + length :]


def packed(told: Mapping[str, Any], *planes: bytes) -> bytes:
    """The other way: gzip of MAGIC, length of the header, header (JSON), planes."""
    header = json.dumps(told, allow_nan=False).encode()
    header += b" " * (-len(header) % 4)
    return gzip.compress(b"".join((MAGIC, struct.pack("<I", len(header)), header, *planes)), _LEVEL, mtime=0)


def describe(path: Path) -> bytes:
    """What the header says, as JSON; the pixels are not looked at. Raises UndecodableImage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        except FileNotFoundError as error:
            raise UndecodableImage("file-missing", "The image file is gone from the store.") from error
        except (MemoryError, *BROKEN) as error:
            raise UndecodableImage("unreadable-file", "The file cannot be read as DICOM.") from error
        return json.dumps(facts(header), allow_nan=False).encode()


def facts(header: pydicom.Dataset) -> dict[str, Any]:
    """What a viewer says of a film beside its pixels; what is absent or makes no sense is null, empty or 0."""
    rows, columns, bits, photometric, signed = (first(header, keyword) for keyword in _BASIC)
    return {
        "width": _count(columns),
        "height": _count(rows),
        "bits": _count(bits),
        "signed": signed == 1,
        "photometric": _word(photometric),
        "modality": _word(first(header, "Modality")),
        "body_part": _word(first(header, "BodyPartExamined")),
        "view": _word(first(header, "ViewPosition")),
        "laterality": _word(first(header, "ImageLaterality")) or _word(first(header, "Laterality")),
        "orientation": _orientation(header),
        "taken": _taken(header),
        "spacing": _spacing(header),
        "lossy": _lossy(header),
        "windows": _windows(header),
        "burned_in": _word(first(header, "BurnedInAnnotation")),
    }


def _word(found: Any) -> str:
    text = "" if found is None else str(found)
    return "".join(character for character in text if character.isprintable()).strip()[:_LONGEST]


def _count(found: Any) -> int:
    return found if isinstance(found, int) and 0 <= found < 1 << 16 else 0


def _numbers(header: pydicom.Dataset, keyword: str) -> list[float]:
    """The finite numbers of an attribute with one or more; none where any of them is no number."""
    found = value(header, keyword)
    several = found if isinstance(found, (list, pydicom.multival.MultiValue)) else [found]
    try:
        numbers = [float(one) for one in several]
    except (TypeError, ValueError):
        return []
    return numbers if all(np.isfinite(number) for number in numbers) else []


def _orientation(header: pydicom.Dataset) -> list[str]:
    """Where the rows and the columns lead (PS3.3 C.7.6.1.1.1)."""
    found = value(header, "PatientOrientation")
    several = found if isinstance(found, (list, pydicom.multival.MultiValue)) else []
    words = [_word(one) for one in several]
    return words if len(words) == 2 and all(set(word) <= set("ALPRHF") for word in words) else []


def _taken(header: pydicom.Dataset) -> str:
    """Date and minute of the acquisition, else of the study, as 2026-11-22 10:31; empty where there is no date."""
    for kind in ("Acquisition", "Content", "Series", "Study"):
        written, time = (_word(first(header, f"{kind}{part}")) for part in ("Date", "Time"))
        if len(written) == 8 and written.isdecimal():
            with suppress(ValueError):  # 00000000: some devices write it where they know none
                clock = f" {time[:2]}:{time[2:4]}" if len(time) >= 4 and time[:4].isdecimal() else ""
                return f"{date.fromisoformat(written)}{clock}"
    return ""


def _spacing(header: pydicom.Dataset) -> dict[str, Any] | None:
    """Millimeters between rows and between columns, in the patient or only at the detector (PS3.3 10.7)."""
    for keyword, where in (("PixelSpacing", "patient"), ("ImagerPixelSpacing", "detector")):
        numbers = _numbers(header, keyword)
        if len(numbers) == 2 and min(numbers) > 0:
            return {"row": numbers[0], "column": numbers[1], "at": where}
    return None


def _lossy(header: pydicom.Dataset) -> dict[str, Any] | None:
    """Whether anything was lost on the way, and how much it was compressed (PS3.3 C.7.6.1.1.5); None: nothing."""
    meta = getattr(header, "file_meta", None)
    syntax = UID(str(meta.get("TransferSyntaxUID", ""))) if meta is not None else UID("")
    said = _word(first(header, "LossyImageCompression"))
    if said != "01" and syntax not in _LOSSY_SYNTAXES:
        return None
    ratios = _numbers(header, "LossyImageCompressionRatio")
    return {"ratio": float(np.prod(ratios)) if ratios and min(ratios) >= 1 else None}


_LOSSY_SYNTAXES: Final = frozenset(
    {
        pydicom.uid.JPEGBaseline8Bit,
        pydicom.uid.JPEGExtended12Bit,
        pydicom.uid.JPEGLSNearLossless,
    }
)


def _windows(header: pydicom.Dataset) -> list[dict[str, Any]]:
    centers, widths = _numbers(header, "WindowCenter"), _numbers(header, "WindowWidth")
    found = value(header, "WindowCenterWidthExplanation")
    several = found if isinstance(found, (list, pydicom.multival.MultiValue)) else [found]
    words = [_word(one) for one in several]
    windows = []
    for place, (center, width) in enumerate(zip(centers, widths, strict=False)):
        curve = curve_of(center, width, header)
        if curve is not None:
            windows.append({**asdict(curve), "explanation": words[place] if place < len(words) else ""})
    return windows[:_MOST_WINDOWS]


def _padding(made: Developed) -> list[int] | None:
    """First and last place of what is padding."""
    places = np.flatnonzero(made.padded)
    return [int(places[0]), int(places[-1])] if places.size else None


def _modality(made: Developed, header: pydicom.Dataset) -> dict[str, Any]:
    """Value of a place after the Modality LUT: slope * stored + intercept, or a list."""
    stored = made.lowest + (np.arange(made.values.size, dtype=np.int64) << made.step)
    found = [*_numbers(header, "RescaleSlope"), *_numbers(header, "RescaleIntercept")]
    for slope, intercept in ([found] if len(found) == 2 else []) + [[1.0, 0.0]]:
        if np.array_equal(stored * slope + intercept, made.values):
            return {"slope": slope, "intercept": intercept}
    return {"list": made.values.tolist()}


def _voi_luts(made: Developed, header: pydicom.Dataset) -> list[dict[str, str]]:
    """Each VOI LUT as base64 of its gray at every place, little-endian, 65535 is white."""
    luts = []
    items = value(header, "VOILUTSequence")
    for index in range(min(len(items), _MOST_WINDOWS) if items else 0):
        scale = voi_lut(made.values, header, index)
        if scale is not None:
            grays = np.rint(np.clip(scale.grays, 0.0, 1.0) * 65535).astype("<u2")
            words = _word(first(items[index], "LUTExplanation"))
            luts.append({"explanation": words, "grays": base64.b64encode(grays.tobytes()).decode()})
    return luts


def _planes(indices: NDArray[np.uint16], *, wide: bool) -> tuple[bytes, ...]:
    """Differences to the pixel on the left, modulo 2^16 or 2^8; low bytes, then high bytes. Deflates twice as well."""
    differences = indices.copy()
    differences[:, 1:] = indices[:, 1:] - indices[:, :-1]
    low = (differences & 0xFF).astype(np.uint8).tobytes()
    return (low, (differences >> 8).astype(np.uint8).tobytes()) if wide else (low,)


def _small(film: NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(film)
    scale = min(1.0, SIDE / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    written = BytesIO()
    small = picture if size == picture.size else picture.resize(size, Image.Resampling.BOX)
    small.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()
