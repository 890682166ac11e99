"""Reports an hour of the engine beside plain `transformers.generate` on the same weights, in one run.

    python deploy/benchmarks/engine.py                                      # the demonstration's shape, 5 rounds
    python deploy/benchmarks/engine.py --shape medium --rounds 3
    python deploy/benchmarks/engine.py --shape real --precision nf4 bf16    # 14 GB of random weights; wants a GPU
    python deploy/benchmarks/engine.py --shape real --precision nf4 --keep /srv/random   # writes them once
    python deploy/benchmarks/engine.py --checkpoint /srv/model --precision nf4 bf16

Both get the same prepared films and compute tower, prompt and answer; no answer ends before its limit. The table has
medians. On the processor each round takes all of them by turns, so that a busy machine slows all; on a GPU each is
measured alone, so that its memory is its own.

Exits 1 where a bar is not reached. On the processor: a token of one reading takes at most 0.8 of generate's time, and
eight readings are at least 5 times its throughput. On a GPU, with --shape real or a checkpoint: reports an hour at 16
or more at least 15 times generate's with one and 1.5 times its 16, a reading alone in at most half its time, and nf4
with one reading in less than 6 GiB of reserved memory. `--profile` says what bounds a step.
"""

from __future__ import annotations

import argparse
import gc
import io
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from device import NEVER, machine, profile, roofline, synchronize
from numpy.typing import NDArray
from random_checkpoint import SEED, SHAPES, is_written, write_checkpoint
from torch import Tensor
from transformers import GenerationConfig, LlamaForCausalLM, LogitsProcessor

from agent.readers import hush, prompt
from agent.readers.checkpoint import Checkpoint
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.engine.answer import Request
from agent.readers.engine.batch import Engine
from agent.readers.engine.limits import Limits
from agent.readers.protocol import Generation
from agent.readers.weights import prequantized
from agent.readers.weights.install import free_bytes
from agent.readers.weights.quantize import save

TOKENS = (70, 150)  # an ordinary report, and a long one
PEERS = (1, 8, 16)
OURS = (1, 4, 8, 16, 32)
SLOWEST_TOKEN = 0.8  # of generate's, one reading
LEAST_THROUGHPUT = 5.0  # of generate's with one reading, eight readings
LEAST_ON_A_GPU = 15.0  # times the reports of generate with one reading, 16 or more readings
LEAST_OF_SIXTEEN = 1.5  # times those of generate with 16
SLOWEST_READING = 0.5  # of generate's time for one reading
MOST_MEMORY = 6.0  # GiB reserved, nf4, one reading
MANY = 16


@dataclass(frozen=True)
class Begun:
    """Seconds until a reading has its first token, the median of those that were begun at once, and until all have."""

    first: float
    all_in: float


Read: TypeAlias = Callable[[int], Begun]  # so many tokens each; returns at the end of the last one


@dataclass(frozen=True)
class Taken:
    """One run: when it had begun, seconds until the last token, and processor time of all threads."""

    begun: Begun
    whole: float
    processor: float


@dataclass
class Row:
    """One line of the table: who, how many at once, and what each round took for each length."""

    name: str
    batch: int
    make: Callable[[], Read]
    rounds: dict[int, list[Taken]] = field(default_factory=lambda: {tokens: [] for tokens in TOKENS})
    memory: float = 0.0  # GiB reserved on the device
    failed: str = ""
    made: Read | None = None

    def read(self, tokens: int) -> Begun:
        """Make what reads at the first call."""
        self.made = self.made or self.make()
        return self.made(tokens)

    def steps(self) -> list[float]:
        """Seconds a step in each round, from when all readings are in it."""
        return [(taken.whole - taken.begun.all_in) / (max(TOKENS) - 1) for taken in self.rounds[max(TOKENS)]]

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

    def read(self, batch: int, count: int) -> Begun:
        clock, began = FirstToken(), time.perf_counter()
        assert self.tokens(batch, count, clock).shape == (batch, count)
        return Begun(clock.seconds - began, clock.seconds - began)


def read_ours(engine: Engine, ids: list[int], pixels: NDArray[np.float32], batch: int, count: int) -> Begun:
    """When each reading had its first token; returns after the last one of all."""
    began = time.perf_counter()
    settings = Generation(max_new_tokens=count)
    answers = [engine.submit(Request(tuple(ids), pixels, settings)) for _ in range(batch)]
    firsts: list[float] = []
    while engine.step():
        if len(firsts) < batch:
            so_far = time.perf_counter() - began
            firsts += [so_far] * (sum(answer.count > 0 for answer in answers) - len(firsts))
    assert all(answer.count == count for answer in answers)
    if engine.load.slots < batch:
        raise torch.OutOfMemoryError(f"no memory for {batch} readings at once")
    return Begun(statistics.median(firsts), max(firsts))


def measure(rows: list[Row], rounds: int) -> None:
    """The first round warms up and is not counted, but for the memory that it takes."""
    if torch.cuda.is_available():
        for row in rows:
            measure_by_turns([row], rounds)
            row.made = None  # gives its cache and graphs back
            print(f"{row.name} {row.batch}", file=sys.stderr)
    else:
        measure_by_turns(rows, rounds)


def measure_by_turns(rows: list[Row], rounds: int) -> None:
    for number in range(rounds + 1):
        for row in [row for row in rows if not row.failed]:
            try:
                take(row, counted=number > 0)
            except torch.OutOfMemoryError:
                row.failed, row.made = "out of memory", None
        print(f"round {number} of {rounds}", file=sys.stderr)


def take(row: Row, *, counted: bool) -> None:
    if torch.cuda.is_available() and not counted:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for tokens in TOKENS:
        processor, began = time.process_time(), time.perf_counter()
        begun = row.read(tokens)
        synchronize()
        taken = Taken(begun, time.perf_counter() - began, time.process_time() - processor)
        if counted:
            row.rounds[tokens].append(taken)
    if torch.cuda.is_available() and not counted:
        row.memory = torch.cuda.max_memory_reserved() / 2**30


def rows_of(
    reader: CxrLlavaReader, ids: list[int], pixels: NDArray[np.float32], largest: int, positions: int
) -> list[Row]:
    """positions: what a worker lets each reading have."""
    peer = Peer(reader, ids, pixels)

    def ours(n: int) -> Read:
        engine = reader.engine(Limits(slots=n, positions=positions), end=NEVER)
        return lambda tokens: read_ours(engine, ids, pixels, n, tokens)

    rows = [Row("transformers.generate", n, lambda n=n: partial(peer.read, n)) for n in PEERS if n <= largest]
    return rows + [Row("wetread", n, partial(ours, n)) for n in OURS if n <= largest]


def agreement(reader: CxrLlavaReader, ids: list[int], pixels: NDArray[np.float32]) -> str:
    """How long our greedy answer is generate's, on one film."""
    count = max(TOKENS)
    theirs = Peer(reader, ids, pixels).tokens(1, count, FirstToken())[0].tolist()
    engine = reader.engine(Limits(slots=1, positions=len(ids) + reader.features_count + count), end=NEVER)
    ours = engine.submit(Request(tuple(ids), pixels, Generation(max_new_tokens=count))).result()
    same = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b), count)
    return f"{same} of {count}"


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
        first = statistics.median(taken.begun.first for taken in row.rounds[max(TOKENS)])
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


def verdict_on_a_gpu(rows: list[Row], precision: str) -> bool:
    """The same for the bars of a GPU."""
    found = {(row.name, row.batch): row for row in rows if not row.failed}
    base, many = found["transformers.generate", 1], found.get(("transformers.generate", MANY))
    ours = [row for (name, batch), row in found.items() if name == "wetread" and batch >= MANY]
    alone = found["wetread", 1]
    if not ours:
        print(f"{MANY} readings at once do not fit")
        return False
    said = [
        (
            "reports an hour beside generate's with one",
            max((row.times(base) for row in ours), default=0.0),
            LEAST_ON_A_GPU,
        )
    ]
    if many is not None:  # generate itself may not fit
        times = max(row.times(many) for row in ours)
        said.append((f"reports an hour beside generate's with {MANY}", times, LEAST_OF_SIXTEEN))
    said.append(("speed of a reading alone beside generate's", alone.times(base), 1 / SLOWEST_READING))
    for what, times, least in said:
        print(f"{what}: {times:.1f} times (bar {least:g})")
    fits = precision != "nf4" or alone.memory < MOST_MEMORY
    print(f"memory reserved with one reading: {alone.memory:.2f} GiB (bar {MOST_MEMORY:g} for nf4)")
    return fits and all(times >= least for _, times, least in said)


def saved_seconds(folder: Path, precision: str) -> str:
    """How long a worker loads what `wetread model quantize` saved."""
    if precision not in prequantized.PRECISIONS:
        return ""
    with tempfile.TemporaryDirectory() as scratch:
        place = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        save(folder, Path(scratch) / "saved", precision, place, say=lambda _words: None, free=free_bytes)
        began = time.perf_counter()
        load(Path(scratch) / "saved", precision)
        synchronize()
        return f", in {time.perf_counter() - began:.1f} s what was quantized before"


def preparing(reader: CxrLlavaReader, film: NDArray[np.uint8]) -> str:
    """How long a film takes until the model can have it; a worker does that beside the engine."""
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        reader.pixels(film)
        seconds.append(time.perf_counter() - began)
    rows, columns = film.shape
    return f"{statistics.median(seconds) * 1e3:.0f} ms for {rows} x {columns}, not in the table (decoding: films.py)"


def examine(folder: Path, precision: str, arguments: argparse.Namespace) -> bool:
    """Load, measure and print one precision."""
    saved = saved_seconds(folder, precision)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # what was loaded before would leave its gaps in the memory that is measured
    began = time.perf_counter()
    reader = load(folder, precision)
    synchronize()
    seconds = time.perf_counter() - began
    film = np.random.default_rng(SEED).integers(0, 256, (2500, 2000), dtype=np.uint8)
    ids, pixels = reader.prompt_ids(prompt.REPORT), reader.pixels(film)
    positions = Checkpoint.open(folder, precision).positions
    rows = rows_of(reader, ids, pixels, arguments.largest, positions)
    same = agreement(reader, ids, pixels)
    measure(rows, arguments.rounds)
    context = len(ids) - 1 + reader.features_count
    print(f"\n### {arguments.checkpoint or arguments.shape}, {precision}\n")
    print(f"{machine()}; {arguments.rounds} rounds, medians; prompt of {context} of {positions} positions\n")
    print("\n".join(report(rows)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nLoaded in {seconds:.1f} s{saved}; {peak:.2f} GiB of main memory at most")
    print(f"greedy tokens equal to generate's: {same}")
    print(f"film prepared in {preparing(reader, film)}")
    if torch.cuda.is_available() or arguments.shape == "real":  # smaller ones live in the processor's cache
        print(f"roofline: {roofline(reader, context + max(TOKENS) // 2, OURS)}")
    for batch in (1, min(MANY, arguments.largest)) if arguments.profile else ():
        print(f"\n#### A step with {batch}\n\n{profile(reader, ids, pixels, batch)}")
    if torch.cuda.is_available():
        small = arguments.checkpoint is None and arguments.shape != "real"
        return small or arguments.largest < MANY or verdict_on_a_gpu(rows, precision)
    return arguments.largest < 8 or verdict(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine beside transformers.generate.")
    parser.add_argument("--shape", choices=SHAPES, default="demo")
    parser.add_argument("--checkpoint", type=Path, help="a real folder instead of random weights")
    parser.add_argument("--keep", type=Path, help="write the random weights there; where they are already, take them")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16", "int8", "nf4"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=32, help="how many readings at once, at most")
    parser.add_argument("--profile", action="store_true", help="where the time of a step goes, at 1 and 16 readings")
    parser.add_argument("--threads", type=int, help="of torch; by default as many as it finds processors")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    hush()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # whoever ends it early keeps the tables that were done
    precisions: list[Any] = arguments.precision or (["nf4", "bf16"] if torch.cuda.is_available() else ["fp32"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.checkpoint or arguments.keep or Path(scratch)
        if arguments.checkpoint is None and not is_written(arguments.shape, folder):
            write_checkpoint(arguments.shape, folder)
        held = [examine(folder, precision, arguments) for precision in precisions]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
