"""What the guards say of reports that people wrote: nearly all of them are fine, so that nearly every alarm is false.

The thresholds were chosen on the half that has human labels; the other half was not looked at.
"""

from __future__ import annotations

import csv
import random
import re
import tarfile
import time
from collections import Counter
from xml.etree import ElementTree

import pytest

from agent.readers.guards import check, contradictions, is_cut_off, notes
from agent.readers.protocol import UnreadableText
from reports.findings import State, extract
from tests.real.conftest import DATA

pytestmark = pytest.mark.real

SECTIONS = ("FINDINGS", "IMPRESSION")

# A sentence that a text is not compatible with that denies the finding, and one for a text that states it.
STATED = {
    "atelectasis": "There is bibasilar atelectasis.",
    "cardiomegaly": "The heart is enlarged.",
    "consolidation": "There is consolidation in the right lower lobe.",
    "edema": "Mild pulmonary edema is present.",
    "effusion": "There is a small right pleural effusion.",
    "infiltrate": "There is a left lung infiltrate.",
    "mass": "There is a right lung mass.",
    "nodule": "There is a right lung nodule.",
    "pneumonia": "There is right lower lobe pneumonia.",
    "pneumothorax": "There is a right apical pneumothorax.",
}
DENIED = {
    "atelectasis": "There is no atelectasis.",
    "cardiomegaly": "The heart is normal in size.",
    "consolidation": "There is no consolidation.",
    "edema": "There is no pulmonary edema.",
    "effusion": "There is no pleural effusion.",
    "emphysema": "There is no emphysema.",
    "hernia": "There is no hernia.",
    "mass": "There is no mass.",
    "nodule": "There is no nodule.",
    "pneumonia": "There is no pneumonia.",
    "pneumothorax": "There is no pneumothorax.",
}


@pytest.fixture(scope="module")
def halves() -> tuple[list[str], list[str]]:
    """The texts of the 1,920 labeled reports and of the others; 28 of them have no text at all."""
    with (DATA / "text" / "negbio" / "openi_gold_dev_half.csv").open(newline="", encoding="utf-8") as file:
        labeled = {row["filename"] for row in csv.DictReader(file)}
    inside, outside = [], []
    with tarfile.open(DATA / "text" / "openi" / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            if not member.name.endswith(".xml"):
                continue
            file = archive.extractfile(member)
            assert file is not None
            report = ElementTree.parse(file).getroot()
            said = {part.get("Label"): part.text or "" for part in report.iter("AbstractText")}
            identifier = report.find("uId")
            assert identifier is not None
            text = "\n\n".join(said.get(name, "") for name in SECTIONS).strip()
            (inside if identifier.attrib["id"] in labeled else outside).append(text)
    return inside, outside


def refusals(texts: list[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for text in texts:
        try:
            check(text, ended=True)
        except UnreadableText as error:
            found[error.code] += 1
    return found


def test_few_reports_of_people_are_refused(halves: tuple[list[str], list[str]]) -> None:
    for name, texts in zip(("labeled half", "other half"), halves, strict=True):
        written = [text for text in texts if text]
        start = time.process_time()
        found = refusals(written)
        seconds = time.process_time() - start
        rates = ", ".join(f"{code} {count} ({100 * count / len(written):.2f} %)" for code, count in found.most_common())
        print(f"\n{name}: {len(written)} texts, {1000 * seconds / len(written):.1f} ms each; refused: {rates}")
        assert found.total() < 0.01 * len(written)
        assert refusals([text for text in texts if not text]) == Counter({"empty-text": len(texts) - len(written)})


def test_reports_cut_at_random_are_called_cut_off(halves: tuple[list[str], list[str]]) -> None:
    """XXXX stands for what was taken out of these reports and ends no word."""
    source = random.Random(1)
    for name, place in (("after a word", r"[a-z]+(?= [a-z])"), ("within a word", r"[a-z]{3}(?=[a-z]{2})")):
        cuts = [
            text[: source.choice(places)]
            for text in (*halves[0], *halves[1])
            if "XXXX" not in text
            for places in [[found.end() for found in re.finditer(place, text)]]
            if places
        ]
        found = sum(is_cut_off(text) for text in cuts)
        print(f"{name}: found {found} of {len(cuts)}")
        assert found > 0.65 * len(cuts)


def test_contradictions_that_are_put_in_are_found(halves: tuple[list[str], list[str]]) -> None:
    totals = Counter[str]()
    for kind, state, sentences in (("stated", State.ABSENT, STATED), ("denied", State.PRESENT, DENIED)):
        for concept, sentence in sentences.items():
            texts = [text for text in halves[0] if states(text, concept) == {state}]
            found = sum(bool(contradictions(f"{text}\n{sentence}")) for text in texts)
            print(f"{concept:14} {kind}: found {found} of {len(texts)}")
            totals[f"{kind} found"] += found
            totals[kind] += len(texts)
    print(dict(totals))
    assert totals["stated found"] > 0.85 * totals["stated"]  # a tenth denies a large effusion only, and rightly so
    assert totals["denied found"] > 0.95 * totals["denied"]


def test_findings_behind_a_report_without_any_are_found(halves: tuple[list[str], list[str]]) -> None:
    """The words "normal", "clear" and "sharp" deny what the text does not name."""
    silent = {"normality", "device", "other"}
    texts = [
        text
        for text in halves[0]
        if text and not any(one.state is State.PRESENT and one.concept not in silent for one in extract(text).mentions)
    ]
    for sentence in (
        "Large left pneumothorax.",
        "There is a moderate right pleural effusion.",
        "Bilateral pulmonary edema is present.",
        "There is consolidation in the right lower lobe.",
    ):
        found = sum(bool(contradictions(f"{text}\n{sentence}")) for text in texts)
        print(f"{sentence} found {found} of {len(texts)}")
        assert found > 0.8 * len(texts)


def states(text: str, concept: str) -> set[State]:
    return {mention.state for mention in extract(text).mentions if mention.concept == concept}


def test_how_often_people_name_what_the_model_cannot_know(halves: tuple[list[str], list[str]]) -> None:
    """People do compare: these are no false alarms. A model that learned from such texts claims it as well."""
    for texts in halves:
        found = Counter(note for text in texts for note in notes(text))
        print(f"\n{len(texts)} texts: {dict(found)}")
        assert 0.15 < sum(bool(notes(text)) for text in texts) / len(texts) < 0.50
