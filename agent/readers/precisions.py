"""How much does a precision change what the model writes? The same films, read in several, compared with the first.

For each film the first precision writes its greedy report. Every other one is asked for its logits at each token of
that report (so that one early difference does not hide what follows), and writes a report of its own, whose findings
are compared with the first one's.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from agent.imaging.pixels import Film
from agent.imaging.stored import UndecodableImage
from agent.readers import prompt
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.protocol import Framing, Generation
from dicom_node.counted import counted
from dicom_node.errors import ConfigurationError
from reports.findings import State, extract

_PICTURES: Final = frozenset({".png"})


class Decoder(Protocol):
    """Decodes DICOM files."""

    def render(self, path: Path) -> Film:
        """Raises UndecodableImage."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One film in one precision beside the first.

    tokens: of the first one's report. chosen: at how many of them this precision would have chosen the same.
    same: how many tokens from the start both reports share. cosine, lowest: of the logits, mean and least over tokens.
    findings: labels that either report mentions; alike: those with the same state in both.
    """

    image: str
    precision: str
    tokens: int
    chosen: int
    same: int
    cosine: float
    lowest: float
    findings: int
    alike: int
    differing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The first precision's report of one film."""

    ids: tuple[int, ...]
    states: Mapping[str, State]
    logits: NDArray[np.float16]


def pictures(paths: Sequence[Path]) -> dict[str, Path]:
    """The files that are meant, folders opened (not those in them), under names that tell them apart.

    Raises ConfigurationError: none.
    """
    found = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path]) if file.is_file()]
    if not found:
        raise ConfigurationError("No images: name DICOM or PNG files, or a folder that holds some directly.")
    names = [file.name for file in found]
    return {file.name if names.count(file.name) == 1 else str(file): file for file in found}


def film_of(path: Path, decoder: Decoder) -> NDArray[np.uint8]:
    """An 8-bit gray PNG as it is, everything else as DICOM. Raises ConfigurationError, which names the file."""
    if path.suffix.lower() in _PICTURES:
        return picture(path)
    try:
        return decoder.render(path).pixels
    except UndecodableImage as error:
        raise ConfigurationError(
            f"{path} is no film that can be read as DICOM or PNG: {error.explanation} Take it out of the folder, or "
            f"name the films one by one with --images"
        ) from error


def picture(path: Path) -> NDArray[np.uint8]:
    """An 8-bit gray PNG as it is. Raises ConfigurationError."""
    try:
        with Image.open(path) as opened:
            if opened.mode not in {"L", "RGB"}:
                raise ConfigurationError(f"{path} is no 8-bit picture but {opened.mode}. Convert it to 8 bits first.")
            return np.asarray(opened.convert("L"), dtype=np.uint8)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise ConfigurationError(f"{path} cannot be read as PNG. Copy it again, or take it away.") from error


def compare(
    folder: Path,
    films: Mapping[str, NDArray[np.uint8]],
    precisions: Sequence[str],
    *,
    device: str = "auto",
    framing: Framing = "crop",
    tokens: int = 512,
    say: Callable[[str], None] = lambda _words: None,
) -> list[Compared]:
    """Read all films in all precisions, one model in memory at a time. The first precision is what others are held to.

    Raises ConfigurationError: less than two precisions; CheckpointError.
    """
    if len(set(precisions)) < 2:
        raise ConfigurationError("Name at least two precisions; the first is what the others are compared with.")
    first, *others = dict.fromkeys(precisions)
    rows: list[Compared] = []
    images = counted(len(films), "image")
    say(f"{first}: {images}")
    reader = load(folder, first, device=device, framing=framing, limits=1)
    written = {name: _write(reader, film, tokens) for name, film in films.items()}
    for precision in others:
        del reader
        _forget()
        say(f"{precision}: {images}")
        reader = load(folder, precision, device=device, framing=framing, limits=1)
        rows += [_beside(reader, name, film, written[name], tokens) for name, film in films.items()]
    return rows


def _write(reader: CxrLlavaReader, film: NDArray[np.uint8], tokens: int) -> Written:
    ids = reader.token_ids(film, prompt.REPORT, Generation(max_new_tokens=tokens))
    logits = reader.answer_logits(film, ids).astype(np.float16)  # 33 MB a long report of the published model
    return Written(tuple(ids), _states(reader.text(ids)), logits)


def _beside(reader: CxrLlavaReader, name: str, film: NDArray[np.uint8], first: Written, tokens: int) -> Compared:
    ids = reader.token_ids(film, prompt.REPORT, Generation(max_new_tokens=tokens))
    logits = reader.answer_logits(film, first.ids)
    cosines = _cosines(logits, first.logits)
    states = _states(reader.text(ids))
    labels = sorted(states.keys() | first.states.keys())
    differing = tuple(label for label in labels if states.get(label) is not first.states.get(label))
    pairs = zip(ids, first.ids, strict=False)
    return Compared(
        image=name,
        precision=reader.identity.precision,
        tokens=len(first.ids),
        chosen=int((logits.argmax(axis=1) == np.array(first.ids)).sum()),
        same=next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), min(len(ids), len(first.ids))),
        cosine=float(cosines.mean()),
        lowest=float(cosines.min()),
        findings=len(labels),
        alike=len(labels) - len(differing),
        differing=differing,
    )


def _cosines(ours: NDArray[np.float32], theirs: NDArray[np.float16]) -> NDArray[np.float64]:
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    return np.asarray((a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)))


def _states(text: str) -> Mapping[str, State]:
    return {label: finding.state for label, finding in extract(text).by_label.items()}


def _forget() -> None:
    """Give the memory of a model back before the next one is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


HEADINGS: Final = ("IMAGE", "PRECISION", "TOKENS", "CHOSEN", "SAME", "COSINE", "LOWEST", "FINDINGS", "DIFFERING")


def table(rows: Sequence[Compared]) -> list[list[str]]:
    """Cells under HEADINGS: every film, then, for each precision, all films together."""
    precisions = dict.fromkeys(row.precision for row in rows)
    sums = [_together([row for row in rows if row.precision == precision]) for precision in precisions]
    return [_cells(row) for row in (*rows, *sums)]


def markdown(rows: Sequence[Compared], first: str, model: str) -> Iterator[str]:
    """The same as lines of Markdown, with what the columns mean."""
    yield f"# {model}: other precisions beside {first}"
    yield ""
    yield f"| {' | '.join(heading.lower() for heading in HEADINGS)} |"
    yield f"|{'---|' * len(HEADINGS)}"
    for cells in table(rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
    yield ""
    yield f"tokens: of the greedy report in {first}. chosen: of these, how many the precision would choose as well at"
    yield "the same place. same: how many tokens from the start the two reports share. cosine, lowest: of the logits,"
    yield "mean and least over the tokens. findings: of the labels that either report mentions, how many have the same"
    yield "state in both."


def _together(rows: Sequence[Compared]) -> Compared:
    tokens = sum(row.tokens for row in rows)
    return Compared(
        image="all",
        precision=rows[0].precision,
        tokens=tokens,
        chosen=sum(row.chosen for row in rows),
        same=sum(row.same for row in rows),
        cosine=sum(row.cosine * row.tokens for row in rows) / tokens,
        lowest=min(row.lowest for row in rows),
        findings=sum(row.findings for row in rows),
        alike=sum(row.alike for row in rows),
        differing=tuple(sorted({label for row in rows for label in row.differing})),
    )


def _cells(row: Compared) -> list[str]:
    return [
        row.image,
        row.precision,
        str(row.tokens),
        f"{row.chosen} ({row.chosen / row.tokens:.1%})",
        str(row.same),
        f"{row.cosine:.6f}",
        f"{row.lowest:.6f}",
        f"{row.alike} of {row.findings}",
        ", ".join(row.differing) or "-",
    ]
