"""What is no report: empty, endless, cut off, unprintable, repeating, of other things or of somebody, against itself.

Such a text is an error of its study, never a draft. A text that claims to know what the model has not seen may become
one: `unsupported_claims` says where, so that the radiologist is told.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from agent.readers.guards.claims import Span, notes, unsupported_claims
from agent.readers.guards.endings import is_cut_off
from agent.readers.guards.loops import repeats
from agent.readers.guards.opposites import contradictions
from agent.readers.guards.topics import is_no_report, names_a_patient
from agent.readers.protocol import UnreadableText

__all__ = [
    "Span",
    "check",
    "check_answer",
    "contradictions",
    "is_cut_off",
    "is_no_report",
    "names_a_patient",
    "notes",
    "repeats",
    "unsupported_claims",
]

_LEAST_LETTERS: Final = 12  # "No findings." has ten and says too little to be a report
_TOKEN: Final = re.compile(r"</?(?:unk|s|pad)>|<0x[0-9a-f]{2}>", re.IGNORECASE)  # no words, but marks between them
_JOINERS: Final = "\u00ad\u200c\u200d"  # soft hyphen, and what some scripts join letters with or not


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
    if names_a_patient(text):
        raise UnreadableText("identifying-text", "The model wrote a name, a date of birth or a number of a patient.")
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
    if any(_is_unprintable(character) for character in text) or _TOKEN.search(text):
        raise UnreadableText("unprintable-text", "The model wrote characters that cannot be printed.")
    if not any(character.isalnum() for character in text):
        raise UnreadableText("empty-text", "The model wrote nothing, or almost nothing.")
    if repeats(text):
        raise UnreadableText("repeating-text", "The model's text repeats itself.")
    return text


def _is_unprintable(character: str) -> bool:
    if character in "\n\t" or character in _JOINERS:
        return False
    # control, format (marks that turn the direction of the text or are not seen), surrogate, private use, unassigned;
    # U+FFFD stands for bytes that were no UTF-8, U+2047 for a token that sentencepiece does not know
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"} or character in "\ufffd\u2047"
