"""What the engine is measured on: the machine in words, what its memory allows, and where the time of a step goes."""

from __future__ import annotations

import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from agent.readers.cxr_llava import CxrLlavaReader
from agent.readers.engine.answer import Request
from agent.readers.engine.limits import Limits
from agent.readers.protocol import Generation

NEVER = -7  # no token: an answer ends at its limit


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def roofline(reader: CxrLlavaReader, context: int, numbers: tuple[int, ...]) -> str:
    """Bytes that one token of one reading must move, over the bandwidth of a copy on this device."""
    parts = reader.parts
    weights = sum(p.numel() * p.element_size() for p in parts.llama.layers.parameters())
    weights += parts.lm_head.weight.numel() * parts.lm_head.weight.element_size()
    weights += sum(scales_of(module) for module in parts.llama.layers.modules())
    config = parts.llama.config
    width = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
    cached = 2 * config.num_hidden_layers * width * parts.lm_head.weight.element_size() * context
    bandwidth = copy_bandwidth(parts.lm_head.weight.device)
    ceilings = ", ".join(f"{n / ((weights + n * cached) / bandwidth):.0f} at {n}" for n in numbers)
    return (
        f"weights {weights / 1e9:.2f} GB a step, cache {cached / 1e9:.3f} GB a reading ({context} positions), copy "
        f"{bandwidth / 1e9:.0f} GB/s: at most {ceilings} tokens/s"
    )


def scales_of(module: Any) -> int:
    """Bytes of the scales beside nf4 numbers."""
    state = getattr(getattr(module, "weight", None), "quant_state", None)
    return 0 if state is None else state.absmax.numel() * state.absmax.element_size()


def copy_bandwidth(device: torch.device) -> float:
    """Bytes read and written a second by a large copy."""
    size = 2**30 if device.type == "cuda" else 2**27
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(7):
        synchronize()
        began = time.perf_counter()
        target.copy_(source)
        synchronize()
        seconds.append(time.perf_counter() - began)
    return 2 * size / statistics.median(seconds)


def profile(reader: CxrLlavaReader, ids: list[int], pixels: NDArray[np.float32], batch: int) -> str:
    """Where the time of a running batch goes, by operation."""
    engine = reader.engine(Limits(slots=batch, positions=len(ids) + reader.features_count + 64), end=NEVER)
    for _ in range(batch):
        engine.submit(Request(tuple(ids), pixels, Generation(max_new_tokens=64)))
    while engine.load.waiting:
        engine.step()
    device = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with torch_profile(activities=[ProfilerActivity.CPU, *device]) as measured:
        for _ in range(8):
            engine.step()
        synchronize()
    order = "self_cuda_time_total" if device else "self_cpu_time_total"
    return str(measured.key_averages().table(sort_by=order, row_limit=12, max_name_column_width=60))


def machine() -> str:
    place = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    return (
        f"{place}; {torch.get_num_threads()} threads; Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, bitsandbytes {version('bitsandbytes')}"
    )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
