"""Header attributes of files that nobody checked: what cannot be read counts as absent."""

from __future__ import annotations

import struct
import unicodedata
import zlib
from collections.abc import Iterable
from typing import Any, Final

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

# What pydicom and its plug-ins raise on broken bytes.
BROKEN: Final = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def value(header: pydicom.Dataset, keyword: str) -> Any:
    """The value as pydicom gives it; None where it is absent or its bytes or VR make no sense."""
    try:
        return header.get(keyword)
    except BROKEN:
        return None


def first(header: pydicom.Dataset, keyword: str) -> Any:
    """The first of several values, or the only one; None where there is none."""
    found = value(header, keyword)
    if isinstance(found, (list, pydicom.multival.MultiValue)):
        return found[0] if len(found) else None
    return found


def text(header: pydicom.Dataset, keyword: str) -> str:
    """The first value as text; empty where it is absent or cannot be read."""
    return _stripped(first(header, keyword))


def texts(header: pydicom.Dataset, keyword: str) -> tuple[str, ...]:
    """All values as text, also the empty ones among several."""
    found = value(header, keyword)
    if isinstance(found, (list, pydicom.multival.MultiValue)):
        return tuple(_stripped(one) for one in found)
    return () if found is None else (_stripped(found),)


def _stripped(found: Any) -> str:
    return "" if found is None else str(found).strip().strip("\0").strip()


def items(header: pydicom.Dataset, keyword: str) -> list[pydicom.Dataset]:
    """The items of a sequence; none where it is no sequence."""
    found = value(header, keyword)
    return list(found) if isinstance(found, pydicom.Sequence) else []


def letters(written: str) -> str:
    """Capital letters and digits only, without accents."""
    decomposed = unicodedata.normalize("NFKD", written.upper())
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if c.isalnum()))


def drop_unreadable(dataset: pydicom.Dataset, keywords: Iterable[str]) -> tuple[str, ...]:
    """Take those of the named attributes out of the data set that cannot be read. Returns their keywords."""
    dropped = []
    for keyword in keywords:
        try:
            dataset.get(keyword)
        except BROKEN:
            del dataset[pydicom.tag.Tag(keyword)]
            dropped.append(keyword)
    return tuple(dropped)
