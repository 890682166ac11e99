"""The rules that are in force: in their order, each change with a version, an author and a row in the audit trail."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.destinations import destinations
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.rules.decision import Standing
from dicom_node.rules.forms import MOST_RULES, Rule, make, several
from dicom_node.rules.tables import RuleRow


@dataclass(frozen=True, slots=True)
class Change:
    """What `apply` would do to one rule."""

    name: str
    what: str  # added, edited, moved, removed
    words: str  # what differs, for people


def everyone(tx: Session) -> Sequence[Standing]:
    """All rules in the order in which they are asked, disabled ones as well."""
    return [_standing(row) for row in _rows(tx)]


def find(tx: Session, name: str) -> Standing:
    """The rule of this name. Raises NotFound."""
    return _standing(_found(tx.scalar(select(RuleRow).where(RuleRow.name == name)), name))


def add(tx: Session, rule: Rule, *, now: datetime, actor: str, before: str = "") -> None:
    """Add a rule at the end, or before another one. Raises ConfigurationError, NotFound."""
    rows = list(_rows(tx))
    if any(row.name == rule.name for row in rows):
        raise ConfigurationError(
            f"there is a rule {rule.name!r} already; change it with: wetread rule edit {rule.name}"
        )
    if len(rows) >= MOST_RULES:
        raise ConfigurationError(f"there are {MOST_RULES} rules already; put several into one, or remove some")
    row = RuleRow(name=rule.name, version=1, position=0)
    rows.insert(_place(rows, before) if before else len(rows), row)
    _write(row, rule, now, actor)
    _number(rows)
    tx.add(row)
    tx.flush()
    _audit(tx, "rule-added", row, now, actor)


def edit(tx: Session, name: str, *, now: datetime, actor: str, **fields: Any) -> Rule:
    """Change these fields of a rule and leave the rest. Raises NotFound, ConfigurationError."""
    row = _row(tx, name)
    old = _standing(row)
    rule = make({**(old.rule.filled() if old.rule else {"name": name}), **fields})
    if rule != old.rule:
        row.version += 1
        _write(row, rule, now, actor)
        _audit(tx, _edited(old.rule, rule), row, now, actor)
    return rule


def move(tx: Session, name: str, *, now: datetime, actor: str, before: str = "") -> None:
    """Put a rule before another one, or at the end. Raises NotFound."""
    row = _row(tx, name)
    others = [one for one in _rows(tx) if one is not row]
    others.insert(_place(others, before) if before else len(others), row)
    _number(others)
    row.changed_at, row.changed_by = now, actor[:64]
    _audit(tx, "rule-moved", row, now, actor)


def remove(tx: Session, name: str, *, now: datetime, actor: str) -> None:
    """Remove a rule; what it said stands in the audit trail. Raises NotFound."""
    row = _row(tx, name)
    _audit(tx, "rule-removed", row, now, actor)
    tx.delete(row)
    tx.flush()
    _number(_rows(tx))


def export(tx: Session) -> list[dict[str, Any]]:
    """All rules as plain tables, in their order. Raises ConfigurationError where one can no longer be read."""
    forms = []
    for standing in everyone(tx):
        if standing.rule is None:
            raise ConfigurationError(f"rule {standing.name!r} cannot be read: {standing.trouble}; remove it first")
        forms.append(standing.rule.filled())
    return forms


def plan(tx: Session, forms: object, *, prune: bool) -> tuple[Change, ...]:
    """What `apply` would change, without changing anything. Raises ConfigurationError."""
    wanted = {rule.name: rule for rule in several(forms)}
    there = {standing.name: standing for standing in everyone(tx)}
    changes = [Change(name, "added", _words(None, rule)) for name, rule in wanted.items() if name not in there]
    for name, rule in wanted.items():
        if name in there and there[name].rule != rule:
            changes.append(Change(name, "edited", _words(there[name].rule, rule)))
    if prune:
        changes += [Change(name, "removed", "") for name in there if name not in wanted]
    others = [] if prune else [name for name in there if name not in wanted]
    now_there = [name for name in there if name in wanted or name in others]
    order = [name for name in (*wanted, *others) if name in there]
    if now_there != order:
        changes.append(Change(", ".join(order), "moved", "their order"))
    return tuple(changes)


def apply(tx: Session, forms: object, *, prune: bool, now: datetime, actor: str) -> tuple[Change, ...]:
    """Make the rules those of `forms`, in that order; others stay behind them, or go with `prune`.

    Returns what changed. Raises ConfigurationError.
    """
    changes = plan(tx, forms, prune=prune)
    rules = several(forms)
    for change in changes:
        if change.what == "removed":
            remove(tx, change.name, now=now, actor=actor)
    there = {standing.name for standing in everyone(tx)}
    for rule in rules:
        if rule.name in there:
            edit(tx, rule.name, now=now, actor=actor, **_whole(rule))
        else:
            add(tx, rule, now=now, actor=actor)
    _order(tx, [rule.name for rule in rules], now, actor)
    return changes


def unknown(tx: Session, rule: Rule, *, readers: Collection[str]) -> tuple[str, ...]:
    """What a rule names that there is not, in words: a reader, destinations."""
    there = {destination.name for destination in destinations(tx)}
    missing = [
        f"no destination is named {name!r}: wetread destination list" for name in rule.modes if name not in there
    ]
    if rule.reader and rule.reader not in readers:
        missing.append(f"no reader is named {rule.reader!r}; there are {', '.join(sorted(readers))}")
    return tuple(missing)


def _order(tx: Session, names: Sequence[str], now: datetime, actor: str) -> None:
    rows = {row.name: row for row in _rows(tx)}
    before = list(rows)
    after = [*names, *(name for name in before if name not in names)]
    if before != after:
        _number([rows[name] for name in after])
        audit.append(tx, "rules-ordered", at=now, actor=actor, order=", ".join(after))


def _whole(rule: Rule) -> dict[str, Any]:
    """Every field but the name, so that what is not set goes back to its default."""
    return json.loads(rule.model_dump_json(exclude={"name"}))  # type: ignore[no-any-return]


def _rows(tx: Session) -> Sequence[RuleRow]:
    return tx.scalars(select(RuleRow).order_by(RuleRow.position, RuleRow.id)).all()


def _row(tx: Session, name: str) -> RuleRow:
    """To be changed: a reader cannot lock it."""
    return _found(tx.scalar(select(RuleRow).where(RuleRow.name == name).with_for_update(of=RuleRow)), name)


def _found(row: RuleRow | None, name: str) -> RuleRow:
    if row is None:
        raise NotFound(f"there is no rule {name!r}; those there are: wetread rule list")
    return row


def _place(rows: Sequence[RuleRow], before: str) -> int:
    for place, row in enumerate(rows):
        if row.name == before:
            return place
    raise NotFound(f"there is no rule {before!r} to stand before; those there are: wetread rule list")


def _number(rows: Sequence[RuleRow]) -> None:
    for position, row in enumerate(rows, 1):
        row.position = position


def _write(row: RuleRow, rule: Rule, now: datetime, actor: str) -> None:
    row.form, row.enabled = rule.model_dump_json(exclude_defaults=True), rule.enabled
    row.changed_at, row.changed_by = now, actor[:64]


def _standing(row: RuleRow) -> Standing:
    try:
        return Standing(row.name, row.version, make(json.loads(row.form)))
    except (ConfigurationError, ValueError) as error:
        return Standing(row.name, row.version, None, str(error))


def _edited(old: Rule | None, new: Rule) -> str:
    if old is not None and old.model_copy(update={"enabled": new.enabled}) == new:
        return "rule-enabled" if new.enabled else "rule-disabled"
    return "rule-edited"


def _words(old: Rule | None, new: Rule) -> str:
    before: Mapping[str, Any] = old.filled() if old else {}
    after = new.filled()
    keys = [key for key in Rule.model_fields if before.get(key) != after.get(key) and key != "name"]
    if old is None:
        return "; ".join(f"{key} = {after[key]}" for key in keys)
    return "; ".join(f"{key}: {before.get(key, '-')} -> {after.get(key, '-')}" for key in keys)


def _audit(tx: Session, event: str, row: RuleRow, now: datetime, actor: str) -> None:
    audit.append(
        tx, event, at=now, actor=actor, rule=row.name, version=row.version, position=row.position, form=row.form
    )
