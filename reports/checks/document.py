"""The gate that every document passes: before it is stored, and again on its stored bytes before each sending."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from pydicom import Dataset, dcmread
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from dicom_node.errors import WetreadError
from dicom_node.headers import UNREADABLE
from dicom_node.kinds import Stage
from reports.charset import UTF_8
from reports.checks.assessment import of_an_assessment
from reports.checks.elements import of_the_charset, of_the_elements, of_the_encoding, of_the_file_meta, written
from reports.checks.key_object import of_a_key_object, of_the_rejected
from reports.checks.measurement import of_a_measurement_report, of_the_master
from reports.checks.narrative import of_a_narrative, stage_of
from reports.checks.pages import against_the_master, of_a_capture, of_a_pdf
from reports.checks.structure import referenced
from reports.config import ReportsConfig
from reports.objects.tree import plain
from reports.source import normalize

# What binds a report to a patient, a study and an order.
IDENTITY = (
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "TimezoneOffsetFromUTC",
)
# A late image may have been taken under another time; the report has those of the first film.
_MAY_DIFFER = frozenset({"StudyDate", "StudyTime", "StudyID", "TimezoneOffsetFromUTC"})
_WHOSE = tuple(name for name in IDENTITY if name not in _MAY_DIFFER)
_SHARED = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber")

Rules = Callable[[Dataset], Iterator[str]]
_RULES: Mapping[str, Rules] = MappingProxyType(
    {
        BasicTextSRStorage: of_a_narrative,
        Comprehensive3DSRStorage: of_a_measurement_report,
        ComprehensiveSRStorage: of_a_measurement_report,
        EncapsulatedPDFStorage: of_a_pdf,
        KeyObjectSelectionDocumentStorage: of_a_key_object,
        SecondaryCaptureImageStorage: of_a_capture,
    }
)
# What is made on a person's command and never sent has rules for who looks at a file; the gate does not let it out.
_RULES_OF_FILES: Mapping[str, Rules] = MappingProxyType({**_RULES, EnhancedSRStorage: of_an_assessment})
# What must hold between a document and the one that it was made from.
_AGREEMENTS: Mapping[str, Callable[[Dataset, Dataset], Iterator[str]]] = MappingProxyType(
    {
        Comprehensive3DSRStorage: of_the_master,
        ComprehensiveSRStorage: of_the_master,
        EncapsulatedPDFStorage: against_the_master,
        KeyObjectSelectionDocumentStorage: of_the_rejected,
        SecondaryCaptureImageStorage: against_the_master,
    }
)


class DocumentRefused(WetreadError):
    """A document must not be stored or sent. `problems` has one phrase for each reason."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(f"the document is refused: {'; '.join(problems)}; nothing was sent, report this as a defect")
        self.problems = problems


def check_draft(draft: Dataset, sources: Sequence[Dataset], config: ReportsConfig) -> bytes:
    """Hold a draft or a notice against the images that it was made from, and against the rules for its kind.

    sources: headers as received, as `build_draft` got them. Returns the file that was checked (`frame.encode`).

    Raises DocumentRefused, with every problem at once; SourceUnusable.
    """
    normal = [normalize(source, config) for source in sources]
    claim = [] if stage_of(draft) in {Stage.DRAFT, Stage.NOTICE} else ["VerificationFlag is not UNVERIFIED"]
    payload, lossy = written(draft)
    _refuse([*claim, *_of_the_content(draft), *lossy, *_of_the_source(draft, normal), *_of_the_claim(draft, config)])
    return payload


def check_document(document: Dataset, master: Dataset, config: ReportsConfig) -> bytes:
    """Hold a document that was made from another one of ours against that one.

    master: the narrative that was signed or coded, or one of the documents that a note takes back.
    Returns the file that was checked (`frame.encode`): what leaves is what was checked.

    Raises DocumentRefused, with every problem at once.
    """
    differing = [
        f"{name} differs from the document that it was made from"
        for name in IDENTITY
        if _value(document, name) != _value(master, name)
    ]
    agreement = _AGREEMENTS.get(plain(document, "SOPClassUID"))
    disagreeing = agreement(document, master) if agreement else ()
    payload, lossy = written(document)
    _refuse([*_of_the_content(document), *lossy, *differing, *disagreeing, *_of_the_claim(document, config)])
    return payload


def check_payload(
    payload: bytes,
    *,
    study_instance_uid: str,
    patient_id: str,
    issuer_of_patient_id: str,
    accession_number: str,
    sop_class_uid: str,
    sop_instance_uid: str,
) -> None:
    """Hold the stored bytes of a document against the books, before each sending.

    Raises DocumentRefused: damaged bytes, another patient, study or order than the books name, or no document of ours.
    """
    try:
        document = dcmread(io.BytesIO(payload))
        document.decode()
    except UNREADABLE as error:
        raise DocumentRefused((f"the bytes are no readable DICOM file ({type(error).__name__})",)) from error
    expected = {
        "StudyInstanceUID": study_instance_uid,
        "PatientID": patient_id,
        "IssuerOfPatientID": issuer_of_patient_id,
        "AccessionNumber": accession_number,
        "SOPClassUID": sop_class_uid,
        "SOPInstanceUID": sop_instance_uid,
    }
    books = [f"{name} is not that of the books" for name, value in expected.items() if plain(document, name) != value]
    cut = ["the bytes end too early"] if len(payload) % 2 else []  # every element has an even length (PS3.5 7.1.1)
    _refuse([*cut, *books, *_of_the_document(document), *of_the_file_meta(document)])


def problems_of(document: Dataset) -> tuple[str, ...]:
    """What is wrong with a document by itself, one phrase each; empty where nothing is. For who looks at a file."""
    return tuple(dict.fromkeys(_of_the_document(document, _RULES_OF_FILES)))


def differing(film: Dataset, other: Dataset, config: ReportsConfig) -> tuple[str, ...]:
    """Keywords in which two films of one study do not say the same of patient and order: no draft may name both.

    film, other: headers as received. Raises SourceUnusable.
    """
    one, two = normalize(film, config), normalize(other, config)
    return tuple(name for name in _WHOSE if _value(one, name) != _value(two, name))


def _refuse(problems: list[str]) -> None:
    if problems:
        raise DocumentRefused(tuple(dict.fromkeys(problems)))


def _of_the_document(document: Dataset, rules: Mapping[str, Rules] = _RULES) -> Iterator[str]:
    """What must hold of every document of its kind, whoever it is about."""
    yield from _of_the_content(document, rules)
    if plain(document, "SOPClassUID") in rules:
        yield from of_the_encoding(document)


def _of_the_content(document: Dataset, every: Mapping[str, Rules] = _RULES) -> Iterator[str]:
    rules = every.get(plain(document, "SOPClassUID"))
    if rules is None:
        yield "SOPClassUID is none of those that are made here"
        return
    yield from rules(document)
    yield from of_the_elements(document)
    yield from of_the_charset(document)


def _of_the_source(draft: Dataset, sources: list[Dataset]) -> Iterator[str]:
    films = [source for source in sources if source.SOPInstanceUID in referenced(draft)]
    if len(films) != len(referenced(draft)):
        yield "an image that the draft names is not among the images of the study"
    for name in IDENTITY:
        same = [_value(draft, name) == _value(film, name) for film in films]
        if not (any(same) if name in _MAY_DIFFER and same else all(same)):
            yield f"{name} differs from the image"
    for source in sources:
        yield from (
            f"{name} differs among the images" for name in _SHARED if _value(draft, name) != _value(source, name)
        )


def _of_the_claim(document: Dataset, config: ReportsConfig) -> Iterator[str]:
    if plain(document, "ContentQualification") == "PRODUCT" and not config.cleared:
        yield "ContentQualification PRODUCT is claimed without being configured"
    if plain(document, "SpecificCharacterSet") != UTF_8 and config.charset_mode == "utf-8":
        yield f"SpecificCharacterSet is not {UTF_8}, and nothing else is configured"


def _value(dataset: Dataset, keyword: str) -> object:
    """Comparable value; absent is not empty, so that nothing appears or vanishes unseen."""
    if keyword not in dataset:
        return None
    if dataset[keyword].VR == "SQ":
        return [item.to_json_dict() for item in dataset[keyword].value]
    return plain(dataset, keyword)
