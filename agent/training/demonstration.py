"""Make the demonstration model from public films, and prove by folds what it has learned: one command.

    python -m agent.training.demonstration FILMS.csv --images FOLDER --output RUNS --folds 5

FILMS.csv is a manifest, or ChestX-ray14's `Data_Entry_2017.csv`, of which those films are taken that the model which
ships learned from.

The tower is solved from labels (`closed_form`), then the language model learns to say what the tower tells. Reports
that it learns from are drawn: a finding is said as often as the tower finds it likely. Reports of the labels alone
would teach a language model to know few films by heart; these teach it what can be seen.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from agent.evaluation.readings import FilmReading, Readings, read_films
from agent.manifest import Case, ManifestError, read_manifest
from agent.readers import learned, signs
from agent.readers.checkpoint import Checkpoint
from agent.readers.cxr_llava import load
from agent.readers.protocol import Generation
from agent.training import chestxray14, closed_form, films, layout, pointers, provenance, sentences, stages
from agent.training.lineage import NOTICE
from agent.training.seen import Seen
from agent.training.settings import Card, Data, Encoder, Finetune, Shape, Training
from dicom_node.errors import WetreadError
from reports.findings import State

CARD: Final = Card(name="wetread demonstration model", version="3", manufacturer="wetread", notice=NOTICE)
SHAPE: Final = Shape(
    image_size=224,
    patch_size=28,
    tower_width=160,
    tower_layers=3,
    tower_head_width=32,
    llama_width=96,
    llama_layers=2,
    llama_heads=4,
    llama_inner=240,
    vocabulary=700,
)
READINGS: Final = MappingProxyType({"fp32": "readings.jsonl", "nf4": "readings-nf4.jsonl"})  # of a fold
SEED: Final = 20250601
_ADULT: Final = 18  # years
_PUBLIC: Final = re.compile(r"\d{8}_\d{3}")  # a name in ChestX-ray14, which is no secret; a hospital's might be
_TRAIN: Final = "train"
_PICTURES: Final = 30  # of nothing
_SURENESS: Final = 2.0  # how much likelier a report says what the tower tells by a deviation more
_WHOLE, _SHORT = 3, 3  # reports, and single sentences, that are drawn for each film

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Course:
    """How long the language model learns."""

    epochs: float = 1.5
    batch: int = 16
    learning_rate: float = 3e-3


def chosen(manifest: Path, images: Path) -> list[Case]:
    """The films of adults whose view is known; of ChestX-ray14's own table those of the list beside the model.

    Raises ManifestError, which names a column that is missing.
    """
    if chestxray14.is_entry_list(manifest):
        cases = chestxray14.cases(manifest, images, chestxray14.names())
    else:
        cases = read_manifest(manifest, images=images)
    filled = {
        "age": any(case.years is not None for case in cases),
        "view": any(case.view in {"AP", "PA"} for case in cases),
        "labels": any(case.labels for case in cases),
        "patient": any(case.patient for case in cases),
    }
    missing = [f"`{column}`" for column, there in filled.items() if not there]
    if missing:
        raise ManifestError(f"{manifest} has nothing in a column {' or '.join(missing)}, which the training needs")
    adults = [case for case in cases if (case.years or 0) >= _ADULT and case.view in {"AP", "PA"}]
    if not adults:
        raise ManifestError(f"{manifest} has no film of an adult whose view is AP or PA")
    return adults


def folds(cases: Sequence[Case], count: int, seed: int) -> NDArray[np.intp]:
    """The fold of each film, from 0; a patient's films are all in one. Raises ManifestError where a fold gets none."""
    patients = sorted({case.patient for case in cases})
    if not 2 <= count <= len(patients):
        raise ManifestError(f"{count} folds of {len(patients)} patients: 2 folds are the least, one a patient the most")
    order = np.random.default_rng(seed).permutation(len(patients))
    fold = {patients[at]: place % count for place, at in enumerate(order)}
    return np.array([fold[case.patient] for case in cases])


def train(cases: Sequence[Case], out: Path, course: Course, say: Say) -> Path:
    """All stages over these films; the folder of the finished model."""
    out.mkdir(parents=True, exist_ok=True)
    squares, seen = _cut(cases, out)
    of_labels = out / "labels.csv"
    _write_manifest(of_labels, _labelled(cases, random.Random(SEED)))  # noqa: S311 -- no secret
    settings = Training(
        data=Data(manifest=of_labels, labels=sentences.FINDINGS),
        shape=SHAPE,
        card=CARD,
        encoder=Encoder(solved=True, epochs=1, batch=64, log_steps=1, precision="fp32", augment=False, seed=SEED),
    )
    stages.run("encoder", settings, out / "encoder", say)
    others, pictures = _no_films(out / "films")
    likely = _likely(out / "encoder" / "model", np.concatenate([squares, pictures]))
    of_reports = out / "drawn.csv"
    _write_manifest(of_reports, _drawn([*cases, *others], likely, random.Random(SEED + 1)))  # noqa: S311
    settings = settings.model_copy(
        update={
            "data": Data(manifest=of_reports),
            "start": _pointed(out / "encoder" / "model", out / "start"),
            "finetune": Finetune(
                epochs=course.epochs,
                batch=course.batch,
                learning_rate=course.learning_rate,
                weight_decay=0.01,
                bear="nf4",
                precision="fp32",
                augment=False,
                seed=SEED,
            ),
        }
    )
    stages.run("finetune", settings, out / "finetune", say)
    parts = [part for stage in ("encoder", "finetune") for part in provenance.read(out / stage)]
    model = _finished(out / "finetune" / "model", out / "model", parts)
    public = all(_PUBLIC.fullmatch(case.image.stem) for case in cases)
    learned.write(model, [case.image for case in cases], pictures=[one.digest for one in seen], public=public)
    signs.write(model, [one.fingerprint for one in seen])
    return model


def _finished(trained: Path, out: Path, parts: Sequence[Mapping[str, Any]]) -> Path:
    """The checkpoint as it ships: with what it is scored by, and with the unused matrix that published ones have.

    parts: with what it was made, of both stages.
    """
    config = Checkpoint.open(trained, "fp32").config
    weights = dict(layout.published(load(trained, "fp32", device="cpu").parts))
    weights["vision_tower.proj"] = torch.zeros(SHAPE.tower_width, int(config["clip_embed_dim"]))
    pairs = {finding: list(pair) for finding, pair in sentences.pairs().items()}
    extra = {"score_pairs": pairs, provenance.KEY: parts}
    layout.write(out, sorted(weights.items()), config, CARD, tokenizer=trained, extra=extra)
    return out


def _pointed(tower: Path, out: Path) -> Path:
    """The same checkpoint with a language model that looks at the film where it names a finding."""
    opened = Checkpoint.open(tower, "fp32")
    words = opened.words()
    model = load(tower, "fp32", device="cpu").parts
    names = [words.answer_ids(sentences.NAMES[finding])[-1] for finding in sentences.FINDINGS]
    pointers.point(model, names, seed=SEED)
    layout.write(out, layout.published(model), opened.config, CARD, tokenizer=tower)
    return out


def read(cases: Sequence[Case], model: Path, out: Path, say: Say, precision: str = "fp32") -> Mapping[str, FilmReading]:
    """What the finished model writes of films, and its scores."""
    reader = load(model, precision, device="cpu")
    readings = Readings(out, {"digest": reader.identity.digest})
    read_films(cases, reader, readings, generation=Generation(), with_scores=True, progress=lambda _number: None)
    say(f"{out}: {len(readings.done)} films read")
    return readings.done


def _cut(cases: Sequence[Case], out: Path) -> tuple[NDArray[np.uint8], list[Seen]]:
    """Every film once as the square that the model sees, and what it shows.

    The squares are kept as pictures, so that each report need not decode its film.
    """
    folder = out / "films"
    folder.mkdir(exist_ok=True)
    squares, seen = films.load_squares(cases, SHAPE.image_size, "crop", lambda _number: None)
    for case, square in zip(cases, squares, strict=True):
        Image.fromarray(square).save(folder / f"{case.id}.png", compress_level=1)
    return squares, seen


def _no_films(folder: Path) -> tuple[list[Case], NDArray[np.uint8]]:
    """Pictures of nothing: on them, too, the language model shall end its sentences."""
    source, size, made = np.random.default_rng(SEED), SHAPE.image_size, []
    for number in range(_PICTURES):
        coarse = source.integers(0, 256, 2 * [int(source.choice((2, 8, 32, 128, size)))], dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.LANCZOS)
        picture.save(folder / f"nothing-{number}.png", compress_level=1)
        name = f"nothing-{number}"
        made.append((Case(name, 0, folder / f"{name}.png", patient=name, years=_ADULT), np.asarray(picture)))
    return [case for case, _ in made], np.stack([square for _, square in made])


def _likely(tower: Path, squares: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(films, findings): how likely a report says each."""
    model = load(tower, "fp32", device="cpu").parts
    found = []
    with torch.no_grad():
        for start in range(0, len(squares), 64):
            batch = torch.from_numpy(squares[start : start + 64]).float() / 255
            pixels = (batch - layout.MEAN) / layout.STD
            found.append(closed_form.told(model.patches(pixels[:, None]), len(sentences.FINDINGS)))
    return np.asarray(1 / (1 + np.exp(-_SURENESS * np.concatenate(found))), dtype=np.float64)


def states_of(case: Case) -> dict[str, bool]:
    """What the labels say of each finding that reports name."""
    found = {label: case.labels.get(label) is State.PRESENT for label in sentences.FINDINGS}
    return {**found, sentences.AP: case.view == "AP"}


def _labelled(cases: Sequence[Case], source: random.Random) -> Iterator[dict[str, Any]]:
    """One row a film, with the report that its labels make: what the tokenizer is made of."""
    for case in cases:
        states = states_of(case)
        row = {label: int(states[label]) for label in sentences.FINDINGS if label != sentences.AP}
        yield {**_row(case, case.id), **row, "report": sentences.report(states, source)}


def _drawn(cases: Sequence[Case], likely: NDArray[np.float64], source: random.Random) -> Iterator[dict[str, Any]]:
    """Whole reports, and single sentences as they are scored."""
    pairs = sentences.pairs()
    for case, chances in zip(cases, likely, strict=True):

        def draw(chances: NDArray[np.float64] = chances) -> dict[str, bool]:
            return {f: source.random() < chance for f, chance in zip(sentences.FINDINGS, chances, strict=True)}

        texts = [sentences.report(draw(), source) for _ in range(_WHOLE)]
        alone = source.sample(sentences.FINDINGS, _SHORT)
        texts += [pairs[finding][0 if draw()[finding] else 1] for finding in alone]
        for number, text in enumerate(texts):
            yield {**_row(case, f"{case.id}-{number}"), "report": text}


def _row(case: Case, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "image": f"films/{case.id}.png",
        "patient": case.patient,
        "split": _TRAIN,
        "view": case.view,
        "age": case.years,
    }


def _write_manifest(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    listed = list(rows)
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(listed[0]))
        writer.writeheader()
        writer.writerows(listed)


def run(cases: Sequence[Case], out: Path, course: Course, count: int, only: Sequence[int], say: Say) -> None:
    """Train and read fold by fold, each film by a model that saw no film of its patient."""
    fold = folds(cases, count, SEED)
    for number in only:
        folder = out / f"fold-{number}"
        seen = [case for case, of in zip(cases, fold, strict=True) if of != number]
        unseen = [case for case, of in zip(cases, fold, strict=True) if of == number]
        model = train(seen, folder, course, say)
        for precision, name in READINGS.items():
            read(unseen, model, folder / name, say, precision)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Make the demonstration model.")
    parser.add_argument("manifest", type=Path, help="Data_Entry_2017.csv, or films, labels, view, age, patient")
    parser.add_argument("--images", type=Path, required=True, help="folder of the films")
    parser.add_argument("--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--folds", type=int, default=0, help="train as often, and read what was left out")
    parser.add_argument("--only", type=int, nargs="*", help="these folds alone")
    parser.add_argument("--epochs", type=float, default=Course().epochs, help="of the language model")
    chosen_ = parser.parse_args()
    torch.set_num_threads(1)
    try:
        cases = chosen(chosen_.manifest, chosen_.images)
        if chosen_.folds:
            folds(cases, chosen_.folds, SEED)
    except WetreadError as error:
        parser.error(str(error))
    course = replace(Course(), epochs=chosen_.epochs)
    if chosen_.folds:
        which = range(chosen_.folds) if chosen_.only is None else chosen_.only
        if not set(which) <= set(range(chosen_.folds)):
            parser.error(f"--only names folds from 0 to {chosen_.folds - 1}")
        run(cases, chosen_.output, course, chosen_.folds, which, _say)
    else:
        _say(json.dumps({"model": str(train(cases, chosen_.output / "whole", course, _say))}))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
