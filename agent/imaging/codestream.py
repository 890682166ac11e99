"""What a compressed picture says of itself: JPEG, JPEG-LS (T.81 B.2, T.87 C.2) and both kinds of JPEG 2000 (T.800 A.5).

Decoders fill what is missing, and believe the data set where it contradicts the picture. A film whose lower half is
gray, or whose values are cut off, looks like a film; so both are found out before anything is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
_SOC_SIZ: Final = b"\xff\x4f\xff\x51"
_BOX: Final = b"\x00\x00\x00\x0cjP  "  # JP2, which the standard forbids and devices send
_FRAMES: Final = frozenset(
    {0xF7, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
)  # SOF
_MOST_BEHIND: Final = 16  # pictures behind the first that are looked at
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


@dataclass(frozen=True, slots=True)
class Codestream:
    """rows: 0 where they are told only after the picture. is_whole: its end is there. end: place behind it, or 0.

    is_alone: no other of the same size follows. is_last: none at all does. kind: second byte of the SOF marker.
    scanned: how many samples the first scan holds. scan: place behind its marker. These three are 0 where `is_whole`.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    is_whole: bool = True
    is_alone: bool = True
    is_last: bool = True
    end: int = 0
    kind: int = 0
    scanned: int = 0
    scan: int = 0


def examine(stream: bytes) -> Codestream | None:
    """What the head of one frame says; None where it is no JPEG of any kind, or its head is broken."""
    try:
        if stream.startswith(_SOI):
            return _of_jpeg(stream)
        begin = 0 if stream.startswith(_SOC_SIZ) else stream.find(_SOC_SIZ) if stream.startswith(_BOX) else -1
        return None if begin < 0 else _of_jpeg_2000(stream, begin + len(_SOC_SIZ))
    except (struct.error, IndexError):
        return None


def _of_jpeg(stream: bytes) -> Codestream | None:
    head = _frame_header(stream, 0)
    if head is None:
        return None
    place, (bits, rows, columns, samples) = head
    begin = stream.find(_SOS, place)
    end = stream.find(_EOI, begin) if begin >= 0 else -1  # it cannot stand in coded data
    if end < 0 or stream.find(_SOI, begin, end) >= 0:  # the end of a picture that follows is not that of this one
        if begin < 0:
            return Codestream(rows, columns, samples, bits, is_whole=False)
        kind, scanned = stream[place + 1], stream[begin + 4]
        return Codestream(rows, columns, samples, bits, is_whole=False, kind=kind, scanned=scanned, scan=begin + 2)
    others = list(_sizes_behind(stream, end))
    is_alone = (rows, columns) not in others
    return Codestream(rows, columns, samples, bits, is_alone=is_alone, is_last=not others, end=end + len(_EOI))


def _sizes_behind(stream: bytes, place: int) -> Iterator[tuple[int, int]]:
    """Rows and columns of the pictures that follow, such as a preview; zeros of one whose head is broken."""
    for _ in range(_MOST_BEHIND):
        place = stream.find(_SOI + b"\xff", place + 1)
        if place < 0:
            return
        try:
            head = _frame_header(stream, place)
        except (struct.error, IndexError):
            head = None
        yield (0, 0) if head is None else (head[1][1], head[1][2])


def _frame_header(stream: bytes, place: int) -> tuple[int, tuple[int, int, int, int]] | None:
    """Where the SOF of the picture at `place` stands, its bits, rows, columns and samples."""
    place += len(_SOI)
    while True:
        if stream[place] != 0xFF:
            return None
        marker = stream[place + 1]
        if marker == 0xFF:  # fill
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker in _FRAMES:
            return place, struct.unpack_from(">BHHB", stream, place + 4)
        else:
            place += 2 + struct.unpack_from(">H", stream, place + 2)[0]


def _of_jpeg_2000(stream: bytes, siz: int) -> Codestream:
    """Where its end is missing the decoders themselves say so."""
    _, _, right, bottom, left, top = struct.unpack_from(">HHIIII", stream, siz)
    samples, precision = struct.unpack_from(">HB", stream, siz + 36)
    return Codestream(bottom - top, right - left, samples, (precision & 0x7F) + 1)
