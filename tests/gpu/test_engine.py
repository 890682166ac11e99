"""The engine on a CUDA device: graphs, real lack of memory, quantized weights. Run with -m gpu."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agent.readers import demonstration_checkpoint, prompt, quantized
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.engine.answer import Request
from agent.readers.engine.batch import Engine
from agent.readers.engine.limits import Limits
from agent.readers.engine.steps import Rows, Stepper
from agent.readers.protocol import Generation
from agent.readers.quantized import Narrow
from deploy.benchmarks.random_checkpoint import write_checkpoint

pytestmark = pytest.mark.gpu

DEMONSTRATION = demonstration_checkpoint()  # trained, so that seldom two tokens are nearly as likely
CHECKPOINT = Path(__file__).parents[1] / "reference" / "cxr_llava" / "ckpt"
USERS = (prompt.REPORT, prompt.DIFFERENTIAL, prompt.question("Is the heart enlarged?"))
NEVER = -7  # no token: an answer ends at its limit


@pytest.fixture(scope="module", params=["narrow", "whole blocks"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose rows are no whole blocks, and one of widths for which bitsandbytes has kernels of its own."""
    if request.param == "narrow":
        return CHECKPOINT
    folder = tmp_path_factory.mktemp("random") / "checkpoint"
    write_checkpoint("demo", folder)
    assert not any(isinstance(layer, Narrow) for layer in load(folder, "nf4", device="cuda:0").parts.modules())
    return folder


def film(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (120, 100 + seed), dtype=np.uint8)


def request_of(reader: CxrLlavaReader, seed: int, tokens: int) -> Request:
    ids = tuple(reader.prompt_ids(USERS[seed % len(USERS)]))
    return Request(ids, reader.pixels(film(seed)), Generation(max_new_tokens=tokens))


def together(engine: Engine, requests: list[Request]) -> list[list[int]]:
    answers = [engine.submit(request) for request in requests]
    while engine.step():
        pass
    return [answer.result() for answer in answers]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "nf4", "int8"])
def test_graphs_are_used_where_they_can_be(precision: str, checkpoint: Path) -> None:
    reader = load(checkpoint, precision, device="cuda:0")
    engine = reader.engine(Limits(slots=4, positions=400), end=NEVER)
    assert [len(ids) for ids in together(engine, [request_of(reader, i, 70) for i in range(6)])] == [70] * 6
    assert engine._stepper is not None
    assert bool(engine._stepper._graphs) == (precision != "int8")


def test_a_replayed_step_computes_what_an_eager_step_computes() -> None:
    reader = load(CHECKPOINT, "fp32", device="cuda:0")
    engine = reader.engine(Limits(slots=4, positions=400), end=NEVER)
    answers = [engine.submit(request_of(reader, i, 100)) for i in range(4)]
    for _ in range(20):
        engine.step()
    last = [study.filled for study in engine._running]
    rows = Rows(4, [study.token for study in engine._running], last, last)
    assert engine._cache is not None
    with torch.inference_mode():
        steppers = [Stepper(reader._native, engine._cache, graphs=graphs) for graphs in (False, True)]
        eager, graph = (stepper.run(rows) for stepper in steppers)
    assert graph.greedy == eager.greedy
    torch.testing.assert_close(graph.logits, eager.logits, rtol=1e-4, atol=1e-4)
    assert not any(answer.done for answer in answers)


def test_fp32_says_on_the_device_what_it_says_on_the_processor() -> None:
    there, here = load(CHECKPOINT, "fp32", device="cuda:0"), load(CHECKPOINT, "fp32", device="cpu")
    for seed in range(3):
        expected = here.next_logits(film(seed), USERS[seed])
        np.testing.assert_allclose(there.next_logits(film(seed), USERS[seed]), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "nf4", "int8"])
def test_fewer_bits_say_on_the_device_nearly_what_they_say_on_the_processor(precision: str, checkpoint: Path) -> None:
    there, here = (load(checkpoint, precision, device=device) for device in ("cuda:0", "cpu"))
    for seed in range(3):
        ours, theirs = (reader.next_logits(film(seed), USERS[seed]) for reader in (there, here))
        cosine = float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs))
        print(f"{precision}, film {seed}: cosine {cosine:.6f}")
        assert cosine > (0.95 if precision == "int8" else 0.99)


@pytest.mark.parametrize("rows", [1, 4, 8, 16, 32, 64, 600])
def test_joined_products_are_those_of_each(rows: int) -> None:
    """Of the published widths: bitsandbytes takes another kernel for each of these numbers of rows."""
    device = torch.device("cuda:0")
    source = torch.Generator(device).manual_seed(7)
    layers: list[Any] = [
        quantized.quantize(torch.randn((4096, 4096), generator=source, device=device) * 0.02, "nf4", device)
        for _ in range(3)
    ]
    x = torch.randn((rows, 4096), generator=source, device=device).to(torch.bfloat16)
    with torch.inference_mode():
        apart = torch.cat([layer(x) for layer in layers], dim=-1).float()
    assert quantized.joinable(layers)
    product = quantized.joined(layers)
    with torch.inference_mode():
        joined = product(x).float()
    print(f"{rows} rows: at most {float((joined - apart).abs().max()):.4f} of {float(apart.abs().max()):.1f}")
    torch.testing.assert_close(joined, apart, rtol=0.02, atol=0.05)


def test_graphs_of_many_sizes_leave_the_usual_stream_as_it_was() -> None:
    reader = load(DEMONSTRATION, "bf16", device="cuda:0")
    usual = torch.cuda.current_stream()
    engine = reader.engine(Limits(slots=16, positions=400), end=NEVER)
    together(engine, [request_of(reader, i, 10 + 8 * i) for i in range(16)])
    assert torch.cuda.current_stream() == usual
    assert engine._stepper is not None
    assert engine._stepper._graphs is not None
    assert {rows for rows, _ in engine._stepper._graphs} == {1, 2, 4, 8, 16}
    print(f"{len(engine._stepper._graphs)} graphs, {torch.cuda.memory_reserved() / 2**20:.0f} MiB reserved")


def test_a_limit_of_memory_holds_for_a_device_without_a_number() -> None:
    try:
        reader = load(CHECKPOINT, "bf16", device="cuda", memory_gibibytes=1.0)
        assert len(together(reader.engine(Limits(2, 400), end=NEVER), [request_of(reader, 1, 5)])[0]) == 5
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "nf4"])
def test_company_changes_little_or_nothing(precision: str, record_property: pytest.RecordProperty) -> None:
    reader = load(CHECKPOINT if precision == "fp32" else DEMONSTRATION, precision, device="cuda:0")
    requests = [request_of(reader, i, 60) for i in range(8)]
    alone = [together(reader.engine(Limits(slots=1, positions=400), end=NEVER), [one])[0] for one in requests]
    beside = together(reader.engine(Limits(slots=8, positions=400), end=NEVER), requests)
    same = sum(a == b for a, b in zip(alone, beside, strict=True))
    record_property("same_answers_of_8", same)
    print(f"{precision}: {same} of 8 answers are the same alone and in company")
    assert [ids[0] for ids in alone] == [ids[0] for ids in beside]  # the prompt is computed alone in both
    assert same >= (7 if precision == "fp32" else 1)


def test_a_thread_of_its_own_reads_while_others_look_at_films() -> None:
    """Its graphs are made in that thread, and others compute between its steps."""
    reader = load(CHECKPOINT, "fp32", device="cuda:0", limits=Limits(slots=4, positions=400))
    settings = Generation(max_new_tokens=40)
    alone = [reader.token_ids(film(i), USERS[i % 3], settings) for i in range(6)]
    vectors = [reader.embed(film(i)) for i in range(6)]
    with reader.serving():
        answers = [reader.submit(film(i), USERS[i % 3], settings) for i in range(6)]
        beside = [reader.embed(film(i)) for i in range(6)]
        ids = [answer.result() for answer in answers]
    np.testing.assert_allclose(beside, vectors, rtol=1e-4, atol=1e-5)
    assert [one[0] for one in ids] == [one[0] for one in alone]
    assert sum(a == b for a, b in zip(ids, alone, strict=True)) >= 5


def test_an_engine_that_ends_leaves_the_graphs_of_another_alone() -> None:
    """They are made on one stream, and cuBLAS keeps its workspace by streams."""
    reader = load(DEMONSTRATION, "bf16", device="cuda:0")
    requests = [request_of(reader, i, 40) for i in range(4)]
    lasting = reader.engine(Limits(slots=4, positions=400), end=NEVER)
    before = together(lasting, requests)
    other = reader.engine(Limits(slots=4, positions=400), end=NEVER)
    together(other, requests)
    del other
    gc.collect()
    torch.cuda.empty_cache()
    _taken = [torch.full((2**20,), float("nan"), device="cuda:0") for _ in range(64)]  # where it was
    assert together(lasting, requests) == before


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Let this process have 256 MiB more of the device than it holds for good (libraries' workspaces, say)."""
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 256 * 2**20) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_real_lack_of_memory_halves_the_slots(little_memory: None) -> None:
    reader = load(CHECKPOINT, "fp32", device="cuda:0")
    # 1.5 KiB a position: more slots than 256 MiB hold
    engine = reader.engine(Limits(slots=512, positions=1000), end=NEVER)
    answers = together(engine, [request_of(reader, i % 8, 400) for i in range(400)])
    assert [len(ids) for ids in answers] == [400] * 400
    assert engine.load.slots < 400
