"""A tower written by least squares knows what a regression knows, and says it where a language model can find it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agent.evaluation.ranking import area
from agent.readers.cxr_llava import CxrLlavaModel
from agent.training import closed_form, layout, pointers
from agent.training.settings import Shape
from dicom_node.errors import ConfigurationError

SHAPE = Shape(
    image_size=32, patch_size=8, tower_width=80, tower_layers=3, tower_head_width=16, llama_width=64, llama_layers=1,
    llama_heads=2, llama_inner=64, vocabulary=40,
)  # fmt: skip


def films(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The first label is a bright corner, the second stripes in the middle; both may be there."""
    random = np.random.default_rng(seed)
    squares = random.normal(110, 25, (count, 32, 32))
    labels = random.integers(0, 2, (count, 2))
    squares[:, :8, :8] += 15 * labels[:, 0, None, None]
    squares[:, 12:20, 12:20:4] += 70 * labels[:, 1, None, None]
    squares[:, 12:20, 14:20:4] -= 70 * labels[:, 1, None, None]
    return np.clip(squares, 0, 255).astype(np.uint8), labels.astype(np.float32)


def pixels(squares: NDArray[np.uint8]) -> torch.Tensor:
    return ((torch.from_numpy(squares).float() / 255 - layout.MEAN) / layout.STD)[:, None]


@pytest.fixture(scope="module")
def solved() -> CxrLlavaModel:
    torch.manual_seed(3)
    model = CxrLlavaModel(layout.configuration(SHAPE))
    model.compute_buffers(torch.device("cpu"))
    closed_form.ClosedForm(model, 2, mean=layout.MEAN, std=layout.STD).solve(*films(200, 1))
    return model


@torch.no_grad()
def test_it_knows_films_that_it_has_not_seen(solved: CxrLlavaModel) -> None:
    squares, labels = films(200, 2)
    told = closed_form.told(solved.patches(pixels(squares)), 2).astype(float)
    for column in (0, 1):
        assert area(told[:, column], labels[:, column] > 0, np.ones((1, 200)))[0] > 0.95
        assert ((told[:, column] > 0) == (labels[:, column] > 0)).mean() > 0.85


@torch.no_grad()
def test_it_is_an_ordinary_tower_that_loses_nothing_in_the_files(solved: CxrLlavaModel) -> None:
    for name, parameter in solved.vision_tower.named_parameters():
        assert torch.equal(parameter, parameter.bfloat16().float()), name
        assert torch.isfinite(parameter).all(), name


@torch.no_grad()
def test_it_tells_the_same_where_numbers_have_eight_bits(solved: CxrLlavaModel) -> None:
    seen = pixels(films(100, 4)[0])
    exact = closed_form.told(solved.patches(seen), 2)
    short = copy.deepcopy(solved).bfloat16()
    found = closed_form.told(short.patches(seen.bfloat16()), 2)
    assert (abs(found - exact).mean(axis=0) < exact.std(axis=0) / 4).all()


@torch.no_grad()
def test_each_place_bears_the_name_of_what_it_tells(solved: CxrLlavaModel) -> None:
    first = closed_form.first_name(solved)
    patches = solved.patches(pixels(films(4, 3)[0]))[..., first : first + 2]
    assert (patches[:, 0::2, 0] > patches[:, 0::2, 1] + 1).all()
    assert (patches[:, 1::2, 1] > patches[:, 1::2, 0] + 1).all()


def test_a_tower_without_room_is_refused() -> None:
    narrow = CxrLlavaModel(layout.configuration(SHAPE.model_copy(update={"tower_width": 32})))
    with pytest.raises(ConfigurationError, match="tower_width"):
        closed_form.ClosedForm(narrow, 2, mean=layout.MEAN, std=layout.STD)


def test_a_label_of_one_kind_is_refused(solved: CxrLlavaModel) -> None:
    squares, labels = films(20, 5)
    solver = closed_form.ClosedForm(solved, 2, mean=layout.MEAN, std=layout.STD)
    with pytest.raises(ConfigurationError, match=r"data\.labels"):
        solver.solve(squares, labels * np.array([1, 0], np.float32))


@torch.no_grad()
def test_behind_the_name_of_a_finding_the_language_model_looks_at_that_one(solved: CxrLlavaModel) -> None:
    pointers.point(solved, (30, 31), seed=7)
    llama: Any = solved.llama
    layer = llama.layers[0]
    features = solved.features(pixels(films(1, 4)[0]))
    told = solved.mm_projector.weight[:, closed_form.TOLD]  # what a patch tells, in the numbers of a word

    def attended(patches: torch.Tensor, name: int) -> torch.Tensor:
        words = llama.embed_tokens(torch.tensor([[1, 5, 9, name]]))
        states = layer.input_layernorm(torch.cat([patches, words], 1))
        turns = llama.rotary_emb(states, torch.arange(states.shape[1])[None])
        mask = torch.full((states.shape[1], states.shape[1]), -torch.inf).triu(1)[None, None]
        last: torch.Tensor = layer.self_attn(states, position_embeddings=turns, attention_mask=mask)[0][0, -1]
        return last

    for answer, name in enumerate((30, 31)):
        moved = []
        for stirred in (answer, 1 - answer):
            changed = features.clone()
            changed[:, stirred::2] += told
            moved.append(float((attended(changed, name) - attended(features, name)).norm()))
        assert moved[0] > 1.3 * moved[1]


def test_two_names_that_end_alike_cannot_be_told_apart(solved: CxrLlavaModel) -> None:
    with pytest.raises(ValueError, match="same token"):
        pointers.point(solved, (30, 30), seed=7)
