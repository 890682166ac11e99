"""Coded concepts for the labels of the extractor: one table with a source, a review date and a remark for each row.

The project reviewed the table on the dates in it; no clinician has signed it off, and no row was looked up in a
licensed SNOMED CT browser. A label without a code that two sources agree on has one of our own scheme, which claims
nothing. deploy/docs/codes.md is this table for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code

from reports.findings.labels import Laterality, Severity, State

SCHEME: Final = "99WETREAD"
SCHEME_NAME: Final = "Labels of chest radiograph reports without a verified code"

PRESENT: Final = Code("52101004", "SCT", "Present")
ABSENT: Final = Code("272519000", "SCT", "Absent")
UNDETERMINED: Final = Code("373068000", "SCT", "Undetermined")
STATES: Final[Mapping[State, Code]] = MappingProxyType(
    {State.PRESENT: PRESENT, State.ABSENT: ABSENT, State.UNCERTAIN: UNDETERMINED}
)

LATERALITY: Final = Code("272741003", "SCT", "Laterality")
SIDES: Final[Mapping[Laterality, Code]] = MappingProxyType(
    {
        Laterality.LEFT: Code("7771000", "SCT", "Left"),
        Laterality.RIGHT: Code("24028007", "SCT", "Right"),
        Laterality.BILATERAL: Code("51440002", "SCT", "Bilateral"),
    }
)

SEVERITY: Final = Code("246112005", "SCT", "Severity")
SEVERITIES: Final[Mapping[Severity, Code]] = MappingProxyType(
    {
        Severity.MINIMAL: Code("255605001", "SCT", "Minimal"),
        Severity.MILD: Code("255604002", "SCT", "Mild"),
        Severity.MODERATE: Code("6736007", "SCT", "Moderate"),
        Severity.SEVERE: Code("24484000", "SCT", "Severe"),
    }
)

FINDING_SITE: Final = Code("363698007", "SCT", "Finding Site")
CHEST: Final = Code("816094009", "SCT", "Chest")
LUNG: Final = Code("39607008", "SCT", "Lung")
PLEURA: Final = Code("3120008", "SCT", "Pleura")
HEART: Final = Code("80891009", "SCT", "Heart")
MEDIASTINUM: Final = Code("72410000", "SCT", "Mediastinum")
SITES: Final = (CHEST, LUNG, PLEURA, HEART, MEDIASTINUM)


@dataclass(frozen=True, slots=True)
class Row:
    """The concept of one or more labels. radlex: RID of RadLex 4.3, for people only; empty where none was found.

    site: where the finding is, as far as the label says. source: where value and meaning were read. reviewed: ISO date,
    by the project. remark: what a reviewer should look at first.
    """

    labels: tuple[str, ...]
    code: Code
    site: Code
    radlex: str
    source: str
    reviewed: str
    remark: str

    @property
    def needs_site(self) -> bool:
        """Must the site stand beside the code? SNOMED CT defines the site of its findings; all are of the chest."""
        return self.code.scheme_designator != "SCT" and self.site != CHEST


_REVIEWED: Final = "2026-11-22"
_PYDICOM: Final = "pydicom 3.0.2 code dictionary (DICOM PS3.16 context groups)"
_PUBLIC: Final = "public value sets that agree; not in the pydicom code dictionary"
_OWN: Final = "this project"


def _row(labels: str, code: Code, site: Code, source: str, remark: str, radlex: str = "") -> Row:
    return Row(tuple(labels.split("/")), code, site, radlex, source, _REVIEWED, remark)


def _own(value: str, meaning: str) -> Code:
    return Code(value, SCHEME, meaning)


ROWS: Final = (
    _row(
        "No Finding/normal",
        _own("NORMAL", "Normal as far as described"),
        CHEST,
        _OWN,
        "No abnormality is described. 'No Finding = Present' can be read as its opposite: worded the other way.",
    ),
    _row(
        "Enlarged Cardiomediastinum",
        _own("ENL-CARDIOMED", "Enlarged cardiomediastinum"),
        MEDIASTINUM,
        _OWN,
        "No verified SNOMED CT code for both together.",
    ),
    _row(
        "Cardiomegaly",
        Code("8186001", "SCT", "Cardiomegaly"),
        HEART,
        _PUBLIC,
        "The code dictionary of pydicom has 287272002 here, which is an enlarged septal foramen: never use it.",
    ),
    _row(
        "Lung Opacity",
        Code("112001", "DCM", "Opacity"),
        LUNG,
        _PYDICOM,
        "The site says that it is of the lung.",
        "RID28530",
    ),
    _row(
        "Lung Lesion",
        _own("LUNG-LESION", "Lung lesion"),
        LUNG,
        _OWN,
        "A nodule or a mass or another lesion; the codes for nodule and mass are narrower.",
    ),
    _row(
        "Edema", Code("19242006", "SCT", "Pulmonary edema"), LUNG, _PYDICOM, "Not 267038008, edema anywhere.", "RID4866"
    ),
    _row(
        "Consolidation",
        Code("95436008", "SCT", "Lung consolidation"),
        LUNG,
        _PUBLIC,
        "Other public tables have 60567007 or 95436003: look at this row first.",
        "RID43255",
    ),
    _row("Pneumonia", Code("233604007", "SCT", "Pneumonia"), LUNG, _PUBLIC, "", "RID5350"),
    _row("Atelectasis", Code("46621007", "SCT", "Atelectasis"), LUNG, _PUBLIC, "", "RID28493"),
    _row("Pneumothorax", Code("36118008", "SCT", "Pneumothorax"), PLEURA, _PYDICOM, "", "RID5352"),
    _row("Pleural Effusion/Effusion", Code("60046008", "SCT", "Pleural effusion"), PLEURA, _PYDICOM, "", "RID34539"),
    _row(
        "Pleural Other",
        _own("PLEURAL-OTHER", "Other pleural abnormality"),
        PLEURA,
        _OWN,
        "Anything of the pleura but effusion and pneumothorax.",
    ),
    _row("Fracture", Code("125605004", "SCT", "Fracture of bone"), CHEST, _PUBLIC, "Any bone on the film.", "RID4650"),
    _row(
        "Support Devices",
        Code("49062001", "SCT", "Device"),
        CHEST,
        _PUBLIC,
        "Wide: tubes, lines, pacemakers. To be looked up in a SNOMED CT browser.",
        "RID29033",
    ),
    _row(
        "Infiltration",
        Code("409609008", "SCT", "Radiologic infiltrate of lung"),
        LUNG,
        _PUBLIC,
        "Meaning as in the UMLS release of 2016.",
    ),
    _row("Mass", Code("309529002", "SCT", "Mass of lung"), LUNG, _PUBLIC, "", "RID39056"),
    _row(
        "Nodule",
        Code("786838002", "SCT", "Nodule of lung"),
        LUNG,
        _PUBLIC,
        "Not 427359005, which is solitary: the label does not say so.",
        "RID50149",
    ),
    _row("Emphysema", Code("87433001", "SCT", "Pulmonary emphysema"), LUNG, _PUBLIC, ""),
    _row("Fibrosis", Code("51615001", "SCT", "Fibrosis of lung"), LUNG, _PUBLIC, ""),
    _row(
        "Pleural_Thickening",
        _own("PLEURAL-THICK", "Pleural thickening"),
        PLEURA,
        _OWN,
        "No verified SNOMED CT code; RID43269, plaque, is narrower.",
    ),
    _row(
        "Hernia",
        _own("HERNIA", "Hernia"),
        CHEST,
        _OWN,
        "The label does not say which; codes for one kind are narrower.",
    ),
)

ROW_OF: Final[Mapping[str, Row]] = MappingProxyType({label: row for row in ROWS for label in row.labels})
FINDINGS: Final[Mapping[tuple[str, str], Row]] = MappingProxyType(
    {(row.code.value, row.code.scheme_designator): row for row in ROWS}
)
KNOWN: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        (code.value, code.scheme_designator): code.meaning
        for code in (
            *(row.code for row in ROWS),
            *STATES.values(),
            *SIDES.values(),
            *SEVERITIES.values(),
            *SITES,
            LATERALITY,
            SEVERITY,
            FINDING_SITE,
        )
    }
)
# The modality of images by their SOP class, where no header is at hand that says it.
MODALITY_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.1.1": "CR",
        "1.2.840.10008.5.1.4.1.1.1.1": "DX",
        "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
    }
)


def modifiers(laterality: Laterality | None, severity: Severity | None) -> tuple[tuple[Code, Code], ...]:
    """Name and value of what is known of a finding's side and severity, in this order."""
    side = ((LATERALITY, SIDES[laterality]),) if laterality is not None else ()
    return (*side, *(((SEVERITY, SEVERITIES[severity]),) if severity is not None else ()))


def scheme_identification() -> Dataset:
    """Make the item of Coding Scheme Identification Sequence (PS3.3 C.12.1) that says whose codes 99WETREAD are."""
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = SCHEME_NAME
    item.CodingSchemeResponsibleOrganization = "wetread"
    return item
