"""What a text claims though the model cannot know it: a comparison, a history, another view."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final, TypeAlias

Span: TypeAlias = tuple[int, int]  # start and end of characters, as in text[start:end]

_FILM: Final = (
    r"(?: (?:chest|exam(?:ination)?s?|stud(?:y|ies)|radiographs?|films?|x-?rays?|images?|imaging|cts?|reports?|scans?))"
)
_BEFORE_THIS: Final = r"(?:most recent |recent )?(?:prior|previous|last|earlier|preceding|comparison)"
_MUCH: Final = r"(?:essentially |relatively |largely |grossly |slightly |mildly |markedly |significantly )?"
_COMPARISON: Final = (
    rf"(?:as |when |in )?(?:compared?|comparison)(?: is made)? (?:to|with)(?: the| a)?(?: {_BEFORE_THIS})?{_FILM}*",
    rf"(?:since|from|on|than|to|seen on) (?:the |a )?{_BEFORE_THIS}{_FILM}*",
    rf"(?:prior|previous|earlier|preceding){_FILM}",
    r"previously(?: (?:seen|noted|described|identified|demonstrated))?",
    r"as before",
    r"(?:is|are|was|were) (?:once )?again",
    r"again (?:seen|noted|demonstrated|identified|visualized|present)",
    r"(?:once|yet) again",
    r"re-?demonstrat\w+",
    rf"{_MUCH}(?:unchanged|stable|similar in appearance)",
    r"(?:no|little) (?:(?:significant|appreciable|substantial|relevant|major) )?(?:interval )?changes?(?! of\b)",
    r"(?:in the )?interval(?: (?:change|development|improvement|increase|decrease|resolution|removal|placement))?",
    rf"{_MUCH}(?:improv(?:ed|ing|ement)|worsen(?:ed|ing)|(?<!high )(?<!high-)resolution|resolv(?:ed|ing))",
    r"progress(?:ed|ion|ing)",
    rf"(?:has|have) {_MUCH}(?:increased|decreased|enlarged|developed|cleared|disappeared|progressed|recurred|been "
    r"(?:removed|placed|withdrawn|advanced|repositioned|replaced|inserted|exchanged|extubated|intubated))",
    r"now|(?:than|since|from) yesterday|(?:hour|day|week|month|year)s? (?:ago|earlier|before)",
    r"persist(?:s|ent|ently|ing)?",
    r"remain(?:s|ed)?",
    r"no longer",
    r"new(?:ly)?",
    r"residual",
    r"increasing|decreasing|enlarging",
    r"(?:larger|smaller|more prominent|less prominent|more conspicuous|less conspicuous) than (?:before|on|in)",
)
_HISTORY: Final = (
    r"(?:(?:as |per |given |in view of |based on )+(?:the )?)?(?:patient'?s? )?"
    r"(?:(?:clinical|medical|surgical|past|reported|known|provided|given) )*history(?: of)?",
    r"hx of|h/o|status[- ]post|s/p",
    r"(?:patient )?with (?:a )?known",
    r"known (?:\w+ ){0,2}(?:cancer|carcinoma|malignancy|metasta\w+|disease|copd|asthma|sarcoidosis|tuberculosis|"
    r"lymphoma|pneumonia|chf|failure)",
    r"clinical (?:indication|information|data)",
    r"(?:year|month)s?[- ]old",
    r"patient (?:reports|presents|complains|is an?|has an?)",
    r"present(?:s|ing|ed) with",
    r"fevers?|febrile|cough(?:ing)?|dyspn[eo]+a|shortness of breath|hemoptysis|trauma",
    r"(?:recent|prior|previous) (?:surgery|operation|procedure|intubation|thoracentesis|resection)",
)
_OTHER_VIEW: Final = (
    r"(?:on |in )?(?:the )?lateral (?:views?|radiographs?|films?|images?|projections?|chest|exam\w*)",
    r"(?:pa|ap|frontal) and lateral",
    r"(?:two|2) views?",
    r"(?:on |by )(?:the )?(?:chest )?(?:ct|mri|ultrasound|pet)",
)
# A sentence that asks for a comparison or for the history, or says that there was none, claims neither.
_NO_CLAIM: Final = re.compile(
    r"\b(?:recommend\w*|advis\w+|suggest(?:ed)? (?:correlation|follow)|correlat\w+|would be (?:helpful|useful)|"
    r"if (?:available|clinically|there)|should be (?:considered|obtained|compared)|follow[- ]?up|further evaluation|"
    r"consider (?:ct|chest|further|a )|"
    r"no (?:prior|previous|comparison|old|earlier) (?:\w+ ){0,3}(?:available|for comparison)|"
    r"without (?:prior|comparison)|(?:not|un)available|comparisons?\s*:?\s*(?:none|no\b))",
    re.IGNORECASE,
)


def _any_of(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(phrases)})\b", re.IGNORECASE)


# What a draft has to say of each kind, and how claims of that kind read.
_CLAIMS: Final = MappingProxyType(
    {
        "the text mentions a comparison or a change; no prior image was seen": _any_of(_COMPARISON),
        "the text mentions history or symptoms; none were given": _any_of(_HISTORY),
        "the text mentions another view or modality; one frontal film was seen": _any_of(_OTHER_VIEW),
    }
)
_SENTENCE: Final = re.compile(r"[^.!?;\n]+(?:\.(?=\d)[^.!?;\n]+)*")


def unsupported_claims(text: str) -> tuple[Span, ...]:
    """Where a text claims what the model cannot know: a comparison, a history, another view. In order, none twice."""
    found = sorted(span for pattern in _CLAIMS.values() for span in _claims(pattern, text))
    kept: list[Span] = []
    for start, end in found:
        if kept and start < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]))
        else:
            kept.append((start, end))
    return tuple(kept)


def notes(text: str) -> tuple[str, ...]:
    """What a draft has to say of the kinds of `unsupported_claims` in it, one phrase each; none quotes the text."""
    return tuple(note for note, pattern in _CLAIMS.items() if any(_claims(pattern, text)))


def _claims(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    for sentence in _SENTENCE.finditer(text):
        if not _NO_CLAIM.search(sentence[0]):
            yield from (match.span() for match in pattern.finditer(text, *sentence.span()))
