"""What is wrong with a setting, in words of whoever wrote it: what the program that checks says is for programmers."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

_WHOLE: Final = "must be a whole number, written without quotes, such as 104"
_NUMBER: Final = "must be a number, written without quotes, such as 30.0"
_TRUTH: Final = "must be true or false, written without quotes"
_LIST: Final = 'must be a list, such as ["A", "B"]'
_TABLE: Final = "must be a section with keys of its own"
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "int_parsing": _WHOLE,
        "int_type": _WHOLE,
        "int_from_float": _WHOLE,
        "float_parsing": _NUMBER,
        "float_type": _NUMBER,
        "bool_parsing": _TRUTH,
        "bool_type": _TRUTH,
        "string_type": "must be a text in quotes",
        "path_type": "must be a path in quotes",
        "tuple_type": _LIST,
        "list_type": _LIST,
        "model_type": _TABLE,
        "dict_type": _TABLE,
        "missing": "must be set; it is not there",
        "greater_than_equal": "must be at least {ge}",
        "greater_than": "must be more than {gt}",
        "less_than_equal": "must be at most {le}",
        "less_than": "must be less than {lt}",
        "string_too_long": "has more than {max_length} characters",
        "string_too_short": "has less than {min_length} characters",
        "too_long": "has more than {max_length} entries",
        "too_short": "has less than {min_length} entries",
    }
)


def told(model: type[BaseModel], error: ValidationError) -> Sequence[tuple[tuple[str | int, ...], str]]:
    """The place and the words of each mistake. Values stay out: some are secrets."""
    return [(one["loc"], _words(model, one)) for one in error.errors()]


def _words(model: type[BaseModel], mistake: Mapping[str, Any]) -> str:
    kind, context = mistake["type"], mistake.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_meant(model, mistake['loc'])}"
    if kind in {"literal_error", "enum"}:
        return _one_of(str(context["expected"]))
    words = _WORDS.get(kind)
    return words.format(**context) if words else str(mistake["msg"]).removeprefix("Value error, ")


def _one_of(expected: str) -> str:
    """expected: such as "'', 'stat' or 'routine'"."""
    allowed = re.findall(r"'([^']*)'", expected)
    chosen = ", ".join(word for word in allowed if word)
    return f"must be one of: {chosen}{'; or empty' if '' in allowed else ''}" if chosen else f"must be {expected}"


def _meant(model: type[BaseModel], place: Sequence[str | int]) -> str:
    """The key of that section that is most like the one that nobody knows."""
    section: type[BaseModel] | None = model
    for part in place[:-1]:
        field = section.model_fields.get(str(part)) if section else None
        section = _section(field.annotation) if field else None
    like = difflib.get_close_matches(str(place[-1]), section.model_fields if section else (), n=1)
    return f"; did you mean {like[0]}?" if like else ""


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, also where it may be absent."""
    for one in (annotation, *typing.get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None
