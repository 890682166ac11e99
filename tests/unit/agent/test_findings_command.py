"""`wetread findings`: what it prints, and what its exit codes are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import wetread
from reports.findings import LABELS, extract

TEXT = "Small left pleural effusion. No pneumothorax. Pneumonia cannot be excluded."


def run(*arguments: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(wetread, ["findings", *arguments], input=stdin)


def test_a_file_becomes_one_json_line_with_the_mentioned_labels_only(tmp_path: Path) -> None:
    file = tmp_path / "4711.txt"
    file.write_text(TEXT, encoding="utf-8")

    result = run(str(file), "--json")

    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    document = json.loads(line)
    assert document["id"] == "4711"
    assert {label: finding["state"] for label, finding in document["findings"].items()} == {
        "Pneumonia": "uncertain",
        "Pneumothorax": "absent",
        "Pleural Effusion": "present",
        "Effusion": "present",
    }
    effusion = document["findings"]["Pleural Effusion"]
    assert (effusion["laterality"], effusion["severity"]) == ("left", "mild")


def test_the_evidence_is_the_text_between_its_offsets(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(TEXT, encoding="utf-8")

    findings = json.loads(run(str(file), "--json").stdout)["findings"]

    (evidence,) = findings["Pneumonia"]["evidence"]
    for part in (*evidence["words"], *evidence["cues"], evidence["sentence"]):
        assert part["text"] == TEXT[part["start"] : part["end"]]
    assert [cue["text"] for cue in evidence["cues"]] == ["cannot be excluded"]


def test_json_lines_come_out_in_their_order_and_the_id_as_given() -> None:
    lines = [{"id": "b", "text": TEXT}, {"id": "a", "text": ""}, {"id": "흉부", "text": "Cardiomegaly."}]

    result = run("-", "--json", stdin="\n\n".join(json.dumps(line) for line in lines))

    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [document["id"] for document in documents] == ["b", "a", "흉부"]
    assert documents[1]["findings"] == {}
    assert documents[2]["findings"]["Cardiomegaly"]["state"] == "present"


def test_without_json_a_person_gets_a_table_with_the_words() -> None:
    result = run("-", stdin=json.dumps({"id": "x", "text": TEXT}) + "\n" + json.dumps({"id": "y", "text": "?"}))

    assert result.exit_code == 0
    assert "Pneumonia         uncertain" in result.stdout
    assert "cannot be excluded" in result.stdout
    assert "no finding is mentioned" in result.stdout


def test_the_map_is_json_with_present_or_absent_for_every_label() -> None:
    result = run("--uncertain-map")

    document = json.loads(result.stdout)
    assert set(document) == set(LABELS)
    assert set(document.values()) == {"present", "absent"}


@pytest.mark.parametrize(
    "stdin",
    ["{", '{"id": "a"}', '{"text": "a"}', '["a"]', '{"id": "a", "text": 4}', b"\xff\xfe", "[" * 100_000],
)
def test_a_line_that_is_no_report_is_a_usage_error_that_names_the_line_and_quotes_nothing(stdin: str | bytes) -> None:
    first = json.dumps({"id": "a", "text": "Edema."})
    raw = stdin if isinstance(stdin, bytes) else stdin.encode()

    result = run("-", "--json", stdin=first.encode() + b"\n" + raw)

    assert result.exit_code == 2
    assert "line 2" in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr) < 200


def test_a_file_that_is_not_there_is_exit_code_3(tmp_path: Path) -> None:
    result = run(str(tmp_path / "none.txt"))

    assert result.exit_code == 3
    assert "none.txt" in result.stderr


def test_a_file_that_is_no_text_is_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "film.dcm"
    file.write_bytes(b"\xff\xfe\x00DICM")

    assert run(str(file)).exit_code == 2


def test_nothing_to_read_is_exit_code_2() -> None:
    assert run().exit_code == 2


def test_what_it_prints_is_what_the_package_finds() -> None:
    result = run("-", "--json", stdin=json.dumps({"id": "x", "text": TEXT}))

    found = extract(TEXT)
    assert list(json.loads(result.stdout)["findings"]) == list(found.by_label)


@pytest.mark.parametrize("arguments", [("-",), ("-", "--json")])
def test_what_could_steer_a_terminal_or_cannot_be_written_does_no_harm(arguments: tuple[str, ...]) -> None:
    stdin = '{"id": "\\u001b[2J\\ud800", "text": "Left \\ud800 effusion, small pleural\\u001beffusion."}'

    result = run(*arguments, stdin=stdin)

    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "Pleural Effusion" in result.stdout
