"""How long a film takes from the file to what the model sees, apart from the model: decoding, then preparing.

    python deploy/benchmarks/films.py

A film of 2,500 x 2,000 with 12 bits, uncompressed and as the compressions that hospitals use; decoded as a worker does
it, in a process of its own. No limit: a report takes seconds, and all of this runs while the engine writes others.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from agent.demo import phantom
from agent.imaging.decoder import DecoderProcess
from agent.readers.preprocess import to_pixels

ROUNDS = 7
SYNTAXES = (None, RLELossless, JPEGLSLossless, JPEG2000Lossless)


def milliseconds(work: Callable[[], object]) -> float:
    """Median of some rounds; the first one, which warms up, is not counted."""
    taken = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - began))
    return statistics.median(taken[1:])


def write(folder: Path) -> dict[str, Path]:
    """The film in each transfer syntax, by its name."""
    numbers = count(1)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    found = {}
    for syntax in SYNTAXES:
        film = phantom.film(1, now=now, new_uid=lambda: f"2.25.{next(numbers)}", rows=2500, columns=2000)
        if syntax is not None:
            film.compress(syntax)
        name = film.file_meta.TransferSyntaxUID.name
        found[name] = folder / f"{len(found)}.dcm"
        film.save_as(found[name], enforce_file_format=True)
    return found


def main() -> None:
    print("| film of 2,500 x 2,000, 12 bits | MB | ms |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch, DecoderProcess(120.0, 4096) as decoder:
        for name, path in write(Path(scratch)).items():
            taken = milliseconds(lambda path=path: decoder.render(path))  # type: ignore[misc]
            print(f"| decoded, {name} | {path.stat().st_size / 1e6:.1f} | {taken:.0f} |")
        film = decoder.render(path).pixels
    for framing in ("crop", "pad"):
        taken = milliseconds(lambda framing=framing: to_pixels(film, size=512, mean=0.55, std=0.38, framing=framing))  # type: ignore[misc]
        print(f"| prepared for the model, {framing} | {film.nbytes / 1e6:.1f} | {taken:.0f} |")


if __name__ == "__main__":
    main()
