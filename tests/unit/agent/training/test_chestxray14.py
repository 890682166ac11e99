"""The films of the demonstration model can be found in ChestX-ray14 as it is given away, in their order."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.manifest import Case, ManifestError
from agent.readers import demonstration_checkpoint, learned
from agent.training import chestxray14, demonstration
from reports.findings import State

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NAMES = ("00001280_004", "00000061_012", "00001280_001")  # not sorted: the order is the list's


def entries(folder: Path, names: Sequence[str]) -> Path:
    """Data_Entry_2017.csv with these films and a stranger, sorted as the original is."""
    rows = [HEADER]
    for name in sorted((*names, "00000001_000")):
        number = int(name[:8])
        ill = number % 2
        labels = "Effusion|Pneumonia|Pleural_Thickening" if ill else "No Finding"
        rows.append(f"{name}.png,{labels},4,{number},{40 + ill},{'FM'[ill]},{'AP' if ill else 'PA'},2,3,0.1,0.1,")
    (folder / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "Data_Entry_2017.csv"


def pictures(folder: Path, names: Sequence[str]) -> Path:
    """In two folders, as the archives are unpacked."""
    for number, name in enumerate(names):
        part = folder / f"images_{number % 2:03}" / "images"
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number % 256, np.uint8)).save(part / f"{name}.png")
    return folder


def shown(case: Case) -> tuple[str, str, str, float | None, str]:
    return case.id, case.patient, case.view, case.years, case.sex


def test_the_table_of_the_data_set_gives_the_films_of_the_list_in_its_order(tmp_path: Path) -> None:
    images = pictures(tmp_path, (*NAMES, "00000001_000"))
    found = chestxray14.cases(entries(tmp_path, NAMES), images, NAMES)
    assert [shown(case) for case in found] == [
        ("00001280_004", "NIH-00001280", "PA", 40, "F"),
        ("00000061_012", "NIH-00000061", "AP", 41, "M"),
        ("00001280_001", "NIH-00001280", "PA", 40, "F"),
    ]
    assert found[1].labels["Pleural Effusion"] is State.PRESENT
    assert found[1].labels["Edema"] is State.ABSENT
    assert found[0].labels["Pneumonia"] is State.ABSENT
    assert all(case.image.is_file() for case in found)


def test_the_list_has_the_names_of_which_the_model_has_digests() -> None:
    names = chestxray14.names()
    assert len(names) == len(set(names)) == 746
    assert len({name[:8] for name in names}) == 511
    digests = learned.read(demonstration_checkpoint())
    assert all(learned.digest_of_name(Path(f"{name}.png")) in digests for name in names)


def test_whoever_has_the_data_set_gets_the_cases_that_the_model_learned_from(tmp_path: Path) -> None:
    names = chestxray14.names()
    table, images = entries(tmp_path, names), pictures(tmp_path, names)
    found = demonstration.chosen(table, images)
    assert [case.id for case in found] == list(names)
    fold = demonstration.folds(found, 5, demonstration.SEED)
    manifest = tmp_path / "ours.csv"  # as the model that ships was made from
    with manifest.open("w", encoding="utf-8", newline="") as opened:
        rows = ((case.image, case.patient, "Edema", case.view, 50) for case in found)
        csv.writer(opened).writerows([("file", "patient", "labels", "view", "age"), *rows])
    assert np.array_equal(fold, demonstration.folds(demonstration.chosen(manifest, tmp_path), 5, demonstration.SEED))


def test_a_film_that_is_not_there_or_there_twice_is_told_by_its_public_name(tmp_path: Path) -> None:
    table, images = entries(tmp_path, NAMES), pictures(tmp_path, NAMES[:2])
    with pytest.raises(ManifestError, match="lacks 1 of the 3 films of the demonstration model, such as 00001280_001"):
        chestxray14.cases(table, images, NAMES)
    with pytest.raises(ManifestError, match=r"Data_Entry_2017\.csv lacks 1 of the 1 films"):
        chestxray14.cases(table, images, ["00009999_000"])
    Image.new("L", (8, 8)).save(images / f"{NAMES[0]}.jpg")
    with pytest.raises(ManifestError, match=f"has the film {NAMES[0]} twice"):
        chestxray14.cases(table, images, NAMES[:1])


def test_a_table_without_a_column_names_it(tmp_path: Path) -> None:
    table = entries(tmp_path, NAMES)
    table.write_text(table.read_text("utf-8").replace("View Position", "View"), encoding="utf-8")
    with pytest.raises(ManifestError, match=r"has no column View Position, as Data_Entry_2017\.csv has"):
        demonstration.chosen(table, tmp_path)
