"""One picture in two splits is found whatever the file, the patient and the header are called."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.demo import phantom
from agent.manifest import Case, ManifestError
from agent.readers import learned
from agent.training import films, leaks, seen, stages
from agent.training.settings import read_settings
from tests.unit.agent.training.shape import SHAPE

NOW = datetime(2026, 3, 4, tzinfo=UTC)
NUMBERS = count(1)


def dicom(path: Path, patient: str) -> Path:
    """The same picture each time, under new UIDs."""
    image = phantom.film(1, now=NOW, new_uid=lambda: f"2.25.77{next(NUMBERS)}", rows=96, columns=96)
    image.PatientID = patient
    image.WindowWidth = len(patient) * 1000
    image.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Four films to learn from, the fourth DICOM; the name of a file is that of its patient."""
    random = np.random.default_rng(4)
    rows = ["image,patient,age,split,Edema,report"]
    for number in range(3):
        Image.fromarray(random.integers(0, 255, (40, 40), np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{number},50,train,{number % 2},No edema.")
    dicom(tmp_path / "3.dcm", "3")
    rows.append("3.dcm,3,50,train,1,Edema.")
    (tmp_path / "films.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    path = tmp_path / "training.toml"
    course = 'epochs = 1\nbatch = 2\nprecision = "fp32"\nlog_steps = 1'
    path.write_text(f'[data]\nmanifest = "films.csv"\n{SHAPE}\n[encoder]\n{course}\n', encoding="utf-8")
    return path


def listed(settings: Path, line: str) -> None:
    with (settings.parent / "films.csv").open("a", encoding="utf-8") as opened:
        opened.write(f"{line}\n")


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize(("kind", "line"), [("png", 3), ("dcm", 5)])
def test_one_picture_under_two_names_is_refused(settings: Path, split: str, kind: str, line: int) -> None:
    copy = settings.with_name(f"other.{kind}")
    if kind == "png":
        Image.open(settings.with_name("1.png")).save(copy, compress_level=0)
    else:
        dicom(copy, "another")
    listed(settings, f"{copy.name},another,60,{split},1,Edema.")
    words = rf"lines {line} \('train'\) and 6 \('{split}'\) show one and the same picture"
    with pytest.raises(ManifestError, match=words) as refused:
        stages.run("encoder", read_settings(settings), settings.with_name("run"), lambda _line: None)
    assert "another" not in str(refused.value).removeprefix(str(settings))
    assert not settings.with_name("run").exists()


@pytest.mark.parametrize(("split", "turned", "how"), [("validation", False, ""), ("test", True, " [turned by 90°]")])
def test_a_copy_with_other_pixels_is_a_warning_that_tells_their_lines(
    settings: Path, split: str, turned: bool, how: str
) -> None:
    """Half the size, compressed with losses, brighter: of the film in line 5, as DICOM. The run goes on."""
    grays = films.load_squares([Case("3", 5, settings.with_name("3.dcm"))], 96, "crop", lambda _number: None)[0][0]
    brighter = Image.fromarray(grays).resize((48, 48)).point([min(255, gray + 20) for gray in range(256)])
    brighter = brighter.transpose(Image.Transpose.ROTATE_90) if turned else brighter
    brighter.save(settings.with_name("copy.jpg"), quality=60)
    listed(settings, f"copy.jpg,another,60,{split},1,Edema.")
    said: list[str] = []
    stages.run("encoder", read_settings(settings), settings.with_name("run"), said.append)
    (warning,) = [line for line in said if "look like one film" in line]
    assert warning.startswith(f"warning: {settings.with_name('films.csv')}: ")
    assert f": lines 5 ('train') and 6 ({split!r}){how}. Compare them" in warning
    assert "copy" not in warning.partition("films in two splits")[2]  # names of files are often those of patients


def test_a_film_of_another_split_is_decoded_once_and_again_when_its_file_changes(settings: Path) -> None:
    """The list is believed as long as the file is the same: here it says of a test film that it is one of training."""
    random = np.random.default_rng(9)
    other, run = settings.with_name("other.png"), settings.with_name("run")
    Image.fromarray(random.integers(0, 255, (40, 40), np.uint8)).save(other)
    listed(settings, "other.png,9,60,test,1,Edema.")
    again = partial(stages.run, "encoder", read_settings(settings), run, lambda _line: None)
    again()
    (file,) = json.loads((run / "films_seen.json").read_text("utf-8"))["films"]
    (of_training,) = films.look([Case("0", 2, settings.with_name("0.png"))], {}, lambda _number: None)
    seen.write(run, [replace(of_training, file=file)])
    with pytest.raises(ManifestError, match=r"lines 2 \('train'\) and 6 \('test'\) show one and the same picture"):
        again()
    text = (run / "films_seen.json").read_text("utf-8")
    (run / "films_seen.json").write_text(text.replace('"format": 2', '"format": 1'), encoding="utf-8")
    again()  # of another version of the list nothing is believed
    seen.write(run, [replace(of_training, file=file)])
    Image.fromarray(random.integers(0, 255, (40, 40), np.uint8)).save(other)
    again()
    assert list(json.loads((run / "films_seen.json").read_text("utf-8"))["films"]) == [learned.digest(other)] != [file]


def test_films_of_other_splits_stop_no_run_by_being_broken(settings: Path) -> None:
    settings.with_name("broken.dcm").write_bytes(b"no film")
    listed(settings, "broken.dcm,9,60,test,1,Edema.")
    for number in range(95):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(settings.with_name(f"test{number}.png"))
        listed(settings, f"test{number}.png,t{number},60,test,1,Edema.")
    said: list[str] = []
    stages.run("encoder", read_settings(settings), settings.with_name("run"), said.append)
    assert said[0] == "100 of 100 films are decoded"
    assert (settings.with_name("run") / "model").is_dir()


def test_films_that_the_start_learned_from_are_told_where_they_test_what_comes_of_it(settings: Path) -> None:
    stages.run("encoder", read_settings(settings), settings.with_name("run"), lambda _line: None)
    films_csv = settings.with_name("films.csv")
    films_csv.write_text(films_csv.read_text("utf-8").replace("0,50,train", "0,50,test"), encoding="utf-8")
    Image.open(settings.with_name("1.png")).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(settings.with_name("m.png"))
    films_csv.write_text(films_csv.read_text("utf-8").replace("\n1.png", "\nm.png"), encoding="utf-8")
    films_csv.write_text(films_csv.read_text("utf-8").replace("1,50,train", "1,50,test"), encoding="utf-8")
    said: list[str] = []
    on = read_settings(settings).model_copy(update={"start": settings.with_name("run") / "model"})
    stages.run("align", on, settings.with_name("on"), said.append)
    assert [line for line in said if line.startswith("warning: 1 film of another split is among those that")]
    (alike,) = [line for line in said if line.startswith("warning: 1 film of another split looks like one that")]
    assert "mirrored or cropped: lines 3. Compare" in alike


def test_one_picture_twice_in_a_split_is_no_leak(tmp_path: Path) -> None:
    cases = [Case(str(line), line, tmp_path / f"{line}.png", split="train") for line in (2, 3)]
    leaks.refuse_same_pictures(tmp_path / "films.csv", cases, ["same", "same"])
    leaks.refuse_same_pictures(tmp_path / "films.csv", [*cases, Case("4", 4, tmp_path, split="test")], ["", "a", ""])


def test_a_picture_and_its_dicom_file_have_one_digest(tmp_path: Path) -> None:
    """Where nothing was lost between them: eight bits in both."""
    image = phantom.film(1, now=NOW, new_uid=lambda: f"2.25.77{next(NUMBERS)}", rows=96, columns=96)
    grays = (image.pixel_array >> 4).astype(np.uint8)
    image.PixelData, image.BitsAllocated, image.BitsStored, image.HighBit = grays.tobytes(), 8, 8, 7
    image.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    Image.fromarray(grays).save(tmp_path / "film.png")
    told: list[int] = []
    cases = [Case(name, 2, tmp_path / name) for name in ("film.dcm", "film.png")]
    first, second = films.look(cases, {}, told.append)
    assert first.digest == second.digest != ""
    assert first.fingerprint == second.fingerprint != b""
    assert told == [1, 2]
