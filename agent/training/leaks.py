"""One film in two splits of a manifest: what a model has learned would be taken for what it can do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.manifest import Case, ManifestError
from agent.readers import learned

_SHOWN: Final = 10  # pairs of lines in one message


def refuse_same_files(manifest: Path, cases: Sequence[Case]) -> None:
    """Raises ManifestError: one film, byte by byte, is in two splits. Files of different sizes are not read."""
    of_size: defaultdict[int, list[Case]] = defaultdict(list)
    for case in cases:
        if case.split:
            of_size[case.image.stat().st_size].append(case)
    alike = [same for same in of_size.values() if len({case.split for case in same}) > 1]
    found = [(case, learned.digest(case.image)) for same in alike for case in same]
    _refuse(manifest, found, "are one and the same film; leave it in one split")


def refuse_same_pictures(manifest: Path, cases: Sequence[Case], pictures: Sequence[str]) -> None:
    """Raises ManifestError: one picture is in two splits, in two files and maybe of two patients.

    pictures: `Film.digest` of each film, from its decoding; empty where it could not be decoded.
    """
    found = [(case, picture) for case, picture in zip(cases, pictures, strict=True) if picture]
    _refuse(manifest, found, "show one and the same picture, pixel by pixel, in two files; leave the film in one split")


def _refuse(manifest: Path, digests: Sequence[tuple[Case, str]], words: str) -> None:
    first: dict[str, Case] = {}
    leaks = []
    for case, digest in digests:
        other = first.setdefault(digest, case)
        if other.split != case.split:
            one, two = sorted((other, case), key=lambda film: film.line)
            leaks.append(f"lines {one.line} ({one.split!r}) and {two.line} ({two.split!r})")
    if leaks:
        more = f", and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
        raise ManifestError(f"{manifest}: {', '.join(leaks[:_SHOWN])}{more} {words}")
