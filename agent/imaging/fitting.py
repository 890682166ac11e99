"""Makes `chest_model.json` from films with a manifest: `python -m agent.imaging.fitting FOLDER` (needs minutes).

FOLDER holds `images/manifest.csv`. Only frontal films of adults are used, as they are and turned, inverted, cut. The
thresholds in `picture` are read off what is printed: scores of films whose patient was not among those fitted to.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agent.imaging import transforms
from agent.imaging.impression import Impression, left_and_right, measure
from agent.imaging.model import FILE, POSES, Model, as_text
from agent.imaging.picture import THRESHOLDS, judge_picture
from agent.imaging.thumbnail import thumbnail

SOUND: Final = "as it is"
_SEED: Final = 1
_MARKS: Final = (0, 0.002, 0.005, 0.01, 0.5, 0.99, 0.995, 0.998, 1)  # quantiles
_FOLDS: Final = 5
_VARIANTS: Final = 2  # of each film: moved, turned by a few degrees, darker or brighter
_POSE_SHRINKAGE: Final = 0.3  # best of 0.003, 0.01, 0.03, 0.1 and 0.3 in the folds
_SIDES_SHRINKAGE: Final = 0.03  # best of 0.03, 0.1, 0.3 and 0.6
_COMPONENTS: Final = 20
_SCALE: Final = 0.997  # quantile of frontal chests that is strangeness 1
_WORKED_ON: Final = 256  # pixels a side; thumbnails have 24

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """A film of an adult. patient: whose, or the file's name where nobody says."""

    file: str
    patient: str
    film: Pixels


def adults(folder: Path) -> Iterator[Sample]:
    """The frontal films of adults of `images/manifest.csv`; where no age is told the collection decides."""
    with (folder / "images" / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if not is_adult(row):
                continue
            with Image.open(folder / row["file"]) as picture:
                if picture.mode.startswith(("I", "F")):
                    raise ValueError(f"{row['file']} has more than 8 bits")
                film = np.asarray(picture.convert("L"))
            yield Sample(row["file"], row["patient"] or row["file"], film)


def is_adult(row: dict[str, str]) -> bool:
    """By the manifest: an age of 18 or more, or a view that is not said to be of a child."""
    return float(row["age"]) >= 18 if row["age"] else "pediatric" not in row["view"]


def fit(samples: Sequence[Sample], chance: np.random.Generator) -> Model:
    """Everything from the same films; `chance` moves and turns them."""
    chests, poses, labels, sides = [], [], [], []
    for sample in samples:
        for variant in _variants(_reduced(sample.film), chance):
            chests.append(thumbnail(variant).ravel())
            sides.append(left_and_right(variant))
            either = transforms.mirrored(variant) if chance.random() < 0.5 else variant
            for number, turn in enumerate(_turns(chance)):
                poses.append(thumbnail(turn(either)).ravel())
                labels.append(number)
    weights, bias = _discriminant(np.array(poses), np.array(labels))
    mean, axes, deviations = _principal(np.array(chests))
    one = np.ones(1)
    model = Model(weights, bias, mean, axes, deviations, _side_weights(np.array(sides)), 0 * one, one, one)
    return _scaled(model, np.array(chests))


def _turns(chance: np.random.Generator) -> tuple[Callable[[Pixels], Pixels], ...]:
    """In the order of POSES."""
    named = (transforms.TRANSFORMS[name] for name in POSES[1:-1])
    return (lambda film: film, *named, lambda film: _part(film, chance))


def _part(film: Pixels, chance: np.random.Generator) -> Pixels:
    """Half of a film, or a cut-out of a third to two thirds of its sides."""
    rows, columns = film.shape
    kind = chance.integers(5)
    if kind < 4:
        half = (film[: rows // 2], film[rows // 2 :], film[:, : columns // 2], film[:, columns // 2 :])[kind]
        return np.ascontiguousarray(half)
    share = chance.uniform(0.35, 0.65)
    height, width = int(rows * share), int(columns * share)
    top, left = chance.integers(rows - height), chance.integers(columns - width)
    return np.ascontiguousarray(film[top : top + height, left : left + width])


def _variants(film: Pixels, chance: np.random.Generator) -> Iterator[Pixels]:
    yield film
    rows, columns = film.shape
    for _ in range(_VARIANTS):
        angle, scale = np.deg2rad(chance.uniform(-7, 7)), chance.uniform(0.9, 1.1)
        across, along = chance.uniform(-0.06, 0.06, 2) * (columns, rows)
        cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
        x, y = columns / 2, rows / 2
        move = (cosine, sine, x - cosine * x - sine * y + across, -sine, cosine, y + sine * x - cosine * y + along)
        picture = Image.fromarray(film).transform(
            (columns, rows), Image.Transform.AFFINE, move, Image.Resampling.BILINEAR
        )
        curve = (np.arange(256) / 255) ** chance.uniform(0.7, 1.4) * 255
        yield np.rint(curve).astype(np.uint8)[np.asarray(picture)]


def _reduced(film: Pixels) -> Pixels:
    picture = Image.fromarray(film)
    picture.thumbnail((_WORKED_ON, _WORKED_ON), Image.Resampling.BOX)
    return np.asarray(picture)


def _discriminant(values: Floats, labels: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Linear discriminant analysis with one covariance, shrunken to a ball (Friedman 1989)."""
    means = np.array([values[labels == label].mean(axis=0) for label in range(len(POSES))])
    weights = np.linalg.solve(_shrunken(values - means[labels], _POSE_SHRINKAGE), means.T)
    return weights, -0.5 * (means.T * weights).sum(axis=0)


def _side_weights(values: Floats) -> Floats:
    """The same for a film against its mirror image, whose values have the other sign."""
    mean = values.mean(axis=0)
    return np.asarray(np.linalg.solve(_shrunken(values - mean, _SIDES_SHRINKAGE), mean))


def _shrunken(deviations: Floats, shrinkage: float) -> Floats:
    covariance = deviations.T @ deviations / len(deviations)
    ball = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return np.asarray((1 - shrinkage) * covariance + shrinkage * ball)


def _principal(values: Floats) -> tuple[Floats, Floats, Floats]:
    mean = values.mean(axis=0)
    variances, axes = np.linalg.eigh((values - mean).T @ (values - mean) / len(values))
    return mean, axes[:, : -_COMPONENTS - 1 : -1].T, np.sqrt(variances[: -_COMPONENTS - 1 : -1])


def _scaled(model: Model, chests: Floats) -> Model:
    off = chests - model.mean
    along = off @ model.axes.T
    residual = np.quantile(((off - along @ model.axes) ** 2).mean(axis=1), _SCALE, keepdims=True)
    distance = np.quantile(((along / model.deviations) ** 2).mean(axis=1), _SCALE, keepdims=True)
    return replace(model, residual=np.atleast_1d(residual), distance=np.atleast_1d(distance))


def folds(samples: Sequence[Sample], chance: np.random.Generator) -> Iterator[tuple[list[Sample], list[Sample]]]:
    """Five times who is fitted to and who is tried: no patient is in both."""
    patients = sorted({sample.patient for sample in samples})
    fold = dict(zip(patients, chance.permutation(len(patients)) % _FOLDS, strict=True))
    for number in range(_FOLDS):
        yield (
            [sample for sample in samples if fold[sample.patient] != number],
            [sample for sample in samples if fold[sample.patient] == number],
        )


def cross_validated(samples: Sequence[Sample], seed: int) -> Iterator[tuple[Sample, str, Impression]]:
    """Each film as it is and in every transformation, measured by a model that has not seen its patient."""
    for fitted, tried in folds(samples, np.random.default_rng(seed)):
        model = fit(fitted, np.random.default_rng(seed))
        for sample in tried:
            yield sample, SOUND, measure(sample.film, model)
            for name, transform in transforms.TRANSFORMS.items():
                yield sample, name, measure(transform(sample.film), model)


def main(folder: Path) -> None:
    """Fit, print what thresholds can be read off, and write the file with what was measured in the folds."""
    samples = list(adults(folder))
    found = list(cross_validated(samples, _SEED))
    for number in ("margin", "sides", "symmetry", "strangeness", "clipped", "lettering"):
        sound = [getattr(seen, number) for _, kind, seen in found if kind == SOUND]
        marks = np.quantile(sound, _MARKS)
        print(number, "of sound films:", " ".join(f"{mark:.3f}" for mark in marks))  # noqa: T201 -- what it is for
    origin = {
        "command": "python -m agent.imaging.fitting FOLDER",
        "films": len(samples),
        "patients": len({sample.patient for sample in samples}),
        "seed": _SEED,
        "thresholds": dict(THRESHOLDS),
        "folds": verdicts((kind, seen) for _, kind, seen in found),
    }
    model = fit(samples, np.random.default_rng(_SEED))
    FILE.write_text(as_text(model, origin), encoding="utf-8")


def verdicts(found: Iterable[tuple[str, Impression]]) -> dict[str, dict[str, int]]:
    """Films by kind and by the code of their verdict; `read` where nothing speaks against one."""
    counted: dict[str, Counter[str]] = {}
    for kind, seen in found:
        verdict = judge_picture(seen)
        counted.setdefault(kind, Counter())[verdict.code if verdict else "read"] += 1
    return {kind: dict(sorted(codes.items())) for kind, codes in counted.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
