"""The extractor against the human labels of Open-i, on the half of them that it was developed with."""

from __future__ import annotations

import csv
import tarfile
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reports.findings import Findings, State, extract
from reports.findings.labels import NEGBIO
from reports.findings.scoring import NOT_PRESENT, SCORED, fit, micro, score, uncertain_map
from tests.real.conftest import DATA

pytestmark = pytest.mark.real

SECTIONS = ("FINDINGS", "IMPRESSION")


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """The text of every report: findings and impression, as the archive gives them."""
    found = {}
    with tarfile.open(DATA / "text" / "openi" / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            if member.name.endswith(".xml"):
                file = archive.extractfile(member)
                assert file is not None
                report = ElementTree.parse(file).getroot()
                sections = {part.get("Label"): part.text or "" for part in report.iter("AbstractText")}
                identifier = report.find("uId")
                assert identifier is not None
                found[identifier.attrib["id"]] = "\n\n".join(sections.get(name, "") for name in SECTIONS)
    return found


@pytest.fixture(scope="module")
def gold() -> dict[str, frozenset[str]]:
    """For each report of the half, the labels that people call present."""
    path: Path = DATA / "text" / "negbio" / "openi_gold_dev_half.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return {row["filename"]: frozenset(name for name in NEGBIO if row[name] == "1") for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def reports(texts: dict[str, str], gold: dict[str, frozenset[str]]) -> list[tuple[Findings, frozenset[str]]]:
    return [(extract(texts[name]), labels) for name, labels in gold.items()]


def test_the_half_is_whole(gold: dict[str, frozenset[str]]) -> None:
    assert len(gold) == 1920
    assert sum(len(labels & set(SCORED)) for labels in gold.values()) == 650


def test_present_agrees_with_people_while_hedged_mentions_stay_uncertain(
    reports: list[tuple[Findings, frozenset[str]]],
) -> None:
    scores = score(reports, uncertain=NOT_PRESENT)

    show("uncertain counts as not present", scores)
    assert micro(scores).f1 >= 0.86
    assert sum(finding.state is State.UNCERTAIN for found, _ in reports for finding in found.by_label.values()) > 200


def test_present_agrees_better_with_the_published_map(reports: list[tuple[Findings, frozenset[str]]]) -> None:
    scores = score(reports, uncertain=uncertain_map())

    show("uncertain counts as the published map says", scores)
    assert micro(scores).f1 >= 0.90


def test_the_published_map_is_the_one_that_fits(reports: list[tuple[Findings, frozenset[str]]]) -> None:
    published = uncertain_map()

    assert {label: published[label] for label in SCORED} == fit(reports)


def test_the_speed_is_printed(texts: dict[str, str]) -> None:
    everything = list(texts.values())
    start = time.process_time()

    found = [extract(text) for text in everything]

    seconds = time.process_time() - start
    print(f"{len(found) / seconds:.0f} reports a second on one core, {len(found)} reports")
    assert len(found) == 3955


def show(title: str, scores: dict) -> None:
    total = micro(scores)
    print(f"\n{title}: micro precision {total.precision:.3f} recall {total.recall:.3f} F1 {total.f1:.3f}")
    for label, one in scores.items():
        counts = f"{one.true_positives:4} {one.false_positives:4} {one.false_negatives:4}"
        print(f"  {label:20} {counts}  F1 {one.f1:.3f}")
