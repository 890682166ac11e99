"""Three independent validators find no error in drafts, after each has shown that it finds one where there is one."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from reports.findings import LABELS, Laterality, Severity, State
from reports.objects.basic_text import build_notice
from reports.objects.frame import encode
from reports.objects.measurement import as_comprehensive
from reports.objects.signed import build_addendum
from reports.source import normalize
from tests.unit.reports.coded import coded, finding, note
from tests.unit.reports.films import (
    CHARSETS,
    CONFIG,
    FILM,
    MOMENT,
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
from tests.unit.reports.test_signed import FIRST, SECOND, signed
from tests.validators import as_page, content_findings, iod_findings, template_findings


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


# --- what is made from a draft ----------------------------------------------------------------------------------------

# Those whose films the golden files show: a DX, a CR with everything in it, and five scripts.
SCRIPTS = ("ascii", "korean", "arabic", "chinese-gb18030", "japanese", "cyrillic")


def _made_from(source: Dataset) -> dict[str, Dataset]:
    """Every kind of object that is made from the draft for one film."""
    master = draft(source)
    report = signed(master)
    cosigned = signed(report, FIRST, SECOND, number=2)
    addendum = build_addendum(
        report, "Compared with CT.", SECOND, number=2, not_before=FIRST.at, config=CONFIG, predecessor=report
    )
    first = coded(master, films=[normalize(source, CONFIG)])
    return {
        "notice": build_notice([source], "A lateral.", made_by(), revision=1, content_at=MOMENT, config=CONFIG),
        "signed": report,
        "cosigned": cosigned,
        "addendum": addendum,
        "coded": first,
        "coded-comprehensive": as_comprehensive(first),
        "coded-nothing": coded(master, findings=()),
        "coded-everything": coded(
            master, findings=[finding(label, State.PRESENT, Laterality.BILATERAL, Severity.MINIMAL) for label in LABELS]
        ),
        "coded-signed": coded(report, predecessor=first),
        "coded-cosigned": coded(cosigned),
        "coded-addendum": coded(addendum),
        "rejection": note(master, first),
        "withdrawal": note(report, safety=True),
    }


def _sources() -> dict[str, Dataset]:
    bare = as_received(film(PatientName=None, StudyDate=None, StudyTime=None, ViewPosition=None, AccessionNumber=None))
    return {**{name: in_charset(name) for name in SCRIPTS}, "ordered-cr": ordered_cr(), "bare": bare}


@pytest.mark.timeout(600)  # a hundred files
def test_no_validator_finds_an_error_in_what_is_made_from_a_draft(tmp_path: Path) -> None:
    objects = {
        f"{name}-{kind}": document
        for name, source in _sources().items()
        for kind, document in _made_from(source).items()
    }
    files = {name: _written(tmp_path, name, document) for name, document in objects.items()}
    bad = dcmread(io.BytesIO(encode(coded())))
    del bad.ContentSequence[-1].ContentSequence[0].ContentSequence[0].RelationshipType
    bad.ContentSequence[-2].ContentSequence[0].ContentSequence[0].ContentSequence[0].ConceptCodeSequence[
        0
    ].CodeValue = "XX"
    spoiled = _written(tmp_path, "bad", bad)

    templates = template_findings([spoiled, *files.values()])

    assert templates.pop(spoiled)
    assert {name: templates[path] for name, path in files.items() if templates[path]} == {}
    found = {name: iod_findings(path) + content_findings(path) for name, path in files.items()}
    assert {name: findings for name, findings in found.items() if findings} == {}


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
