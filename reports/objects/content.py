"""What a narrative document of ours says, read back from it: every other form of the report is made from this."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from dicom_node.errors import WetreadError
from dicom_node.kinds import Stage
from reports.objects import tree
from reports.objects.frame import NOTICE_SERIES


class NotOurs(WetreadError):
    """A document is no report of ours, so nothing can be made from it."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A verifying observer. at: DICOM DT with its offset from UTC, such as `20250302093000+0900`."""

    name: str
    organization: str
    at: str


@dataclass(frozen=True, slots=True)
class Content:
    """The words of a narrative. Lines end in LF; sections are empty where the stage has none.

    warning: what must stand above everything else, one statement a line; empty in a signed report.
    making: by whom, when and from what the draft was written, one paragraph.
    films: SOP Class UID and SOP Instance UID of the images, the first one first.
    """

    stage: Stage
    title: str
    warning: str
    findings: str
    impression: str
    addenda: tuple[str, ...]
    making: str
    verified_by: tuple[Verification, ...]
    films: tuple[tuple[str, str], ...]

    @property
    def narrative(self) -> str:
        """Findings, impression and addenda, with a blank line between: what a finding may be looked for in."""
        return "\n\n".join(part for part in (self.findings, self.impression, *self.addenda) if part)


def read_content(document: Dataset) -> Content:
    """Read one of our Basic Text SR documents.

    Raises NotOurs: another kind of document, or one without the sections that its stage must have.
    """
    sections = tree.sections_of(document)
    texts: dict[str, list[str]] = {}
    for section in sections:
        texts.setdefault(tree.name_of(section)[0], []).append(_text(section))
    stage = _stage(document, texts)
    if stage is not Stage.NOTICE and not (texts.get(tree.FINDINGS.value) and texts.get(tree.IMPRESSIONS.value)):
        raise NotOurs("the document has no findings and impression; it is no report of ours")
    return Content(
        stage=stage,
        title=tree.meaning_of(document),
        warning=_first(texts, tree.SUMMARY.value),
        findings=_first(texts, tree.FINDINGS.value),
        impression=_first(texts, tree.IMPRESSIONS.value),
        addenda=tuple(texts.get(tree.ADDENDUM.value, [])),
        making=_first(texts, tree.PROCEDURE_DESCRIPTIONS.value),
        verified_by=_verifications(document),
        films=_films(document),
    )


def _stage(document: Dataset, texts: dict[str, list[str]]) -> Stage:
    if tree.plain(document, "VerificationFlag") != "VERIFIED":
        return Stage.NOTICE if tree.plain(document, "SeriesDescription") == NOTICE_SERIES else Stage.DRAFT
    if tree.ADDENDUM.value in texts:
        return Stage.ADDENDUM
    return Stage.COSIGNED if len(document.get("VerifyingObserverSequence") or []) > 1 else Stage.SIGNED


def _verifications(document: Dataset) -> tuple[Verification, ...]:
    return tuple(
        Verification(
            name=tree.plain(item, "VerifyingObserverName"),
            organization=tree.plain(item, "VerifyingOrganization"),
            at=tree.plain(item, "VerificationDateTime"),
        )
        for item in document.get("VerifyingObserverSequence") or []
    )


def _films(document: Dataset) -> tuple[tuple[str, str], ...]:
    references = [
        reference for item in tree.descendants(document) for reference in item.get("ReferencedSOPSequence") or []
    ]
    return tuple(
        (tree.plain(item, "ReferencedSOPClassUID"), tree.plain(item, "ReferencedSOPInstanceUID")) for item in references
    )


def _text(section: Dataset) -> str:
    return tree.section_text(section).replace("\r\n", "\n")


def _first(texts: dict[str, list[str]], heading: str) -> str:
    return texts.get(heading, [""])[0]
