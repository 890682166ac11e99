"""Variables of the environment that set something: which one a mistake is in, and which ones nobody reads."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

PREFIX: Final = "WETREAD_"
# Read by the command line, by deploy/environment.sh and by the tests; everything else names a setting.
_OTHERS: Final = frozenset(
    {
        "WETREAD_CONFIG",
        "WETREAD_SECRETS",
        "WETREAD_CPU",
        "WETREAD_KILL_RUNS",
        "WETREAD_KILL_SEED",
        "WETREAD_NEEDED_MIB",
        "WETREAD_TEST_DATA",
        "WETREAD_TORCH_INDEX",
        "WETREAD_VENV",
        "WETREAD_WRITE_DOCS",
        "WETREAD_WRITE_GOLDEN",
    }
)


_TABLES: Final = (dict, Mapping)


def source_of(place: Sequence[str | int], variables: Mapping[str, str], file: Path | None) -> str:
    """Where a mistake was made: in a variable, a file of the secrets folder, or the configuration file.

    place: of the key, such as ("node", "port").
    """
    words = [str(part) for part in place]
    names = {name.upper(): name for name in variables}
    for length in (len(words), 2, 1):
        name = PREFIX + "__".join(words[:length]).upper()
        if name in names:
            return f"environment ({names[name]})"
        secret = Path(variables.get("WETREAD_SECRETS", "")) / name.lower()
        if "WETREAD_SECRETS" in variables and secret.exists():
            return str(secret)
    return str(file or "environment")


def unparsable(model: type[BaseModel], variables: Mapping[str, str]) -> list[str]:
    """One sentence for each variable that should hold a JSON list or object and does not; no value is quoted."""
    found = []
    for name, value in sorted(variables.items()):
        annotation = _annotation(model, name)
        if annotation is not None and _is_complex(annotation) and not _is_json(value):
            what = "a section, as a JSON object" if _is_section(annotation) else "a list, such as [30, 60, 120]"
            found.append(f"environment ({name}): this is {what}; what it holds cannot be read")
    return found


def unknown(model: type[BaseModel], variables: Mapping[str, str]) -> list[str]:
    """One sentence for each variable with our prefix that nobody reads."""
    found = []
    for name in sorted(variables):
        ours = name.upper().startswith(PREFIX) and name.upper() not in _OTHERS
        if ours and _annotation(model, name) is None:
            meant = _meant(model, name)
            hint = f"; did you mean {meant}?" if meant else "; wetread config show lists the settings"
            found.append(f"{name} in the environment is read by nobody{hint}")
    return found


def _annotation(model: type[BaseModel], name: str) -> Any:
    """The type of the setting that a variable sets; None where it sets none."""
    if not name.upper().startswith(PREFIX):
        return None
    annotation: Any = model
    for part in name[len(PREFIX) :].lower().split("__"):
        if typing.get_origin(annotation) in _TABLES:  # its keys are free
            return str
        field = annotation.model_fields.get(part) if _is_section(annotation) else None
        if field is None:
            return None
        annotation = field.annotation
    return annotation


def _meant(model: type[BaseModel], name: str) -> str:
    """The setting with the same letters, where only an underscore is missing."""
    squeezed = name.upper().replace("_", "")
    for section, field in model.model_fields.items():
        keys = field.annotation.model_fields if _is_section(field.annotation) else {}  # type: ignore[union-attr]
        for key in keys:
            right = f"{PREFIX}{section}__{key}".upper()
            if right.replace("_", "") == squeezed:
                return right
    return ""


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_complex(annotation: Any) -> bool:
    return _is_section(annotation) or typing.get_origin(annotation) in {tuple, list, set, frozenset, *_TABLES}


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True
