"""What the words of a report say, for the page where they are written: findings, where each is said, what is odd.

Places are counted in UTF-16 code units, as a browser's text field counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from reports.findings import CHEXPERT, Finding, Span, State, extract
from reports.findings.labels import NO_FINDING
from reports.signoff.edits import Contradiction, narrative, warnings
from reports.text import DraftText

SHOWN: Final = (*(label for label in CHEXPERT if label != NO_FINDING), "Emphysema", "Fibrosis", "Hernia")
"""Findings that have a chip, in this order; the rest of the labels are other names of the same."""

Claims = Callable[[str], Sequence[Span]]
"""Where a text claims what its writer cannot know, such as a comparison with an older film."""

_BETWEEN: Final = "\n\n"
_OFFERED: Final = MappingProxyType(
    {
        State.PRESENT: "{label} is present.",
        State.ABSENT: "No {label}.",
        State.UNCERTAIN: "{label} cannot be excluded.",
    }
)
_SPOKEN: Final = MappingProxyType(
    {
        "Enlarged Cardiomediastinum": "mediastinal widening",
        "Edema": "pulmonary edema",
        "Pleural Other": "pleural thickening",
        "Lung Lesion": "lung nodule",
        "Support Devices": "support device",
        "Hernia": "hiatal hernia",
    }
)


def no_claims(text: str) -> Sequence[Span]:  # noqa: ARG001
    """Nothing: where the application lends no guard."""
    return ()


def reading(text: DraftText, chips: Mapping[str, str], claims: Claims) -> dict[str, Any]:
    """What a page shows of a text: plain values. Holds words of the report: never for a log.

    chips: label to state, those that a person has set; each label and state must be one of `reports.findings`.
    """
    both = _Joined(text)
    found = extract(both.text).by_label
    return {
        "findings": [_chip(label, found.get(label), both) for label in SHOWN],
        "claims": [both.place(span) for span in claims(both.text)],
        "contradictions": [_contradiction(one, both) for one in warnings(text, chips)],
    }


def sentence_for(label: str, state: State) -> str:
    """A plain sentence that says so; a person decides whether it is inserted."""
    made = _OFFERED[state].format(label=_SPOKEN.get(label, label.lower()))
    return made[0].upper() + made[1:]


def _contradiction(one: Contradiction, both: _Joined) -> dict[str, Any]:
    return {
        "label": one.label,
        "sentence": one.sentence,
        "quoted": [{"words": both.text[slice(*span)], **both.place(span)} for span in one.sentences],
        "offer": sentence_for(one.label, one.chip) if one.chip is not None else "",
        "alone": one.alone,
    }


def _chip(label: str, finding: Finding | None, both: _Joined) -> dict[str, Any]:
    if finding is None:
        return {"label": label, "state": "", "detail": "", "places": [], "both": False}
    return {
        "label": label,
        "state": finding.state.value,
        "detail": " ".join(word.value for word in (finding.severity, finding.laterality) if word is not None),
        "places": _places((mention.sentence for mention in finding.mentions), both),
        "both": finding.contradicts_itself,
    }


def _places(spans: Iterable[Span], both: _Joined) -> list[dict[str, Any]]:
    return [both.place(span) for span in dict.fromkeys(spans)]


class _Joined:
    """Findings and impression as the one text that is read, and the way back to the section."""

    def __init__(self, text: DraftText) -> None:
        self.text = narrative(text)
        self._second = len(text.findings) + len(_BETWEEN)

    def place(self, span: Span) -> dict[str, Any]:
        """A span of the whole as section, start and end."""
        start, end = span
        section, base = ("impression", self._second) if start >= self._second else ("findings", 0)
        limit = len(self.text) if base else self._second - len(_BETWEEN)
        return {
            "section": section,
            "start": _units(self.text[base:start]),
            "end": _units(self.text[base : min(end, limit)]),
        }


def _units(text: str) -> int:
    return len(text) + sum(1 for character in text if character > "\uffff")
