"""Which films a model learned from: a list of digests beside its weights, so that nobody judges it by them unawares.

Each line is 16 hexadecimal digits: the first of the SHA-256 of a film's file, byte by byte; or the first of the digest
of its picture (`agent.imaging.pixels.digest_of`), by which the same film is known again in another file, under another
name, with another header or lossless compression. A film that was resized, or compressed with losses, has other pixels:
`agent.readers.signs` knows it again. Of films of a public data set, whose names mean the same everywhere, the list of
the demonstration model also has the digests of their names without ending.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agent.readers.weights.origin import LEARNED

_DIGITS: Final = 16
_NONE: Final[Mapping[Path, tuple[str, str]]] = MappingProxyType({})


def digest(film: Path) -> str:
    """Of the whole file. Raises OSError."""
    with film.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:_DIGITS]


def digest_of_name(film: Path) -> str:
    """Of the name without folder and ending."""
    return hashlib.sha256(f"name {film.stem}".encode()).hexdigest()[:_DIGITS]


def digest_of_picture(digest: str) -> str:
    """Of the decoded film. digest: `Film.digest`; empty for a film that has none."""
    return digest[:_DIGITS]


def read(folder: Path) -> frozenset[str]:
    """The digests in the list of a checkpoint; none where it has no list."""
    path = folder / LEARNED
    return frozenset(path.read_text(encoding="ascii", errors="replace").split()) if path.is_file() else frozenset()


def write(
    folder: Path,
    films: Iterable[Path],
    before: Iterable[str] = (),
    *,
    pictures: Iterable[str] = (),
    public: bool = False,
) -> None:
    """The list of a checkpoint. before: digests of what the model had learned from when it started.

    pictures: `Film.digest` of each film. public: also the digests of names. Never for a hospital's own films: a number
    in a name could be guessed from its digest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = set(films)
    seen = {digest_of_picture(one) for one in pictures} - {""}
    digests = sorted({*before, *seen, *map(digest, paths), *(map(digest_of_name, paths) if public else ())})
    (folder / LEARNED).write_text("".join(f"{one}\n" for one in digests), encoding="ascii")


def known(
    folder: Path, films: Iterable[Path], digests: Mapping[Path, tuple[str, str]] = _NONE
) -> tuple[int, int] | None:
    """How many films are in the list of the checkpoint by file or name, and how many more by their picture alone.

    digests: of file and picture where a film was read already; of the others the file alone is read. None where the
    checkpoint has no list.
    """
    listed = read(folder)
    if not listed:
        return None
    by_file = by_picture = 0
    for film in films:
        of_file, of_picture = digests.get(film, ("", ""))
        if digest_of_name(film) in listed or (of_file or _of_file(film)) in listed:
            by_file += 1
        elif of_picture in listed:
            by_picture += 1
    return by_file, by_picture


def _of_file(film: Path) -> str:
    return digest(film) if film.is_file() else ""
