"""The table of codes: complete, in agreement with the dictionary of the standard, and the same as the page."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code

from reports import codes
from reports.findings import CHEXPERT, LABELS, NEGBIO, Laterality, Severity, State

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "deploy" / "docs" / "codes.md"
EVERY_CODE = [Code(value, scheme, meaning) for (value, scheme), meaning in codes.KNOWN.items()]


def _dictionary(scheme: str, value: str) -> set[str]:
    """Meanings that pydicom has for a code; empty where it does not know the code."""
    return {known[value][0] for known in concepts.get(scheme, {}).values() if value in known}


def test_every_label_of_both_sets_has_a_row() -> None:
    assert set(codes.ROW_OF) == {*CHEXPERT, *NEGBIO, "normal"} == set(LABELS)


def test_every_state_side_and_severity_has_a_code() -> None:
    assert set(codes.STATES) == set(State)
    assert set(codes.SIDES) == set(Laterality)
    assert set(codes.SEVERITIES) == set(Severity)


def test_no_two_concepts_share_a_code() -> None:
    assert len(codes.FINDINGS) == len(codes.ROWS)
    assert len({row.code.meaning for row in codes.ROWS}) == len(codes.ROWS)


def test_cardiomegaly_is_not_what_the_dictionary_of_pydicom_says() -> None:
    assert codes.ROW_OF["Cardiomegaly"].code.value == "8186001"
    assert "Cardiomegaly" in _dictionary("SCT", "287272002")  # the trap is still there
    for room in ("agent", "reports", "dicom_node"):
        for path in (ROOT / room).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            assert "SCT.Cardiomegaly" not in source
            assert source.count("287272002") == (1 if path.name == "codes.py" else 0)  # the remark that warns of it
    assert ("287272002", "SCT") not in codes.KNOWN


@pytest.mark.parametrize("code", EVERY_CODE, ids=lambda code: code.meaning)
def test_code_agrees_with_the_dictionary_where_that_has_it(code: Code) -> None:
    meanings = {meaning.partition(" (")[0].lower() for meaning in _dictionary(code.scheme_designator, code.value)}

    assert not meanings or code.meaning.lower() in meanings


@pytest.mark.parametrize("row", codes.ROWS, ids=lambda row: row.labels[0])
def test_source_of_a_row_is_true(row: codes.Row) -> None:
    known = _dictionary(row.code.scheme_designator, row.code.value)

    assert row.source.startswith("pydicom") == bool(known)
    assert (row.source == "this project") == (row.code.scheme_designator == codes.SCHEME)
    assert date.fromisoformat(row.reviewed) <= date(2026, 11, 22)
    assert row.site in codes.SITES


@pytest.mark.parametrize("code", EVERY_CODE, ids=lambda code: code.meaning)
def test_code_can_be_written(code: Code) -> None:
    assert 0 < len(code.value) <= 16
    assert 0 < len(code.meaning) <= 64
    assert 0 < len(code.scheme_designator) <= 16
    assert code.scheme_designator in {"SCT", "DCM", codes.SCHEME}


def test_no_meaning_denies() -> None:
    words = {word.lower() for row in codes.ROWS for word in row.code.meaning.split()}

    assert not words & {"no", "not", "without", "absent", "negative"}


def test_the_page_for_people_is_the_table() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    written = [line for line in lines if line.startswith("| ") and codes.ROWS[0].reviewed in line]

    assert written == [
        f"| {', '.join(row.labels)} | {row.code.value} | {row.code.scheme_designator} | {row.code.meaning} "
        f"| {row.site.meaning} | {row.radlex or '-'} | {row.source} | {row.reviewed} | {row.remark or '-'} |"
        for row in codes.ROWS
    ]
