"""Compressed pictures of which nothing but the end marker is missing: lost, or overwritten by the byte that pads.

A picture that was cut in the middle must not pass for one. What is missing would come out of whatever follows, so that
of a JPEG with several endings, each of other bits, only a whole picture comes out the same; the JPEG-LS decoder counts.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Final

import jpeg_ls
import numpy as np
from PIL import Image

from agent.imaging.attributes import BROKEN
from agent.imaging.codestream import Codestream

_EOI: Final = b"\xff\xd9"
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})  # coded by Huffman; others are whole, in a way, after each of their scans
_JPEG_LS: Final = 0xF7
_RESTARTS: Final = b"\xff\xdd"  # decoders go on with gray after the last interval that is there
_MARKER: Final = re.compile(rb"\xff[^\x00]")  # where decoders stop, whatever follows
_ENDINGS: Final = tuple(bytes([one]) * 64 for one in (0x00, 0x55, 0xAA, 0xFE))  # bits 00.., 01.., 10.. and 11..


def completed(stream: bytes, told: Codestream) -> bytes | None:
    """The stream with its end marker; None where more may be missing, or where nobody can tell."""
    rest = stream.rstrip(b"\x00\xff")
    if told.bits != 8 and told.kind != _JPEG_LS:
        return None
    try:
        if told.kind == _JPEG_LS:
            jpeg_ls.decode(np.frombuffer(rest + _EOI, np.uint8))
            return rest + _EOI
        if (
            told.kind not in _SEQUENTIAL
            or told.scanned != told.samples
            or _RESTARTS in stream
            or _MARKER.search(rest, told.scan)
        ):
            return None
        pictures = [np.asarray(Image.open(BytesIO(rest + ending + _EOI))) for ending in _ENDINGS]
    except BROKEN:
        return None
    return rest + _EOI if all(np.array_equal(one, pictures[0]) for one in pictures[1:]) else None
