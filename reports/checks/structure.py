"""What must hold of every structured document of ours, whatever its kind: attributes, items, references, observers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from pydicom import Dataset

from reports.checks.elements import is_same_below
from reports.objects import tree
from reports.objects.basic_text import LANGUAGES, PROCEDURE
from reports.objects.frame import FINAL_SERIES
from reports.objects.tree import plain
from reports.source import is_timezone_offset

# Type 1 and type 2 of the modules that all of them have (PS3.3 C.7.1.1, C.7.2.1, C.7.5.1, C.17); ours are stricter:
# what this program always knows is never empty.
_FILLED: Final = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceCreationDate",
    "InstanceCreationTime",
    "Modality",
    "Manufacturer",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "InstanceNumber",
    "ContentDate",
    "ContentTime",
    "ValueType",
    "ConceptNameCodeSequence",
    "ContinuityOfContent",
    "ContentTemplateSequence",
    "ContentSequence",
    "CurrentRequestedProcedureEvidenceSequence",
)
_PRESENT: Final = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "ReferencedPerformedProcedureStepSequence",
)
OF_REPORTS: Final = ("PerformedProcedureCodeSequence", "ReferencedRequestSequence")
_OF_REQUESTS: Final = (
    "ReferencedStudySequence",
    "AccessionNumber",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
)
# Value of an item by its type (PS3.3 C.17.3.2), and how it may hang on its parent (PS3.3 A.35).
_VALUES: Final = MappingProxyType(
    {
        "CODE": "ConceptCodeSequence",
        "COMPOSITE": "ReferencedSOPSequence",
        "CONTAINER": "ContinuityOfContent",
        "DATE": "Date",
        "IMAGE": "ReferencedSOPSequence",
        "PNAME": "PersonName",
        "TEXT": "TextValue",
        "TIME": "Time",
        "UIDREF": "UID",
    }
)
_RELATIONSHIPS: Final = MappingProxyType(
    {
        "CONTAINS": frozenset({"CODE", "COMPOSITE", "CONTAINER", "IMAGE", "TEXT"}),
        "HAS ACQ CONTEXT": frozenset({"CODE", "DATE", "TIME"}),
        "HAS CONCEPT MOD": frozenset({"CODE", "TEXT"}),
        "HAS OBS CONTEXT": frozenset({"CODE", "PNAME", "TEXT", "UIDREF"}),
    }
)
_BELOW_CONTAINERS: Final = frozenset({"CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT"})
_BELOW_OTHERS: Final = frozenset({"HAS ACQ CONTEXT", "HAS CONCEPT MOD"})
# What every report says once at its root, with the codes that it may have.
_ONCE: Final = (
    ("121049", "language", frozenset(code.value for code in LANGUAGES.values())),
    ("121058", "procedure reported", frozenset({PROCEDURE.value})),
)
_DEVICE_OBSERVER: Final = ("121012", "DCM")
_PERSON_OBSERVER: Final = ("121008", "DCM")
_VERIFICATION_DATETIME: Final = re.compile(r"\d{14}([+-]\d{4})")
ALWAYS: Final = MappingProxyType(
    {
        "ValueType": ("CONTAINER",),
        "ContinuityOfContent": ("SEPARATE",),
    }
)
_OF_A_REPORT: Final = MappingProxyType({"Modality": ("SR",), "ContentQualification": ("RESEARCH", "PRODUCT")})
_UNVERIFIED: Final = MappingProxyType(
    {
        "CompletionFlag": ("PARTIAL",),
        "VerificationFlag": ("UNVERIFIED",),
        "PreliminaryFlag": ("PRELIMINARY",),
    }
)
_VERIFIED: Final = MappingProxyType(
    {
        "CompletionFlag": ("COMPLETE",),
        "VerificationFlag": ("VERIFIED",),
        "PreliminaryFlag": ("FINAL",),
        "SeriesDescription": (FINAL_SERIES,),
    }
)


def of_the_attributes(document: Dataset, also: Iterable[str] = (), *, without: tuple[str, ...] = ()) -> Iterator[str]:
    """Type 1 attributes have values, type 2 attributes are there. also: further ones of type 2. without: of type 1."""
    for keyword in _FILLED:
        if keyword not in without and not document.get(keyword):
            yield f"{keyword} is missing or empty"
    for keyword in (*_PRESENT, *also):
        if keyword not in document:
            yield f"{keyword} is missing"
    if plain(document, "PatientSex") not in {"", "F", "M", "O"}:
        yield "PatientSex is none of F, M, O"


def of_the_flags(document: Dataset, expected: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Attributes have one of the values that they may have."""
    for name, allowed in expected.items():
        if plain(document, name) not in allowed:
            yield f"{name} is not {' or '.join(allowed)}"


def flags_of_a_report(*, verified: bool, descriptions: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """What a structured report must say of itself. descriptions: Series Description while unverified."""
    stage = _VERIFIED if verified else {**_UNVERIFIED, "SeriesDescription": descriptions}
    return {**ALWAYS, **_OF_A_REPORT, **stage}


def of_the_items(document: Dataset, value_types: frozenset[str]) -> Iterator[str]:
    """Every content item has a type, a relationship, a name and a value that fit each other."""
    yield from _below(document, value_types)
    if len(document.get("ConceptNameCodeSequence") or []) > 1:
        yield "the root has several titles"
    for item in (document, *tree.descendants(document)):
        for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
            for code in item.get(keyword) or []:
                if not (
                    plain(code, "CodeValue") and plain(code, "CodingSchemeDesignator") and plain(code, "CodeMeaning")
                ):
                    yield "a code lacks its value, scheme or meaning"


def _below(parent: Dataset, value_types: frozenset[str]) -> Iterator[str]:
    relationships = _BELOW_CONTAINERS if plain(parent, "ValueType") == "CONTAINER" else _BELOW_OTHERS
    for item in parent.get("ContentSequence") or []:
        kind, relationship = plain(item, "ValueType"), plain(item, "RelationshipType")
        if kind not in value_types:
            yield "a content item has a value type that a draft does not have"
        if relationship not in relationships or kind not in _RELATIONSHIPS[relationship] | {""}:
            yield "a content item has a relationship that its place does not allow"
        if not item.get("ConceptNameCodeSequence") and not (kind == "COMPOSITE" or _is_unnamed_image(parent, kind)):
            yield "a content item has no name"
        if not _has_value(item, kind):
            yield "a content item has no value"
        yield from _below(item, value_types)


def _is_unnamed_image(parent: Dataset, kind: str) -> bool:
    return kind == "IMAGE" and plain(parent, "Modality") == "KO"


def _has_value(item: Dataset, kind: str) -> bool:
    keyword = _VALUES.get(kind, "")
    value = item.get(keyword) if keyword else None
    if kind in {"CODE", "COMPOSITE", "IMAGE"}:
        return len(value or []) == 1
    return bool(plain(item, keyword).strip()) if keyword else False


def of_the_evidence(document: Dataset) -> Iterator[str]:
    """What the content refers to is what the evidence lists, all of the document's own study.

    A complete report may list more: every image of its requested procedure (PS3.3 C.17.2.3).
    """
    evidence = document.get("CurrentRequestedProcedureEvidenceSequence") or []
    if [plain(study, "StudyInstanceUID") for study in evidence] != [plain(document, "StudyInstanceUID")]:
        yield "the evidence is not exactly the draft's own study"
    listed = set(_listed(evidence))
    if not referenced(document):
        yield "no image is referenced"
    named = {_pair(reference) for reference in _references(document)}
    if not named <= listed or (named != listed and plain(document, "CompletionFlag") != "COMPLETE"):
        yield "the images in the text are not those in the evidence"
    if listed & set(_listed(document.get("PertinentOtherEvidenceSequence") or [])):
        yield "an image is in both kinds of evidence"  # PS3.3 C.17.2.3


def _listed(evidence: Iterable[Dataset]) -> Iterator[tuple[str, str]]:
    for study in evidence:
        for series in study.get("ReferencedSeriesSequence") or []:
            yield from (_pair(reference) for reference in series.get("ReferencedSOPSequence") or [])


def referenced(document: Dataset) -> set[str]:
    """SOP Instance UIDs that the content refers to."""
    return {plain(reference, "ReferencedSOPInstanceUID") for reference in _references(document)}


def _references(document: Dataset) -> Iterator[Dataset]:
    for item in tree.descendants(document):
        yield from item.get("ReferencedSOPSequence") or []


def _pair(reference: Dataset) -> tuple[str, str]:
    return plain(reference, "ReferencedSOPClassUID"), plain(reference, "ReferencedSOPInstanceUID")


def of_the_request(document: Dataset) -> Iterator[str]:
    """Exactly one request, of the study and its order."""
    requests = document.get("ReferencedRequestSequence") or []
    if len(requests) != 1:
        yield "ReferencedRequestSequence does not have exactly one item"
    for request in requests:
        for name in ("StudyInstanceUID", "AccessionNumber"):
            if plain(request, name) != plain(document, name):
                yield f"{name} of the request is not that of the study"
        yield from (f"{name} of the request is missing" for name in _OF_REQUESTS if name not in request)


def of_the_template(document: Dataset, template: str) -> Iterator[str]:
    """The root names its template; language and procedure stand in it."""
    templates = [plain(item, "TemplateIdentifier") for item in document.get("ContentTemplateSequence") or []]
    if templates != [template]:
        yield f"ContentTemplateSequence does not name TID {template}"
    for name, what, codes in _ONCE:
        found = [item for item in document.get("ContentSequence") or [] if tree.name_of(item) == (name, "DCM")]
        if not found:
            yield f"the {what} is missing"
        for item in found:
            if plain(item, "RelationshipType") != "HAS CONCEPT MOD":
                yield f"the {what} has the wrong relationship"
            if plain((item.get("ConceptCodeSequence") or [Dataset()])[0], "CodeValue") not in codes:
                yield f"the {what} has a code that the template does not allow"


def of_the_predecessor(document: Dataset, allowed: frozenset[str]) -> Iterator[str]:
    """What is replaced is of this study. allowed: UIDs of the series that it may be in."""
    study = plain(document, "StudyInstanceUID")
    for item in document.get("PredecessorDocumentsSequence") or []:
        series = item.get("ReferencedSeriesSequence") or []
        if plain(item, "StudyInstanceUID") != study or not {plain(part, "SeriesInstanceUID") for part in series}:
            yield "the predecessor is of another study"
        elif not all(any(is_same_below(plain(part, "SeriesInstanceUID"), uid) for uid in allowed) for part in series):
            yield "the predecessor is no document that this one may replace"


def of_the_observers(document: Dataset, *, verified: bool) -> Iterator[str]:
    """The device observes; a person only where the document is verified, and then the one who verified last."""
    names = [tree.name_of(item) for item in tree.descendants(document)]
    if _DEVICE_OBSERVER not in names:
        yield "the device observer is missing"
    verifying = document.get("VerifyingObserverSequence") or []
    if not verified:
        if _PERSON_OBSERVER in names:
            yield "a person stands as observer of a draft"
        if "VerifyingObserverSequence" in document:
            yield "VerifyingObserverSequence is present in a draft"
        return
    if not verifying:
        yield "a verified report names nobody who verified it"
    person = [
        plain(item, "PersonName") for item in tree.descendants(document) if tree.name_of(item) == _PERSON_OBSERVER
    ]
    if person != [plain(item, "VerifyingObserverName") for item in verifying[-1:]]:
        yield "the observer in the content is not the one who verified last"
    for item in verifying:
        yield from _of_a_verifying_observer(item, document)


def _of_a_verifying_observer(item: Dataset, document: Dataset) -> Iterator[str]:
    if not plain(item, "VerifyingObserverName").strip("^ ") or not plain(item, "VerifyingOrganization").strip():
        yield "a verifying observer has no name or no organization"
    if "VerifyingObserverIdentificationCodeSequence" not in item:
        yield "VerifyingObserverIdentificationCodeSequence is missing"
    form = _VERIFICATION_DATETIME.fullmatch(plain(item, "VerificationDateTime"))
    if form is None or not is_timezone_offset(form[1]):
        yield "VerificationDateTime has no valid form with an offset from UTC"
    readers = {
        plain(reader, name)
        for reader in document.get("ContributingEquipmentSequence") or []
        for name in ("ManufacturerModelName", "Manufacturer")
    }
    if plain(item, "VerifyingObserverName") in readers | {plain(document, "ManufacturerModelName")}:
        yield "a device stands as verifying observer"
