"""One film in two splits of a manifest: what a model has learned would be taken for what it can do.

The same file and the same picture are errors, nearly the same picture is a warning: two films may look alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from agent.imaging import likeness
from agent.imaging.likeness import Alike
from agent.manifest import Case, ManifestError
from agent.readers import learned, signs
from agent.training.seen import Seen
from dicom_node.counted import counted

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


def alike(manifest: Path, cases: Sequence[Case], fingerprints: Sequence[bytes]) -> Iterator[str]:
    """A warning where films of two splits are nearly one picture, which no digest says: nobody but a person can tell.

    fingerprints: of `agent.imaging.likeness`, one a film; empty where it could not be decoded.
    """
    found = likeness.pairs(fingerprints, [case.split for case in cases])
    pairs = sorted((_both(cases, two) for two in found), key=lambda pair: (pair[0].line, pair[1].line))
    if pairs:
        more = f", and {counted(len(pairs) - _SHOWN, 'pair')} more" if len(pairs) > _SHOWN else ""
        lines = ", ".join(f"{_lines(one, two)}{how}" for one, two, how in pairs[:_SHOWN])
        yield (
            f"warning: {manifest}: films in two splits look like one film, resized, compressed or with other grays, or "
            f"changed as said behind their lines: {lines}{more}. "
            "Compare them: of one film leave one row, or both in one split; of two films nothing is to be done"
        )


def learned_before(start: Path, cases: Sequence[Case], shown: Sequence[Seen]) -> Iterator[str]:
    """Warnings where films that a model is judged by are among those that its start learned from, or look like one.

    shown: by these films; of none that could not be decoded anything is known.
    """
    before = learned.read(start)
    again = [bool(one.digest) and learned.digest_of_picture(one.digest) in before for one in shown]
    if any(again):
        are = counted(sum(again), "film of another split is", "films of other splits are")
        yield f"warning: {are} among those that {start} learned from: no fair test"
    prints = [b"" if known else one.fingerprint for one, known in zip(shown, again, strict=True)]
    lines = sorted({cases[two.one].line for two in likeness.between(prints, signs.read(start).fingerprints)})
    if lines:
        more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        look = counted(len(lines), "film of another split looks", "films of other splits look")
        yield (
            f"warning: {look} like one that {start} learned from, resized, compressed, with other grays, turned, "
            f"mirrored or cropped: lines {', '.join(map(str, lines[:_SHOWN]))}{more}. Compare: a copy is no fair test"
        )


def _both(cases: Sequence[Case], two: Alike) -> tuple[Case, Case, str]:
    """In the order of the lines, and how they differ, as ` [mirrored]`."""
    one, other = sorted((cases[two.one], cases[two.other]), key=lambda case: case.line)
    return one, other, f" [{two.how}]" if two.how else ""


def _lines(one: Case, two: Case) -> str:
    """Of the manifest and no paths: names of files are often those of patients."""
    return f"lines {one.line} ({one.split!r}) and {two.line} ({two.split!r})"


def _refuse(manifest: Path, digests: Sequence[tuple[Case, str]], words: str) -> None:
    first: dict[str, Case] = {}
    leaks = []
    for case, digest in digests:
        other = first.setdefault(digest, case)
        if other.split != case.split:
            one, two = sorted((other, case), key=lambda film: film.line)
            leaks.append(_lines(one, two))
    if leaks:
        more = f", and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
        raise ManifestError(f"{manifest}: {', '.join(leaks[:_SHOWN])}{more} {words}")
