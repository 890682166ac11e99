"""What a process asks of the machine before it begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_WORK = """
import os
import agent.work
from agent.cli import main
agent.work.run = lambda config: print("nice", os.nice(0), config.reader.nice)
main()
"""


def test_reading_gives_way_to_the_other_processes(tmp_path: Path, sqlite_url: str) -> None:
    config, folder = tmp_path / "wetread.toml", Path(sqlite_url.removeprefix("sqlite:///")).parent
    config.write_text(f'[node]\ndata_folder = "{folder}"\n[reader]\nnice = 3\n')
    before = subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout.strip()

    done = subprocess.run(
        [sys.executable, "-c", _WORK, "--config", str(config), "work"], capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == ["nice", str(min(19, int(before) + 3)), "3"], done.stderr
