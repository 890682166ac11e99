"""The forms by which rules are written in the browser: fields, or TOML; and where a rule goes that is moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from dicom_node.errors import ConfigurationError
from dicom_node.rules import forms
from dicom_node.rules.decision import RANKS, Standing
from dicom_node.rules.forms import Rule
from dicom_node.rules.tables import Late
from reports.web.entries import Entries

PRIORITIES: Final = ("", *RANKS)
LATE: Final = ("", *(late.value for late in Late))
_TEXTS: Final = ("name", "owner", "comment", "exclude", "reader", "priority", "late")

BLANK: Final = MappingProxyType({**dict.fromkeys(_TEXTS, ""), "enabled": True, "when": "", "to": ""})


def shown(rule: Rule) -> Mapping[str, Any]:
    """A rule as it stands in its form: a condition a line, a destination a line."""
    texts = {name: getattr(rule, name) for name in _TEXTS}
    return MappingProxyType({**texts, "enabled": rule.enabled, "when": "\n".join(rule.when), "to": "\n".join(rule.to)})


def typed(entries: Entries) -> Mapping[str, Any]:
    """The same, as a person typed it."""
    texts = {name: entries.text(name) for name in (*_TEXTS, "when", "to")}
    return MappingProxyType({**texts, "enabled": entries.flag("enabled")})


def fields(entries: Entries) -> dict[str, Any]:
    """What `forms.make` and `book.edit` take, every field but the name."""
    texts: dict[str, Any] = {name: entries.text(name) for name in _TEXTS if name != "name"}
    return {**texts, "enabled": entries.flag("enabled"), "when": entries.lines("when"), "to": entries.lines("to")}


def one_of_toml(text: str, name: str) -> Rule:
    """The one rule of a text, with this name unless it is empty. Raises ConfigurationError."""
    rules = forms.read(text)
    if len(rules) != 1:
        raise ConfigurationError(f"one [[rules]] belongs here, not {len(rules)}")
    if name and rules[0].name != name:
        raise ConfigurationError(f"this is rule {name!r}: a rule with another name is added anew, and this one removed")
    return rules[0]


def whole(rule: Rule) -> dict[str, Any]:
    """Every field but the name, so that what is not set goes back to its default."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in rule if key != "name"}


def version_of(entries: Entries) -> int:
    """The version of the rule that the form was made from; 0 where it says none."""
    text = entries.text("version")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def must_be_the_version(entries: Entries, standing: Standing) -> None:
    """Raises ConfigurationError: somebody else has changed the rule since the form was shown."""
    if standing.rule is not None and version_of(entries) != standing.version:
        raise ConfigurationError(
            f"rule {standing.name!r} has version {standing.version} now: somebody else changed it meanwhile. "
            "Look at it on the page of rules, then change it there"
        )


def drafted(text: str, in_force: Sequence[Standing]) -> Sequence[Standing]:
    """The rules of a text that nobody has applied yet; where it is empty, those in force. Raises ConfigurationError."""
    if not text:
        return in_force
    return [Standing(rule.name, 0, rule) for rule in forms.read(text)]


def before(names: Sequence[str], name: str, *, up: bool) -> str:
    """The rule that one stands before once it is moved by a place; empty: it is the last. Raises ConfigurationError."""
    if name not in names:
        raise ConfigurationError(f"there is no rule {name!r}")
    place = names.index(name)
    if up:
        return names[max(place - 1, 0)] if place else (names[1] if len(names) > 1 else "")
    return names[place + 2] if place + 2 < len(names) else ""
