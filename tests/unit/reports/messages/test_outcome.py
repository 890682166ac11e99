"""Outcomes: what they count, what they keep to themselves, and their two forms."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset

from reports.checks.messages import FHIR_STATES, HL7_STATES
from reports.messages.outcome import COLUMNS, SCHEMA, Outcome, Result, outcome_of, to_csv, to_json
from reports.objects.signed import build_signed
from reports.objects.signer import Signature, Signer
from reports.text import DraftText
from tests.unit.reports.films import CONFIG, MOMENT, draft, film, text

LATER = MOMENT + timedelta(minutes=5)


def signed(words: DraftText) -> Dataset:
    signature = Signature(Signer("Reader^Rita", "Example Hospital"), LATER)
    return build_signed(draft(), words, [signature], number=1, not_before=MOMENT, config=CONFIG, predecessor=None)


def became(words: DraftText, **changes: object) -> Outcome:
    return outcome_of(draft(), drafted_at=MOMENT, at=LATER, signed=signed(words), **changes)  # type: ignore[arg-type]


def test_signed_without_a_change_is_accepted() -> None:
    outcome = became(text())

    assert outcome.result == "accepted"
    assert outcome.words_drafted == outcome.words_signed == outcome.words_kept > 5


def test_signed_with_a_change_is_modified_and_counts_the_words_kept() -> None:
    outcome = became(DraftText("The lungs are not clear.", "Effusion."))

    assert outcome.result == "modified"
    assert (outcome.words_signed, outcome.words_kept) == (6, 4)


def test_outcome_holds_no_word_and_no_patient_unless_asked() -> None:
    master = draft(film(PatientName="Secret^Name", PatientID="SECRET-1"))
    plain = to_json(outcome_of(master, drafted_at=MOMENT, at=LATER, result=Result.REJECTED, reason="wrong-finding"))
    asked = to_json(outcome_of(master, drafted_at=MOMENT, at=LATER, result=Result.DRAFTED, with_words=True))

    assert b"ecret" not in plain
    assert b"SECRET" not in plain
    assert b"lungs" not in plain
    assert b"The lungs are clear" in asked


def test_json_has_the_documented_members_and_names_its_schema() -> None:
    members = json.loads(to_json(became(text())))

    assert members["schema"] == SCHEMA == "wetread.outcome/1"
    assert tuple(members) == COLUMNS[:-1]
    assert members["at"] == "2025-03-01T23:35:05+00:00"
    assert members["draft_uid"] == draft().SOPInstanceUID


def test_csv_rows_read_back_and_formulas_are_made_harmless() -> None:
    master = draft(film(AccessionNumber="=1+1"))
    outcome = outcome_of(master, drafted_at=MOMENT, at=LATER, result=Result.WITHDRAWN, reason="expired")

    (row,) = csv.DictReader(io.StringIO(to_csv([outcome])))
    assert tuple(row) == COLUMNS
    assert row["accession_number"] == "'=1+1"
    assert row["reason"] == "expired"


def test_same_fact_has_the_same_id_and_another_fact_another() -> None:
    first, again = became(text()), became(text())
    other = outcome_of(draft(), drafted_at=MOMENT, at=LATER, result=Result.REJECTED)

    assert first == again
    assert other.id != first.id


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"result": Result.REJECTED, "reason": "He said it was wrong"},
        {"result": Result.REJECTED, "at": LATER.replace(tzinfo=None)},
    ],
)
def test_what_says_nothing_or_too_much_is_refused(changes: dict[str, object]) -> None:
    arguments = {"drafted_at": MOMENT, "at": LATER, **changes}
    with pytest.raises(ValueError, match=r"outcome|reason|moment"):
        outcome_of(draft(), **arguments)  # type: ignore[arg-type]


def test_documented_schema_is_that_of_the_code() -> None:
    page = (Path(__file__).parents[4] / "deploy" / "docs" / "messages.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    schema = json.loads(block)

    assert tuple(schema["properties"]) == COLUMNS
    assert tuple(schema["required"]) == COLUMNS[:-1]
    assert schema["properties"]["schema"] == {"const": SCHEMA}
    assert schema["properties"]["result"]["enum"] == [result.value for result in Result]
    members = json.loads(to_json(became(text())))
    for name, rule in schema["properties"].items():
        if name in members:
            assert isinstance(members[name], int if rule.get("type") == "integer" else str), name
            assert re.search(rule.get("pattern", ""), str(members[name])), name


def test_documented_statuses_are_those_of_the_gate() -> None:
    page = (Path(__file__).parents[4] / "deploy" / "docs" / "messages.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| ([A-Z]) \| ([^|]+) \| ([a-z-]+) \| ([a-z-]+) \|$", page, re.MULTILINE)

    assert {row[0] for row in rows} == set().union(*HL7_STATES.values()) == {"R", "F", "C"}
    assert {row[2] for row in rows} == set().union(*FHIR_STATES.values())
