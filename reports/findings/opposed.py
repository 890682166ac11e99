"""Where a text says of one finding that it is there, and that it is not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from reports.findings.labels import Laterality, State
from reports.findings.mentions import Mention

# Beside a denial: it denies a size, a novelty or a place and not the finding.
_QUALIFIED: Final = re.compile(
    r"\b(?:large|larger|moderate|severe|sizable|sizeable|significant|substantial|gross|massive|marked|overt|frank|overtly|"
    r"grossly|new|residual|other|additional|further|remaining|recurrent|tension|worsening|increas\w+|enlarging|drainable|"
    r"loculated|alveolar|lobar|confluent|apical|basal|upper|lower|middle|mid|lobes?|zone|contralateral|elsewhere|otherwise|"
    r"rest|interval|longer|resolv\w+|resolution|clear(?:ed|ing)|remov\w+|prior|previous\w*|earlier|since)\b",
    re.IGNORECASE,
)
_BEFORE: Final = 24  # characters in front of a denied finding that may qualify it
# In a statement of presence: it is about another day.
_PAST: Final = re.compile(
    r"\b(?:prior|previous\w*|earlier|resolv\w+|resolution|cleared|clearing|history|no longer|has been removed)\b",
    re.IGNORECASE,
)


def opposed(text: str, mentions: Sequence[Mention]) -> tuple[tuple[Mention, Mention], ...]:
    """Pairs of `mentions` of `text`: one says that a finding is present, the other that it is absent, on one side.

    "No large effusion. Small effusion." is no such pair, nor are the left and the right side, nor a finding of an
    earlier day that has resolved, nor two words for one label, as a mass and a nodule.
    """
    denied = [one for one in mentions if one.state is State.ABSENT and not _is_qualified(one, text)]
    stated = [one for one in mentions if one.state is State.PRESENT and not _PAST.search(text[slice(*one.sentence)])]
    return tuple((yes, no) for yes in stated for no in denied if _exclude_each_other(yes, no))


def _exclude_each_other(yes: Mention, no: Mention) -> bool:
    if yes.concept != no.concept or yes.sentence == no.sentence:
        return False
    return no.laterality in {None, Laterality.BILATERAL, yes.laterality}


def _is_qualified(denied: Mention, text: str) -> bool:
    """Whether something stands beside the denied words that makes it a denial of less than the finding."""
    spans = (*denied.words, *denied.cues)
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    start = max(denied.sentence[0], first - _BEFORE)
    return _QUALIFIED.search(text, start, last) is not None
