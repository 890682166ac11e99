"""Which films a stage learns from, which are left out, and what a manifest lacks where there are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from agent.manifest import Case, ManifestError, header_of, known_labels, mistaken_columns, read_manifest
from agent.training import films, leaks
from agent.training.settings import Data, Training
from dicom_node.counted import counted
from dicom_node.errors import ConfigurationError
from reports.findings import State, extract
from reports.findings.labels import LABELS, NORMAL

Name: TypeAlias = Literal["encoder", "align", "finetune"]

_PATIENT: Final = re.compile(
    r"(patient|subject|person)[ _-]?(id|no|nr|num|number|key|name|code)?|mrn|pid", re.IGNORECASE
)
_TWICE: Final = frozenset({"Effusion", NORMAL})  # "Pleural Effusion" and "No Finding" once more
_NEEDS_REPORTS: Final = frozenset({"align", "finetune"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """The films of one run, by split. others: those of the other splits, by which the model may be judged later.

    told: sentences on films that teach nothing, and on what nobody can check.
    """

    train: Sequence[Case]
    validation: Sequence[Case]
    labels: tuple[str, ...]
    others: Sequence[Case] = ()
    told: tuple[str, ...] = ()


def prepare(stage: Name, settings: Training) -> Prepared:
    """Read the manifest and choose films. Raises ManifestError, ConfigurationError."""
    data = settings.data
    _known(data)
    cases, spoken = _labelled(stage, read_manifest(data.manifest, images=data.images))
    mistaken = _mistaken(data)
    asked = [case for case in cases if case.split in {data.train, data.validation}]
    train, validation = (
        films.split(cases, adults_only=data.adults_only, name=name) for name in (data.train, data.validation)
    )
    told = _left_out(cases, asked, of_age=len(train) + len(validation))
    without = 0
    if stage in _NEEDS_REPORTS:
        grown = len(train) + len(validation)
        train, validation = ([case for case in part if case.report] for part in (train, validation))
        without = grown - len(train) - len(validation)
    labels = data.labels or _both_kinds(train)
    if not train or (stage == "encoder" and not labels):
        raise ConfigurationError(_why_none(stage, data, cases))
    if stage == "encoder":
        _taught(train, data)
        array = films.label_array([*train, *validation], labels)
        silent = int((array == films.UNKNOWN).all(axis=1).sum())
        nothing = "nothing: none of the labels is known of"
        teach = counted(silent, f"film teaches {nothing} it", f"films teach {nothing} them")
        told += (teach,) if silent else ()
        told += _learned_labels(labels, train)
    told += (f"left out: {counted(without, 'film')} without a report",) if without else ()
    leaks.refuse_same_files(data.manifest, cases)
    used = {case.id for case in (*train, *validation)}
    others = [case for case in cases if case.split not in {"", data.train} and case.id not in used]
    told = (*told, *spoken, *_unmeasured(validation, data), *mistaken, *_nameless([*train, *validation]))
    return Prepared(train, validation, labels, others, told)


def _labelled(stage: Name, cases: list[Case]) -> tuple[list[Case], tuple[str, ...]]:
    """Films as they are; for the tower, where no film has a label, with those of their reports. And what to tell."""
    if stage != "encoder" or any(case.labels for case in cases) or not any(case.report for case in cases):
        return cases, ()
    spoken = [replace(case, labels=MappingProxyType(_labels_of(case.report))) for case in cases]
    return spoken, ("no column has labels: they are what `wetread findings` finds in the reports, in English alone",)


def _labels_of(report: str) -> dict[str, State]:
    """What is not mentioned is not known. Of two names for one thing the first."""
    found = extract(report).by_label if report else {}
    return {label: finding.state for label, finding in found.items() if label in LABELS and label not in _TWICE}


def _mistaken(data: Data) -> tuple[str, ...]:
    """Words on headings that are nearly right. Raises ManifestError: the patient's is, and nothing would be checked."""
    near = mistaken_columns(data.manifest)
    columns = header_of(data.manifest)
    if "patient" not in columns:
        for column in columns:
            if near.get(column) == "patient" or _PATIENT.fullmatch(column):
                raise ManifestError(
                    f"{data.manifest} has the column {column!r}: name it `patient` if it says whose film it is, "
                    "so that it can be checked that nobody is in two splits; else give it a name that is less like it"
                )
    return tuple(f"the column {column!r} is ignored; did you mean {label!r}?" for column, label in near.items())


def _unmeasured(validation: Sequence[Case], data: Data) -> tuple[str, ...]:
    words = f"no film is left in the split {data.validation!r} (data.validation): nothing is measured while it learns"
    return () if validation else (words,)


def _nameless(cases: Sequence[Case]) -> tuple[str, ...]:
    count = sum(not case.patient for case in cases)
    words = f"{count} of {len(cases)} films name no patient: nobody checks that theirs are in one split alone"
    return (words,) if count else ()


def _left_out(cases: Sequence[Case], asked: Sequence[Case], *, of_age: int) -> tuple[str, ...]:
    others, young = len(cases) - len(asked), len(asked) - of_age
    told = (
        (others, "in neither of the two splits"),
        (young, "of people under 18 or of unknown age (data.adults_only)"),
    )
    return tuple(f"left out: {counted(count, 'film')} {which}" for count, which in told if count)


def _known(data: Data) -> None:
    strange = [label for label in data.labels if label not in LABELS and label != films.PROJECTION]
    if strange:
        known = ", ".join((*LABELS, films.PROJECTION))
        raise ConfigurationError(
            f"data.labels names {', '.join(strange)}, which is no label we know; known are {known}"
        )


def _taught(train: Sequence[Case], data: Data) -> None:
    """Of each label that was asked for, something must be known."""
    array = films.label_array(train, data.labels)
    silent = [label for label, column in zip(data.labels, array.T, strict=True) if (column == films.UNKNOWN).all()]
    if silent:
        raise ConfigurationError(
            f"data.labels names {', '.join(silent)}, but no film that is learned from in {data.manifest} "
            "is known to have it or not: fill the column, or leave out the label"
        )


def _why_none(stage: Name, data: Data, cases: Sequence[Case]) -> str:
    """The sentence for a manifest without a film to learn from: the column that is missing, if it is one."""
    splits = sorted({case.split for case in cases if case.split})
    if not splits:
        wanted = f"it needs one that says {data.train!r} of the films to learn from"
        return f"{data.manifest} has nothing in a column `split`: {wanted}"
    if data.train not in splits:
        return f"{data.manifest} has no film of the split {data.train!r} (data.train) but of {', '.join(splits)}"
    if data.adults_only and all(case.years is None for case in cases):
        return (
            f"{data.manifest} has nothing in a column `age`, and films of people of unknown age are left out: "
            "fill it, or set adults_only = false in [data]"
        )
    if stage in _NEEDS_REPORTS and not any(case.report for case in cases):
        return f"{data.manifest} has nothing in a column `report`, from which {stage} learns"
    age = " of adults" if data.adults_only else ""
    where = f"in the split {data.train!r} of {data.manifest}"
    if stage in _NEEDS_REPORTS:
        return f"no film{age} {where} has a report"
    return (
        f"there is no label that some films{age} {where} are known to have and others not to have: "
        "fill a column for each, such as `Edema`, with 1 and 0; or a column `report`, from which they are taken where "
        "no column has any"
    )


def _learned_labels(labels: Sequence[str], train: Sequence[Case]) -> tuple[str, ...]:
    """Which labels teach, and of which something is known that teaches nothing."""
    others = [label for label in known_labels(train) if label not in labels]
    told = (f"labels: {', '.join(labels)}",)
    return (*told, f"labels that are not learned: {', '.join(others)}") if others else told


def _both_kinds(cases: Sequence[Case]) -> tuple[str, ...]:
    def kinds(label: str) -> set[State]:
        return {case.labels[label] for case in cases if label in case.labels}

    return tuple(label for label in known_labels(cases) if {State.PRESENT, State.ABSENT} <= kinds(label))
