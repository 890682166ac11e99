"""The site file: what administrators change in daily life, as one TOML file that can be applied and exported."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy.orm import Session

from agent.readers import READERS
from dicom_node.declared import PEERS, SERVICES
from dicom_node.errors import ConfigurationError
from dicom_node.rules import book
from dicom_node.rules.book import Change


class Section(Protocol):
    """One kind of tables, such as `[[peers]]`."""

    @property
    def name(self) -> str:
        """Of the section in the file."""
        ...

    def export(self, tx: Session) -> list[dict[str, Any]]:
        """What is there, as tables."""
        ...

    def apply(self, tx: Session, tables: object, *, prune: bool, now: datetime, actor: str) -> tuple[Change, ...]:
        """Make what is there what the tables say, and return what changed. Raises ConfigurationError."""
        ...


@dataclass(frozen=True, slots=True)
class _Rules:
    """`[[rules]]`, whose order counts."""

    name: str = "rules"

    def export(self, tx: Session) -> list[dict[str, Any]]:
        return book.export(tx)

    def apply(self, tx: Session, tables: object, *, prune: bool, now: datetime, actor: str) -> tuple[Change, ...]:
        return book.apply(tx, tables, prune=prune, now=now, actor=actor)


SECTIONS: Final[tuple[Section, ...]] = (PEERS, SERVICES, _Rules())
"""In the order in which they are applied: rules name destinations."""


def export(tx: Session) -> dict[str, list[dict[str, Any]]]:
    """Every section that holds anything."""
    found = {section.name: section.export(tx) for section in SECTIONS}
    return {name: tables for name, tables in found.items() if tables}


def apply(
    tx: Session, content: Mapping[str, object], *, prune: bool, now: datetime, actor: str
) -> dict[str, tuple[Change, ...]]:
    """Apply the sections that the file has; one that it does not have stays as it is, also with `prune`.

    Raises ConfigurationError; what was applied by then must not be kept.
    """
    known = [section.name for section in SECTIONS]
    for name in content:
        if name not in known:
            raise ConfigurationError(f"{name!r} is no section of a site file; there are: {', '.join(known)}")
    changes = {
        section.name: section.apply(tx, content[section.name], prune=prune, now=now, actor=actor)
        for section in SECTIONS
        if section.name in content
    }
    _check_rules(tx)
    return changes


def _check_rules(tx: Session) -> None:
    """Raises ConfigurationError where a rule names what is not there, or not there any more: its studies would wait."""
    tx.flush()
    readers = frozenset(READERS)
    wrong = [
        f"rule {standing.name!r}: {'; '.join(unknown)}"
        for standing in book.everyone(tx)
        if standing.rule is not None and standing.rule.enabled
        if (unknown := book.unknown(tx, standing.rule, readers=readers))
    ]
    if wrong:
        raise ConfigurationError("\n".join(wrong))


def read(text: str) -> Mapping[str, object]:
    """Raises ConfigurationError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"this is no TOML: {error}") from error


def write(content: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The same as TOML."""
    tables = [
        f"[[{name}]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in table.items())
        for name, several in content.items()
        for table in several
    ]
    return "\n".join(tables)


def _value(value: object) -> str:
    """A TOML value: a JSON text is one as well, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
