"""What must hold of an experimental assessment of ours: it says what it is, and of what. Nothing ever sends it."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from pydicom import Dataset

from dicom_node.uids import derived_uid
from reports import codes
from reports.checks.elements import of_the_moment, of_the_reader, of_the_uids
from reports.checks.structure import (
    ALWAYS,
    of_the_attributes,
    of_the_evidence,
    of_the_flags,
    of_the_items,
    of_the_request,
)
from reports.objects import tree
from reports.objects.assessment import ASSESSED, EXPERIMENTAL, RESULT, RESULTS, SERIES, SIGNED, instance_uid
from reports.objects.tree import plain

_VALUE_TYPES: Final = frozenset({"CODE", "COMPOSITE", "TEXT"})
_FLAGS: Final = MappingProxyType(
    {
        **ALWAYS,
        "Modality": ("SR",),
        "SeriesDescription": (SERIES,),
        "CompletionFlag": ("COMPLETE",),
        "VerificationFlag": ("UNVERIFIED",),
        "ContentQualification": ("RESEARCH",),
    }
)
_NOT_ITS_OWN: Final = ("PreliminaryFlag", "VerifyingObserverSequence")
_UNSIGNED: Final = "rejected"


def of_an_assessment(document: Dataset) -> Iterator[str]:
    """All problems of an experimental assessment of ours, one phrase each."""
    yield from of_the_attributes(document, without=("ContentTemplateSequence",))  # its template is nobody's
    yield from of_the_flags(document, _FLAGS)
    yield from (f"{name} does not belong into an assessment" for name in _NOT_ITS_OWN if name in document)
    yield from of_the_uids(
        document, series=derived_uid("series", plain(document, "StudyInstanceUID"), SERIES), instance=_own_uid(document)
    )
    yield from of_the_reader(document)
    yield from of_the_moment(document)
    if "ReferencedRequestSequence" in document:
        yield from of_the_request(document)
    yield from of_the_items(document, _VALUE_TYPES)
    yield from of_the_evidence(document)
    yield from _of_the_content(document)


def _own_uid(document: Dataset) -> str | None:
    try:
        return instance_uid(document)
    except (AttributeError, IndexError):
        return None


def _of_the_content(document: Dataset) -> Iterator[str]:
    items = document.get("ContentSequence") or []
    names = [tree.name_of(item)[0] for item in items]
    if [plain(item, "TextValue") for item in items[:1]] != [EXPERIMENTAL]:
        yield "it does not say first that it is experimental"
    said = [
        (plain(code, "CodeValue"), plain(code, "CodingSchemeDesignator"))
        for item in items
        if tree.name_of(item) == (RESULT.value, RESULT.scheme_designator)
        for code in item.get("ConceptCodeSequence") or []
    ]
    if len(said) != 1 or said[0] not in {(code.value, codes.SCHEME) for code in RESULTS.values()}:
        yield "it does not say what became of the draft"
    if names.count(ASSESSED.value) != 1:
        yield "it does not name the draft"
    if said and names.count(SIGNED.value) != (0 if said[0][0] == _UNSIGNED else 1):
        yield "the signed report and the result do not fit each other"
