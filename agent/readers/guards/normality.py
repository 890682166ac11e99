"""What a film that is called normal, or lungs that are called clear, cannot show as well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Final

from agent.readers.guards.claims import Span
from reports.findings import Laterality, Mention, Severity
from reports.findings.mentions import NORMALITY

_AIRSPACE: Final = frozenset({"consolidation", "edema", "infiltrate", "mass", "pneumonia"})
_ACUTE: Final = frozenset({"consolidation", "edema", "hydropneumothorax", "pneumonia", "pneumothorax"})
_EFFUSION: Final = frozenset({"effusion", "hydropneumothorax"})
# What is called normal, and the findings that it excludes.
_EXCLUDES: Final = MappingProxyType(
    {
        "lungs": _AIRSPACE,
        "acute": _ACUTE,
        "whole": _AIRSPACE | _ACUTE | _EFFUSION | {"cardiomegaly"},
        "angles": _EFFUSION,
    }
)
_NORMAL_CHEST: Final = re.compile(
    r"\bchest (?:(?:radiograph|x-?ray|film|examination|exam|study) )?(?:is|appears) (?:entirely |completely )?"
    r"(?:normal|unremarkable)\b(?! (?:in|for|size|except|apart))",
    re.IGNORECASE,
)
_ANGLES: Final = re.compile(
    r"\b(?:(right|left) )?(?:lateral )?costophrenic (?:angles?|sulci|sulcus|recess(?:es)?) "
    r"(?:is|are|appears?|remains?) (?:bilaterally |both )?(?:sharp|clear|preserved|normal)\b|"
    r"\b(?:sharp|clear) (?:(right|left) )?costophrenic (?:angles?|sulci|sulcus)\b",
    re.IGNORECASE,
)
_LUNG: Final = re.compile(
    r"\b(right|left) lung (?:is|appears|remains) (?:well[- ]expanded and )?clear\b"
    r"(?! of\b)(?![^.;]*\b(?:but|except|other|otherwise|apart|aside)\b)",
    re.IGNORECASE,
)
# In the sentence that calls something normal: it is said of less.
_LESS: Final = re.compile(
    r"\b(?:otherwise|other|additional|new|further|interval|superimposed|definite|except|apart|aside|besides|but|though|"
    r"although|however|grossly|limits?|limited|rest|remainder|remaining|elsewhere|clear of|evidence of|for age|lateral|"
    r"posterior|anterior|upper|mid|middle|lower|at|above|below|portions?|parts?|aerated|visuali[sz]ed|visible|imaged|where)\b",
    re.IGNORECASE,
)
# In the sentence of the finding: it is not of today, or too little for the angles.
_NOT_ACUTE: Final = re.compile(
    r"\b(?:chronic|old|known|long-?standing|scar\w*|stable|unchanged|persist\w*|again|remain\w*|improv\w*|decreas\w*|"
    r"residual|healed|calcif\w*|prior|previous\w*|earlier|resolv\w*|resolution|clear(?:ed|ing)|history|no longer|ago|"
    r"yesterday|was|were)\b",
    re.IGNORECASE,
)
_HIDDEN: Final = re.compile(
    r"\b(?:loculated|fissur\w*|subpulmonic|posterior\w*|lateral\w*|trace|tiny|minimal|minute)\b", re.IGNORECASE
)
_BESIDE_THE_LUNGS: Final = re.compile(
    r"\b(?:mediastin\w*|paratracheal|hil(?:um|ar|a)|thyroid|goiter|chest wall|pleura\w*|soft tissues?|retrocardiac|"
    r"liver|abdom\w*|breasts?|ribs?|bones?|osseous|spine|skin)\b",
    re.IGNORECASE,
)
_MUCH: Final = frozenset({Severity.MODERATE, Severity.SEVERE})


def denied_by_normality(
    text: str, mentions: Sequence[Mention], stated: Sequence[Mention]
) -> Iterator[tuple[Span, Span]]:
    """Pairs of places: one states a finding, the other calls normal what would not be normal with it.

    stated: those of `mentions` that say for sure that a finding is there.
    """
    for kind, place, side in _normals(text, mentions):
        for one in stated:
            if _excludes(kind, one, text) and _touches(side, one.laterality):
                yield one.sentence, place


def _touches(normal: str | None, side: Laterality | None) -> bool:
    """Whether a finding of a side, or of both, lies where it was called normal."""
    if normal in {None, Laterality.BILATERAL}:
        return True
    return side is Laterality.BILATERAL or normal == side


def _normals(text: str, mentions: Sequence[Mention]) -> Iterator[tuple[str, Span, str | None]]:
    """What is called normal without a reserve: its kind, its sentence, its side."""
    for one in mentions:
        if one.concept == NORMALITY and not _LESS.search(text, *one.sentence):
            yield _kind_of(" ".join(text[slice(*span)] for span in one.words)), one.sentence, one.laterality
    for found in _NORMAL_CHEST.finditer(text):
        yield "whole", found.span(), None
    for found in _LUNG.finditer(text):
        yield "lungs", found.span(), found[1].lower()
    for found in _ANGLES.finditer(text):
        yield "angles", found.span(), (found[1] or found[2] or "").lower() or None


def _kind_of(words: str) -> str:
    if re.search(r"\b(?:acute|active)\b", words, re.IGNORECASE):
        return "acute"
    return "lungs" if re.search(r"\blungs?\b|\bclear\b", words, re.IGNORECASE) else "whole"


def _excludes(kind: str, one: Mention, text: str) -> bool:
    said = text[slice(*one.sentence)]
    if kind == "acute" and one.concept == "effusion":
        return one.severity in _MUCH and not _NOT_ACUTE.search(said)
    if one.concept not in _EXCLUDES[kind] or _NOT_ACUTE.search(said):
        return False
    if kind == "lungs" and one.concept == "mass" and _BESIDE_THE_LUNGS.search(said):
        return False
    return kind != "angles" or not _HIDDEN.search(said)
