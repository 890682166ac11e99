"""Texts that end where no sentence does."""

from __future__ import annotations

import re
from typing import Final

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
_STOPPED: Final = re.compile(r"[a-z)]{2}[.!?](?=\s)")  # a sentence before the last that has its full stop
_LAST_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*$")
# Words that the last sentence may end with where it alone has no full stop: by their ending, or one by one. What was
# cut within a word is none of them.
_WHOLE: Final = re.compile(
    r"\w*(?:ions?|oses|osis|asis|itis|ema|omas?|ity|ities|ment|ments|ness|ease|eases|ing|ings|ed|able|ible|phy|pathy|"
    r"graphs?|ures?|ances?|ences?|ance|plasty|ectomy|otomy|ostomy|scopy|opsy|ally|ously)|"
    r"(?:x-)?x+|abscess|absent|adenopathy|age|air|airways?|alveoli|angles?|angulation|aorta|apex|apices|area|areas|"
    r"arm|arms|arter(?:y|ies)|"
    r"atria|atrium|awaited|base|bases|belows?|bilaterally|body|bodies|bones?|borders?|bullae?|cabg|cardiomegaly|"
    r"carina|catheters?|"
    r"cavity|cavities|chest|clavicles?|clear|clips?|consideration|contours?|copd|cysts?|days?|deformit(?:y|ies)|"
    r"defects?|"
    r"devices?|diaphragms?|edges?|effusions?|embolus|emphysema|examination|exams?|failure|field|fields|films?|"
    r"findings?|"
    r"fissures?|fluid|foci|focus|free|gas|granulomas?|hardware|heart|hemidiaphragms?|hemithorax|hernia|hernias|hila|"
    r"hilum|"
    r"history|identified|image|images|impression|infarct|infarcts?|infiltrates?|intact|interstitium|inspiration|"
    r"issues?|left|"
    r"lesions?|level|levels|limits|line|lines|lingula|lobes?|lungs?|markings|mass|masses|mediastinum|midline|nodes?|"
    r"nodules?|"
    r"none|normal|now|opacit(?:y|ies)|pacemaker|patient|picc|place|plaques?|pleura|pneumonia|pneumonias|"
    r"pneumothoraces|pneumothorax|"
    r"pneumoperitoneum|port|ports|present|process|processes|prominent|radiographs?|region|regions|ribs?|right|scar|"
    r"scars|scoliosis|"
    r"seen|shadows?|shoulders?|sides?|silhouette|site|size|spaces?|spine|spurs?|stable|sternum|stents?|stomach|"
    r"structures|stud(?:y|ies)|"
    r"svc|symptoms?|tb|techniques?|thorax|throughout|tips?|tissues?|today|tortuous|trachea|trauma|trees?|tubes?|"
    r"tumou?rs?|"
    r"unchanged|unremarkable|valves?|vasculature|vein|veins|ventricles?|vessels?|view|views|visible|volumes?|walls?|"
    r"well|"
    r"wires?|xrays?|x-rays?|zones?|above|below|again|ago|changes?|fibrosis|mild|small|large|moderate|severe|minimal|"
    r"patent|"
    r"low|high|more|less|worse|better|needed|acute|chronic|old|new|lateral|medial|supine|upright|compartments?|surgery|"
    r"informative|exists?|noted|obscured|normal-sized",
    re.IGNORECASE,
)
# What is cut within one of these has not to be compared with others.
_LONG: Final = (
    "atelectasis",
    "cardiomediastinal",
    "cardiomegaly",
    "consolidation",
    "costophrenic",
    "effusion",
    "emphysema",
    "enlarged",
    "hemidiaphragm",
    "infiltrate",
    "interstitial",
    "mediastinal",
    "opacity",
    "osseous",
    "pleural",
    "pneumonia",
    "pneumothorax",
    "pulmonary",
    "silhouette",
    "vasculature",
)
_LEAST_LETTERS: Final = 3
_TAIL: Final = 200  # characters that the end is judged by


def is_cut_off(text: str) -> bool:
    """Whether the text ends where no sentence does: at a comma, a bracket, a bare number, or a word such as "the".

    Where only the last of several sentences lacks its full stop, it must also end with a word that one may end with.
    """
    end = text.rstrip()[-_TAIL:]
    if _OPEN_END.search(end) or _WITHOUT_NOUN.search(end) or _NUMBER.search(end):
        return True
    last = _LAST_WORD.search(end)
    if last is None:
        return False
    word = last[0].lower()
    if len(word) >= _LEAST_LETTERS and any(long.startswith(word) and long != word for long in _LONG):
        return True
    return _STOPPED.search(text) is not None and not _WHOLE.fullmatch(word)
