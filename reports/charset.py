"""Character sets: bytes of a source become Unicode without loss, or are refused.

pydicom replaces what it cannot decode and guesses where nothing is declared, each with a warning only. A wrong
patient name in a report is worse than none, so both are errors here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.charset import convert_encodings, custom_encoders, decode_bytes, python_encoding

from dicom_node.errors import WetreadError

# PS3.5 6.1.2.5.3: where a value returns to its first character set.
_NAME_DELIMITERS = frozenset({0x5E, 0x3D})
_TEXT_DELIMITERS = frozenset({0x09, 0x0A, 0x0C, 0x0D, 0x5C})
# They stand alone (PS3.3 C.12.1.1.2); beside others one of the two is a mistake.
_ALONE = frozenset({"ISO_IR 192", "GB18030", "GBK", "ISO 2022 GBK"})
_ASCII = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_NOT_WRITTEN = frozenset({"ISO 2022 IR 58"})  # pydicom leaves out the escape sequences that it wants (PS3.5 K.3)
UTF_8 = "ISO_IR 192"
_SLOPPY = re.compile(r"ISO[ _-](?:2022[ _-])?IR[ _-]?(?P<number>\d+)", re.IGNORECASE)


class SourceUnusable(WetreadError):
    """The header of a study's image does not allow a draft. Holds no value of the header.

    `code` is a word for the books, such as `no-patient-id`.
    """

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(explanation)
        self.code = code


@dataclass(frozen=True, slots=True)
class Charset:
    """The value of Specific Character Set (0008,0005)."""

    encodings: tuple[str, ...]  # Python codecs, the first one in force at the start of a value
    starts_ascii: bool
    terms: tuple[str, ...] = ("",)  # as the standard spells them

    @classmethod
    def declared(cls, terms: list[str]) -> Charset:
        """Read the values of (0008,0005); none or an empty one is the default repertoire.

        Spellings that real devices write (`ISO IR 100`, `ISO-IR 100`, `ISO_IR 149`) are understood.

        Raises SourceUnusable: a term that is in no edition of the standard.
        """
        known = [_canonical(term) for term in terms] or [""]
        known = known[:1] if known[0] in _ALONE else [term for term in known if term not in _ALONE]
        return cls(tuple(convert_encodings(known)), starts_ascii=known[0] in _ASCII, terms=tuple(known))

    @property
    def is_default(self) -> bool:
        """Is nothing declared but ASCII?"""
        return set(self.terms) <= _ASCII

    def carries(self, text: str) -> bool:
        """Can every character be written in it, and told from others by who reads it?"""
        if self.starts_ascii and any("\x80" <= character <= "\xff" for character in text):
            return False  # pydicom takes the default repertoire for Latin-1 and writes no escape sequence
        possible = [codec for codec in self.encodings if not (codec == "iso8859" and self.starts_ascii)]
        return not _NOT_WRITTEN & set(self.terms) and all(
            character.isascii() or any(_has(codec, character) for codec in possible) for character in set(text)
        )

    def covers(self, value: bytes) -> bool:
        """Is a character set declared for every byte? Beyond ASCII, code extensions need an escape sequence first."""
        return not self.starts_ascii or value.split(b"\x1b")[0].isascii()

    def decode(self, value: bytes, *, person_name: bool) -> str:
        """Decode one value. Raises SourceUnusable: bytes that this character set does not have."""
        delimiters = _NAME_DELIMITERS if person_name else _TEXT_DELIMITERS
        # pydicom decodes what ISO-IR 58 announces and leaves the announcement (PS3.3 C.12.1.1.2) in the text.
        text = decode_bytes(value, list(self.encodings), set(delimiters)).replace("\x1b$)A", "")
        if "\ufffd" in text or "\x1b" in text:
            raise SourceUnusable(
                "undecodable-text",
                "a text in the image's header is not in the character set that (0008,0005) declares; "
                "correct the study in the PACS and send it again",
            )
        return text


def _has(codec: str, character: str) -> bool:
    encoder = custom_encoders.get(codec)
    try:
        if encoder is None:
            character.encode(codec)
        else:
            encoder(character)
    except UnicodeError:
        return False
    return True


def _canonical(term: str) -> str:
    spelled = term.strip(" \0")
    if spelled in python_encoding:
        return spelled
    sloppy = _SLOPPY.fullmatch(spelled)
    if sloppy is not None:
        for form in (f"ISO_IR {sloppy['number']}", f"ISO 2022 IR {sloppy['number']}"):
            if form in python_encoding:
                return form
    raise SourceUnusable(
        "unknown-character-set",
        "Specific Character Set (0008,0005) of the image names no known character set; correct the study in the PACS",
    )
