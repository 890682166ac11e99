"""Three independent validators find no error in drafts, after each has shown that it finds one where there is one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from reports.objects.frame import encode
from tests.unit.reports.films import CHARSETS, FILM, STUDY, as_received, draft, film, in_charset, item, ordered_cr
from tests.unit.reports.films import provenance as made_by
from tests.validators import content_findings, iod_findings, template_findings


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
