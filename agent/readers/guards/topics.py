"""Texts about other things than a chest radiograph."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
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


def is_no_report(text: str) -> bool:
    """Whether the text is about something else, or talks to its reader. Scripts other than Latin are not judged."""
    letters = [character for character in text if character.isalpha()]
    if sum(character.isascii() for character in letters) * 2 < len(letters):
        return False
    least = 1 + len(_WORD.findall(text)) // _WORDS_FOR_ONE
    return _CHAT.search(text) is not None or sum(1 for _ in _RADIOLOGY.finditer(text)) < least
