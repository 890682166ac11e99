"""Drawings of the page of quality, as SVG: no script, colors by class, and a table below says the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from markupsafe import Markup

from reports.quality import PAPER_HUMAN, PAPER_MODEL, Outcome
from reports.signoff.tables import Verdict

_WIDTH: Final = 960
_LEFT: Final = 48
_RIGHT: Final = 150  # room for the names of the lines
_TOP: Final = 16
_BOTTOM: Final = 40
_LINE: Final = 14  # of words below each other
_MOST_NAMES: Final = 16  # below the columns, so that they do not run into each other


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where numbers lie on the drawing. top: the number at the upper edge."""

    columns: int
    height: int
    top: float

    def x(self, column: float) -> float:
        return _LEFT + (column + 0.5) * self.step

    def y(self, value: float) -> float:
        share = min(max(value / self.top, 0.0), 1.0)
        return _TOP + (self.height - _TOP - _BOTTOM) * (1 - share)

    @property
    def step(self) -> float:
        return (_WIDTH - _LEFT - _RIGHT) / max(self.columns, 1)

    @property
    def bar(self) -> float:
        return min(self.step * 0.7, 48)


def verdicts(weeks: Sequence[Outcome]) -> Markup:
    """A column for each week, cut by verdict; the success with its interval; the lines of the paper."""
    frame = _Frame(len(weeks), 300, 1.0)
    parts = [*_grid(frame, [0, 0.25, 0.5, 0.75, 1.0], lambda value: f"{value:.0%}"), *_names(frame, weeks)]
    for column, week in enumerate(weeks):
        parts += _column(frame, column, week)
    for value, words in ((PAPER_HUMAN, "84.0 % people, paper"), (PAPER_MODEL, "72.7 % model, paper")):
        parts += _reference(frame, value, words)
    for column, week in enumerate(weeks):
        parts += _whisker(frame, column, week)
    return _drawing(frame, "What became of the drafts, by week; the table below has the numbers", parts)


def times(weeks: Sequence[Outcome]) -> Markup:
    """Minutes from draft to decision, by week: median, and nine of ten."""
    minutes = [(week.deciding.median / 60, week.deciding.ninth / 60) for week in weeks]
    highest = max([ninth for _, ninth in minutes if not math.isnan(ninth)], default=1.0)
    frame = _Frame(len(weeks), 220, _round_up(highest))
    marks = [frame.top * part / 4 for part in range(5)]
    parts = [*_grid(frame, marks, lambda value: f"{value:g}"), *_names(frame, weeks)]
    known = [pair for pair in minutes if not math.isnan(pair[1])]
    apart = frame.y(known[-1][0]) - frame.y(known[-1][1]) if known else _LINE  # the names of the lines, at their ends
    parts += _line(frame, [median for median, _ in minutes], "median", "first")
    parts += _line(frame, [ninth for _, ninth in minutes], "nine of ten", "second", lift=max(_LINE - apart, 0))
    return _drawing(frame, "Minutes from draft to decision, by week; the table below has the numbers", parts)


def _column(frame: _Frame, column: int, week: Outcome) -> Iterator[str]:
    left, below = frame.x(column) - frame.bar / 2, 0.0
    for verdict in Verdict:
        part = week.verdicts[verdict]
        if not part.count:
            continue
        top, bottom = frame.y(below + part.value), frame.y(below)
        words = f"{week.name}: {verdict.value} {part.count} of {part.of}"
        yield (
            f'<rect class="v-{verdict.value}" x="{left:.1f}" y="{top:.1f}" width="{frame.bar:.1f}" '
            f'height="{bottom - top:.1f}"><title>{escape(words)}</title></rect>'
        )
        below += part.value


def _whisker(frame: _Frame, column: int, week: Outcome) -> Iterator[str]:
    if not week.drafts:
        return
    x, success = frame.x(column), week.success
    low, high, at = frame.y(success.low), frame.y(success.high), frame.y(success.value)
    words = f"{week.name}: success {success.value:.0%}, interval {success.low:.0%} to {success.high:.0%}"
    ends = "".join(f"M{x - 5:.1f} {y:.1f}h10" for y in (low, high))
    yield f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}{ends}"/>'
    kind = "point few" if week.few else "point"
    yield f'<circle class="{kind}" cx="{x:.1f}" cy="{at:.1f}" r="5"><title>{escape(words)}</title></circle>'


def _reference(frame: _Frame, value: float, words: str) -> Iterator[str]:
    y, right = frame.y(value), _WIDTH - _RIGHT
    yield f'<path class="reference" d="M{_LEFT} {y:.1f}H{right}"/>'
    yield f'<text class="label" x="{right + 6}" y="{y + 4:.1f}">{escape(words)}</text>'


def _line(frame: _Frame, values: Sequence[float], name: str, kind: str, *, lift: float = 0) -> Iterator[str]:
    points = [(frame.x(column), frame.y(value)) for column, value in enumerate(values) if not math.isnan(value)]
    if not points:
        return
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    yield f'<path class="line {kind}" d="M{path}"/>'
    for x, y in points:
        yield f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    x, y = points[-1]
    yield f'<text class="label" x="{max(x + 8, _WIDTH - _RIGHT + 6):.1f}" y="{y + 4 - lift:.1f}">{escape(name)}</text>'


def _grid(frame: _Frame, values: Sequence[float], words: object) -> Iterator[str]:
    assert callable(words)
    for value in values:
        y = frame.y(value)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text class="label end" x="{_LEFT - 6}" y="{y + 4:.1f}">{escape(str(words(value)))}</text>'


def _names(frame: _Frame, weeks: Sequence[Outcome]) -> Iterator[str]:
    every = -(-len(weeks) // _MOST_NAMES) or 1
    for column in range(0, len(weeks), every):
        week = weeks[column]
        x, y, name = frame.x(column), frame.height - _BOTTOM + 16, week.name.partition("-")[2] or week.name
        yield f'<text class="label middle" x="{x:.1f}" y="{y}">{escape(name)}</text>'
        yield f'<text class="label middle" x="{x:.1f}" y="{y + 15}">n={week.drafts}</text>'


def _drawing(frame: _Frame, words: str, parts: Sequence[str]) -> Markup:
    head = f'<svg class="plot" role="img" aria-label="{escape(words)}" viewBox="0 0 {_WIDTH} {frame.height}">'
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704  every text in it is escaped above


def _round_up(value: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 0.1)))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value)
