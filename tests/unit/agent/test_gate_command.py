"""`wetread gate`: what it says of files, and the file that `calibrate` writes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from agent.cli import EXIT_FAILED, wetread
from agent.demo import phantom
from agent.imaging import calibration
from agent.imaging.impression import measure
from agent.imaging.transforms import half_turn, right_half
from dicom_node.errors import ConfigurationError, NotFound

NOW = datetime(2026, 3, 4, tzinfo=UTC)
NUMBERS = count(1)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    config = tmp_path / "wetread.toml"
    config.write_text(f'[node]\ndata_folder = "{tmp_path / "data"}"\n')

    def invoke(*words: object) -> Result:
        arguments = ["--config", str(config), "gate", *(str(word) for word in words)]
        return CliRunner().invoke(wetread, arguments, catch_exceptions=False)

    return invoke


def dicom(path: Path, **elements: object) -> Path:
    image = phantom.film(1, now=NOW, new_uid=lambda: f"2.25.66{next(NUMBERS)}", rows=256, columns=224)
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    image.save_as(path, enforce_file_format=True)
    return path


@cache
def drawing(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return (phantom.pixels(seed, rows=192, columns=168, inverted=False) >> 4).astype(np.uint8)


def test_a_chest_is_read_and_the_exit_code_says_so(run: Callable[..., Result], tmp_path: Path) -> None:
    done = run(dicom(tmp_path / "a.dcm"))
    assert done.exit_code == 0
    assert "read" in done.stdout


def test_scripts_get_every_reason(run: Callable[..., Result], tmp_path: Path) -> None:
    sound = dicom(tmp_path / "sound.dcm")
    unsure = dicom(tmp_path / "unsure.dcm", BodyPartExamined="", AnatomicRegionSequence=None)
    child = dicom(tmp_path / "child.dcm", PatientAge="003Y", PatientBirthDate="")
    picture = tmp_path / "turned.png"
    Image.fromarray(half_turn(drawing(2))).save(picture)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    done = run("--json", sound, unsure, child, picture, broken)
    assert done.exit_code == EXIT_FAILED
    told = json.loads(done.stdout)
    assert [(one["verdict"], one["reason"]) for one in told] == [
        ("read", ""),
        ("hold", "body-part-unknown"),
        ("exclude", "child"),
        ("hold", "looks-rotated"),
        ("exclude", "undecodable"),
    ]
    assert told[1]["same_picture_as"] == str(sound)
    assert told[3]["impression"]["pose"] == "rotated by 180"
    assert [reason["reason"] for reason in told[4]["reasons"]] == ["no-header", "undecodable"]


@pytest.mark.parametrize(
    ("elements", "verdict", "reasons"),
    [
        ({"PatientID": ""}, "hold", ["no-patient-id", "accepted"]),
        ({"PatientID": " ", "PatientAge": "003Y", "PatientBirthDate": ""}, "hold", ["no-patient-id", "child"]),
        ({"AccessionNumber": "1" * 17}, "exclude", ["accepted", "bad-accession-number"]),
        ({"StudyInstanceUID": ""}, "exclude", ["cannot-understand", "accepted"]),
        ({"StudyTime": "25:00:00"}, "read", []),
    ],
)
def test_what_the_node_does_beside_the_gate_is_told(
    run: Callable[..., Result], tmp_path: Path, elements: dict[str, str], verdict: str, reasons: list[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of what no header should hold
        (told,) = json.loads(run("--json", dicom(tmp_path / "a.dcm", **elements)).stdout)

    assert told["verdict"] == verdict
    if reasons:
        assert [reason["reason"] for reason in told["reasons"]] == reasons
        assert told["reason"] in reasons


@pytest.mark.parametrize(
    ("settings", "elements", "verdict", "reasons"),
    [
        ('doubts = "note"', {}, "read", ["accepted", "looks-rotated"]),
        ('doubts = "note"', {"BodyPartExamined": "", "AnatomicRegionSequence": None}, "hold", ["body-part-unknown"]),
        ('doubts = "note"', {"AccessionNumber": "1" * 17}, "exclude", ["bad-accession-number"]),
        (
            'doubts = "note"\nunknown_body_part = "pixels"',
            {"BodyPartExamined": "", "AnatomicRegionSequence": None},
            "hold",
            ["looks-rotated"],
        ),
        ('doubts = "hold"', {}, "hold", ["looks-rotated"]),
    ],
)
def test_doubts_of_the_pixels_count_as_configured(
    run: Callable[..., Result],
    tmp_path: Path,
    settings: str,
    elements: dict[str, object],
    verdict: str,
    reasons: list[str],
) -> None:
    with (tmp_path / "wetread.toml").open("a") as config:
        config.write(f"[imaging]\n{settings}\n")
    turned = phantom.film(2, now=NOW, new_uid=lambda: f"2.25.66{next(NUMBERS)}", rows=256, columns=224)
    turned.PixelData = np.ascontiguousarray(half_turn(turned.pixel_array)).tobytes()
    for keyword, value in elements.items():
        setattr(turned, keyword, value)
    turned.save_as(tmp_path / "turned.dcm", enforce_file_format=True)

    done = run("--json", tmp_path / "turned.dcm")

    (told,) = json.loads(done.stdout)
    assert (told["verdict"], done.exit_code) == (verdict, 0 if verdict == "read" else EXIT_FAILED)
    assert told["reason"] == ("" if verdict == "read" else reasons[-1])
    found = {one["reason"]: one for one in told["reasons"]}
    assert set(reasons) <= set(found)
    noted = "read in spite of that, as configured" in found["looks-rotated"]["notes"]
    assert noted == ("note" in settings and "pixels" not in settings)


def test_options_may_come_last(run: Callable[..., Result], tmp_path: Path) -> None:
    done = run(dicom(tmp_path / "a.dcm"), "--json")
    assert json.loads(done.stdout)[0]["verdict"] == "read"


def test_a_file_that_is_not_there_is_named(run: Callable[..., Result], tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.dcm"):
        run(tmp_path / "absent.dcm")


def test_a_wrong_option_is_a_wrong_command_line(run: Callable[..., Result], tmp_path: Path) -> None:
    assert run(dicom(tmp_path / "a.dcm"), "--jsonn").exit_code == 2


def sorted_films(folder: Path) -> Path:
    for view in ("frontal", "lateral"):
        (folder / view).mkdir(parents=True)
    for seed in range(50):
        film = drawing(seed % 5)[:, seed // 5 :]  # no two alike
        Image.fromarray(film).save(folder / "frontal" / f"{seed}.png")
        Image.fromarray(right_half(film)).save(folder / "lateral" / f"{seed}.png")
    return folder


def test_a_site_gets_its_own_test_for_laterals(run: Callable[..., Result], tmp_path: Path) -> None:
    folder, output = sorted_films(tmp_path / "sorted"), tmp_path / "lateral.json"
    (folder / "lateral" / "broken.png").write_bytes(b"no picture")
    done = run("calibrate", folder, "--output", output)
    assert done.exit_code == 0
    assert "50 frontal and 50 lateral films; 1 could not be decoded" in done.stdout
    made = calibration.read(output)
    assert made.suspects(measure(right_half(drawing(99))))
    assert not made.suspects(measure(drawing(99)))
    with pytest.raises(ConfigurationError, match="choose another name"):
        run("calibrate", folder, "--output", output)


def test_a_table_does_instead_of_folders(run: Callable[..., Result], tmp_path: Path) -> None:
    folder = sorted_films(tmp_path / "sorted")
    lines = [f"frontal/{number}.png,PA,{number}" for number in range(50)]
    lines += [f"lateral/{number}.png,LL,{number}" for number in range(50)]
    (folder / "films.csv").write_text("\n".join(("file,view,patient", *lines)))
    done = run("calibrate", folder / "films.csv", "--output", tmp_path / "lateral.json", "--json")
    told = json.loads(done.stdout)
    assert (told["frontal"], told["lateral"], told["undecodable"]) == (50, 50, 0)


@pytest.mark.parametrize("line", ["film.png,upside", ",frontal"])
def test_a_table_with_a_mistake_is_refused_with_its_line(run: Callable[..., Result], tmp_path: Path, line: str) -> None:
    (tmp_path / "films.csv").write_text(f"file,view\n{line}\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        run("calibrate", tmp_path / "films.csv", "--output", tmp_path / "lateral.json")


def test_a_folder_without_the_two_views_is_refused(run: Callable[..., Result], tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="frontal"):
        run("calibrate", tmp_path, "--output", tmp_path / "lateral.json")


@pytest.mark.parametrize("words", [("--", "-x.png"), ("--json", "--", "-x.png"), ("y.png", "--", "-x.png")])
def test_a_file_may_begin_with_a_dash(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    for name in ("-x.png", "y.png"):
        Image.fromarray(np.full((300, 300), 90, np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert "-x.png" in run(*words).output


def test_a_table_in_another_encoding_and_a_missing_folder_are_told_first(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    table = tmp_path / "films.csv"
    table.write_bytes("file,view\nJürgen.png,frontal\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"films\.csv, line 2: not in UTF-8; save the file as UTF-8"):
        run("calibrate", table, "--output", tmp_path / "lateral.json")
    with pytest.raises(ConfigurationError, match="there is no folder"):
        run("calibrate", tmp_path / "nothing", "--output", tmp_path / "nowhere" / "lateral.json")
