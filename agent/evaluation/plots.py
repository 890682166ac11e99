"""Pictures of an evaluation, as PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from agent.evaluation.agreement import Figure, Judged, Protocol
from agent.evaluation.anchors import ANCHORS
from agent.evaluation.judging import Evaluation
from reports.findings import State

_COLORS: Final = MappingProxyType({Protocol.DEFINITE: "#1f77b4", Protocol.ALL: "#d95f02"})
_NAMES: Final = MappingProxyType({Protocol.DEFINITE: "definite statements", Protocol.ALL: "all films"})
_PUBLISHED: Final = "#777777"


def draw_f1(evaluation: Evaluation, path: Path) -> None:
    """F1 of every finding with its interval, both protocols, and the paper's own figures in gray."""
    labels = [row.label for row in evaluation.tables[-1].rows]  # of all films: one more than of definite statements
    canvas, axes = _canvas(9, 1.2 + 0.45 * len(labels))
    for table, shift in zip(evaluation.tables, (-0.22, 0.0), strict=True):
        axes.plot([], [], marker="o", color=_COLORS[table.protocol], label=f"this run, {_NAMES[table.protocol]}")
        for row in table.rows:
            _bar(axes, row.figures["f1"], labels.index(row.label) + shift, _COLORS[table.protocol])
    published = ANCHORS[0]
    name = f"published: {published.reader}, {published.films}, definite statements"
    axes.plot([], [], marker="o", color=_PUBLISHED, label=name)
    for label, figure in published.findings.items():
        if label in labels:
            _bar(axes, figure, labels.index(label) + 0.22, _PUBLISHED)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.grid(axis="x", linewidth=0.4)
    axes.set_xlabel("F1, 95 % interval; no mark: no figure")
    canvas.legend(loc="outside upper left", fontsize=8)
    _save(canvas, path)


def draw_roc(films: Sequence[Judged], scores: Mapping[str, Mapping[str, float]], path: Path) -> bool:
    """ROC curves of all findings that have scores and both classes. Returns whether there was anything to draw."""
    canvas, axes = _canvas(6, 6)
    drawn = False
    for label in sorted({label for found in scores.values() for label in found}):
        part = [
            (scores[film.id][label], film.reference[label] is State.PRESENT)
            for film in films
            if label in scores.get(film.id, {}) and film.reference.get(label) in {State.PRESENT, State.ABSENT}
        ]
        truth = np.array([positive for _, positive in sorted(part, key=lambda one: -one[0])])
        if truth.size and truth.any() and not truth.all():
            sensitivity, fall_out = np.cumsum(truth) / truth.sum(), np.cumsum(~truth) / (~truth).sum()
            axes.plot([0, *fall_out], [0, *sensitivity], label=f"{label} ({truth.sum()} positive)")
            drawn = True
    axes.plot([0, 1], [0, 1], color=_PUBLISHED, linewidth=0.8)
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    if drawn:
        axes.legend(loc="lower right", fontsize=7)
        _save(canvas, path)
    return drawn


def _canvas(width: float, height: float) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(canvas)
    return canvas, canvas.add_subplot()


def _bar(axes: Axes, figure: Figure, at: float, color: str) -> None:
    if math.isnan(figure.value):
        return
    low, high = (figure.value if math.isnan(bound) else bound for bound in (figure.low, figure.high))
    axes.plot([low, high], [at, at], color=color, linewidth=1.5, clip_on=False)
    axes.plot([figure.value], [at], marker="o", markersize=4, color=color, linestyle="", clip_on=False)


def _save(canvas: Canvas, path: Path) -> None:
    canvas.savefig(path, dpi=130, metadata={"Software": "wetread"})
