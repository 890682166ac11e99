"""What a reader wrote is kept film by film, and a run that was broken off goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from agent.evaluation.readings import FilmReading, Readings, ReadingsError, must_be_of, read_films, read_texts
from agent.manifest import Case
from agent.readers.protocol import Generation, ReaderIdentity, Reading, UnreadableText

WHO = {"reader": "gray 1", "digest": "0" * 64}


class Gray:
    """Reads how bright a film is; dark ones it cannot read."""

    def __init__(self) -> None:
        self.read = 0

    @property
    def identity(self) -> ReaderIdentity:
        return ReaderIdentity("gray", "1", "nobody", "fp32", "0" * 64, "")

    def report(
        self,
        film: NDArray[np.uint8],
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
        *,
        urgent: bool = False,
    ) -> Reading:
        del progress, urgent
        self.read += 1
        if film.mean() < 10:
            raise UnreadableText("empty-text", "Nothing was written.")
        return Reading(f"Mean {film.mean():.0f}.", generation, 3, 0.1)


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    found = []
    for number, gray in enumerate((100, 0, 200), start=2):
        path = tmp_path / f"{gray}.png"
        Image.fromarray(np.full((32, 32), gray, np.uint8)).save(path)
        found.append(Case(str(gray), number, path))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((32, 32), 3000, np.uint16)).save(deep)
    return [*found, Case("broken", 9, broken), Case("deep", 10, deep)]


def run(cases: list[Case], reader: Gray, path: Path) -> Readings:
    readings = Readings(path, WHO)
    told: list[int] = []
    read_films(cases, reader, readings, generation=Generation(), with_scores=True, progress=told.append)
    assert told == list(range(1, len(told) + 1))
    return readings


def test_every_film_has_a_text_or_a_reason(cases: list[Case], tmp_path: Path) -> None:
    done = run(cases, Gray(), tmp_path / "out" / "readings.jsonl").done
    assert [(one.id, one.text, one.trouble) for one in done.values()] == [
        ("100", "Mean 100.", ""),
        ("0", "", "empty-text"),
        ("200", "Mean 200.", ""),
        ("broken", "", "undecodable"),
        ("deep", "", "undecodable"),
    ]


@pytest.mark.parametrize("cut", [0, 5])
def test_a_run_that_was_broken_off_goes_on(cases: list[Case], tmp_path: Path, cut: int) -> None:
    path = tmp_path / "readings.jsonl"
    whole = run(cases, Gray(), path).done
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:cut])

    reader = Gray()
    assert run(cases, reader, path).done == whole
    assert reader.read == 2  # the others cannot be decoded
    assert path.read_bytes() == b"".join(lines)


def test_readings_of_another_reader_are_not_mixed_in(cases: list[Case], tmp_path: Path) -> None:
    run(cases, Gray(), tmp_path / "readings.jsonl")
    with pytest.raises(ReadingsError, match="another reader or other settings"):
        Readings(tmp_path / "readings.jsonl", {**WHO, "digest": "1" * 64})


@pytest.mark.parametrize("head", [b"", b"\n", b'{"format": 1', b"\xff\xfe"])
def test_readings_whose_first_line_is_damaged_are_refused_in_words(
    cases: list[Case], tmp_path: Path, head: bytes
) -> None:
    path = tmp_path / "readings.jsonl"
    run(cases, Gray(), path)
    damaged = b"\n".join([head, *path.read_bytes().split(b"\n")[1:]])
    path.write_bytes(damaged)
    with pytest.raises(ReadingsError, match=r"does not say in its first line who reads: it is damaged; delete it"):
        Readings(path, WHO)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("line", ["[]", "{}", '{"id": "0", "strange": 1}', "null"])
def test_films_are_read_again_from_a_damaged_line_on(cases: list[Case], tmp_path: Path, line: str) -> None:
    path = tmp_path / "readings.jsonl"
    whole = run(cases, Gray(), path).done
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[3:]]) + "\n", encoding="utf-8")
    assert run(cases, Gray(), path).done == whole
    assert path.read_text(encoding="utf-8").splitlines() == lines


def test_a_run_of_an_older_version_goes_on(cases: list[Case], tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    run(cases, Gray(), path)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines[0]["format"] = 1
    for line in lines[1:]:
        del line["film"], line["picture"]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    reader = Gray()
    assert len(run(cases, reader, path).done) == len(cases)
    assert reader.read == 0


def test_no_film_gets_the_text_of_another_that_had_its_id(cases: list[Case], tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    run(cases, Gray(), path)
    must_be_of(path, read_texts(path), cases)
    Image.fromarray(np.full((40, 40), 7, np.uint8)).save(cases[0].image)
    reader, kept = Gray(), path.read_bytes()
    with pytest.raises(
        ReadingsError, match=rf"1 of these films are other files .*line {cases[0].line} of the manifest"
    ):
        run(cases, reader, path)
    with pytest.raises(ReadingsError, match="other files than those that were read under the same id"):
        must_be_of(path, read_texts(path), cases)
    assert (reader.read, path.read_bytes()) == (0, kept)

    cases[0].image.unlink()  # texts may be judged where the films are not
    must_be_of(path, read_texts(path), cases)
    must_be_of(path, {cases[1].id: FilmReading(cases[1].id, "Another program's text.")}, cases)


def test_texts_of_others_and_our_own_readings_are_read_alike(cases: list[Case], tmp_path: Path) -> None:
    done = run(cases, Gray(), tmp_path / "readings.jsonl").done
    again = read_texts(tmp_path / "readings.jsonl")
    assert {one.id: (one.text, one.trouble) for one in done.values()} == {
        one.id: (one.text, one.trouble) for one in again.values()
    }
    (tmp_path / "texts.jsonl").write_text('{"id": "a", "text": "No edema."}\n', encoding="utf-8")
    assert read_texts(tmp_path / "texts.jsonl") == {"a": FilmReading("a", "No edema.")}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1: no JSON"),
        ('[{"id": "a", "text": "x"}]', "line 1: is a list; one JSON object a line is wanted"),
        ("5", "line 1: is a number; one JSON"),
        ("null", "line 1: is null; one JSON"),
        ('"a"', "line 1: is a text alone; one JSON"),
        ("true", "line 1: is true or false; one JSON"),
        ('{"id": 1, "text": "x"}', 'line 1: "id" is a number, not a text in quotes'),
        ('{"id": "a"}', 'line 1: "text" is not there; one JSON'),
        ('{"id": "a", "text": "x", "scores": [1]}', 'line 1: "scores" is no object'),
        ('{"id": "a", "text": "x", "scores": {"Edema": null}}', 'line 1: "scores" is no object'),
        ('{"id": "a", "text": "x", "scores": {"Edema": NaN}}', 'line 1: "scores" is no object'),
        ('{"id": "a", "text": "x", "scores": {"Edema": -Infinity}}', 'line 1: "scores" is no object'),
        ('{"id": "a", "text": "x", "trouble": 5}', 'line 1: "trouble" is no text'),
    ],
)
def test_texts_that_are_none_are_refused_with_the_line(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "texts.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ReadingsError, match=words):
        read_texts(tmp_path / "texts.jsonl")


def test_texts_in_another_encoding_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b'{"id": "a", "text": "x"}\n' + '{"id": "b", "text": "Ödem"}\n'.encode("latin-1"))
    with pytest.raises(ReadingsError, match="line 2: is not in UTF-8"):
        read_texts(path)


def test_two_texts_of_one_film_are_refused_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(f'{{"id": "{name}", "text": "x"}}' for name in "abcb"), encoding="utf-8")
    with pytest.raises(ReadingsError, match="lines 2 and 4 have the same id"):
        read_texts(path)


def test_texts_of_a_windows_editor_and_with_line_separators_in_them_are_read(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes('\ufeff{"id": "a", "text": "One.\u2028Two."}\r\n\r\n'.encode())
    assert read_texts(path) == {"a": FilmReading("a", "One.\u2028Two.")}
