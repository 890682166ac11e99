"""Texts of a model that is caught in a loop."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_LONGEST_LOOP: Final = 16  # words
_NGRAM: Final = 4
_LEAST_WORDS_TO_JUDGE: Final = 24
# "lunglunglunglung", "aaaaaaaaaa", "? ? ? ? ? ? ? ?"; reports without names have "XXXX" for them.
_WITHIN_A_WORD: Final = re.compile(r"([^\W\d_]{2,12}?)\1{3,}|([^\W\d_])\2{7,}|([.?!,;:])(?:\s*\3){7,}", re.IGNORECASE)


def repeats(text: str) -> bool:
    """Whether the same words come again and again, as in a model that is caught in a loop."""
    words = [word.lower() for word in _WORD.findall(text)]
    return (
        _WITHIN_A_WORD.search(text) is not None or _has_loop(words) or _has_repeated_sentence(text) or _is_poor(words)
    )


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
