"""Is a folder the model that it should be? File by file, then what all say together; everything wrong at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from agent.readers import demonstration_checkpoint
from agent.readers.checkpoint import REVISION, Checkpoint, CheckpointError
from agent.readers.weights import origin, prequantized, stamps, structure
from agent.readers.weights.origin import CARD, mend
from agent.readers.weights.structure import PUBLISHED, Size

_RUNNABLE: Final = frozenset({".py", ".pyc", ".so", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy"})
_READ_FROM_FILES: Final = ("rms_norm_eps", "max_position_embeddings", "num_key_value_heads")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at. Only `wrong` means that the model must not be used."""

    subject: str
    verdict: Literal["ok", "warning", "wrong"]
    words: str


_SHIPPED: Final = Row("origin", "ok", "the demonstration model that comes with this program; not for clinical use")


def examine(folder: Path, published: Size = PUBLISHED) -> Iterator[Row]:
    """Read every byte and say what is found; about ten seconds for each 10 GB on a fast disk.

    published: the size without which nothing is taken for the published model.
    """
    before = stamps.read(folder)
    try:
        yield from _examined(folder, published)
    except OSError as error:
        words = (
            f"{error.filename or folder} cannot be read ({error.strerror}), and what comes after it was not looked at"
        )
        yield Row(
            "folder", "wrong", f"{words}. Where nobody brings a model there just now, it is the disk or its mount"
        )
    if others := stamps.differing(before, stamps.read(folder)):
        words = f"it changed meanwhile ({others[0]}), so that this is of two models"
        yield Row("folder", "wrong", f"{words}. Verify it again when nobody brings a model there")


def _examined(folder: Path, published: Size) -> Iterator[Row]:
    try:
        known = origin.known(folder) if folder.is_dir() else None
    except origin.OriginUnreadable as error:
        yield Row(origin.ORIGIN, "wrong", str(error))
        return
    if known is not None:
        for expected in known.files.values():
            yield _file(folder, expected)
        ships = folder.samefile(demonstration_checkpoint())
        yield _SHIPPED if ships else _whence(known)
        yield from _strangers(folder, own=frozenset({"__init__.py"} if ships else ()))
    yield from _together(folder, known, published)


def _file(folder: Path, expected: origin.Expected) -> Row:
    path = folder / expected.name
    if not path.is_file():
        return Row(expected.name, "wrong", f"it is missing. {mend(folder)}")
    measured, wrong = origin.prove(path, expected)
    if wrong is not None:
        return Row(expected.name, "wrong", f"{wrong}. {mend(folder)}")
    return Row(expected.name, "ok" if expected.provable else "warning", f"sha256 {measured.sha256}")


def _strangers(folder: Path, *, own: frozenset[str]) -> Iterator[Row]:
    """Programs and pickles, which other programs would run from here. own: names of what wetread itself put there."""
    for path in sorted(folder.iterdir()):
        if path.suffix in _RUNNABLE and path.name not in own:
            yield Row(path.name, "warning", "a program or a pickle: no part of the model. wetread never reads it")


def _whence(known: origin.Origin) -> Row:
    if not any(file.provable for file in known.files.values()):
        words = "unknown: no digests came with the files, so only their layout can be checked"
        return Row("origin", "warning", words)
    if known.revision != REVISION:
        return Row("origin", "warning", f"revision {known.revision or 'unknown'}, not the published {REVISION}")
    return Row("origin", "ok", f"{known.repository or 'the hub'}, revision {known.revision}")


def _together(folder: Path, known: origin.Origin | None, published: Size) -> Iterator[Row]:
    """Configuration; where that can be read, tokenizer and tensors, each for itself."""
    try:
        checkpoint = Checkpoint.open(folder, None)
    except (CheckpointError, prequantized.CardUnreadable) as error:
        yield Row("configuration", "wrong", str(error))
        return
    llama = checkpoint.config["llama"]
    yield Row("configuration", "ok", ", ".join(f"{key} {llama[key]}" for key in _READ_FROM_FILES))
    if checkpoint.quantized is not None:
        yield _quantized(checkpoint.quantized, known)
    yield _tokenizer(checkpoint)
    own = (folder / CARD).exists() and (known is None or known.revision != REVISION)
    yield _tensors(checkpoint, None if own else published)


def _quantized(card: prequantized.Card, known: origin.Origin | None) -> Row:
    if known is None or not all(file.provable for file in known.files.values()):
        words = f"nothing proves of what the numbers were made. {prequantized.MEND} {card.precision}"
        return Row("quantization", "wrong", words)
    weights = sorted(digest[:12] for name, digest in card.sources.items() if name.endswith(".safetensors"))
    words = f"{card.precision} by {card.library} on {card.place}, of weights {', '.join(weights)}"
    return Row("quantization", "ok", words)


def _tokenizer(checkpoint: Checkpoint) -> Row:
    try:
        words = checkpoint.words()
    except CheckpointError as error:
        return Row("tokenizer", "wrong", str(error))
    settings = ", ".join(f"{key} {checkpoint.tokenizer[key]}".lower() for key in ("legacy", "add_bos_token"))
    return Row("tokenizer", "ok", f"{words.size} tokens, {settings}")


def _tensors(checkpoint: Checkpoint, published: Size | None) -> Row:
    """published: None for a model of somebody's own that does not claim to be the published one."""
    try:
        found = structure.read(checkpoint.folder, checkpoint.shards)
        quantized = checkpoint.quantized.precision if checkpoint.quantized else ""
        structure.compare(
            checkpoint.folder, found, checkpoint.config, published=published is not None, quantized=quantized
        )
    except CheckpointError as error:
        return Row("tensors", "wrong", str(error))
    words = f"{len(found.tensors)} tensors, {found.parameters} numbers, {found.bytes} bytes, shapes and index agree"
    calls_for = structure.size(checkpoint.config)
    if published in {None, calls_for}:
        return Row("tensors", "ok", words)
    return Row("tensors", "wrong", f"{words}; {_not_published(checkpoint.folder, published, calls_for)}")


def _not_published(folder: Path, published: Size, found: Size) -> str:
    words = (
        f"the published model has {published.tensors} tensors of {published.bytes} bytes, and config.json makes "
        f"{found.tensors} of {found.bytes}. "
    )
    if (folder / CARD).exists():
        return f"{words}{origin.ORIGIN} claims that it is the revision {REVISION}. {mend(folder)}"
    return f"{words}A model of your own needs {CARD} in its folder"
