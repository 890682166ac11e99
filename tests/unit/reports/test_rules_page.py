"""Rules in the browser: their order, their forms, and what they would do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node import worklist
from dicom_node.database import clock
from dicom_node.rules import book, forms
from dicom_node.rules.decision import Decision
from dicom_node.rules.forms import Rule, make
from reports.web.rights import Role
from tests.unit.agent.ward import as_file
from tests.unit.reports import films
from tests.unit.reports.office import Office, words

STAT = """[[rules]]
name = "er-first"
owner = "Dr. Kim"
when = ["calling_ae in ER_CR1,ER_CR2"]
priority = "stat"
"""


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.database.close()


def add(office: Office, name: str, **fields: Any) -> None:
    with office.database.write() as tx:
        book.add(tx, make({"name": name, **fields}), now=clock(tx), actor="person:test")


def rules(office: Office) -> list[Rule | None]:
    with office.database.read() as tx:
        return [one.rule for one in book.everyone(tx)]


def names(office: Office) -> list[str]:
    return [one.name for one in rules(office) if one is not None]


def test_rule_is_written_in_fields(office: Office) -> None:
    office.add_peer("PACS")
    page = office.send_form(
        "/rules/edit",
        new="yes",
        name="er-first",
        owner="Dr. Kim",
        comment="trauma room",
        enabled="yes",
        when="calling_ae in ER_CR1,ER_CR2\r\n\r\n  age >= 18Y ",
        priority="stat",
        to="PACS=shadow",
        late="add",
    )

    assert "er-first is added" in page
    assert "calling_ae in ER_CR1,ER_CR2 age >= 18Y stat; to PACS=shadow; late images: add Dr. Kim trauma room 1" in page
    wanted = make(
        {
            "name": "er-first",
            "owner": "Dr. Kim",
            "comment": "trauma room",
            "when": ["calling_ae in ER_CR1,ER_CR2", "age >= 18Y"],
            "priority": "stat",
            "to": ["PACS=shadow"],
            "late": "add",
        }
    )
    assert rules(office) == [wanted]
    assert office.events_of_kim() == ["rule-added"]


def test_rule_is_written_as_toml_and_what_it_lacks_goes_back_to_its_default(office: Office) -> None:
    add(office, "er-first", comment="old", when=["images > 1"])
    assert "images &gt; 1" in office.web.get("/rules/edit?name=er-first").text

    office.send_form("/rules/edit", name="er-first", version="1", toml=STAT)

    (made,) = rules(office)
    assert made is not None
    assert (made.owner, made.comment, made.when, made.priority) == (
        "Dr. Kim",
        "",
        ("calling_ae in ER_CR1,ER_CR2",),
        "stat",
    )
    assert office.events_of_kim() == ["rule-edited"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "a b"}, "name: String should match pattern"),
        ({"name": "x", "when": "Modality is DX"}, "Modality is DX"),
        ({"name": "x", "exclude": "not ours", "priority": "stat"}, "chooses no reader, priority or destination"),
        ({"name": "x", "to": "NOWHERE"}, "no destination is named 'NOWHERE'"),
        ({"name": "x", "reader": "oracle"}, "no reader is named 'oracle'"),
        ({"name": "x", "toml": "[[rules"}, "neither TOML"),
        ({"name": "x", "toml": STAT + STAT.replace("er-first", "other")}, "one [[rules]] belongs here, not 2"),
    ],
)
def test_mistake_is_told_and_nothing_is_kept(office: Office, fields: dict[str, str], told: str) -> None:
    assert told in office.send_form("/rules/edit", code=422, new="yes", **fields)
    assert rules(office) == []
    assert office.events_of_kim() == []


def test_rule_that_somebody_else_changed_meanwhile_is_not_overwritten(office: Office) -> None:
    add(office, "er-first", comment="old")
    assert 'name="version" value="1"' in office.web.get("/rules/edit?name=er-first").text
    office.send_form("/rules/edit", name="er-first", version="1", comment="new", enabled="yes")

    for fields in ({"comment": "mine"}, {"toml": STAT}):
        page = office.send_form("/rules/edit", code=422, name="er-first", version="1", **fields)
        assert "has version 2 now: somebody else changed it meanwhile" in page
    assert [one.comment for one in rules(office) if one] == ["new"]


def test_toml_of_another_rule_is_refused(office: Office) -> None:
    add(office, "night")

    assert "a rule with another name is added anew" in office.send_form(
        "/rules/edit", code=422, name="night", toml=STAT
    )
    assert names(office) == ["night"]


def test_rules_are_moved_switched_and_removed(office: Office) -> None:
    for name in ("one", "two", "three"):
        add(office, name)

    office.send_form("/rules/move", name="three", to="up")
    assert names(office) == ["one", "three", "two"]
    office.send_form("/rules/move", name="one", to="down")
    assert names(office) == ["three", "one", "two"]
    office.send_form("/rules/move", name="one", to="down")
    assert names(office) == ["three", "two", "one"]
    assert "two is switched" in office.send_form("/rules/switch", name="two", on="no")
    assert [one.enabled for one in rules(office) if one] == [True, False, True]
    assert "check the box" in office.send_form("/rules/remove", code=422, name="two")
    office.send_form("/rules/remove", name="two", sure="yes")

    assert names(office) == ["three", "one"]
    assert office.events_of_kim() == ["rule-moved", "rule-moved", "rule-moved", "rule-disabled", "rule-removed"]


@pytest.mark.parametrize(("name", "to"), [("one", "up"), ("two", "down")])
def test_rule_at_the_end_stays_where_it_is(office: Office, name: str, to: str) -> None:
    add(office, "one")
    add(office, "two")

    office.send_form("/rules/move", name=name, to=to)

    assert names(office) == ["one", "two"]


def test_rules_go_out_as_the_file_that_the_command_takes(office: Office) -> None:
    office.send_form("/rules/edit", new="yes", toml=STAT)

    answer = office.web.get("/rules/rules.toml")

    assert forms.read(answer.text) == forms.read(STAT)
    assert "attachment" in answer.headers["Content-Disposition"]


# --- trials -------------------------------------------------------------------------------------------------------


def try_film(office: Office, content: bytes, **fields: str) -> tuple[int, str]:
    answer = office.web.post("/rules/try", data=fields, files={"file": ("film.dcm", content)})
    return answer.status_code, words(answer)


def test_trial_on_a_film_answers_every_condition(office: Office) -> None:
    add(office, "er-first", when=["calling_ae in ER_CR1", "Modality = DX"], priority="stat")
    add(office, "odd", when=["StudyComments present"])
    code, page = try_film(office, as_file(films.film()), calling="ER_CR1")

    assert code == 200
    assert "the file er-first read stat (rule) any all" in page
    assert "er-first matches yes calling_ae in ER_CR1 yes Modality = DX" in page
    assert "odd does not match no StudyComments present" in page
    assert office.events_of_kim() == []


def test_trial_with_other_rules_leaves_those_in_force(office: Office) -> None:
    add(office, "old")
    _, page = try_film(office, as_file(films.film()), draft=STAT, calling="ER_CR2")

    assert "the file er-first read stat (rule)" in page
    assert names(office) == ["old"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no film at all", "that is no DICOM file"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 4000, "that is no DICOM file"),
        (b"", "choose a DICOM file first"),
    ],
)
def test_what_is_no_film_is_told(office: Office, content: bytes, told: str) -> None:
    code, page = try_film(office, content)

    assert code == 422
    assert told in page


def test_film_that_is_larger_than_the_limit_is_refused_at_once(office: Office) -> None:
    answer = office.web.post("/rules/try", content=b"", headers={"Content-Length": str(65 << 20)})

    assert answer.status_code == 413


def test_trial_on_the_last_day_says_what_would_change(office: Office) -> None:
    add(office, "old", when=["images > 1"])
    office.wait_for_a_reading(1)
    office.wait_for_a_reading(2, accession="ACC2", patient_id="P2")
    with office.database.write() as tx:
        for one in worklist.undecided(tx, limit=10):
            worklist.decided(tx, one.revision_id, Decision(rule="old", version=1), clock(tx))
    add(office, "all-pacs", when=["calling_ae = PACS"], exclude="another hospital")
    page = office.send_form("/rules/try", span="24h")

    assert "2 studies; 2 would be decided by another rule than then. all-pacs: 2." in page
    assert "#1 no film left old all-pacs other excluded: another hospital" in page
    assert "is no span of time" in office.send_form("/rules/try", code=422, span="for ever")


def test_nobody_else_sees_or_changes_rules(office: Office) -> None:
    add(office, "one")
    radiologist = office.as_(Role.RADIOLOGIST)

    for address in ("/rules", "/rules/edit", "/rules/rules.toml"):
        assert radiologist.get(address).status_code == 403
    for address in ("edit", "move", "switch", "remove", "try"):
        assert radiologist.post(f"/rules/{address}", data={"name": "one", "sure": "yes"}).status_code == 403
    assert names(office) == ["one"]
