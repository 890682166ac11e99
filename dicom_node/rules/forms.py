"""A rule as people write it: in TOML, in JSON, or with the options of a command."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dicom_node import mistakes
from dicom_node.errors import ConfigurationError
from dicom_node.rules.conditions import parse
from dicom_node.tables import Mode

MOST_RULES: Final = 500
Priority = Literal["", "stat", "routine", "backlog"]

Target = Annotated[str, Field(pattern=rf"^[^=\s][^=]{{0,63}}(=({'|'.join(Mode)}))?$")]


class Rule(BaseModel):
    """Which studies, and what becomes of them. All conditions must hold; none at all means every study."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    owner: str = Field("", max_length=128)
    comment: str = Field("", max_length=1000)
    enabled: bool = True
    when: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    exclude: str = Field("", max_length=200)  # the reason; empty: it is read
    reader: str = Field("", max_length=64)  # empty: any
    priority: Priority = ""  # empty: Requested Procedure Priority, else routine
    to: Annotated[tuple[Target, ...], Field(max_length=32)] = ()  # NAME or NAME=MODE; none: all as registered
    late: Literal["", "never", "replace", "add"] = ""  # empty: node.late_images

    @field_validator("when")
    @classmethod
    def conditions(cls, when: tuple[str, ...]) -> tuple[str, ...]:
        """Each can be parsed; kept as it was written."""
        for text in when:
            try:
                parse(text)
            except ConfigurationError as error:
                raise ValueError(str(error)) from error
        return tuple(text.strip() for text in when)

    @model_validator(mode="after")
    def one_purpose(self) -> Rule:
        """What is excluded goes nowhere."""
        if self.exclude and (self.reader or self.priority or self.to):
            raise ValueError("a rule with `exclude` chooses no reader, priority or destination")
        if len({target.partition("=")[0] for target in self.to}) < len(self.to):
            raise ValueError("a destination stands twice in `to`")
        return self

    @property
    def modes(self) -> Mapping[str, str]:
        """The destinations it chooses, with the mode for each; an empty one is that of the destination."""
        return MappingProxyType({name: mode for name, _, mode in (target.partition("=") for target in self.to)})

    def filled(self) -> dict[str, Any]:
        """Only what was set, in the order of the fields; lists instead of tuples."""
        return json.loads(self.model_dump_json(exclude_defaults=True))  # type: ignore[no-any-return]


def make(fields: Mapping[str, Any]) -> Rule:
    """A rule of these fields. Raises ConfigurationError that lists what is wrong."""
    try:
        return Rule.model_validate(dict(fields))
    except ValidationError as error:
        name = fields.get("name", "")
        raise ConfigurationError("\n".join(f"rule {name!r}: {mistake}" for mistake in _mistakes(error))) from error


def several(forms: object) -> tuple[Rule, ...]:
    """A list of rules in their order. Raises ConfigurationError."""
    if not isinstance(forms, list) or not all(isinstance(form, dict) for form in forms):
        raise ConfigurationError("rules are a list of tables: [[rules]] in TOML")
    if len(forms) > MOST_RULES:
        raise ConfigurationError(f"there are at most {MOST_RULES} rules")
    rules = tuple(make(form) for form in forms)
    names = [rule.name for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"two rules are named {name!r}")
    return rules


def read(text: str) -> tuple[Rule, ...]:
    """The rules of a TOML file with [[rules]], or of a JSON list. Raises ConfigurationError."""
    try:
        if re.match(r"\s*\[\s*[{\]]", text):
            return several(json.loads(text))
        return several(_rules_of(tomllib.loads(text)))
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise ConfigurationError(f"neither TOML with [[rules]] nor a JSON list of rules: {error}") from error


def _rules_of(whole: Mapping[str, object]) -> object:
    """Raises ConfigurationError: a typing error must not look like a file without rules, which takes away all."""
    for key in whole.keys() - {"rules"}:
        raise ConfigurationError(f"{key!r} is unknown; rules are a list of tables, [[rules]]")
    if "rules" not in whole:
        raise ConfigurationError("there are no [[rules]]; where none is wanted, write: rules = []")
    return whole["rules"]


def write(rules: Sequence[Rule]) -> str:
    """The same rules as TOML."""
    if not rules:
        return "rules = []\n"
    return "\n".join(f"[[rules]]\n{_table(rule)}" for rule in rules)


def _table(rule: Rule) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in rule.filled().items())


def _value(value: object) -> str:
    """A TOML value. A JSON text is one as well, but for DEL."""
    if isinstance(value, list):
        return _list(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: Sequence[object]) -> str:
    lines = "".join(f"    {_value(value)},\n" for value in values)
    return f"[\n{lines}]"


def _mistakes(error: ValidationError) -> list[str]:
    lines = []
    for place, what in mistakes.told(Rule, error):
        key = ".".join(str(part) for part in place)
        lines.append(f"{key}: {what}" if key else what)
    return lines
