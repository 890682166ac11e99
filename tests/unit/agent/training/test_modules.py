"""Losses: what is unknown teaches nothing, and only the answer is learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agent.readers import prompt
from agent.readers.network import CxrLlavaModel
from agent.training import adapters
from agent.training.films import IGNORED, UNKNOWN, Films, augmented
from agent.training.layout import configuration
from agent.training.modules import LabelledTower, ReportWriter, learn_only
from agent.training.settings import Finetune, Shape

SHAPE = Shape(
    image_size=32, patch_size=16, tower_width=32, tower_layers=1, llama_width=32, llama_layers=1, llama_heads=2,
    llama_inner=64, vocabulary=40, positions=64,
)  # fmt: skip
QUESTION = [1, 5, prompt.IMAGE_ID, 6, 7]


@pytest.fixture
def model() -> CxrLlavaModel:
    torch.manual_seed(3)
    made = CxrLlavaModel(configuration(SHAPE))
    made.compute_buffers(torch.device("cpu"))
    return made


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(4))


def test_unknown_labels_teach_nothing(model: CxrLlavaModel, pixels: torch.Tensor) -> None:
    tower = LabelledTower(model, 2, torch.ones(2)).eval()
    known = tower(pixels, torch.tensor([[1.0, UNKNOWN], [0.0, UNKNOWN]]))["loss"]
    other = tower(pixels, torch.tensor([[1.0, UNKNOWN], [0.0, 1.0]]))["loss"]
    logits = tower(pixels)["logits"]
    alone = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], torch.tensor([1.0, 0.0]))
    assert known.item() == pytest.approx(alone.item())
    assert other.item() != pytest.approx(known.item())
    assert tower(pixels, torch.full((2, 2), UNKNOWN))["loss"].item() == 0


def test_loss_is_that_of_the_answer_as_the_reader_will_write_it(model: CxrLlavaModel, pixels: torch.Tensor) -> None:
    """The mean negative log-likelihood of each answer token, computed one film and one token at a time."""
    writer = ReportWriter(model, QUESTION).eval()
    answers = [[9, 10, 11, 2], [12, 2]]
    padded = torch.tensor([answer + [IGNORED] * (4 - len(answer)) for answer in answers])
    losses = []
    for film, answer in zip(pixels, answers, strict=True):
        for at, token in enumerate(answer):
            embedded = model.splice(QUESTION, model.features(film[None]))
            embedded = torch.cat([embedded, model.llama.embed_tokens(torch.tensor([answer[:at]], dtype=torch.long))], 1)
            losses.append(-model.next_logits(embedded).log_softmax(-1)[token].item())
    assert writer(pixels, padded)["loss"].item() == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize("stage", ["encoder", "align", "finetune"])
def test_layers_that_are_computed_again_give_the_same_gradients(
    model: CxrLlavaModel, pixels: torch.Tensor, stage: str
) -> None:
    learner: LabelledTower | ReportWriter
    if stage == "encoder":
        learner, labels = LabelledTower(model, 2, torch.ones(2)).train(), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    else:
        learner, labels = ReportWriter(model, QUESTION).train(), torch.tensor([[9, 10, 2], [12, 2, IGNORED]])
        adapters.choose_what_learns(stage, Finetune(), learner)

    def gradients() -> list[torch.Tensor]:
        learner.zero_grad()
        learner(pixels, labels)["loss"].backward()
        return [one.grad.clone() for one in learner.parameters() if one.grad is not None]

    plain = gradients()
    assert plain
    learner.activation_checkpointing_enable(activation_checkpointing_kwargs=None)  # as the trainer calls it
    again = gradients()
    assert model.vision_tower.is_activation_checkpointing
    assert model.llama.is_activation_checkpointing == (stage != "encoder")
    assert len(again) == len(plain)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(again, plain, strict=True))


def test_only_what_is_named_learns(model: CxrLlavaModel) -> None:
    count = learn_only(model, "mm_projector.")
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert learning == ["mm_projector.weight", "mm_projector.bias"]
    assert count == 32 * 32 + 32


def test_augmentation_is_seeded_moves_little_and_never_mirrors() -> None:
    square = np.zeros((64, 64), np.uint8)
    square[:, :20] = 200  # the heart's side
    for seed in range(50):
        moved = augmented(square, np.random.default_rng(seed))
        assert np.array_equal(moved, augmented(square, np.random.default_rng(seed)))
        assert moved[24:40, 4:10].mean() > moved[24:40, 54:60].mean() + 50
    assert not np.array_equal(augmented(square, np.random.default_rng(1)), square)


def test_films_draw_anew_only_while_they_are_learned_from() -> None:
    squares = np.arange(64 * 64, dtype=np.uint32).astype(np.uint8).reshape(1, 64, 64)
    plain, moving = (
        Films(squares, {"labels": np.zeros((1, 1))}, mean=0, std=1, augment=augment, seed=1)
        for augment in (False, True)
    )
    drawn = []
    for films in (plain, moving):
        once, again = films[0]["pixel_values"], films[0]["pixel_values"]
        films.round += 1
        drawn.append((torch.equal(once, again), torch.equal(once, films[0]["pixel_values"])))
    assert drawn == [(True, True), (True, False)]
    assert plain[0]["pixel_values"].shape == (1, 64, 64)
    assert plain[0]["pixel_values"].max() == 1
