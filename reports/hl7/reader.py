"""Values of an HL7 v2 message, of anybody's making: segments and fields by python-hl7, characters and escapes by us.

hl7apy was measured too: 3.5 ms a message instead of 0.1 ms, and it refuses what real senders write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import hl7

from dicom_node.errors import WetreadError
from reports.hl7.er7 import Undecodable, declares_characters, decode, unescape
from reports.messages.identity import PatientId

PADDING: Final = b"\r\n \x00"
USUAL: Final = "|^~\\&"
# MSH, the field separator, and the four characters of MSH-2; a fifth one (v2.7) is of no use here.
_DELIMITERS: Final = re.compile(rb"MSH([!-/:-@\[-`{-~])([!-/:-@\[-`{-~]{4})")


class NotUnderstood(WetreadError):
    """A message cannot be read. The sentence is for its sender and holds no value of the message."""


def delimiters(message: bytes) -> str | None:
    """Field, component, repetition, escape and subcomponent as the message declares them; None where it does not."""
    found = _DELIMITERS.match(message)
    if found is None:
        return None
    declared = (found[1] + found[2]).decode("ascii")
    return declared if len(set(declared)) == 5 else None


@dataclass(frozen=True, slots=True)
class Reader:
    """Values by segment, field and component, unescaped; what is absent, empty or `""` is an empty text.

    ascii_only: the message declares no character set, so that a value beyond ASCII may mean anything.
    """

    message: hl7.Message
    separators: str
    ascii_only: bool

    @classmethod
    def of(cls, message: bytes) -> Reader:
        """Read a message without its frame. Raises NotUnderstood."""
        # Some senders end segments with LF or CR LF; the standard has CR.
        whole = message.replace(b"\r\n", b"\r").replace(b"\n", b"\r").strip(PADDING)
        separators = delimiters(whole)
        if separators is None:
            raise NotUnderstood("the message does not begin with MSH and five different delimiters")
        try:
            text = "\r".join(line for line in decode(whole).split("\r") if line.strip())
            parsed = hl7.parse(text)
        except Undecodable as error:
            raise NotUnderstood(str(error)) from None
        except (hl7.HL7Exception, LookupError, ValueError) as error:
            raise NotUnderstood(f"the segments cannot be told apart ({type(error).__name__})") from None
        return cls(parsed, separators, ascii_only=not declares_characters(whole))

    def segments(self, *names: str) -> Iterator[hl7.Segment]:
        """All segments with one of these names, in their order."""
        for one in self.message:
            if str(one[0]) in names:
                yield one

    def value(self, name: str, field: int, component: int) -> str:
        """One component of the first repetition of a field, in the first segment with this name."""
        return next((self.of_segment(one, field, component) for one in self.segments(name)), "")

    def field(self, name: str, field: int) -> str:
        """A whole field as it is written, in the first segment with this name."""
        return next((str(one[field]) for one in self.segments(name) if len(one) > field), "")

    def of_segment(self, one: hl7.Segment, field: int, component: int = 1) -> str:
        """One component of the first repetition of a field."""
        return next((self.part(repetition, component) for repetition in self.repetitions(one, field)), "")

    def whole(self, one: hl7.Segment, field: int) -> str:
        """A field that is one text."""
        return unescape(str(one[field]), self.separators) if len(one) > field else ""

    def repetitions(self, one: hl7.Segment, field: int) -> list[str]:
        """Each repetition of a field as it is written."""
        return str(one[field]).split(self.separators[2]) if len(one) > field else []

    def part(self, repetition: str, component: int, sub: int = 1) -> str:
        """One component, or one of its subcomponents, of a repetition. Raises NotUnderstood: of unknown letters."""
        parts = repetition.split(self.separators[1])
        subs = parts[component - 1].split(self.separators[4]) if len(parts) >= component else []
        text = unescape(subs[sub - 1], self.separators).strip() if len(subs) >= sub else ""
        if self.ascii_only and not text.isascii():
            raise NotUnderstood("a value that is needed has letters beyond ASCII, and MSH-18 declares no character set")
        return "" if text == '""' else text

    def identifiers(self, one: hl7.Segment, field: int) -> tuple[PatientId, ...]:
        """The CX repetitions of a field: identifier and assigning authority; without an identifier: left out."""
        found = (
            PatientId(self.part(cx, 1), self.part(cx, 4, 1), self.part(cx, 4, 2), self.part(cx, 4, 3))
            for cx in self.repetitions(one, field)
        )
        return tuple(identifier for identifier in found if identifier.value)
