"""What an HL7 v2 message from elsewhere means to us: a report was signed, a patient was merged or changed, or nothing.

No name of a patient is read. What cannot be understood is refused with words that hold none of its values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from dicom_node.uids import is_uid
from reports.hl7.er7 import SEPARATORS, UTF_8, escape, moment, segment
from reports.hl7.reader import PADDING, USUAL, NotUnderstood, Reader, delimiters
from reports.messages.identity import PatientId

_UPDATES: Final = frozenset({"A08", "A31"})
_MERGES: Final = frozenset({"A18", "A34", "A40", "A47"})
_TEXTS: Final = frozenset({"TX", "FT"})  # OBX-2
_NO_RESULTS: Final = frozenset({"D", "W", "X", "O", "N"})  # OBX-11 (table 0085)
_STUDY_NAMES: Final = frozenset({"113014", "110180", "DICOM STUDY", "STUDY INSTANCE UID"})


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
    """One OBR; every field may be empty.

    status: OBR-25 (table 0123); where that is empty, what its texts have in OBX-11. section: OBR-24 (table 0074).
    """

    status: str
    accession: str
    placer: str
    filler: str
    section: str = ""


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
    reader = Reader.of(message)
    code, event = reader.value("MSH", 9, 1).upper(), reader.value("MSH", 9, 2).upper()
    control_id = reader.value("MSH", 10, 1)
    if not code or not control_id:
        raise NotUnderstood("MSH-9 or MSH-10 is empty")
    meaning, reported, merges = Meaning.OTHER, (), ()  # type: Meaning, tuple[Reported, ...], tuple[Merge, ...]
    if (code, event) == ("ORU", "R01"):
        reported = tuple(_reported(reader))
        meaning = _of_a_report(reported)
    elif code == "ADT" and event in _UPDATES:
        meaning = Meaning.UPDATE
    elif code == "ADT" and event in _MERGES:
        meaning, merges = Meaning.MERGE, tuple(_merges(reader))
    patient = _patient(reader) if meaning is not Meaning.OTHER else ()
    if meaning is not Meaning.OTHER and not patient:
        raise NotUnderstood("PID-3 has no patient identifier")
    return Incoming(
        meaning=meaning,
        trigger=f"{code}^{event}",
        control_id=control_id,
        sending_application=reader.value("MSH", 3, 1),
        sending_facility=reader.value("MSH", 4, 1),
        patient=patient,
        reported=reported,
        study_instance_uid=_study(reader) if reported else "",
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
    who = [head[field] if separators == USUAL else escape(head[field]) for field in (4, 5, 2, 3)]
    processing = head[10] if head[10] in {"P", "T", "D"} else "P"
    number = f"{at:%y%m%d%H%M%S%f}"
    fields = [SEPARATORS, *who, moment(at), "", kind, number, processing, "2.5.1", "", "", "", "", "", UTF_8]
    control_id = head[9] if separators == USUAL else escape(head[9])
    return (segment("MSH", fields) + segment("MSA", (code, control_id, escape(ack.words)))).encode("utf-8")


def _head(message: bytes) -> tuple[list[str], str]:
    """MSH-1 to MSH-20 as they are written, and the delimiters; empty where they are no printable ASCII."""
    message = message.lstrip(PADDING)
    separators = delimiters(message)
    if separators is None:
        return [""] * 20, USUAL
    fields = re.split(rb"[\r\n]", message, maxsplit=1)[0].split(separators[0].encode())[:20]
    texts = [field.decode("latin-1") if re.fullmatch(rb"[ -~]{0,200}", field) else "" for field in fields]
    return ["", *texts[1:], *[""] * 20][:20], separators


def _of_a_report(reported: tuple[Reported, ...]) -> Meaning:
    states = {one.status for one in reported}
    if states & {"C", "A"}:
        return Meaning.REPORT_CORRECTION
    return Meaning.REPORT_FINAL if "F" in states else Meaning.OTHER


def _patient(reader: Reader) -> tuple[PatientId, ...]:
    return next((reader.identifiers(one, 3) for one in reader.segments("PID")), ())


def _merges(reader: Reader) -> Iterator[Merge]:
    """Each MRG with the PID before it. Raises NotUnderstood: one of them without identifiers, or no MRG at all."""
    into: tuple[PatientId, ...] = ()
    merged = False
    for one in reader.segments("PID", "MRG"):
        if str(one[0]) == "PID":
            into = reader.identifiers(one, 3)
            continue
        prior = reader.identifiers(one, 1)
        if not prior or not into:
            raise NotUnderstood("MRG-1 or the PID-3 before it has no patient identifier")
        merged = True
        yield Merge(prior, into)
    if not merged:
        raise NotUnderstood("a merge without an MRG segment")


def _reported(reader: Reader) -> Iterator[Reported]:
    """Each OBR; what it leaves empty may stand in the ORC before it, or in the OBX after it."""
    placer = filler = ""
    order: Reported | None = None
    texts: set[str] = set()
    for one in reader.segments("ORC", "OBR", "OBX"):
        name = str(one[0])
        if name == "OBX":
            texts |= {reader.of_segment(one, 11).upper()} if reader.of_segment(one, 2).upper() in _TEXTS else set()
            continue
        if order is not None:
            yield _with_status(order, texts)
            order = None
        if name == "ORC":
            placer, filler = reader.of_segment(one, 2), reader.of_segment(one, 3)
            continue
        order = Reported(
            status=reader.of_segment(one, 25).upper(),
            accession=reader.of_segment(one, 18),
            placer=reader.of_segment(one, 2) or placer,
            filler=reader.of_segment(one, 3) or filler,
            section=reader.of_segment(one, 24).upper(),
        )
        placer, filler, texts = "", "", set()
    if order is not None:
        yield _with_status(order, texts)


def _with_status(order: Reported, texts: set[str]) -> Reported:
    """An OBR without a status is as final as every text under it."""
    said = texts - _NO_RESULTS
    if order.status or not said or said - {"F", "C"}:
        return order
    return replace(order, status="C" if "C" in said else "F")


def _study(reader: Reader) -> str:
    """Study Instance UID from ZDS-1 (IHE), or from an OBX that is named after it."""
    candidates = [reader.of_segment(one, 1) for one in reader.segments("ZDS")]
    for one in reader.segments("OBX"):
        named = {reader.of_segment(one, 3, 1).upper(), reader.of_segment(one, 3, 2).upper()}
        candidates += [reader.of_segment(one, 5)] if named & _STUDY_NAMES else []
    return next((uid for uid in candidates if is_uid(uid)), "")
