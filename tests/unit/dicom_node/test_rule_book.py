"""The rules in force: kept in order, counted, audited, written out and read back without a change."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.database import Database
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.rules import book, forms
from dicom_node.rules.tables import RuleRow
from dicom_node.tables import AuditRow, RemoteAE

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
BY: dict[str, Any] = {"now": NOW, "actor": "person:a"}


class Shelf:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, *, before: str = "", **fields: Any) -> None:
        with self._database.write() as tx:
            book.add(tx, forms.make({"name": name, **fields}), before=before, **BY)

    def names(self) -> list[str]:
        with self._database.read() as tx:
            return [one.name for one in book.everyone(tx)]

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        with self._database.read() as tx:
            return [(row.event, json.loads(row.detail)) for row in tx.scalars(select(AuditRow).order_by(AuditRow.id))]

    def do(self, change: Any, *arguments: Any, **words: Any) -> Any:
        with self._database.write() as tx:
            return change(tx, *arguments, **words)


@pytest.fixture
def shelf(database: Database) -> Shelf:
    return Shelf(database)


def test_rules_keep_their_order(shelf: Shelf) -> None:
    for name in ("a", "b", "c"):
        shelf.add(name)
    shelf.add("first", before="a")
    shelf.do(book.move, "a", **BY)
    shelf.do(book.move, "c", before="b", **BY)

    assert shelf.names() == ["first", "c", "b", "a"]


def test_every_change_is_counted_and_audited_with_what_the_rule_says(shelf: Shelf) -> None:
    shelf.add("er", when=["Modality = DX"])
    shelf.do(book.edit, "er", priority="stat", **BY)
    shelf.do(book.edit, "er", priority="stat", **BY)  # no change
    shelf.do(book.edit, "er", enabled=False, **BY)
    shelf.do(book.edit, "er", enabled=True, **BY)
    shelf.do(book.remove, "er", **BY)

    events = shelf.events()
    assert [event for event, _ in events] == [
        "rule-added",
        "rule-edited",
        "rule-disabled",
        "rule-enabled",
        "rule-removed",
    ]
    assert [detail["version"] for _, detail in events] == [1, 2, 3, 4, 4]
    assert json.loads(events[1][1]["form"]) == {"name": "er", "when": ["Modality = DX"], "priority": "stat"}
    assert shelf.names() == []


def test_a_name_is_there_once_and_an_unknown_one_is_not_found(shelf: Shelf) -> None:
    shelf.add("a")
    with pytest.raises(ConfigurationError, match="already"):
        shelf.add("a")
    with pytest.raises(NotFound, match="wetread rule list"):
        shelf.do(book.edit, "b", priority="stat", **BY)
    with pytest.raises(NotFound, match="'z'"):
        shelf.add("c", before="z")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "a", "when": ["Nonsense = 1"]}, "Nonsense"),
        ({"name": "a", "exclude": "x", "priority": "stat"}, "exclude"),
        ({"name": "a", "to": ["PACS=loud"]}, "to"),
        ({"name": "a", "to": ["PACS", "PACS=hold"]}, "twice"),
        ({"name": "a", "priority": "soon"}, "priority: must be one of: stat, routine, backlog; or empty$"),
        ({"name": "a", "wehn": []}, r"wehn: unknown key; did you mean when\?$"),
        ({"name": "a", "enabled": "perhaps"}, "enabled: must be true or false, written without quotes$"),
        ({"name": "a", "to": "PACS"}, "to: must be a list, such as"),
    ],
)
def test_what_is_no_rule_is_refused_in_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        forms.make(fields)


def test_export_and_apply_change_nothing(shelf: Shelf) -> None:
    shelf.add(
        "er", when=['StudyDescription ~ "quoted" \\d', "age >= 18"], priority="stat", to=["PACS", "B=hold"], owner="ß"
    )
    shelf.add("rest", exclude="nobody asked", enabled=False, comment="two\nlines")
    plain = shelf.do(book.export)
    written = forms.write(forms.several(plain))

    assert [rule.filled() for rule in forms.read(written)] == plain
    assert [rule.filled() for rule in forms.read(json.dumps(plain))] == plain
    assert shelf.do(book.apply, plain, prune=True, **BY) == ()
    assert [event for event, _ in shelf.events()] == ["rule-added", "rule-added"]


def test_apply_adds_edits_orders_and_removes_only_with_prune(shelf: Shelf) -> None:
    for name in ("a", "b", "c"):
        shelf.add(name, comment=name)
    wanted = [{"name": "b", "priority": "stat"}, {"name": "new"}, {"name": "a", "comment": "a"}]

    planned = shelf.do(book.plan, wanted, prune=False)
    assert shelf.names() == ["a", "b", "c"], "a plan changed something"
    assert shelf.do(book.apply, wanted, prune=False, **BY) == planned
    assert [(change.what, change.name) for change in planned] == [
        ("added", "new"),
        ("edited", "b"),
        ("moved", "b, a, c"),
    ]
    assert "comment: b -> -" in planned[1].words
    assert shelf.names() == ["b", "new", "a", "c"]

    pruned = shelf.do(book.apply, wanted, prune=True, **BY)
    assert [(change.what, change.name) for change in pruned] == [("removed", "c")]
    assert shelf.do(book.apply, wanted, prune=True, **BY) == ()


def test_a_rule_of_another_version_of_the_program_is_told_and_not_raised(shelf: Shelf) -> None:
    shelf.add("a")

    def spoil(tx: Session) -> None:
        tx.scalars(select(RuleRow)).one().form = '{"name": "a", "mood": "good"}'

    shelf.do(spoil)
    (one,) = shelf.do(book.everyone)

    assert one.rule is None
    assert "unknown key" in one.trouble


def test_unknown_readers_and_destinations_are_told(shelf: Shelf) -> None:
    shelf.do(lambda tx: tx.add(RemoteAE(ae_title="PACS", host="h", port=104, send_to=True)))
    made = forms.make({"name": "a", "to": ["PACS", "PCAS"], "reader": "oracle"})
    told = shelf.do(book.unknown, made, readers={"cxr_llava"})

    assert len(told) == 2
    assert "'PCAS'" in told[0]
    assert "cxr_llava" in told[1]


def test_toml_that_is_none_is_refused() -> None:
    for text in ("[[rules]\n", "[{]", "rules = 3"):
        with pytest.raises(ConfigurationError):
            forms.read(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[rule]]\nname = "a"\n', "'rule' is unknown"),
        ('[[rules]]\nname = "a"\n[[peers]]\n', "'peers' is unknown"),
        ("", "there are no [[rules]]"),
        ("# [[rules]]\n", "there are no [[rules]]"),
    ],
)
def test_a_typing_error_does_not_look_like_a_file_without_rules(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        forms.read(text)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\r\n  "])
def test_a_json_list_is_one_however_its_lines_end(end: str) -> None:
    (rule,) = forms.read(f'[{end}  {{"name": "a"}}{end}]{end}')
    assert rule.name == "a"


def test_no_rules_at_all_have_to_be_said() -> None:
    assert forms.read("rules = []") == forms.read("[]") == forms.read(forms.write(())) == ()
