"""What the gate says of 7,469 real headers of chest radiographs, of which over a third are laterals.

The table is in deploy/docs/gate.md; WETREAD_WRITE_DOCS=1 writes it anew.
"""

from __future__ import annotations

import ast
import csv
import gzip
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType

import pytest
from pydicom import Dataset

from agent.imaging.gate import judge

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

DOCUMENT = Path(__file__).parents[2] / "deploy" / "docs" / "gate.md"
BEGIN, END = "<!-- headers: begin -->", "<!-- headers: end -->"
CAME = date(2012, 12, 31)  # the newest of them is of 2012
KEYWORDS = MappingProxyType(
    {
        "SOP Class UID": "SOPClassUID",
        "Modality": "Modality",
        "Body Part Examined": "BodyPartExamined",
        "View Position": "ViewPosition",
        "Patient's Birth Date": "PatientBirthDate",
        "Study Date": "StudyDate",
        "Content Date": "ContentDate",
        "Rows": "Rows",
        "Columns": "Columns",
        "Burned In Annotation": "BurnedInAnnotation",
        "Quality Control Image": "QualityControlImage",
        "Postprocessing Function": "PostprocessingFunction",
    }
)
LATERAL = re.compile("lat|^[LR]L$", re.IGNORECASE)

Row = Mapping[str, str]


@pytest.fixture(scope="module")
def rows(dicom: Path) -> list[Row]:
    file = dicom.parent / "text" / "openi" / "nlmcxr_dicom_metadata.csv.gz"
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def header(row: Row) -> Dataset:
    """The table has sequences in print; the one of the procedure lost its name, and is known by its code."""
    made = Dataset()
    for column, keyword in KEYWORDS.items():
        if row[column]:
            setattr(made, keyword, int(row[column]) if column in {"Rows", "Columns"} else row[column])
    if row["Patient Orientation"]:
        made.PatientOrientation = ast.literal_eval(row["Patient Orientation"])
    for column in ("View Code Sequence", "Anatomic Region Sequence"):
        if codes := re.findall(r"Code Value +SH: '(.*)'", row[column]):
            (meaning,) = re.findall(r"Code Meaning +LO: '(.*)'", row[column])
            setattr(made, column.replace(" ", ""), [code(codes[0], meaning)])
    if row["Code Value"].startswith(("XR", "RAD")):
        made.ProcedureCodeSequence = [code(row["Code Value"], row["Code Meaning"])]
    return made


def code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = value, meaning
    return item


def names_a_lateral(row: Row) -> bool:
    """Anything in the header that speaks of the image names a lateral."""
    procedure = row["Code Meaning"]
    return (
        any(LATERAL.search(row[column]) for column in ("View Position", "View Code Sequence"))
        or "LAT_" in row["Postprocessing Function"]
        or row["Patient Orientation"].startswith(("['A", "['P"))
        or (bool(LATERAL.search(procedure)) and not re.search(r"\bPA\b|frontal", procedure, re.IGNORECASE))
    )


@pytest.fixture(scope="module")
def judged(rows: Sequence[Row]) -> list[tuple[str, str]]:
    verdicts = [judge(header(row), received=CAME) for row in rows]
    return [(verdict.decision, verdict.code) for verdict in verdicts]


def test_no_header_that_names_a_lateral_is_read(rows: Sequence[Row], judged: Sequence[tuple[str, str]]) -> None:
    named = [(row, verdict) for row, verdict in zip(rows, judged, strict=True) if names_a_lateral(row)]
    assert len(named) >= 880
    assert [row["imageid"] for row, (decision, _) in named if decision == "read"] == []
    assert {verdict for row, verdict in named if row["View Position"] == "LARGE LATERAL"} == {("exclude", "lateral")}


def test_no_header_that_is_mirrored_is_read(rows: Sequence[Row], judged: Sequence[tuple[str, str]]) -> None:
    found = Counter(
        verdict for row, verdict in zip(rows, judged, strict=True) if row["Patient Orientation"] == "['R', 'F']"
    )
    assert found == {("confirm", "looks-mirrored"): 14}


def test_a_header_of_an_adult_chest_that_says_pa_and_nothing_else_is_read(
    rows: Sequence[Row], judged: Sequence[tuple[str, str]]
) -> None:
    sound = [
        verdict
        for row, verdict in zip(rows, judged, strict=True)
        if row["Body Part Examined"] in {"CHEST", "PORTABLE CHEST", "NON GRID CHEST"}
        and row["View Position"] in {"PA", "AP"}
        and row["Patient Orientation"] in {"", "['L', 'F']"}
        and row["SOP Class UID"] != "1.2.840.10008.5.1.4.1.1.7"
        and not names_a_lateral(row)
        and int(row["Study Date"][:4]) - int(row["Patient's Birth Date"][:4]) > 18
    ]
    assert len(sound) > 3900
    assert set(sound) == {("read", "accepted")}


# --- the document -----------------------------------------------------------------------------------------------------

ANSWERS = MappingProxyType({"read": "read", "confirm": "held", "exclude": "excluded"})


def lines(judged: Sequence[tuple[str, str]], by_pixels: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Every answer with its reason, without and with `unknown_body_part = "pixels"`, the most frequent first."""
    hold, pixels = Counter(judged), Counter(by_pixels)
    for answer, words in ANSWERS.items():
        codes = {code for decision, code in hold | pixels if decision == answer}
        for code in sorted(codes, key=lambda code: (-hold[answer, code], code)):
            yield f"| {words} | {code} | {hold[answer, code]} | {pixels[answer, code]} |"
        both = [sum(number for (decision, _), number in of.items() if decision == answer) for of in (hold, pixels)]
        yield f"| **{words}** | | **{both[0] / len(judged):.1%}** | **{both[1] / len(judged):.1%}** |"


def test_the_document_is_current(rows: Sequence[Row], judged: Sequence[tuple[str, str]]) -> None:
    verdicts = [judge(header(row), received=CAME, pixels_name_the_part=True) for row in rows]
    head = (
        '| answer | reason | `unknown_body_part = "hold"` | `"pixels"`, before the pixels |\n| --- | --- | --- | --- |'
    )
    table = "\n".join((head, *lines(judged, [(verdict.decision, verdict.code) for verdict in verdicts])))
    document = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = document.partition(BEGIN)
    current = f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"
    if os.environ.get("WETREAD_WRITE_DOCS") == "1":
        DOCUMENT.write_text(current, encoding="utf-8")
        document = current
    assert document == current, "WETREAD_WRITE_DOCS=1 writes it anew"
