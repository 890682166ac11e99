"""The models that read films. Only the module of the chosen reader is imported, so nothing else ever loads torch."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from agent.readers.protocol import Framing, Reader
from dicom_node.errors import ConfigurationError

READERS = MappingProxyType({"cxr_llava": "agent.readers.cxr_llava"})


def load_reader(
    name: str,
    checkpoint: Path,
    precision: str,
    *,
    device: str = "auto",
    slots: int = 8,
    framing: Framing = "crop",
    seconds: float | None = None,
    memory_gibibytes: float | None = None,
) -> Reader:
    """Import the reader's module and load its checkpoint; the one place where a process comes to hold torch.

    slots: how many studies it may read at once. seconds: that one reading may take; None for no limit.
    memory_gibibytes: of a GPU; None for all.

    Raises ConfigurationError where the reader, its files or its precision are wrong.
    """
    if name not in READERS:
        raise ConfigurationError(f"There is no reader named {name!r}. Known readers: {', '.join(sorted(READERS))}.")
    hush()
    reader = import_module(READERS[name]).load(
        checkpoint,
        precision,
        device=device,
        limits=slots,
        framing=framing,
        seconds=seconds,
        memory_gibibytes=memory_gibibytes,
    )
    assert isinstance(reader, Reader)
    return reader


def hush() -> None:
    """bitsandbytes names an optional package at its import, and a cast for each layer of each token: keep them out."""
    for noisy in ("bitsandbytes.backends.cpu.ops", "bitsandbytes.autograd._functions"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def demonstration_checkpoint() -> Path:
    """The folder of the small model that comes with the program. It is not for clinical use, and says so."""
    return Path(__file__).parent / "demo_checkpoint"


hush()  # before any module of this package imports bitsandbytes, whoever imports it
