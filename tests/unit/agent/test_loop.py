"""A process whose every step fails must not look alive."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from agent import loop
from dicom_node.beats import STARTING, STOPPED, cannot_start
from dicom_node.database import Database
from dicom_node.errors import ConfigurationError, StoreAway
from dicom_node.tables import ProcessBeat
from tests.harness.node import wait_until


class Clock:
    """Goes on only when it is told to, however slow the machine is."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(loop, "time", made)
    return made


def test_steps_that_go_well_keep_the_pulse(clock: Clock) -> None:
    pulse, stop = loop.Pulse(patience_seconds=60), threading.Event()
    felt = []

    def step() -> bool:
        felt.append(pulse.is_felt())
        clock.seconds += 40
        if len(felt) == 5:
            stop.set()
        return True

    loop.run("test", step, stop, idle_seconds=0, pulse=pulse)

    assert felt == [True] * 5


def test_store_that_is_away_is_said_once_and_so_is_its_return(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    stop, pulse, steps = threading.Event(), loop.Pulse(patience_seconds=60), iter([True, True, False, True, False])
    felt = []

    def step() -> bool:
        felt.append(pulse.is_felt())
        clock.seconds += 40
        is_away = next(steps, None)
        if is_away:
            raise StoreAway("the store is not there")
        if is_away is None:
            stop.set()
        return True

    loop.run("test", step, stop, idle_seconds=0, pulse=pulse)

    told = [line.partition("] ")[2].split()[0] for line in capsys.readouterr().out.splitlines()]
    assert told == ["store_away", "store_back"] * 2
    assert all(felt), "who waits for the store is alive"


def test_steps_that_fail_lose_the_pulse(clock: Clock) -> None:
    pulse, stop = loop.Pulse(patience_seconds=60), threading.Event()
    calls = []

    def step() -> bool:
        calls.append(pulse.is_felt())
        clock.seconds += 40
        if len(calls) == 3:
            stop.set()
        raise ValueError("nothing works")

    loop.run("test", step, stop, idle_seconds=0, pulse=pulse)

    assert calls == [True, True, False]


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


def beats(database: Database) -> dict[str, str]:
    with database.read() as tx:
        return {beat.name.split("@")[0]: beat.detail for beat in tx.scalars(select(ProcessBeat))}


def test_the_last_beat_says_that_it_was_stopped(sqlite_url: str, open_database: Callable[[str], Database]) -> None:
    database, stop = open_database(sqlite_url), threading.Event()
    heart = loop.Heart("listen", database, stop)

    heart.start("port 104")
    wait_until(lambda: beats(database) == {"listen": "port 104"}, "the first beat")
    stop.set()

    wait_until(lambda: beats(database) == {"listen": STOPPED}, "the last beat")
    heart.end()


def test_what_is_waited_for_is_written_when_it_changes(
    sqlite_url: str, open_database: Callable[[str], Database]
) -> None:
    database, stop = open_database(sqlite_url), threading.Event()
    heart = loop.Heart("listen", database, stop)
    heart.start()
    wait_until(lambda: beats(database) == {"listen": ""}, "the first beat")
    heart.end()
    heart.say_last("2 associations")
    with database.write() as tx:
        tx.scalars(select(ProcessBeat)).one().detail = "as it was"

    heart.say_last("2 associations")
    assert beats(database) == {"listen": "as it was"}, "nothing is new"

    heart.say_last("1 association")
    assert beats(database) == {"listen": f"{STOPPED}; 1 association"}
    heart._say_stopped()
    assert beats(database) == {"listen": f"{STOPPED}; 1 association"}, "the last beat wipes nothing"


def test_new_words_are_said_at_once(
    sqlite_url: str, open_database: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_BEAT_SECONDS", 3600.0)
    database = open_database(sqlite_url)
    heart = loop.Heart("work", database, threading.Event())

    heart.start("starting: loads its model")
    wait_until(lambda: beats(database) == {"work": "starting: loads its model"}, "the first words")
    heart.say("demo fp32")
    wait_until(lambda: beats(database) == {"work": "demo fp32"}, "the new words")
    heart.end()

    assert beats(database) == {"work": STOPPED}


def test_a_process_of_the_same_name_is_not_called_stopped(
    sqlite_url: str, open_database: Callable[[str], Database]
) -> None:
    database = open_database(sqlite_url)
    heart = loop.Heart("send", database, threading.Event())
    heart.start()
    wait_until(lambda: beats(database) == {"send": ""}, "the first beat")
    with database.write() as tx:
        tx.scalars(select(ProcessBeat)).one().pid = -1

    heart.end()

    assert beats(database) == {"send": ""}


@pytest.mark.parametrize("beating", [True, False])
def test_a_process_that_cannot_start_leaves_its_reason(
    sqlite_url: str, open_database: Callable[[str], Database], *, beating: bool
) -> None:
    database = open_database(sqlite_url)
    heart = loop.Heart("listen", database, threading.Event())
    if beating:
        heart.start(STARTING)
        wait_until(lambda: beats(database) == {"listen": STARTING}, "the first beat")

    with pytest.raises(ConfigurationError), heart.starting():
        raise ConfigurationError("cannot open port 104:\nit is taken")
    heart.end()

    assert beats(database) == {"listen": "cannot start: cannot open port 104: it is taken"}, "the end wipes nothing"


def test_what_the_system_refuses_is_told_without_the_path(
    sqlite_url: str, open_database: Callable[[str], Database]
) -> None:
    database = open_database(sqlite_url)

    with pytest.raises(FileNotFoundError), loop.Heart("work", database, threading.Event()).starting():
        Path("/absent/secret").read_bytes()

    assert beats(database) == {"work": "cannot start: FileNotFoundError: No such file or directory"}


@pytest.mark.parametrize(
    ("detail", "is_kept"),
    [("at work", True), ("", True), (STARTING, False), (STOPPED, False), (cannot_start("it was taken"), False)],
)
def test_a_second_one_that_cannot_start_says_nothing_in_the_name_of_one_that_works(
    sqlite_url: str, open_database: Callable[[str], Database], detail: str, *, is_kept: bool
) -> None:
    database = open_database(sqlite_url)
    loop.Heart("listen", database, threading.Event())._beat(detail)
    with database.write() as tx:
        tx.scalars(select(ProcessBeat)).one().pid = -1

    loop.Heart("listen", database, threading.Event()).give_up("the port is taken")

    assert beats(database) == {"listen": detail if is_kept else cannot_start("the port is taken")}


def test_a_program_that_ends_says_so_too(sqlite_url: str, open_database: Callable[[str], Database]) -> None:
    program = (
        "import sys, threading, time\nfrom agent import loop\nfrom dicom_node.database import Database\n"
        "loop.Heart('web', Database(sys.argv[1]), threading.Event()).start()\ntime.sleep(0.5)\n"
    )

    subprocess.run([sys.executable, "-c", program, sqlite_url], check=True, timeout=60)

    assert beats(open_database(sqlite_url)) == {"web": STOPPED}
