"""A table of films and what is known of them, for training and for judging: one CSV file, one film a row."""

from __future__ import annotations

import csv
import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dicom_node.errors import ConfigurationError, NotFound
from reports.findings.labels import LABELS, NEGBIO, NO_FINDING, State

IMAGE_COLUMNS: Final = ("image", "path", "file")
REPORT_COLUMNS: Final = ("report", "report_text")
LISTED: Final = "labels"  # a column of names, as ChestX-ray14 has it
_SEPARATORS: Final = re.compile(r"[|;]")
_AGE: Final = re.compile(r"0*(\d{1,3}(?:\.\d+)?)([YMWD]?)$")
_YEARS: Final = MappingProxyType({"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25})
_OLDEST: Final = 130  # years; what is more is a placeholder
_STATES: Final = MappingProxyType(
    {
        "1": State.PRESENT,
        "1.0": State.PRESENT,
        "0": State.ABSENT,
        "0.0": State.ABSENT,
        "-1": State.UNCERTAIN,
        "-1.0": State.UNCERTAIN,
        "u": State.UNCERTAIN,
        "uncertain": State.UNCERTAIN,
    }
)
_SAME: Final = MappingProxyType({"Effusion": "Pleural Effusion", "Pleural Thickening": "Pleural_Thickening"})
_SHOWN: Final = 20  # problems in one message
_NO_ID: Final = ", which is the name of the file: add a column `id` with a name for each film"
_ALIKE: Final = 0.8  # of a name to a label's: a letter more or less, another case


class ManifestError(ConfigurationError):
    """The manifest cannot be used. Names lines, never patients or films."""


@dataclass(frozen=True, slots=True)
class Case:
    """One film. `labels` has what is known and nothing else; years is the age, None where it is
    unknown or impossible; an empty word is an unknown one."""

    id: str
    line: int  # of the manifest, from 1
    image: Path
    labels: Mapping[str, State] = field(default_factory=lambda: MappingProxyType({}))
    report: str = ""
    view: str = ""
    years: float | None = None
    sex: str = ""
    patient: str = ""
    manufacturer: str = ""
    split: str = ""


def read_manifest(path: Path, *, images: Path | None = None, missing_images: bool = False) -> list[Case]:
    """Read and check a whole manifest.

    One column names the film, relative to the manifest's folder or to `images`: image, path or file. A column for each
    label, spelled as CheXpert or ChestX-ray14 do, holds 1, 0, -1 (uncertain) or nothing; or one column `labels` lists
    the findings that are present, as `Edema|Effusion`, and all others of ChestX-ray14 are absent. Further columns that
    are used: id, report, view, age, sex, patient, manufacturer, split. `missing_images`: films need not be there.

    Raises NotFound, and ManifestError with every problem and its line: unknown values, films that are not there, one id
    twice, and a patient in two splits, from whom a model would be tested on what it has learned.
    """
    if not path.is_file():
        raise NotFound(f"there is no manifest {path}")
    problems: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened)
            columns = {name.strip(): name for name in rows.fieldnames or ()}
            image = next((columns[name] for name in IMAGE_COLUMNS if name in columns), None)
            if image is None:
                raise ManifestError(
                    f"{path} has no column named {', '.join(IMAGE_COLUMNS)}: one of them names the film"
                    f"{_instead(columns)}"
                )
            parsed = _Parser(columns, image, images or path.parent, problems)
            cases = [parsed.case(row, line) for line, row in enumerate(rows, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path} is no CSV file in UTF-8 ({error}); save it as such") from error
    if not cases:
        raise ManifestError(f"{path} lists no film")
    problems += _problems(cases, missing_images=missing_images)
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ManifestError(f"{path} cannot be used: {'; '.join(problems[:_SHOWN])}{more}")
    return cases


def _instead(columns: Iterable[str]) -> str:
    """What spreadsheets and people make of the heading of a manifest, where it has no film."""
    for column in columns:
        if ";" in column or "\t" in column:
            return "; columns are separated by commas, not by semicolons or tabs"
        if column.casefold() in IMAGE_COLUMNS:
            return f"; write {column!r} and the others in small letters"
    return ""


def known_labels(cases: Iterable[Case]) -> tuple[str, ...]:
    """The labels of which at least one film has a value, in the order of `LABELS`."""
    known = {label for case in cases for label in case.labels}
    return tuple(label for label in LABELS if label in known)


def mistaken_columns(path: Path) -> dict[str, str]:
    """Columns that are ignored but are spelled much like one that would be read and is not there, with its name."""
    with path.open(encoding="utf-8-sig", newline="") as opened:
        columns = [name.strip() for name in next(csv.reader(opened), [])]
    known = {*LABELS, *_SAME, LISTED, *REPORT_COLUMNS, "view", "age", "sex", "patient", "manufacturer", "split"}
    names = {_folded(name): name for name in sorted(known.difference(columns))}
    found: dict[str, str] = {}
    for column in columns:
        if column not in known and column not in IMAGE_COLUMNS:
            for near in difflib.get_close_matches(_folded(column), names, 1, _ALIKE):
                if names[near] != NO_FINDING or _folded(column).startswith("no"):  # "Finding" may be any of them
                    found[column] = names[near]
    return found


def _folded(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").replace("oe", "e").split())


class _Parser:
    """Rows of one file; what is wrong goes into `problems`."""

    def __init__(self, columns: Mapping[str, str], image: str, folder: Path, problems: list[str]) -> None:
        self._columns = columns
        self._image = image
        self._folder = folder
        self._problems = problems
        self._labels = {_SAME.get(name, name): columns[name] for name in columns if _SAME.get(name, name) in LABELS}

    def case(self, row: Mapping[str, str | None], line: int) -> Case:
        image = self._folder / (row[self._image] or "").strip()
        return Case(
            id=self._word(row, "id") or image.stem,
            line=line,
            image=image,
            labels=MappingProxyType(self._states(row, line)),
            report=next((text for name in REPORT_COLUMNS if (text := self._word(row, name))), ""),
            view=self._word(row, "view").upper(),
            years=self._age(row, line),
            sex=self._word(row, "sex").upper(),
            patient=self._word(row, "patient"),
            manufacturer=self._word(row, "manufacturer"),
            split=self._word(row, "split"),
        )

    def _word(self, row: Mapping[str, str | None], column: str) -> str:
        return (row.get(self._columns.get(column, column)) or "").strip()

    def _age(self, row: Mapping[str, str | None], line: int) -> float | None:
        word = self._word(row, "age")
        if not word:
            return None
        match = _AGE.match(word)
        if match is None:
            self._problems.append(f"line {line}: the age is no number of years, nor like 045Y")
            return None
        years = float(match[1]) * _YEARS[match[2]]
        return years if years <= _OLDEST else None  # ChestX-ray14 has some of over 400, others write 999

    def _states(self, row: Mapping[str, str | None], line: int) -> dict[str, State]:
        found = dict(self._listed(self._word(row, LISTED), line))
        for label, column in self._labels.items():
            word = (row[column] or "").strip().lower()
            if not word:
                continue
            if word not in _STATES:
                self._problems.append(f"line {line}: {column} is {word!r}, not 1, 0, -1 or empty")
            else:
                found[label] = _STATES[word]
        return found

    def _listed(self, words: str, line: int) -> Iterator[tuple[str, State]]:
        """Every label of ChestX-ray14 where the column is filled: what that data set does not list, it calls absent."""
        if not words:
            return
        named = {_SAME.get(word, word) for word in (part.strip() for part in _SEPARATORS.split(words)) if word}
        unknown = sorted(named - set(LABELS))
        if unknown:
            self._problems.append(f"line {line}: {LISTED} names {', '.join(unknown)}, which is no label we know")
        if NO_FINDING in named and len(named) > 1:
            self._problems.append(f"line {line}: {LISTED} names No Finding beside a finding")
        for label in (NO_FINDING, *NEGBIO):
            ours = _SAME.get(label, label)
            yield ours, State.PRESENT if ours in named else State.ABSENT
        yield from ((label, State.PRESENT) for label in named & set(LABELS))


def _problems(cases: Sequence[Case], *, missing_images: bool) -> Iterator[str]:
    if not missing_images:
        yield from (f"line {case.line}: the film is not there" for case in cases if not case.image.is_file())
    lines: defaultdict[str, list[int]] = defaultdict(list)
    splits: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for case in cases:
        lines[case.id].append(case.line)
        if case.patient and case.split:
            splits[case.patient].setdefault(case.split, case.line)
    named_by_file = all(case.id == case.image.stem for case in cases)
    for same in lines.values():
        if len(same) > 1:
            yield f"lines {', '.join(map(str, same))} have the same id{_NO_ID if named_by_file else ''}"
    for first in splits.values():
        if len(first) > 1:
            places = " and ".join(f"{split!r} (line {line})" for split, line in first.items())
            yield f"one patient is in the splits {places}; all films of a patient belong into one"
