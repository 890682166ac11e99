"""Which films a model learned from: a list of digests beside its weights, so that nobody judges it by them unawares.

Each line is the first 16 hexadecimal digits of the SHA-256 of a film's file, byte by byte: the same film in another
file, such as DICOM for PNG, is not known again. Of films of a public data set, whose names mean the same everywhere,
the list of the demonstration model also has the digests of their names without ending.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agent.readers.weights.origin import LEARNED

_DIGITS: Final = 16


def digest(film: Path) -> str:
    """Of the whole file. Raises OSError."""
    with film.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:_DIGITS]


def digest_of_name(film: Path) -> str:
    """Of the name without folder and ending."""
    return hashlib.sha256(f"name {film.stem}".encode()).hexdigest()[:_DIGITS]


def read(folder: Path) -> frozenset[str]:
    """The digests in the list of a checkpoint; none where it has no list."""
    path = folder / LEARNED
    return frozenset(path.read_text(encoding="ascii", errors="replace").split()) if path.is_file() else frozenset()


def write(folder: Path, films: Iterable[Path], before: Iterable[str] = (), *, public: bool = False) -> None:
    """The list of a checkpoint. before: digests of what the model had learned from when it started.

    public: also those of names. Never for a hospital's own films: a number in a name could be guessed from its digest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = set(films)
    digests = sorted({*before, *map(digest, paths), *(map(digest_of_name, paths) if public else ())})
    (folder / LEARNED).write_text("".join(f"{one}\n" for one in digests), encoding="ascii")


def known(folder: Path, films: Iterable[Path]) -> int | None:
    """How many of the films are in the list of the checkpoint; None where it has no list."""
    listed = read(folder)
    return sum(_is_listed(film, listed) for film in films) if listed else None


def _is_listed(film: Path, listed: frozenset[str]) -> bool:
    return digest_of_name(film) in listed or (film.is_file() and digest(film) in listed)
