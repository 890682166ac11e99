"""The result of a reader study as Markdown for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import Any, Final

from agent.evaluation.acceptability import GRADES, Row
from agent.evaluation.agreement import Figure
from agent.evaluation.anchors import ACCEPTABLE
from agent.evaluation.packing import SOURCES
from agent.evaluation.verdicts import NAMES, PAPER, Verdicts
from dicom_node.counted import counted
from reports.grading.tables import What

_FEW: Final = 30  # patients
_ACTS: Final = MappingProxyType(
    {
        What.REMOVED: "**taken out**: the rater {name} on {day}, with {graded} grades that are not counted",
        What.REOPENED: "**opened again**: the rater {name}, who had finished, could change grades from {day} on",
        What.SHOWN: "**shown before the last grade**: the result of {graded} grades, on {day}",
    }
)
_GRADES: Final = (
    "A: acceptable as it is. B: after minor revision. C: major revision. D: unacceptable. Success: A or B. Every share "
    "has its 95 % interval: Wilson's where each patient has one grade; else of 1,000 resamples of the patients, "
    "each with all films and grades; and Wilson's of as many grades as there are patients where all patients have the "
    "same share, of which no resample can differ. Reports without a grade are in no share."
)
_DIFFERENCE: Final = (
    "Success of AI drafts less that of original reports, in percentage points, of films with both graded; "
    "below 0 the originals are better. A pair is both grades of a film by one rater: all raters together have more "
    "pairs than films. Intervals by resampling patients; where all patients differ by the same, as far to both sides "
    "as Wilson's bound for none of so many patients."
)
_KAPPA: Final = (
    "Cohen's kappa of reports that both graded: of the four grades, of the grades weighted by their distance, and of "
    "success or not. –: chance alone explains all, as where everybody always gave one grade."
)
_NOT_HIDDEN: Final = (
    "Length and wording may give a source away, and who has seen a film knows it the second time. What may tell was "
    "counted by patterns, and is not all."
)


def markdown(verdicts: Verdicts, plots: Sequence[str] = ()) -> str:
    """The whole result. plots: names of pictures beside the file."""
    lines = [f"# {verdicts.title}: how acceptable the reports are", ""]
    if verdicts.unfinished:
        told = ", ".join(f"{name} ({done} of {of} graded)" for name, (done, of) in verdicts.unfinished.items())
        lines += [f"**Preliminary. Not everybody has finished: {told}.**", ""]
    lines += [*_heading(verdicts), ""]
    names = ("rater", "reports", *GRADES, "no grade", "success", "median s")
    lines += _section("Acceptability", _GRADES, names, map(_row, verdicts.rows))
    differences = ((one.rater, one.films, one.pairs, _points(one.figure)) for one in verdicts.differences)
    lines += _section("Difference", _DIFFERENCE, ("rater", "films", "pairs", "AI drafts - originals"), differences)
    published = ((name, f"{100 * value:.1f} %") for name, value in ACCEPTABLE.items())
    lines += _section("Published, not measured here", PAPER, ("reports", "success"), published)
    lines += _agreement(verdicts)
    names = ("reports", "median words", "success, film new", "success, film seen before", "texts that may tell")
    lines += _section("What was not hidden", _NOT_HIDDEN, names, _not_hidden(verdicts))
    lines += [*_stock(verdicts), ""]
    lines += [f"![{name}]({name})" for name in plots]
    return "\n".join(lines).rstrip() + "\n"


def _heading(verdicts: Verdicts) -> Iterator[str]:
    yield f"- films: {verdicts.films}, each with an AI draft and an original report"
    yield f"- patients: {verdicts.clusters}; a film without one in the manifest counts as a patient of its own"
    yield f"- raters: {verdicts.raters}"
    yield from (f"- {name}: {value}" for name, value in verdicts.who.items())
    yield f"- made: {verdicts.made_at}, seed {verdicts.seed}"
    yield from (
        f"- {_ACTS[What(what)].format(name=name, graded=graded, day=day)}" for what, name, graded, day in verdicts.acts
    )
    yield from (f"- **left out**: {counted(number, 'film')} {reason}" for reason, number in verdicts.left_out.items())
    yield ""
    yield "Research software: these figures speak of these films and raters, and of no others."
    if verdicts.clusters < _FEW:
        yield f"Fewer than {_FEW} patients: the figures say little, and resampled intervals are too narrow."
    if any("AI text" in reason for reason in verdicts.left_out):
        yield "Films without an AI text are graded by nobody; in use they are failures of the reader."


def _row(row: Row) -> tuple[str, ...]:
    cells = (f"{row.counts[grade]}: {_percent(row.shares[grade])}" for grade in GRADES)
    seconds = "–" if math.isnan(row.median_seconds) else f"{row.median_seconds:.0f}"
    return (row.rater, NAMES[row.source], *cells, str(row.missing), f"**{_percent(row.success)}**", seconds)


def _agreement(verdicts: Verdicts) -> list[str]:
    title = "Agreement between raters"
    if not verdicts.agreement:
        return [f"## {title}", "", "No two raters have graded the same report.", ""]
    names = ("raters", "reports", "number", "same grade", "kappa", "linear", "quadratic", "success")
    lines = (
        (
            one.raters,
            NAMES.get(one.source, "all"),
            one.items,
            _percent(one.same),
            *map(_figure, (one.unweighted, one.linear, one.quadratic, one.success)),
        )
        for one in verdicts.agreement
    )
    return _section(title, _KAPPA, names, lines)


def _not_hidden(verdicts: Verdicts) -> Iterator[tuple[str, ...]]:
    for source in SOURCES:
        again = verdicts.again[source]
        tells = "; ".join(f"{number} {what}" for what, number in verdicts.tells[source].items())
        words = f"{verdicts.words[source]:.0f}"
        yield NAMES[source], words, _percent(again["new"]), _percent(again["again"]), tells or "none"


def _stock(verdicts: Verdicts) -> Iterator[str]:
    for one in verdicts.stock:
        shares = ", ".join(f"{100 * share:.0f} % of {NAMES[source]}" for source, share in one.shares.items())
        yield f"- **stock sentence**: “{one.sentence}” stands in {shares}: whoever notices knows whose they are"
    yield from (f"- taken out of all texts: “{sentence}”" for sentence in verdicts.dropped)


def _section(title: str, words: str, names: Sequence[str], lines: Iterable[Sequence[Any]]) -> list[str]:
    table = [f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines]
    return [f"## {title}", "", words, "", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", *table, ""]


def _percent(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "–"
    return f"{100 * figure.value:.1f} % ({100 * figure.low:.1f}–{100 * figure.high:.1f})"


def _points(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "–"
    low, high = (f"{100 * bound:+.1f}" for bound in (figure.low, figure.high))
    return f"{100 * figure.value:+.1f} ({low} to {high})"


def _figure(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "–"
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"
