"""`wetread` as a process of its own, forked from one that has its libraries: loading them takes a second each time."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from functools import cache
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Final

from agent.cli import main

_PROCESSES: Final = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__, "agent.commands.study", "agent.commands.ae", "agent.commands.check"])
_WORDS: Final = ("out", "err")


@cache
def _name_the_socket() -> None:
    """A listener in this process has set where temporary files begin: too long for the address of a socket (108)."""
    usual, tempfile.tempdir = tempfile.tempdir, None
    try:
        get_temp_dir()  # remembered for the process
    finally:
        tempfile.tempdir = usual


def run(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run `wetread` with these arguments, this environment and this working folder; its standard input is empty."""
    with tempfile.TemporaryDirectory() as folder:
        words = [Path(folder) / name for name in _WORDS]
        process = _PROCESSES.Process(target=_run, args=(arguments, dict(os.environ), Path.cwd(), words))
        _name_the_socket()
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["wetread", *arguments], seconds)
        out, err = (path.read_text() for path in words)
        return subprocess.CompletedProcess(["wetread", *arguments], process.exitcode, out, err)


def _run(arguments: tuple[str, ...], environment: dict[str, str], folder: Path, words: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in enumerate(words, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["wetread", *arguments]
    main()
