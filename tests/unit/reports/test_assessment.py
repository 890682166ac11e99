"""The experimental object that says what became of a draft: off unless wanted, and marked wherever it is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom import Dataset, dcmread

from agent.cli import wetread
from dicom_node.errors import ConfigurationError, WetreadError, WrongState
from reports.checks import DocumentRefused, check_document, problems_of
from reports.messages.outcome import Outcome, Result, outcome_of
from reports.objects import tree
from reports.objects.assessment import EXPERIMENTAL, build_assessment
from reports.objects.frame import encode
from reports.objects.signed import build_signed
from reports.objects.signer import Signature, Signer
from reports.outline import read_report
from reports.render import as_text
from reports.text import DraftText
from reports.validators import command_of, findings_in, said
from tests.unit.reports.films import CONFIG, MOMENT, STUDY, draft, film, text

LATER = MOMENT + timedelta(minutes=5)
ON = CONFIG.model_copy(update={"experimental": True})


def signed(words: DraftText, *, of: Dataset | None = None) -> Dataset:
    signature = Signature(Signer("Reader^Rita", "Example Hospital"), LATER)
    return build_signed(of or draft(), words, [signature], number=1, not_before=MOMENT, config=CONFIG, predecessor=None)


def outcome(after: Dataset | None = None, result: Result | None = None, reason: str = "") -> Outcome:
    return outcome_of(draft(), drafted_at=MOMENT, at=LATER, signed=after, result=result, reason=reason)


def made(after: Dataset | None = None, result: Result | None = None, reason: str = "") -> Dataset:
    return build_assessment(draft(), outcome(after, result, reason), at=LATER, config=ON, signed=after)


def values(document: Dataset) -> dict[str, str]:
    return {
        tree.name_of(item)[0]: tree.meaning_of(item, "ConceptCodeSequence") or tree.plain(item, "TextValue")
        for item in document.ContentSequence
    }


def test_it_says_what_became_of_the_draft_and_that_it_is_experimental() -> None:
    accepted, modified = made(signed(text())), made(signed(DraftText("Effusion.", "Effusion.")))
    rejected = made(result=Result.REJECTED, reason="wrong-finding")

    assert [values(one)["outcome"] for one in (accepted, modified, rejected)] == [
        "Accepted",
        "Modified",
        "Rejected",
    ]
    assert values(rejected)["outcome-reason"] == "wrong-finding"
    for one in (accepted, modified, rejected):
        assert values(one)["55112-7"] == EXPERIMENTAL
        assert "EXPERIMENTAL" in one.SeriesDescription
        assert (one.VerificationFlag, one.ContentQualification) == ("UNVERIFIED", "RESEARCH")
        assert "IHE AIRA" in as_text(read_report(encode(one)))
        first = one.ContentSequence[-2 if "signed-report" in values(one) else -1]
        assert first.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == draft().SOPInstanceUID
        assert one.PatientID == draft().PatientID
    assert made(signed(text())) == accepted
    assert len({one.SOPInstanceUID for one in (accepted, modified, rejected)}) == 3


def test_it_is_off_unless_wanted_and_only_of_what_a_person_has_assessed() -> None:
    with pytest.raises(ConfigurationError, match=r"reports\.experimental"):
        build_assessment(draft(), outcome(result=Result.REJECTED), at=LATER, config=CONFIG)
    for result in (Result.DRAFTED, Result.WITHDRAWN):
        with pytest.raises(WrongState, match="nobody"):
            made(result=result)
    with pytest.raises(ValueError, match="other documents"):
        build_assessment(draft(), replace(outcome(result=Result.REJECTED), draft_uid="1.2"), at=LATER, config=ON)


def test_our_own_checks_have_rules_for_it_and_never_let_it_out() -> None:
    after = signed(DraftText("Effusion.", "Effusion."))
    for one in (made(signed(text())), made(after), made(result=Result.REJECTED, reason="wrong-finding")):
        read = dcmread(BytesIO(encode(one)))
        assert problems_of(read) == ()
        with pytest.raises(DocumentRefused, match="none of those that are made here"):
            check_document(one, draft(), CONFIG)


def _silent(document: Dataset) -> None:
    document.ContentSequence[0].TextValue = "A report."


def _unsigned(document: Dataset) -> None:
    del document.ContentSequence[-1]


def _undecided(document: Dataset) -> None:
    del document.ContentSequence[1]


def _of_nothing(document: Dataset) -> None:
    del document.ContentSequence[-2]


def _verified(document: Dataset) -> None:
    document.VerificationFlag = "VERIFIED"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_silent, "it does not say first that it is experimental"),
        (_unsigned, "the signed report and the result do not fit each other"),
        (_undecided, "it does not say what became of the draft"),
        (_of_nothing, "it does not name the draft"),
        (_verified, "VerificationFlag is not UNVERIFIED"),
        (_verified, "SOPInstanceUID is not that of this content"),
    ],
)
def test_spoiled_assessment_is_found_by_name(spoil: Callable[[Dataset], None], problem: str) -> None:
    document = made(signed(text()))

    spoil(document)

    assert problem in problems_of(document)


@pytest.mark.parametrize(
    "changes", [{"PatientID": "EX-0002"}, {"IssuerOfPatientID": "ELSEWHERE"}, {"StudyInstanceUID": f"{STUDY}.7"}]
)
def test_report_of_another_patient_or_study_is_not_what_became_of_the_draft(changes: dict[str, str]) -> None:
    other = signed(text(), of=draft(film(**changes)))

    with pytest.raises(WrongState, match="another patient or study"):
        made(other)


def test_only_a_draft_is_assessed_and_only_a_signed_report_is_what_became_of_it() -> None:
    report = signed(text())
    became = outcome_of(report, drafted_at=MOMENT, at=LATER, result=Result.REJECTED)
    with pytest.raises(WrongState, match="no AI draft"):
        build_assessment(report, became, at=LATER, config=ON)
    with pytest.raises(WrongState, match="nobody has signed"):
        made(draft())


def test_the_command_refuses_files_in_words_and_writes_nothing(tmp_path: Path) -> None:
    config, before, bare, words, output = (tmp_path / name for name in ("on.toml", "a.dcm", "b.dcm", "c.dcm", "out"))
    config.write_text("[reports]\nexperimental = true\n")
    before.write_bytes(encode(draft()))
    foreign = draft()
    del foreign.ContributingEquipmentSequence
    bare.write_bytes(encode(foreign))
    words.write_text("words")

    def refusal(*typed: object) -> BaseException | None:
        return CliRunner().invoke(wetread, ["--config", str(config), "report", "assess", *map(str, typed)]).exception

    for typed, sentence in (
        ((words, "--rejected", "x", "-o", output), f"{words}: no readable DICOM file"),
        ((before, "--signed", words, "-o", output), f"{words}: no readable DICOM file"),
        ((bare, "--rejected", "x", "-o", output), "what an assessment needs is missing"),
        ((before, "--signed", before, "-o", output), "nobody has signed"),
        ((before, "--rejected", "x", "-o", tmp_path / "none" / "out"), "there is no folder"),
    ):
        error = refusal(*typed)
        assert isinstance(error, WetreadError)
        assert sentence in str(error)
    assert not output.exists()


@pytest.mark.parametrize("tool", ["dciodvfy", "dsrdump"])
def test_validators_find_nothing(tool: str, tmp_path: Path) -> None:
    file = tmp_path / "assessment.dcm"
    file.write_bytes(encode(made(signed(text()))))
    command = command_of(tool, file)
    assert command is not None, f"{tool} is not installed"
    assert findings_in(tool, said(command, seconds=60)) == ()


def test_the_command_writes_a_file_and_says_that_it_is_experimental(tmp_path: Path) -> None:
    config, before, after, output = (tmp_path / name for name in ("on.toml", "a.dcm", "b.dcm", "out.dcm"))
    config.write_text("[reports]\nexperimental = true\n")
    before.write_bytes(encode(draft(film(PatientName="Secret^Name"))))
    after.write_bytes(encode(signed(text())))

    def type_in(*words: str, settings: Path = config) -> tuple[int, str, str, BaseException | None]:
        result = CliRunner().invoke(wetread, ["--config", str(settings), "report", "assess", *words])
        return result.exit_code, result.stdout, result.stderr, result.exception

    code, out, error, _ = type_in(str(before), "--rejected", "wrong-finding", "-o", str(output))
    assert (code, out) == (0, f"{output}: rejected\n")
    assert error == f"{EXPERIMENTAL}\n"
    assert values(dcmread(output))["outcome"] == "Rejected"

    assert isinstance(type_in(str(before), "--rejected", "x", "-o", str(output))[3], ConfigurationError)  # it exists
    assert type_in(str(before), "-o", str(tmp_path / "n"))[0] == 2
    assert type_in(str(before), "--rejected", "No sentence.", "-o", str(tmp_path / "n"))[0] == 2
    config.write_text("")
    refused = type_in(str(before), "--signed", str(after), "-o", str(tmp_path / "n"))
    assert isinstance(refused[3], ConfigurationError)
    assert not (tmp_path / "n").exists()
