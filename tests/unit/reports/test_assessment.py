"""The experimental object that says what became of a draft: off unless wanted, and marked wherever it is seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom import Dataset, dcmread

from agent.cli import wetread
from dicom_node.errors import ConfigurationError, WrongState
from reports.messages.outcome import Outcome, Result, outcome_of
from reports.objects import tree
from reports.objects.assessment import EXPERIMENTAL, build_assessment
from reports.objects.frame import encode
from reports.objects.signed import Signature, Signer, build_signed
from reports.outline import read_report
from reports.render import as_text
from reports.text import DraftText
from reports.validators import command_of, findings_in, said
from tests.unit.reports.films import CONFIG, MOMENT, draft, film, text

LATER = MOMENT + timedelta(minutes=5)
ON = CONFIG.model_copy(update={"experimental": True})


def signed(words: DraftText) -> Dataset:
    signature = Signature(Signer("Reader^Rita", "Example Hospital"), LATER)
    return build_signed(draft(), words, [signature], number=1, not_before=MOMENT, config=CONFIG, predecessor=None)


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
