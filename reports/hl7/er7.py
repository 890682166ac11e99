"""HL7 v2 messages as text (v2.5.1, 2.7 and 2.10): delimiters, escapes, moments and character sets.

Segments are read by python-hl7 and written here: its `escape` turns every letter beyond ASCII into an escape of its
code point (`\\Xd55c\\`), which no receiver reads as Korean, and hl7apy needs thirty times as long for a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from types import MappingProxyType
from typing import Final

from dicom_node.errors import WetreadError
from reports.messages.characters import readable

SEPARATORS: Final = "^~\\&"
UTF_8: Final = "UNICODE UTF-8"

_ESCAPES: Final = MappingProxyType(
    {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\", "\n": "\\.br\\"}
)
_TABLE: Final = str.maketrans(dict(_ESCAPES))
_SEQUENCE: Final = re.compile(r"\\([^\\]{1,64})\\")
# HL7 table 0211, and what senders write instead. Of several, the first is in force at the start of a field.
_CODECS: Final = MappingProxyType(
    {
        "ASCII": "ascii",
        "UNICODE UTF-8": "utf-8",
        "UNICODE": "utf-8",
        "UTF-8": "utf-8",
        "UTF8": "utf-8",
        "ISO_IR 192": "utf-8",
        **{f"8859/{part}": f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
        "ISO_IR 100": "iso8859_1",
        "KS X 1001": "euc_kr",
        "GB 18030-2000": "gb18030",
        "GB18030": "gb18030",
        "BIG-5": "big5",
        "ISO IR14": "iso2022_jp_ext",
        "ISO IR87": "iso2022_jp_ext",
        "ISO IR159": "iso2022_jp_ext",
    }
)


class Undecodable(WetreadError):
    """The characters of a message cannot be read; the sentence says which rule they break, and none of them."""


def escape(text: str) -> str:
    """Write a text into a field: delimiters escaped, line ends as `\\.br\\`, control characters left out."""
    return readable(text).translate(_TABLE)


def unescape(text: str, separators: str = "|^~\\&") -> str:
    """Read it back. separators: field, component, repetition, escape, subcomponent, as the message declares them."""
    field, component, repetition, mark, sub = tuple(separators)
    known = {"F": field, "S": component, "R": repetition, "E": mark, "T": sub, ".br": "\n", ".sp": "\n"}

    def one(found: re.Match[str]) -> str:
        return known.get(found[1], "")

    pattern = (
        _SEQUENCE if mark == "\\" else re.compile(f"{re.escape(mark)}([^{re.escape(mark)}]{{1,64}}){re.escape(mark)}")
    )
    return pattern.sub(one, text)


def segment(name: str, fields: Iterable[str]) -> str:
    """Write one segment from fields that are escaped already; empty ones at the end are left out."""
    return "|".join((name, *fields)).rstrip("|") + "\r"


def components(*parts: str, separator: str = "^") -> str:
    """Write parts that are escaped already as one field; empty ones at the end are left out."""
    return separator.join(parts).rstrip(separator)


def moment(at: datetime) -> str:
    """A TS with offset from UTC, to the second."""
    return f"{at:%Y%m%d%H%M%S%z}"


def decode(message: bytes) -> str:
    """Read the characters of a message by its MSH-18.

    Without one, every byte becomes the character of its number: whoever uses a value beyond ASCII must refuse it.

    Raises Undecodable: a character set that is not in table 0211, or bytes that it does not have.
    """
    codec = _codec(message)
    try:
        return message.decode(codec)
    except UnicodeDecodeError:
        raise Undecodable(f"the message holds bytes that are not {codec}, which MSH-18 declares") from None


def declares_characters(message: bytes) -> bool:
    """Does it say in MSH-18 which characters its bytes are?"""
    return bool(_declared(message))


def _codec(message: bytes) -> str:
    declared = _declared(message)
    if not declared:
        return "latin-1"
    for term in declared[1:]:
        if _CODECS.get(term, "").startswith("iso2022"):
            return _CODECS[term]
    try:
        return _CODECS[declared[0]] if declared[0] else "ascii"
    except KeyError:
        raise Undecodable("MSH-18 names a character set that is not in HL7 table 0211") from None


def _declared(message: bytes) -> list[str]:
    fields = message.split(b"\r", 1)[0].split(message[3:4] or b"|")
    if len(fields) <= 17:
        return []
    repetition = (fields[1][1:2] or b"~").decode("latin-1")
    terms = [term.strip().upper() for term in fields[17].decode("latin-1").split(repetition)]
    return terms if any(terms) else []
