"""Texts that say of one finding that it is there, and that it is not."""

from __future__ import annotations

from typing import Final

from agent.readers.guards.claims import Span
from reports.findings import extract
from reports.findings.opposed import opposed

# Findings that one film either shows or not. An opacity is not one of them: "no focal opacity. Streaky opacities" is
# ordinary English; nor is a fracture, here and not there.
_DECIDABLE: Final = frozenset(
    {
        "atelectasis",
        "cardiomegaly",
        "consolidation",
        "edema",
        "effusion",
        "emphysema",
        "fibrosis",
        "hernia",
        "infiltrate",
        "mass",
        "nodule",
        "pleural_thickening",
        "pneumonia",
        "pneumothorax",
    }
)


def contradictions(text: str) -> tuple[tuple[Span, Span], ...]:
    """Pairs of sentences of which one says that a finding is present and the other that it is absent, as `opposed`."""
    mentions = [one for one in extract(text).mentions if one.concept in _DECIDABLE]
    return tuple((yes.sentence, no.sentence) for yes, no in opposed(text, mentions))
