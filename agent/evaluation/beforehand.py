"""What can be known of an evaluation before hours go into reading: is there anything to judge by, and is it fair?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.evaluation.judging import Source, scored
from agent.manifest import Case, ManifestError, mistaken_columns
from agent.readers import learned


def check(manifest: Path, cases: Sequence[Case], source: Source) -> Iterator[str]:
    """What to tell whoever judges. Raises ManifestError: the films have nothing to be judged by."""
    near = mistaken_columns(manifest)
    advice = [f"the column {column!r} is none that we know; did you mean {label!r}?" for column, label in near.items()]
    if not scored(cases, source):
        what = {"auto": "neither labels nor reports", "labels": "no labels", "reports": "no reports"}[source]
        raise ManifestError(" ".join([f"{manifest}: the chosen films have {what} to judge by.", *advice]))
    yield from (f"{words} It is ignored." for words in advice)


def learned_from(model: Path, cases: Sequence[Case]) -> str:
    """In words, how many of the films a model learned from; empty where none is in its list, or it has no list."""
    number = learned.known(model, [case.image for case in cases])
    if not number:
        return ""
    return f"{number} of {len(cases)} films are among those that this model learned from: no fair test of it"


def warned(readings: Path) -> dict[str, str]:
    """What an evaluation of the same texts, in the same folder, warned of; empty where there is none."""
    try:
        warning = json.loads(readings.with_name("evaluation.json").read_text("utf-8"))["heading"].get("warning", "")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):  # it is something else of that name
        return {}
    return {"warning": f"in the evaluation of these texts: {str(warning).strip('*')}"} if warning else {}
