"""Three independent validators find no error in drafts, after each has shown that it finds one where there is one."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from reports.findings import LABELS, Laterality, Severity, State
from reports.objects.frame import encode
from tests.golden.every_object import SOURCES, made_for, pages_of
from tests.integration.test_pages import findings as page_findings
from tests.unit.reports.coded import coded, finding
from tests.unit.reports.films import (
    CHARSETS,
    FILM,
    STUDY,
    as_received,
    draft,
    film,
    in_charset,
    item,
    ordered_cr,
)
from tests.unit.reports.films import provenance as made_by
from tests.unit.reports.mutants import MUTANTS, Mutant, broken, problems, written
from tests.validators import as_page, content_findings, iod_findings, template_findings

PAGE = Path(__file__).parents[2] / "deploy" / "docs" / "objects.md"
BEGIN, END = "<!-- written by the test of the validators -->", "<!-- end -->"
VERSIONS = {"dicom3tools": "1.00~20220618", "dcmtk": "3.6.7", "libpixelmed-java": "20220618"}


class Answers(dict[tuple[str, str], tuple[list[str] | None, ...]]):
    """By object and film: errors and warnings of dciodvfy, dsrdump and DicomSRValidator."""


def _written(folder: Path, name: str, document: Dataset) -> Path:
    path = folder / f"{name}.dcm"
    path.write_bytes(encode(document))
    return path


def _drafts() -> dict[str, Dataset]:
    drafts = {name: draft(in_charset(name)) for name in CHARSETS}
    drafts["ordered-cr"] = draft(ordered_cr())
    bare = dict.fromkeys(
        (
            *("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
            *("AccessionNumber", "ReferringPhysicianName", "ViewPosition", "BodyPartExamined"),
        )
    )
    drafts["bare"] = draft(as_received(film(**bare)))
    second = film(SOPInstanceUID=f"{STUDY}.2.1", SeriesInstanceUID=f"{STUDY}.2")
    drafts["two-series"] = draft(film(), second, provenance=made_by(films=(FILM, f"{STUDY}.2.1")))
    return drafts


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("drafts")
    return {name: _written(folder, name, document) for name, document in _drafts().items()}


def test_dciodvfy_reports_a_verified_draft_that_nobody_verified(tmp_path: Path) -> None:
    bad = draft()
    bad.VerificationFlag = "VERIFIED"

    findings = iod_findings(_written(tmp_path, "bad", bad))

    assert any("Error" in finding and "VerifyingObserverSequence" in finding for finding in findings)


def test_dciodvfy_reports_an_image_that_is_not_in_the_evidence(tmp_path: Path) -> None:
    bad = draft()
    series = bad.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"

    assert any("Error" in finding for finding in iod_findings(_written(tmp_path, "bad", bad)))


def test_dsrdump_reports_a_number_in_a_basic_text_report(tmp_path: Path) -> None:
    bad = dcmread(io.BytesIO(encode(draft())))
    bad.ContentSequence.append(item(RelationshipType="CONTAINS", ValueType="NUM", MeasuredValueSequence=[]))

    assert content_findings(_written(tmp_path, "bad", bad))


def test_no_validator_finds_an_error(files: dict[str, Path], tmp_path: Path) -> None:
    bad = draft()
    del bad.ContentSequence[1]  # the language, which TID 2000 wants
    without_language = _written(tmp_path, "bad", bad)

    templates = template_findings([without_language, *files.values()])

    assert any("Language" in finding or "1204" in finding for finding in templates.pop(without_language))
    assert {name: templates[path] for name, path in files.items() if templates[path]} == {}
    found = {name: iod_findings(path) + content_findings(path) for name, path in files.items()}
    assert {name: findings for name, findings in found.items() if findings} == {}


# --- every object, and the table of deploy/docs/objects.md ------------------------------------------------------------


def _coded_from(made: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Further coded reports: nothing found, and everything found."""
    everything = [finding(label, State.PRESENT, Laterality.BILATERAL, Severity.MINIMAL) for label in LABELS]
    return {
        "coded-nothing": coded(made["draft"], findings=()),
        "coded-everything": coded(made["draft"], findings=everything),
    }


def _films() -> dict[str, Dataset]:
    bare = as_received(film(PatientName=None, StudyDate=None, StudyTime=None, ViewPosition=None, AccessionNumber=None))
    return {**{name: make() for name, make in SOURCES.items()}, "bare": bare}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Errors and warnings by object, film and validator; None where a validator knows no such objects."""
    folder, found = tmp_path_factory.mktemp("objects"), Answers()
    files: dict[tuple[str, str], Path] = {}
    for name, source in _films().items():
        made = made_for(source)
        for kind, document in {**made, **_coded_from(made)}.items():
            files[kind, name] = _written(folder, f"{kind}-{name}", document)
        for kind, document in pages_of(made).items():
            path = _written(folder, f"{kind}-{name}", document)
            found[kind, name] = (page_findings(path), None, None)
            path.unlink()  # 2 MB each
    templates = template_findings(list(files.values()))
    for key, path in files.items():
        found[key] = (iod_findings(path), content_findings(path), templates[path])
    return found


def test_pixelmed_reports_a_code_that_is_not_in_its_list_and_a_missing_relationship(tmp_path: Path) -> None:
    bad = dcmread(io.BytesIO(encode(coded())))
    del bad.ContentSequence[-1].ContentSequence[0].ContentSequence[0].RelationshipType
    entry = bad.ContentSequence[-2].ContentSequence[0].ContentSequence[0]
    entry.ContentSequence[0].ConceptCodeSequence[0].CodeValue = "XX"
    spoiled = _written(tmp_path, "bad", bad)

    assert template_findings([spoiled])[spoiled]


@pytest.mark.timeout(600)  # a hundred files
def test_no_validator_finds_an_error_in_any_object_of_any_film(answers: Answers) -> None:
    assert len(answers) == len({kind for kind, _ in answers}) * len({name for _, name in answers}) >= 18 * 8
    assert {key: found for key, found in answers.items() if any(found)} == {}


@pytest.mark.timeout(600)
def test_the_table_in_the_manual_is_what_the_validators_said(answers: Answers) -> None:
    """WETREAD_WRITE_DOCS=1 writes it anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(f"{BEGIN}\n")
    _, after = rest.split(END)
    current = f"{before}{BEGIN}\n{_table(answers)}\n{END}{after}"
    if os.environ.get("WETREAD_WRITE_DOCS") == "1":
        PAGE.write_text(current, encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == current


def _table(answers: Answers) -> str:
    kinds, films = (list(dict.fromkeys(key[place] for key in answers)) for place in (0, 1))
    rows = [["object", *films], ["---"] * (len(films) + 1)]
    rows += [
        [kind, *(" ".join("–" if one is None else str(len(one)) for one in answers[kind, name]) for name in films)]
        for kind in sorted(kinds)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@pytest.mark.parametrize(("package", "version"), VERSIONS.items())
def test_validators_are_those_whose_ways_are_known(package: str, version: str) -> None:
    """What reports/validators.py leaves out is what these versions say of files that are right."""
    asked = ["dpkg-query", "--show", "--showformat=${Version}", package]
    installed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    assert installed.startswith(version), "read what it says of good files, then change VERSIONS"
    assert f"{package} {version}" in PAGE.read_text(encoding="utf-8")


def test_absent_findings_read_right_in_the_page_of_dcmtk(tmp_path: Path) -> None:
    page = as_page(_written(tmp_path, "coded", coded()))
    lines = [line.strip() for line in re.sub(r"<[^>]+>", "\n", page).splitlines() if line.strip()]

    notice, absent = lines.index("AI-GENERATED DRAFT - NOT VERIFIED"), lines.index("Pneumothorax:")
    assert notice < absent
    assert lines[absent + 1].startswith("Absent")
    assert "Finding: Pneumothorax" not in page


# --- sixty-four broken documents --------------------------------------------------------------------------------------


def _opinion(ask: Callable[[Path], list[str]], path: Path) -> str:
    try:
        return "found" if ask(path) else "-"
    except AssertionError:
        return "not recognized"


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_what_no_validator_finds_our_own_checks_find(tmp_path: Path) -> None:
    unbroken = [Mutant(f"unbroken {base}", base, lambda document: None, "") for base in ("draft", "signed", "coded")]
    paths = {}
    for number, mutant in enumerate((*MUTANTS, *unbroken)):
        paths[mutant.name] = tmp_path / f"mutant-{number}.dcm"
        paths[mutant.name].write_bytes(written(broken(mutant)))

    templates = template_findings(list(paths.values()))

    table = {
        mutant.name: (
            _opinion(iod_findings, paths[mutant.name]),
            _opinion(content_findings, paths[mutant.name]),
            "found" if templates[paths[mutant.name]] else "-",
            "found" if problems(mutant) else "-",
        )
        for mutant in (*MUTANTS, *unbroken)
    }
    print(f"\n{'broken document':<45}{'dciodvfy':<16}{'dsrdump':<16}{'PixelMed':<10}ours")
    for name, (iod, content, template, ours) in table.items():
        print(f"{name:<45}{iod:<16}{content:<16}{template:<10}{ours}")
    assert {table.pop(mutant.name) for mutant in unbroken} == {("-", "-", "-", "-")}
    assert [name for name, row in table.items() if row[3] != "found"] == []
    nobody = {name for name, row in table.items() if set(row[:3]) == {"-"}}
    assert nobody >= {"verified and preliminary", "two requests", "other patient", "notice not first"}
    assert len(nobody) < len(MUTANTS) / 3  # the validators ran
