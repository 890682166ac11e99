"""The words of a sentence and where they stand, spelled as the lexicon spells them.

A word that no phrase holds is tried, in this order, as: its American spelling, its singular, a known stem, and, where
it is long, a word of the lexicon that one slip of the finger makes (a letter too many, too few, wrong, or two swapped).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from reports.findings.forms import BOX, COUNTED, fill_in
from reports.findings.mentions import Span

# Signs are words as well: "(-)", "-ve", a minus that ends a statement, a plus that ends or begins one; and "+/-", which
# leaves open what it stands at, as a question mark does.
_OPEN: Final = ("\u00b1", "+/")
_PAST: Final = "prior|previous|previously|earlier|yesterday|before|formerly|was|were|resolved"
_WORD: Final = re.compile(
    rf"{BOX}|"
    r"\(?\u00b1\)?|\(\+/[-\u2013\u2212]\)|\+/[-\u2013\u2212]|[^\W_]+|[,;:?&]|[(\[][-+\u2013\u2212ny][)\]]|[-+\u2013\u2212]ve\b"
    r"|(?<=[\s\w:])[-\u2013\u2212](?=\s*(?:[,;.)|/]|$))"
    r"|(?<=\s)[-\u2013\u2212](?=[ \t]*\r?\n[^\n]*[-+\u2013\u2212][ \t]*(?:\r?\n|$))|(?<!\d)\+"
    r"|(?<![^\s,;:/])[-\u2013\u2212](?=[a-z])|(?<![^\n,;:])[-\u2013\u2212](?=[ \t]{0,12}[a-z])"
    r"|(?<=[ \t])[-\u2013\u2212]{1,3}(?=[ \t]+\w)|(?<=\w)--(?=\w)|(?<=[ \t])/(?=[ \t])|(?<=\s)(?:\||//)(?=\s)"
    r"|\u2014+|[\u2192\u21d2]|=(?=[ \t]*(?:0|n|no|none|nil|absent|neg|negative|false)(?![\w.]))"
    rf"|\((?!or\b)(?![^()]{{0,80}}\b(?:{_PAST})\b)(?=\w+[\s-]+\w)"
)
_DASH: Final = "\u2014"
_DASHES: Final = frozenset(
    {
        *("-" * n for n in (1, 2, 3)),
        *("\u2013" * n for n in (1, 2, 3)),
        *("\u2212" * n for n in (1, 2, 3)),
        *("\u2014" * n for n in (1, 2, 3)),
        "|",
        "//",
        "\u2192",
        "\u21d2",
    }
)
_ANSWERS: Final = frozenset({"no", "yes", "n", "y"})
_SIDES: Final = frozenset({"left", "right", "l", "r", "lt", "rt"})
_SIGNS: Final = frozenset({"(n)", "(+)"})
_BESIDE_A_NUMBER: Final = frozenset({":", "=", ",", "/", "cm", "mm", "ml", "cc", *_SIDES})
_HOW_MUCH: Final = frozenset(
    {"yes", "small", "moderate", "large", "trace", "tiny", "minimal", "mild", "severe", "+", "none"}
)
_NONE: Final = frozenset({"0", "00", "none"})
_GOES_ON: Final = re.compile(r"[ \t]*\w")
_RARE: Final = frozenset({*_DASHES, "(", "?"})
_ENDS: Final = frozenset({*_DASHES, ",", ";", "("})
# A minus in front of what it denies, and one that may be the bullet of a line: tokens that no text holds.
_LEADING: Final = "(-"
_PERHAPS_LEADING: Final = "(-?"
_SIGNED: Final = frozenset({_LEADING, _PERHAPS_LEADING})
_ASKED: Final = "(?"
_MINUS: Final = frozenset("-\u2013\u2212")
_ENDING: Final = frozenset({*_MINUS, "+"})
_WINDOW: Final = 400  # characters around a bullet in which a line with a plus makes it a minus
_PLUS_LINE: Final = re.compile(r"(?:\A|[\n.;:])[ \t]{0,12}\+[ \t]{0,12}[a-z]")
_BULLET_LINE: Final = re.compile(r"[.;\s]*?\n[ \t]*[-\u2013\u2212]")
_BULLETED: Final = re.compile(r"[ \t]*[-\u2013\u2212]")
_NOUGHT: Final = frozenset({"n", "0"})
_ANSWERED: Final = frozenset({*_NOUGHT, ":"})
_HEADING: Final = re.compile(r"(?:(?:/|//|\||\u2014) )?(?:[a-z]+ ){1,3}:")
_LINE_END: Final = re.compile(r"[ \t\r]*\n|/(?!-)")
_ENDED: Final = re.compile(r"[ \t]*(?:,(?!\d)|[;)\r\n]|\.(?!\d)|$)")
_PARTS: Final = frozenset({",", ";", "and", "&", "/"})
_COMMAS: Final = frozenset({",", ";"})
_OPENERS: Final = frozenset({*_COMMAS, ":"})
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
    known = vocabulary.known
    words = [word if (word := token[0]) in known else vocabulary.spelled(word) for token in tokens]
    if words:
        fill_in(lowered, words, spans)
    if not _RARE.isdisjoint(words):
        _part(lowered, words, spans)
        _lead(lowered, words, spans)
    if "=" in words:
        words = [":" if word == "=" else word for word in words]
    if "0" in words or ("none" in words and _OPENERS.isdisjoint(words)):
        _count(words)
    if not _ANSWERED.isdisjoint(words):
        _answer(lowered, words, spans, end)
    if lowered.find("+/", start, end) >= 0 or lowered.find("\u00b1", start, end) >= 0:
        words = [
            "?" if word.strip("(").startswith(_OPEN) and not before.isdigit() else word  # "3 +/- 1 cm" is a length
            for before, word in zip(("", *words), words, strict=False)
        ]
    if words[-1:] in (["yes"], ["no"]) and "yes" in words[1:] and _is_a_table(words):
        words = ["(n)" if place and word == "no" else word for place, word in enumerate(words)]  # "PTX no effusion yes"
    if lowered.find("+", start, end) >= 0:
        _add(lowered, words, spans)
    if lowered.find("-", start, end) >= 0:
        _join(lowered, words, spans, vocabulary)
    return words, spans


def _is_a_table(words: Sequence[str]) -> bool:
    """No sign parts its answers, and it is none of "right no PTX, left yes"."""
    if not _OPENERS.isdisjoint(words) or (words[0] in _SIDES and words[1] == "no"):
        return False
    # A "no" behind the last word may be of another thing than what is named.
    return words[-1] == "yes" or all(
        before in COUNTED for before, word in itertools.pairwise(words) if word in {"yes", "no"}
    )


def _part(lowered: str, words: list[str], spans: list[Span]) -> None:
    """A dash between words is one whatever its length, a parenthesis a comma, and "pneumothorax? no" an answer."""
    for place, word in enumerate(words):
        if word == "(":
            words[place] = ","
        elif word == "?" and _is_answered(words[place + 1 : place + 3]):
            words[place] = ":"
        elif word == "?" and _is_glued(lowered, *spans[place]):
            words[place] = _ASKED
        elif word in _DASHES and 0 < place < len(words) - 1 and _GOES_ON.match(lowered, spans[place][1]):
            words[place] = word if _is_between_headings(words, place) else _DASH


def _is_between_headings(words: Sequence[str], place: int) -> bool:
    """ "PTX: - effusion: -": the first minus is an answer."""
    return words[place - 1] == ":" and _HEADING.match(" ".join(words[place + 1 : place + 5])) is not None


def _is_glued(lowered: str, start: int, end: int) -> bool:
    """ "New opacity ?pneumonia" asks of what follows."""
    return lowered[end : end + 1].isalpha() and not lowered[max(0, start - 1) : start].strip()


def _is_answered(behind: Sequence[str]) -> bool:
    """Is the next word the whole answer: the "no" of "pneumothorax? no acute process" begins another sentence."""
    if behind[:1] != [] and behind[0] in _SIGNS:
        return True
    return behind[:1] != [] and behind[0] in _ANSWERS and all(word in _ENDS for word in behind[1:])


def _answer(lowered: str, words: list[str], spans: list[Span], end: int) -> None:
    """ "Pneumothorax: N", "PTX n" and "effusion 0." deny; "pneumothorax: 0.8 cm", "POD 0", "n=1" and "N/A" do not."""
    for place in range(1, len(words)):
        if (
            words[place] in _NOUGHT
            and (words[place - 1] == ":" or words[place] == "n" or words[place - 1] in COUNTED)
            and _ENDED.match(lowered, spans[place][1], end)
        ):
            words[place] = "(n)"


def _count(words: list[str]) -> None:
    """ "PTX 0 effusion 2", where each finding has its number; not "nodules 0 to 3 mm" and "no PTX, 0 effusions"."""
    named = [place for place, word in enumerate(words) if word in COUNTED]
    numbers: list[int] = []
    for place, behind in itertools.pairwise([*named, len(words)]):
        said = [at for at in range(place + 1, behind) if words[at] not in _BESIDE_A_NUMBER]
        if len(said) != 1 or not (words[said[0]].isdigit() or words[said[0]] in _HOW_MUCH):
            return
        numbers += said
    for place in numbers if len(named) > 1 else ():
        if words[place].isdigit() or words[place] == "none":
            words[place] = "(n)" if words[place] in _NONE else "(+)"


def _lead(lowered: str, words: list[str], spans: list[Span]) -> None:
    """ "- PTX, + effusion": a minus that begins a statement is a sign, unless it is the bullet of a line.

    Behind a comma it is one. Elsewhere another sign has to lead, here or in a line near.
    """
    minus = [place for place, span in enumerate(spans) if lowered[span[0] : span[1]] in _MINUS]
    _trail(words, minus)
    leading = {place for place in minus if _begins(lowered, words, spans, place)}
    slash = lowered[spans[0][0]] in _ENDING  # "-PTX/-effusion"
    signs = {
        place
        for place in leading
        if place and (words[place - 1] in _COMMAS or (slash and lowered[spans[place][0] - 1] == "/"))
    }
    comma = next((place for place, word in enumerate(words) if word in _COMMAS), len(words))
    if comma > 1 and words[comma - 1] in _ENDING:
        leading.discard(0)  # "- effusion +" behind a bullet
    plus = any(
        word == "+" and (_begins(lowered, words, spans, place) or behind in _COMMAS)
        for place, (word, behind) in enumerate(zip(words, (*words[1:], ","), strict=True))
    )
    start = spans[0][0]
    near = 0 in leading and _PLUS_LINE.search(lowered, max(0, start - _WINDOW), start + _WINDOW) is not None
    if plus or signs or near:
        signs = leading
    for place in signs:
        words[place] = _LEADING
    glued = lowered[spans[0][1] : spans[0][1] + 1].isalpha()  # "-PTX" over "+effusion": no bullet stands like that
    if 0 in signs and not (near and glued) and _stands_among_bullets(lowered, spans):
        words[0] = _PERHAPS_LEADING
    bullets = leading - signs
    kept = [place for place in range(len(words)) if place not in bullets]
    words[:], spans[:] = [words[place] for place in kept], [spans[place] for place in kept]


def _trail(words: list[str], minus: Sequence[int]) -> None:
    """ "PTX - effusion +": where a sign ends a sentence without commas, each stands behind what it is of."""
    if words[-1] in _ENDING and _COMMAS.isdisjoint(words):
        for place in minus:
            words[place] = "-"


def _begins(lowered: str, words: Sequence[str], spans: Sequence[Span], place: int) -> bool:
    """Does this sign begin the sentence, a line or what a comma parts, or stand right before a word: " +effusion"?"""
    first, last = spans[place]
    behind = lowered[last : last + 1]
    if place and words[place - 1] == ":":
        answers = _GOES_ON.match(lowered, last) is None or _is_between_headings(words, place)
        return not answers  # "PTX: - , effusion: +"
    if place == 0 or words[place - 1] in _COMMAS or lowered.find("\n", spans[place - 1][1], first) >= 0:
        return behind.isalpha() or behind.isspace()
    return behind.isalpha() and (lowered[first - 1].isspace() or lowered[first - 1] == "/")


def _stands_among_bullets(lowered: str, spans: Sequence[Span]) -> bool:
    """Does the line before or the one behind begin with a minus as well?"""
    near = max(0, spans[0][0] - _WINDOW)
    line = lowered.rfind("\n", near, spans[0][0])
    before = lowered.rfind("\n", near, max(line, near)) + 1
    return (line >= 0 and _BULLETED.match(lowered, before) is not None) or (
        _BULLET_LINE.match(lowered, spans[-1][1]) is not None
    )


def _add(lowered: str, words: list[str], spans: list[Span]) -> None:
    """A plus that neither begins nor ends a statement is an "and".

    "Effusion + PTX -": where a sign ends a sentence without commas, each stands behind what it is of.
    """
    if words[-1] in _ENDING and _COMMAS.isdisjoint(words):
        return
    signed = not _SIGNED.isdisjoint(words)
    around = enumerate(zip((",", *words), words, (*words[1:], ","), strict=False))
    words[:] = [
        "plus"
        if word == "+"
        and _adds(before, after)
        and not (signed and _begins(lowered, words, spans, place))
        and not _ends_a_line(lowered, *spans[place])
        else word
        for place, (before, word, after) in around
    ]


def _ends_a_line(lowered: str, start: int, end: int) -> bool:
    """ "Effusion+" over "PTX-", and "effusion+/PTX-"."""
    return lowered[max(0, start - 1) : start].isalnum() and _LINE_END.match(lowered, end) is not None


def _adds(before: str, after: str) -> bool:
    """Does a plus between these words join them?"""
    return before not in _PARTS and after not in _PARTS and before not in _OPENERS and "+" not in {before, after}


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
