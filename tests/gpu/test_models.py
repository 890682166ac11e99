"""Models on a CUDA device: saved quantized ones, limits of memory, the figures that are promised. Run with -m gpu.

The figures need the real shape: 30 GB of disk and memory, about ten minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt

from agent.readers import prompt, quantized
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.engine.errors import DeviceFull
from agent.readers.weights.install import free_bytes
from agent.readers.weights.quantize import save

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "tests" / "reference" / "cxr_llava" / "ckpt"
FILM = np.random.default_rng(7).integers(0, 256, (120, 100), dtype=np.uint8)


@pytest.fixture
def whole_device() -> Iterator[None]:
    """Give back what a test left of the device to this process."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def saved(folder: Path, precision: str, device: str) -> Path:
    save(CHECKPOINT, folder, precision, torch.device(device), say=lambda _: None, free=free_bytes)
    return folder


def pieces(reader: CxrLlavaReader) -> dict[str, torch.Tensor]:
    found = {}
    for name, module in reader.parts.named_modules():
        if isinstance(module, Linear4bit | Linear8bitLt):
            found |= quantized.pieces(f"{name}.weight", module)
    return found


@pytest.mark.parametrize("precision", ["nf4", "int8"])
def test_what_the_device_quantized_and_saved_is_read_back_to_the_last_bit(tmp_path: Path, precision: str) -> None:
    fresh = load(CHECKPOINT, precision, device="cuda:0")
    back = load(saved(tmp_path / "q", precision, "cuda:0"), precision, device="cuda:0")
    ours, theirs = pieces(back), pieces(fresh)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert back.identity == fresh.identity
    assert np.array_equal(back.next_logits(FILM, prompt.REPORT), fresh.next_logits(FILM, prompt.REPORT))


@pytest.mark.parametrize("precision", ["nf4", "int8"])
def test_processor_and_device_quantize_alike(
    tmp_path: Path, precision: str, record_property: pytest.RecordProperty
) -> None:
    """The digest of a saved model does not say where it was quantized: this is what that stands on."""
    there = pieces(load(CHECKPOINT, precision, device="cuda:0"))
    here = pieces(load(saved(tmp_path / "q", precision, "cpu"), precision, device="cuda:0"))
    same = sum(torch.equal(here[name], there[name]) for name in there)
    record_property("same_pieces", f"{same} of {len(there)}")
    print(f"{precision}: {same} of {len(there)} tensors have the same bits from processor and device")
    for name, values in there.items():
        if values.dtype == torch.uint8 and name.endswith(".weight"):
            assert float((here[name] == values).float().mean()) > 0.999
        elif values.is_floating_point():
            torch.testing.assert_close(here[name], values, rtol=1e-5, atol=1e-7)


def fill() -> list[torch.Tensor]:
    """Take what the allocator still has in its segments: a small model would fit into the gaps."""
    taken = []
    for size in (2**24, 2**21, 2**20, 2**16, 2**9):
        try:
            while True:
                taken.append(torch.empty(size, dtype=torch.uint8, device="cuda:0"))
        except torch.OutOfMemoryError:
            continue
    return taken


def test_weights_that_do_not_fit_say_what_to_do(whole_device: None) -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    _taken = fill()
    with pytest.raises(DeviceFull, match="smaller precision"):
        load(CHECKPOINT, "fp32", device="cuda:0", memory_gibibytes=0.001)


def test_auto_takes_what_fits(whole_device: None) -> None:
    assert load(CHECKPOINT, "auto", device="cuda:0", limits=1).identity.precision == "bf16"
    assert load(CHECKPOINT, "auto", device="cuda:0", limits=1, memory_gibibytes=1.0).identity.precision == "nf4"


@pytest.mark.timeout(3600)
def test_the_promised_figures_are_reached_with_the_real_shape() -> None:
    """15 times generate's reports with one reading, 1.5 times its 16, half its time alone, nf4 in less than 6 GiB."""
    command = [sys.executable, "deploy/benchmarks/engine.py", "--shape", "real", "--precision", "nf4", "--rounds", "2"]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])  # nothing need be installed
    done = subprocess.run(
        [*command, "--profile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
