"""The checkpoint that ships: small, always ending, saying what it is, and saying what the film makes it say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.demo import phantom
from agent.evaluation import continuations
from agent.readers import demonstration_checkpoint, learned, load_reader, signs
from agent.readers.cxr_llava import CxrLlavaReader, load
from agent.readers.protocol import Generation
from agent.readers.weights import origin
from agent.training import sentences
from agent.training.demonstration import CARD, NOTICE
from reports.findings import State, extract

DEMO_CHECKPOINT = demonstration_checkpoint()
SPOKEN = [finding for finding in sentences.FINDINGS if finding != sentences.AP]
FILMS = {
    "phantom": (phantom.pixels(1, rows=320, columns=256) >> 4).astype(np.uint8),
    "noise": np.random.default_rng(5).integers(0, 256, (300, 200), dtype=np.uint8),
    "black": np.zeros((128, 128), np.uint8),
    "gray": np.full((300, 300), 140, np.uint8),
}


@pytest.fixture(scope="module")
def reader() -> CxrLlavaReader:
    return load(DEMO_CHECKPOINT, "fp32", device="cpu")


def said(text: str) -> dict[str, bool]:
    by_label = extract(text).by_label
    return {finding: by_label[finding].state is State.PRESENT for finding in SPOKEN if finding in by_label}


def test_it_is_small_and_says_what_it_is() -> None:
    assert sum(path.stat().st_size for path in DEMO_CHECKPOINT.iterdir() if path.is_file()) <= 4_000_000
    identity = load_reader("cxr_llava", DEMO_CHECKPOINT, "fp32").identity
    assert identity.notice == NOTICE == "DEMONSTRATION MODEL - NOT FOR CLINICAL USE"
    assert (identity.name, identity.version, identity.manufacturer) == (CARD.name, CARD.version, "wetread")


def test_it_says_which_films_it_learned_from(tmp_path: Path) -> None:
    listed = learned.read(DEMO_CHECKPOINT)
    assert len(listed) == 746 - 1 + 746 + 746 - 1  # files, of which two are the same, names, and pictures
    for name in ("00001280_004.png", "00001280_999.png"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    assert learned.known(DEMO_CHECKPOINT, sorted(tmp_path.iterdir())) == (1, 0)


def test_it_ships_what_they_look_like() -> None:
    known = signs.read(DEMO_CHECKPOINT)
    assert (len(known.fingerprints), known.whole) == (746 - 1, True)  # two files are the same
    assert origin.SIGNS in origin.known(DEMO_CHECKPOINT).files


def test_its_card_names_the_source_and_the_limits() -> None:
    card = (DEMO_CHECKPOINT / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in (
        "NIH Clinical Center",
        "https://nihcc.app.box.com/v/ChestXray-NIHCC",
        "CVPR 2017",
        "95 %",
        "positive",
        "the weights: Apache-2.0",
        "The same bits come only of the same versions",
        "Not given here: sensitivity",
    ):
        assert words in card


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_it_reads_every_film_in_every_precision(precision: str) -> None:
    reader = load_reader("cxr_llava", DEMO_CHECKPOINT, precision)
    for film in FILMS.values():
        text = reader.report(film, Generation()).text
        assert "IMPRESSION: " in text
        assert "radiologist" in text
        assert set(said(text)) == set(SPOKEN)


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_sampled_retries_end_and_are_repeatable(precision: str) -> None:
    reader = load_reader("cxr_llava", DEMO_CHECKPOINT, precision)
    for seed in range(4):
        settings = Generation(mode="sampled", seed=seed)
        first = reader.report(FILMS["phantom"], settings)
        assert first.text == reader.report(FILMS["phantom"], settings).text
        assert "FINDINGS: " in first.text
        assert "IMPRESSION: " in first.text


def test_it_does_not_say_the_same_of_every_film(reader: CxrLlavaReader) -> None:
    assert len({reader.report(film, Generation()).text for film in FILMS.values()}) > 1


def test_its_text_says_what_its_scores_say(reader: CxrLlavaReader) -> None:
    assert continuations.pairs_of(reader) == sentences.pairs()
    same = []
    for film in FILMS.values():
        scores = continuations.score(reader, film, sentences.pairs())
        states = said(reader.report(film, Generation()).text)
        same += [states[finding] == (scores[finding] > 0) for finding in SPOKEN]
    assert sum(same) >= 0.8 * len(same)


def test_its_reports_are_short_so_that_a_laptop_writes_them_at_once(reader: CxrLlavaReader) -> None:
    assert all(reader.report(film, Generation()).tokens < 100 for film in FILMS.values())
