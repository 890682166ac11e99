"""Many readings at once: the same words as alone, and nobody suffers from a neighbor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agent.readers import prompt
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.engine.answer import Answer, Request
from agent.readers.engine.batch import Engine
from agent.readers.engine.errors import (
    Canceled,
    DeviceFull,
    EngineBroken,
    PreparationFailed,
    PromptTooLong,
    is_out_of_memory,
)
from agent.readers.engine.limits import Limits, Slots
from agent.readers.engine.llama import Cache, NativeLlama, attention
from agent.readers.protocol import Generation, UnreadableText
from dicom_node.errors import ConfigurationError
from tests.harness.node import wait_until

CHECKPOINT = Path(__file__).parents[2] / "reference" / "cxr_llava" / "ckpt"
USERS = (
    prompt.REPORT,
    prompt.DIFFERENTIAL,
    prompt.question("Is the heart enlarged?"),
    prompt.question("Where is the tip of the central venous catheter, and is there a pneumothorax beside it?"),
)
NEVER = -7  # no token: an answer then has as many tokens as it may
Film = NDArray[np.uint8]
Film32 = NDArray[np.float32]


def film(seed: int) -> Film:
    return np.random.default_rng(seed).integers(0, 256, (120, 100 + seed), dtype=np.uint8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Products of this size are faster without helpers, which wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def reader() -> CxrLlavaReader:
    return load(CHECKPOINT, "fp32", device="cpu")


MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine(reader: CxrLlavaReader) -> MakeEngine:
    """Engines over the reader's weights, whose answers end at their limit only."""

    def make(**limits: int) -> Engine:
        return reader.engine(Limits(**{"positions": 400, **limits}), end=NEVER)

    return make


@pytest.fixture
def ask(reader: CxrLlavaReader) -> Callable[..., Request]:
    def make(seed: int, tokens: int = 24, user: str = prompt.REPORT, **how: object) -> Request:
        how.setdefault("generation", Generation(max_new_tokens=tokens))
        return Request(tuple(reader.prompt_ids(user)), reader.pixels(film(seed)), **how)  # type: ignore[arg-type]

    return make


Ask = Callable[..., Request]


def finish(engine: Engine, answers: list[Answer]) -> list[list[int]]:
    while not all(answer.done for answer in answers):
        engine.step()
    return [answer.ids for answer in answers]


@pytest.mark.parametrize("chunk", [16, 512])
def test_a_study_gets_the_same_words_alone_and_beside_seven_others(
    make_engine: MakeEngine, ask: Ask, chunk: int
) -> None:
    requests = [ask(i, 20 + 13 * i, USERS[i % len(USERS)]) for i in range(8)]
    alone = [make_engine(chunk=chunk).submit(request).result() for request in requests]

    engine = make_engine(slots=8, chunk=chunk)
    together = finish(engine, [engine.submit(request) for request in requests])

    assert together == alone
    assert [len(ids) for ids in alone] == [20 + 13 * i for i in range(8)]


def test_more_studies_than_slots_join_as_others_leave(make_engine: MakeEngine, ask: Ask) -> None:
    requests = [ask(i, 3 + 5 * (i % 4), USERS[i % len(USERS)]) for i in range(14)]
    alone = [make_engine().submit(request).result() for request in requests]

    engine = make_engine(slots=3)
    answers = [engine.submit(request) for request in requests]
    busy = []
    while engine.step():
        busy.append(engine.load.running)

    assert [answer.ids for answer in answers] == alone
    assert max(busy) == 3


@pytest.mark.parametrize("threads", [1, 2])
def test_every_logit_is_the_same_to_the_last_bit_in_any_company(reader: CxrLlavaReader, ask: Ask, threads: int) -> None:
    torch.set_num_threads(threads)
    llama = reader._native

    def logits(companions: int, row: int) -> torch.Tensor:
        rows = llama.rows * (1 + companions // llama.rows)
        cache = Cache(llama, rows, 256)
        last = []
        for i in range(rows):
            request = ask(0 if i == row else 50 + i, user=USERS[0 if i == row else i % 4])
            embedded = reader._embedded(request.ids, request.pixels)
            llama.prefill(cache, i, embedded, 0)
            last.append(embedded.shape[0])
        at = torch.tensor(last)
        return llama.step(cache, torch.full((rows,), 9), at, at, 256)[row]

    with torch.inference_mode():
        expected = logits(0, 0)
        for companions, row in ((0, 3), (7, 0), (7, 6), (15, 11)):
            assert torch.equal(logits(companions, row), expected)


def test_the_native_pass_computes_what_transformers_computes(reader: CxrLlavaReader, ask: Ask) -> None:
    request = ask(1, user=USERS[1])
    with torch.inference_mode():
        embedded = reader._embedded(request.ids, request.pixels)
        expected = reader._model.next_logits(embedded[None])
        got = torch.from_numpy(reader.next_logits(film(1), USERS[1]))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_the_same_seed_gives_the_same_text_in_company(make_engine: MakeEngine, ask: Ask) -> None:
    def sampled(seed: int) -> Generation:
        return Generation("sampled", seed, 3.0, 0.99, 50, 40)

    requests = [ask(i % 2, generation=sampled(i), user=USERS[i % 4]) for i in range(6)] + [ask(9, 40), ask(10, 40)]
    alone = [make_engine().submit(request).result() for request in requests]

    engine = make_engine(slots=8)
    together = finish(engine, [engine.submit(request) for request in requests])

    assert together == alone
    assert len({tuple(ids) for ids in alone}) == len(alone)


def test_an_urgent_study_enters_at_the_next_step_and_who_made_way_loses_nothing(
    make_engine: MakeEngine, ask: Ask
) -> None:
    requests = [ask(i, 60) for i in range(4)]
    alone = [make_engine().submit(request).result() for request in requests]
    engine = make_engine(slots=2)
    answers = [engine.submit(request) for request in requests]
    for _ in range(20):
        engine.step()

    urgent = engine.submit(ask(7, 10, urgent=True))
    engine.step()

    assert urgent.count > 0
    assert finish(engine, answers) == alone
    assert urgent.ids == make_engine().submit(ask(7, 10)).result()


def test_an_urgent_study_does_not_wait_for_the_long_prompt_of_another(make_engine: MakeEngine, ask: Ask) -> None:
    alone = make_engine(chunk=16).submit(ask(1, 12)).result()
    engine = make_engine(slots=2, chunk=16)
    other = engine.submit(ask(1, 12))
    engine.step()
    urgent = engine.submit(ask(2, 12, urgent=True))
    while not urgent.count:
        engine.step()
    assert other.count == 0
    assert other.result() == alone


def test_urgent_studies_do_not_turn_each_other_out(make_engine: MakeEngine, ask: Ask) -> None:
    engine = make_engine(slots=1)
    first, second = (engine.submit(ask(i, 8, urgent=True)) for i in range(2))
    while not first.done:
        engine.step()
        assert second.count == 0
    second.result()


def test_tokens_come_as_they_are_written(make_engine: MakeEngine, ask: Ask) -> None:
    engine = make_engine()
    answer = engine.submit(ask(3, 12))
    stream = answer.stream()
    first = next(stream)
    assert answer.count < 12
    assert [first, *stream] == answer.ids
    assert answer.ending == "tokens"


def test_words_are_streamed_whole(reader: CxrLlavaReader) -> None:
    generation = Generation(max_new_tokens=20)
    pieces = list(reader.stream(film(3), prompt.REPORT, generation))
    assert "".join(pieces) == reader.text(reader.token_ids(film(3), prompt.REPORT, generation))
    assert len(pieces) > 5


def test_closing_a_stream_frees_the_slot(make_engine: MakeEngine, ask: Ask) -> None:
    engine = make_engine(slots=1)
    stream = engine.submit(ask(3, 200)).stream()
    next(stream)
    stream.close()
    assert len(engine.submit(ask(4, 5)).result()) == 5


def test_a_canceled_study_leaves_at_the_next_step(make_engine: MakeEngine, ask: Ask) -> None:
    engine = make_engine(slots=2)
    answers = [engine.submit(ask(i, 30)) for i in range(3)]
    engine.step()
    answers[0].cancel()
    answers[2].cancel()
    engine.step()
    for canceled in (answers[0], answers[2]):
        with pytest.raises(Canceled):
            canceled.result()
    assert answers[1].result() == make_engine().submit(ask(1, 30)).result()


def test_a_limit_of_seconds_counts_from_the_first_step(reader: CxrLlavaReader, ask: Ask) -> None:
    times = iter(range(1000))
    engine = Engine(
        reader._native, reader._embedded, Limits(slots=1, positions=400), end=NEVER, now=lambda: next(times)
    )
    answers = [engine.submit(ask(i, 200, seconds=5.5)) for i in range(2)]
    finish(engine, answers)
    assert [answer.ending for answer in answers] == ["seconds", "seconds"]
    assert 1 < answers[0].count < 10
    assert answers[0].count == answers[1].count


def test_a_limit_of_seconds_stands_still_while_others_have_the_slot(reader: CxrLlavaReader, ask: Ask) -> None:
    at = [0.0]
    engine = Engine(reader._native, reader._embedded, Limits(slots=1, positions=400), end=NEVER, now=lambda: at[0])
    patient = engine.submit(ask(0, 30, seconds=10))
    for _ in range(5):
        engine.step()
    hurried = engine.submit(ask(1, 20, urgent=True, seconds=60))
    while not hurried.done:
        engine.step()
        at[0] += 1
    at[0] += 9  # together with what it had before, still within its limit
    assert len(patient.result()) == 30
    assert (hurried.ending, patient.ending) == ("tokens", "tokens")


def test_a_limit_of_seconds_counts_the_time_before_it_was_set_aside(reader: CxrLlavaReader, ask: Ask) -> None:
    at = [0.0]
    engine = Engine(reader._native, reader._embedded, Limits(slots=1, positions=400), end=NEVER, now=lambda: at[0])
    patient = engine.submit(ask(0, 30, seconds=10))
    engine.step()
    at[0] = 8.0
    hurried = engine.submit(ask(1, 5, urgent=True))
    hurried.result()
    engine.step()
    at[0] += 3
    engine.step()
    assert patient.ending == "seconds"


def test_values_that_are_no_numbers_fail_alone_and_leave_nothing_behind(make_engine: MakeEngine, ask: Ask) -> None:
    def poisoned(seed: int) -> Request:
        sound = ask(seed)
        return Request(sound.ids, np.full_like(sound.pixels, np.nan), sound.generation)

    sound = [ask(i, 30, USERS[i % 4]) for i in range(4)]
    alone = [make_engine().submit(request).result() for request in sound]
    engine = make_engine(slots=3)
    answers = [engine.submit(r) for r in (sound[0], poisoned(8), sound[1], poisoned(9), sound[2], sound[3])]
    while engine.step():
        pass

    for bad in (answers[1], answers[3]):
        with pytest.raises(UnreadableText) as caught:
            bad.result()
        assert caught.value.code == "not-a-number"
    assert [answers[i].ids for i in (0, 2, 4, 5)] == alone


LONG = prompt.question("Where is the tip of the central venous catheter, and is there a pneumothorax beside it? " * 3)
SHORT = prompt.question("Heart?")


def no_numbers(request: Request) -> Request:
    return replace(request, pixels=np.full_like(request.pixels, np.nan))


def test_who_fails_before_its_row_is_there_fails_alone(make_engine: MakeEngine, ask: Ask) -> None:
    """Four rows are made for four studies; the fifth one's film is broken before there are more."""
    alone = [make_engine().submit(ask(i, 12)).result() for i in range(4)]
    engine = make_engine(slots=8)
    answers = [engine.submit(ask(i, 12)) for i in range(4)]
    for _ in range(4):
        engine.step()
    broken: Future[NDArray[np.float32]] = Future()
    broken.set_exception(KeyError("rows"))
    fifth = engine.submit(Request(ask(5).ids, broken, Generation()))

    assert finish(engine, answers) == alone
    with pytest.raises(PreparationFailed):
        fifth.result()


def test_what_a_study_put_in_before_it_made_way_reaches_nobody(make_engine: MakeEngine, ask: Ask) -> None:
    """It is no number, and who comes next has fewer words than what is in by then."""
    alone = make_engine(chunk=16, positions=600).submit(ask(2, 120, SHORT)).result()
    engine = make_engine(chunk=16, positions=600, slots=4)
    poisoned = engine.submit(no_numbers(ask(1, user=LONG)))
    for _ in range(12):
        engine.step()
    assert not poisoned.done
    assert engine.submit(ask(2, 120, SHORT, urgent=True)).result() == alone


def test_a_row_that_is_given_up_on_the_way_in_keeps_nothing(make_engine: MakeEngine, ask: Ask) -> None:
    """Somebody leaves while a study without numbers is put in, so that it ends in another row than it began in."""
    alone = [make_engine(chunk=16, positions=600).submit(ask(i, 120, SHORT)).result() for i in (2, 3)]
    engine = make_engine(chunk=16, positions=600, slots=4)
    brief = engine.submit(ask(4, 8))
    while not brief.count:
        engine.step()
    poisoned = engine.submit(no_numbers(ask(1, user=LONG)))
    with pytest.raises(UnreadableText):
        poisoned.result()
    assert brief.done
    assert finish(engine, [engine.submit(ask(i, 120, SHORT)) for i in (2, 3)]) == alone


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_and_goes_each_study_gets_its_own_words(make_engine: MakeEngine, ask: Ask, seed: int) -> None:
    """Studies come at any step, some urgent, some canceled, some broken; slots are used again and again."""
    source = np.random.default_rng(seed)
    engine = make_engine(slots=int(source.integers(2, 7)), chunk=int(source.choice([16, 64, 512])))
    requests = [
        ask(i, int(source.integers(1, 30)), USERS[int(source.integers(4))], urgent=bool(source.random() < 0.3))
        for i in range(16)
    ]
    fates = source.choice(["read", "read", "read", "canceled", "broken"], len(requests))
    answers = []
    for request, fate in zip(requests, fates, strict=True):
        answers.append(engine.submit(no_numbers(request) if fate == "broken" else request))
        for _ in range(int(source.integers(6))):
            engine.step()
        if fate == "canceled":
            answers[-1].cancel()
    while engine.step():
        pass

    assert all(answer.done for answer in answers)
    for request, fate, answer in zip(requests, fates, answers, strict=True):
        whole = make_engine(slots=1).submit(Request(request.ids, request.pixels, request.generation)).result()
        if fate == "read":
            assert answer.result() == whole
        else:
            assert answer.ids == whole[: answer.count]


class Spoiling(NativeLlama):
    """Gives NaN for one row of one step, as a broken weight would for one study."""

    at: tuple[int, int] | None = None

    def step(self, cache: Cache, *arguments: object) -> torch.Tensor:
        logits = super().step(cache, *arguments)  # type: ignore[arg-type]
        if self.at is not None:
            left, row = self.at
            if left == 0:
                logits[row] = torch.nan
                for values in cache.values:
                    values[row, :, :5] = torch.nan
            self.at = (left - 1, row)
        return logits


def test_a_study_that_turns_to_nan_midway_fails_alone(
    reader: CxrLlavaReader, make_engine: MakeEngine, ask: Ask
) -> None:
    requests = [ask(i, 30) for i in range(5)]
    alone = [make_engine().submit(request).result() for request in requests]
    llama = Spoiling(reader._model.llama, reader._model.lm_head)
    llama.at = (10, 1)
    engine = Engine(llama, reader._embedded, Limits(slots=3, positions=400), end=NEVER)
    answers = [engine.submit(request) for request in requests]
    while engine.step():
        pass

    with pytest.raises(UnreadableText):
        answers[1].result()
    assert [answers[i].ids for i in (0, 2, 3, 4)] == [alone[i] for i in (0, 2, 3, 4)]


def test_a_film_that_cannot_be_prepared_fails_alone(make_engine: MakeEngine, ask: Ask) -> None:
    engine = make_engine()
    broken: Future[NDArray[np.float32]] = Future()
    broken.set_exception(KeyError("rows"))
    sound = ask(1, 6)
    failing = [
        engine.submit(Request(sound.ids, broken, sound.generation)),
        engine.submit(Request(sound.ids, sound.pixels[:, :, :50], sound.generation)),
        engine.submit(Request((1, 2, 3), sound.pixels, sound.generation)),
    ]
    answer = engine.submit(sound)
    with pytest.raises(PreparationFailed, match="KeyError"):
        failing[0].result()
    for bad in failing[1:]:
        with pytest.raises((RuntimeError, ValueError)):
            bad.result()
    assert len(answer.result()) == 6


def test_an_error_of_ours_in_a_preparation_is_that_studys_own(make_engine: MakeEngine, ask: Ask) -> None:
    engine = make_engine()
    broken: Future[NDArray[np.float32]] = Future()
    broken.set_exception(ConfigurationError("the film is elsewhere"))
    failing = engine.submit(Request(ask(1).ids, broken, Generation()))
    answer = engine.submit(ask(1, 6))
    assert len(answer.result()) == 6
    with pytest.raises(ConfigurationError, match="elsewhere"):
        failing.result()


@pytest.mark.parametrize(
    "settings",
    [
        {"max_new_tokens": 0},
        {"mode": "sampled", "seed": None},
        {"mode": "sampled", "temperature": 0.0},
        {"mode": "sampled", "temperature": 1e-38},
        {"mode": "sampled", "temperature": float("inf")},
        {"mode": "sampled", "temperature": float("nan")},
        {"mode": "sampled", "top_p": 0.0},
        {"mode": "sampled", "top_p": 1.5},
        {"mode": "sampled", "top_k": 0},
    ],
)
def test_settings_by_which_nothing_could_be_written_are_refused_at_once(
    make_engine: MakeEngine, ask: Ask, settings: dict[str, Any]
) -> None:
    engine = make_engine()
    with pytest.raises(ValueError, match=r"token|sampling"):
        engine.submit(ask(1, generation=Generation(**{"seed": 1, **settings})))
    assert engine.load.waiting == 0


def test_a_film_in_preparation_holds_nobody_up(make_engine: MakeEngine, ask: Ask) -> None:
    engine = make_engine(slots=1)
    late: Future[NDArray[np.float32]] = Future()
    first = engine.submit(Request(ask(1).ids, late, Generation(max_new_tokens=4)))
    second = engine.submit(ask(2, 4))
    assert len(second.result()) == 4
    assert not first.done
    late.set_result(ask(1).pixels)  # type: ignore[arg-type]
    assert first.result() == make_engine().submit(ask(1, 4)).result()


def test_a_prompt_without_room_for_an_answer_is_refused(make_engine: MakeEngine, ask: Ask) -> None:
    with pytest.raises(PromptTooLong, match="leaves none"):
        make_engine(positions=100).submit(ask(1)).result()


def test_an_answer_never_exceeds_its_positions(make_engine: MakeEngine, ask: Ask, reader: CxrLlavaReader) -> None:
    prompt_length = len(reader.prompt_ids(prompt.REPORT)) - 1 + 36
    for room in (1, 2, 30):
        answer = make_engine(positions=prompt_length + room).submit(ask(1, 500))
        assert len(answer.result()) == room


@pytest.mark.parametrize(
    ("error", "is_lack"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_a_lack_of_memory_is_told_from_a_device_that_is_lost(error: RuntimeError, is_lack: bool) -> None:
    assert is_out_of_memory(error) is is_lack


def test_no_attention_of_the_engine_needs_a_plan_for_each_length() -> None:
    """torch asks cuDNN first on some GPUs; its own kernels take any length."""
    kernels = torch.backends.cuda
    with attention(torch.device("cuda:0")):
        assert not kernels.cudnn_sdp_enabled()
        assert kernels.flash_sdp_enabled()
        assert kernels.mem_efficient_sdp_enabled()
        assert kernels.math_sdp_enabled()
    assert kernels.cudnn_sdp_enabled()


class Small(NativeLlama):
    """A device with room for so many studies."""

    room = 1

    def step(self, cache: Cache, tokens: torch.Tensor, last: torch.Tensor, *rest: object) -> torch.Tensor:
        if int((last > 0).sum()) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory (as a small device would say)")
        return super().step(cache, tokens, last, *rest)  # type: ignore[arg-type]


def test_a_lack_of_memory_halves_the_slots_and_loses_nothing(
    reader: CxrLlavaReader, make_engine: MakeEngine, ask: Ask
) -> None:
    requests = [ask(i, 20, USERS[i % 4]) for i in range(10)]
    alone = [make_engine().submit(request).result() for request in requests]
    llama = Small(reader._model.llama, reader._model.lm_head)
    llama.room = 3
    engine = Engine(llama, reader._embedded, Limits(slots=8, positions=400), end=NEVER)
    answers = [engine.submit(request) for request in requests]
    streamed = list(answers[0].stream())
    while engine.step():
        pass

    assert [answer.ids for answer in answers] == alone
    assert streamed == alone[0]
    assert engine.load.slots == 2


def test_slots_that_a_moments_lack_of_memory_took_come_back(reader: CxrLlavaReader, ask: Ask) -> None:
    at, spike = [0.0], [True]

    def embed(ids: Sequence[int], pixels: Film32) -> torch.Tensor:
        if engine.load.running > 1 and spike:
            spike.pop()
            raise torch.OutOfMemoryError("another program took it for a moment")
        return reader._embedded(ids, pixels)

    engine = Engine(reader._native, embed, Limits(slots=8, positions=400), end=NEVER, now=lambda: at[0])
    finish(engine, [engine.submit(ask(i, 5)) for i in range(4)])
    counts = []
    for _ in range(5):
        counts.append(engine.load.slots)
        at[0] += 61
        engine.submit(ask(1, 2)).result()
    assert counts == [1, 2, 4, 8, 8]


def test_an_engine_with_nothing_to_do_has_its_slots_again(reader: CxrLlavaReader) -> None:
    at = [0.0]
    engine = Engine(reader._native, reader._embedded, Limits(slots=4, positions=400), end=NEVER, now=lambda: at[0])
    engine._slots.halve(2, now=0)
    engine.start()
    try:
        assert engine.load.slots == 1
        for count in (2, 4):
            at[0] += 61
            wait_until(lambda count=count: engine.load.slots == count, f"{count} slots")  # type: ignore[misc]
    finally:
        engine.stop()


def test_slots_grow_the_later_the_more_often_memory_lacked() -> None:
    slots = Slots(8)
    slots.halve(8, now=0)
    slots.halve(4, now=10)
    slots.grow(now=129)
    assert slots.count == 2
    slots.grow(now=131)
    assert slots.count == 4
    slots.halve(4, now=3700)  # an hour later it is another story
    slots.grow(now=3761)
    assert slots.count == 4


def test_limits_with_which_nothing_would_ever_end_are_refused() -> None:
    for wrong in ({"slots": 0}, {"slots": -1}, {"positions": 0}, {"chunk": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Limits(**wrong)


def test_what_is_no_token_fails_before_a_device_looks_for_it(reader: CxrLlavaReader, ask: Ask) -> None:
    """A GPU ends the process's context over it."""
    sound = ask(1)
    engine = reader.engine(Limits(slots=2, positions=400), end=NEVER)
    for ids in ((*sound.ids, 99_999), (*sound.ids, -1), (*sound.ids, prompt.IMAGE_ID), sound.ids[:1]):
        answer = engine.submit(Request(ids, sound.pixels, sound.generation))
        with pytest.raises(ValueError, match=r"is no token|IMAGE_ID once"):
            answer.result()
    with pytest.raises(ValueError, match="99999 is no token"):
        reader.answer_logits(film(1), [5, 99_999])
    with pytest.raises(ValueError, match="at least one token"):
        reader.answer_logits(film(1), [])
    with pytest.raises(PromptTooLong):
        reader.answer_logits(film(1), [5] * 5000)
    assert len(engine.submit(sound).result()) == 24


@pytest.mark.parametrize("shape", [(0, 5), (1, 100_000), (5000, 100)])
def test_what_is_no_film_is_refused_before_it_is_enlarged(reader: CxrLlavaReader, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="are no film"):
        reader.pixels(np.zeros(shape, dtype=np.uint8))


def test_a_study_whose_token_cannot_be_drawn_fails_alone(
    reader: CxrLlavaReader, make_engine: MakeEngine, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = make_engine().submit(ask(1, 30)).result()
    engine = make_engine(slots=3)
    sampled = replace(ask(2, 30), generation=Generation(mode="sampled", seed=1, max_new_tokens=30))
    poisoned, sound = engine.submit(sampled), engine.submit(ask(1, 30))
    for _ in range(4):
        engine.step()
    monkeypatch.setattr(poisoned.chooser, "_generation", replace(sampled.generation, temperature=0.0))
    assert sound.result() == alone
    with pytest.raises(RuntimeError, match="probability"):
        poisoned.result()


def test_without_memory_for_one_study_it_fails_and_says_what_to_do(reader: CxrLlavaReader, ask: Ask) -> None:
    llama = Small(reader._model.llama, reader._model.lm_head)
    llama.room = 0
    engine = Engine(llama, reader._embedded, Limits(slots=8, positions=400), end=NEVER)
    answers = [engine.submit(ask(i)) for i in range(2)]
    while engine.step():
        pass
    for answer in answers:
        with pytest.raises(DeviceFull, match="nf4"):
            answer.result()


class Broken(NativeLlama):
    """A device that no longer computes."""

    def step(self, *_: object) -> torch.Tensor:
        raise RuntimeError("device-side assert")


@pytest.mark.parametrize("threaded", [False, True])
def test_after_a_step_that_fails_for_all_everybody_is_told(reader: CxrLlavaReader, ask: Ask, threaded: bool) -> None:
    llama = Broken(reader._model.llama, reader._model.lm_head)
    engine = Engine(llama, reader._embedded, Limits(slots=2, positions=400), end=NEVER)
    answers = [engine.submit(ask(i)) for i in range(3)]
    if threaded:
        engine.start()
    for answer in answers:
        with pytest.raises(EngineBroken):
            answer.result()
    with pytest.raises(EngineBroken):
        engine.submit(ask(4))


def test_a_thread_of_its_own_serves_many_callers(reader: CxrLlavaReader) -> None:
    settings = Generation(max_new_tokens=30)
    alone = [reader.token_ids(film(i), USERS[i % 4], settings) for i in range(8)]
    got: dict[int, list[int]] = {}
    told: dict[int, list[int]] = {i: [] for i in range(8)}

    def read(i: int) -> None:
        got[i] = reader.token_ids(film(i), USERS[i % 4], settings, told[i].append)

    with reader.serving():
        threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [got[i] for i in range(8)] == alone
    assert all([n for n in told[i] if n] == list(range(1, len(alone[i]) + 1)) for i in range(8))


def test_callers_without_a_thread_may_drive_together(reader: CxrLlavaReader) -> None:
    settings = Generation(max_new_tokens=20)
    alone = [reader.token_ids(film(i), prompt.REPORT, settings) for i in range(3)]
    got: dict[int, list[int]] = {}

    def read(i: int) -> None:
        got[i] = reader.token_ids(film(i), prompt.REPORT, settings)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[i] for i in range(3)] == alone


class Surprising(NativeLlama):
    """Has a mistake that nobody thought of."""

    def step(self, *_: object) -> torch.Tensor:
        raise KeyError("surprise")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_by_a_mistake_leaves_nobody_waiting(reader: CxrLlavaReader, ask: Ask) -> None:
    llama = Surprising(reader._model.llama, reader._model.lm_head)
    engine = Engine(llama, reader._embedded, Limits(slots=2, positions=400), end=NEVER)
    engine.start()
    with pytest.raises(EngineBroken, match="KeyError"):
        engine.submit(ask(1)).result()
    engine.stop()


def test_an_engine_has_one_thread(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.start()
    with pytest.raises(RuntimeError, match="already"):
        engine.start()
    engine.stop()


class Slow(NativeLlama):
    """Takes for its next token until the engine is told to stop."""

    told: threading.Event

    def step(self, *arguments: Any) -> torch.Tensor:
        assert self.told.wait(60)
        return super().step(*arguments)


def test_stopping_ends_what_is_being_read(reader: CxrLlavaReader, ask: Ask) -> None:
    llama = Slow(reader._model.llama, reader._model.lm_head)
    engine = Engine(llama, reader._embedded, Limits(slots=1, positions=400), end=NEVER)
    llama.told = engine._stop
    engine.start()
    answer = engine.submit(ask(1, 250))
    wait_until(lambda: answer.count, "the first token")
    engine.stop()
    with pytest.raises(Canceled):
        answer.result()


def test_progress_is_told_while_nothing_is_written(make_engine: MakeEngine, ask: Ask) -> None:
    engine = make_engine()
    late: Future[NDArray[np.float32]] = Future()
    told: list[int] = []

    class Enough(Exception):
        pass

    def progress(tokens: int) -> None:
        told.append(tokens)
        raise Enough

    with pytest.raises(Enough):
        engine.submit(Request(ask(1).ids, late, Generation())).result(progress)
    assert told == [0]


def test_memory_is_taken_as_studies_come(make_engine: MakeEngine, ask: Ask) -> None:
    engine = make_engine(slots=32)
    engine.submit(ask(1, 3)).result()
    assert engine._cache is not None
    assert engine._cache.slots == 4
    finish(engine, [engine.submit(ask(i, 40)) for i in range(9)])
    assert engine._cache.slots == 16


@pytest.mark.parametrize("precision", ["bf16", "nf4", "int8"])
def test_quantized_and_bf16_models_run_in_the_same_engine(precision: str) -> None:
    reader = load(CHECKPOINT, precision, device="cpu")
    answers = [reader.submit(film(i), USERS[i % 4], Generation(max_new_tokens=10)) for i in range(5)]
    assert all(1 <= len(answer.result()) <= 10 for answer in answers)


def test_the_score_of_the_greedy_answer_is_that_of_its_choices(reader: CxrLlavaReader) -> None:
    likely = reader.score(film(1), "No effusion.")
    embedded = reader._embedded(reader.prompt_ids(prompt.REPORT), reader.pixels(film(1)))
    with torch.inference_mode():
        for i, token in enumerate(likely.ids):
            logits = reader._model.next_logits(embedded[None])
            assert float(logits.log_softmax(0)[token]) == pytest.approx(float(likely.log_probabilities[i]), abs=1e-4)
            embedded = torch.cat([embedded, reader._native.embed([token])])
    assert likely.ids[-1] == prompt.EOS_ID
    assert likely.total == pytest.approx(float(likely.log_probabilities.sum()), abs=1e-4)
    assert likely.perplexity > 1
    assert reader.text(likely.ids) == "No effusion."
    assert reader.score(film(1), "No effusion.", ends=False).ids == likely.ids[:-1]


def test_nothing_has_no_score(reader: CxrLlavaReader) -> None:
    with pytest.raises(ValueError, match="empty"):
        reader.score(film(1), "", ends=False)


def test_a_film_becomes_one_vector(reader: CxrLlavaReader) -> None:
    first, again, other = reader.embed(film(1)), reader.embed(film(1)), reader.embed(film(2))
    assert first.shape == (64,)
    assert first.dtype == np.float32
    assert (first == again).all()
    assert not np.allclose(first, other)
