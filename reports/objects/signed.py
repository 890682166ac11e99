"""Signed reports: a new Basic Text SR in a series of its own, made from the draft; the draft is never edited.

Everything about patient, study, order, images and reader is copied from the document that was signed, so that nothing
can be signed for another patient than the one whose draft was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from datetime import datetime

from highdicom.sr import ObserverContext, PersonObserverIdentifyingAttributes
from pydicom import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes
from pydicom.uid import BasicTextSRStorage

from dicom_node.errors import WetreadError
from dicom_node.kinds import Kind, Stage
from reports.config import ReportsConfig
from reports.objects import tree
from reports.objects.basic_text import flag, preamble, root
from reports.objects.characters import settle_charset
from reports.objects.frame import (
    FINAL_SERIES,
    content_uid,
    copy_equipment,
    copy_identity,
    evidence,
    local,
    series_number,
    series_uid,
    stamp,
)
from reports.objects.signer import Signature, Signer
from reports.provenance import NOTICE
from reports.text import DraftText


class CannotSign(WetreadError):
    """A document cannot be signed as asked; the sentence says why."""


def build_signed(
    draft: Dataset,
    text: DraftText,
    signatures: Sequence[Signature],
    *,
    number: int,
    not_before: datetime,
    config: ReportsConfig,
    predecessor: Dataset | None,
    attested_by: Signature | None = None,
    images: Sequence[Dataset] = (),
) -> Dataset:
    """Write the verified report: one signature makes it signed, two make it cosigned.

    draft: the document that was read on the sign-off page, or the signed report that is cosigned.
    number: Instance Number among the final documents of the study, from 1.
    not_before: aware; when the document that is signed was written, or last signed.
    predecessor: the document that this one replaces at its destination; None where the destination never got one.
    attested_by: a trainee whose signature alone does not verify (participant, PS3.3 C.17.2, ATTEST).
    images: headers of the images of the requested procedure. A complete report lists them all as evidence, also those
    that its text does not name (PS3.3 C.17.2.3); what the draft names as other evidence stays that.

    Raises CannotSign: no signature, two by one person, an older one than the draft, a naive moment.
    """
    _check_signatures(signatures, attested_by, not_before)
    report = _verified(draft, signatures, attested_by, number, config)
    report.CurrentRequestedProcedureEvidenceSequence = _whole_evidence(draft, images)
    if predecessor is not None:
        report.PredecessorDocumentsSequence = evidence([predecessor])
    sections = (
        tree.section(tree.FINDINGS, tree.text(codes.cid7002.Finding, text.findings)),
        tree.section(tree.IMPRESSIONS, tree.text(codes.cid7002.Impression, text.impression)),
    )
    _grow(report, draft, signatures, sections, config)
    report.SOPInstanceUID = content_uid(report, "signed" if len(signatures) == 1 else "cosigned")
    return report


def build_addendum(
    final: Dataset,
    words: str,
    signature: Signature,
    *,
    number: int,
    not_before: datetime,
    config: ReportsConfig,
    predecessor: Dataset | None,
) -> Dataset:
    """Write a verified report anew with a section more; what was signed before stays, word for word.

    final: the latest verified document. predecessor: the same, as the destination has it.
    not_before: aware; when it was signed.

    Raises CannotSign: the document is not verified, the words are empty, the signature is older than the document.
    """
    if tree.plain(final, "VerificationFlag") != "VERIFIED":
        raise CannotSign("an addendum needs a signed report; sign the draft first")
    if not words.strip():
        raise CannotSign("the addendum is empty")
    _check_signatures([signature], None, not_before)
    report = _verified(final, [signature], None, number, config)
    if predecessor is not None:
        report.PredecessorDocumentsSequence = evidence([predecessor])
    kept = [item for item in tree.sections_of(final) if tree.name_of(item)[0] in _NARRATIVE]
    added = tree.section(tree.ADDENDUM, tree.text(codes.DCM.Addendum, words))
    _grow(report, final, [signature], [*kept, added], config)
    report.SOPInstanceUID = content_uid(report, "addendum")
    return report


_LONGEST_CODE = 16  # characters of a Code Value (PS3.3 8.1), VR SH
_NARRATIVE = frozenset({tree.FINDINGS.value, tree.IMPRESSIONS.value, tree.ADDENDUM.value})


def _check_signatures(signatures: Sequence[Signature], attested_by: Signature | None, not_before: datetime) -> None:
    everyone = [*([attested_by] if attested_by else []), *signatures]
    if not signatures or len(signatures) > 2:
        raise CannotSign("a report is verified by one person or two")
    if len({signature.signer.name.casefold() for signature in everyone}) != len(everyone):
        raise CannotSign("the same person cannot sign twice")
    if any(signature.at.tzinfo is None for signature in everyone):
        raise CannotSign("the moment of a signature needs a time zone")
    moments = [signature.at for signature in everyone]
    if [not_before, *moments] != sorted([not_before, *moments]):
        raise CannotSign("a signature is older than the document or than the signature before it; check the clocks")
    if not all(signature.signer.name.strip("^ ") and signature.signer.organization.strip() for signature in everyone):
        raise CannotSign("a signer needs a name and an organization")


def _verified(
    document: Dataset,
    signatures: Sequence[Signature],
    attested_by: Signature | None,
    number: int,
    config: ReportsConfig,
) -> Dataset:
    """Everything but the content."""
    report = Dataset()
    copy_identity(report, document)
    report.SOPClassUID = BasicTextSRStorage
    report.Modality = "SR"
    report.SeriesInstanceUID = series_uid(
        document.StudyInstanceUID, BasicTextSRStorage, Stage.SIGNED, root=config.uid_root
    )
    report.SeriesNumber = series_number(Kind.BASIC_TEXT, Stage.SIGNED, config)
    report.SeriesDescription = FINAL_SERIES
    report.ReferencedPerformedProcedureStepSequence = []
    report.InstanceNumber = number
    copy_equipment(report, document)
    moment = local(signatures[-1].at, document, config)
    stamp(report, moment)
    flag(
        report,
        completion="COMPLETE",
        description="Verified by a radiologist",
        verification="VERIFIED",
        preliminary="FINAL",
    )
    report.ContentQualification = document.ContentQualification
    report.VerifyingObserverSequence = [_observer(signature, document, config) for signature in signatures]
    participants = [_participant(attested_by, document, config)] if attested_by else []
    report.ParticipantSequence = [*participants, _source(document)]
    report.ReferencedRequestSequence = document.ReferencedRequestSequence
    report.PerformedProcedureCodeSequence = document.get("PerformedProcedureCodeSequence") or []
    report.CurrentRequestedProcedureEvidenceSequence = document.CurrentRequestedProcedureEvidenceSequence
    if "PertinentOtherEvidenceSequence" in document:
        report.PertinentOtherEvidenceSequence = document.PertinentOtherEvidenceSequence
    return report


def _whole_evidence(draft: Dataset, images: Sequence[Dataset]) -> list[Dataset]:
    """The images that the draft names, in its order, and after them those that it does not."""
    listed = [*_instances(draft.CurrentRequestedProcedureEvidenceSequence)]
    there = {str(one.SOPInstanceUID) for one in listed}
    there |= {str(one.SOPInstanceUID) for one in _instances(draft.get("PertinentOtherEvidenceSequence") or [])}
    return evidence([*listed, *(image for image in images if str(image.SOPInstanceUID) not in there)])


def _instances(studies: Iterable[Dataset]) -> Iterator[Dataset]:
    """The images of a sequence of evidence, each with the UIDs that say where it belongs."""
    for study in studies:
        for series in study.ReferencedSeriesSequence:
            for one in series.ReferencedSOPSequence:
                instance = Dataset()
                instance.StudyInstanceUID, instance.SeriesInstanceUID = study.StudyInstanceUID, series.SeriesInstanceUID
                instance.SOPClassUID = one.ReferencedSOPClassUID
                instance.SOPInstanceUID = one.ReferencedSOPInstanceUID
                yield instance


def _observer(signature: Signature, document: Dataset, config: ReportsConfig) -> Dataset:
    """One item of the Verifying Observer Sequence (0040,A073)."""
    item = Dataset()
    item.VerifyingOrganization = signature.signer.organization
    item.VerificationDateTime = _with_offset(local(signature.at, document, config))
    item.VerifyingObserverName = signature.signer.name
    item.VerifyingObserverIdentificationCodeSequence = _identification(signature.signer)
    return item


def _participant(signature: Signature, document: Dataset, config: ReportsConfig) -> Dataset:
    item = Dataset()
    item.ParticipationType = "ATTEST"
    item.ParticipationDateTime = _with_offset(local(signature.at, document, config))
    item.ObserverType = "PSN"
    item.PersonName = signature.signer.name
    item.PersonIdentificationCodeSequence = _identification(signature.signer)
    item.InstitutionName = signature.signer.organization
    item.InstitutionCodeSequence = []
    return item


def _source(document: Dataset) -> Dataset:
    """The reader contributed the draft: a device, never an author."""
    item = Dataset()
    item.ParticipationType = "SOURCE"
    item.ParticipationDateTime = ""
    item.ObserverType = "DEV"
    item.StationName = "wetread"
    item.DeviceUID = document.DeviceUID
    item.Manufacturer = document.Manufacturer
    item.ManufacturerModelName = document.ManufacturerModelName
    item.InstitutionName = ""
    item.InstitutionCodeSequence = []
    return item


def _identification(signer: Signer) -> list[Dataset]:
    if not (signer.identifier and signer.scheme):
        return []
    item = Dataset()
    if len(signer.identifier) <= _LONGEST_CODE:
        item.CodeValue = signer.identifier
    else:
        item.LongCodeValue = signer.identifier
    item.CodingSchemeDesignator = signer.scheme
    item.CodeMeaning = "Staff identifier"
    return [item]


def _with_offset(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S%z}"


def _grow(
    report: Dataset,
    document: Dataset,
    signatures: Sequence[Signature],
    sections: Iterable[Dataset],
    config: ReportsConfig,
) -> None:
    kept = [_with_notice(item, document) for item in tree.sections_of(document) if tree.name_of(item)[0] in _KEPT]
    device = [item for item in document.ContentSequence if tree.plain(item, "RelationshipType") == "HAS OBS CONTEXT"]
    device = [item for item in device if tree.name_of(item)[0] not in _PERSON and not _says_person(item)]
    people = _person(signatures[-1])  # who answers for it; template 1001 takes one person, the flags name them all
    tree.grow(report, root(), [*preamble(config.language), *people, *device, *sections, *kept])
    settle_charset(report, config)


def _with_notice(section: Dataset, draft: Dataset) -> Dataset:
    """How the draft was made, below the reader's own notice: a demonstration stays one under whatever signature."""
    lines = [line for item in tree.sections_of(draft) if _is_summary(item) for line in _lines(item)]
    own = lines[: lines.index(NOTICE)] if NOTICE in lines else []
    if not own or tree.name_of(section)[0] != tree.PROCEDURE_DESCRIPTIONS.value:
        return section
    told = tree.text(codes.cid7002.ProcedureDescription, "\n".join(own))
    noted = deepcopy(section)
    noted.ContentSequence = Items([told, *section.ContentSequence])
    return noted


def _is_summary(section: Dataset) -> bool:
    return tree.name_of(section)[0] == tree.SUMMARY.value


def _lines(section: Dataset) -> list[str]:
    return tree.section_text(section).splitlines()


_KEPT = frozenset({tree.KEY_IMAGES.value, tree.PROCEDURE_DESCRIPTIONS.value})
_PERSON = frozenset({"121008", "121009"})  # Person Observer Name and Organization (TID 1003)


def _says_person(item: Dataset) -> bool:
    return bool(tree.name_of(item)[0] == "121005" and tree.meaning_of(item, "ConceptCodeSequence") == "Person")


def _person(signature: Signature) -> Iterable[Dataset]:
    """TID 1003 without the role: the lists of codes that validators know for it are out of date."""
    person = PersonObserverIdentifyingAttributes(
        name=signature.signer.name, organization_name=signature.signer.organization
    )
    yield from ObserverContext(tree.coded(codes.DCM.Person), person)
