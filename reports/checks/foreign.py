"""What can be said of a report that another system made: contradictions that no one can mean, and broken values.

A document of ours is held against the rules for its kind instead (`reports.checks.problems_of`).
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset, FileDataset

from reports.checks.elements import of_the_elements
from reports.checks.structure import referenced
from reports.objects.tree import plain

_LEGAL = frozenset({"a private element is present"})  # of another maker it is no fault


def is_ours(document: Dataset) -> bool:
    """Does a document say that this program wrote it?"""
    return plain(document, "Manufacturer") == plain(document, "ManufacturerModelName") == "wetread"


def problems_of_a_foreign(document: FileDataset) -> tuple[str, ...]:
    """What is wrong with a document of any maker, one phrase each; none of them quotes a value."""
    found = [*_of_the_flags(document), *_of_the_file(document), *_of_the_references(document)]
    found += [problem for problem in of_the_elements(document) if problem not in _LEGAL]
    return tuple(dict.fromkeys(found))


def _of_the_flags(document: FileDataset) -> Iterator[str]:
    verified = plain(document, "VerificationFlag") == "VERIFIED"
    if verified and plain(document, "CompletionFlag") == "PARTIAL":
        yield "VerificationFlag VERIFIED contradicts CompletionFlag PARTIAL"
    if verified and plain(document, "PreliminaryFlag") == "PRELIMINARY":
        yield "VerificationFlag VERIFIED contradicts PreliminaryFlag PRELIMINARY"
    if verified and not document.get("VerifyingObserverSequence"):
        yield "VerificationFlag is VERIFIED and VerifyingObserverSequence names nobody"
    if not verified and document.get("VerifyingObserverSequence"):
        yield "VerifyingObserverSequence names somebody and VerificationFlag is not VERIFIED"


def _of_the_file(document: FileDataset) -> Iterator[str]:
    for name, mirrored in (
        ("SOPInstanceUID", "MediaStorageSOPInstanceUID"),
        ("SOPClassUID", "MediaStorageSOPClassUID"),
    ):
        if plain(document, name) != plain(document.file_meta, mirrored):
            yield f"the file meta information names another {name}"


def _of_the_references(document: FileDataset) -> Iterator[str]:
    listed = {
        plain(reference, "ReferencedSOPInstanceUID")
        for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in document.get(keyword) or []
        for series in study.get("ReferencedSeriesSequence") or []
        for reference in series.get("ReferencedSOPSequence") or []
    }
    if not referenced(document) <= listed:
        yield "the content refers to an object that is not in the evidence"
