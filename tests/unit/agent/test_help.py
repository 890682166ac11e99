"""What the help of `wetread` says, and what it costs to ask for it."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from agent.cli import wetread

LOADED = "import sys; from agent.cli import wetread; wetread(['--help'], standalone_mode=False); "
SLOW = ("pydicom", "sqlalchemy", "pydantic", "agent.config")


def test_help_loads_no_command() -> None:
    program = f"{LOADED}print('loaded:', [name for name in {SLOW} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.endswith("loaded: []\n")


@pytest.mark.parametrize("width", [80, 120])
def test_help_has_a_whole_line_for_each_command(width: int) -> None:
    told = CliRunner().invoke(wetread, ["--help"], terminal_width=width).stdout
    table = told.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in table] == wetread.list_commands(click.Context(wetread))
    assert [line for line in table if not line.endswith((".", "?"))] == []


def test_every_command_of_the_table_is_there() -> None:
    context = click.Context(wetread)
    for name in wetread.list_commands(context):
        command = wetread.get_command(context, name)
        assert command is not None
        assert command.name == name
