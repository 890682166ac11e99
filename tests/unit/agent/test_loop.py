"""A process whose every step fails must not look alive."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import select

from agent import loop
from dicom_node.database import Database
from dicom_node.tables import ProcessBeat


def test_steps_that_go_well_keep_the_pulse() -> None:
    pulse, stop = loop.Pulse(patience_seconds=0.05), threading.Event()
    felt = []

    def step() -> bool:
        felt.append(pulse.is_felt())
        stop.wait(0.03)
        if len(felt) == 5:
            stop.set()
        return True

    loop.run("test", step, stop, idle_seconds=0, pulse=pulse)

    assert felt == [True] * 5


def test_steps_that_fail_lose_the_pulse() -> None:
    pulse, stop = loop.Pulse(patience_seconds=0.05), threading.Event()
    calls = []

    def step() -> bool:
        calls.append(pulse.is_felt())
        if len(calls) == 2:
            stop.set()
        raise ValueError("nothing works")

    loop.run("test", step, stop, idle_seconds=0, pulse=pulse)

    assert calls == [True, False]


def test_without_a_pulse_there_is_no_sign_of_life(sqlite_url: str, open_database: Callable[[str], Database]) -> None:
    database = open_database(sqlite_url)
    heart = loop.Heart("work", database, threading.Event(), pulse := loop.Pulse(patience_seconds=0))

    heart._beat("")

    with database.read() as tx:
        assert not pulse.is_felt()
        assert tx.scalars(select(ProcessBeat)).all() == []


def test_with_a_pulse_there_is(sqlite_url: str, open_database: Callable[[str], Database]) -> None:
    database = open_database(sqlite_url)

    loop.Heart("work", database, threading.Event(), loop.Pulse())._beat("model")

    with database.read() as tx:
        assert [beat.detail for beat in tx.scalars(select(ProcessBeat))] == ["model"]
