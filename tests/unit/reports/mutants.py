"""Sixty-four broken documents, each broken in one way: what a gate must stop, whoever else would let it pass.

Each is made from a good one that was written and read; where its SOP Instance UID can be derived it is derived anew, so
that the defect itself has to be found and not only that something has changed.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from reports.checks import DocumentRefused, check_document, check_draft, check_payload
from reports.checks.narrative import stage_of
from reports.objects import measurement, tree
from reports.objects.frame import content_uid, encode
from tests.unit.reports.coded import coded
from tests.unit.reports.films import CONFIG, draft, item, ordered_cr
from tests.unit.reports.test_signed import signed

Spoil = Callable[[Dataset], object]


@dataclass(frozen=True, slots=True)
class Mutant:
    """base: draft, signed or coded. problem: part of what our own check says of it."""

    name: str
    base: str
    spoil: Spoil
    problem: str
    keeps_uid: bool = False


def _remove(keyword: str) -> Spoil:
    return lambda document: delattr(document, keyword)


def _set(keyword: str, value: object) -> Spoil:
    return lambda document: setattr(document, keyword, value)


def _findings(document: Dataset) -> Dataset:
    """The text item of the section Findings of a narrative."""
    (section,) = [one for one in tree.sections_of(document) if tree.meaning_of(one) == "Findings"]
    text: Dataset = section.ContentSequence[0]
    return text


def _on_findings(change: Spoil) -> Spoil:
    return lambda document: change(_findings(document))


def _root_item(document: Dataset, name: str) -> Dataset:
    (found,) = [one for one in document.ContentSequence if tree.name_of(one)[0] == name]
    return found


def _without(name: str) -> Spoil:
    def spoil(document: Dataset) -> None:
        document.ContentSequence = [one for one in document.ContentSequence if tree.name_of(one)[0] != name]

    return spoil


def _number(document: Dataset) -> None:
    number = item(RelationshipType="CONTAINS", ValueType="NUM", MeasuredValueSequence=[])
    number.ConceptNameCodeSequence = deepcopy(_findings(document).ConceptNameCodeSequence)
    document.ContentSequence.append(number)


def _code(keyword: str, value: str) -> Spoil:
    return lambda document: setattr(_findings(document).ConceptNameCodeSequence[0], keyword, value)


def _unlisted_image(document: Dataset) -> None:
    series = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _verified_by_nobody(document: Dataset) -> None:
    document.CompletionFlag, document.VerificationFlag = "COMPLETE", "VERIFIED"


def _verifying_observer(document: Dataset) -> None:
    document.VerifyingObserverSequence = deepcopy(_made("signed").VerifyingObserverSequence)


def _other_procedure(document: Dataset) -> None:
    code = _root_item(document, "121058").ConceptCodeSequence[0]
    code.CodeValue, code.CodeMeaning = "71388002", "Procedure"


def _language_as_context(document: Dataset) -> None:
    _root_item(document, "121049").RelationshipType = "HAS OBS CONTEXT"


def _no_observer(document: Dataset) -> None:
    document.ContentSequence = [one for one in document.ContentSequence if one.RelationshipType != "HAS OBS CONTEXT"]


def _no_tracking_uid(document: Dataset) -> None:
    group = document.ContentSequence[-1].ContentSequence[0]
    group.ContentSequence = [one for one in group.ContentSequence if one.ValueType != "UIDREF"]


def _bad_offset(document: Dataset) -> None:
    document.VerifyingObserverSequence[0].VerificationDateTime = "20250301233505+9:00"


def _private(document: Dataset) -> None:
    document.add_new(0x00291001, "LO", "words without a creator")


def _second_request(document: Dataset) -> None:
    document.ReferencedRequestSequence.append(deepcopy(document.ReferencedRequestSequence[0]))


def _notice_last(document: Dataset) -> None:
    items = document.ContentSequence
    items.append(items.pop(items.index(tree.sections_of(document)[0])))


def _no_mandatory_request_element(document: Dataset) -> None:
    del document.ReferencedRequestSequence[0].RequestedProcedureID


def _other_file_meta(document: Dataset) -> None:
    document.file_meta.MediaStorageSOPInstanceUID = "2.25.1"


TYPE_2 = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "ReferencedPerformedProcedureStepSequence",
    "PerformedProcedureCodeSequence",
)
TYPE_1 = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
    "Modality",
    "Manufacturer",
    "PatientID",
    "ContentDate",
    "ContentTime",
    "CompletionFlag",
    "VerificationFlag",
    "ValueType",
    "ContinuityOfContent",
    "ConceptNameCodeSequence",
    "ContentSequence",
)
_SAID_OTHERWISE = MappingProxyType(
    {
        "SOPClassUID": "SOPClassUID is none of those",
        "CompletionFlag": "CompletionFlag is not PARTIAL",
        "VerificationFlag": "VerificationFlag is not UNVERIFIED",
    }
)
MUTANTS = (
    *(Mutant(f"no {keyword}", "draft", _remove(keyword), f"{keyword} is missing") for keyword in TYPE_2),
    *(
        Mutant(
            f"no {keyword}",
            "draft",
            _remove(keyword),
            _SAID_OTHERWISE.get(keyword, f"{keyword} is missing or empty"),
            keeps_uid=keyword == "SOPInstanceUID",
        )
        for keyword in TYPE_1
    ),
    Mutant("no type 2 element of the request", "draft", _no_mandatory_request_element, "of the request is missing"),
    Mutant("number in Basic Text", "draft", _number, "value type that a draft does not have"),
    Mutant("no relationship", "draft", _on_findings(_remove("RelationshipType")), "relationship that its place"),
    Mutant(
        "wrong relationship", "draft", _on_findings(_set("RelationshipType", "HAS PROPERTIES")), "relationship that"
    ),
    Mutant("no value type", "draft", _on_findings(_remove("ValueType")), "value type that a draft does not have"),
    Mutant("no concept name", "draft", _on_findings(_remove("ConceptNameCodeSequence")), "a content item has no name"),
    Mutant("empty text", "draft", _on_findings(_set("TextValue", "")), "a content item has no value"),
    Mutant("long code meaning", "draft", _code("CodeMeaning", "x" * 65), "CodeMeaning is too long"),
    Mutant("long code value", "draft", _code("CodeValue", "1" * 17), "CodeValue is too long"),
    Mutant("long patient ID", "draft", _set("PatientID", "1" * 65), "PatientID is too long"),
    Mutant("long accession number", "draft", _set("AccessionNumber", "1" * 17), "AccessionNumber is too long"),
    Mutant("control character", "draft", _set("StudyDescription", "Chest\x07PA"), "holds control characters"),
    Mutant("bad date", "draft", _set("PatientBirthDate", "1960-1-2"), "PatientBirthDate is no date"),
    Mutant("bad UID", "draft", _set("SeriesInstanceUID", "2.25.x"), "SeriesInstanceUID is no UID"),
    Mutant("image not in the evidence", "draft", _unlisted_image, "not those in the evidence"),
    Mutant("no evidence", "draft", _remove("CurrentRequestedProcedureEvidenceSequence"), "not exactly the draft's own"),
    Mutant("verified by nobody", "draft", _verified_by_nobody, "names nobody who verified it"),
    Mutant("verified and partial", "signed", _set("CompletionFlag", "PARTIAL"), "CompletionFlag is not COMPLETE"),
    Mutant(
        "verified and preliminary", "signed", _set("PreliminaryFlag", "PRELIMINARY"), "PreliminaryFlag is not FINAL"
    ),
    Mutant("unverified with observer", "draft", _verifying_observer, "VerifyingObserverSequence is present"),
    Mutant("unknown preliminary flag", "draft", _set("PreliminaryFlag", "DRAFT"), "PreliminaryFlag is not"),
    Mutant("unknown sex", "draft", _set("PatientSex", "U"), "PatientSex is none of"),
    Mutant("unknown qualification", "draft", _set("ContentQualification", "TEST"), "ContentQualification is not"),
    Mutant("no language", "draft", _without("121049"), "the language is missing"),
    Mutant("other procedure", "draft", _other_procedure, "procedure reported has a code"),
    Mutant("language as context", "draft", _language_as_context, "the language has the wrong relationship"),
    Mutant("no observer", "coded", _no_observer, "the device observer is missing"),
    Mutant("no image library", "coded", _without("111028"), "the image library does not hold"),
    Mutant("no tracking UID", "coded", _no_tracking_uid, "the tracking UID is not that"),
    Mutant("no template", "draft", _remove("ContentTemplateSequence"), "does not name TID 2000"),
    Mutant("no request", "draft", _remove("ReferencedRequestSequence"), "does not have exactly one item"),
    Mutant("two requests", "draft", _second_request, "does not have exactly one item"),
    Mutant("file meta of another object", "draft", _other_file_meta, "names another SOP Instance UID", keeps_uid=True),
    Mutant("other patient", "draft", _set("PatientID", "EX-0002"), "PatientID differs from the image"),
    Mutant("bad offset of a signature", "signed", _bad_offset, "VerificationDateTime has no valid form"),
    Mutant("private element without creator", "draft", _private, "a private element is present"),
    Mutant("notice not first", "draft", _notice_last, "the notice is not the first section"),
)


@cache
def _bytes(base: str) -> bytes:
    makers: dict[str, Callable[[], Dataset]] = {
        "draft": lambda: draft(ordered_cr()),
        "signed": lambda: signed(draft(ordered_cr())),
        "coded": lambda: coded(draft(ordered_cr())),
    }
    return encode(makers[base]())


def _made(base: str) -> Dataset:
    return dcmread(io.BytesIO(_bytes(base)))


def broken(mutant: Mutant) -> Dataset:
    """The broken document, with file meta information that names it unless that is what is broken."""
    document = _made(mutant.base)
    mutant.spoil(document)
    if not mutant.keeps_uid:
        _name_anew(document, mutant)
    return document


def _name_anew(document: Dataset, mutant: Mutant) -> None:
    try:
        if mutant.base == "coded":
            document.SOPInstanceUID = measurement.instance_uid(document)
        else:
            document.SOPInstanceUID = content_uid(document, stage_of(document).value)
    except (AttributeError, TypeError):
        return  # without its study or number nothing can be derived; the old one stays
    document.file_meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID


def written(document: Dataset) -> bytes:
    """A file of a broken document, as a careless program would write it."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = document.get("SOPClassUID", BasicTextSRStorage)
    meta.MediaStorageSOPInstanceUID = document.file_meta.MediaStorageSOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = "2.25.1"
    buffer = io.BytesIO(b"\0" * 128 + b"DICM")
    buffer.seek(0, io.SEEK_END)
    write_file_meta_info(buffer, meta)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = io.BytesIO()
        Dataset({element.tag: element for element in document}).save_as(content, implicit_vr=False, little_endian=True)
    buffer.write(content.getvalue())
    return buffer.getvalue()


def problems(mutant: Mutant) -> tuple[str, ...]:
    """What our own checks say of a broken document."""
    document = broken(mutant)
    try:
        if mutant.name == "file meta of another object":
            check_payload(
                written(document),
                study_instance_uid=document.StudyInstanceUID,
                patient_id="EX-0001",
                issuer_of_patient_id="HOSPITAL",
                accession_number="ACC0001",
                sop_class_uid=document.SOPClassUID,
                sop_instance_uid=document.SOPInstanceUID,
            )
        elif mutant.base == "draft":
            check_draft(document, [ordered_cr()], CONFIG)
        else:
            check_document(document, _made("draft") if mutant.base == "signed" else draft(ordered_cr()), CONFIG)
    except DocumentRefused as refused:
        return refused.problems
    return ()
