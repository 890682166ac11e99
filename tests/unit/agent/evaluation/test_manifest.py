"""A manifest is read whole or refused whole, with the lines to mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.manifest import ManifestError, known_labels, mistaken_columns, read_manifest
from reports.findings import State

P, A, U = State.PRESENT, State.ABSENT, State.UNCERTAIN


def manifest(folder: Path, text: str, *films: str) -> Path:
    for film in films:
        (folder / film).write_bytes(b"")
    path = folder / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_of_labels_hold_four_values(tmp_path: Path) -> None:
    text = "image,Edema,Cardiomegaly,Effusion,Pneumonia\na.png,1,0,-1,\nb.png,1.0,0.0,u,\n"
    cases = read_manifest(manifest(tmp_path, text, "a.png", "b.png"))

    assert [dict(case.labels) for case in cases] == [{"Edema": P, "Cardiomegaly": A, "Pleural Effusion": U}] * 2
    assert known_labels(cases) == ("Cardiomegaly", "Edema", "Pleural Effusion")


def test_a_list_of_findings_denies_the_others_of_its_data_set(tmp_path: Path) -> None:
    cases = read_manifest(
        manifest(tmp_path, "file,labels\na.png,Edema|Effusion\nb.png,No Finding\nc.png,\n", "a.png", "b.png", "c.png")
    )

    first, normal, unknown = (dict(case.labels) for case in cases)
    assert (first["Edema"], first["Pleural Effusion"], first["Mass"], first["No Finding"]) == (P, P, A, A)
    assert set(normal.values()) == {A, P}
    assert [label for label, state in normal.items() if state is P] == ["No Finding"]
    assert unknown == {}


@pytest.mark.parametrize(
    ("age", "years"), [("45", 45), ("045Y", 45), ("18M", 1.5), ("", None), ("0", 0), ("70.5", 70.5), ("411", None)]
)
def test_ages_in_years_or_as_dicom_writes_them(tmp_path: Path, age: str, years: float | None) -> None:
    (case,) = read_manifest(manifest(tmp_path, f"image,age\na.png,{age}\n", "a.png"))
    assert case.years == years


def test_columns_that_were_meant_otherwise_are_named(tmp_path: Path) -> None:
    header = "image,id,edema,Patient_ID,Labels,sharpness,pleural effusions,Pneumonia,pneumonias\n"
    assert mistaken_columns(manifest(tmp_path, header)) == {
        "edema": "Edema",
        "Patient_ID": "patient",
        "Labels": "labels",
        "pleural effusions": "Pleural Effusion",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("film,Edema\na.png,1\n", "no column named image, path, file"),
        ("image;Edema\na.png;1\n", "separated by commas, not by semicolons"),
        ("Image,Edema\na.png,1\n", "write 'Image' and the others in small letters"),
        ("image,Edema\n", "lists no film"),
        ("image,Edema\na.png,2\n", "line 2: Edema is '2', not 1, 0, -1 or empty"),
        ("image,Edema\nb.png,1\n", "line 2: the film is not there"),
        ("image,Edema\na.png,1\na.png,1\n", "lines 2, 3 have the same id, which is the name of the file: add a column"),
        ("image,id\na.png,b\na.png,b\n", "lines 2, 3 have the same id"),
        ("image,age\na.png,forty\n", "line 2: the age is no number"),
        ("image,labels\na.png,Edema|Oedema\n", "names Oedema, which is no label"),
        ("image,labels\na.png,Edema|No Finding\n", "No Finding beside a finding"),
        ('image,"Edema\na.png,1\n', "lists no film"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        read_manifest(manifest(tmp_path, text, "a.png"))


def test_a_patient_in_two_splits_is_refused_and_not_named(tmp_path: Path) -> None:
    text = "image,patient,split\na.png,DOE-1,train\nb.png,DOE-2,train\nc.png,DOE-1,test\n"
    with pytest.raises(ManifestError, match=r"'train' \(line 2\) and 'test' \(line 4\)") as refused:
        read_manifest(manifest(tmp_path, text, "a.png", "b.png", "c.png"))
    assert "DOE" not in str(refused.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as refused:
        read_manifest(manifest(tmp_path, "image,Edema,age\na.png,7,x\nb.png,1,\n", "a.png"))
    assert [f"line {line}" in str(refused.value) for line in (2, 3)] == [True, True]


def test_films_may_lie_elsewhere_or_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"")
    path = manifest(tmp_path, "image,Edema\na.png,1\n")

    assert read_manifest(path, images=folder)[0].image == folder / "a.png"
    assert read_manifest(path, missing_images=True)[0].id == "a"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"image,Edema\n\xff\xfe,1\n")
    with pytest.raises(ManifestError, match="no CSV file in UTF-8"):
        read_manifest(path)
