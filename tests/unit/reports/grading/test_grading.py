"""Raters and their grades: an order of one's own, every grade kept, nothing lost to a second tab."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicom_node.database import Database
from dicom_node.errors import ConfigurationError, NotFound, WrongState
from reports.grading import grading, raters
from reports.grading.grading import Elsewhere, Finished, Sheet
from reports.grading.order import shuffled
from reports.grading.package import PackageError, read_package, verify
from reports.grading.tables import Given, Grade, Rater, Turn
from tests.harness.grading_room import Study, make_study

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


@pytest.fixture
def grades(study: Study) -> Iterator[Database]:
    with raters.open_grades(study.package) as database:
        with database.write() as tx:
            raters.add(tx, study.package, "ann", "a link", NOW)
        yield database


def of(database: Database, name: str = "ann") -> Rater:
    with database.read() as tx:
        return raters.named(tx, name)


def sheet(grade: Grade = Grade.B, version: int = 0, comment: str = "", seconds: float = 3.0) -> Sheet:
    return Sheet(grade, comment, version, seconds)


@pytest.mark.parametrize("films", [2, 3, 4, 7, 40])
def test_each_film_comes_once_in_each_half_and_never_twice_in_a_row(films: int) -> None:
    of_item = {f"{film:02}{slot}": f"{film:02}" for film in range(films) for slot in "ab"}

    for seed in range(30):
        order = shuffled(of_item, str(seed))

        seen = [of_item[item] for item in order]
        assert sorted(order) == sorted(of_item)
        assert sorted(seen[:films]) == sorted(seen[films:]) == sorted(set(seen))
        for film in set(seen):
            first = seen.index(film)
            assert seen.index(film, first + 1) - first > films // 2


def test_the_order_is_by_chance_and_can_be_told_again() -> None:
    of_item = {f"{film:02}{slot}": f"{film:02}" for film in range(50) for slot in "ab"}
    orders = {seed: shuffled(of_item, seed) for seed in ("ann", "ben")}

    assert orders["ann"] == shuffled(dict(reversed(of_item.items())), "ann")
    assert orders["ann"] != orders["ben"]
    firsts = sum(item.endswith("a") for item in orders["ann"][:50])
    assert 10 < firsts < 40  # which of the two reports comes first is drawn for each film


def test_a_grade_is_on_the_disk_when_it_was_given(study: Study, grades: Database) -> None:
    with grades.write() as tx:
        grading.grade(tx, raters.named(tx, "ann"), 1, sheet(Grade.C, comment="  too long  "), NOW)

    with sqlite3.connect(study.folder / "grades.db") as other:  # as another process sees it
        row = other.execute("SELECT grade, comment, version, seconds FROM turn WHERE position = 1").fetchone()
        (full,) = other.execute("PRAGMA synchronous").fetchone()
    other.close()
    assert row == ("C", "too long", 1, 3.0)
    with grades.write() as tx:
        assert tx.connection().exec_driver_sql("PRAGMA synchronous").scalar() == 2 == full  # FULL


def test_a_changed_grade_counts_and_the_old_one_stays_in_the_books(grades: Database) -> None:
    with grades.write() as tx:
        grading.grade(tx, raters.named(tx, "ann"), 2, sheet(Grade.A), NOW)
        grading.grade(tx, raters.named(tx, "ann"), 2, sheet(Grade.D, version=1, seconds=2), NOW + timedelta(minutes=1))

    with grades.read() as tx:
        turn = tx.get_one(Turn, (1, 2))
        assert (turn.grade, turn.version, turn.seconds) == ("D", 2, 5.0)
        assert [(one.grade, one.version) for one in tx.query(Given).order_by(Given.id)] == [("A", 1), ("D", 2)]
        assert grading.progress(tx, raters.named(tx, "ann")).left == (1, 3, 4, 5, 6, 7, 8)


def test_a_double_click_counts_once_and_another_tab_overwrites_nothing(grades: Database) -> None:
    with grades.write() as tx:
        rater = raters.named(tx, "ann")
        grading.grade(tx, rater, 1, sheet(Grade.A), NOW)
        assert grading.grade(tx, rater, 1, sheet(Grade.A), NOW).version == 1
        with pytest.raises(Elsewhere, match="graded A in another tab"):
            grading.grade(tx, rater, 1, sheet(Grade.D), NOW)
        assert tx.query(Given).count() == 1


def test_who_has_finished_changes_nothing_until_it_is_opened_again(grades: Database) -> None:
    with grades.write() as tx:
        rater = raters.named(tx, "ann")
        grading.grade(tx, rater, 1, sheet(), NOW)
        with pytest.raises(WrongState, match="7 reports have no grade"):
            grading.finish(tx, rater, NOW)
        grading.finish(tx, rater, NOW, leaving=True)
        with pytest.raises(Finished):
            grading.grade(tx, rater, 1, sheet(Grade.D, version=1), NOW)
        grading.reopen(tx, rater, NOW)
        assert [act.name for act in raters.acts(tx)] == ["ann"]
        assert grading.grade(tx, rater, 1, sheet(Grade.D, version=1), NOW).grade == "D"
        with pytest.raises(WrongState, match="has not finished"):
            grading.reopen(tx, rater, NOW)


def test_a_link_opens_once_and_a_new_one_ends_the_old_browser(grades: Database) -> None:
    with grades.write() as tx:
        assert raters.enter(tx, "another link", "s") is None
        assert raters.enter(tx, "", "s") is None
        assert raters.enter(tx, "a link", "first") is not None
        assert raters.enter(tx, "a link", "second") is None
        assert raters.known(tx, "first") is not None
        assert raters.known(tx, "") is None
        raters.renew(tx, "ann", "a new link")
        assert raters.known(tx, "first") is None
        assert raters.enter(tx, "a new link", "third") is not None


def test_no_secret_is_kept_as_it_is(study: Study, grades: Database) -> None:
    with grades.write() as tx:
        raters.enter(tx, "a link", "a session")
        raters.renew(tx, "ann", "a new link")
    grades.close()

    kept = b"".join(path.read_bytes() for path in study.folder.glob("grades.db*"))
    assert b"ann" in kept
    assert not any(secret in kept for secret in (b"a link", b"a session", b"a new link"))


def test_raters_have_names_of_their_own(study: Study, grades: Database) -> None:
    with pytest.raises(WrongState, match="already"), grades.write() as tx:
        raters.add(tx, study.package, "ann", "x", NOW)
    for name in ("", "  ", "a\nb", 65 * "x"):
        with pytest.raises(ConfigurationError), grades.write() as tx:
            raters.add(tx, study.package, name, "x", NOW)
    with pytest.raises(NotFound), grades.write() as tx:
        raters.renew(tx, "zoe", "x")
    with grades.write() as tx:
        raters.add(tx, study.package, "ben", "y", NOW)
        orders = {
            rater.name: [turn.item for turn in tx.query(Turn).filter_by(rater_id=rater.id).order_by(Turn.position)]
            for rater in raters.everybody(tx)
        }
    assert sorted(orders["ann"]) == sorted(orders["ben"]) == sorted(study.package.items)
    assert orders["ann"] != orders["ben"]


def test_numbers_that_no_report_has_are_refused(grades: Database) -> None:
    for position in (-1, 0, 9, 1 << 40):
        with pytest.raises(NotFound), grades.read() as tx:
            grading.turn(tx, raters.named(tx, "ann"), position)
    with grades.write() as tx:
        turn = grading.grade(tx, raters.named(tx, "ann"), 1, sheet(seconds=1e12), NOW)
        assert turn.seconds == 86400


def test_what_was_changed_in_a_package_is_named(study: Study) -> None:
    verify(study.package)
    film = random.Random(1).choice(sorted(study.package.films))
    (study.folder / "films" / f"{film}.film").write_bytes(b"something else")
    with pytest.raises(PackageError, match=f"{film}.film"):
        verify(study.package)


def test_grades_belong_to_one_package(study: Study, grades: Database) -> None:
    listing = study.folder / "package.json"
    listing.write_text(listing.read_text().replace("Reader study", "Another one"))
    with pytest.raises(PackageError, match="another package"), raters.open_grades(read_package(study.folder)):
        pass
    listing.write_text("{}")
    with pytest.raises(PackageError, match="damaged"):
        read_package(study.folder)
    with pytest.raises(NotFound):
        read_package(study.folder / "films")
