"""Garbage is looked for again when everything is loaded, and while others ask for it."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from agent.loading import loading


def test_no_garbage_is_looked_for_meanwhile_and_afterwards_again() -> None:
    seen = []

    def load_what_is_not_there() -> None:
        with loading():
            seen.append(gc.isenabled())
            raise ImportError

    with pytest.raises(ImportError):
        load_what_is_not_there()
    assert (seen, gc.isenabled()) == ([False], True)


def test_who_looks_for_none_is_left_so() -> None:
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("command", ["listen", "web", "study"])
def test_a_command_runs_with_its_garbage_collected(command: str) -> None:
    program = (
        "import click, gc; from agent.cli import wetread; "
        f"wetread.get_command(click.Context(wetread), {command!r}); print(gc.isenabled())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert told.stdout == "True\n"
