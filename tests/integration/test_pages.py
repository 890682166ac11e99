"""The pages of a report outside: a validator of its kind, a PACS and a receiver that give back what they got."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from reports.objects.encapsulated_pdf import build_pdf
from reports.objects.frame import encode
from reports.objects.secondary_capture import build_captures
from reports.page.sheet import compose
from tests.harness import dcmtk
from tests.harness.node import free_port, wait_until
from tests.harness.orthanc import TITLE, Orthanc
from tests.unit.reports.films import CHARSETS, CONFIG, as_received, draft, film, in_charset, ordered_cr
from tests.unit.reports.page.narratives import every_stage, fonts, long_draft

BARE = (
    *("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName", "ViewPosition", "BodyPartExamined"),
)


def narratives() -> dict[str, Dataset]:
    """Every stage, every character set, a full and an empty header, several pages."""
    sources = {name: draft(in_charset(name)) for name in CHARSETS}
    bare = draft(as_received(film(**dict.fromkeys(BARE))))
    return {**every_stage(), **sources, "ordered-cr": draft(ordered_cr()), "bare": bare, "long": long_draft()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("pages")
    written = {}
    for name, master in narratives().items():
        documents = (
            build_pdf(master, fonts=fonts(), config=CONFIG),
            *build_captures(master, fonts=fonts(), config=CONFIG),
        )
        for number, document in enumerate(documents):
            written[f"{name}-{number}"] = folder / f"{name}-{number}.dcm"
            written[f"{name}-{number}"].write_bytes(encode(document))
    yield written
    for path in written.values():
        path.unlink()  # 2 MB each


def findings(file: Path) -> list[str]:
    """Errors and warnings of dciodvfy, which has to know the kind of object."""
    lines = dcmtk.run("dciodvfy", file).stdout.splitlines()
    assert any(line in {"EncapsulatedPDF", "SCImage"} for line in lines), lines[:3]
    # type 2 elements that the film lacks stay empty; one-word names are the film's own
    expected = ("needed to build DICOMDIR", "Retired Person Name form")
    return [line for line in lines if line.startswith(("Error", "Warning")) and not any(e in line for e in expected)]


def test_dciodvfy_reports_a_pdf_and_a_picture_that_lack_something(files: dict[str, Path], tmp_path: Path) -> None:
    for name, keyword in (("draft-0", "BurnedInAnnotation"), ("draft-1", "ConversionType")):
        spoiled = dcmread(files[name])
        delattr(spoiled, keyword)
        spoiled.save_as(tmp_path / "spoiled.dcm")

        assert any("Error" in found and keyword in found for found in findings(tmp_path / "spoiled.dcm"))


def test_dciodvfy_finds_nothing_in_any_form_of_any_narrative(files: dict[str, Path]) -> None:
    found = {name: findings(path) for name, path in files.items()}

    assert len(found) == 2 * len(narratives()) + 2  # the long one has three pages
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_another_program_takes_the_pdf_out_as_it_was(files: dict[str, Path], tmp_path: Path) -> None:
    taken = tmp_path / "taken.pdf"

    done = dcmtk.run("dcm2pdf", files["korean-0"], taken)

    document = dcmread(files["korean-0"])
    assert done.returncode == 0, done.stdout
    assert (
        taken.read_bytes()[: document.EncapsulatedDocumentLength]
        == (document.EncapsulatedDocument[: document.EncapsulatedDocumentLength])
    )


def test_receiver_stores_what_was_sent(files: dict[str, Path], tmp_path: Path) -> None:
    chosen = [files["korean-0"], files["korean-1"], files["long-3"], files["signed-0"]]
    with dcmtk.receiver(tmp_path / "received") as port:
        sent = dcmtk.send(port, *chosen, called="STORESCP")
        assert sent.returncode == 0, sent.stdout
        wait_until(lambda: len(stored(tmp_path / "received")) == len(chosen), "four objects to arrive")

    received = {document.SOPInstanceUID: document for document in stored(tmp_path / "received")}
    for path in chosen:
        document = dcmread(path)
        assert received[document.SOPInstanceUID] == document


def stored(folder: Path) -> list[Dataset]:
    return [dcmread(path) for path in folder.iterdir() if path.suffix != ".log" and path.stat().st_size]


@pytest.mark.timeout(120)
def test_pacs_keeps_pages_in_the_patients_study_and_gives_them_back(files: dict[str, Path], tmp_path: Path) -> None:
    names = ("ordered-cr-0", "ordered-cr-1")
    with Orthanc(tmp_path / "pacs", wetread_port=free_port()) as pacs:
        sent = dcmtk.store(pacs.port, *(files[name] for name in names), called=TITLE, options=("-R",))
        assert sent.returncode == 0, sent.stdout
        (study,) = pacs.ask("/studies?expand")
        assert len(study["Series"]) == 2
        assert len(pacs.ask("/patients")) == 1
        kept = [found for modality in ("DOC", "OT") for found in pacs.instances(modality)]

    for name, found in zip(names, kept, strict=True):
        document = dcmread(files[name])
        assert found["SOPInstanceUID"] == document.SOPInstanceUID
        assert found["SeriesDescription"] == "AI DRAFT - NOT VERIFIED"
        assert found["PatientName"] == str(document.PatientName)


def test_pages_are_made_fast_enough(capsys: pytest.CaptureFixture[str]) -> None:
    masters = {name: draft(in_charset(name)) for name in ("ascii", "korean", "arabic")}
    seconds = {}
    for name, master in masters.items():
        begun = time.perf_counter()
        sizes = [len(encode(build_pdf(master, fonts=fonts(), config=CONFIG))) for _ in range(5)]
        seconds[name] = (time.perf_counter() - begun) / 5
        assert compose(master).key[0].value
        with capsys.disabled():
            print(f"\n{name}: {1 / seconds[name]:.1f} PDF pages a second, {sizes[0]} bytes")

    assert max(seconds.values()) < 2  # a hundred times less than a study takes to be read
