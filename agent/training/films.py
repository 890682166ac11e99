"""Films and what is known of them, as the stages take them: squares of gray, augmented on the way."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from agent.evaluation import films
from agent.imaging import likeness
from agent.imaging.decoder import DecoderProcess
from agent.imaging.stored import UndecodableImage
from agent.manifest import Case, ManifestError
from agent.readers import learned
from agent.readers.preprocess import to_pixels
from agent.readers.protocol import Framing
from agent.training.seen import Seen
from reports.findings import State

UNKNOWN: Final = -1.0  # in an array of labels
IGNORED: Final = -100  # in an array of tokens, as torch's cross entropy has it
PROJECTION: Final = "AP"  # as a label: 1 for AP films, 0 for PA films; from the view
_SHOWN: Final = 20  # lines in one message
_SHIFT, _SIZE, _TURN, _GRAY = 0.06, 0.10, 6.0, 0.2  # shares of the side, degrees, share of the gray scale


def load_squares(
    cases: Sequence[Case], size: int, framing: Framing, progress: Callable[[int], None]
) -> tuple[NDArray[np.uint8], list[Seen]]:
    """Every film as the model will see it, (films, size, size) uint8, and what it shows.

    Raises ManifestError naming lines.
    """
    squares = np.zeros((len(cases), size, size), np.uint8)
    seen: list[Seen] = []
    bad: defaultdict[str, list[str]] = defaultdict(list)
    with DecoderProcess() as decoder:
        for number, case in enumerate(cases):
            try:
                film = films.load(case.image, decoder)
            except UndecodableImage as error:
                bad[error.explanation].append(str(case.line))
                continue
            # mean 0 and deviation 1/255 give back the grays
            squares[number] = np.rint(to_pixels(film.pixels, size=size, mean=0, std=1 / 255, framing=framing)[0, 0])
            seen.append(Seen(digest=film.digest, fingerprint=likeness.fingerprint(film.pixels)))
            progress(number + 1)
    if bad:
        told = "; ".join(f"lines {', '.join(lines[:_SHOWN])}{_more(lines)}: {why}" for why, lines in bad.items())
        raise ManifestError(
            f"{sum(map(len, bad.values()))} of {len(cases)} films cannot be decoded: {told} Mend these films, or leave "
            "their rows out"
        )
    return squares, seen


def _more(lines: Sequence[str]) -> str:
    return f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""


def look(cases: Sequence[Case], known: Mapping[str, Seen], progress: Callable[[int], None]) -> list[Seen]:
    """What films show that nothing is learned from. known: by the digest of the file; these are not decoded again."""
    found: list[Seen] = []
    with DecoderProcess() as decoder:
        for case in cases:
            file = learned.digest(case.image)
            found.append(known.get(file) or _decoded(file, case, decoder))
            progress(len(found))
    return found


def _decoded(file: str, case: Case, decoder: DecoderProcess) -> Seen:
    try:
        film = films.load(case.image, decoder)
    except UndecodableImage:
        return Seen(file)
    return Seen(file, film.digest, likeness.fingerprint(film.pixels))


def digest(cases: Sequence[Case], squares: NDArray[np.uint8]) -> str:
    """SHA-256 over the pixels, labels, views and texts that were trained on, in the order of the manifest."""
    whole = hashlib.sha256(squares.tobytes())
    for case in cases:
        labels = ",".join(f"{label}={state}" for label, state in sorted(case.labels.items()))
        whole.update(f"\n{labels}\t{case.view}\t{case.split}\t{case.report}".encode())
    return whole.hexdigest()


def label_array(cases: Sequence[Case], labels: Sequence[str]) -> NDArray[np.float32]:
    """(films, labels): 1 present, 0 absent, UNKNOWN where it is uncertain or not said."""
    return np.array(
        [[_value(case, label) for label in labels] for case in cases],
        dtype=np.float32,
    ).reshape(len(cases), len(labels))


def _value(case: Case, label: str) -> float:
    if label == PROJECTION:
        return {"AP": 1.0, "PA": 0.0}.get(case.view, UNKNOWN)
    return {State.PRESENT: 1.0, State.ABSENT: 0.0}.get(case.labels.get(label, State.UNCERTAIN), UNKNOWN)


class Films(Dataset[dict[str, Tensor]]):
    """One item: `pixel_values` (1, size, size) float32, and what `targets` has for the film.

    A film is augmented by seed, round and place alone, so that a resumed run sees what an unbroken one would.
    """

    def __init__(
        self,
        squares: NDArray[np.uint8],
        targets: Mapping[str, Sequence[Any] | NDArray[Any]],
        *,
        mean: float,
        std: float,
        augment: bool,
        seed: int,
    ) -> None:
        self._squares = squares
        self._targets = targets
        self._mean = mean
        self._std = std
        self._augment = augment
        self._seed = seed
        self.round = 0  # how often all films were seen; whoever trains counts it

    def __len__(self) -> int:
        return len(self._squares)

    def __getitem__(self, at: int) -> dict[str, Tensor]:
        square = self._squares[at]
        if self._augment:
            square = augmented(square, np.random.default_rng((self._seed, self.round, at)))
        pixels = (square.astype(np.float32) / 255 - self._mean) / self._std
        item = {"pixel_values": torch.from_numpy(pixels)[None]}
        return item | {name: torch.as_tensor(values[at]) for name, values in self._targets.items()}


def augmented(square: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Shifted, resized, turned a little, with other grays. Never mirrored."""
    side = square.shape[0]
    scale = 1 + random.uniform(-_SIZE, _SIZE)
    turn = np.deg2rad(random.uniform(-_TURN, _TURN))
    across, down = random.uniform(-_SHIFT, _SHIFT, 2) * side
    cos, sin, middle = np.cos(turn) / scale, np.sin(turn) / scale, side / 2
    matrix = (
        cos, sin, middle - cos * (middle + across) - sin * (middle + down),
        -sin, cos, middle + sin * (middle + across) - cos * (middle + down),
    )  # fmt: skip
    moved = Image.fromarray(square).transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    grays = np.asarray(moved, dtype=np.float32)
    grays = (grays - 127.5) * random.uniform(1 - _GRAY, 1 + _GRAY) + 127.5 + random.uniform(-_GRAY, _GRAY) * 64
    return np.clip(np.rint(grays), 0, 255).astype(np.uint8)


def split(cases: Sequence[Case], *, adults_only: bool, name: str) -> list[Case]:
    """The films of one split. Children are left out where asked, and so is whose age nobody knows."""
    return [case for case in cases if case.split == name and (not adults_only or (case.years or 0) >= 18)]
