"""Reports an hour of the engine beside plain `transformers.generate` on the same weights, in one run.

    python deploy/benchmarks/engine.py                                      # the demonstration's shape, 5 rounds
    python deploy/benchmarks/engine.py --shape medium --rounds 3
    python deploy/benchmarks/engine.py --shape real --precision nf4 bf16    # 14 GB of random weights; wants a GPU
    python deploy/benchmarks/engine.py --checkpoint /srv/model --precision nf4 bf16

Both get the same prepared films and compute tower, prompt and answer; no answer ends before its limit. Each round takes
all of them by turns, so that a busy machine slows all; the table has medians. On the processor it exits 1 where a token
of one reading takes more than 0.8 of generate's time, or eight readings are less than 5 times its throughput.
"""

from __future__ import annotations

import argparse
import gc
import platform
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from random_checkpoint import SEED, SHAPES, write_checkpoint
from torch import Tensor
from transformers import GenerationConfig, LlamaForCausalLM, LogitsProcessor

from agent.readers import prompt
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.engine.answer import Request
from agent.readers.engine.batch import Engine, Limits
from agent.readers.protocol import Generation

TOKENS = (70, 150)  # an ordinary report, and a long one
PEERS = (1, 8, 16)
OURS = (1, 4, 8, 16, 32)
NEVER = -7  # no token: an answer ends at its limit
SLOWEST_TOKEN = 0.8  # of generate's, one reading
LEAST_THROUGHPUT = 5.0  # of generate's with one reading, eight readings


@dataclass(frozen=True)
class Taken:
    """One run: seconds until the first token and until the last one, and processor time of all threads."""

    first: float
    whole: float
    processor: float


@dataclass
class Row:
    """One line of the table: who, how many at once, and what each round took for each length."""

    name: str
    batch: int
    read: Callable[[int], float]  # tokens to seconds until the first one, at the end of the last one
    rounds: dict[int, list[Taken]] = field(default_factory=lambda: {tokens: [] for tokens in TOKENS})
    memory: float = 0.0  # GiB reserved on the device
    failed: str = ""

    def steps(self) -> list[float]:
        """Seconds a step in each round."""
        return [(taken.whole - taken.first) / (max(TOKENS) - 1) for taken in self.rounds[max(TOKENS)]]

    def reports(self, tokens: int) -> list[float]:
        """Reports an hour in each round."""
        return [3600 * self.batch / taken.whole for taken in self.rounds[tokens]]

    def times(self, other: Row) -> float:
        """How many times the reports of another row, round by round."""
        pairs = zip(self.reports(max(TOKENS)), other.reports(max(TOKENS)), strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def processor(self) -> float:
        """Processor seconds a token."""
        runs = self.rounds[max(TOKENS)]
        return statistics.median(taken.processor for taken in runs) / self.batch / max(TOKENS)


class FirstToken(LogitsProcessor):  # type: ignore[misc]
    """Looks at the clock when the first token is about to be chosen."""

    seconds = 0.0

    def __call__(self, _ids: Tensor, scores: Tensor) -> Tensor:
        if not self.seconds:
            synchronize()
            self.seconds = time.perf_counter()
        return scores


class Peer:
    """transformers' own class and `generate` around the very tensors that our engine uses."""

    def __init__(self, reader: CxrLlavaReader, ids: list[int], pixels: NDArray[np.float32]) -> None:
        self._parts, self._ids = reader.parts, ids
        self._pixels = torch.from_numpy(pixels).to(self._parts.lm_head.weight.device)
        with torch.device("meta"):
            self._model = LlamaForCausalLM(self._parts.llama.config)
        self._model.model, self._model.lm_head = self._parts.llama, self._parts.lm_head
        self._model.generation_config = GenerationConfig(pad_token_id=0, do_sample=False)
        self._model.eval()

    @torch.inference_mode()
    def tokens(self, batch: int, count: int, clock: FirstToken) -> Tensor:
        """What `generate` writes: (batch, count)."""
        features = self._parts.features(self._pixels.expand(batch, -1, -1, -1))
        embedded = torch.cat([self._parts.splice(self._ids, one[None]) for one in features])
        mask = torch.ones(embedded.shape[:2], dtype=torch.int64, device=embedded.device)
        written: Tensor = self._model.generate(
            inputs_embeds=embedded, attention_mask=mask, max_new_tokens=count, logits_processor=[clock]
        )
        return written

    def read(self, batch: int, count: int) -> float:
        clock, began = FirstToken(), time.perf_counter()
        assert self.tokens(batch, count, clock).shape == (batch, count)
        return clock.seconds - began


def read_ours(engine: Engine, ids: list[int], pixels: NDArray[np.float32], batch: int, count: int) -> float:
    """Seconds until the first token of the first reading; returns after the last of all."""
    began = time.perf_counter()
    settings = Generation(max_new_tokens=count)
    answers = [engine.submit(Request(tuple(ids), pixels, settings)) for _ in range(batch)]
    first = 0.0
    while engine.step():
        if not first:
            first = time.perf_counter() - began
    assert all(answer.count == count for answer in answers)
    return first


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(rows: list[Row], rounds: int) -> None:
    """All rows by turns. The first round warms up and is not counted, but for the memory that it takes."""
    for number in range(rounds + 1):
        for row in [row for row in rows if not row.failed]:
            try:
                take(row, counted=number > 0)
            except torch.OutOfMemoryError:
                row.failed = "out of memory"
                torch.cuda.empty_cache()
        print(f"round {number} of {rounds}", file=sys.stderr)


def take(row: Row, *, counted: bool) -> None:
    if torch.cuda.is_available() and not counted:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for tokens in TOKENS:
        processor, began = time.process_time(), time.perf_counter()
        first = row.read(tokens)
        synchronize()
        taken = Taken(first, time.perf_counter() - began, time.process_time() - processor)
        if counted:
            row.rounds[tokens].append(taken)
    if torch.cuda.is_available() and not counted:
        row.memory = torch.cuda.max_memory_reserved() / 2**30


def rows_of(reader: CxrLlavaReader, ids: list[int], pixels: NDArray[np.float32], largest: int) -> list[Row]:
    peer = Peer(reader, ids, pixels)
    positions = len(ids) - 1 + reader.features_count + max(TOKENS)
    rows = [Row("transformers.generate", n, lambda tokens, n=n: peer.read(n, tokens)) for n in PEERS if n <= largest]
    for n in [n for n in OURS if n <= largest]:
        engine = reader.engine(Limits(slots=n, positions=positions, chunk=2048), end=NEVER)
        rows.append(Row("wetread", n, lambda tokens, n=n, engine=engine: read_ours(engine, ids, pixels, n, tokens)))
    return rows


def agreement(reader: CxrLlavaReader, ids: list[int], pixels: NDArray[np.float32]) -> str:
    """How long our greedy answer is generate's, on one film."""
    count = max(TOKENS)
    theirs = Peer(reader, ids, pixels).tokens(1, count, FirstToken())[0].tolist()
    engine = reader.engine(Limits(slots=1, positions=len(ids) + reader.features_count + count), end=NEVER)
    ours = engine.submit(Request(tuple(ids), pixels, Generation(max_new_tokens=count))).result()
    same = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b), count)
    return f"{same} of {count}"


def roofline(reader: CxrLlavaReader, context: int) -> str:
    """Bytes that one token of one reading must move, over the bandwidth of a copy on this device."""
    parts = reader.parts
    weights = sum(p.numel() * p.element_size() for p in parts.llama.layers.parameters())
    weights += parts.lm_head.weight.numel() * parts.lm_head.weight.element_size()
    config = parts.llama.config
    width = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
    cached = 2 * config.num_hidden_layers * width * parts.lm_head.weight.element_size() * context
    bandwidth = copy_bandwidth(parts.lm_head.weight.device)
    ceilings = ", ".join(f"{n / ((weights + n * cached) / bandwidth):.0f} at {n}" for n in OURS)
    return (
        f"weights {weights / 1e9:.2f} GB a step, cache {cached / 1e9:.3f} GB a reading ({context} positions), copy "
        f"{bandwidth / 1e9:.0f} GB/s: at most {ceilings} tokens/s"
    )


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


def report(rows: list[Row]) -> Iterator[str]:
    """The table in Markdown; ratios of reports an hour at the longer length, round by round."""
    base = rows[0]
    peers = {row.batch: row for row in rows if row.name == base.name and not row.failed}
    yield (
        "| | at once | first token, ms | ms a step | tokens/s | CPU ms a token | reports/h, 70 tokens "
        "| reports/h, 150 tokens | times generate at 1 | times generate, same number | device GiB |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        if row.failed:
            yield f"| {row.name} | {row.batch} | {row.failed} | | | | | | | | |"
            continue
        short, long = (statistics.median(row.reports(tokens)) for tokens in TOKENS)
        first = statistics.median(taken.first for taken in row.rounds[max(TOKENS)])
        same = f"{row.times(peers[row.batch]):.1f}" if row.batch in peers else ""
        yield (
            f"| {row.name} | {row.batch} | {first * 1e3:.1f} | {statistics.median(row.steps()) * 1e3:.2f} "
            f"| {long * max(TOKENS) / 3600:.0f} | {row.processor() * 1e3:.3f} | {short:.0f} | {long:.0f} "
            f"| {row.times(base):.1f} | {same} | {row.memory:.2f} |"
        )


def verdict(rows: list[Row]) -> bool:
    """Whether the two bars of the processor hold, said in words; round by round, the median."""
    found = {(row.name, row.batch): row for row in rows if not row.failed}
    base, one, eight = found["transformers.generate", 1], found["wetread", 1], found["wetread", 8]
    slow = statistics.median(ours / theirs for ours, theirs in zip(one.steps(), base.steps(), strict=True))
    much = eight.times(base)
    print(f"time a token, one reading: {slow:.2f} of generate's (limit {SLOWEST_TOKEN})")
    print(f"throughput, eight readings: {much:.1f} times generate's with one (limit {LEAST_THROUGHPUT:g})")
    return slow <= SLOWEST_TOKEN and much >= LEAST_THROUGHPUT


def preparation_milliseconds(reader: CxrLlavaReader) -> float:
    """One film of 2,500 x 2,000, already decoded, to what the tower takes."""
    film = np.random.default_rng(SEED).integers(0, 256, (2500, 2000), dtype=np.uint8)
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        reader.pixels(film)
        seconds.append(time.perf_counter() - began)
    return 1e3 * statistics.median(seconds)


def machine() -> str:
    place = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    return (
        f"{place}; {torch.get_num_threads()} threads; Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def examine(folder: Path, precision: str, arguments: argparse.Namespace) -> bool:
    """Load, measure and print one precision."""
    began = time.perf_counter()
    reader = load(folder, precision)
    seconds = time.perf_counter() - began
    film = np.random.default_rng(SEED).integers(0, 256, (2500, 2000), dtype=np.uint8)
    ids, pixels = reader.prompt_ids(prompt.REPORT), reader.pixels(film)
    rows = rows_of(reader, ids, pixels, arguments.largest)
    same = agreement(reader, ids, pixels)
    measure(rows, arguments.rounds)
    context = len(ids) - 1 + reader.features_count
    print(f"\n### {arguments.checkpoint or arguments.shape}, {precision}\n")
    print(f"{machine()}; {arguments.rounds} rounds, medians; prompt of {context} positions\n")
    print("\n".join(report(rows)))
    print(f"\nLoaded in {seconds:.1f} s; {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB of main")
    print(
        f"memory at most; a film of 2,500 x 2,000 is prepared in {preparation_milliseconds(reader):.0f} ms (in no row)"
    )
    print(f"greedy tokens equal to generate's: {same}")
    if torch.cuda.is_available() or arguments.shape == "real":  # smaller ones live in the processor's cache
        print(f"roofline: {roofline(reader, context + max(TOKENS) // 2)}")
    return torch.cuda.is_available() or arguments.largest < 8 or verdict(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine beside transformers.generate.")
    parser.add_argument("--shape", choices=SHAPES, default="demo")
    parser.add_argument("--checkpoint", type=Path, help="a real folder instead of random weights")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16", "int8", "nf4"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=32, help="how many readings at once, at most")
    parser.add_argument("--threads", type=int, help="of torch; by default as many as it finds processors")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    precisions: list[Any] = arguments.precision or (["nf4", "bf16"] if torch.cuda.is_available() else ["fp32"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.checkpoint or Path(scratch)
        if arguments.checkpoint is None:
            write_checkpoint(arguments.shape, folder)
        held = [examine(folder, precision, arguments) for precision in precisions]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
