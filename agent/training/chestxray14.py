"""The films of the demonstration model, out of ChestX-ray14 as the NIH Clinical Center gives it away.

`Data_Entry_2017.csv` names 112,120 films; `films.txt`, beside the model, names the 746 that it learned from, in their
order, on which the weights and the folds depend. The pictures may be anywhere below one folder, PNG or JPEG.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agent.manifest import Case, ManifestError, read_manifest
from agent.readers import demonstration_checkpoint

LIST: Final = "films.txt"
_NAME: Final = "Image Index"
_OURS: Final = (
    ("labels", "Finding Labels"),
    ("view", "View Position"),
    ("age", "Patient Age"),
    ("sex", "Patient Gender"),
    ("patient", "Patient ID"),
)
_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg"})
_DIGITS: Final = 8  # of a patient's number in a film's name; the folds go by the order of such words


def names() -> tuple[str, ...]:
    """The films of the demonstration model in their order, without ending."""
    return tuple((demonstration_checkpoint() / LIST).read_text(encoding="ascii").split())


def is_entry_list(manifest: Path) -> bool:
    """Is it the table of ChestX-ray14, and not a manifest of ours?"""
    if not manifest.is_file():
        return False
    with manifest.open(encoding="utf-8-sig", errors="replace", newline="") as opened:
        return _NAME in next(csv.reader(opened), [])


def cases(entries: Path, images: Path, wanted: Sequence[str]) -> list[Case]:
    """The wanted films in that order. Raises ManifestError: the table lacks a column or a film, or the folder does."""
    rows = _rows(entries)
    _all_there(wanted, rows, entries)
    paths = _pictures(images, frozenset(wanted))
    _all_there(wanted, paths, images)
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / entries.name
        with manifest.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(["image", *(ours for ours, _ in _OURS)])
            for name in wanted:
                values = {ours: (rows[name][theirs] or "").strip() for ours, theirs in _OURS}
                values["patient"] = f"NIH-{values['patient'].zfill(_DIGITS)}"
                writer.writerow([paths[name].absolute(), *values.values()])
        return read_manifest(manifest)


def _rows(entries: Path) -> dict[str, dict[str, str]]:
    try:
        with entries.open(encoding="utf-8-sig", newline="") as opened:
            table = csv.DictReader(opened)
            missing = [theirs for _, theirs in _OURS if theirs not in (table.fieldnames or ())]
            if missing:
                raise ManifestError(f"{entries} has no column {', '.join(missing)}, as Data_Entry_2017.csv has")
            return {Path(row[_NAME]).stem: row for row in table}
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{entries} is no CSV file in UTF-8 ({error})") from error


def _pictures(images: Path, wanted: frozenset[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(images.rglob("*")):
        if path.stem in wanted and path.suffix.lower() in _PICTURES:
            if path.stem in found:
                raise ManifestError(f"{images} has the film {path.stem} twice: {found[path.stem]} and {path}")
            found[path.stem] = path
    return found


def _all_there(wanted: Sequence[str], found: Mapping[str, object], where: Path) -> None:
    """The names are public, so they may be told."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ManifestError(
            f"{where} lacks {len(missing)} of the {len(wanted)} films of the demonstration model, such as {missing[0]}"
        )
