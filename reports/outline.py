"""Any structured report, ours or another maker's, as an outline: what it is, about whom, and its items in order.

PS3.3 C.17.3: items are visited as they stand in the tree; by-reference relationships are named, not followed.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom import Dataset, FileDataset, dcmread

from dicom_node.errors import WetreadError
from dicom_node.headers import UNREADABLE
from reports.objects.tree import meaning_of, plain

DEEPEST: Final = 32  # levels; a report has five
MOST_ITEMS: Final = 5000
FLAGS: Final = ("CompletionFlag", "VerificationFlag", "PreliminaryFlag", "ContentQualification")
_PATIENT: Final = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
_STUDY: Final = ("StudyDate", "StudyTime", "AccessionNumber", "StudyDescription", "StudyInstanceUID")


class NoReport(WetreadError):
    """The bytes are no structured report; the sentence says what they are instead."""


@dataclass(frozen=True, slots=True)
class Line:
    """One content item. depth: 0 directly below the root. value: empty for a container."""

    depth: int
    value_type: str
    relationship: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Outline:
    """A report in the order of its document; values are Unicode, as they stand there.

    flags, patient, study: keyword and value; absent elements have an empty value. cut: there is more than is shown.
    """

    title: str
    sop_class: str
    flags: tuple[tuple[str, str], ...]
    patient: tuple[tuple[str, str], ...]
    study: tuple[tuple[str, str], ...]
    verified_by: tuple[str, ...]
    lines: tuple[Line, ...]
    cut: bool


def read_report(payload: bytes) -> Dataset:
    """Parse a Part 10 file that holds a structured report. Raises NoReport."""
    document = read_object(payload)
    if "ContentSequence" not in document and "ConceptNameCodeSequence" not in document:
        name = getattr(document.get("SOPClassUID"), "name", "an object without SOP Class")
        raise NoReport(f"no structured report, but {name}")
    return document


def read_object(payload: bytes) -> FileDataset:
    """Parse any Part 10 file. Raises NoReport: it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote what stands in the header
            document = dcmread(io.BytesIO(payload))
            document.decode()
    except (*UNREADABLE, OSError) as error:
        raise NoReport(f"no readable DICOM file ({type(error).__name__})") from error
    return document


def outline(document: Dataset) -> Outline:
    """Walk a structured report; broken items are shown as far as they can be. Raises NoReport."""
    try:
        lines = list(_walk(document))
        return Outline(
            title=meaning_of(document) or "(no title)",
            sop_class=getattr(document.get("SOPClassUID"), "name", ""),
            flags=_pairs(document, FLAGS),
            patient=_pairs(document, _PATIENT),
            study=_pairs(document, _STUDY),
            verified_by=tuple(_verifications(document)),
            lines=tuple(lines[:MOST_ITEMS]),
            cut=len(lines) > MOST_ITEMS or any(line.depth >= DEEPEST for line in lines),
        )
    except UNREADABLE as error:
        raise NoReport(f"its content cannot be read ({type(error).__name__})") from error


def _walk(document: Dataset) -> Iterator[Line]:
    """Depth first with a stack of our own: hostile files nest deeper than Python recurses."""
    stack = [(0, item) for item in reversed(document.get("ContentSequence") or [])]
    seen = 0
    while stack and seen <= MOST_ITEMS:
        depth, item = stack.pop()
        seen += 1
        yield _line(item, depth)
        if depth < DEEPEST:
            stack.extend((depth + 1, child) for child in reversed(item.get("ContentSequence") or []))


def _line(item: Dataset, depth: int) -> Line:
    kind = plain(item, "ValueType")
    if "ReferencedContentItemIdentifier" in item:
        kind, value = "reference", "see item " + plain(item, "ReferencedContentItemIdentifier").replace("\\", ".")
    else:
        value = _VALUES.get(kind, _nothing)(item)
    return Line(depth, kind, plain(item, "RelationshipType"), meaning_of(item), value)


def _nothing(_item: Dataset) -> str:
    return ""


def _number(item: Dataset) -> str:
    measured = (item.get("MeasuredValueSequence") or [Dataset()])[0]
    unit = plain((measured.get("MeasurementUnitsCodeSequence") or [Dataset()])[0], "CodeValue")
    return f"{plain(measured, 'NumericValue')} {unit}".strip() or "no value"


def _reference(item: Dataset) -> str:
    referenced = (item.get("ReferencedSOPSequence") or [Dataset()])[0]
    name = getattr(referenced.get("ReferencedSOPClassUID"), "name", "")
    return f"{name} {plain(referenced, 'ReferencedSOPInstanceUID')}".strip()


def _coordinates(item: Dataset) -> str:
    return f"{plain(item, 'GraphicType')} of {len(item.get('GraphicData') or [])} numbers"


_VALUES: MappingProxyType[str, Callable[[Dataset], str]] = MappingProxyType(
    {
        "TEXT": lambda item: plain(item, "TextValue").replace("\r\n", "\n"),
        "CODE": lambda item: meaning_of(item, "ConceptCodeSequence"),
        "NUM": _number,
        "PNAME": lambda item: plain(item, "PersonName"),
        "DATE": lambda item: plain(item, "Date"),
        "TIME": lambda item: plain(item, "Time"),
        "DATETIME": lambda item: plain(item, "DateTime"),
        "UIDREF": lambda item: plain(item, "UID"),
        "IMAGE": _reference,
        "COMPOSITE": _reference,
        "WAVEFORM": _reference,
        "SCOORD": _coordinates,
        "SCOORD3D": _coordinates,
        "TCOORD": lambda item: plain(item, "TemporalRangeType"),
    }
)


def _pairs(document: Dataset, keywords: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((keyword, plain(document, keyword)) for keyword in keywords)


def _verifications(document: Dataset) -> Iterator[str]:
    for item in document.get("VerifyingObserverSequence") or []:
        parts = (
            plain(item, name) for name in ("VerifyingObserverName", "VerifyingOrganization", "VerificationDateTime")
        )
        yield ", ".join(part for part in parts if part)
