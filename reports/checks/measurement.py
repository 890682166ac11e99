"""What must hold of a coded report: TID 1500, made from a narrative of the same stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom import Dataset

from dicom_node.kinds import FINAL, Stage
from dicom_node.uids import root_of
from reports import codes
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
    referenced,
)
from reports.objects import measurement, tree
from reports.objects.content import NotOurs, read_content
from reports.objects.frame import DRAFT_SERIES, series_uid
from reports.objects.tree import plain
from reports.provenance import NOTICE

_VALUE_TYPES: Final = frozenset({"CODE", "CONTAINER", "DATE", "IMAGE", "TEXT", "TIME", "UIDREF"})
_STATES: Final = frozenset((code.value, code.scheme_designator) for code in codes.STATES.values())
_PRESENT: Final = (codes.PRESENT.value, codes.PRESENT.scheme_designator)
_MODIFIERS: Final = frozenset(
    (name.value, value.value)
    for name, values in (
        (codes.FINDING_SITE, codes.SITES),
        (codes.LATERALITY, codes.SIDES.values()),
        (codes.SEVERITY, codes.SEVERITIES.values()),
    )
    for value in values
)
_EQUIPMENT: Final = (
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "DeviceUID",
    "ContributingEquipmentSequence",
)
_WORDS: Final = (measurement.FINDINGS, measurement.IMPRESSIONS)
_TEXTS: Final = frozenset(
    code.value for code in (*_WORDS, measurement.NOTICE, measurement.ADDENDUM, measurement.DETAILS)
)


def of_a_measurement_report(document: Dataset) -> Iterator[str]:
    """All problems of a TID 1500 report of ours, one phrase each."""
    stage = measurement.stage_of(document)
    verified = stage in FINAL
    yield from of_the_attributes(document, OF_REPORTS)
    yield from of_the_flags(document, flags_of_a_report(verified=verified, descriptions=(DRAFT_SERIES,)))
    yield from of_the_uids(
        document,
        series=series_uid(plain(document, "StudyInstanceUID"), plain(document, "SOPClassUID"), stage),
        instance=_own_uid(document),
    )
    yield from of_the_reader(document)
    yield from of_the_moment(document)
    yield from of_the_request(document)
    yield from of_the_template(document, "1500")
    yield from of_the_items(document, _VALUE_TYPES | ({"PNAME"} if verified else frozenset()))
    yield from of_the_observers(document, verified=verified)
    yield from of_the_evidence(document)
    yield from _of_the_predecessor(document, verified=verified)
    yield from _of_the_image_library(document)
    yield from _of_the_codes(document)
    groups = list(_groups(document))
    if len(groups) != 1:
        yield "there is not exactly one measurement group"
    for group in groups:
        yield from _of_the_group(group, document)
        yield from _of_the_words(group, stage)


def of_the_master(document: Dataset, master: Dataset) -> Iterator[str]:
    """The coded report says of itself, of its making and of the image what its narrative says."""
    for keyword in (*measurement.COPIED, *_EQUIPMENT):
        if document.get(keyword) != master.get(keyword):
            yield f"{keyword} is not that of the narrative"
    try:
        content = read_content(master)
    except NotOurs:
        yield "the document that it was made from is no narrative of ours"
        return
    if content.stage is not measurement.stage_of(document):
        yield "its stage is not that of the narrative"
    expected = [content.warning, content.findings, content.impression, *content.addenda]
    said = [
        plain(item, "TextValue").replace("\r\n", "\n")
        for group in _groups(document)
        for item in _rows(group, "TEXT")
        if tree.name_of(item)[0] != measurement.DETAILS.value
    ]
    if said != [words for words in expected if words]:
        yield "its words are not those of the narrative"


def _own_uid(document: Dataset) -> str | None:
    try:
        return measurement.instance_uid(document)
    except (AttributeError, IndexError):
        return None


def _of_the_predecessor(document: Dataset, *, verified: bool) -> Iterator[str]:
    study = plain(document, "StudyInstanceUID")
    stages = (Stage.DRAFT, Stage.SIGNED) if verified else (Stage.DRAFT,)
    yield from of_the_predecessor(
        document, frozenset(series_uid(study, uid, stage) for uid in measurement.SOP_CLASSES for stage in stages)
    )


def _named(parent: Dataset, name: str) -> list[Dataset]:
    return [item for item in parent.get("ContentSequence") or [] if tree.name_of(item) == (name, "DCM")]


def _groups(document: Dataset) -> Iterator[Dataset]:
    for container in _named(document, measurement.MEASUREMENTS.value):
        yield from _named(container, measurement.GROUP.value)


def _rows(group: Dataset, kind: str) -> list[Dataset]:
    """What the group contains directly, of one value type."""
    return [item for item in _contained(group) if plain(item, "ValueType") == kind]


def _contained(group: Dataset) -> list[Dataset]:
    return [item for item in group.get("ContentSequence") or [] if plain(item, "RelationshipType") == "CONTAINS"]


def _of_the_image_library(document: Dataset) -> Iterator[str]:
    """Viewers fail without one, and on images that it does not have."""
    libraries = _named(document, measurement.IMAGE_LIBRARY.value)
    groups = [group for library in libraries for group in _named(library, measurement.IMAGE_LIBRARY_GROUP.value)]
    entries = {uid for group in groups for uid in referenced(group)}
    if len(libraries) != 1 or not groups or entries != referenced(document):
        yield "the image library does not hold the images of the report"


def _of_the_codes(document: Dataset) -> Iterator[str]:
    """Codes of the table have its meaning; the private scheme is explained where it is used, and only there."""
    schemes = set()
    for item in tree.descendants(document):
        for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
            for code in item.get(keyword) or []:
                key = (plain(code, "CodeValue"), plain(code, "CodingSchemeDesignator"))
                schemes.add(key[1])
                if codes.KNOWN.get(key, plain(code, "CodeMeaning")) != plain(code, "CodeMeaning"):
                    yield "a code has another meaning than in the table of codes"
    explained = [
        plain(item, "CodingSchemeDesignator") for item in document.get("CodingSchemeIdentificationSequence") or []
    ]
    if explained != ([codes.SCHEME] if codes.SCHEME in schemes else []):
        yield "the private coding scheme is not explained where it is used"


def _of_the_group(group: Dataset, document: Dataset) -> Iterator[str]:
    tracking = [plain(item, "UID") for item in _named(group, measurement.TRACKING_UID.value)]
    root = root_of(plain(document, "SeriesInstanceUID"))
    if tracking != [measurement.tracking_uid(plain(document, "StudyInstanceUID"), root=root)]:
        yield "the tracking UID is not that of the study's findings"
    if [plain(item, "TextValue") for item in _named(group, measurement.TRACKING_IDENTIFIER.value)] != [
        measurement.TRACKED
    ]:
        yield "the tracking identifier is missing"
    for code, keyword in (("111001", "ManufacturerModelName"), ("111003", "SoftwareVersions")):
        readers = [plain(item, keyword) for item in document.get("ContributingEquipmentSequence") or []]
        if [plain(item, "TextValue") for item in _named(group, code)] != readers[:1]:
            yield "the algorithm is not the reader"
    if [plain(item, "TemplateIdentifier") for item in group.get("ContentTemplateSequence") or []] != ["1501"]:
        yield "the group does not name TID 1501"
    if referenced(group) != referenced(document):
        yield "the group does not refer to the images of the report"
    findings = [tree.name_of(item) for item in _rows(group, "CODE")]
    if len(findings) != len(set(findings)):
        yield "a finding stands there twice"
    for item in _rows(group, "CODE"):
        yield from _of_a_finding(item)


def _of_a_finding(item: Dataset) -> Iterator[str]:
    """A name of the table and a state; what stands below a finding never changes its sense."""
    value = _value_of(item)
    if tree.name_of(item) not in codes.FINDINGS:
        yield "a finding is not in the table of codes"
    if value not in _STATES:
        yield "a finding is neither present, absent nor undetermined"
    below = list(tree.descendants(item))
    if below and value != _PRESENT:
        yield "something stands below a finding that is not present"
    for child in below:
        if _value_of(child) in _STATES:
            yield "a state stands below a finding, where viewers drop it"
        elif (tree.name_of(child)[0], _value_of(child)[0]) not in _MODIFIERS:
            yield "a modifier of a finding is not in the table of codes"


def _value_of(item: Dataset) -> tuple[str, str]:
    values = item.get("ConceptCodeSequence") or [Dataset()]
    return plain(values[0], "CodeValue"), plain(values[0], "CodingSchemeDesignator")


def _of_the_words(group: Dataset, stage: Stage) -> Iterator[str]:
    texts = {tree.name_of(item)[0]: plain(item, "TextValue") for item in _rows(group, "TEXT")}
    if stage is Stage.DRAFT:
        first = _contained(group)[:1]
        lines = texts.get(measurement.NOTICE.value, "").splitlines()
        if [tree.name_of(item)[0] for item in first] != [measurement.NOTICE.value] or NOTICE not in lines:
            yield "the notice is not the first row"
    elif measurement.NOTICE.value in texts or NOTICE in "\n".join(texts.values()):
        yield "the notice of a draft stands in a verified report"
    if not set(texts) <= _TEXTS:
        yield "a text has a name that viewers take for something else"
    for name in _WORDS:
        if not texts.get(name.value, "").strip():
            yield f"the text {name.meaning} is missing or empty"
