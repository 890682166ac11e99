"""A command loads what it runs, and nothing that takes long besides; the help says what there is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("words", [["study", "list"], ["study", "show", "1"], ["queue", "list"], ["ae", "list"]])
def test_who_asks_for_a_list_loads_neither_pages_nor_documents(words: list[str], tmp_path: Path) -> None:
    config = tmp_path / "wetread.toml"
    config.write_text(f"[node]\ndata_folder = {json.dumps(str(tmp_path / 'data'))}\n")
    run = [sys.executable, "-X", "importtime", "-m", "agent", "--config", str(config)]
    subprocess.run([*run, "db", "upgrade"], capture_output=True, timeout=60, check=True)

    told = subprocess.run([*run, *words], capture_output=True, text=True, timeout=60, check=False)

    loaded = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines() if line.startswith("import time:")}
    assert "sqlalchemy" in loaded
    assert loaded & {"starlette", "authlib", "argon2", "highdicom", "torch", "celery", "pynetdicom"} == set()


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
