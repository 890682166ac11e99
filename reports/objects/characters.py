"""In which character set a document is written: that of its film, where it carries every text, else UTF-8.

A peer that knows no UTF-8 gets what it sent us; no character is ever replaced by another one.
"""

from __future__ import annotations

import io

import structlog
from pydicom import DataElement, Dataset, dcmread
from pydicom.dataelem import RawDataElement

from reports.charset import UTF_8, Charset, SourceUnusable
from reports.config import ReportsConfig
from reports.source import joined

FALLBACK = "charset-fallback"
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # Specific Character Set rules these

log = structlog.get_logger()


def settle_charset(document: Dataset, config: ReportsConfig) -> None:
    """Set Specific Character Set of a finished document, whose own one says what is wanted."""
    wanted = charset_of(document).terms == (UTF_8,)
    if wanted or (config.charset_mode == "source" and carries(document)):
        return
    if config.charset_mode == "source":
        log.warning("written_in_utf_8", code=FALLBACK)
    document.SpecificCharacterSet = UTF_8
    for element in document.iterall():
        if element.VR == "PN":
            element.value = joined(element.value)  # pydicom keeps the bytes of the first writing


def carries(document: Dataset) -> bool:
    """Can the document be written in its own character set so that a strict reader gives back every text?"""
    charset = charset_of(document)
    if charset.terms == (UTF_8,):
        return True
    texts = [joined(element.value) for element in document.iterall() if element.VR in _TEXTS]
    return all(charset.carries(text) for text in texts) and _reads_back(document, charset)


def charset_of(document: Dataset) -> Charset:
    """Raises SourceUnusable: Specific Character Set names none."""
    return Charset.declared(joined(document.get("SpecificCharacterSet")).split("\\"))


def _reads_back(document: Dataset, charset: Charset) -> bool:
    """pydicom reads its own mistakes back; our own decoder asks for each escape sequence."""
    buffer = io.BytesIO()
    Dataset({element.tag: element for element in document}).save_as(buffer, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    return _is_same(dcmread(buffer, force=True), document, charset)


def _is_same(read: Dataset, written: Dataset, charset: Charset) -> bool:
    for element in written:
        if element.VR == "SQ":
            if not all(_is_same(*pair, charset) for pair in zip(read[element.tag].value, element.value, strict=True)):
                return False
        elif element.VR in _TEXTS and _decoded(read.get_item(element.tag), element, charset) != joined(element.value):
            return False
    return True


def _decoded(raw: DataElement | RawDataElement | None, element: DataElement, charset: Charset) -> str | None:
    value = raw.value if raw is not None else None
    if not isinstance(value, bytes):
        return joined(value)
    try:
        text = charset.decode(value, person_name=element.VR == "PN")
    except SourceUnusable:
        return None
    if not charset.covers(value):
        return None
    written = joined(element.value)
    # one blank fills up to an even length (PS3.5 6.2)
    return written if text in {written, f"{written} "} else None
