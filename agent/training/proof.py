"""What the demonstration model has learned, beside two models that anybody can fit in a second, in the same folds.

    python -m agent.training.proof FILMS.csv --images FOLDER --runs RUNS --output proof

Every figure is of films of patients that the model which read them had not seen. The linear model is a ridge regression
on 64 x 64 pixels, for each finding with that one of four strengths that is best for it on these very films; the other
knows two numbers of a film, how sharp and how bright it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agent.evaluation import films
from agent.evaluation.agreement import Figure, interval, resample
from agent.evaluation.ranking import area, auc, kappa
from agent.evaluation.readings import FilmReading, read_texts
from agent.imaging.decoder import DecoderProcess
from agent.manifest import Case
from agent.training import demonstration, sentences
from dicom_node.errors import WetreadError
from reports.findings import State, extract

Array = NDArray[np.float64]

TARGETS: Final = ("Edema", "Pleural Effusion", sentences.AP)
ALLOWED: Final = -0.03  # what the lower bound of a difference may be
AGREEMENT: Final = 0.8
_SIDE: Final = 64
_STRENGTHS: Final = (0.3, 1.0, 3.0, 10.0)  # of the mean of the spectrum
_BINS: Final = 10  # of sharpness
_SPOKEN: Final = tuple(
    at for at, name in enumerate(sentences.FINDINGS) if name != sentences.AP
)  # what an extractor reads


@dataclass(frozen=True, slots=True)
class Row:
    """One finding. text: area under the curve of what the reports say, yes or no.

    shuffled: the same of other patients' reports, over many drawings of them.
    """

    finding: str
    positives: int
    model: Figure
    linear: Figure
    two_numbers: Figure
    difference: Figure  # model less linear, paired
    text: Figure | None
    shuffled: Figure | None
    said: float | None  # share of the reports that say it


@dataclass(frozen=True, slots=True)
class FourBits:
    """The same model in nf4. kappa, same: of what its texts say of the findings, with the texts in fp32."""

    kappa: float
    same: float
    areas: Mapping[str, Figure]  # of the scores, for TARGETS


@dataclass(frozen=True, slots=True)
class Proof:
    """All that is shown. any_finding: with films weighted so that sharpness is the same with and without."""

    films: int
    patients: int
    rows: tuple[Row, ...]
    mean_difference: Figure  # of the mean over TARGETS
    kappa: float
    any_finding: Mapping[str, Figure]
    nf4: FourBits | None = None  # None where it was not read so

    def holds(self) -> dict[str, bool]:
        """Which of the aims are reached."""
        by_name = {row.finding: row for row in self.rows}
        return {
            **{f"{name} not worse than linear": by_name[name].difference.low > ALLOWED for name in TARGETS},
            "mean better than linear": self.mean_difference.value > 0,
            "text agrees with scores": self.kappa >= AGREEMENT,
            "text of shuffled films tells nothing": all(
                row.shuffled.low <= 1 / 2 <= row.shuffled.high for row in self.rows if row.shuffled is not None
            ),
        }


def simple_models(cases: Sequence[Case], labels: Array, fold: NDArray[np.intp]) -> tuple[Array, Array, Array]:
    """Scores (films, findings) of the linear model and of the two numbers, and the sharpness of each film."""
    pixels, numbers = _features(cases)
    linear = [_out_of_fold(pixels, labels, fold, strength) for strength in _STRENGTHS]
    ones = np.ones((1, len(cases)))
    best = np.zeros_like(labels)
    for at in range(labels.shape[1]):
        areas = [float(area(scores[:, at], labels[:, at] > 0, ones)[0]) for scores in linear]
        best[:, at] = linear[int(np.argmax(areas))][:, at]
    return best, _out_of_fold(numbers, labels, fold, 0.01), numbers[:, 0]


def _features(cases: Sequence[Case]) -> tuple[Array, Array]:
    pixels, numbers = [], []
    with DecoderProcess() as decoder:
        for case in cases:
            film = films.load(case.image, decoder).pixels
            small = Image.fromarray(film).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
            pixels.append(np.asarray(small, dtype=np.float64).ravel())
            grays = film.astype(np.float64)
            bend = 4 * grays[1:-1, 1:-1] - grays[2:, 1:-1] - grays[:-2, 1:-1] - grays[1:-1, 2:] - grays[1:-1, :-2]
            numbers.append((np.log(bend.var() + 1e-6), grays.mean()))
    return np.array(pixels), np.array(numbers)


def _out_of_fold(features: Array, labels: Array, fold: NDArray[np.intp], strength: float) -> Array:
    scores = np.zeros_like(labels)
    for number in np.unique(fold):
        seen = fold != number
        middle, spread = features[seen].mean(axis=0), features[seen].std(axis=0) + 1e-6
        known, unknown = (features[seen] - middle) / spread, (features[~seen] - middle) / spread
        kernel = known @ known.T
        kernel[np.diag_indices_from(kernel)] += strength * np.trace(kernel) / len(kernel)
        mean = labels[seen].mean(axis=0)
        scores[~seen] = mean + unknown @ (known.T @ np.linalg.solve(kernel, labels[seen] - mean))
    return scores


def prove(
    cases: Sequence[Case],
    readings: Mapping[str, FilmReading],
    fold: NDArray[np.intp],
    *,
    seed: int,
    in_nf4: Mapping[str, FilmReading] | None = None,
) -> Proof:
    """Compare. fold: as the readings were made."""
    found = sentences.FINDINGS
    labels = np.array([[float(demonstration.states_of(case)[name]) for name in found] for case in cases])
    scores, said = _of(cases, readings)
    linear, two, sharp = simple_models(cases, labels, fold)
    patients = [case.patient for case in cases]
    judge = _Judge(patients, seed)
    strangers = _strangers(fold, judge.replicates, seed)
    rows = [
        judge.row(name, labels[:, at] > 0, (scores[:, at], linear[:, at], two[:, at]), said[:, at], strangers)
        for at, name in enumerate(found)
    ]
    aims = [found.index(name) for name in TARGETS]
    whole = judge.difference([(scores[:, at], linear[:, at], labels[:, at] > 0) for at in aims])
    agreement = _agreement(scores, said)
    any_finding = found.index("Pneumonia")
    compared = {"model": scores[:, any_finding], "linear": linear[:, any_finding], "sharpness": sharp}
    positive = labels[:, any_finding] > 0
    equal = {name: judge.equal_sharpness(values, positive, sharp) for name, values in compared.items()}
    nf4 = None if in_nf4 is None else _in_four_bits(judge, labels, said, _of(cases, in_nf4))
    return Proof(len(cases), len(set(patients)), tuple(rows), whole, agreement, equal, nf4)


def _of(cases: Sequence[Case], readings: Mapping[str, FilmReading]) -> tuple[Array, Array]:
    """(films, findings): scores, and what the texts say, 0 or 1."""
    scores = np.array([[readings[case.id].scores[name] for name in sentences.FINDINGS] for case in cases])
    return scores, np.array([_said(readings[case.id].text) for case in cases])


def _in_four_bits(judge: _Judge, labels: Array, said: Array, read: tuple[Array, Array]) -> FourBits:
    scores, other = read
    at = {name: sentences.FINDINGS.index(name) for name in TARGETS}
    areas = {name: judge.area_of(scores[:, column], labels[:, column] > 0) for name, column in at.items()}
    return FourBits(_agreement(said, other), float((said[:, _SPOKEN] == other[:, _SPOKEN]).mean()), areas)


def _agreement(one: Array, other: Array) -> float:
    return kappa(*(list((values[:, _SPOKEN] > 0).ravel()) for values in (one, other)))


class _Judge:
    """Figures whose intervals all come from the same samples of patients."""

    def __init__(self, patients: Sequence[str], seed: int) -> None:
        self._patients, self._seed = patients, seed
        names, at = np.unique(np.array(patients), return_inverse=True)
        self._weights = np.concatenate([np.ones((1, len(patients))), resample(len(names), seed)[:, at]])

    @property
    def replicates(self) -> int:
        """How many samples of patients there are."""
        return len(self._weights) - 1

    def row(
        self,
        name: str,
        truth: NDArray[np.bool_],
        scores: tuple[Array, Array, Array],
        said: Array,
        strangers: NDArray[np.intp],
    ) -> Row:
        """scores: of model, linear model and two numbers. strangers: (replicates, films), whose text each film gets."""
        spoken = name != sentences.AP  # reports name it, but no label of theirs does
        model, linear, two = (self.area_of(one, truth) for one in scores)
        return Row(
            name,
            int(truth.sum()),
            model,
            linear,
            two,
            self.difference([(scores[0], scores[1], truth)]),
            self.area_of(said, truth) if spoken else None,
            self.area_of_strangers(said, truth, strangers) if spoken else None,
            float(said.mean()) if spoken else None,
        )

    def area_of_strangers(self, said: Array, truth: NDArray[np.bool_], strangers: NDArray[np.intp]) -> Figure:
        """Mean and interval over drawings of strangers, each with its own sample of patients.

        One drawing alone says little: of 14 positive films none may get a text that says the finding.
        """
        pairs = zip(strangers, self._weights[1:, np.newaxis], strict=True)
        areas = np.array([float(area(said[order], truth, weights)[0]) for order, weights in pairs])
        return interval(float(np.nanmean(areas)), areas)

    def difference(self, of: Sequence[tuple[Array, Array, NDArray[np.bool_]]]) -> Figure:
        """Mean over findings of the first area less the second, paired."""
        areas = [
            area(one, positive, self._weights) - area(other, positive, self._weights) for one, other, positive in of
        ]
        mean = np.mean(areas, axis=0)
        return interval(float(mean[0]), mean[1:])

    def equal_sharpness(self, scores: Array, positive: NDArray[np.bool_], sharp: Array) -> Figure:
        """The area with negative films weighted to the sharpness of the positive ones."""
        bins = np.searchsorted(np.quantile(sharp, np.linspace(0, 1, _BINS + 1)[1:-1]), sharp)
        weight = np.ones(len(sharp))
        for number in range(_BINS):
            inside = bins == number
            weight[inside & ~positive] = (inside & positive).sum() / max(1, (inside & ~positive).sum())
        found = area(scores, positive, self._weights * weight)
        return interval(float(found[0]), found[1:])

    def area_of(self, scores: Array, truth: NDArray[np.bool_]) -> Figure:
        return auc(list(scores), list(truth), self._patients, seed=self._seed)


def _said(text: str) -> list[float]:
    by_label = extract(text).by_label
    return [float(name in by_label and by_label[name].state is State.PRESENT) for name in sentences.FINDINGS]


def _strangers(fold: NDArray[np.intp], drawings: int, seed: int) -> NDArray[np.intp]:
    """(drawings, films): for each film another one of its fold, of another patient but for rare chance."""
    source, order = np.random.default_rng(seed), np.tile(np.arange(len(fold)), (drawings, 1))
    for number in np.unique(fold):
        inside = np.flatnonzero(fold == number)
        order[:, inside] = source.permuted(np.tile(inside, (drawings, 1)), axis=1)
    return order


def markdown(proof: Proof) -> str:
    """The tables."""
    lines = [
        f"{proof.films} films of {proof.patients} adults. Areas under the ROC curve, 95 % intervals over patients.",
        "",
        "| finding | positive | model | linear, 64 px | two numbers | model - linear | text | text, shuffled | said |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in proof.rows:
        figures = (row.model, row.linear, row.two_numbers, row.difference, row.text, row.shuffled)
        lines.append(f"| {row.finding} | {row.positives} | {' | '.join(map(_cell, figures))} | {_share(row.said)} |")
    lines += [
        "",
        f"- mean of {', '.join(TARGETS)}: model - linear {_cell(proof.mean_difference)}",
        f"- Cohen's kappa of the text's findings and the scores above 0, pooled: {proof.kappa:.3f}",
        "- pneumonia, which is any finding here, at equal sharpness: "
        + ", ".join(f"{name} {_cell(figure)}" for name, figure in proof.any_finding.items()),
        *_four_bits(proof.nf4),
        *(f"- {aim}: {'yes' if reached else 'NO'}" for aim, reached in proof.holds().items()),
    ]
    return "\n".join(lines) + "\n"


def _four_bits(nf4: FourBits | None) -> list[str]:
    if nf4 is None:
        return []
    areas = ", ".join(f"{name} {_cell(figure)}" for name, figure in nf4.areas.items())
    same = f"the texts say the same of a finding as in fp32 in {nf4.same:.1%}, kappa {nf4.kappa:.3f}"
    return [f"- in nf4: {same}; scores: {areas}"]


def _cell(figure: Figure | None) -> str:
    return "" if figure is None else f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Prove what the demonstration model has learned.")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs of the folds")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    readings: dict[str, dict[str, Any]] = {precision: {} for precision in demonstration.READINGS}
    try:
        cases = demonstration.chosen(given.manifest, given.images)
        fold = demonstration.folds(cases, given.folds, demonstration.SEED)
        for number in range(given.folds):
            for precision, name in demonstration.READINGS.items():
                readings[precision] |= read_texts(given.runs / f"fold-{number}" / name)
    except WetreadError as error:
        parser.error(str(error))
    proof = prove(cases, readings["fp32"], fold, seed=demonstration.SEED, in_nf4=readings["nf4"])
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "proof.md").write_text(markdown(proof), encoding="utf-8")
    (given.output / "proof.json").write_text(json.dumps(asdict(proof), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(markdown(proof))
    return 0 if all(proof.holds().values()) else 1


if __name__ == "__main__":
    sys.exit(main())
