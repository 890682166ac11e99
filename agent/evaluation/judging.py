"""From films, labels and texts to all tables of one evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from agent.evaluation.agreement import PAPER, Figure, Judged, Protocol, Table, tabulate, with_spread
from agent.evaluation.overlap import Overlap
from agent.evaluation.ranking import auc
from agent.evaluation.readings import FilmReading
from agent.manifest import Case, ManifestError
from reports.findings import LABELS, State, extract
from reports.findings.labels import NO_FINDING

Source: TypeAlias = Literal["auto", "labels", "reports"]

_AGES: Final = ((18, "0-17"), (40, "18-39"), (65, "40-64"), (130, "65 and more"))
LEAST_IN_GROUP: Final = 10  # films; below it a figure says nothing
LEAST_PATIENTS: Final = 30  # below it intervals by resampling are too narrow


@dataclass(frozen=True, slots=True)
class Settings:
    """How an evaluation counts. seed: of the resampling."""

    source: Source = "auto"
    uncertain_counts_as: State = State.ABSENT
    seed: int = 20250601
    replicates: int = 1000


@dataclass(frozen=True, slots=True)
class Ranked:
    """How well scores of a finding rank the films whose label is certain."""

    label: str
    positives: int
    negatives: int
    auc: Figure


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One part of the films."""

    by: str
    value: str
    table: Table


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was measured."""

    tables: tuple[Table, ...]
    subgroups: tuple[Subgroup, ...]
    ranked: tuple[Ranked, ...]
    not_ranked: Mapping[str, tuple[str, ...]]  # findings with scores but without a figure, by what is lacking
    overlap: tuple[Overlap, ...]
    troubles: Mapping[str, int]  # films without a text, by the code that says why
    without_text: Mapping[str, tuple[int, ...]]  # the same films, by their lines in the manifest
    left_out: Mapping[str, Mapping[str, int]]  # parts that are too small to be shown: by, value, films
    from_reports: bool
    without_patient: int  # films of which the manifest names no patient
    settings: Settings

    @property
    def films(self) -> int:
        """How many were judged."""
        return self.tables[0].films


def cautions(evaluation: Evaluation) -> tuple[str, ...]:
    """What is to be said of the intervals as a whole."""
    found = []
    without, films = evaluation.without_patient, evaluation.films
    if without:
        which = f"any of the {films} films" if without == films else f"{without} of the {films} films"
        found.append(
            f"The manifest names no patient for {which} (column `patient`): each of them counts as a patient of its "
            "own, and where some are of one person the intervals are too narrow."
        )
    if evaluation.tables[0].patients < LEAST_PATIENTS:
        found.append(
            f"Fewer than {LEAST_PATIENTS} patients: the figures say little, and resampled intervals are too narrow."
        )
    return tuple(found)


def evaluate(
    cases: Sequence[Case],
    readings: Mapping[str, FilmReading],
    settings: Settings,
    overlap: Sequence[Overlap] = (),
) -> Evaluation:
    """Judge what was written about `cases`; films without a reading are not among them.

    Raises ManifestError where the films have neither labels nor reports.
    """
    read = [case for case in cases if case.id in readings]
    silent = [case for case in read if readings[case.id].trouble]
    films = judged_films(read, readings, settings)
    labels = _scored(film.reference for film in films)
    if not labels:
        raise ManifestError("the manifest has neither labels nor reports to judge by")
    tables = tuple(_table(films, labels, protocol, settings) for protocol in Protocol)
    ranked, not_ranked = _ranked(films, readings, labels, settings)
    return Evaluation(
        tables,
        tuple(_subgroups(films, labels, settings)),
        ranked,
        not_ranked,
        tuple(overlap),
        MappingProxyType(dict(Counter(readings[case.id].trouble for case in silent))),
        MappingProxyType(_lines(silent, readings)),
        MappingProxyType(_too_small(films)),
        from_reports(read, settings.source),
        sum(not case.patient for case in read),
        settings,
    )


def _lines(silent: Iterable[Case], readings: Mapping[str, FilmReading]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for case in silent:
        why = readings[case.id].trouble
        found[why] = (*found.get(why, ()), case.line)
    return found


def judged_films(cases: Sequence[Case], readings: Mapping[str, FilmReading], settings: Settings) -> list[Judged]:
    """What is known and what was written, film by film."""
    by_reports = from_reports(cases, settings.source)
    return [_judged(case, _states(case.report) if by_reports else case.labels, readings[case.id]) for case in cases]


def from_reports(cases: Sequence[Case], source: Source) -> bool:
    """Whether reports, and not label columns, say what is known."""
    return source == "reports" or (source == "auto" and not any(case.labels for case in cases))


def scored(cases: Sequence[Case], source: Source) -> tuple[str, ...]:
    """The labels that these films can be judged by: something is known of them."""
    by_reports = from_reports(cases, source)
    return _scored(_states(case.report) if by_reports else case.labels for case in cases)


def _states(text: str) -> Mapping[str, State]:
    return {label: finding.state for label, finding in extract(text).by_label.items()} if text else {}


def _scored(references: Iterable[Mapping[str, State]]) -> tuple[str, ...]:
    """Those of the paper first, then others of which anything is known; the same thing once."""
    known = {label for states in references for label in states}
    twice = {"Effusion"} if "Pleural Effusion" in known else set()
    normal = {"normal"}
    return tuple(
        label for label in (*PAPER, *(one for one in LABELS if one not in PAPER)) if label in known - twice - normal
    )


def _judged(case: Case, reference: Mapping[str, State], reading: FilmReading) -> Judged:
    groups = {
        "sex": case.sex or "unknown",
        "age": _age(case.years),
        "view": case.view or "unknown",
        "manufacturer": case.manufacturer or "unknown",
    }
    return Judged(case.id, case.patient or case.id, reference, _states(reading.text), groups)


def _age(years: float | None) -> str:
    return next((name for limit, name in _AGES if years is not None and years < limit), "unknown")


def _table(films: Sequence[Judged], labels: Sequence[str], protocol: Protocol, settings: Settings) -> Table:
    """No text denies `No Finding` but by naming one: under the definite protocol it could only ever be present."""
    return tabulate(
        films,
        [label for label in labels if protocol is Protocol.ALL or label != NO_FINDING],
        protocol,
        seed=settings.seed,
        uncertain_counts_as=settings.uncertain_counts_as,
        replicates=settings.replicates,
    )


def _subgroups(films: Sequence[Judged], labels: Sequence[str], settings: Settings) -> list[Subgroup]:
    found = []
    for by, values in _parts(films):
        for value, number in values.items():
            if number >= LEAST_IN_GROUP:
                part = [film for film in films if film.groups[by] == value]
                found.append(Subgroup(by, value, _table(part, labels, Protocol.ALL, settings)))
    return found


def _too_small(films: Sequence[Judged]) -> dict[str, dict[str, int]]:
    small = {by: {value: n for value, n in values.items() if n < LEAST_IN_GROUP} for by, values in _parts(films)}
    return {by: values for by, values in small.items() if values}


def _parts(films: Sequence[Judged]) -> Iterator[tuple[str, dict[str, int]]]:
    """How many films have each value, of what is known of any."""
    for by in ("sex", "age", "view", "manufacturer"):
        values = Counter(film.groups[by] for film in films)
        if set(values) != {"unknown"}:
            yield by, dict(sorted(values.items()))


def _ranked(
    films: Sequence[Judged], readings: Mapping[str, FilmReading], labels: Sequence[str], settings: Settings
) -> tuple[tuple[Ranked, ...], Mapping[str, tuple[str, ...]]]:
    found = []
    lacking: dict[str, tuple[str, ...]] = {}
    for label in labels:
        part = [
            film
            for film in films
            if label in readings[film.id].scores and film.reference.get(label) in {State.PRESENT, State.ABSENT}
        ]
        positive = [film.reference[label] is State.PRESENT for film in part]
        if any(positive) and not all(positive):
            scores = [readings[film.id].scores[label] for film in part]
            figure = auc(
                scores, positive, [film.cluster for film in part], seed=settings.seed, replicates=settings.replicates
            )
            found.append(Ranked(label, sum(positive), len(positive) - sum(positive), with_spread(figure)))
        elif any(label in readings[film.id].scores for film in films):
            what = "negative film" if any(positive) else "positive film"
            lacking[what] = (*lacking.get(what, ()), label)
    return tuple(found), MappingProxyType(lacking)
