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

from pydicom import DataElement, Dataset, FileDataset, dcmread
from pydicom.dataelem import RawDataElement

from dicom_node.errors import WetreadError
from dicom_node.headers import UNREADABLE
from reports.objects.tree import meaning_of, plain

DEEPEST: Final = 32  # levels; a report has five
MOST_ITEMS: Final = 5000
FLAGS: Final = ("CompletionFlag", "VerificationFlag", "PreliminaryFlag", "ContentQualification")
# All SR classes and Key Object Selection; only Macular Grid Thickness and Volume Report is numbered elsewhere.
_CLASSES: Final = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.79.1")
_UNDEFINED: Final = 0xFFFFFFFF  # length of what has a delimiter at its end instead
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
    """Parse a Part 10 file that holds a structured report or a key object selection. Raises NoReport."""
    document = read_object(payload)
    if not has_content_items(document):
        name = getattr(document.get("SOPClassUID"), "name", "an object without SOP Class")
        hint = "; its pages come out with: dcm2pdf FILE PAGES.pdf" if "EncapsulatedDocument" in document else ""
        raise NoReport(f"no structured report, but {name}{hint}")
    if not document.get("ContentSequence"):
        raise NoReport("a report with no content, which is none: is the file whole?")
    return document


def has_content_items(document: Dataset) -> bool:
    """Is it of a class with a tree of content items: structured reports and key object selections (PS3.3 A.35)?"""
    return plain(document, "SOPClassUID").startswith(_CLASSES)


def read_object(payload: bytes) -> FileDataset:
    """Parse any Part 10 file. Raises NoReport: it cannot be read, or ends too early."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote what stands in the header
            document = dcmread(io.BytesIO(payload))
            if not all(_is_whole(element) for element in document.values()):
                raise NoReport("the file is cut: an element is longer than what is left of it; get it once more")
            document.decode()
    except (*UNREADABLE, OSError) as error:
        raise NoReport(f"no readable DICOM file ({type(error).__name__})") from error
    return document


def _is_whole(element: RawDataElement | DataElement) -> bool:
    """Has it as many bytes as it says? What pydicom parses at once, sequences without length, it refuses if cut."""
    if not isinstance(element, RawDataElement) or element.length == _UNDEFINED:
        return True
    return len(element.value or b"") == element.length


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


def shown(found: Outline) -> Iterator[Line]:
    """The items that a page shows: all but who observed, and what is said of the report as a whole, with all below.

    A modifier below an item stays: "Pneumothorax" with "Presence: Absent" below it means the opposite without that.
    """
    hidden_below: int | None = None
    for line in found.lines:
        if hidden_below is not None and line.depth > hidden_below:
            continue
        hidden_below = line.depth if _is_context(line) else None
        if hidden_below is None:
            yield line


def _is_context(line: Line) -> bool:
    """Language and procedure are modifiers of the root (PS3.16 TID 1204 and 2000)."""
    of_the_root = line.depth == 0 and line.relationship == "HAS CONCEPT MOD"
    return of_the_root or line.relationship == "HAS OBS CONTEXT"


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
