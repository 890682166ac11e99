"""Which films and which texts an evaluation speaks of, so that its page can be told from another's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from agent import __version__
from agent.evaluation.readings import ReadingsError

_TEXTS = "texts_sha256"


def which(manifest: Path, now: datetime, chosen: Mapping[str, Any]) -> dict[str, str]:
    """The manifest by name and SHA-256 of its file, what was chosen of it, and when and by what it was judged."""
    return {
        "manifest": manifest.name,
        "manifest_sha256": digest(manifest),
        "split": chosen["split"] or "all",
        "limit": str(chosen["limit"] or "none"),
        "adults": "only" if chosen["adults"] else "and children",
        "date": now.isoformat(timespec="seconds"),
        "wetread": __version__,
    }


def of_texts(texts: Path) -> dict[str, str]:
    """What tells these texts from others, whatever the file is called."""
    return {_TEXTS: digest(texts)}


def must_be_free(output: Path, texts: Path) -> None:
    """Raises ReadingsError where the folder has the evaluation of something else than these texts.

    Its page and pictures would be written over, and a reader's texts would lie beside figures of others.
    """
    readings, page = output / "readings.jsonl", output / "evaluation.json"
    if readings.is_file():
        if digest(readings) != digest(texts):
            raise ReadingsError(
                f"{readings} has the readings of a reader, not these texts; name another --output folder"
            )
    elif page.is_file() and _judged(page) != digest(texts):
        raise ReadingsError(f"{output} has the evaluation of other texts; name another --output folder")


def must_have_no_texts(output: Path) -> None:
    """Raises ReadingsError where the folder has an evaluation of texts: a reader's would be written over it.

    A folder with readings is a reader's, even if these were judged as texts since.
    """
    if not (output / "readings.jsonl").is_file() and _judged(output / "evaluation.json") is not None:
        raise ReadingsError(f"{output} has the evaluation of texts, not of a reader; name another --output folder")


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _judged(page: Path) -> str | None:
    """By an evaluation's JSON; None where it is of a reader, older, something else, or not there."""
    try:
        found: str | None = json.loads(page.read_bytes())["heading"].get(_TEXTS)
    except (FileNotFoundError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return found
