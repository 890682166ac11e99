"""Another maker's report on a sheet: everything that stands in it, and nothing that only our own documents mean."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from dicom_node.kinds import Stage
from reports.html import as_html
from reports.objects.frame import encode
from reports.outline import read_report
from reports.page.foreign import compose_any
from reports.page.pdf import as_pdf
from reports.page.picture import texts
from reports.page.sheet import compose
from reports.provenance import NOTICE
from tests.unit.reports.films import draft, item
from tests.unit.reports.page.narratives import every_stage, fonts
from tests.unit.reports.test_signed import signed

CREATED = datetime(2025, 3, 2, tzinfo=UTC)
MASS, SCAN = "ADDITIONAL: 3 cm mass in the right upper lobe.", "URGENT CT of the chest today."


def of_a_ris(*, verified: bool) -> Dataset:
    """A Basic Text SR whose first headings are ours by chance; a second Findings and one that we never write follow."""
    document = signed(draft())
    document.Manufacturer, document.ManufacturerModelName = "Another Maker", "RIS"
    del document.ContributingEquipmentSequence
    (findings,) = [one for one in document.ContentSequence if _heading(one) == "Findings"]
    more, recommended = deepcopy(findings), deepcopy(findings)
    more.ContentSequence[0].TextValue = MASS
    heading = item(CodeValue="18783-1", CodingSchemeDesignator="LN", CodeMeaning="Study recommendation")
    recommended.ConceptNameCodeSequence = [heading]
    recommended.ContentSequence[0].TextValue = SCAN
    document.ContentSequence.extend([more, recommended])
    if not verified:
        document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag = (
            "PARTIAL",
            "UNVERIFIED",
            "PRELIMINARY",
        )
        del document.VerifyingObserverSequence
    return read_report(encode(document))


def _heading(one: Dataset) -> str:
    return str(one.ConceptNameCodeSequence[0].CodeMeaning)


@pytest.mark.parametrize("verified", [True, False])
def test_every_section_of_a_ris_stands_in_html_and_pdf(verified: bool) -> None:
    sheet = compose_any(of_a_ris(verified=verified))

    printed = " ".join(" ".join(texts(as_pdf(sheet, fonts=fonts(), created=CREATED))).split())
    for page in (as_html(sheet), printed):
        for words in (MASS, SCAN, "Study recommendation"):
            assert words in page
    assert [section.heading for section in sheet.sections].count("Findings") == 2


def test_preliminary_report_of_a_person_is_unverified_in_its_body_and_no_draft_of_an_ai() -> None:
    sheet = compose_any(of_a_ris(verified=False))

    page = as_html(sheet)
    printed = " ".join(texts(as_pdf(sheet, fonts=fonts(), created=CREATED)))
    assert "NOT VERIFIED" in page.partition("<body>")[2]
    assert "NOT VERIFIED" in printed
    for words in (page, printed, sheet.words):
        assert NOTICE not in words
        assert "AI-GENERATED" not in words


def test_what_another_program_added_to_a_report_of_ours_is_shown() -> None:
    longer = of_a_ris(verified=True)
    coded = dcmread(BytesIO(encode(signed(draft()))))
    for document in (longer, coded):
        document.Manufacturer = document.ManufacturerModelName = "wetread"
    name = item(CodeValue="121071", CodingSchemeDesignator="DCM", CodeMeaning="Finding")
    value = item(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning="Rib fracture")
    added = item(ValueType="CODE", RelationshipType="CONTAINS", ConceptNameCodeSequence=[name])
    added.ConceptCodeSequence = [value]
    next(one for one in coded.ContentSequence if _heading(one) == "Findings").ContentSequence.append(added)

    assert SCAN in compose_any(longer).words
    assert "Finding: Rib fracture" in compose_any(coded).words


@pytest.mark.parametrize("stage", every_stage())
def test_ours_keep_their_own_layout(stage: str) -> None:
    document = every_stage()[stage]

    assert compose_any(document) == compose(document)
    assert compose_any(document).stage in Stage
