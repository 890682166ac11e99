"""A number under which two people are known: their films are told apart by name, birth date and sex."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.config import ReportsConfig
from reports.web.namesake import NOBODY, Whose, doubt, whose
from tests.harness.reading_room import chest, with_pixels
from tests.unit.reports import films

KIM = Whose("Kim^Younghee", "19900101", "F")


@pytest.mark.parametrize(
    "other",
    [
        Whose("KIM^YOUNGHEE", "19900101", "F"),
        Whose("KIM YOUNGHEE", "19900101", ""),
        Whose("Kim^Young Hee^^Dr", "", ""),
        Whose("Kim^Younghee=金^英姬=김^영희", "19900101", "F"),
        Whose("", "19900101", "F"),
    ],
)
def test_the_same_person_is_written_in_many_ways(other: Whose) -> None:
    assert doubt(KIM, other) == doubt(other, KIM) == ""


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Whose("Lee^Chulsoo", "19450505", "M"), "ANOTHER NAME AND BIRTH DATE AND SEX"),
        (Whose("Lee^Younghee", "19900101", "F"), "ANOTHER NAME under"),
        (Whose("Kim^Younghee", "19450505", "F"), "ANOTHER BIRTH DATE"),
        (Whose("Kim^Younghee", "19900101", "M"), "ANOTHER SEX"),
        (NOBODY, "Nothing but the Patient ID"),
        (Whose("", "", "F"), "Nothing but the Patient ID"),
    ],
)
def test_what_differs_or_cannot_be_compared_is_said(other: Whose, what: str) -> None:
    assert what in doubt(KIM, other)
    assert doubt(KIM, other) == doubt(other, KIM)


@pytest.mark.parametrize("charset", ["korean", "arabic", "ascii"])
def test_the_name_is_read_as_it_is_written(tmp_path: Path, charset: str) -> None:
    declared, name = films.CHARSETS[charset]
    header = films.as_received(films.film(SpecificCharacterSet=declared, PatientName=name))
    path = tmp_path / "film.dcm"
    with_pixels(header, chest()).save_as(path, enforce_file_format=True)

    assert whose(path, films.CONFIG) == Whose(name, "19600102", "F")
    assert whose(path, films.CONFIG).words.endswith(", 1960-01-02, F")


def test_a_name_is_the_same_where_its_character_set_is_declared_and_where_the_site_assumes_it(tmp_path: Path) -> None:
    read = []
    for place in ("declared", "assumed"):
        header = films.in_charset("korean-without-escapes")
        if place == "assumed":  # bytes of Korean without a word about it
            header = films.as_received(films.film(PatientName="홍^길동".encode("euc_kr").decode("latin-1")))
        path = tmp_path / place
        with_pixels(header, chest()).save_as(path, enforce_file_format=True)
        read.append(whose(path, ReportsConfig(assume_charset="ISO 2022 IR 149")))

    assert [one.name for one in read] == ["홍^길동", "홍^길동"]
    assert doubt(*read) == ""
    assert whose(tmp_path / "assumed", films.CONFIG).born == "19600102"  # a name in no known characters hides nothing


def test_a_file_that_is_gone_or_broken_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 300)

    assert whose(tmp_path / "absent.dcm", films.CONFIG) == whose(tmp_path / "broken.dcm", films.CONFIG) == NOBODY
