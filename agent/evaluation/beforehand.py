"""What can be known of an evaluation before hours go into reading: is there anything to judge by, and is it fair?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agent.evaluation.judging import Source, scored
from agent.evaluation.readings import FilmReading
from agent.manifest import Case, ManifestError, mistaken_columns
from agent.readers import learned

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
    """In words, how many of the films a model learned from; empty where none is in its list, or it has no list.

    readings: by id, of films that were read; these are known again in other files, too.
    """
    read = {case.image: readings[case.id] for case in cases if case.id in readings}
    digests = {film: (reading.film, reading.picture) for film, reading in read.items()}
    by_file, by_picture = learned.known(model, [case.image for case in cases], digests) or (0, 0)
    if not by_file + by_picture:
        return ""
    others = f" ({by_picture} of them in another file)" if by_picture else ""
    whole = f"{by_file + by_picture} of {len(cases)} films"
    return f"{whole} are among those that this model learned from{others}: no fair test of it"


def warned(readings: Path) -> dict[str, str]:
    """What an evaluation of the same texts, in the same folder, warned of; empty where there is none."""
    try:
        warning = json.loads(readings.with_name("evaluation.json").read_text("utf-8"))["heading"].get("warning", "")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):  # it is something else of that name
        return {}
    return {"warning": f"in the evaluation of these texts: {str(warning).strip('*')}"} if warning else {}
