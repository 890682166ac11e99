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


def test_what_programs_write_for_nothing_is_nothing(tmp_path: Path) -> None:
    """Also rows of nothing but commas, as spreadsheets leave them, one that ends in commas, and the mark of UTF-8."""
    text = "\ufeffimage,Edema,patient,report,age,split\r\na.png,NaN,nan,NA,<NA>,#N/A,,\r\n,,,,,\r\n"
    (case,) = read_manifest(manifest(tmp_path, text, "a.png"))
    assert (dict(case.labels), case.patient, case.report, case.years, case.split) == ({}, "", "", None, "")


def test_cells_in_the_wrong_column_are_not_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as refused:
        read_manifest(manifest(tmp_path, "image,patient,Edema,age\na.png,DOE,JANE,1,50\n", "a.png"))
    assert "JANE" not in str(refused.value).upper()


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
        (
            "image,Edema\na.png,1\nb/a.png,1\n",
            "lines 2, 3 have the same id, which is the name of the file: add a column",
        ),
        ("image,id\na.png,b\nb.png,b\n", "lines 2, 3 have the same id$"),
        (
            "image,id\n" + "".join(f"{'ab'[n % 2]}.png,{n // 2}\n" for n in range(10)),
            "lines 2, 3; lines 4, 5; lines 6, 7, and 2 more groups of lines, each have the same id$",
        ),
        ("image,Edema\na.png,1\na.png,1\n", "lines 2, 3 are one film more than once: leave one of these rows"),
        ("image,age\na.png,forty\n", "line 2: the age is no number"),
        ("image,labels\na.png,Edema|Oedema\n", "names Oedema, which is no label"),
        ("image,labels\na.png,Edema|No Finding\n", "No Finding beside a finding"),
        ('image,"Edema\na.png,1\n', "line 1: the quotes of the row that begins here are not right"),
        ('image,report\na.png,"Clear.\nb.png,Clear.\n', "line 2: the quotes of the row that begins here"),
        ('image,report\na.png,"Clear."\nb.png,"No "large" heart."\n', "line 3: the quotes of the row that begins here"),
        (
            "image,report,Edema\na.png,Clear, no edema.,0\n",
            "line 2: 4 cells, where the header has 3: a text with commas",
        ),
        ("image,Edema,report\na.png", "line 2: 1 cells, where the header has 3: the row is cut off"),
        ("image,Edema,split\na.png,1\n", "line 2: 2 cells, where the header has 3: the row is cut off"),
        ("image,Edema,patient,view\na.png,1\n", "line 2: 2 cells, where the header has 4: the row is cut off"),
        ("Edema,image\n1\n", "line 2: 1 cells, where the header has 2: the row is cut off"),
        ('image,report,Edema\na.png,"Clear. ,1\n', "line 2: the quotes of the row that begins here"),
        ('image,report\na.png,"No" \nb.png,"large "heart" ."\n', "line 3: the quotes of the row that begins here"),
        ("image,Edema\na.png,x\n\na.png,x\n", "lines 2, 4: Edema is 'x', not 1"),
        ('image,report,Edema\na.png,"Clear.\nNo edema.",0\nb.png,,x\n', "line 4: Edema is 'x', not 1"),
        ("image,Edema\n,1\n", "line 2: there is no film in the column 'image'"),
        ("image,Edema\nfilms\\a.png,1\n", r"line 2: the film is not there \(the column 'image'.* by /, not by \\"),
        ("image,Edema,Edema\na.png,1,0\n", "more than one column for Edema"),
        ("image,Effusion,Pleural Effusion\na.png,1,0\n", r"for Pleural Effusion \('Effusion', 'Pleural Effusion'\)"),
        ("sep=,\nimage,Edema\na.png,1\n", "delete the line that begins with sep="),
        ("", "the file is empty"),
        ("image,Edema\na.png,1\n\0\n", "line 3: a character of the number zero"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        read_manifest(manifest(tmp_path, text, "a.png"))


def test_what_spreadsheets_save_is_taken(tmp_path: Path) -> None:
    """Cells that are left out at the end of a row, and a blank behind a quote, but none of those inside of a text."""
    text = 'image,report,split,Edema,view\r\na.png,"No ""large"" , ""new"" , edema." ,train\r\nb.png,"","test"\t,1\r\n'
    first, second = read_manifest(manifest(tmp_path, text, "a.png", "b.png"))
    assert (first.report, first.split, dict(first.labels)) == ('No "large" , "new" , edema.', "train", {})
    assert (second.split, dict(second.labels), second.view) == ("test", {"Edema": State.PRESENT}, "")


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
    with pytest.raises(ManifestError, match="line 2: no CSV file in UTF-8"):
        read_manifest(path)
