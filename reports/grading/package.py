"""The package that raters see: films and texts under names that say nothing, each with its digest.

A folder: `package.json` lists everything, `films/` has two files a film, `grades.db` what the raters did. Which text is
whose stands in the key, a file of its own that nothing here opens; the package holds only its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from dicom_node.errors import NotFound, WetreadError

LIST: Final = "package.json"
FILMS: Final = "films"
GRADES: Final = "grades.db"
_FORMAT: Final = "reader-study 1"


class PackageError(WetreadError):
    """The package is damaged, or not what the grades are about."""


@dataclass(frozen=True, slots=True)
class PackedFilm:
    """One film: digests of its two files, and what may be said of it beside its pixels."""

    id: str
    preview: str
    pixels: str
    facts: Mapping[str, Any]

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Its files with their digests."""
        return ((f"{self.id}.jpg", self.preview), (f"{self.id}.film", self.pixels))


@dataclass(frozen=True, slots=True)
class Item:
    """One report about one film; digest: SHA-256 of its text in UTF-8."""

    id: str
    film: str
    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class Package:
    """Everything that raters may see. order_seed: of their orders, says nothing about the key.

    key_digest: SHA-256 of the key that was written with the package; digest: of `package.json` itself.
    """

    folder: Path
    title: str
    made_at: str
    software: str
    order_seed: str
    key_digest: str
    films: Mapping[str, PackedFilm]
    items: Mapping[str, Item]
    digest: str = ""

    @property
    def grades(self) -> Path:
        """Where the grades are kept."""
        return self.folder / GRADES

    def film_of(self) -> dict[str, str]:
        """The film of each item."""
        return {item.id: item.film for item in self.items.values()}


def item(id: str, film: str, text: str) -> Item:  # noqa: A002  the name of the field
    """With the digest of its text."""
    return Item(id, film, text, sha256(text.encode()))


def write_package(package: Package) -> None:
    """Write the list into the folder; the films are there."""
    whole = {
        "format": _FORMAT,
        "title": package.title,
        "made_at": package.made_at,
        "software": package.software,
        "order_seed": package.order_seed,
        "key_sha256": package.key_digest,
        "films": [{**asdict(film), "facts": dict(film.facts)} for _, film in sorted(package.films.items())],
        "items": [asdict(one) for _, one in sorted(package.items.items())],
    }
    (package.folder / LIST).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_package(folder: Path) -> Package:
    """Raises NotFound: no package there. PackageError: it cannot be read."""
    path = folder / LIST
    if not path.is_file():
        raise NotFound(f"{folder} is no reader study: it has no {LIST}; wetread eval reader-study make writes one")
    content = path.read_bytes()
    try:
        told = json.loads(content)
        if told["format"] != _FORMAT:
            raise PackageError(f"{path} has the format {told['format']!r}; this program reads {_FORMAT!r}")
        films = {one["id"]: PackedFilm(**one) for one in told["films"]}
        items = {one["id"]: Item(**one) for one in told["items"]}
        return Package(
            folder=folder,
            title=told["title"],
            made_at=told["made_at"],
            software=told["software"],
            order_seed=told["order_seed"],
            key_digest=told["key_sha256"],
            films=MappingProxyType(films),
            items=MappingProxyType(items),
            digest=sha256(content),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PackageError(f"{path} is damaged: bring it back from where it was copied") from error


def verify(package: Package, *, told: Callable[[int], None] = lambda _done: None) -> None:
    """Is every film and text what it was? told: is called with the number of films that were looked at.

    Raises PackageError with the names of the files.
    """
    wrong = [f"the text of item {one.id}" for one in package.items.values() if sha256(one.text.encode()) != one.digest]
    for number, film in enumerate(package.films.values(), start=1):
        wrong += _changed(package.folder / FILMS, film)
        told(number)
    if wrong:
        raise PackageError(f"{package.folder} was changed since it was made: {', '.join(wrong[:20])}")


def sha256(content: bytes) -> str:
    """As hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _changed(folder: Path, film: PackedFilm) -> Iterator[str]:
    for name, digest in film.names:
        path = folder / name
        if not path.is_file() or sha256(path.read_bytes()) != digest:
            yield name
