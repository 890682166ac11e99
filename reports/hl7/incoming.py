"""What an HL7 v2 message from elsewhere means to us: a report was signed, a patient was merged or changed, or nothing.

No name of a patient is read. What cannot be understood is refused with words that hold none of its values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import hl7  # type: ignore[import-untyped]

from dicom_node.errors import WetreadError
from dicom_node.uids import is_uid
from reports.hl7.er7 import (
    SEPARATORS,
    UTF_8,
    Undecodable,
    declares_characters,
    decode,
    escape,
    moment,
    segment,
    unescape,
)
from reports.messages.subject import PatientId

_DELIMITERS: Final = re.compile(rb"MSH([^A-Za-z0-9\s\x00-\x20])([!-/:-@\[-`{-~]{4})")
_USUAL: Final = "|^~\\&"
_PADDING: Final = b"\r\n \x00"
_UPDATES: Final = frozenset({"A08", "A31"})
_MERGES: Final = frozenset({"A18", "A34", "A40", "A47"})
_STUDY_NAMES: Final = frozenset({"113014", "110180", "DICOM STUDY", "STUDY INSTANCE UID"})


class NotUnderstood(WetreadError):
    """A message cannot be read. The sentence is for its sender and holds no value of the message."""


class Meaning(StrEnum):
    """Kind of an incoming message."""

    REPORT_FINAL = "report-final"
    REPORT_CORRECTION = "report-correction"
    MERGE = "merge"
    UPDATE = "update"
    OTHER = "other"  # acknowledged, and nothing follows from it


class Code(StrEnum):
    """Acknowledgment code (table 0008)."""

    ACCEPT = "AA"
    ERROR = "AE"  # our trouble: send it again
    REJECT = "AR"  # never send it again


@dataclass(frozen=True, slots=True)
class Ack:
    """What the sender is told. words: for people, without a value of the message."""

    code: Code
    words: str = ""


@dataclass(frozen=True, slots=True)
class Reported:
    """One OBR: status is its OBR-25 (table 0123); every field may be empty."""

    status: str
    accession: str
    placer: str
    filler: str


@dataclass(frozen=True, slots=True)
class Merge:
    """The identifiers under `prior` are now those under `into`; both have at least one."""

    prior: tuple[PatientId, ...]
    into: tuple[PatientId, ...]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message. patient: the identifiers of its first PID; study_instance_uid: empty where the message names none.

    control_id: MSH-10. trigger: such as `ORU^R01`. sending_application, sending_facility: MSH-3 and MSH-4.
    """

    meaning: Meaning
    trigger: str
    control_id: str
    sending_application: str
    sending_facility: str
    patient: tuple[PatientId, ...]
    reported: tuple[Reported, ...]
    study_instance_uid: str
    merges: tuple[Merge, ...]


def parse(message: bytes) -> Incoming:
    """Read one message without its MLLP frame. Raises NotUnderstood."""
    reader = _Reader.of(message)
    code, event = reader.value("MSH", 9, 1).upper(), reader.value("MSH", 9, 2).upper()
    if not code or not reader.control_id:
        raise NotUnderstood("MSH-9 or MSH-10 is empty")
    meaning, reported, merges = Meaning.OTHER, (), ()  # type: Meaning, tuple[Reported, ...], tuple[Merge, ...]
    if (code, event) == ("ORU", "R01"):
        reported = tuple(reader.reported())
        meaning = _of_a_report(reported)
    elif code == "ADT" and event in _UPDATES:
        meaning = Meaning.UPDATE
    elif code == "ADT" and event in _MERGES:
        meaning, merges = Meaning.MERGE, tuple(reader.merges())
    patient = reader.patient() if meaning is not Meaning.OTHER else ()
    if meaning is not Meaning.OTHER and not patient:
        raise NotUnderstood("PID-3 has no patient identifier")
    return Incoming(
        meaning=meaning,
        trigger=f"{code}^{event}",
        control_id=reader.control_id,
        sending_application=reader.value("MSH", 3, 1),
        sending_facility=reader.value("MSH", 4, 1),
        patient=patient,
        reported=reported,
        study_instance_uid=reader.study() if reported else "",
        merges=merges,
    )


def acknowledge(message: bytes, ack: Ack, at: datetime) -> bytes:
    """Write the answer to a message, readable or not; raises nothing. at: aware.

    Who asks for enhanced mode (MSH-15) gets CA, CE and CR instead of AA, AE and AR.
    """
    head, separators = _head(message)
    code = f"C{ack.code.value[1]}" if head[14].upper() in {"AL", "ER", "SU"} else ack.code.value
    event = [*head[8].split(separators[1]), ""][1]
    kind = f"ACK^{event}^ACK" if re.fullmatch(r"[A-Z][0-9A-Z]{2}", event) else "ACK"
    # Back to where it came from: the applications change places.
    who = [head[field] if separators == _USUAL else escape(head[field]) for field in (4, 5, 2, 3)]
    processing = head[10] if head[10] in {"P", "T", "D"} else "P"
    number = f"{at:%y%m%d%H%M%S%f}"
    fields = [SEPARATORS, *who, moment(at), "", kind, number, processing, "2.5.1", "", "", "", "", "", UTF_8]
    control_id = head[9] if separators == _USUAL else escape(head[9])
    return (segment("MSH", fields) + segment("MSA", (code, control_id, escape(ack.words)))).encode("utf-8")


def _head(message: bytes) -> tuple[list[str], str]:
    """MSH-1 to MSH-20 as they are written, and the delimiters; empty where they are no printable ASCII."""
    message = message.lstrip(_PADDING)
    found = _DELIMITERS.match(message)
    if found is None:
        return [""] * 20, _USUAL
    fields = re.split(rb"[\r\n]", message, maxsplit=1)[0].split(found[1])[:20]
    texts = [field.decode("latin-1") if re.fullmatch(rb"[ -~]{0,200}", field) else "" for field in fields]
    return ["", *texts[1:], *[""] * 20][:20], (found[1] + found[2]).decode("ascii")


def _of_a_report(reported: tuple[Reported, ...]) -> Meaning:
    states = {one.status for one in reported}
    if states & {"C", "A"}:
        return Meaning.REPORT_CORRECTION
    return Meaning.REPORT_FINAL if "F" in states else Meaning.OTHER


@dataclass(frozen=True, slots=True)
class _Reader:
    """Values of a message by segment, field and component, unescaped. ascii_only: its bytes may be of any alphabet."""

    message: hl7.Message
    separators: str
    ascii_only: bool

    @classmethod
    def of(cls, message: bytes) -> _Reader:
        # Some senders end segments with LF or CR LF; the standard has CR.
        whole = message.replace(b"\r\n", b"\r").replace(b"\n", b"\r").strip(_PADDING)
        found = _DELIMITERS.match(whole)
        if found is None or len({found[1], *(found[2][at : at + 1] for at in range(4))}) != 5:
            raise NotUnderstood("the message does not begin with MSH and five different delimiters")
        separators = (found[1] + found[2]).decode("ascii")
        try:
            text = "\r".join(line for line in decode(whole).split("\r") if line.strip())
            parsed = hl7.parse(text)
        except Undecodable as error:
            raise NotUnderstood(str(error)) from None
        except (hl7.HL7Exception, LookupError, ValueError) as error:
            raise NotUnderstood(f"the segments cannot be told apart ({type(error).__name__})") from None
        return cls(parsed, separators, ascii_only=not declares_characters(whole))

    @property
    def control_id(self) -> str:
        return self.value("MSH", 10, 1)

    def value(self, name: str, field: int, component: int) -> str:
        """Of the first segment with this name; empty where it has none."""
        for one in self.segments(name):
            for repetition in self.repetitions(one, field):
                return self.part(repetition, component)
        return ""

    def segments(self, *names: str) -> Iterator[hl7.Segment]:
        for one in self.message:
            if str(one[0]) in names:
                yield one

    def repetitions(self, one: hl7.Segment, field: int) -> list[str]:
        """Raw text of each repetition of a field."""
        return str(one[field]).split(self.separators[2]) if len(one) > field else []

    def part(self, repetition: str, component: int, sub: int = 1) -> str:
        """One component, or one of its subcomponents, of a repetition."""
        parts = repetition.split(self.separators[1])
        whole = parts[component - 1] if len(parts) >= component else ""
        subs = whole.split(self.separators[4])
        text = unescape(subs[sub - 1], self.separators).strip() if len(subs) >= sub else ""
        if self.ascii_only and not text.isascii():
            raise NotUnderstood("a value that is needed has letters beyond ASCII, and MSH-18 declares no character set")
        return "" if text == '""' else text

    def identifiers(self, one: hl7.Segment, field: int) -> tuple[PatientId, ...]:
        """The CX of a field: identifier and assigning authority."""
        found = (
            PatientId(self.part(cx, 1), self.part(cx, 4, 1), self.part(cx, 4, 2), self.part(cx, 4, 3))
            for cx in self.repetitions(one, field)
        )
        return tuple(identifier for identifier in found if identifier.value)

    def patient(self) -> tuple[PatientId, ...]:
        for one in self.segments("PID"):
            return self.identifiers(one, 3)
        return ()

    def merges(self) -> Iterator[Merge]:
        """Each MRG with the PID before it. Raises NotUnderstood: one of them without identifiers."""
        into: tuple[PatientId, ...] = ()
        merged = False
        for one in self.segments("PID", "MRG"):
            if str(one[0]) == "PID":
                into = self.identifiers(one, 3)
                continue
            prior = self.identifiers(one, 1)
            if not prior or not into:
                raise NotUnderstood("MRG-1 or the PID-3 before it has no patient identifier")
            merged = True
            yield Merge(prior, into)
        if not merged:
            raise NotUnderstood("a merge without an MRG segment")

    def reported(self) -> Iterator[Reported]:
        """Each OBR; what it leaves empty may stand in the ORC before it."""
        placer = filler = ""
        for one in self.segments("ORC", "OBR"):
            if str(one[0]) == "ORC":
                placer, filler = self._of(one, 2), self._of(one, 3)
                continue
            yield Reported(
                status=self._of(one, 25).upper(),
                accession=self._of(one, 18),
                placer=self._of(one, 2) or placer,
                filler=self._of(one, 3) or filler,
            )
            placer = filler = ""

    def study(self) -> str:
        """Study Instance UID from ZDS-1 (IHE), or from an OBX that is named after it."""
        candidates = [self._of(one, 1) for one in self.segments("ZDS")]
        for one in self.segments("OBX"):
            for named in self.repetitions(one, 3)[:1]:
                is_study = {self.part(named, 1).upper(), self.part(named, 2).upper()} & _STUDY_NAMES
                candidates += [self._of(one, 5)] if is_study else []
        return next((uid for uid in candidates if is_uid(uid)), "")

    def _of(self, one: hl7.Segment, field: int) -> str:
        return next((self.part(repetition, 1) for repetition in self.repetitions(one, field)), "")
