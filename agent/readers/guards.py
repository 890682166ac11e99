"""What is no report: empty, endless, cut off, unprintable, repeating, of something else, or against itself.

Such a text is an error of its study, never a draft. A text that claims to know what the model has not seen may become
one: `unsupported_claims` says where, so that the radiologist is told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final, TypeAlias

from agent.readers.protocol import UnreadableText
from reports.findings import extract
from reports.findings.opposed import opposed

Span: TypeAlias = tuple[int, int]  # start and end of characters, as in text[start:end]

_LEAST_LETTERS: Final = 12  # "No findings." has ten and says too little to be a report
_WORD: Final = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_LONGEST_LOOP: Final = 16  # words
_NGRAM: Final = 4
_LEAST_WORDS_TO_JUDGE: Final = 24

# What no sentence of a report ends with.
_OPEN_END: Final = re.compile(
    r"[,(\[:/-]$|\b(?:an?|and|are|as|at|be|been|between|but|by|cannot|due|for|from|has|have|if|in|into|is|may|might|nor|of|on|"
    r"or|over|representing|showing|than|that|the|their|there|these|this|to|was|were|which|with|without)$",
    re.IGNORECASE,
)
# The beginnings of words that every report about a chest has one of.
_RADIOLOGY: Final = re.compile(
    r"\b(?:airspace|aort|apex|apic|atelecta|basilar|bon[ey]|cardi|catheter|chest|clavic|consolid|costophren|diaphrag|"
    r"disease|edema|effusion|emphysem|fibro|film|fractur|granuloma|heart|hemidiaphrag|hil(?:um|a|ar)\b|infiltrat|interstiti|"
    r"lobe|lung|mass|medias|nodul|oedema|opaci|osseous|pacemaker|pleur|pneumo|pulmon|radiograph|rib|scar|silhouette|spine|"
    r"thora|trache|tube|vascul|vertebr)",
    re.IGNORECASE,
)
_WORDS_FOR_ONE: Final = 25  # a text of more words has to have more of them; ordinary reports have one in four
# How a language model speaks of itself or to somebody, and what else it was trained on.
_CHAT: Final = re.compile(
    r"\b(?:as an ai|language model|i(?:'m| am) (?:an? |sorry|unable|not able|just)|i (?:cannot|can't|apologize)|"
    r"how can i help|happy to help|let me know|here (?:is|are) (?:a|an|the|some)\b|sure[,!]|certainly[,!]|"
    r"dear (?:sir|user)|thank you for|https?://|def \w+\(|import \w+$)|\[/?inst\]|<</?sys>>|<image>|<html",
    re.IGNORECASE | re.MULTILINE,
)

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


def check(text: str, *, ended: bool) -> str:
    """Give the text back without outer blanks, or raise UnreadableText.

    ended: the model itself said that it is done, within the limit of tokens.
    """
    text = check_answer(text, ended=ended)
    if sum(character.isalpha() for character in text) < _LEAST_LETTERS:
        raise UnreadableText("empty-text", "The model wrote nothing, or almost nothing.")
    if is_cut_off(text):
        raise UnreadableText("cut-off-text", "The model's text ends in the middle of a sentence.")
    if is_no_report(text):
        raise UnreadableText("no-report", "The model wrote of other things than a chest radiograph.")
    if contradictions(text):
        raise UnreadableText("contradicting-text", "The model's text says that a finding is there and that it is not.")
    return text


def check_answer(text: str, *, ended: bool) -> str:
    """What `check` does, for the answer to a question, which may be as short as "No." and about anything.

    Raises UnreadableText.
    """
    text = text.strip()
    if not ended:
        raise UnreadableText("endless-text", "The model did not end its text within the limit of tokens.")
    if any(_is_unprintable(character) for character in text):
        raise UnreadableText("unprintable-text", "The model wrote characters that cannot be printed.")
    if not any(character.isalnum() for character in text):
        raise UnreadableText("empty-text", "The model wrote nothing, or almost nothing.")
    if repeats(text):
        raise UnreadableText("repeating-text", "The model's text repeats itself.")
    return text


def repeats(text: str) -> bool:
    """Whether the same words come again and again, as in a model that is caught in a loop."""
    words = [word.lower() for word in _WORD.findall(text)]
    return _has_loop(words) or _has_repeated_sentence(text) or _is_poor(words)


def is_cut_off(text: str) -> bool:
    """Whether the text ends where no sentence does: at a comma, an open bracket, or a word such as "the"."""
    return _OPEN_END.search(text.rstrip()) is not None


def is_no_report(text: str) -> bool:
    """Whether the text is about something else, or talks to its reader. Scripts other than Latin are not judged."""
    letters = [character for character in text if character.isalpha()]
    if sum(character.isascii() for character in letters) * 2 < len(letters):
        return False
    least = 1 + len(_WORD.findall(text)) // _WORDS_FOR_ONE
    return _CHAT.search(text) is not None or sum(1 for _ in _RADIOLOGY.finditer(text)) < least


def contradictions(text: str) -> tuple[tuple[Span, Span], ...]:
    """Pairs of sentences of which one says that a finding is present and the other that it is absent, as `opposed`."""
    mentions = [one for one in extract(text).mentions if one.concept in _DECIDABLE]
    return tuple((yes.sentence, no.sentence) for yes, no in opposed(text, mentions))


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


def _is_unprintable(character: str) -> bool:
    if character in "\n\t":
        return False
    # control, surrogate, private use, unassigned; U+FFFD stands for bytes that were no UTF-8
    return unicodedata.category(character) in {"Cc", "Cs", "Co", "Cn"} or character == "\ufffd"


def _has_loop(words: list[str]) -> bool:
    """The same run of 1 to 16 words, directly one after the other: four times for one word, else three times."""
    for length in range(1, _LONGEST_LOOP + 1):
        times = 4 if length == 1 else 3
        same = 0
        for here, there in zip(words, words[length:], strict=False):
            same = same + 1 if here == there else 0
            if same >= length * (times - 1):
                return True
    return False


def _has_repeated_sentence(text: str) -> bool:
    sentences = [" ".join(_WORD.findall(part.lower())) for part in re.split(r"[.!?\n]+", text)]
    long = [sentence for sentence in sentences if sentence.count(" ") >= 2]
    return any(long.count(sentence) >= 3 for sentence in set(long))


def _is_poor(words: list[str]) -> bool:
    """More than half of the four-word runs have been there before (ordinary reports stay below a quarter)."""
    runs = [tuple(words[i : i + _NGRAM]) for i in range(len(words) - _NGRAM + 1)]
    return len(words) >= _LEAST_WORDS_TO_JUDGE and len(set(runs)) < len(runs) / 2
