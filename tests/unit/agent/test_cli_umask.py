"""What the command writes is for its own user."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path


def test_nothing_that_a_command_writes_can_be_read_by_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    config = tmp_path / "wetread.toml"
    config.write_text(f'[node]\ndata_folder = "{folder}"\n')
    command = [sys.executable, "-m", "agent", "--config", str(config), "db", "upgrade"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=lambda: os.umask(0))

    assert done.returncode == 0, done.stderr
    written = [folder, *folder.rglob("*")]
    assert len(written) > 1
    assert [path.name for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
