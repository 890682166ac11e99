"""An evaluation as Markdown for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any, Final

from agent.evaluation.agreement import LEVEL, MEASURES, Figure, Protocol, Table
from agent.evaluation.anchors import ANCHORS
from agent.evaluation.judging import LEAST_IN_GROUP, Evaluation, cautions
from agent.evaluation.overlap import Overlap
from reports.findings.labels import NO_FINDING

_FEW: Final = 30  # positives; below it an interval is wide and a figure is noise
_SHOWN: Final = 20  # lines of the manifest
_INTERVALS: Final = (
    "Where resampling gives an interval without width, as of 1.00, sensitivity, specificity, precision and accuracy "
    "have Wilson's interval of the number of patients that count for them, and F1 and means have none: (–). A finding "
    "without a positive film has no F1 and is not in its mean."
)
_PROTOCOLS: Final = MappingProxyType(
    {
        Protocol.DEFINITE: (
            "Definite statements",
            "A film counts for a finding only where its label and the text both say present or absent, as in the "
            "paper. What the text does not mention is left out: silence costs nothing here.",
        ),
        Protocol.ALL: (
            "All films",
            "Every film counts for every finding: what is not mentioned is negative. So a reader is in use.",
        ),
    }
)


def markdown(evaluation: Evaluation, heading: Mapping[str, str], plots: Sequence[str] = ()) -> str:
    """The whole report. heading: what was judged, in the order shown. plots: names of pictures beside the file."""
    lines = ["# How good the reader is here", ""]
    lines += [f"- {name}: {value}" for name, value in heading.items()]
    source = "the reports of the manifest, by our finding extractor" if evaluation.from_reports else "the manifest"
    counts = evaluation.settings
    lines += [
        f"- labels from: {source}; uncertain counts as {counts.uncertain_counts_as} where all films count",
        f"- intervals: {LEVEL} %, by resampling {_units(evaluation)} {counts.replicates} times, seed {counts.seed}",
        "",
    ]
    lines += ["Research software: these figures speak of these films, and of no others.", ""]
    lines += [line for caution in cautions(evaluation) for line in (f"**{caution}**", "")]
    if evaluation.troubles:
        lines += ["Films without a text, which count as a text that mentions nothing:", ""]
        rows = ((why, number, _some(evaluation.without_text[why])) for why, number in evaluation.troubles.items())
        lines += [*_table(("reason", "films", "lines of the manifest"), rows), ""]
    for table in evaluation.tables:
        lines += [*_section(table, evaluation.without_patient), ""]
    lines += [*_ranking(evaluation), *_overlap(evaluation.overlap), *_subgroups(evaluation), *_anchors()]
    lines += [f"![{name}]({name})" for name in plots]
    return "\n".join(lines).rstrip() + "\n"


def plain(value: Any) -> Any:
    """The same as JSON takes it: no NaN, no tuples of classes."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


def whole(evaluation: Evaluation, heading: Mapping[str, str]) -> dict[str, Any]:
    """Everything of an evaluation for programs, with the published figures beside it."""
    return {
        "heading": dict(heading),
        "cautions": list(cautions(evaluation)),
        **plain(evaluation),
        "published": plain(ANCHORS),
    }


def _some(lines: Sequence[int]) -> str:
    return ", ".join(map(str, lines[:_SHOWN])) + (", ..." if len(lines) > _SHOWN else "")


def _units(evaluation: Evaluation) -> str:
    return "films" if evaluation.without_patient == evaluation.films else "patients"


def _section(table: Table, without: int) -> Iterator[str]:
    title, words = _PROTOCOLS[table.protocol]
    yield f"## {title}"
    yield ""
    of = "unknown" if without == table.films else table.patients - without
    more = f"; of {without} of them the patient is unknown" if 0 < without < table.films else ""
    yield f"{words} {table.films} films of {of} patients{more}."
    yield ""
    names = ("finding", "positive", "negative", *MEASURES)
    rows: list[tuple[Any, ...]] = [
        (
            _starred(row.label, row.positives),
            row.positives,
            row.negatives,
            *(_shown(row.figures[name]) for name in MEASURES),
        )
        for row in table.rows
    ]
    rows.append(("**macro mean**", "", "", *(_shown(table.macro[name]) for name in MEASURES)))
    rows.append(("**pooled**", "", "", *(_shown(table.pooled[name]) for name in MEASURES)))
    yield from _table(names, rows)
    yield from _few(row.positives for row in table.rows)
    yield ""
    yield _INTERVALS
    if any(row.label == NO_FINDING for row in table.rows):
        yield ""
        yield f"{NO_FINDING} is in no mean: it says the others again. No text denies it in words of its own."


def _starred(label: str, positives: int) -> str:
    return label + (" *" if positives < _FEW else "")


def _few(positives: Iterable[int]) -> Iterator[str]:
    if any(number < _FEW for number in positives):
        yield ""
        yield f"\\* fewer than {_FEW} positive films: read the interval, not the figure."


def _ranking(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.ranked and not evaluation.not_ranked:
        return
    yield "## Ranking by scores"
    yield ""
    yield "Area under the ROC curve; the score is the likelihood of saying a finding less that of denying it."
    yield ""
    rows = [
        (_starred(one.label, one.positives), one.positives, one.negatives, _shown(one.auc)) for one in evaluation.ranked
    ]
    if rows:
        yield from _table(("finding", "positive", "negative", "AUC"), rows)
        yield from _few(one.positives for one in evaluation.ranked)
        yield ""
    for what, labels in evaluation.not_ranked.items():
        yield f"No {what}: {', '.join(labels)}."
        yield ""


def _overlap(overlap: Sequence[Overlap]) -> Iterator[str]:
    if not overlap:
        return
    yield "## Words shared with the reports"
    yield ""
    yield "They depend on sections and preparation: compare them only within one table. A turned negation hardly shows."
    yield ""
    yield from _table(
        ("metric", "value"), ((one.name, one.remark if one.value is None else f"{one.value:.3f}") for one in overlap)
    )
    yield ""


def _subgroups(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.subgroups and not evaluation.left_out:
        return
    yield "## Parts of the films"
    yield ""
    yield "All findings pooled, all films of the part."
    yield ""
    names = ("by", "value", "films", "f1", "sensitivity", "specificity")
    if evaluation.subgroups:
        yield from _table(
            names,
            (
                (one.by, one.value, one.table.films, *(_shown(one.table.pooled[name]) for name in names[3:]))
                for one in evaluation.subgroups
            ),
        )
        yield ""
    if evaluation.left_out:
        small = (
            f"{by} {value} ({films})" for by, values in evaluation.left_out.items() for value, films in values.items()
        )
        yield f"Left out: fewer than {LEAST_IN_GROUP} films: {', '.join(small)}."
        yield ""


def _anchors() -> Iterator[str]:
    yield "## Published figures, not measured here"
    yield ""
    rows = []
    for anchor in ANCHORS:
        figures = "; ".join(f"{label} {_published(figure)}" for label, figure in anchor.findings.items())
        mean = "–" if anchor.mean is None else f"{anchor.mean:.3f}".rstrip("0")
        rows.append((anchor.reader, anchor.films, anchor.protocol, mean, figures, anchor.remark, anchor.source))
    yield from _table(("reader", "films", "protocol", "mean F1", "F1 by finding", "remark", "source"), rows)
    yield ""


def _shown(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "–"
    interval = "–" if math.isnan(figure.low) else f"{figure.low:.2f}–{figure.high:.2f}"
    return f"{figure.value:.2f} ({interval})"


def _published(figure: Figure) -> str:
    """A source may give no interval; ours say so."""
    return _shown(figure).removesuffix(" (–)")


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
