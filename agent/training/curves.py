"""The course of a training run as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw(history: Sequence[Mapping[str, float]], title: str, path: Path) -> None:
    """Loss of the training and of the validation films over steps. history: the trainer's own log."""
    canvas = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    for key, name, mark in (("loss", "training", ""), ("eval_loss", "validation", "o")):
        points = [(row["step"], row[key]) for row in history if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, marker=mark, linewidth=1.2)
    axes.set(xlabel="step", ylabel="loss", title=title)
    axes.grid(linewidth=0.3)
    if axes.lines:
        axes.legend()
    else:  # shorter than what is logged
        axes.text(0.5, 0.5, "no step was logged", transform=axes.transAxes, ha="center")
    canvas.savefig(path, dpi=120, metadata={"Software": "wetread"})
