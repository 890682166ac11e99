"""EXPERIMENTAL: what a person made of a draft - accepted, modified, rejected - as a structured report.

It is written in the spirit of IHE's AI Result Assessment (AIRA), whose text is not public here, and claims no
conformance to it: template and codes are our own (scheme 99WETREAD) and will change. deploy/docs/messages.md says more.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from types import MappingProxyType
from typing import Final

from highdicom.sr import CompositeContentItem, ContainerContentItem
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import EnhancedSRStorage

from dicom_node.errors import ConfigurationError, WrongState
from dicom_node.kinds import FINAL, Stage
from dicom_node.uids import derived_uid, root_of, under
from reports import codes
from reports.config import ReportsConfig
from reports.messages.outcome import Outcome, Result
from reports.objects import tree
from reports.objects.characters import settle_charset
from reports.objects.content import read_content
from reports.objects.frame import content_uid, copy_equipment, copy_identity, evidence, local, stamp

_WHOSE: Final = ("PatientID", "IssuerOfPatientID", "StudyInstanceUID")
EXPERIMENTAL: Final = (
    "EXPERIMENTAL: a private encoding of what became of an AI draft. It is no IHE AIRA object and no report; "
    "do not use it in care."
)
SERIES: Final = "EXPERIMENTAL ASSESSMENT"

_TITLE: Final = Code("assessment", codes.SCHEME, "Experimental Assessment of an AI Draft")
RESULT: Final = Code("outcome", codes.SCHEME, "Assessment Result")
_REASON: Final = Code("outcome-reason", codes.SCHEME, "Assessment Reason")
ASSESSED: Final = Code("assessed-draft", codes.SCHEME, "Assessed Draft")
SIGNED: Final = Code("signed-report", codes.SCHEME, "Report That Was Signed")
RESULTS: Final = MappingProxyType(
    {
        Result.ACCEPTED.value: Code("accepted", codes.SCHEME, "Accepted"),
        Result.MODIFIED.value: Code("modified", codes.SCHEME, "Modified"),
        Result.REJECTED.value: Code("rejected", codes.SCHEME, "Rejected"),
    }
)


def build_assessment(
    draft: Dataset, outcome: Outcome, *, at: datetime, config: ReportsConfig, signed: Dataset | None = None
) -> Dataset:
    """Write what a person made of a draft of ours. Same arguments, same dataset, same UIDs.

    outcome: of the same draft and, where there is one, the same signed report. at: aware; when it was assessed.

    Raises ConfigurationError: `reports.experimental` is off. WrongState: nobody has assessed it, such as one that
    expired; it is no draft; what was signed is not signed, or of another patient or study. NotOurs. ValueError: an
    outcome of other documents, a naive moment.
    """
    if not config.experimental:
        raise ConfigurationError("assessments as DICOM are experimental: set reports.experimental = true to have them")
    result = RESULTS.get(outcome.result)
    if result is None:
        raise WrongState(f"a draft that is {outcome.result} was assessed by nobody")
    named = (outcome.draft_uid, outcome.signed_uid)
    if named != (tree.plain(draft, "SOPInstanceUID"), tree.plain(signed, "SOPInstanceUID") if signed else ""):
        raise ValueError("the outcome is of other documents")
    documents = [draft] if signed is None else [draft, signed]
    _belong_together(draft, signed)
    made = _frame(draft, documents, at, config)
    tree.grow(
        made,
        ContainerContentItem(name=tree.coded(_TITLE), is_content_continuous=False),
        [
            tree.text(tree.SUMMARY, EXPERIMENTAL),
            tree.code(RESULT, result),
            *([tree.text(_REASON, outcome.reason)] if outcome.reason else []),
            *(_named(name, one) for name, one in zip((ASSESSED, SIGNED), documents, strict=False)),
        ],
    )
    settle_charset(made, config)
    made.SOPInstanceUID = instance_uid(made)
    return made


def instance_uid(document: Dataset) -> str:
    """SOP Instance UID that an assessment with this content has."""
    return content_uid(document, "experimental assessment")


def _belong_together(draft: Dataset, signed: Dataset | None) -> None:
    """Raises WrongState; NotOurs."""
    if read_content(draft).stage is not Stage.DRAFT:
        raise WrongState("the document that is assessed is no AI draft")
    if signed is None:
        return
    if read_content(signed).stage not in FINAL:
        raise WrongState("nobody has signed what is given as the signed report")
    if any(tree.plain(draft, name) != tree.plain(signed, name) for name in _WHOSE):
        raise WrongState("the signed report is of another patient or study than the draft; is it the right file?")


def _frame(draft: Dataset, documents: list[Dataset], at: datetime, config: ReportsConfig) -> Dataset:
    """Everything but the content. No person has verified it, and its flags say so."""
    made = Dataset()
    copy_identity(made, draft)
    made.SOPClassUID = EnhancedSRStorage
    made.Modality = "SR"
    root = root_of(draft.SeriesInstanceUID) or config.uid_root
    made.SeriesInstanceUID = under(root, derived_uid("series", draft.StudyInstanceUID, SERIES))
    made.SeriesNumber = config.series_number + 50
    made.SeriesDescription = SERIES
    made.ReferencedPerformedProcedureStepSequence = []
    made.InstanceNumber = draft.InstanceNumber
    copy_equipment(made, draft)
    stamp(made, local(at, draft, config))
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "UNVERIFIED"
    made.ContentQualification = "RESEARCH"
    if "ReferencedRequestSequence" in draft:
        made.ReferencedRequestSequence = deepcopy(draft.ReferencedRequestSequence)
    made.PerformedProcedureCodeSequence = draft.get("PerformedProcedureCodeSequence") or []
    made.CurrentRequestedProcedureEvidenceSequence = evidence(documents)
    made.CodingSchemeIdentificationSequence = [codes.scheme_identification()]
    return made


def _named(name: Code, document: Dataset) -> Dataset:
    return CompositeContentItem(
        tree.coded(name), document.SOPClassUID, document.SOPInstanceUID, relationship_type="CONTAINS"
    )
