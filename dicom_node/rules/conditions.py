"""Conditions of rules: one line each, `SUBJECT OPERATOR VALUE`. They are compared, never evaluated as code."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, tag_for_keyword

from dicom_node.errors import ConfigurationError
from dicom_node.rules.facts import NAMES, Facts, Untold
from dicom_node.rules.measures import AGES, MEASURES, Measure, number
from dicom_node.rules.patterns import Pattern

_LONGEST: Final = 512  # characters of a condition
_FORM: Final = re.compile(
    r"(?P<subject>\([0-9A-Fa-f]{4},\s*[0-9A-Fa-f]{4}\)|[A-Za-z_][\w.]*)\s*"
    r"(?P<operator>!=|!~|<=|>=|=|~|<|>|not\s+in\b|in\b|present\b|absent\b)\s*(?P<value>.*)",
    re.DOTALL,
)
_NEGATIONS: Final = MappingProxyType({"!=": "=", "!~": "~", "not in": "in", "absent": "present"})

_ORDERS: Final = MappingProxyType({"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge})

Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a rule."""

    text: str
    subject: str  # a name of `facts.NAMES`, or keywords with dots between them
    test: Test
    negated: bool
    asks_presence: bool

    def holds(self, facts: Facts) -> bool:
        """Does any value of any image pass; where negated: does none? Raises Untold where that cannot be known."""
        values = facts.values(self.subject)
        if not values and not self.asks_presence:
            raise Untold(f"{self.subject} is absent")
        if self.asks_presence:
            return bool(values) is not self.negated
        return self._any_passes(values) is not self.negated

    def _any_passes(self, values: Sequence[str]) -> bool:
        unlike = False
        for value in values:
            try:
                if self.test(value):
                    return True
            except ValueError:
                unlike = True
        if unlike:
            raise Untold(f"{self.subject} holds what cannot be compared")
        return False


def parse(text: str) -> Condition:
    """Read a condition, in NFC as the values are. Raises ConfigurationError that says what is wrong with it."""
    if len(text) > _LONGEST:
        raise ConfigurationError(f"a condition has at most {_LONGEST} characters")
    text = unicodedata.normalize("NFC", text)
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(
            f"{text!r} is no condition; write SUBJECT OPERATOR VALUE with one of = != ~ !~ < <= > >= in, not in, "
            "present, absent, such as: Modality = DX"
        )
    subject = _subject(found["subject"])
    sign = " ".join(found["operator"].split())
    plain = _NEGATIONS.get(sign, sign)
    written = found["value"].strip()
    value = _unquoted(written)
    if plain == "present" and value:
        raise ConfigurationError(f"{text!r}: nothing stands behind {sign}")
    if written.startswith("="):
        raise ConfigurationError(f"{text!r}: equality is one '='; a value that begins so stands in quotes")
    if plain != "present" and not value:
        raise ConfigurationError(f"{text!r}: a value is missing behind {sign}")
    test = _test(subject, plain, value)
    return Condition(text.strip(), subject, test, negated=sign in _NEGATIONS, asks_presence=plain == "present")


def _subject(word: str) -> str:
    """A known name, or keywords of the data dictionary; a tag becomes its keyword. Raises ConfigurationError."""
    if word.startswith("("):
        tag = int(re.sub(r"[(),\s]", "", word), 16)
        if not dictionary_has_tag(tag):
            raise ConfigurationError(f"{word} is no tag of the standard's dictionary")
        return dictionary_keyword(tag)
    if word in NAMES:
        return word
    for keyword in word.split("."):
        if tag_for_keyword(keyword) is None:
            raise ConfigurationError(
                f"{keyword!r} is neither a DICOM keyword (such as StudyDescription) nor one of {', '.join(NAMES)}"
            )
    return word


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _test(subject: str, sign: str, value: str) -> Test:
    if sign == "present":
        return bool
    if sign == "~":
        return Pattern(value).is_in
    measure = MEASURES.get(subject)
    if sign == "=":
        return _equal(value, measure)
    if sign == "in":
        return _listed([part.strip() for part in value.split(",")], measure, cyclic=subject in {"time", "weekday"})
    return _ordered(sign, value, measure or number)


def _ordered(sign: str, value: str, measure: Measure) -> Test:
    limit, compare = _measured(measure, value), _ORDERS[sign]
    return lambda there: compare(measure(there), limit)


def _equal(value: str, measure: Measure | None) -> Test:
    if measure is None:
        return lambda there: there == value
    wanted = _measured(measure, value)
    return lambda there: measure(there) == wanted


def _listed(parts: Sequence[str], measure: Measure | None, *, cyclic: bool) -> Test:
    """Values and ranges `a..b`, both ends included; a range of times or weekdays may go over midnight or Sunday."""
    tests = [_between(part, measure or number, cyclic=cyclic) or _equal(part, measure) for part in parts if part]
    return lambda there: any(test(there) for test in tests)


def _between(part: str, measure: Measure, *, cyclic: bool) -> Test | None:
    first, dots, last = part.partition("..")
    if not dots:
        return None
    low, high = _measured(measure, first.strip()), _measured(measure, last.strip())
    if low <= high:
        return lambda there: low <= measure(there) <= high
    if cyclic:
        return lambda there: measure(there) >= low or measure(there) <= high
    raise ConfigurationError(f"{part!r}: the range ends before it begins")


def _measured(measure: Measure, value: str) -> float:
    try:
        return measure(value)
    except ValueError as error:
        hint = "; an age is written 18Y, 6M, 3W or 10D" if measure is MEASURES[AGES[0]] else ""
        raise ConfigurationError(f"{value!r} cannot be compared here: {error}{hint}") from error
