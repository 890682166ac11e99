"""What a stage learns from and how fast, and the sentence for what cannot be learned from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from agent.cli import wetread
from agent.training import choosing, demonstration, stages
from agent.training.settings import read_settings
from dicom_node.errors import ConfigurationError, NotFound
from reports.findings import State
from tests.unit.agent.training.shape import SHAPE

ENCODER = """
[encoder]
epochs = 1
batch = 4
precision = "fp32"
log_steps = 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine films: six adults to learn from, a child, one of no split, and an adult of whom nothing is known."""
    rows = ["image,patient,age,split,Edema,Cardiomegaly,report"]
    ages = ["50"] * 6 + ["5", "50", "50"]
    for number, age in enumerate(ages):
        Image.fromarray(np.full((40, 40), 40 + 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
        edema = "" if number == 8 else str(number % 2)
        split = "" if number == 7 else "train"
        rows.append(f"{number}.png,{number},{age},{split},{edema},,There is {'' if number % 2 else 'no '}edema.")
    (tmp_path / "films.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def settings_file(folder: Path, data: str = "", head: str = "", rest: str = ENCODER) -> Path:
    path = folder / "training.toml"
    text = f'{head}\n[data]\nmanifest = "films.csv"\nvalidation = "test"\n{data}\n{SHAPE}{rest}'
    path.write_text(text, encoding="utf-8")
    return path


def test_a_manifest_that_is_not_there_names_the_file_that_asks_for_it(tmp_path: Path) -> None:
    settings = settings_file(tmp_path)
    done = CliRunner().invoke(wetread, ["train", "finetune", str(settings), "--output", str(tmp_path / "run")])
    assert isinstance(done.exception, NotFound)
    assert str(done.exception).startswith(f"{settings}: there is no manifest {tmp_path / 'films.csv'}: `manifest` in")
    assert "relative to the folder of that file" in str(done.exception)


def without(folder: Path, column: str) -> None:
    """The same manifest with another heading there."""
    path = folder / "films.csv"
    path.write_text(path.read_text("utf-8").replace(f",{column},", f",other_{column},"), encoding="utf-8")


def test_with_json_nothing_else_stands_on_the_standard_output(folder: Path) -> None:
    run = ["train", "encoder", str(settings_file(folder)), "--output", str(folder / "run"), "--json"]
    done = subprocess.run([sys.executable, "-m", "agent", *run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)
    assert metrics["steps"] == 2
    assert "encoder: step 1 of 2: loss " in done.stderr
    assert "left out: 1 film of people under 18 or of unknown age" in done.stderr
    assert "left out: 1 film in neither of the two splits" in done.stderr
    assert "1 film teaches nothing: none of the labels is known of it" in done.stderr
    assert "no film is left in the split 'test' (data.validation): nothing is measured while it learns" in done.stderr
    assert "pip install" not in done.stderr, "libraries advertise others"


def test_a_start_is_learned_on_from_in_small_steps(folder: Path) -> None:
    start = f'start = "{folder}"'
    anew, on = (read_settings(settings_file(folder, head=head)) for head in ("", start))
    assert [anew.course(stage).learning_rate for stage in ("encoder", "align", "finetune")] == [5e-4, 1e-3, 2e-3]
    assert [on.course(stage).learning_rate for stage in ("encoder", "align", "finetune")] == [1e-6, 1e-3, 2e-4]
    chosen = read_settings(settings_file(folder, head=start, rest=f"{ENCODER}learning_rate = 3e-4\n"))
    assert chosen.course("encoder").learning_rate == 3e-4


def test_a_start_keeps_its_tower_from_being_written_anew(folder: Path) -> None:
    path = settings_file(folder, head=f'start = "{folder}"', rest=f"{ENCODER}solved = true\n")
    with pytest.raises(ConfigurationError, match="would throw away that of"):
        stages.run("encoder", read_settings(path), folder / "run", lambda _line: None)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ('["Edema", "Foo"]', "names Foo, which is no label we know"),
        ('["Edema", "Cardiomegaly"]', "names Cardiomegaly, but no film that is learned from"),
        ('["Edema", "AP"]', "names AP, but no film"),
    ],
)
def test_labels_of_which_nothing_is_known_are_refused(folder: Path, labels: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        choosing.prepare("encoder", read_settings(settings_file(folder, f"labels = {labels}")))


def test_labels_come_from_the_reports_where_no_column_has_any(folder: Path) -> None:
    """As an evaluation judges by them; what a report does not mention is not known."""
    without(folder, "Edema")
    path = folder / "films.csv"
    path.write_text(path.read_text("utf-8").replace("There is no edema.", "No edema. Pneumonia.", 1), encoding="utf-8")
    settings = read_settings(settings_file(folder))
    prepared = choosing.prepare("encoder", settings)
    assert prepared.labels == ("Edema",)
    assert dict(prepared.train[0].labels) == {"Edema": State.ABSENT, "Pneumonia": State.PRESENT}
    for words in ("labels: Edema", "labels that are not learned: Pneumonia"):
        assert words in prepared.told
    assert [line for line in prepared.told if line.startswith("no column has labels: they are what `wetread findings`")]
    assert not choosing.prepare("align", settings).train[0].labels

    path.write_text(path.read_text("utf-8").replace("edema.", "word."), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="there is no label that some films of adults"):
        choosing.prepare("encoder", settings)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("split", "has nothing in a column `split`: it needs one that says 'train'"),
        ("age", "has nothing in a column `age`.* adults_only = false"),
    ],
)
def test_a_manifest_without_a_film_names_the_column_that_is_missing(folder: Path, column: str, words: str) -> None:
    without(folder, column)
    with pytest.raises(ConfigurationError, match=words):
        choosing.prepare("encoder", read_settings(settings_file(folder)))


def test_a_split_that_no_film_has_is_told_beside_those_that_are(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no film of the split 'training'.*but of train"):
        choosing.prepare("finetune", read_settings(settings_file(folder, 'train = "training"')))


def test_films_without_a_report_are_counted(folder: Path) -> None:
    path = folder / "films.csv"
    path.write_text(path.read_text("utf-8").replace("0,,There is no edema.", "0,,", 2), encoding="utf-8")
    prepared = choosing.prepare("align", read_settings(settings_file(folder)))
    assert "left out: 2 films without a report" in prepared.told


@pytest.mark.parametrize("heading", ["Patient ID", "PatientID", "Patient", "patient_number", "subject_id", "MRN"])
def test_a_column_that_looks_like_the_patient_is_refused_and_not_passed_over(folder: Path, heading: str) -> None:
    path = folder / "films.csv"
    path.write_text(path.read_text("utf-8").replace(",patient,", f",{heading},"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"column '{heading}'.*name it `patient`"):
        choosing.prepare("encoder", read_settings(settings_file(folder)))


def test_other_headings_that_are_nearly_right_are_told(folder: Path) -> None:
    path = folder / "films.csv"
    path.write_text(path.read_text("utf-8").replace(",Cardiomegaly,", ",cardiomegaly,"), encoding="utf-8")
    prepared = choosing.prepare("encoder", read_settings(settings_file(folder)))
    assert "the column 'cardiomegaly' is ignored; did you mean 'Cardiomegaly'?" in prepared.told


def test_films_that_name_no_patient_are_counted(folder: Path) -> None:
    path = folder / "films.csv"
    assert not [
        line for line in choosing.prepare("encoder", read_settings(settings_file(folder))).told if "patient" in line
    ]
    path.write_text(path.read_text("utf-8").replace("2.png,2,", "2.png,,").replace("6.png,6,", "6.png,,"), "utf-8")
    prepared = choosing.prepare("encoder", read_settings(settings_file(folder)))
    assert "1 of 7 films name no patient: nobody checks that theirs are in one split alone" in prepared.told


@pytest.mark.parametrize("split", ["test", "another"])
def test_one_film_in_two_splits_is_refused(folder: Path, split: str) -> None:
    """Under two names and of no patient, and in whatever split a model is judged by later."""
    (folder / "copy.png").write_bytes((folder / "1.png").read_bytes())
    Image.fromarray(np.full((40, 40), 3, np.uint8)).save(folder / "other.png")
    path = folder / "films.csv"
    path.write_text(f"{path.read_text('utf-8')}\nother.png,,50,{split},1,,x\ncopy.png,,50,{split},1,,x", "utf-8")
    with pytest.raises(
        ConfigurationError, match=rf"lines 3 \('train'\) and 12 \('{split}'\) are one and the same film"
    ):
        choosing.prepare("encoder", read_settings(settings_file(folder)))


def test_one_film_twice_in_a_split_is_no_leak(folder: Path) -> None:
    (folder / "copy.png").write_bytes((folder / "1.png").read_bytes())
    path = folder / "films.csv"
    path.write_text(f"{path.read_text('utf-8')}\ncopy.png,9,50,train,1,,x", encoding="utf-8")
    assert len(choosing.prepare("encoder", read_settings(settings_file(folder))).train) == 8


def test_the_demonstration_names_the_columns_that_it_lacks(folder: Path) -> None:
    without(folder, "age")
    with pytest.raises(ConfigurationError, match="column `age` or `view`, which"):
        demonstration.chosen(folder / "films.csv", folder)
