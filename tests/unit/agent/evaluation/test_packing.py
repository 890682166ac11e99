"""Packages: nothing of patients or manifests comes in, chance is drawn before texts, and the key fits one package."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.evaluation.packing import ForeignKey, Recipe, choose, harmless, pack, read_key
from agent.imaging.viewable import of_grays, opened
from agent.manifest import Case
from dicom_node.errors import ConfigurationError, NotFound
from reports.grading.package import read_package, verify
from tests.harness.grading_room import SEED, draw_films, make_study
from tests.unit.agent.test_pixels import make

RECIPE = Recipe("Reader study", SEED, "2026-11-22T12:00:00+00:00", "wetread test", {"reader": "somebody"})


def cases_of(folder: Path, number: int, **more: str) -> list[Case]:
    paths = draw_films(folder, number)
    return [Case(path.stem, line, path, report="The heart is normal.", **more) for line, path in enumerate(paths, 2)]  # type: ignore[arg-type]


def test_the_same_seed_makes_the_same_package_and_another_one_another(tmp_path: Path) -> None:
    one, again, other = (
        make_study(tmp_path / name, seed=seed) for name, seed in (("1", SEED), ("2", SEED), ("3", "another"))
    )
    listings = [(study.folder / "package.json").read_bytes() for study in (one, again, other)]
    assert listings[0] == listings[1]
    assert listings[0] != listings[2]
    assert one.key.read_bytes() == again.key.read_bytes()


def test_the_seed_stands_in_the_key_alone(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    assert json.loads(study.key.read_text())["seed"] == SEED
    assert not any(SEED.encode() in path.read_bytes() for path in study.folder.rglob("*") if path.is_file())


def test_which_item_of_a_film_is_whose_is_drawn(tmp_path: Path) -> None:
    study = make_study(tmp_path, 24)
    key = read_key(study.key, study.package)
    firsts = [min(items) for items in _by_film(study.package.film_of()).values()]
    ai = sum(key.told[item].source == "ai" for item in firsts)
    assert 4 <= ai <= 20
    assert sum(told.source == "ai" for told in key.told.values()) == 24


def _by_film(film_of: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item, film in film_of.items():
        found.setdefault(film, []).append(item)
    return found


def test_the_key_is_its_owners_and_fits_its_package_only(tmp_path: Path) -> None:
    one, other = make_study(tmp_path / "1"), make_study(tmp_path / "2", seed="another")
    assert one.key.stat().st_mode & 0o777 == 0o600
    assert len(read_key(one.key, one.package).told) == 8
    with pytest.raises(ForeignKey, match="not the key"):
        read_key(other.key, one.package)
    one.key.write_text(one.key.read_text().replace('"ai"', '"original"', 1))
    with pytest.raises(ForeignKey, match="changed since"):
        read_key(one.key, one.package)
    with pytest.raises(NotFound, match="--key"):
        read_key(tmp_path / "nowhere", one.package)


def test_a_study_is_never_written_over_and_its_key_lies_outside(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    choice = choose(cases_of(tmp_path / "more", 2), {f"patient-{n}": "Clear." for n in range(2)}, SEED, None)
    with pytest.raises(ConfigurationError, match="never written over"):
        pack(choice, RECIPE, study.folder, tmp_path / "new.json", print)
    with pytest.raises(ConfigurationError, match="never written over"):
        pack(choice, RECIPE, tmp_path / "new", study.key, print)
    with pytest.raises(ConfigurationError, match="must not lie"):
        pack(choice, RECIPE, tmp_path / "new", tmp_path / "new" / "key.json", print)
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_used_is_counted_with_its_reason(tmp_path: Path) -> None:
    cases = cases_of(tmp_path, 7)
    cases[0] = replace(cases[0], report="")
    cases[1] = replace(cases[1], report="INDICATION: cough")
    cases[6].image.write_bytes(b"no picture")
    texts = {f"patient-{number}": "Clear." for number in (0, 1, 4, 5, 6)} | {"patient-2": ""}
    choice = choose(cases, texts, SEED, None)
    made = pack(choice, RECIPE, tmp_path / "S", tmp_path / "key.json", lambda _done: None)

    assert dict(made.left_out) == {
        "have no report in the manifest": 1,
        "have a report without words about the film": 1,
        "have no AI text: the reader could not write one": 1,
        "were not read": 1,
        "cannot be decoded (undecodable)": 1,
    }
    assert len(made.films) == 2
    key = read_key(tmp_path / "key.json", read_package(tmp_path / "S"))
    assert key.left_out == made.left_out
    with pytest.raises(ConfigurationError, match="needs 2 films"):
        choose(cases[:2], texts, SEED, None)


def test_a_sample_is_drawn_from_what_can_be_used(tmp_path: Path) -> None:
    cases = cases_of(tmp_path, 12)
    texts = {case.id: "Clear." for case in cases}
    drawn = [[pair.case.id for pair in choose(cases, texts, seed, 5).pairs] for seed in ("1", "1", "2")]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 5
    assert drawn[0] != [case.id for case in cases[:5]]


def test_films_of_one_patient_are_one_cluster_that_does_not_name_the_patient(tmp_path: Path) -> None:
    cases = cases_of(tmp_path, 4)
    cases = [replace(case, patient=f"PID-{place // 2}") for place, case in enumerate(cases)]
    choice = choose(cases, {case.id: "Clear." for case in cases}, SEED, None)
    pack(choice, RECIPE, tmp_path / "S", tmp_path / "key.json", lambda _done: None)

    key = read_key(tmp_path / "key.json", read_package(tmp_path / "S"))
    assert len({told.cluster for told in key.told.values()}) == 2
    assert "PID-" not in (tmp_path / "key.json").read_text()


def test_of_a_dicom_header_only_what_shows_the_film_comes_in(tmp_path: Path) -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for place, burned in ((0, "YES"), (1, "NO"), (2, None)):
        film = make(values, WindowCenter=2000, WindowWidth=3000)
        film.PatientName, film.PatientID, film.StudyDate = "Secret^Name", "SECRET-1", "20200131"
        film.AcquisitionDate, film.AcquisitionTime = "20200131", "1031"
        film.InstitutionName, film.WindowCenterWidthExplanation = "Secret Hospital", "Secret window"
        film.BodyPartExamined, film.ViewPosition, film.Modality = "SECRETPART", "PA", "DX"
        if burned:
            film.BurnedInAnnotation = burned
        film.save_as(tmp_path / f"SECRET-{place}.dcm", enforce_file_format=True)
    cases = [
        Case(f"SECRET-{place}", place + 2, tmp_path / f"SECRET-{place}.dcm", report="The heart is normal.")
        for place in range(3)
    ]
    choice = choose(cases, {case.id: "Clear." for case in cases}, SEED, None)
    made = pack(choice, RECIPE, tmp_path / "S", tmp_path / "key.json", lambda _done: None)

    assert (made.burned_in, made.unsaid) == ((2,), 1)
    package = read_package(tmp_path / "S")
    verify(package)
    for path in (tmp_path / "S").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        content += gzip.decompress(content) if path.suffix == ".film" else b""
        content += path.name.encode()
        assert b"secret" not in content.lower()
        assert b"2020" not in content.replace(package.key_digest.encode(), b"") or path.suffix in {".jpg", ".film"}
    header, planes = opened((tmp_path / "S" / "films" / f"{made.films[0][0].id}.film").read_bytes())
    assert (header["view"], header["modality"], header["taken"], header["body_part"]) == ("PA", "DX", "", "")
    assert header["windows"][0]["center"] == 2000
    assert len(planes) == 2 * values.size


def test_what_a_header_may_say_one_day_does_not_come_in(tmp_path: Path) -> None:
    header, _ = opened(of_grays(np.zeros((8, 8), np.uint8))[1])
    kept = harmless({**header, "station": "Secret Hospital"})
    assert "station" not in kept
    assert kept.keys() == header.keys()


def test_a_plain_picture_is_shown_as_it_is(tmp_path: Path) -> None:
    study = make_study(tmp_path, 2)
    film, pair = study.made.films[0]
    header, planes = opened((study.folder / "films" / f"{film.id}.film").read_bytes())

    assert header["shown"] == {"function": "LINEAR_EXACT", "center": 127.5, "width": 255.0}
    rows = np.frombuffer(planes, np.uint8).reshape(header["height"], header["width"])
    assert np.array_equal(np.cumsum(rows, axis=1, dtype=np.uint8), np.asarray(Image.open(pair.case.image)))
    with Image.open(study.folder / "films" / f"{film.id}.jpg") as preview:
        assert not preview.getexif()
        assert preview.info.get("comment") is None
