"""Where the operating system or the database refuses: in one sentence, who asked, what was refused, and what to do."""

from __future__ import annotations

import errno
import getpass
import os
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sqlalchemy.exc import DBAPIError

from agent.config import Config
from dicom_node.errors import ConfigurationError

_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
LITTLE: Final = 64 << 20  # bytes that are free: less than one write of a checkpoint

# SQLite's result codes (sqlite.org/rescode.html), by the beginning of their names.
_SQLITE: Final = MappingProxyType(
    {
        "SQLITE_FULL": "the disk of {folder} is full; free some space",
        "SQLITE_READONLY_ROLLBACK": "{folder} cannot be written: is its disk mounted read-only?",
        "SQLITE_READONLY": "{folder} cannot be written: is its disk mounted read-only?",
        "SQLITE_CANTOPEN": "{file} cannot be opened: is its disk mounted, and node.data_folder right?",
        "SQLITE_IOERR": "the disk of {folder} answers with errors; look at the system's log (dmesg)",
        "SQLITE_BUSY": "{file} is busy: another program has held it for half a minute; see which with: wetread check",
        "SQLITE_CORRUPT": "{file} is damaged; stop wetread and put a backup back with: wetread db restore",
        "SQLITE_NOTADB": "{file} is no database; stop wetread and put a backup back with: wetread db restore",
    }
)


class Refused(ConfigurationError):
    """This user, disk or database does not let us; the message says whose it is and what to run."""


def explain(error: Exception, config: Config | None) -> str | None:
    """The sentence for a refusal; None where it is none that an administrator could mend.

    config: None where the configuration itself cannot be read.
    """
    if isinstance(error, DBAPIError):
        cause = error.orig
        if isinstance(cause, sqlite3.Error):
            return explain(cause, config)
        if error.connection_invalidated or type(error).__name__ == "OperationalError":
            return f"the database does not answer ({type(cause).__name__}): does it run, and is node.database right?"
        return None
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, config)
    return _of_system(error, config) if isinstance(error, OSError) else None


@contextmanager
def writing(folder: Path, then: str) -> Iterator[None]:
    """Raises Refused where the disk of a folder gets full, also where a library says so in words of its own.

    then: what to do when there is space again.
    """
    try:
        yield
    except Exception as error:
        if _says_full(error, folder):
            raise Refused(f"the disk of {folder} is full; free some space, {then}") from error
        raise


def _says_full(error: BaseException | None, folder: Path) -> bool:
    """safetensors quotes the system's number; torch's writer of archives finds itself at the wrong place.

    The latter says so of a damaged file as well: it counts where the disk has little space.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(f"os error {number})" in str(error) for number in _FULL):
            return True
        if "inline_container" in str(error) and _free(folder) < LITTLE:
            return True
        error = error.__cause__ or error.__context__
    return False


def _free(folder: Path) -> int:
    """Bytes; 0 where not even that can be asked."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _of_system(error: OSError, config: Config | None) -> str | None:
    named = error.filename if isinstance(error.filename, str | os.PathLike) else None
    place = Path(os.fsdecode(named)) if named else (config.node.data_folder if config else None)
    if place is None:
        return None
    if error.errno in _FORBIDDEN:
        return whose(place)
    if error.errno in _FULL:
        return f"the disk of {place} is full; free some space"
    if error.errno in {errno.ENOENT, errno.ENOTDIR} and not place.parent.is_dir():
        return f"{place}: there is no folder {place.parent}; make it, or name another"
    if error.errno == errno.EROFS:
        return f"{place} cannot be written: its disk is mounted read-only"
    return None


def _of_sqlite(error: sqlite3.Error, config: Config | None) -> str | None:
    name = getattr(error, "sqlite_errorname", "") or ""
    words = next((words for code, words in _SQLITE.items() if name.startswith(code)), None)
    if words is None or config is None:
        return None
    file = Path(config.node.database_url.removeprefix("sqlite:///"))
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")) and not _may_write(file):
        return whose(file)
    return words.format(folder=file.parent, file=file)


def text_of(file: Path) -> str:
    """What a person wrote, in UTF-8 with or without a byte order mark; - is standard input.

    Raises ConfigurationError, and OSError.
    """
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}, line {line}: not in UTF-8; save the file as UTF-8") from error


def whose(place: Path) -> str:
    """Who we are, whose the nearest folder that keeps us out is, and the command to type."""
    folder = _obstacle(place)
    owner, us = _owner(folder), _name()
    what = "folder" if folder.is_dir() else "file"
    if owner == us:
        return f"you are {us}, but the {what} {folder}, which is yours, does not let you: look at its mode (ls -ld)"
    return f"you are {us}, the {what} {folder} belongs to {owner}; run: sudo -u {shlex.quote(owner)} wetread ..."


def _obstacle(place: Path) -> Path:
    """The first on the way down to `place` that we may not enter, or the last that exists."""
    way = [*reversed(place.absolute().parents), place.absolute()]
    last = way[0]
    for step in way:
        if not os.path.lexists(step):
            break
        last = step
        if step.is_dir() and not os.access(step, os.X_OK):
            break
    if last.is_file() and os.access(last, os.R_OK | os.W_OK):  # SQLite writes beside the file as well
        return last.parent
    return last


def _may_write(file: Path) -> bool:
    return os.access(file, os.R_OK | os.W_OK) and os.access(file.parent, os.W_OK | os.X_OK)


def _owner(place: Path) -> str:
    try:
        return place.owner()
    except KeyError:  # a user number without a name; sudo takes it so
        return f"#{place.stat().st_uid}"
    except OSError:
        return "another user"


def _name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
