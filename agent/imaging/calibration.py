"""A site's own test for lateral films: fitted to its own films by `wetread gate calibrate`, kept in a small JSON file.

The shipped test asks only whether left and right of a film are alike, since no lateral film was there to fit to. A site
has thousands. The test is a linear one on the numbers of an `impression`, so the file holds no picture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agent.imaging.impression import Impression
from dicom_node.errors import ConfigurationError, WetreadError

LEAST_FILMS: Final = 50  # of each kind; fewer cannot show a rate of a few percent
HELD_OF_FRONTAL: Final = 0.01  # what a site loses of its frontal films, to a person's look
_LEAST_FOUND: Final = 0.5  # of the laterals, else the file would only pretend
_SHRINKAGE: Final = 0.1  # of the covariance; a site has few films
_FOLDS: Final = 5
_FORMAT: Final = "lateral-calibration-1"

Floats = NDArray[np.float64]


class CalibrationRefused(WetreadError):
    """The films do not give a test that would help; the message says why."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A film is suspected where weights . features > threshold.

    found, held: shares of laterals and of frontal films above the threshold, in films of patients not fitted to.
    """

    weights: tuple[float, ...]
    threshold: float
    frontal: int
    lateral: int
    found: float
    held: float

    def suspects(self, seen: Impression) -> bool:
        """Whether a film may be a lateral one."""
        return float(features(seen) @ np.array(self.weights)) > self.threshold


def features(seen: Impression) -> Floats:
    """(23,): the numbers that the test uses; none of them is the size or the shape of the film."""
    return np.array([seen.symmetry, seen.margin / 10, seen.sides / 2, *seen.components])


def fit(frontal: Sequence[tuple[str, Impression]], lateral: Sequence[tuple[str, Impression]]) -> Calibration:
    """Fit to films with the name of their patient (or file). Raises CalibrationRefused."""
    for name, films in (("frontal", frontal), ("lateral", lateral)):
        if len(films) < LEAST_FILMS:
            raise CalibrationRefused(f"{len(films)} {name} films are too few: at least {LEAST_FILMS} are needed")
    values = np.array([features(seen) for _, seen in (*frontal, *lateral)])
    labels = np.array([0] * len(frontal) + [1] * len(lateral))
    places = {name: place for place, name in enumerate(sorted({name for name, _ in (*frontal, *lateral)}))}
    fold = np.array([places[name] % _FOLDS for name, _ in (*frontal, *lateral)])
    if any(set(labels[fold != number]) != {0, 1} for number in range(_FOLDS)):
        raise CalibrationRefused("the films are of too few patients: at least five with each kind are needed")
    scores = np.zeros(len(labels))
    for number in range(_FOLDS):
        weights, middle = _direction(values[fold != number], labels[fold != number])
        scores[fold == number] = values[fold == number] @ weights - middle
    margin = float(np.quantile(scores[labels == 0], 1 - HELD_OF_FRONTAL, method="higher"))
    found, held = float((scores[labels == 1] > margin).mean()), float((scores[labels == 0] > margin).mean())
    if found < _LEAST_FOUND:
        raise CalibrationRefused(
            f"the test would find only {found:.0%} of the laterals while it holds {held:.1%} of the frontal films: "
            "are the folders mixed up?"
        )
    weights, middle = _direction(values, labels)
    return Calibration(tuple(weights.tolist()), middle + margin, len(frontal), len(lateral), found, held)


def _direction(values: Floats, labels: NDArray[np.int64]) -> tuple[Floats, float]:
    """Fisher's discriminant, and its value half-way between the means."""
    means = [values[labels == label].mean(axis=0) for label in (0, 1)]
    deviations = values - np.array(means)[labels]
    covariance = deviations.T @ deviations / len(deviations)
    scale = np.diag(np.diag(covariance) + 1e-9)
    weights = np.linalg.solve((1 - _SHRINKAGE) * covariance + _SHRINKAGE * scale, means[1] - means[0])
    return weights, float(weights @ (means[0] + means[1])) / 2


def write(calibration: Calibration, file: Path) -> None:
    """Write the file that `imaging.gate_calibration` names."""
    file.write_text(json.dumps({"format": _FORMAT, **asdict(calibration)}, indent=1) + "\n", encoding="utf-8")


def read(file: Path) -> Calibration:
    """Raises ConfigurationError where the file is absent or is no calibration of this version."""
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if found.pop("format") != _FORMAT:
            raise ValueError("another format")
        calibration = Calibration(**{**found, "weights": tuple(float(weight) for weight in found["weights"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{file} (imaging.gate_calibration) is no calibration of this version ({type(error).__name__}); make it "
            "with: wetread gate calibrate FOLDER"
        ) from error
    if len(calibration.weights) != features(_NOTHING).size:
        raise ConfigurationError(f"{file} is of another version; make it with: wetread gate calibrate FOLDER")
    return calibration


_NOTHING: Final = Impression(1, 1, "upright", 0.0, 0.0, 0.0, 0.0, 0.0, 0, (0.0,) * 20)
