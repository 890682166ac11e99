"""What must hold of a narrative: a Basic Text SR with TID 2000, draft, notice or verified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage

from dicom_node.kinds import FINAL, Stage
from reports.checks.elements import of_the_moment, of_the_reader, of_the_uids
from reports.checks.structure import (
    OF_REPORTS,
    flags_of_a_report,
    of_the_attributes,
    of_the_evidence,
    of_the_flags,
    of_the_items,
    of_the_observers,
    of_the_predecessor,
    of_the_request,
    of_the_template,
)
from reports.objects import tree
from reports.objects.frame import DRAFT_SERIES, NOTICE_SERIES, content_uid, series_uid
from reports.objects.tree import plain
from reports.provenance import NOTICE

_VALUE_TYPES: Final = frozenset({"CODE", "CONTAINER", "IMAGE", "TEXT", "UIDREF"})  # nothing else is in a draft


def of_a_narrative(document: Dataset) -> Iterator[str]:
    """All problems of a Basic Text SR of ours, one phrase each."""
    stage = stage_of(document)
    verified = stage in FINAL
    yield from of_the_attributes(document, OF_REPORTS)
    yield from of_the_flags(document, flags_of_a_report(verified=verified, descriptions=(DRAFT_SERIES, NOTICE_SERIES)))
    yield from of_the_uids(
        document,
        series=series_uid(plain(document, "StudyInstanceUID"), BasicTextSRStorage, stage),
        instance=_own_uid(document, stage),
    )
    yield from of_the_reader(document)
    yield from of_the_moment(document)
    yield from of_the_request(document)
    yield from of_the_template(document, "2000")
    yield from of_the_items(document, _VALUE_TYPES | ({"PNAME"} if verified else frozenset()))
    yield from of_the_observers(document, verified=verified)
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


def _of_the_predecessor(document: Dataset, stage: Stage) -> Iterator[str]:
    """It is another document of ours about this study: a draft replaces a draft, a report either."""
    study = plain(document, "StudyInstanceUID")
    allowed = {series_uid(study, BasicTextSRStorage, Stage.DRAFT)}
    if stage in FINAL:
        allowed.add(series_uid(study, BasicTextSRStorage, Stage.SIGNED))
    yield from of_the_predecessor(document, frozenset(allowed))
    if stage is Stage.NOTICE and "PredecessorDocumentsSequence" in document:
        yield "a notice replaces nothing"


def _own_uid(document: Dataset, stage: Stage) -> str | None:
    try:
        return content_uid(document, stage.value)
    except (AttributeError, IndexError):
        return None


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
