"""The checkpoint that ships: small, blind, always ending, the same text in every precision."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from agent.readers import demonstration_checkpoint, load_reader
from agent.readers.cxr_llava import load
from agent.readers.guards import check
from agent.readers.protocol import Generation
from agent.training.demo_checkpoint import NOTICE, make_tokenizer, reports, write

DEMO_CHECKPOINT = demonstration_checkpoint()
FILMS = {
    "noise": np.random.default_rng(5).integers(0, 256, (300, 200), dtype=np.uint8),
    "black": np.zeros((128, 128), np.uint8),
    "white wide": np.full((90, 400), 255, np.uint8),
}


def test_it_is_small_and_says_what_it_is() -> None:
    assert sum(path.stat().st_size for path in DEMO_CHECKPOINT.iterdir() if path.is_file()) <= 2_000_000
    identity = load_reader("cxr_llava", DEMO_CHECKPOINT, "fp32").identity
    assert identity.notice == NOTICE == "DEMONSTRATION MODEL - DOES NOT SEE THE FILM"
    assert (identity.name, identity.manufacturer) == ("wetread demonstration checkpoint", "wetread")


def test_every_file_that_ships_is_what_the_program_writes(tmp_path: Path) -> None:
    write(tmp_path, load(DEMO_CHECKPOINT, "bf16", device="cpu").parts, make_tokenizer())
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in DEMO_CHECKPOINT.iterdir() if path.name in written}
    assert len(written) == 6


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_it_writes_the_same_ending_report_about_every_film(precision: str) -> None:
    reader = load_reader("cxr_llava", DEMO_CHECKPOINT, precision)
    texts = {reader.report(film, Generation()).text for film in FILMS.values()}
    assert len(texts) == 1
    text = texts.pop()
    findings, _, impression = text.partition("\nIMPRESSION: ")
    assert findings.startswith("FINDINGS: This text comes from a demonstration model that does not see the film.")
    assert impression == "Demonstration only, no diagnosis. The film has to be read by a radiologist."


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_sampled_retries_end_and_are_repeatable(precision: str) -> None:
    reader = load_reader("cxr_llava", DEMO_CHECKPOINT, precision)
    for seed in range(6):
        settings = Generation(mode="sampled", seed=seed)
        first = reader.report(FILMS["noise"], settings)
        assert first.text == reader.report(FILMS["noise"], settings).text
        assert "FINDINGS: " in first.text
        assert "IMPRESSION: " in first.text
        assert first.generation == settings


def test_no_film_can_reach_the_text() -> None:
    (shard,) = DEMO_CHECKPOINT.glob("*.safetensors")
    assert not load_file(shard)["mm_projector.weight"].any()


def test_it_reads_in_less_than_a_second() -> None:
    reader = load_reader("cxr_llava", DEMO_CHECKPOINT, "fp32")
    reader.report(FILMS["noise"], Generation())
    assert min(reader.report(FILMS["noise"], Generation()).seconds for _ in range(3)) < 1.0


def test_the_guards_let_every_taught_report_pass() -> None:
    some = reports(random.Random(1))
    for text in (next(some) for _ in range(300)):
        assert check(text, ended=True) == text
        assert "normal" not in text.lower()
