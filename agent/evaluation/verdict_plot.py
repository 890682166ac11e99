"""The picture of a reader study: grades of both sources, and the success with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from agent.evaluation.acceptability import Row
from agent.evaluation.anchors import ACCEPTABLE
from agent.evaluation.verdicts import NAMES, Verdicts
from reports.grading.tables import Grade

# Ordered by lightness as well: legible without colors.
_COLORS: Final = MappingProxyType({Grade.A: "#1b6e3c", Grade.B: "#8fc49a", Grade.C: "#f2c879", Grade.D: "#b4452f"})
_LINES: Final = (("#333333", ":"), ("#333333", "--"))


def draw(verdicts: Verdicts, png: Path, svg: Path) -> None:
    """A bar for each rater and source; the published shares are lines."""
    canvas = Canvas(figsize=(9, 1.9 + 0.5 * len(verdicts.rows)), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    for at, row in enumerate(verdicts.rows):
        _bar(axes, at, row)
    for (name, value), (color, style) in zip(ACCEPTABLE.items(), _LINES, strict=True):
        axes.axvline(100 * value, color=color, linestyle=style, linewidth=1.2, label=f"published: {name} {value:.1%}")
    for grade, color in _COLORS.items():
        axes.barh([0], [0], color=color, label=grade.value)
    axes.plot([], [], color="black", marker="o", markerfacecolor="white", label="A or B, 95 % interval")
    axes.set_yticks(
        range(len(verdicts.rows)), [f"{row.rater}\n{NAMES[row.source]}" for row in verdicts.rows], fontsize=8
    )
    axes.set_ylim(len(verdicts.rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel(_axis(verdicts))
    canvas.legend(loc="outside upper left", ncols=4, fontsize=8)
    canvas.savefig(png, dpi=130, metadata={"Software": "wetread"})
    with mpl.rc_context({"svg.hashsalt": "wetread"}):
        canvas.savefig(svg, format="svg", metadata={"Date": None, "Creator": "wetread"})


def _axis(verdicts: Verdicts) -> str:
    preliminary = "; preliminary" if verdicts.unfinished else ""
    return f"% of graded reports ({verdicts.films} films{preliminary})"


def _bar(axes: Axes, at: int, row: Row) -> None:
    left = 0.0
    for grade in Grade:
        width = 100 * row.shares[grade].value if row.graded else 0.0
        axes.barh([at], [width], left=left, height=0.6, color=_COLORS[grade])
        if width >= 6:
            color = "white" if grade in {Grade.A, Grade.D} else "black"
            axes.text(left + 2, at - 0.16, f"{grade.value} {row.counts[grade]}", va="center", fontsize=8, color=color)
        left += width
    _whisker(axes, at + 0.14, (row.success.low, row.success.value, row.success.high))


def _whisker(axes: Axes, at: float, bounds: Sequence[float]) -> None:
    if any(math.isnan(bound) for bound in bounds):
        return
    low, value, high = (100 * bound for bound in bounds)
    axes.plot([low, high], [at, at], color="black", linewidth=1.5)
    axes.plot([value], [at], marker="o", markersize=5, color="black", markerfacecolor="white")
