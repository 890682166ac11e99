"""What a run was asked: settings and films, kept in its folder, so that it goes on with the same and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agent.training import films, layout, provenance
from agent.training.choosing import Prepared
from agent.training.settings import Training
from dicom_node.errors import ConfigurationError

SETTINGS: Final = "settings.json"  # written first: what has none is no run
DATA: Final = "data.json"
_RESULTS: Final = ("model", "metrics.json", DATA, "checkpoint-*")
_SHOWN: Final = 5  # differences in one message


def must_be_a_run(out: Path) -> None:
    """Raises ConfigurationError where the folder has what a run would write over, and it is none of a run."""
    if (out / SETTINGS).exists():
        return
    there = sorted(path.name for name in _RESULTS for path in out.glob(name))
    if there:
        raise ConfigurationError(
            f"{out} has {there[0]}, which a run would write over, and is no folder of a run (it has no {SETTINGS}); "
            "name another folder"
        )


def note(out: Path, settings: Training, prepared: Prepared, squares: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write it down. Raises ConfigurationError: the folder has a run that was asked something else, or is damaged."""
    whole = films.digest([*prepared.train, *prepared.validation], np.concatenate(list(squares.values())))
    data = {
        "digest": whole,
        "films": {"train": len(prepared.train), "validation": len(prepared.validation)},
        "patients": len({case.patient or case.id for case in prepared.train}),
        "labels": list(prepared.labels),
    }
    wanted = {SETTINGS: json.loads(settings.model_dump_json()), DATA: data}
    for name, content in wanted.items():
        before = _read(out / name)
        if before is not None and before != content:
            since = _since(out) if name == DATA else ""
            told = list(_differences(before, content))
            more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
            raise ConfigurationError(
                f"{out} holds a run with other films or settings{since}: {'; '.join(told[:_SHOWN])}{more}. "
                "Name another folder, or go on with what it was begun with"
            )
    for name, content in wanted.items():
        layout.write_json(out / name, content)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise ConfigurationError(f"{path} is damaged ({error}); name another folder, or delete this one") from error


def _differences(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """In words such as `encoder.epochs 10.0, now 12.0`."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*before, *now]):
            yield from _differences(before.get(name), now.get(name), f"{place}.{name}" if place else name)
    elif place == "digest" and before != now:
        yield "other pixels, labels, views or texts, or another order"
    elif before != now:
        yield f"{place} {_shown(before)}, now {_shown(now)}"


def _shown(value: Any) -> str:
    return "not set" if value is None else json.dumps(value)


def _since(out: Path) -> str:
    """What may have made other pixels of the same films; empty where nothing is known to have changed."""
    parts = provenance.read(out)
    changed = provenance.differences(parts[-1], provenance.part("", 0)) if parts else []
    return f", or films that other versions decoded otherwise ({'; '.join(changed)})" if changed else ""
