"""A table of films and what is known of them, for training and for judging: one CSV file, one film a row."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from dicom_node.errors import ConfigurationError, NotFound
from reports.findings.labels import LABELS, NEGBIO, NO_FINDING, State

IMAGE_COLUMNS: Final = ("image", "path", "file")
REPORT_COLUMNS: Final = ("report", "report_text")
LISTED: Final = "labels"  # a column of names, as ChestX-ray14 has it
_COLUMNS: Final = ("view", "age", "sex", "patient", "manufacturer", "split")
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
_NOTHING: Final = frozenset({"nan", "NaN", "<NA>", "NA", "#N/A", "NULL"})  # how programs write that there is nothing
# Whole cells in quotes, with the blanks behind them: what stands inside of one is passed over.
_QUOTED: Final = re.compile(r'((?:\A|(?<=[,\r\n]))"(?:[^"]++|"")*+")[ \t]*(?=[,\r\n]|\Z)')
_NEEDED: Final = frozenset({*IMAGE_COLUMNS, "patient", "split"})  # a row that lacks their cells is cut off
_SHOWN: Final = 20  # problems in one message, and lines of one problem
_GROUPS: Final = 3  # of lines that share an id, in one problem
_NO_ID: Final = ", which is the name of the file: add a column `id` with a name for each film"
_ALIKE: Final = 0.8  # of a name to a label's: a letter more or less, another case


_Problems: TypeAlias = defaultdict[str, list[int]]  # lines by what is wrong with them


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

    Raises NotFound, and ManifestError with every problem and its lines: unknown values, rows with more cells than
    the header or cut off, films that are not there, one id twice, and a patient in two splits, from whom a model
    would be tested on what it has learned.
    """
    if not path.is_file():
        raise NotFound(f"there is no manifest {path}")
    rows = list(_rows(path))
    header = [name.strip() for name in rows[0][1]] if rows else []
    image = next((name for name in IMAGE_COLUMNS if name in header), None)
    if image is None:
        raise ManifestError(
            f"{path} has no column named {', '.join(IMAGE_COLUMNS)}: one of them names the film{_instead(header)}"
        )
    _must_be_one(path, header)
    films = [(line, row) for line, row in rows[1:] if any(map(str.strip, row))]
    if not films:
        raise ManifestError(f"{path} lists no film")
    folder = images or path.parent
    problems: _Problems = defaultdict(list)
    parsed = _Parser(header, image, folder, problems)
    cases = [parsed.case(row, line) for line, row in films[:-1]]
    cases.append(parsed.case(films[-1][1], films[-1][0], whole=_ends_with_a_line_break(path)))
    if not missing_images:
        for case in cases:
            _must_be_there(case, image, folder, problems)
    told = [*_grouped(problems), *_problems(cases)]
    if told:
        more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        raise ManifestError(f"{path} cannot be used: {'; '.join(told[:_SHOWN])}{more}")
    return cases


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not blank, the header among them, with the line of the file on which it begins.

    Raises ManifestError where the file is no text, or a quote is not closed and would take in the films behind it.
    """
    reader = csv.reader(io.StringIO(_QUOTED.sub(r"\1", _text(path)), newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ManifestError(
                f"{path}, line {line}: the quotes of the row that begins here are not right ({error}); "
                'a text with commas, quotes or line breaks stands in quotes, and a quote in it is written twice, as ""'
            ) from error
        if row is None:
            return
        if row:
            yield line, row


def _ends_with_a_line_break(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        return file.read() in {b"\n", b"\r"}


def _text(path: Path) -> str:
    whole = path.read_bytes()
    try:
        text = whole.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = whole.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{path}, line {line}: no CSV file in UTF-8 ({error.reason}); save it as such") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ManifestError(
            f"{path}, line {line}: a character of the number zero; this is no CSV file, or a damaged one"
        )
    return text


def _instead(header: Sequence[str]) -> str:
    """What spreadsheets and people make of the heading of a manifest, where it has no film."""
    if not header:
        return "; the file is empty"
    if header[0].startswith("sep="):
        return "; delete the line that begins with sep="
    for column in header:
        if ";" in column or "\t" in column:
            return "; columns are separated by commas, not by semicolons or tabs"
        if column.casefold() in IMAGE_COLUMNS:
            return f"; write {column!r} and the others in small letters"
    return ""


def _must_be_one(path: Path, header: Sequence[str]) -> None:
    """Raises ManifestError: of two columns that say the same, one would be taken without a word."""
    same = [_SAME.get(name, name) for name in header]
    read = {*IMAGE_COLUMNS, *LABELS, LISTED, *REPORT_COLUMNS, *_COLUMNS, "id"}
    twice = sorted({name for name in same if name in read and same.count(name) > 1})
    if twice:
        columns = ", ".join(repr(name) for name in header if _SAME.get(name, name) in twice)
        raise ManifestError(f"{path} has more than one column for {', '.join(twice)} ({columns}): leave one of each")


def _must_be_there(case: Case, column: str, folder: Path, problems: _Problems) -> None:
    if case.image == folder:
        problems[f"there is no film in the column {column!r}"].append(case.line)
    elif not case.image.is_file():
        slashes = ", and folders are parted by /, not by \\" if "\\" in str(case.image) else ""
        problems[f"the film is not there (the column {column!r}; looked for in {folder}{slashes})"].append(case.line)


def _grouped(problems: _Problems) -> Iterator[str]:
    """One sentence for each problem, with all its lines."""
    for words, lines in sorted(problems.items(), key=lambda problem: problem[1]):
        more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        yield f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:_SHOWN]))}{more}: {words}"


def known_labels(cases: Iterable[Case]) -> tuple[str, ...]:
    """The labels of which at least one film has a value, in the order of `LABELS`."""
    known = {label for case in cases for label in case.labels}
    return tuple(label for label in LABELS if label in known)


def header_of(path: Path) -> list[str]:
    """The names of the columns, in order. Raises ManifestError."""
    return [name.strip() for name in next(_rows(path), (0, []))[1]]


def mistaken_columns(path: Path) -> dict[str, str]:
    """Columns that are ignored but are spelled much like one that would be read and is not there, with its name."""
    columns = header_of(path)
    known = {*LABELS, *_SAME, LISTED, *REPORT_COLUMNS, *_COLUMNS}
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

    def __init__(self, header: Sequence[str], image: str, folder: Path, problems: _Problems) -> None:
        self._header = header
        self._image = image
        self._folder = folder
        self._problems = problems
        self._labels = {_SAME.get(name, name): name for name in header if _SAME.get(name, name) in LABELS}

    def case(self, cells: Sequence[str], line: int, *, whole: bool = True) -> Case:
        """whole: a line break ends the row; cells that it lacks are empty ones, which spreadsheets leave out."""
        row = self._named(cells, line, whole=whole)
        image = self._folder / row[self._image]
        return Case(
            id=row.get("id") or image.stem,
            line=line,
            image=image,
            labels=MappingProxyType(self._states(row, line)),
            report=next((text for name in REPORT_COLUMNS if (text := row.get(name, ""))), ""),
            view=row.get("view", "").upper(),
            years=self._age(row.get("age", ""), line),
            sex=row.get("sex", "").upper(),
            patient=row.get("patient", ""),
            manufacturer=row.get("manufacturer", ""),
            split=row.get("split", ""),
        )

    def _named(self, cells: Sequence[str], line: int, *, whole: bool) -> dict[str, str]:
        """The cells by their columns; of a row of another length, where they may stand in wrong ones, the film."""
        wanted, got = len(self._header), len(cells)
        short = got < wanted and (not whole or not _NEEDED.isdisjoint(self._header[got:]))
        if short or any(map(str.strip, cells[wanted:])):
            why = "a text with commas has to stand in quotes" if got > wanted else "the row is cut off"
            self._problems[f"{got} cells, where the header has {wanted}: {why}"].append(line)
            named = {self._image: "".join(cells[self._header.index(self._image) :][:1]).strip()}
        else:
            named = {name: cell.strip() for name, cell in zip_longest(self._header, cells[:wanted], fillvalue="")}
        return {name: "" if word in _NOTHING else word for name, word in named.items()}

    def _age(self, word: str, line: int) -> float | None:
        if not word:
            return None
        match = _AGE.match(word)
        if match is None:
            self._problems["the age is no number of years, nor like 045Y"].append(line)
            return None
        years = float(match[1]) * _YEARS[match[2]]
        return years if years <= _OLDEST else None  # ChestX-ray14 has some of over 400, others write 999

    def _states(self, row: Mapping[str, str], line: int) -> dict[str, State]:
        found = dict(self._listed(row.get(LISTED, ""), line))
        for label, column in self._labels.items():
            word = row.get(column, "").lower()
            if word and word not in _STATES:
                self._problems[f"{column} is {word!r}, not 1, 0, -1 or empty"].append(line)
            elif word:
                found[label] = _STATES[word]
        return found

    def _listed(self, words: str, line: int) -> Iterator[tuple[str, State]]:
        """Every label of ChestX-ray14 where the column is filled: what that data set does not list, it calls absent."""
        if not words:
            return
        named = {_SAME.get(word, word) for word in (part.strip() for part in _SEPARATORS.split(words)) if word}
        unknown = sorted(named - set(LABELS))
        if unknown:
            self._problems[f"{LISTED} names {', '.join(unknown)}, which is no label we know"].append(line)
        if NO_FINDING in named and len(named) > 1:
            self._problems[f"{LISTED} names No Finding beside a finding"].append(line)
        for label in (NO_FINDING, *NEGBIO):
            ours = _SAME.get(label, label)
            yield ours, State.PRESENT if ours in named else State.ABSENT
        yield from ((label, State.PRESENT) for label in named & set(LABELS))


def _alike(groups: Sequence[Sequence[Case]]) -> str:
    """The lines of the first groups, and how many there are."""
    few = ["lines " + ", ".join(str(case.line) for case in group) for group in groups[:_GROUPS]]
    more = f", and {len(groups) - _GROUPS} more groups of lines," if len(groups) > _GROUPS else ""
    return f"{'; '.join(few)}{more}{' each' if len(groups) > 1 else ''}"


def _problems(cases: Sequence[Case]) -> Iterator[str]:
    """What is wrong between rows."""
    same_id: defaultdict[str, list[Case]] = defaultdict(list)
    splits: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for case in cases:
        same_id[case.id].append(case)
        if case.patient and case.split:
            splits[case.patient].setdefault(case.split, case.line)
    named_by_file = all(case.id == case.image.stem for case in cases)
    twice = [(same, len({case.image for case in same})) for same in same_id.values() if len(same) > 1]
    if repeated := [same for same, films in twice if films == 1]:
        yield f"{_alike(repeated)} are one film more than once: leave one of these rows"
    if others := [same for same, films in twice if films > 1]:
        yield f"{_alike(others)} have the same id{_NO_ID if named_by_file else ''}"
    for first in splits.values():
        if len(first) > 1:
            places = " and ".join(f"{split!r} (line {line})" for split, line in first.items())
            yield f"one patient is in the splits {places}; all films of a patient belong into one"
