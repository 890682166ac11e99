"""`wetread eval`: tables, pictures and files, from texts of another program and from a reader of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from agent.cli import wetread
from agent.evaluation.continuations import USUAL
from agent.training.sentences import FINDINGS
from reports.findings import State, extract

ROWS = (
    # id, patient, sex, age, Edema, Pleural Effusion, what the reader wrote, the report
    ("a", "1", "F", "30", "1", "0", "Pulmonary edema. No pleural effusion.", "There is pulmonary edema."),
    ("b", "2", "M", "70", "0", "1", "No edema. Small left pleural effusion.", "Left effusion. No edema."),
    ("c", "2", "M", "71", "0", "0", "Pulmonary edema.", "Normal chest."),
    ("d", "3", "F", "411", "1", "1", "The heart is normal.", "Edema and effusion."),
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    lines = ["image,patient,sex,age,Edema,Pleural Effusion,report"]
    for number, (name, patient, sex, age, edema, effusion, _, report) in enumerate(ROWS):
        Image.fromarray(np.full((64, 64), 40 * number + 40, np.uint8)).save(tmp_path / f"{name}.png")
        lines.append(f'{name}.png,{patient},{sex},{age},{edema},{effusion},"{report}"')
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": row[0], "text": row[6]}) + "\n" for row in ROWS), encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(wetread, ["eval", *map(str, arguments)])


def table(result: Result, protocol: str) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    (found,) = [one for one in json.loads(result.stdout)["tables"] if one["protocol"] == protocol]
    return {row["label"]: row for row in found["rows"]} | {"pooled": found["pooled"]}


def test_texts_are_judged_under_both_protocols(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out", "--json")
    definite, whole = (table(run(*arguments), protocol) for protocol in ("definite", "all"))

    edema = definite["Edema"]
    assert (edema["positives"], edema["negatives"]) == (1, 2)  # of d the text says nothing
    assert edema["figures"]["f1"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert (whole["Edema"]["positives"], whole["Edema"]["figures"]["sensitivity"]["value"]) == (2, 0.5)
    assert whole["Pleural Effusion"]["figures"]["sensitivity"]["value"] == 0.5
    assert whole["pooled"]["f1"]["value"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 2), abs=1e-6)


def test_files_are_written_and_name_what_is_not_measured(manifest: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("--manifest", manifest, "--texts", texts, "--output", out)
    assert result.exit_code == 0, result.output

    words = (out / "evaluation.md").read_text(encoding="utf-8")
    assert words.count("not measured: weights absent") == 3
    assert "Published figures, not measured here" in words
    assert "| ROUGE-1 | 0." in words
    assert "4 films of 3 patients" in words
    assert "| age" not in words  # of too few films; an age of 411 is none
    with Image.open(out / "f1.png") as picture:
        assert picture.width > 500
    assert not (out / "roc.png").exists()  # texts have no scores
    assert json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["heading"]["films"] == "4"


def test_reports_may_be_the_measure(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = (
        "--manifest",
        manifest,
        "--texts",
        texts,
        "--output",
        tmp_path / "out",
        "--json",
        "--labels",
        "reports",
    )
    found = table(run(*arguments), "all")
    assert found["Edema"]["positives"] == 2
    assert "No Finding" in found  # of the report "Normal chest."


def test_a_reader_is_run_once_and_its_readings_serve_again(manifest: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--reader", "cxr_llava", "--output", tmp_path / "out", "--precision", "fp32")
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    kept = (tmp_path / "out" / "readings.jsonl").read_bytes()
    readings = [json.loads(line) for line in kept.splitlines()][1:]
    assert [one["id"] for one in readings] == ["a", "b", "c", "d"]
    assert all(set(one["scores"]) == set(FINDINGS) and one["text"] for one in readings)
    with Image.open(tmp_path / "out" / "roc.png") as picture:
        assert picture.width > 500
    assert "NOT FOR CLINICAL USE" in (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")

    assert run(*arguments).exit_code == 0
    assert (tmp_path / "out" / "readings.jsonl").read_bytes() == kept
    other = run(*arguments, "--no-scores")
    assert (other.exit_code, "other settings" in str(other.exception or other.output)) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--manifest"),
        (("--manifest", "m.csv", "--output", "out"), "either --reader or --texts"),
        (("--manifest", "m.csv", "--output", "out", "--reader", "cxr_llava", "--texts", "t"), "either --reader"),
    ],
)
def test_half_a_command_line_says_what_is_missing(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, words in result.output) == (2, True)


def test_films_may_be_chosen(manifest: Path, texts: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", manifest, "--texts", texts, "--output", tmp_path / "out", "--json")
    adults = run(*arguments, "--adults")
    assert json.loads(adults.stdout)["tables"][0]["films"] == 3
    assert json.loads(run(*arguments, "--limit", 2).stdout)["tables"][0]["films"] == 2
    assert "none of the 4 films" in str(run(*arguments, "--split", "test").exception)


def test_sentences_that_are_scored_say_and_deny_what_they_should() -> None:
    for label, (says, denies) in USUAL.items():
        assert extract(says).by_label[label].state is State.PRESENT
        assert extract(denies).by_label[label].state is State.ABSENT
