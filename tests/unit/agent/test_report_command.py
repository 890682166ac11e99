"""`wetread report`: what a person sees of a file, whoever made it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import wetread
from dicom_node.errors import ConfigurationError, NotFound
from reports.objects.frame import encode
from tests.unit.reports.films import draft, in_charset
from tests.unit.reports.test_outline import foreign
from tests.unit.reports.test_signed import signed

GOLDEN = Path(__file__).parents[2] / "golden" / "sr" / "dx"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(wetread, ["report", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    other = foreign()
    other.SpecificCharacterSet = "ISO_IR 192"
    documents = {"draft": draft(in_charset("korean")), "signed": signed(draft(in_charset("korean"))), "foreign": other}
    for name, document in documents.items():
        (tmp_path / f"{name}.dcm").write_bytes(encode(document))
    return {name: tmp_path / f"{name}.dcm" for name in documents}


def test_show_prints_flags_name_and_sections(files: dict[str, Path]) -> None:
    shown = run("show", files["draft"])

    assert shown.exit_code == 0
    for words in ("UNVERIFIED", "홍^길동", "AI-GENERATED DRAFT - NOT VERIFIED", "FINDINGS", "IMPRESSIONS"):
        assert words in shown.output


def test_show_prints_the_report_of_another_maker(files: dict[str, Path]) -> None:
    assert "Diameter: 12.5 mm" in run("show", files["foreign"]).output
    assert json.loads(run("show", "--json", files["foreign"]).output)["flags"]["VerificationFlag"] == "VERIFIED"


@pytest.mark.parametrize(
    ("form", "starts"), [("text", b"Diagnostic"), ("html", b"<!DOCTYPE html>"), ("pdf", b"%PDF-"), ("json", b"{")]
)
def test_render_writes_each_form(files: dict[str, Path], tmp_path: Path, form: str, starts: bytes) -> None:
    for name in ("draft", "foreign"):
        output = tmp_path / f"{name}.{form}"
        done = run("render", files[name], "--to", form, "-o", output)
        assert done.exit_code == 0, done.output
        assert done.output.strip() == str(output)
        if (name, form) != ("foreign", "text"):
            assert output.read_bytes().startswith(starts)


def test_render_to_a_pipe_writes_bytes(files: dict[str, Path]) -> None:
    assert run("render", files["signed"], "--to", "html").stdout_bytes.startswith(b"<!DOCTYPE html>")


def test_validate_finds_nothing_in_ours_and_names_what_is_wrong_with_a_spoiled_one(
    files: dict[str, Path], tmp_path: Path
) -> None:
    good = run("validate", "--own-only", files["draft"], files["signed"])
    assert good.exit_code == 0, good.output

    spoiled = draft()
    spoiled.PreliminaryFlag = "FINAL"
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(encode(spoiled))
    found = run("validate", "--own-only", "--json", bad)
    assert found.exit_code == 1
    (result,) = json.loads(found.output)
    assert "PreliminaryFlag is not PRELIMINARY" in result["checks"][0]["findings"]


def test_validate_asks_the_three_validators(files: dict[str, Path]) -> None:
    (result,) = json.loads(run("validate", "--json", files["signed"]).output)

    assert [check["tool"] for check in result["checks"]] == ["wetread", "dciodvfy", "dsrdump", "DicomSRValidator"]
    assert all(check["installed"] and check["findings"] == [] for check in result["checks"]), result


@pytest.mark.parametrize("name", ["pdf-draft", "pdf-signed"])
def test_validate_asks_those_who_know_only_content_items_of_nothing_else(name: str) -> None:
    found = run("validate", "--json", GOLDEN / f"{name}.dcm")

    (result,) = json.loads(found.output)
    assert [(check["tool"], check["findings"]) for check in result["checks"]] == [("wetread", []), ("dciodvfy", [])]
    assert found.exit_code == 0


def test_validate_lets_the_three_validators_speak(tmp_path: Path) -> None:
    """A broken validator must not look like a sound file."""
    spoiled = draft()
    spoiled.VerificationFlag = "VERIFIED"
    del spoiled.ContentSequence[1]  # the language, which TID 2000 wants
    spoiled.ContentSequence[-1].ValueType = "NUM"
    file = tmp_path / "bad.dcm"
    file.write_bytes(encode(spoiled))

    (result,) = json.loads(run("validate", "--json", file).output)

    assert all(check["findings"] for check in result["checks"]), result


def test_validate_names_contradictions_of_another_maker(files: dict[str, Path]) -> None:
    found = run("validate", "--own-only", files["foreign"])

    assert found.exit_code == 1
    assert "VerifyingObserverSequence names nobody" in found.output


def test_validate_refuses_what_is_no_dicom_file(tmp_path: Path) -> None:
    words = tmp_path / "words.dcm"
    words.write_text("words")

    found = run("validate", "--own-only", words)

    assert found.exit_code == 1
    assert "no readable DICOM file" in found.output


def test_diff_tells_what_was_edited(files: dict[str, Path]) -> None:
    same = run("diff", files["draft"], files["draft"])
    assert (same.exit_code, same.output) == (0, "They say the same.\n")

    changed = run("diff", files["draft"], files["signed"])
    assert changed.exit_code == 1
    assert "VerificationFlag: [-UNVERIFIED-] [+VERIFIED+]" in changed.output
    assert "effusion" in changed.output


@pytest.mark.parametrize("place", ["missing/page.html", "draft.dcm/page.html"], ids=["no-folder", "a-file"])
def test_render_into_a_place_that_is_none_says_so(files: dict[str, Path], tmp_path: Path, place: str) -> None:
    done = run("render", files["draft"], "-o", tmp_path / place)

    assert isinstance(done.exception, ConfigurationError)
    assert f"{tmp_path / place}: there is no folder" in str(done.exception)


@pytest.mark.parametrize("what", ["/missing/draft", "./missing", "missing.DCM", "."])
def test_file_that_is_not_there_is_not_looked_for_among_the_studies(what: str) -> None:
    for done in (run("show", what), run("render", what), run("diff", GOLDEN / "draft.dcm", what)):
        assert isinstance(done.exception, NotFound)
        assert str(done.exception) == f"{what}: no such file"


def test_moments_of_another_maker_that_are_none_do_not_stop_its_pdf(files: dict[str, Path], tmp_path: Path) -> None:
    other = foreign()
    other.SpecificCharacterSet, other.ContentTime = "ISO_IR 192", "7"
    file = tmp_path / "odd.dcm"
    file.write_bytes(encode(other))

    assert run("render", file, "--to", "pdf", "-o", tmp_path / "odd.pdf").exit_code == 0
    assert (tmp_path / "odd.pdf").read_bytes().startswith(b"%PDF-")
