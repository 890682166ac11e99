"""What is decoded before somebody's "I looked" is believed: no more than is needed to refuse it, or not to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from reports.web.film import MOST_FILMS, FilmsBusy, FilmTrouble, Picture, Shelved
from reports.web.looking import Unseen, looked


class Light:
    """Shows films, other than those of `troubles`, and keeps which were asked for."""

    def __init__(self, troubles: Mapping[str, FilmTrouble]) -> None:
        self._troubles = troubles
        self.asked: list[str] = []

    def preview(self, digest: str) -> Picture:
        self.asked.append(f"preview of {digest}")
        return Picture(digest.encode(), "image/jpeg")

    def pixels(self, digest: str) -> Picture:
        self.asked.append(digest)
        if digest in self._troubles:
            raise self._troubles[digest]
        return Picture(digest.encode(), "application/octet-stream")

    def describe(self, digest: str) -> Mapping[str, Any]:
        return {"digest": digest}


def light(**codes: str) -> Light:
    return Light({digest: FilmTrouble(code, "Why not.") for digest, code in codes.items()})


def films(number: int) -> list[Shelved]:
    """From film1 on, by the numbers 1 and up."""
    day = datetime(2026, 11, 23, tzinfo=UTC)
    return [Shelved(one, f"film{one}", 1, day, False, False, False, 0) for one in range(1, number + 1)]


def told(there: list[Shelved], decoder: Light | None, *shown: int) -> str:
    """Why it is refused."""
    with pytest.raises(Unseen) as refusal:
        looked(there, decoder, frozenset(shown)).must_be_all(there)
    return str(refusal.value)


@pytest.mark.parametrize("code", ["file-missing", "decoder-crashed", "decode-timeout", "out-of-memory", "no-decoder"])
def test_film_is_demanded_that_can_be_shown_later(code: str) -> None:
    said = told(films(2), light(film2=code), 1)

    assert said.endswith("1 of 2 films was shown on this page; another one cannot be shown at this moment: Why not.")


def test_film_is_demanded_while_others_are_decoded_or_nothing_decodes() -> None:
    assert "at this moment: Busy." in told(films(2), Light({"film2": FilmsBusy("busy", "Busy.")}), 1)
    assert "at this moment: This process shows no films." in told(films(2), None, 1)


def test_film_that_can_be_shown_to_nobody_is_known_by_its_values_as_on_the_page() -> None:
    there, decoder = films(2), light(film2="undecodable")

    assert looked(there, decoder, frozenset({1})).must_be_all(there) == 1
    assert decoder.asked == ["film2"]


@pytest.mark.parametrize("shown", [(), (77,)])
def test_nothing_is_decoded_where_no_film_was_shown(shown: tuple[int, ...]) -> None:
    decoder = light()

    assert "The film was not shown" in told(films(9), decoder, *shown)
    assert decoder.asked == []


def test_decoding_ends_at_the_first_film_that_is_demanded() -> None:
    decoder = light(film2="undecodable")

    assert "1 of 9 films was shown on this page; look at the others, too." in told(films(9), decoder, 1)
    assert decoder.asked == ["film2", "film3"]


def test_nothing_is_decoded_of_more_films_than_the_page_lists() -> None:
    decoder = light(**{f"film{one}": "undecodable" for one in range(2, MOST_FILMS + 2)})

    assert f"it lists no more than {MOST_FILMS}." in told(films(MOST_FILMS + 1), decoder, 1)
    assert decoder.asked == []
