"""Look-up tables of films: Modality LUT (PS3.3 C.11.1.1) and VOI LUT (PS3.3 C.11.2.1.1), as they stand in real files.

pydicom's own functions lose the upper bits of a place in a table whose entries have 8 bits, and take no table that came
through a gateway as UN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray

_ALL: Final = 1 << 16  # entries where the descriptor says 0


@dataclass(frozen=True, slots=True)
class LookUpTable:
    """first: the value that the first entry is for. entries: (n,) int64. bits: how many each is said to have."""

    first: int
    entries: NDArray[np.int64]
    bits: int

    def look_up(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """What lies before or behind the table gets its first or last entry."""
        places = np.clip(values - self.first, 0, self.entries.size - 1)
        return self.entries[places].astype(np.float64)


def table_of(item: pydicom.Dataset, *, signed: bool, little_endian: bool = True) -> LookUpTable:
    """The table of one item. signed: whether the values are that come in. Raises what `attributes.BROKEN` names."""
    number, first, bits = (int(value) for value in item.LUTDescriptor)
    number = (number & 0xFFFF) or _ALL  # the first value is US whatever the VR says
    if signed and first > 0x7FFF:
        first -= _ALL
    if not 1 <= bits <= 16:
        raise ValueError("entries of that many bits are none")
    entries = _entries(item.LUTData, number, bits, little_endian=little_endian)
    if entries.size < number:
        raise ValueError("the table is shorter than its descriptor says")
    return LookUpTable(first, entries[:number], bits)


def _entries(data: Any, number: int, bits: int, *, little_endian: bool) -> NDArray[np.int64]:
    """Two of 8 bits may share a word (PS3.3 C.7.6.3.1.5)."""
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little_endian else ">u2")
    else:
        words = (np.atleast_1d(np.asarray(data)).astype(np.int64) & 0xFFFF).astype("<u2")
    if bits <= 8 and words.size < number <= 2 * words.size:
        return words.astype("<u2").view(np.uint8).astype(np.int64)
    return words.astype(np.int64)
