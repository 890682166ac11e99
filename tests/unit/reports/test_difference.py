"""The page's own comparison by words, run by Node.js as the browser runs it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

import reports.web.static

STATIC: Final = Path(reports.web.static.__file__).parent
SCRIPT: Final = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const { difference, count } = await import("data:text/javascript," + encodeURIComponent(source));
const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(([before, after]) => {
  const runs = difference(before, after);
  return { runs, ...count(runs) };
})));
"""


def compared(*cases: tuple[str, str]) -> list[dict[str, Any]]:
    node = shutil.which("node")
    assert node is not None, "install Debian's package nodejs"
    command = [node, "--input-type=module", "--eval", SCRIPT, str(STATIC / "difference.js")]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def marked(runs: list[dict[str, str]]) -> str:
    brackets = {"=": "{}", "-": "[-{}]", "+": "[+{}]"}
    return "".join(brackets[run["mark"]].format(run["text"]) for run in runs)


@pytest.mark.parametrize(
    ("before", "after", "shown", "added", "removed"),
    [
        ("No pneumothorax.", "No pneumothorax.", "No pneumothorax.", 0, 0),
        ("", "New words.", "[+New words.]", 2, 0),
        ("Old words.", "", "[-Old words.]", 0, 2),
        ("Small left effusion.", "Small right effusion.", "Small [-left][+right] effusion.", 1, 1),
        ("a b c d", "a x y d", "a [-b c][+x y] d", 2, 2),
        ("No edema. Clear.", "Clear.", "[-No edema. ]Clear.", 0, 2),
        ("Herz vergrößert", "Herz normal groß", "Herz [-vergrößert][+normal groß]", 2, 1),
        ("정상 흉부", "정상 심장", "정상 [-흉부][+심장]", 1, 1),
        ("isn't", "is not", "[-isn't][+is not]", 2, 1),
    ],
)
def test_words_are_compared_as_a_person_would(before: str, after: str, shown: str, added: int, removed: int) -> None:
    (found,) = compared((before, after))

    assert (marked(found["runs"]), found["added"], found["removed"]) == (shown, added, removed)


def test_no_letter_is_lost_or_made_up() -> None:
    chance = random.Random(11)
    words = ["no", "left", "right", "effusion", ".", ",", " ", "  ", "\n", "pneumothorax", "😀", "é", "홍길동", "صورة"]
    cases = [
        ("".join(chance.choices(words, k=chance.randrange(30))), "".join(chance.choices(words, k=chance.randrange(30))))
        for _ in range(400)
    ]

    for (before, after), found in zip(cases, compared(*cases), strict=True):
        runs = found["runs"]
        assert "".join(run["text"] for run in runs if run["mark"] != "+") == before
        assert "".join(run["text"] for run in runs if run["mark"] != "-") == after
        assert all(run["text"] for run in runs)


def test_endless_texts_are_compared_in_no_time() -> None:
    long = " ".join(f"word{number}" for number in range(9000))

    (found,) = compared((long, long[::-1]))

    assert {run["mark"] for run in found["runs"]} <= {"-", "+", "="}
    assert "".join(run["text"] for run in found["runs"] if run["mark"] != "+") == long
