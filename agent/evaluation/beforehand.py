"""What can be known of an evaluation before hours go into reading: is there anything to judge by, and is it fair?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agent.evaluation.judging import Source, scored
from agent.evaluation.readings import FilmReading
from agent.imaging import likeness
from agent.manifest import Case, ManifestError, mistaken_columns
from agent.readers import learned, signs
from agent.readers.weights.origin import SIGNS
from dicom_node.counted import counted

_SHOWN: Final = 10  # lines of the manifest
_NOTHING_READ: Final[Mapping[str, FilmReading]] = MappingProxyType({})


def check(manifest: Path, cases: Sequence[Case], source: Source) -> Iterator[str]:
    """What to tell whoever judges. Raises ManifestError: the films have nothing to be judged by."""
    near = mistaken_columns(manifest)
    advice = [f"the column {column!r} is none that we know; did you mean {label!r}?" for column, label in near.items()]
    if not scored(cases, source):
        what = {"auto": "neither labels nor reports", "labels": "no labels", "reports": "no reports"}[source]
        raise ManifestError(" ".join([f"{manifest}: the chosen films have {what} to judge by.", *advice]))
    yield from (f"{words} It is ignored." for words in advice)


def learned_from(model: Path, cases: Sequence[Case], readings: Mapping[str, FilmReading] = _NOTHING_READ) -> str:
    """In words, how many of the films a model learned from; empty where none is in its lists, or it has no list.

    readings: by id, of films that were read; these are known again in other files, too, and when they look like one.
    """
    read = {case.image: readings[case.id] for case in cases if case.id in readings}
    digests = {film: (reading.film, reading.picture) for film, reading in read.items()}
    by_file, by_picture = learned.known(model, [case.image for case in cases], digests) or (0, 0)
    told = []
    if by_file + by_picture:
        others = f" ({by_picture} of them in another file)" if by_picture else ""
        whole = f"{by_file + by_picture} of {len(cases)} films"
        told.append(f"{whole} are among those that this model learned from{others}: no fair test of it")
    alike = _alike(model, cases, readings)
    if alike:
        more = f" and {len(alike) - _SHOWN} more" if len(alike) > _SHOWN else ""
        told.append(
            f"{counted(len(alike), 'film looks', 'films look')} like one that this model learned from, resized, "
            f"compressed or with other grays, or changed as said behind the line: {', '.join(alike[:_SHOWN])}{more}. "
            "Compare: a copy is no fair test"
        )
    return "; ".join(told)


def _alike(model: Path, cases: Sequence[Case], readings: Mapping[str, FilmReading]) -> list[str]:
    """The lines of films that look like one of training, and how they differ, without those that are known as such."""
    listed = learned.read(model)
    left = [case for case in cases if case.id in readings and not _known(case, readings[case.id], listed)]
    prints = [signs.fingerprint(readings[case.id].sign) for case in left]
    found: dict[int, str] = {}
    for two in likeness.between(prints, signs.read(model).fingerprints):
        line = left[two.one].line
        found[line] = min(found.get(line, two.how), two.how, key=len)  # of several films the plainest way
    return [f"line {line}{f' [{how}]' if how else ''}" for line, how in sorted(found.items())]


def _known(case: Case, reading: FilmReading, listed: frozenset[str]) -> bool:
    return not listed.isdisjoint({reading.film, reading.picture, learned.digest_of_name(case.image)})


def unknown(model: Path, cases: Sequence[Case], readings: Mapping[str, FilmReading]) -> str:
    """In words, why copies of films that a model learned from may not be known again; empty where they would be.

    Of a model without any list nothing is known, as of the published one.
    """
    known = signs.read(model)
    copies = "a film that was resized, compressed with losses, turned, mirrored or cropped is not known again"
    if not learned.read(model):
        return ""
    if not known.whole:
        which = "some of " if known.fingerprints else ""
        return f"the model has no fingerprints of {which}the films that it learned from ({SIGNS}): {copies}"
    old = [case for case in cases if (one := readings.get(case.id)) and one.picture and not one.sign]
    return f"of {counted(len(old), 'film')} the file of readings has no fingerprint: {copies}" if old else ""


def warned(readings: Path) -> dict[str, str]:
    """What an evaluation of the same texts, in the same folder, warned of; empty where there is none."""
    try:
        warning = json.loads(readings.with_name("evaluation.json").read_text("utf-8"))["heading"].get("warning", "")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):  # it is something else of that name
        return {}
    return {"warning": f"in the evaluation of these texts: {str(warning).strip('*')}"} if warning else {}
