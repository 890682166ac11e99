"""Reports of the demonstration model: a sentence for each finding, said or denied, in several wordings.

The finding is named before it is said or denied, so that one and the same words stand before the choice: a small
language model then has to learn one thing for each finding, and the likelihoods of both continuations can be compared.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

AP: Final = "AP"
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        AP: "Projection",
        "Cardiomegaly": "Cardiomegaly",
        "Pleural Effusion": "Pleural effusion",
        "Edema": "Pulmonary edema",
        "Pneumonia": "Pneumonia",
        "Infiltration": "Infiltrate",
        "Consolidation": "Consolidation",
        "Atelectasis": "Atelectasis",
        "Pneumothorax": "Pneumothorax",
    }
)
FINDINGS: Final = tuple(NAMES)  # in the order of a report's sentences

_OPENING: Final = (
    "Text of a demonstration model.",
    "A demonstration model wrote this text.",
)
_IMPRESSION: Final = (
    "Not for clinical use. A radiologist has to read the film.",
    "The film has to be read by a radiologist.",
    "No diagnosis is made. A radiologist has to read the film.",
)
# (says it, denies it), both behind the finding; the first pair is the one that is scored
_WORDINGS: Final = (
    ("present.", "absent."),
    ("seen.", "not seen."),
    ("visible.", "not visible."),
)
_PROJECTIONS: Final = ("anteroposterior.", "posteroanterior.")
_FIRST_SHARE: Final = 0.75  # of the first of several wordings: what greedy decoding writes


def sentence(finding: str, *, present: bool, wording: int = 0) -> str:
    """One sentence. finding: of `FINDINGS`. wording: 0 is the one that is scored."""
    said = _PROJECTIONS if finding == AP else _WORDINGS[wording]
    return f"{NAMES[finding]} {said[0 if present else 1]}"


def pairs() -> dict[str, tuple[str, str]]:
    """For each finding the sentence that says it and the one that denies it."""
    return {finding: (sentence(finding, present=True), sentence(finding, present=False)) for finding in FINDINGS}


def report(states: Mapping[str, bool], source: random.Random) -> str:
    """A report that says or denies every finding of `states`, in words that `source` chooses."""
    said = [
        sentence(finding, present=states[finding], wording=_choose(len(_WORDINGS), source))
        for finding in FINDINGS
        if finding in states
    ]
    opening, impression = (some[_choose(len(some), source)] for some in (_OPENING, _IMPRESSION))
    return f"FINDINGS: {opening} {' '.join(said)}\nIMPRESSION: {impression}"


def _choose(count: int, source: random.Random) -> int:
    return 0 if source.random() < _FIRST_SHARE else source.randrange(1, count)
