"""The words of a sentence and where they stand, spelled as the lexicon spells them.

A word that no phrase holds is tried, in this order, as: its American spelling, its singular, a known stem, and, where
it is long, a word of the lexicon that one slip of the finger makes (a letter too many, too few, wrong, or two swapped).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from reports.findings.mentions import Span

# Signs are words as well: "(-)", "-ve", a minus that ends a statement, a plus that ends or begins one; and "+/-", which
# leaves open what it stands at, as a question mark does.
_OPEN: Final = ("\u00b1", "+/")
_PAST: Final = "prior|previous|previously|earlier|yesterday|before|formerly|was|were|resolved"
_WORD: Final = re.compile(
    r"\(?\u00b1\)?|\(\+/[-\u2013\u2212]\)|\+/[-\u2013\u2212]|[^\W_]+|[,;:?&]|\([-+\u2013\u2212n]\)|[-+\u2013\u2212]ve\b"
    r"|(?<=[\s\w])[-\u2013\u2212](?=\s*(?:[,;.)]|$))"
    r"|(?<=\s)[-\u2013\u2212](?=[ \t]*\r?\n[^\n]*[-+\u2013\u2212][ \t]*(?:\r?\n|$))|(?<!\d)\+"
    r"|(?<=[ \t])[-\u2013]{1,3}(?=[ \t]+\w)|(?<=\w)--(?=\w)|(?<=[ \t])/(?=[ \t])|(?<=\s)\|(?=\s)|\u2014+|[\u2192\u21d2]"
    rf"|\((?![^()]{{0,80}}\b(?:{_PAST})\b)(?=\w+[\s-]+\w)"
)
_DASH: Final = "\u2014"
_DASHES: Final = frozenset(
    {
        *("-" * n for n in (1, 2, 3)),
        *("\u2013" * n for n in (1, 2, 3)),
        *("\u2014" * n for n in (1, 2, 3)),
        "|",
        "\u2192",
        "\u21d2",
    }
)
_ANSWERS: Final = frozenset({"no", "yes"})
_GOES_ON: Final = re.compile(r"[ \t]*\w")
_RARE: Final = frozenset({*_DASHES, "(", "?"})
_ENDS: Final = frozenset({*_DASHES, ",", ";", "("})
_NOUGHT: Final = frozenset({"n", "0"})
_ENDED: Final = re.compile(r"[ \t]*(?:[,;)\r\n]|\.(?!\d)|$)")
_PARTS: Final = frozenset({",", ";", "and", "&"})
_BREAK: Final = re.compile(r"-(?:[ \t]*\r?\n[ \t]*)?")
_LENGTH_OF_A_STEM: Final = 6  # letters that tell the stems apart
_LENGTH_OF_A_SINGULAR: Final = 4
_LENGTHS_WITH_A_SLIP: Final = range(8, 25)  # shorter words have neighbors that mean something else
_BRITISH: Final = (("oe", "e"), ("ae", "e"), ("isation", "ization"), ("ise", "ize"), ("ising", "izing"), ("our", "or"))
# Words of their own, one letter from a word of the lexicon: those among 159,000 words of program documentation that
# would have become something else, and two of anatomy.
_NEIGHBORS: Final = """
    articulation articulations collecting completed fraction hardwire hemithorax hemithoraces inflection inflections
    injection injections lobulated modularity processed reacting redaction relation simulator structured tortious
    traction
"""
_OTHER_WORDS: Final = frozenset(_NEIGHBORS.split())

Slips: TypeAlias = Mapping[str, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """known: every word of every phrase. stems: the first letters, to a stem and the word it stands for.

    slips: what is left of a word without one of its letters, to the word and the place of the letter.
    """

    known: frozenset[str]
    stems: Mapping[str, tuple[str, str]]
    slips: Slips

    def spelled(self, word: str) -> str:
        """`word`, or the word of the lexicon that it stands for."""
        if word in self.known or len(word) <= _LENGTH_OF_A_SINGULAR:
            return word
        return self._inflected(word) or self._from_its_stem(word) or self._slipped(word) or word

    def _inflected(self, word: str) -> str | None:
        for british, american in _BRITISH:
            if british in word and (spelled := word.replace(british, american)) in self.known:
                return spelled
        if word[-1] == "s" and len(word) > _LENGTH_OF_A_SINGULAR and word[:-1] in self.known:
            return word[:-1]
        return None

    def _from_its_stem(self, word: str) -> str | None:
        stem, known = self.stems.get(word[:_LENGTH_OF_A_STEM], ("", ""))
        return known if stem and word.startswith(stem) else None

    def _slipped(self, word: str) -> str | None:
        if len(word) not in _LENGTHS_WITH_A_SLIP or not word.isalpha() or word in _OTHER_WORDS:
            return None
        if word in self.slips:
            return self.slips[word][0][0]
        for place in range(len(word)):
            rest = word[:place] + word[place + 1 :]
            for known, other in self.slips.get(rest, ()):
                if other < 0 or abs(place - other) <= 1:  # one letter more, another one, or two neighbors swapped
                    return known
        return None


def vocabulary(known: frozenset[str], stems: Sequence[tuple[str, str]], guarded: frozenset[str]) -> Vocabulary:
    """guarded: the words that are recognized with a slip, where they are long enough."""
    slips: dict[str, tuple[tuple[str, int], ...]] = {}
    for word in sorted(guarded):
        if len(word) in _LENGTHS_WITH_A_SLIP:
            for place in range(-1, len(word)):
                rest = word if place < 0 else word[:place] + word[place + 1 :]
                slips[rest] = (*slips.get(rest, ()), (word, place))
    return Vocabulary(known, {stem[:_LENGTH_OF_A_STEM]: (stem, word) for stem, word in stems}, slips)


def words_of(lowered: str, start: int, end: int, vocabulary: Vocabulary) -> tuple[list[str], list[Span]]:
    """The words between `start` and `end`, and the place of each; a word that a hyphen breaks is one."""
    tokens = list(_WORD.finditer(lowered, start, end))
    spans = [token.span() for token in tokens]
    words = [vocabulary.spelled(token[0]) for token in tokens]
    if not _RARE.isdisjoint(words):
        _part(lowered, words, spans)
    if lowered.find(":", start, end) >= 0:
        _answer(lowered, words, spans, end)
    if any(lowered.find(sign, start, end) >= 0 for sign in _OPEN):
        words = [
            "?" if word.strip("(").startswith(_OPEN) and not before.isdigit() else word  # "3 +/- 1 cm" is a length
            for before, word in zip(("", *words), words, strict=False)
        ]
    if lowered.find("+", start, end) >= 0:
        _add(words, spans)
    if lowered.find("-", start, end) >= 0:
        _join(lowered, words, spans, vocabulary)
    return words, spans


def _part(lowered: str, words: list[str], spans: list[Span]) -> None:
    """A dash between words is one whatever its length, a parenthesis a comma, and "pneumothorax? no" an answer."""
    for place, word in enumerate(words):
        if word == "(":
            words[place] = ","
        elif word == "?" and _is_answered(words[place + 1 : place + 3]):
            words[place] = ":"
        elif word in _DASHES and 0 < place < len(words) - 1 and _GOES_ON.match(lowered, spans[place][1]):
            words[place] = _DASH


def _is_answered(behind: Sequence[str]) -> bool:
    """Is the next word the whole answer: the "no" of "pneumothorax? no acute process" begins another sentence."""
    return behind[:1] != [] and behind[0] in _ANSWERS and all(word in _ENDS for word in behind[1:])


def _answer(lowered: str, words: list[str], spans: list[Span], end: int) -> None:
    """ "Pneumothorax: N" and "effusion: 0." deny; "pneumothorax: 0.8 cm", "n=1" and "N/A" do not."""
    for place in range(1, len(words)):
        if words[place] in _NOUGHT and words[place - 1] == ":" and _ENDED.match(lowered, spans[place][1], end):
            words[place] = "(n)"


def _add(words: list[str], spans: list[Span]) -> None:
    """Leave out each plus that neither begins nor ends a statement: it is an "and"."""
    around = zip((",", *words), words, (*words[1:], ","), strict=False)
    kept = [word != "+" or before in _PARTS or after in _PARTS for before, word, after in around]
    words[:] = [word for word, keep in zip(words, kept, strict=True) if keep]
    spans[:] = [span for span, keep in zip(spans, kept, strict=True) if keep]


def _join(lowered: str, words: list[str], spans: list[Span], vocabulary: Vocabulary) -> None:
    """Join "effu-\\nsion" and "pneumo-thorax", where the whole is a word and a part is none."""
    kept = 0
    for word, span in zip(tuple(words), tuple(spans), strict=True):
        if kept and _BREAK.fullmatch(lowered, spans[kept - 1][1], span[0]):
            parts = {words[kept - 1], word}
            whole = vocabulary.spelled(words[kept - 1] + word)
            if whole in vocabulary.known and not parts <= vocabulary.known:
                words[kept - 1], spans[kept - 1] = whole, (spans[kept - 1][0], span[1])
                continue
        words[kept], spans[kept] = word, span
        kept += 1
    del words[kept:], spans[kept:]
