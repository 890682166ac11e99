"""Texts about other things than a chest radiograph, and texts that name a patient."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
# The beginnings of words that every report about a chest has one of.
_CHEST: Final = re.compile(
    r"\b(?:airspace|aort|apex|apic|atelecta|basilar|cardi|chest|clavic|consolid|copd|costophren|diaphrag|edema|emphysem|"
    r"endotrache|enteric|fibro|granuloma|hemidiaphrag|hiatal|hil(?:um|a|ar)\b|infiltrat|interstiti|intrathora|jugular|lobe|"
    r"lung|lymphaden|medias|midlung|nasogast|nodul|oedema|opaci|pacemaker|paratrach|pericard|picc\b|pleur|pneumo|pulmon|"
    r"rib\b|ribs\b|silhouette|sternotom|subclav|svc\b|thora|trache|tubercul)",
    re.IGNORECASE,
)
# Words that stand in other texts as well. They count where the text has words of findings, and names no other part.
_ANYWHERE: Final = re.compile(
    r"\b(?:bon[ey]|catheter|disease|effusion|film|fractur|heart|mass|osseous|radiograph|scar|spine|tube|vascul|vertebr|"
    r"abnormalit|findings?\b|process\b)",
    re.IGNORECASE,
)
_OF_FINDINGS: Final = re.compile(
    r"\b(?:acute|active|bilateral|clear|degenerative|enlarged|evidence of|focal|identified|intact|mild|moderate|"
    r"negative|"
    r"no (?:\w+ )?(?:abnormalit\w*|change|effusion|fracture|mass)|normal|old|prominent|seen|size|small|stable|"
    r"unchanged|"
    r"unremarkable|within)\b",
    re.IGNORECASE,
)
_ELSEWHERE: Final = re.compile(
    r"\b(?:abdom|ankle|bi-?rads|bladder|bowel|brain|breast|cerebr|colon\b|cranial|elbow|femor|femur|foot|"
    r"gallbladder|hand\b|hip\b|"
    r"infarct|kidney|knee|liver|lumbar|mammogra|ovar|pelvi|prostate|renal|sinus|skull|tibia|uter|ventricular system|"
    r"wrist)",
    re.IGNORECASE,
)
_WORDS_FOR_ONE: Final = 25  # a text of more words has to have more of them; ordinary reports have one in four
# How a language model speaks of itself or to somebody, and what else it was trained on.
_CHAT: Final = re.compile(
    r"\b(?:as an ai|as a (?:helpful )?radiologist|language model|i(?:'m| am) (?:an? |sorry|unable|not able|just)|"
    r"i (?:cannot|can't|apologize)|how can i help|happy to help|let me know|here (?:is|are) (?:a|an|the|some)\b|"
    r"sure[,!]|"
    r"certainly[,!]|dear (?:sir|user)|thank you for|https?://|def \w+\(|import \w+$)|\[/?inst\]|<</?sys>>|<image>|"
    r"<html",
    re.IGNORECASE | re.MULTILINE,
)
# The words with which it was asked.
_ECHO: Final = re.compile(
    r"\b(?:you are a helpful|try to interpret|answer to the question|question that user|write a radiologic report|"
    r"including information about|what are the possible differential|differential diagnoses for this patient)\b",
    re.IGNORECASE,
)
# A line of a form with somebody's name, birth or number.
_IDENTITY: Final = re.compile(
    r"\b(?:(?:patient|last|first|full)(?:'s)? ?name|name|patient id|mrn|ssn|medical record (?:number|no\.?)|"
    r"accession(?: number| no\.?)?|d\.?o\.?b\.?|date of birth|birth ?date)\s*[:#=]\s*\S|"
    r"\b(?:DOB|MRN|D\.O\.B\.)(?!\w)|\bborn on\b|\b(?-i:(?:Mr|Mrs|Ms)\.? [A-Z])|"
    r"(?:^|\n)\s*patient\s*:\s*(?-i:[A-Z][a-z]+,? [A-Z])",
    re.IGNORECASE,
)


def is_no_report(text: str) -> bool:
    """Whether the text is about something else, talks to its reader, repeats the question, or is in another script.

    The checks and the extractor of findings read English: what they cannot read is no draft.
    """
    letters = [character for character in text if character.isalpha()]
    if sum(character.isascii() for character in letters) * 2 < len(letters):
        return True
    if _CHAT.search(text) or _ECHO.search(text):
        return True
    found = sum(1 for _ in _CHEST.finditer(text))
    if found == 0 and _ELSEWHERE.search(text):
        return True
    if _OF_FINDINGS.search(text):
        found += sum(1 for _ in _ANYWHERE.finditer(text))
    return found < 1 + len(_WORD.findall(text)) // _WORDS_FOR_ONE


def names_a_patient(text: str) -> bool:
    """Whether the text has a name, a date of birth or a number of a patient; the model was told none."""
    return _IDENTITY.search(text) is not None
