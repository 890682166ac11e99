"""Run a reader over the films of a manifest, and keep what it wrote: a run that was broken off goes on where it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from agent.evaluation import continuations, films
from agent.imaging import likeness
from agent.imaging.decoder import DecoderProcess
from agent.imaging.pixels import Film
from agent.imaging.stored import UndecodableImage
from agent.manifest import Case
from agent.readers import learned, signs
from agent.readers.protocol import Generation, Reader, Scores, Serves, UnreadableText
from dicom_node.errors import ConfigurationError, NotFound

_FORMAT: Final = 4
NOT_THERE: Final = "not-in-the-texts"  # why a film has no text, where a file of texts is judged
EMPTY: Final = "empty-text"
_WANTED: Final = 'one JSON object a line is wanted: {"id": ..., "text": ...}'
_JSON_NAMES: Final = MappingProxyType(
    {
        list: "a list",
        dict: "an object",
        str: "a text alone",
        int: "a number",
        float: "a number",
        bool: "true or false",
        type(None): "null",
    }
)


class ReadingsError(ConfigurationError):
    """A file of readings belongs to something else, or is damaged."""


@dataclass(frozen=True, slots=True)
class FilmReading:
    """What a reader wrote about one film. trouble: the code of why there is no text, else empty.

    film: `learned.digest` of the file that was read; empty where there was none, or another program wrote.
    picture: `learned.digest_of_picture` of the decoded film; empty as well where it could not be decoded.
    sign: `signs.text` of the decoded film; empty as well where it could not be decoded.
    """

    id: str
    text: str
    trouble: str = ""
    tokens: int = 0
    seconds: float = 0.0
    scores: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    film: str = ""
    picture: str = ""
    sign: str = ""


class Readings:
    """A file of JSON lines: who reads, then one line for each film."""

    def __init__(self, path: Path, who: Mapping[str, Any]) -> None:
        """Raises ReadingsError where the file has readings of another reader."""
        self.path = path
        self._head = {"format": _FORMAT, **who}
        self.done: dict[str, FilmReading] = {}
        if path.is_file() and path.stat().st_size:
            self._resume()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self._head) + "\n", encoding="utf-8")

    def append(self, reading: FilmReading) -> None:
        """Keep one more."""
        self.done[reading.id] = reading
        with self.path.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(_plain(reading)) + "\n")

    def _resume(self) -> None:
        try:
            head, *lines = self.path.read_text(encoding="utf-8").splitlines()
            ours = {
                **json.loads(head),
                "format": _FORMAT,
            } == self._head  # lines of format 1 lack film, picture and sign, of 2 picture and sign, of 3 the sign
        except (ValueError, TypeError) as error:
            raise ReadingsError(
                f"{self.path} does not say in its first line who reads: it is damaged; delete it, or name another "
                f"--output folder"
            ) from error
        if not ours:
            raise ReadingsError(
                f"{self.path} has the readings of another reader or other settings; name another --output folder"
            )
        whole = []
        for line in lines:
            try:
                reading = FilmReading(**json.loads(line))
            except (ValueError, TypeError):  # the line at which it was broken off, or damaged: read again from there
                break
            self.done[reading.id] = reading
            whole.append(line)
        self.path.write_text("".join(f"{line}\n" for line in (head, *whole)), encoding="utf-8")


def _plain(reading: FilmReading) -> dict[str, Any]:
    values = {field.name: getattr(reading, field.name) for field in fields(reading)}
    return {**values, "scores": dict(reading.scores)}


def read_texts(path: Path) -> dict[str, FilmReading]:
    """Reports that another program wrote: JSON lines {"id", "text"}, or a file of readings. Empty lines are skipped.

    Raises NotFound; ReadingsError names the line, also where a film has two texts.
    """
    if not path.is_file():
        raise NotFound(f"there is no file of texts {path}")
    found: dict[str, FilmReading] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            reading = _read_line(line, first=number == 1)
        except _Unusable as error:
            raise ReadingsError(f"{path}, line {number}: {error}") from error
        if reading is None:
            continue
        if reading.id in found:
            raise ReadingsError(f"{path}, lines {lines[reading.id]} and {number} have the same id; one text a film")
        found[reading.id], lines[reading.id] = reading, number
    return found


class _Unusable(ValueError):
    """Why a line has no text, in words."""


def _read_line(line: bytes, *, first: bool) -> FilmReading | None:
    """None: the line says who reads. Raises _Unusable."""
    try:
        row = json.loads(line.decode("utf-8-sig" if first else "utf-8"))
    except UnicodeDecodeError as error:
        raise _Unusable("is not in UTF-8; convert the file") from error
    except json.JSONDecodeError as error:
        raise _Unusable(f"no JSON ({error.msg}); {_WANTED}") from error
    if not isinstance(row, dict):
        raise _Unusable(f"is {_JSON_NAMES[type(row)]}; {_WANTED}")
    if "format" in row:
        return None
    for name in ("id", "text"):
        if not isinstance(row.get(name), str):
            what = f"is {_JSON_NAMES[type(row[name])]}, not a text in quotes" if name in row else "is not there"
            raise _Unusable(f'"{name}" {what}; {_WANTED}')
    trouble = row.get("trouble", "")
    if not isinstance(trouble, str):
        raise _Unusable('"trouble" is no text in quotes')
    return FilmReading(
        row["id"],
        row["text"],
        trouble or ("" if row["text"].strip() else EMPTY),
        scores=MappingProxyType(_scores(row.get("scores"))),
        film=row["film"] if isinstance(row.get("film"), str) else "",
        picture=row["picture"] if isinstance(row.get("picture"), str) else "",
        sign=row["sign"] if isinstance(row.get("sign"), str) else "",
    )


def _scores(given: Any) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(
        type(value) in {int, float} and math.isfinite(value) for value in given.values()
    ):
        raise _Unusable('"scores" is no object with a number for each finding')
    return {label: float(value) for label, value in given.items()}


def must_be_of(path: Path, readings: Mapping[str, FilmReading], cases: Iterable[Case]) -> None:
    """Nobody's text goes to another's film: ids such as 1, 2, 3 are usual, and a film may be replaced under its name.

    Raises ReadingsError where a film is there and is another than the one that was read under the same id.
    """
    others = [
        case.line
        for case in cases
        if (known := readings.get(case.id)) and known.film and case.image.is_file() and _digest(case) != known.film
    ]
    if others:
        raise ReadingsError(
            f"{path}: {len(others)} of these films are other files than those that were read under the same id "
            f"(the first in line {others[0]} of the manifest); read these films into another folder"
        )


def _digest(case: Case) -> str:
    return learned.digest(case.image) if case.image.is_file() else ""


def complete(readings: Mapping[str, FilmReading], cases: Iterable[Case]) -> dict[str, FilmReading]:
    """For every film a reading: whom nobody wrote about has an empty one, as where a reader could not write."""
    return {case.id: readings.get(case.id) or FilmReading(case.id, "", NOT_THERE) for case in cases}


def read_head(path: Path) -> dict[str, Any]:
    """Who wrote a file of readings, as far as it says; else its name."""
    with path.open(encoding="utf-8") as lines:
        try:
            head = json.loads(next(lines, "{}"))
        except json.JSONDecodeError:
            head = {}
    known = {name: head[name] for name in ("reader", "precision", "digest", "notice") if head.get(name)}
    return known if "format" in head and known else {"texts": path.name}


def read_films(
    cases: Sequence[Case],
    reader: Reader,
    readings: Readings,
    *,
    generation: Generation,
    with_scores: bool,
    progress: Callable[[int], None],
) -> None:
    """Read every film that `readings` lacks, several at once where the reader can. `progress` is told of each.

    Raises ReadingsError where `readings` has the text of another film under an id (`must_be_of`).
    """
    must_be_of(readings.path, readings.done, cases)
    left = [case for case in cases if case.id not in readings.done]
    with ExitStack() as stack:
        workers = 1
        if isinstance(reader, Serves):
            stack.enter_context(reader.serving())
            workers = reader.slots
        one = _One(reader, generation, with_scores=with_scores)
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        decoder = stack.enter_context(DecoderProcess())
        for number, reading in enumerate(_in_order(pool, one, _loaded(left, decoder), 2 * workers), start=1):
            readings.append(reading)
            progress(number)


def _loaded(cases: Iterable[Case], decoder: DecoderProcess) -> Iterator[tuple[Case, Film | UndecodableImage]]:
    for case in cases:
        try:
            yield case, films.load(case.image, decoder)
        except UndecodableImage as error:
            yield case, error


def _in_order(
    pool: ThreadPoolExecutor, one: _One, loaded: Iterable[tuple[Case, Film | UndecodableImage]], ahead: int
) -> Iterator[FilmReading]:
    """Results in order of the films; never more than `ahead` films in memory."""
    waiting = []
    for case, film in loaded:
        waiting.append(pool.submit(one.read, case, film))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    for last in waiting:
        yield last.result()


class _One:
    """Reads one film."""

    def __init__(self, reader: Reader, generation: Generation, *, with_scores: bool) -> None:
        self._reader = reader
        self._generation = generation
        self._scorer = reader if with_scores and isinstance(reader, Scores) else None
        self._pairs = continuations.pairs_of(reader)

    def read(self, case: Case, film: Film | UndecodableImage) -> FilmReading:
        nothing = FilmReading(case.id, "", film=_digest(case))
        if isinstance(film, UndecodableImage):
            return replace(nothing, trouble=film.code)
        scores = continuations.score(self._scorer, film.pixels, self._pairs) if self._scorer else {}
        seen = replace(
            nothing,
            scores=MappingProxyType(scores),
            picture=learned.digest_of_picture(film.digest),
            sign=signs.text(likeness.fingerprint(film.pixels)),
        )
        try:
            said = self._reader.report(film.pixels, self._generation)
        except UnreadableText as error:
            return replace(seen, trouble=error.code)
        return replace(seen, text=said.text, tokens=said.tokens, seconds=said.seconds)
