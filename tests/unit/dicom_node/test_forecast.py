"""When the queue ends where backlog has hours of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from dicom_node import books
from dicom_node.forecast import Forecast, forecast
from dicom_node.hours import Hours, hours_of
from dicom_node.rules.decision import BACKLOG
from dicom_node.tables import Workitem, WorkitemState
from dicom_node.worklist import pauses
from dicom_node.worklist.pauses import What
from tests.unit.dicom_node.desk import Desk, header

NIGHT = hours_of("22:00-06:00", "UTC")


def fill(desk: Desk, *, routine: int, backlog: int, waited: timedelta = timedelta(0)) -> None:
    """Studies that wait, at 08:06:01, after four were read in four minutes: 60 an hour. waited: those of backlog."""
    for number in range(4 + routine + backlog):
        desk.receive(header(study=f"1.2.{number}", instance=f"1.2.{number}.1"))
    desk.complete()
    for _ in range(4):
        desk.wait(60)
        desk.finish(desk.must_claim())
    desk.wait(60)
    assert desk.now == at("22 08:06:01")
    newest = desk.ask(
        lambda tx: [
            one.id
            for one in tx.query(Workitem)
            .where(Workitem.state == WorkitemState.SCHEDULED)
            .order_by(Workitem.id.desc())
            .limit(backlog)
        ]
    )
    desk.do(
        lambda tx: tx.execute(
            update(Workitem).where(Workitem.id.in_(newest)).values(priority=BACKLOG, next_attempt_at=desk.now - waited)
        )
    )


def at(moment: str) -> datetime:
    """A moment of November 2026: day and time."""
    return datetime.strptime(f"2026-11-{moment}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def ahead(desk: Desk, hours: Hours | None) -> Forecast:
    return desk.ask(lambda tx: forecast(tx, books.backlog(tx), desk.now, hours))


def test_backlog_is_read_when_its_hours_come(desk: Desk) -> None:
    fill(desk, routine=3, backlog=10)
    told = ahead(desk, NIGHT)
    assert (told.read_per_hour, told.read_by) == (60, at("22 22:10:00"))
    assert (told.backlog_waiting, told.backlog_from) == (10, at("22 22:00:00"))
    in_seoul = ahead(desk, hours_of("22:00-06:00", "Asia/Seoul"))
    assert (in_seoul.read_by, in_seoul.backlog_from) == (at("22 13:10:00"), at("22 13:00:00"))
    always = ahead(desk, None)
    assert (always.read_by, always.backlog_waiting, always.backlog_from) == (at("22 08:19:01"), 0, None)
    assert ahead(desk, hours_of("00:00-24:00", "Asia/Seoul")) == always


def test_what_the_hours_leave_is_read_the_next_day(desk: Desk) -> None:
    fill(desk, routine=3, backlog=10)
    told = ahead(desk, hours_of("08:00-08:10", "UTC"))
    assert told.read_by == at("23 08:09:01"), "thirteen minutes of work: 3:59 today, of which three are routine"
    assert (told.backlog_waiting, told.backlog_from) == (0, None), "it is read now"
    assert ahead(desk, hours_of("08:00-09:00", "UTC")).read_by == at("22 08:19:01")


def test_backlog_that_waited_long_comes_before_routine_and_that_after_its_hours(desk: Desk) -> None:
    fill(desk, routine=3, backlog=10, waited=timedelta(hours=9))
    told = ahead(desk, hours_of("08:00-08:10", "UTC"))
    assert told.read_by == at("23 08:06:01")


def test_a_queue_without_backlog_has_no_hours(desk: Desk) -> None:
    fill(desk, routine=3, backlog=0)
    assert ahead(desk, NIGHT) == ahead(desk, None)


def test_nobody_knows_the_end_where_nothing_is_read_or_it_is_farther_than_a_year(desk: Desk) -> None:
    fill(desk, routine=0, backlog=10)
    desk.do(lambda tx: pauses.pause(tx, What.WORK, peer="", on=True, now=desk.now, actor="person:a"))
    assert ahead(desk, NIGHT).read_by is None
    desk.do(lambda tx: pauses.pause(tx, What.WORK, peer="", on=False, now=desk.now, actor="person:a"))
    assert ahead(desk, NIGHT).read_by == at("22 22:10:00")
    desk.wait(3600)
    told = ahead(desk, NIGHT)
    assert (told.read_per_hour, told.read_by) == (0, None)
    assert (told.backlog_waiting, told.backlog_from) == (10, at("22 22:00:00")), "that is known all the same"


def test_a_year_is_the_farthest_that_is_told(desk: Desk) -> None:
    fill(desk, routine=0, backlog=400)
    minute_a_day = hours_of("05:00-05:01", "UTC")
    assert ahead(desk, minute_a_day).read_by is None


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("22 21:59:59", "22 22:00:00"),
        ("22 22:00:00", "23 06:00:00"),
        ("23 05:59:59", "23 06:00:00"),
        ("23 06:00:00", "23 22:00:00"),
    ],
)
def test_hours_change_at_their_ends(moment: str, expected: str) -> None:
    assert NIGHT is not None
    assert NIGHT.next_change(at(moment)) == at(expected)
    assert NIGHT.hold(at(expected)) is not NIGHT.hold(at(moment))


def test_hours_until_midnight_end_there() -> None:
    evening = hours_of("22:00-24:00", "Europe/Berlin")
    assert evening is not None
    assert evening.next_change(at("22 21:30:00")) == at("22 23:00:00"), "midnight in Berlin"
    assert [evening.hold(at(f"22 {time}")) for time in ("21:30:00", "22:59:59", "23:00:00")] == [True, True, False]


def test_hours_over_which_a_clock_is_put_forward_pass() -> None:
    """On 2026-03-29 there is no 02:30 in Berlin."""
    hours = hours_of("02:30-06:00", "Europe/Berlin")
    assert hours is not None
    night = datetime(2026, 3, 29, 0, tzinfo=UTC)
    begin = hours.next_change(night)
    assert begin == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert hours.hold(begin)
    assert hours.next_change(begin) == datetime(2026, 3, 29, 4, tzinfo=UTC)
