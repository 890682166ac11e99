"""The one command: from films and labels to a checkpoint that the reader loads, whose scores are its own words'."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from agent.evaluation import continuations
from agent.readers import learned
from agent.readers.cxr_llava import load
from agent.training import demonstration, films, proof, sentences
from reports.findings import State


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty films, as ChestX-ray14 lists them."""
    folder, random = tmp_path_factory.mktemp("films"), np.random.default_rng(3)
    rows = ["file,id,view,age,patient,labels"]
    for number in range(20):
        ill = number % 2
        film = np.clip(random.normal(90 + 40 * ill, 25, (256, 256)), 0, 255).astype(np.uint8)
        Image.fromarray(film).save(folder / f"{number}.png")
        rare = ("Cardiomegaly", "Infiltration", "Consolidation", "Atelectasis", "Pneumothorax")[number // 2 % 5]
        labels = f"Edema|Effusion|Pneumonia|{rare}" if ill else "No Finding"
        rows.append(f"{number}.png,{number},{'AP' if number % 4 < 2 else 'PA'},50,P{number},{labels}")
    (folder / "films.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder / "films.csv"


@pytest.mark.timeout(600)  # it trains a model; on a busy machine for minutes
def test_from_films_to_a_model_in_one_call(manifest: Path, tmp_path: Path) -> None:
    cases = demonstration.chosen(manifest, manifest.parent)
    said: list[str] = []
    model = demonstration.train(cases, tmp_path, demonstration.Course(epochs=0.4, batch=8), said.append)

    reader = load(model, "fp32", device="cpu")
    assert reader.identity.notice == "DEMONSTRATION MODEL - NOT FOR CLINICAL USE"
    assert continuations.pairs_of(reader) == sentences.pairs()
    assert learned.known(model, [case.image for case in cases]) == (len(cases), 0)
    elsewhere = {Path("film.dcm"): ("", learned.digest_of_picture(films.look(cases[:1], {}, print)[0].digest))}
    assert learned.known(model, elsewhere, elsewhere) == (0, 1)
    film = np.asarray(Image.open(manifest.parent / "1.png"))
    assert set(continuations.score(reader, film, sentences.pairs())) == set(sentences.FINDINGS)

    with (tmp_path / "drawn.csv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 6 * (20 + 30)  # films, and pictures of nothing
    of_ill = [row["report"] for row in rows if row["patient"] == "P1" and "FINDINGS" in row["report"]]
    assert sum("edema present" in text or "edema seen" in text or "edema visible" in text for text in of_ill) >= 2
    data = json.loads((tmp_path / "encoder" / "data.json").read_text(encoding="utf-8"))
    assert data["labels"] == list(sentences.FINDINGS)
    assert [line for line in said if "films" in line]
    card = json.loads((model / "wetread.json").read_text(encoding="utf-8"))
    assert [part["stage"] for part in card["made_with"]] == ["encoder", "finetune"]


def test_labels_and_view_say_what_a_film_shows(manifest: Path) -> None:
    well, ill = demonstration.chosen(manifest, manifest.parent)[:2]
    assert ill.labels["Pleural Effusion"] is State.PRESENT
    shown = [name for name, said in demonstration.states_of(ill).items() if said]
    assert shown == ["AP", "Cardiomegaly", "Pleural Effusion", "Edema", "Pneumonia"]
    assert [name for name, said in demonstration.states_of(well).items() if said] == ["AP"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((demonstration, "--folds", "21"), "21 folds of 20 patients: 2 folds are the least"),
        ((demonstration, "--folds", "1"), "1 folds of 20 patients"),
        ((demonstration, "--folds", "3", "--only", "3"), "--only names folds from 0 to 2"),
        ((proof, "--runs", "nothing"), "there is no file of texts"),
    ],
)
def test_folds_that_cannot_be_made_are_refused_before_any_training(
    manifest: Path,
    tmp_path: Path,
    asked: tuple[Any, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module, *rest = asked
    folders = ("--images", str(manifest.parent), "--output", str(tmp_path / "runs"))
    monkeypatch.setattr(sys, "argv", [module.__name__, str(manifest), *folders, *rest])
    threads = torch.get_num_threads()
    try:
        with pytest.raises(SystemExit) as ended:
            sys.exit(module.main())
    finally:
        torch.set_num_threads(threads)
    assert ended.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()
