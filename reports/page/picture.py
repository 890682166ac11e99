"""Pages of a PDF as gray pictures, and their text: read back with another library than the one that wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

import numpy as np
import pypdfium2
from numpy.typing import NDArray

_TURN: Final = Lock()  # PDFium ends the process where two threads call it at once
RESOLUTION = 150  # dots per inch: the smallest print is still read at full size


def as_pictures(pdf: bytes) -> tuple[NDArray[np.uint8], ...]:
    """Draw every page. Each (rows, columns) uint8, 0 is black; A4 has 1754 rows and 1240 columns."""
    with _opened(pdf) as document:
        return tuple(_picture(page) for page in document)


def texts(pdf: bytes) -> tuple[str, ...]:
    """Text of every page, as a viewer's search finds it; LF at line ends.

    Raises ValueError: the bytes are no PDF.
    """
    with _opened(pdf) as document:
        found = [page.get_textpage().get_text_range() for page in document]
    # PDFium writes U+FFFE for a hyphen at the end of a line, and joins the lines.
    return tuple(text.replace("\r\n", "\n").replace("\ufffe", "-\n") for text in found)


def _picture(page: pypdfium2.PdfPage) -> NDArray[np.uint8]:
    """Draw a page: in memory of its own, since the library frees its own, without the part of a pixel at its edges."""
    scale = RESOLUTION / 72
    columns, rows = (round(length * scale) for length in page.get_size())
    pixels = page.render(scale=scale, grayscale=True).to_numpy()
    return np.array(pixels.reshape(*pixels.shape[:2], -1)[:rows, :columns, 0])


@contextmanager
def _opened(pdf: bytes) -> Iterator[pypdfium2.PdfDocument]:
    with _TURN:
        try:
            document = pypdfium2.PdfDocument(pdf)
        except pypdfium2.PdfiumError as error:
            raise ValueError("the bytes are no PDF") from error
        try:
            yield document
        finally:
            document.close()
