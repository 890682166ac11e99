"""The image gate on real films: frontal chests of adults and children, and 96 DICOM files that no threshold has seen.

The tables are deploy/docs/gate.md; WETREAD_WRITE_DOCS=1 writes them anew.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage

from agent.imaging import gate
from agent.imaging.decoder import DecoderProcess
from agent.imaging.fitting import SOUND, is_adult
from agent.imaging.impression import measure
from agent.imaging.judging import Judged, judge_files
from agent.imaging.model import FILE
from agent.imaging.picture import judge_picture
from agent.imaging.pixels import UndecodableImage
from agent.imaging.transforms import TRANSFORMS

CAME = date(2026, 11, 22)
judge = partial(gate.judge, received=CAME)

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

DOCUMENT = Path(__file__).parents[2] / "deploy" / "docs" / "gate.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

CHESTS = ("cxr", "RG1_J2KI", "NIH_DX_no_finding", "SIIM_CR_jpegbaseline")
BARE = ("CR-MONO1-10-chest_nopreamble",)
INVERTED = ("Fake_MONOHR1",)
ELSEWHERE = ("RG2", "RG3", "CR-ModalitySequenceLUT", "CR_pelvis", "agfa_hand", "cspine", "KarstenHilbertRF")
AGES = MappingProxyType({"0 to 5": range(6), "6 to 11": range(6, 12), "12 to 17": range(12, 18)})


@dataclass(frozen=True, slots=True)
class Film:
    """A film of the manifest, and what the gate says of it. age: None where nobody told. code: of the pixels."""

    collection: str
    age: float | None
    adult: bool
    code: str


@dataclass(frozen=True, slots=True)
class Dicom:
    """A DICOM file: what it is, what the gate says of it, and what its pixels alone would get (empty: undecodable)."""

    group: str
    judged: Judged
    pixels: str


@pytest.fixture(scope="module")
def images(dicom: Path) -> Path:
    folder = dicom.parent / "images"
    assert (folder / "manifest.csv").is_file(), f"{folder} is missing"
    return folder


def rows(images: Path) -> list[dict[str, str]]:
    with (images / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def film_of(images: Path, row: Mapping[str, str]) -> NDArray[np.uint8]:
    with Image.open(images.parent / row["file"]) as picture:
        return np.asarray(picture.convert("L"))


def code_of(film: NDArray[np.uint8]) -> str:
    verdict = judge_picture(measure(film))
    return verdict.code if verdict else "read"


@pytest.fixture(scope="module")
def films(images: Path) -> tuple[Film, ...]:
    return tuple(
        Film(
            row["file"].split("/")[1],
            float(row["age"]) if row["age"] else None,
            is_adult(row),
            code_of(film_of(images, row)),
        )
        for row in rows(images)
    )


@pytest.fixture(scope="module")
def files(dicom: Path) -> tuple[Dicom, ...]:
    paths = sorted(dicom.glob("*/*"), key=lambda path: path.name.lower())
    with DecoderProcess(60.0, 2048) as decoder:
        judged = list(judge_files(paths, decoder, None, received=CAME))
        return tuple(Dicom(group_of(one), one, pixels_of(one.file, decoder)) for one in judged)


def group_of(one: Judged) -> str:
    stem = one.file.name.split(".")[0]
    if stem in CHESTS:
        return "human chests"
    if stem in BARE:
        return "a human chest in a file without preamble"
    if stem in INVERTED:
        return "a chest with the wrong photometric tag"
    if stem.startswith(ELSEWHERE):
        return "other radiographs: hips, shins, jaw, pelvis, hand, neck, shoulder"
    return "everything else: CT, MR, US, NM, MG, colors, test patterns, SR, broken files"


def pixels_of(file: Path, decoder: DecoderProcess) -> str:
    try:
        film = decoder.render(file)
    except UndecodableImage:
        return ""
    assert film.impression is not None
    verdict = judge_picture(film.impression)
    return verdict.code if verdict else "read"


def header(age: float | None) -> Dataset:
    """The header that such a film has in a hospital."""
    made = Dataset()
    made.SOPClassUID, made.Modality, made.BodyPartExamined = ComputedRadiographyImageStorage, "CR", "CHEST"
    made.Rows = made.Columns = 512
    if age is not None:
        made.PatientAge = f"{int(age):03}Y"
    return made


# --- what must hold --------------------------------------------------------------------------------------------------


def test_of_a_hundred_frontal_films_of_adults_ninety_eight_are_read(films: Sequence[Film]) -> None:
    adults = [film for film in films if film.adult]
    assert len(adults) == 826
    assert judge(header(50)).decision == "read"
    assert sum(film.code == "read" for film in adults) >= 0.98 * len(adults)


def test_the_same_holds_for_patients_that_nothing_was_fitted_to() -> None:
    folds = measured_in_folds()
    assert folds[SOUND].get("read", 0) >= 0.98 * sum(folds[SOUND].values())


def test_films_that_were_turned_or_inverted_are_found_in_patients_that_nothing_was_fitted_to() -> None:
    folds = measured_in_folds()
    for name in ("inverted", "rotated by 90", "rotated by 180", "rotated by 270", "clipped", "blank", "too small"):
        assert folds[name].get("read", 0) <= 0.02 * sum(folds[name].values()), name


def test_what_is_shipped_finds_what_was_done_to_some_films(images: Path) -> None:
    some = [film_of(images, row) for row in rows(images) if is_adult(row)][::40]
    least = {"inverted": 1.0, "rotated by 90": 0.9, "rotated by 180": 0.95, "rotated by 270": 0.9, "clipped": 0.95}
    for name, share in least.items():
        found = sum(code_of(TRANSFORMS[name](film)) != "read" for film in some)
        assert found >= share * len(some), name


def test_no_dicom_file_passes_that_is_not_a_human_chest(files: Sequence[Dicom]) -> None:
    read = {one.judged.file.stem for one in files if one.judged.answer == "read"}
    assert read <= set(CHESTS)
    assert len(files) == 96


def test_human_chests_are_read_or_wait_for_their_body_part(files: Sequence[Dicom]) -> None:
    found = {one.judged.file.stem: one.judged.worst.code for one in files if one.group == "human chests"}
    accepted = "accepted"
    assert found == dict.fromkeys(CHESTS, accepted) | {"NIH_DX_no_finding": "body-part-unknown"}


def test_pixels_alone_let_only_human_chests_pass(files: Sequence[Dicom]) -> None:
    passed = {one.judged.file.stem for one in files if one.pixels == "read"}
    assert passed == {*CHESTS, *BARE}


def test_children_are_excluded_by_their_age(films: Sequence[Film]) -> None:
    children = [film for film in films if film.age is not None and film.age < 18]
    assert len(children) == 66
    assert {judge(header(child.age)).code for child in children} == {"child"}
    assert judge(header(None)).decision == "read"
    assert judge(header(None), hold_unknown_age=True).code == "age-unknown"


# --- the document -----------------------------------------------------------------------------------------------------


def measured_in_folds() -> dict[str, dict[str, int]]:
    origin = json.loads(FILE.read_text(encoding="utf-8"))["origin"]
    folds: dict[str, dict[str, int]] = origin["folds"]
    return folds


def table(head: Sequence[str], lines: Iterator[Sequence[object]]) -> str:
    return "\n".join(
        "| " + " | ".join(str(cell) for cell in line) + " |" for line in (head, ["---"] * len(head), *lines)
    )


def codes_in_words(codes: Mapping[str, int]) -> str:
    ordered = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{code} {number}" for code, number in ordered if code != "read") or "-"


def of_folds() -> Iterator[Sequence[object]]:
    for kind, codes in measured_in_folds().items():
        total = sum(codes.values())
        passed = codes.get("read", 0)
        yield kind, total, passed, f"{1 - passed / total:.1%}", codes_in_words(codes)


def of_collections(films: Sequence[Film]) -> Iterator[Sequence[object]]:
    for collection in sorted({film.collection for film in films if film.adult}):
        codes = Counter(film.code for film in films if film.adult and film.collection == collection)
        yield row_of(collection, codes)
    yield row_of("all", Counter(film.code for film in films if film.adult))


def row_of(name: str, codes: Counter[str]) -> Sequence[object]:
    return name, codes.total(), codes["read"], f"{codes['read'] / codes.total():.1%}", codes_in_words(codes)


def of_children(films: Sequence[Film]) -> Iterator[Sequence[object]]:
    groups = {
        age: [film for film in films if film.age is not None and film.age in years] for age, years in AGES.items()
    } | {"1 to 5, not in the header": [film for film in films if film.age is None and not film.adult]}
    for name, group in groups.items():
        with_age = [judge(header(film.age)).code for film in group if film.age is not None]
        passed = sum(film.code == "read" for film in group)
        yield name, len(group), f"{with_age.count('child')} of {len(with_age)}", f"{passed} of {len(group)}"


def of_files(files: Sequence[Dicom]) -> Iterator[Sequence[object]]:
    for group in sorted({one.group for one in files}, key=lambda group: ("chest" not in group, group)):
        answers = Counter(one.judged.answer for one in files if one.group == group)
        pixels = Counter(one.pixels for one in files if one.group == group and one.pixels)
        alone = f"{pixels['read']} of {pixels.total()}"
        yield group, answers.total(), answers["read"], answers["hold"], answers["exclude"], alone


def as_tables(films: Sequence[Film], files: Sequence[Dicom]) -> str:
    return "\n\n".join(
        (
            BEGIN,
            "### Films of patients that nothing was fitted to, as they are and spoiled",
            table(("film", "number", "read", "held", "held: why"), of_folds()),
            "### The same films with what is shipped",
            table(("collection", "adults", "read", "share", "held: why"), of_collections(films)),
            "### Children",
            table(
                ("age", "films", "excluded where the header has the age", "read where it has none"), of_children(films)
            ),
            "### DICOM files, on which no threshold was chosen",
            table(("files", "number", "read", "held", "excluded", "pixels alone would pass"), of_files(files)),
            END,
        )
    )


def test_the_document_is_current(films: Sequence[Film], files: Sequence[Dicom]) -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = document.partition(BEGIN)
    after = rest.partition(END)[2]
    current = before + as_tables(films, files) + after
    if os.environ.get("WETREAD_WRITE_DOCS") == "1":
        DOCUMENT.write_text(current, encoding="utf-8")
        document = current
    assert document == current, "WETREAD_WRITE_DOCS=1 writes it anew"
