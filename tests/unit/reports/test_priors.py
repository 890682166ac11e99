"""Films of other studies beside the one that is read: whose they are, and when they were taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from reports.people.rights import Role
from reports.web.before_after import Taken, in_order
from tests.harness.people import add_user, signed_in
from tests.harness.reading_room import ReadingRoom


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    made = ReadingRoom(tmp_path)
    add_user(made.database, "rita", Role.RADIOLOGIST, name="Reader^Rita")
    yield made
    made.close()


@pytest.fixture
def rita(room: ReadingRoom) -> TestClient:
    return signed_in(room.app, room.database, "rita")


def priors(room: ReadingRoom, rita: TestClient, study: int) -> list[dict[str, Any]]:
    address = rita.get(f"/study/{study}/films.json").json()["priors"]
    found: list[dict[str, Any]] = rita.get(address).json()["priors"]
    return found


def test_a_prior_says_whose_it_is_and_warns_where_that_is_another_person(room: ReadingRoom, rita: TestClient) -> None:
    kim = room.study(PatientID="1234", PatientName="Kim^Younghee", PatientBirthDate="19900101", PatientSex="F")
    room.receive_film(PatientID="1234", PatientName="Lee^Chulsoo", PatientBirthDate="19450505", PatientSex="M")
    room.receive_film(PatientID="1234", PatientName="KIM^YOUNGHEE", PatientBirthDate="19900101", PatientSex="F")

    told = {one["study"]: one["films"][0] for one in priors(room, rita, room.number(kim))}

    assert (told[2]["whose"], told[3]["whose"]) == ("Lee Chulsoo, 1945-05-05, M", "KIM YOUNGHEE, 1990-01-01, F")
    assert "ANOTHER NAME AND BIRTH DATE AND SEX" in told[2]["doubt"]
    assert told[3]["doubt"] == ""


def test_whose_a_film_is_is_read_once(room: ReadingRoom, rita: TestClient) -> None:
    kim = room.study(PatientID="1234", PatientName="Kim^Younghee")
    room.receive_film(PatientID="1234", PatientName="Lee^Chulsoo")
    kept = {path: path.read_bytes() for path in room.desk.config.node.store_folder.rglob("*") if path.is_file()}

    def told() -> str:
        return str(priors(room, rita, room.number(kim))[0]["films"][0]["whose"])

    def gone() -> None:
        for path in kept:
            path.unlink()

    gone()
    nobody = told()
    for path, content in kept.items():  # that they could not be read is not remembered
        path.write_bytes(content)
    first = told()
    gone()

    assert (nobody, first[:10], told()) == ("", "Lee Chulso", first)


def test_before_and_after_are_told_by_when_films_were_taken(room: ReadingRoom, rita: TestClient) -> None:
    whose = {"PatientID": "P-1"}
    dates = ("20250301", "20190101", "20250401", "20231231", None, "20260101")
    reports = [room.study(**whose, StudyDate=date, StudyTime="101500" if date else None) for date in dates]
    numbers = [room.number(report) for report in reports]

    told = priors(room, rita, numbers[0])
    (undated,) = (one for one in told if not one["taken"])
    assert [(numbers.index(one["study"]), one["words"]) for one in told] == [
        (3, "Prior of 2023-12-31"),
        (1, "Prior of 2019-01-01"),
        (2, "Later, of 2025-04-01"),
        (5, "Later, of 2026-01-01"),
        (4, f"Date unknown, received {undated['received'][:10]}"),
    ]
    first, *_ = priors(room, rita, numbers[1])
    assert (first["words"], first["taken"], first["films"][0]["facts"]["view"]) == (
        "Later, of 2023-12-31",
        "2023-12-31 10:15",
        "PA",
    )


@pytest.mark.parametrize(
    ("own", "other", "words"),
    [
        ("2025-03-01 10:15", "2025-03-01 09:59", "Prior of 2025-03-01 09:59"),
        ("2025-03-01 10:15", "2025-03-01 10:16", "Later, of 2025-03-01 10:16"),
        ("2025-03-01 10:15", "2025-03-01", "Other study of 2025-03-01"),
        ("2025-03-01", "2025-03-01 10:16", "Other study of 2025-03-01 10:16"),
        ("2025-03-01 10:15", "2025-03-01 10:15", "Other study of 2025-03-01 10:15"),
        ("", "2025-03-01 10:15", "Other study of 2025-03-01"),
        ("2025-03-01", "", "Date unknown, received 2026-11-22"),
    ],
)
def test_nothing_is_called_prior_that_may_be_later(own: str, other: str, words: str) -> None:
    one = Taken(2, other, datetime(2026, 11, 22, tzinfo=UTC))

    assert in_order(own, [one]) == [(one, words)]
