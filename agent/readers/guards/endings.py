"""Texts that end where no sentence does."""

from __future__ import annotations

import re
from typing import Final

from agent.readers.guards.vocabulary import SHORT, WORDS

# What no sentence of a report ends with.
_OPEN_END: Final = re.compile(
    r"[,(\[:/-]$|(?:[.!?]\s|\n)\s*(?:the )?(?:heart(?: size)?|lungs?)$|\b(?:an?|and|are|as|at|be|been|between|but|"
    r"by|cannot|due|for|from|has|have|if|in|into|is|may|might|nor|of|on|"
    r"appear|within(?: normal)?|no evidence|without evidence|or|over|representing|showing|than|that|the|their|there|"
    r"these|this|to|was|were|which|with|without|shows?|"
    r"demonstrates?|demonstrating|suggests?|suggesting|suggestive|indicates?|indicating|reflects?|reflecting|"
    r"represents?|"
    r"measures?|measuring|overlying|consistent|compatible|versus|vs|approximately|very|"
    r"(?:is|are|was|were|does|did|has|have) (?:no|not)|(?:is|are|was|were|be|appears?|remains?|an?) "
    r"(?:mildly|moderately|severely|slightly|markedly|minimally|grossly|partially|completely|relatively|essentially))$",
    re.IGNORECASE,
)
# Nor with these, but behind a verb, "more", a comma or a colon: "the nodule is suspicious", "effusion: free". None of
# them ended a sentence in 1,907 reports in which most stood twelve times or more.
_BEFORE_A_NOUN: Final = re.compile(
    r"(?<!\bis)(?<!\bare)(?<!\bwas)(?<!\bwere)(?<!\bbe)(?<!\bnot)(?<!\bmore)(?<!\bless)(?<!\bappear)(?<!\bappears)"
    r"(?<!\bremain)(?<!\bremains)(?<!\bbecome)(?<!\bvery)(?<!\bhighly)(?<![,:/-])\s"
    r"(?:no|any|could|would|should|since|because|whose|while|although|under|most|possibly|focal|active|degenerative|"
    r"bony|interstitial|free|grossly|hilar|granulomatous|suspicious|definite|subsegmental|mildly|aortic|soft|typical|"
    r"radiographic|skeletal|lymph|streaky|bronchovascular|alveolar|vertebral|perihilar|secondary|hiatal|intraperitoneal|"
    r"lobar|convincing|thoracolumbar|central|superior|anterior|posterior|visible|basilar)$",
    re.IGNORECASE,
)
# They stand before a noun: after "a", "no", "with" or at the beginning of a sentence there has to be one.
_PAIRED: Final = (
    r"(?:small|large|mild|moderate|severe|minimal|trace|tiny|left|right|bilateral|(?:left|right)[- ]sided|focal|acute|"
    r"upper|lower|middle|patchy|basilar|bibasilar|apical|new|possible|probable|subtle)"
)
_WITHOUT_NOUN: Final = re.compile(
    rf"(?:\b(?:an?|no|with|without|of|there (?:is|are|was|were))|(?:^|[.!?]\s|"
    rf"\n)\s*(?:\d+[.)])?)\s*(?:{_PAIRED},?\s+)*{_PAIRED}$|"
    # no predicate either: "the cardiac", "bilateral pleural"
    r"\b(?:pleural|pulmonary|cardiac|cardiopulmonary|cardiomediastinal|mediastinal|costophrenic|endotracheal|"
    r"nasogastric|"
    r"osseous|airspace|vascular|thoracic|compressive|right-sided|left-sided)$",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"(?:^|[.!?;]\s+|\n\s*)\d{1,2}[.)]?$")
_LAST_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*$")
_BEGINNINGS: Final = frozenset(word[:letters] for word in WORDS for letters in range(3, len(word))) - WORDS - SHORT
_TAIL: Final = 200  # characters that the end is judged by


def is_cut_off(text: str) -> bool:
    """Whether the text ends where no sentence does: at a comma, a bracket, a bare number, or a word such as "the".

    So does a text whose last letters only begin a known word. A word that is not known is no evidence.
    """
    end = text.rstrip()[-_TAIL:]
    if any(open_.search(end) for open_ in (_OPEN_END, _BEFORE_A_NOUN, _WITHOUT_NOUN, _NUMBER)):
        return True
    last = _LAST_WORD.search(end)
    # capitals are abbreviations: "ICD", "CT"
    return last is not None and not last[0].isupper() and last[0].lower().rpartition("-")[2] in _BEGINNINGS
