"""Does this installation compute what the authors' own code computed? A site proves its model with such a folder.

A folder holds `ckpt/` (a checkpoint), `images/*.png` (8-bit grey) and `reference.npz` with the arrays
`pixels_<image>`, `features_<image>`, `ids_<prompt>`, `logits_<image>_<prompt>`, `greedy_<image>_<prompt>` and
`margin_<image>_<prompt>`; prompts are `report`, `ddx` and `vqa` ("Is the heart enlarged?").
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from agent.readers import prompt
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.precisions import picture
from agent.readers.protocol import Generation
from dicom_node.errors import ConfigurationError

PIXEL_LIMIT: Final = 1e-5
COSINE_LIMIT: Final = 0.9995
MARGIN_LIMIT: Final = 0.1  # below it, the rounding of bf16 may choose another token

_PROMPTS: Final = MappingProxyType(
    {
        "report": prompt.REPORT,
        "ddx": prompt.DIFFERENTIAL,
        "vqa": prompt.question("Is the heart enlarged?"),
    }
)
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ParityRow:
    """One comparison, in words and figures."""

    what: str
    limit: str
    measured: str
    holds: bool


@dataclass(frozen=True, slots=True)
class ParityReport:
    """All comparisons of one folder."""

    rows: tuple[ParityRow, ...]

    @property
    def holds(self) -> bool:
        """Whether every comparison holds; false without any."""
        return bool(self.rows) and all(row.holds for row in self.rows)


def compare(folder: Path, precision: str = "bf16", *, device: str = "auto") -> ParityReport:
    """Compute everything that the folder has reference values for.

    Raises ConfigurationError where the folder lacks something.
    """
    reference = _reference(folder)
    films = _films(folder)
    _check(folder / "reference.npz", reference, films)
    reader = load(folder / "ckpt", precision, device=device)
    return ParityReport(tuple(_rows(reader, reference, films)))


def _reference(folder: Path) -> Arrays:
    path = folder / "reference.npz"
    if not path.is_file():
        raise ConfigurationError(f"{path} is missing. A parity folder holds ckpt/, images/ and reference.npz.")
    try:
        with path.open("rb") as stream:
            found = np.load(stream, allow_pickle=False)
            if not isinstance(found, NpzFile):
                raise ValueError("a single array")
            with found as arrays:
                return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, BadZipFile, zlib.error) as error:
        raise ConfigurationError(
            f"{path} cannot be read as arrays of numpy (*.npz): it is damaged, or something else. Copy it again."
        ) from error


def _check(path: Path, reference: Arrays, films: Iterable[str]) -> None:
    """All that will be compared is there, in numbers, before a model is loaded. Raises ConfigurationError."""
    prompts = _prompts(reference)
    if not prompts:
        raise ConfigurationError(f"{path} holds no prompt: ids_report, ids_ddx or ids_vqa is expected in it.")
    keys = [f"ids_{name}" for name in prompts]
    for film in films:
        keys += [f"pixels_{film}", f"features_{film}"]
        keys += [f"{kind}_{film}_{name}" for name in prompts for kind in ("logits", "greedy", "margin")]
    lacking = [key for key in keys if key not in reference or reference[key].dtype.kind not in "iuf"]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise ConfigurationError(
            f"{path} lacks the numbers {lacking[0]}{more}; each picture in images/ needs its own. Copy the folder "
            f"again, or take the picture away."
        )
    for key in keys:
        tokens, _, of = key.partition("_")
        if tokens == "greedy" and (reference[key].ndim != 1 or reference[key].shape != reference[f"margin_{of}"].shape):
            raise ConfigurationError(f"{path}: {key} and margin_{of} are no two lists of one length. Copy it again.")


def _films(folder: Path) -> dict[str, NDArray[np.uint8]]:
    paths = sorted((folder / "images").glob("*.png"))
    if not paths:
        raise ConfigurationError(f"{folder / 'images'} holds no *.png. A parity folder holds at least one picture.")
    return {path.stem: picture(path) for path in paths}


def _prompts(reference: Arrays) -> dict[str, str]:
    names = [key.removeprefix("ids_") for key in reference if key.startswith("ids_")]
    unknown = sorted(set(names) - set(_PROMPTS))
    if unknown:
        raise ConfigurationError(
            f"reference.npz has the prompts {', '.join(unknown)}; known are {', '.join(_PROMPTS)}."
        )
    return {name: _PROMPTS[name] for name in names}


def _rows(reader: CxrLlavaReader, reference: Arrays, films: dict[str, NDArray[np.uint8]]) -> Iterator[ParityRow]:
    prompts = _prompts(reference)
    for name, user in prompts.items():
        yield _same_ids(f"ids {name}", reader.prompt_ids(user), reference[f"ids_{name}"].ravel().tolist())
    for image, film in films.items():
        yield _close(f"pixels {image}", reader.pixels(film), reference[f"pixels_{image}"])
        yield _alike(f"features {image}", reader.features(film), reference[f"features_{image}"])
        for name, user in prompts.items():
            key = f"{image}_{name}"
            yield _alike(f"logits {key}", reader.next_logits(film, user), reference[f"logits_{key}"])
            expected, margins = reference[f"greedy_{key}"].tolist(), reference[f"margin_{key}"]
            ours = reader.token_ids(film, user, Generation(max_new_tokens=len(expected)))
            yield _same_tokens(f"greedy {key}", ours, expected, margins)


def _same_ids(what: str, ours: list[int], expected: list[int]) -> ParityRow:
    same = ours == expected
    return ParityRow(what, "equal", f"{len(ours)} equal" if same else "different", same)


def _close(what: str, ours: NDArray[Any], expected: NDArray[Any]) -> ParityRow:
    limit = f"difference <= {PIXEL_LIMIT:g}"
    if ours.shape != expected.shape:
        return ParityRow(what, limit, f"shape {ours.shape} instead of {expected.shape}", False)
    difference = float(np.abs(ours - expected).max())
    return ParityRow(what, limit, f"{difference:.1e}", difference <= PIXEL_LIMIT)


def _alike(what: str, ours: NDArray[Any], expected: NDArray[Any]) -> ParityRow:
    limit = f"cosine > {COSINE_LIMIT}"
    if ours.shape != expected.shape:
        return ParityRow(what, limit, f"shape {ours.shape} instead of {expected.shape}", False)
    a, b = ours.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return ParityRow(what, limit, f"{cosine:.6f}", cosine > COSINE_LIMIT)


def _same_tokens(what: str, ours: list[int], expected: list[int], margins: NDArray[Any]) -> ParityRow:
    """Equal up to the first choice that was too close to be kept by bf16; what follows a close choice may differ."""
    close = np.flatnonzero(margins < MARGIN_LIMIT)
    count = int(close[0]) if close.size else len(expected)
    same = next((i for i in range(count) if ours[i : i + 1] != expected[i : i + 1]), count)
    return ParityRow(what, f"first {count} of {len(expected)} equal", f"{same} equal", same == count)
