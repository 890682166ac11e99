"""A small reader study: drawn films, reports of two sources, and the pages that raters see."""

from __future__ import annotations

import csv
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from starlette.applications import Starlette

from agent.evaluation.packing import Made, Recipe, choose, pack
from agent.manifest import Case
from dicom_node.database import Database, clock
from reports.grading.package import Package, read_package
from reports.grading.raters import add, open_grades
from reports.web.grading import make_grading_app

SEED = "a seed that no rater knows"
FIRST = "FINDINGS: THE HEART IS ENLARGED, FILM {}.\nIMPRESSION:\n1. CARDIOMEGALY."
SECOND = "The heart of film {} is normal. There is no pleural effusion."


@dataclass(frozen=True)
class Study:
    """Where it lies. manifest, texts: what it was made of."""

    folder: Path
    key: Path
    made: Made

    @property
    def package(self) -> Package:
        return read_package(self.folder)


def draw_films(folder: Path, number: int, *, side: int = 96) -> list[Path]:
    """Pictures with a bright disk, each elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for film in range(number):
        y, x = np.mgrid[:side, : side - 16]
        values = 200 * np.exp(-((x - 20 - 5 * film) ** 2 + (y - 40) ** 2) / 300) + 20
        paths.append(folder / f"patient-{film}.png")
        Image.fromarray(values.astype(np.uint8)).save(paths[-1])
    return paths


def make_study(folder: Path, films: int = 4, *, swapped: bool = False, seed: str = SEED) -> Study:
    """swapped: what is an original report else is the AI's, and the other way round."""
    paths = draw_films(folder / "films", films)
    ai, original = (FIRST, SECOND) if swapped else (SECOND, FIRST)
    cases = [Case(path.stem, place, path, report=original.format(place)) for place, path in enumerate(paths, start=2)]
    texts = {case.id: ai.format(case.line) for case in cases}
    recipe = Recipe("Reader study", seed, "2026-11-22T12:00:00+00:00", "wetread test", {"reader": "somebody"})
    study, key = folder / "STUDY", folder / "STUDY.key.json"
    return Study(study, key, pack(choose(cases, texts, seed, None), recipe, study, key, lambda _done: None))


def write_sources(folder: Path, films: int = 4) -> tuple[Path, Path]:
    """A manifest with reports, and a file of texts, as the command takes them."""
    paths = draw_films(folder, films)
    manifest, texts = folder / "films.csv", folder / "texts.jsonl"
    with manifest.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(("image", "patient", "report"))
        rows.writerows((path.name, f"patient {place}", FIRST.format(place)) for place, path in enumerate(paths))
    lines = [{"id": path.stem, "text": SECOND.format(place)} for place, path in enumerate(paths)]
    texts.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return manifest, texts


@contextmanager
def grading_app(study: Study) -> Iterator[tuple[Starlette, Database]]:
    """The pages and the grades behind them."""
    package = study.package
    with open_grades(package) as database:
        yield make_grading_app(package, database, version="test", session=partial(secrets.token_urlsafe, 32)), database


def add_rater(database: Database, package: Package, name: str) -> str:
    """Gives the path of the link."""
    with database.write() as tx:
        add(tx, package, name, f"link-of-{name}", clock(tx))
    return f"/enter/link-of-{name}"
