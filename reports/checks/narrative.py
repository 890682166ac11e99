"""What must hold of a narrative: a Basic Text SR with TID 2000, draft, notice or verified."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage

from dicom_node.kinds import FINAL, Stage
from reports.checks.elements import of_the_moment, of_the_reader, of_the_uids
from reports.objects import tree
from reports.objects.frame import DRAFT_SERIES, FINAL_SERIES, NOTICE_SERIES, content_uid, series_uid
from reports.objects.tree import plain
from reports.provenance import NOTICE
from reports.source import is_timezone_offset

_ALWAYS = MappingProxyType(
    {
        "ContentQualification": ("RESEARCH", "PRODUCT"),
        "Modality": ("SR",),
        "SOPClassUID": (BasicTextSRStorage,),
        "SpecificCharacterSet": ("ISO_IR 192",),
        "ValueType": ("CONTAINER",),
        "ContinuityOfContent": ("SEPARATE",),
    }
)
_UNVERIFIED = MappingProxyType(
    {
        "CompletionFlag": ("PARTIAL",),
        "VerificationFlag": ("UNVERIFIED",),
        "PreliminaryFlag": ("PRELIMINARY",),
        "SeriesDescription": (DRAFT_SERIES, NOTICE_SERIES),
    }
)
_VERIFIED = MappingProxyType(
    {
        "CompletionFlag": ("COMPLETE",),
        "VerificationFlag": ("VERIFIED",),
        "PreliminaryFlag": ("FINAL",),
        "SeriesDescription": (FINAL_SERIES,),
    }
)
_VALUE_TYPES = frozenset({"CODE", "CONTAINER", "IMAGE", "TEXT", "UIDREF"})  # nothing else is in a draft
_DEVICE_OBSERVER = ("121012", "DCM")
_PERSON_OBSERVER = ("121008", "DCM")
_VERIFICATION_DATETIME = re.compile(r"\d{14}([+-]\d{4})")


def of_a_narrative(document: Dataset) -> Iterator[str]:
    """All problems of a Basic Text SR of ours, one phrase each."""
    stage = stage_of(document)
    verified = stage in FINAL
    yield from _of_the_flags(document, {**_ALWAYS, **(_VERIFIED if verified else _UNVERIFIED)})
    yield from of_the_uids(
        document,
        series=series_uid(plain(document, "StudyInstanceUID"), BasicTextSRStorage, stage),
        instance=_own_uid(document, stage),
    )
    yield from of_the_reader(document)
    yield from of_the_moment(document)
    yield from _of_the_request(document)
    yield from _of_the_template(document, verified=verified)
    yield from _of_the_observers(document, verified=verified)
    yield from _of_the_sections(document, stage)
    yield from of_the_evidence(document)
    yield from _of_the_predecessor(document, stage)


def stage_of(document: Dataset) -> Stage:
    """Stage that a document claims; what is unreadable claims to be a draft, and is then refused as one."""
    if plain(document, "VerificationFlag") == "VERIFIED":
        if any(tree.name_of(section)[0] == tree.ADDENDUM.value for section in tree.sections_of(document)):
            return Stage.ADDENDUM
        return Stage.COSIGNED if len(document.get("VerifyingObserverSequence") or []) > 1 else Stage.SIGNED
    return Stage.NOTICE if plain(document, "SeriesDescription") == NOTICE_SERIES else Stage.DRAFT


def of_the_evidence(document: Dataset) -> Iterator[str]:
    """The images in the content are those in the evidence, all of the document's own study."""
    evidence = document.get("CurrentRequestedProcedureEvidenceSequence") or []
    if [plain(study, "StudyInstanceUID") for study in evidence] != [plain(document, "StudyInstanceUID")]:
        yield "the evidence is not exactly the draft's own study"
    listed = {
        plain(reference, "ReferencedSOPInstanceUID")
        for study in evidence
        for series in study.get("ReferencedSeriesSequence") or []
        for reference in series.get("ReferencedSOPSequence") or []
    }
    if not referenced(document):
        yield "no image is referenced"
    if referenced(document) != listed:
        yield "the images in the text are not those in the evidence"


def referenced(document: Dataset) -> set[str]:
    """SOP Instance UIDs that the content refers to."""
    return {
        plain(reference, "ReferencedSOPInstanceUID")
        for item in tree.descendants(document)
        for reference in item.get("ReferencedSOPSequence") or []
    }


def _of_the_predecessor(document: Dataset, stage: Stage) -> Iterator[str]:
    """It is another document of ours about this study: a draft replaces a draft, a report either."""
    study = plain(document, "StudyInstanceUID")
    allowed = {series_uid(study, BasicTextSRStorage, Stage.DRAFT)}
    if stage in FINAL:
        allowed.add(series_uid(study, BasicTextSRStorage, Stage.SIGNED))
    for item in document.get("PredecessorDocumentsSequence") or []:
        series = item.get("ReferencedSeriesSequence") or []
        if plain(item, "StudyInstanceUID") != study or not {plain(part, "SeriesInstanceUID") for part in series}:
            yield "the predecessor is of another study"
        elif not {plain(part, "SeriesInstanceUID") for part in series} <= allowed:
            yield "the predecessor is no document that this one may replace"
    if stage is Stage.NOTICE and "PredecessorDocumentsSequence" in document:
        yield "a notice replaces nothing"


def _of_the_flags(document: Dataset, expected: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for name, allowed in expected.items():
        if plain(document, name) not in allowed:
            yield f"{name} is not {' or '.join(allowed)}"


def _own_uid(document: Dataset, stage: Stage) -> str | None:
    try:
        return content_uid(document, stage.value)
    except (AttributeError, IndexError):
        return None


def _of_the_request(document: Dataset) -> Iterator[str]:
    requests = document.get("ReferencedRequestSequence") or []
    if len(requests) != 1:
        yield "ReferencedRequestSequence does not have exactly one item"
    for request in requests:
        for name in ("StudyInstanceUID", "AccessionNumber"):
            if plain(request, name) != plain(document, name):
                yield f"{name} of the request is not that of the study"


def _of_the_template(document: Dataset, *, verified: bool) -> Iterator[str]:
    templates = [plain(item, "TemplateIdentifier") for item in document.get("ContentTemplateSequence") or []]
    if templates != ["2000"]:
        yield "ContentTemplateSequence does not name TID 2000"
    names = {tree.name_of(item) for item in document.get("ContentSequence") or []}
    for code, what in (("121049", "language"), ("121058", "procedure reported")):
        if (code, "DCM") not in names:
            yield f"the {what} is missing"
    allowed = _VALUE_TYPES | ({"PNAME"} if verified else set())
    for item in tree.descendants(document):
        if plain(item, "ValueType") not in allowed:
            yield "a content item has a value type that a draft does not have"


def _of_the_observers(document: Dataset, *, verified: bool) -> Iterator[str]:
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


def _of_the_sections(document: Dataset, stage: Stage) -> Iterator[str]:
    sections = tree.sections_of(document)
    texts = {tree.name_of(section)[0]: tree.section_text(section) for section in sections}
    first = tree.name_of(sections[0])[0] if sections else ""
    if stage is Stage.DRAFT:
        if first != tree.SUMMARY.value or NOTICE not in texts[tree.SUMMARY.value].splitlines():
            yield "the notice is not the first section"
    elif stage is Stage.NOTICE:
        if first != tree.SUMMARY.value or not texts[tree.SUMMARY.value].startswith("No AI draft: "):
            yield "it does not say that there is no draft"
        return
    elif tree.SUMMARY.value in texts or NOTICE in "\n".join(texts.values()):
        yield "the notice of a draft stands in a verified report"
    for heading in (tree.FINDINGS, tree.IMPRESSIONS):
        if not texts.get(heading.value, "").strip():
            yield f"the section {heading.meaning} is missing or empty"
