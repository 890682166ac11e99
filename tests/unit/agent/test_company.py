"""Who failed before reads alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.company import Company, Occupied

SOON = 5.0


def nothing() -> None:
    pass


class Reading:
    """A reading in a thread of its own that lasts until it is told to end."""

    def __init__(self, company: Company, *, alone: bool, waiting: Callable[[], None] = nothing) -> None:
        self.begun, self.ended, self.end = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(company, alone, waiting), daemon=True)
        self._thread.start()

    def _run(self, company: Company, alone: bool, waiting: Callable[[], None]) -> None:
        with company.reading(waiting, alone=alone):
            self.begun.set()
            self.end.wait(SOON)
        self.ended.set()

    def finish(self) -> None:
        self.end.set()
        assert self.ended.wait(SOON)


@contextmanager
def reading(company: Company, *, alone: bool = False) -> Iterator[Reading]:
    one = Reading(company, alone=alone)
    yield one
    one.finish()


def test_first_attempts_read_beside_each_other() -> None:
    company = Company()
    with reading(company) as first, reading(company) as second:
        assert first.begun.wait(SOON)
        assert second.begun.wait(SOON)
        assert company.is_open


def test_who_failed_before_waits_until_the_others_are_done_and_nobody_joins() -> None:
    company = Company()
    first = Reading(company, alone=False)
    assert first.begun.wait(SOON)
    again = Reading(company, alone=True)
    assert not again.begun.wait(0.1)
    assert not company.is_open
    for late in (False, True):
        with pytest.raises(Occupied), company.reading(nothing, alone=late):
            raise AssertionError

    first.finish()
    assert again.begun.wait(SOON)
    with pytest.raises(Occupied), company.reading(nothing, alone=False):
        raise AssertionError

    again.finish()
    assert company.is_open


def test_who_waits_may_give_up_and_then_holds_nobody_up() -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    company = Company()
    with reading(company) as first:
        assert first.begun.wait(SOON)
        with pytest.raises(Stopped), company.reading(stop, alone=True):
            raise AssertionError
        assert company.is_open
        with reading(company) as second:
            assert second.begun.wait(SOON)


def test_a_reading_that_fails_leaves_its_place() -> None:
    company = Company()
    for alone in (False, True):
        with pytest.raises(ZeroDivisionError), company.reading(nothing, alone=alone):
            raise ZeroDivisionError
    with reading(company, alone=True) as one:
        assert one.begun.wait(SOON)
