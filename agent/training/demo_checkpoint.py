"""Make the demonstration checkpoint: CXR-LLaVA's layout, a blind tower, and sentences that claim nothing.

    python -m agent.training.demo_checkpoint OUT

The language model learns 22 sentences by heart, put together in many ways. Its projector is zero, so that nothing of
a film can reach the text: whatever it is shown, it writes that it has assessed nothing. Takes about two minutes on
two CPU cores; the same seed on the same machine gives the same files.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from agent.readers import prompt
from agent.readers.checkpoint import PRECISIONS
from agent.readers.cxr_llava import CxrLlavaModel, load
from agent.readers.protocol import Generation
from agent.training import layout
from agent.training.settings import Card, Shape
from agent.training.words import train_tokenizer

VERSION: Final = "1"
NOTICE: Final = "DEMONSTRATION MODEL - DOES NOT SEE THE FILM"
SEED: Final = 20240118

# The first of each is what greedy decoding writes; each takes the place of one sentence of a report.
OPENING: Final = (
    "This text comes from a demonstration model that does not see the film.",
    "This is a demonstration text and describes no film.",
    "A demonstration model wrote this text without seeing the film.",
)
LUNGS: Final = (
    "The lungs were not assessed.",
    "No statement is made about the lungs.",
    "Consolidation and atelectasis were not assessed.",
    "The lung fields were not looked at.",
)
HEART: Final = (
    "The heart size was not assessed.",
    "No statement is made about the heart.",
    "The cardiac silhouette was not measured.",
    "The mediastinum was not looked at.",
)
PLEURA: Final = (
    "The pleural spaces were not assessed.",
    "No statement is made about the pleura.",
    "Pleural effusion and pneumothorax were not assessed.",
    "The costophrenic angles were not looked at.",
)
BONES: Final = (
    "The bones were not assessed.",
    "No statement is made about the bony thorax.",
    "The visible skeleton was not looked at.",
)
IMPRESSION: Final = (
    "Demonstration only, no diagnosis. The film has to be read by a radiologist.",
    "No diagnosis is made. This film awaits a radiologist.",
    "Nothing was assessed. A radiologist has to read the film.",
    "This text must not be used for any patient.",
)
_FIRST_SHARE: Final = 0.6  # of the first sentence of each list: wide enough a margin to survive four bits

_VOCABULARY: Final = 480
_SHAPE: Final = Shape(
    image_size=128,
    patch_size=32,
    tower_width=64,
    tower_layers=2,
    tower_head_width=64,
    llama_width=128,
    llama_layers=2,
    llama_heads=4,
    llama_inner=256,
    vocabulary=_VOCABULARY,
)
_PATCHES: Final = (_SHAPE.image_size // _SHAPE.patch_size) ** 2
_STEPS: Final = 500
_BATCH: Final = 8
_WEIGHT_NOISE: Final = 0.05  # of a matrix's own deviation, while training: what rounding to four bits will do later


def reports(source: random.Random) -> Iterator[str]:
    """Endless reports, put together from the sentences."""

    def one_of(sentences: tuple[str, ...]) -> str:
        return sentences[0] if source.random() < _FIRST_SHARE else source.choice(sentences[1:])

    while True:
        findings = " ".join(one_of(sentences) for sentences in (OPENING, LUNGS, HEART, PLEURA, BONES))
        yield f"FINDINGS: {findings}\nIMPRESSION: {one_of(IMPRESSION)}"


def make_tokenizer() -> bytes:
    """The tokenizer of the sentences and the prompts."""
    some = reports(random.Random(SEED))  # noqa: S311 -- no secret
    return train_tokenizer([next(some) for _ in range(200)], _VOCABULARY)


def _tower_weights(source: torch.Generator) -> dict[str, Tensor]:
    """A random vision tower under its published (OpenCLIP) names. It runs, but nothing depends on it."""
    width, patch = _SHAPE.tower_width, _SHAPE.patch_size

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source) * 0.05

    weights = {
        "class_embedding": noise(width),
        "conv1.weight": noise(width, 1, patch, patch),
        "positional_embedding": noise(_PATCHES + 1, width),
        "proj": noise(width, 16),
    }
    norms = ["ln_pre", "ln_post"]
    for layer in range(_SHAPE.tower_layers):
        block = f"transformer.resblocks.{layer}"
        norms += [f"{block}.ln_1", f"{block}.ln_2"]
        shapes = {
            "attn.in_proj_": (3 * width, width),
            "attn.out_proj.": (width, width),
            "mlp.c_fc.": (4 * width, width),
            "mlp.c_proj.": (width, 4 * width),
        }
        for name, (rows, columns) in shapes.items():
            weights[f"{block}.{name}weight"] = noise(rows, columns)
            weights[f"{block}.{name}bias"] = torch.zeros(rows)
    for name in norms:
        weights |= {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}
    return {f"vision_tower.{name}": value for name, value in weights.items()}


def _batch(words: prompt.LlamaWords, some: Iterator[str]) -> list[list[int]]:
    # with "legacy" false a text gets no blank in front, which is how an answer begins behind " [/INST]"
    return [[*words.ids(next(some))[1:], prompt.EOS_ID] for _ in range(_BATCH)]


def _loss(model: CxrLlavaModel, features: Tensor, question: list[int], answers: list[list[int]]) -> Tensor:
    longest = max(map(len, answers))
    padded = torch.tensor([answer + [0] * (longest - len(answer)) for answer in answers])
    before = model.splice(question, features).expand(len(answers), -1, -1)
    embedded = torch.cat([before, model.llama.embed_tokens(padded[:, :-1])], dim=1)
    hidden = model.llama(inputs_embeds=embedded, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[:, before.shape[1] - 1 :])
    loss: Tensor = nn.functional.cross_entropy(logits.flatten(0, 1), padded.flatten(), ignore_index=0)
    return loss


def train(words: prompt.LlamaWords) -> CxrLlavaModel:
    """Teach the sentences. Prints loss, root mean square of the weights, and time."""
    torch.manual_seed(SEED)
    model = CxrLlavaModel(layout.configuration(_SHAPE))
    nn.init.zeros_(model.mm_projector.weight)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and n.startswith("llama.layers.")]
    learned = [p for n, p in model.named_parameters() if n.startswith(("llama.", "lm_head.", "mm_projector.bias"))]
    optimizer = torch.optim.AdamW(learned, lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=_STEPS, pct_start=0.1)
    some, question = reports(random.Random(SEED + 1)), words.prompt_ids(prompt.REPORT)  # noqa: S311
    started = time.monotonic()
    for step in range(1, _STEPS + 1):
        noise = [torch.randn_like(matrix) * matrix.detach().std() * _WEIGHT_NOISE for matrix in matrices]
        _shift(matrices, noise, 1.0)
        features = model.mm_projector.bias.expand(1, _PATCHES, -1)
        loss = _loss(model, features, question, _batch(words, some))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        _shift(matrices, noise, -1.0)
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 0 or step == 1:
            rms = float(torch.cat([p.detach().flatten() for p in learned]).square().mean().sqrt())
            _say(f"step {step:4d}  loss {loss.item():7.4f}  rms {rms:.4f}  {time.monotonic() - started:5.1f} s")
    return model


@torch.no_grad()
def _shift(matrices: list[nn.Parameter], noise: list[Tensor], sign: float) -> None:
    for matrix, values in zip(matrices, noise, strict=True):
        matrix.add_(values, alpha=sign)


def write(out: Path, model: CxrLlavaModel, tokenizer: bytes) -> None:
    """Write every file of the published layout, and the card that names the model."""
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith("vision_tower.")}
    weights |= _tower_weights(torch.Generator().manual_seed(SEED))
    card = Card(name="wetread demonstration checkpoint", version=VERSION, manufacturer="wetread", notice=NOTICE)
    layout.write(out, sorted(weights.items()), layout.configuration(_SHAPE), card, tokenizer=tokenizer)


def examine(out: Path) -> bool:
    """Print what the written files say in every precision; true where greedy texts agree and samples end."""
    film = np.random.default_rng(SEED).integers(0, 256, (160, 130), dtype=np.uint8)
    texts = set()
    for precision in PRECISIONS:
        reader = load(out, precision, device="cpu")
        reading = reader.report(film, Generation())
        texts.add(reading.text)
        _say(f"--- {precision}: {reading.tokens} tokens in {reading.seconds:.2f} s\n{reading.text}")
        for seed in range(3):
            reader.report(film, Generation(mode="sampled", seed=seed))
    return len(texts) == 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Train, write, and look at the result."""
    parser = argparse.ArgumentParser(description="Make the demonstration checkpoint.")
    parser.add_argument("out", type=Path, help="folder for the checkpoint; files in it are replaced")
    out = parser.parse_args().out
    torch.use_deterministic_algorithms(True)
    tokenizer = make_tokenizer()
    words = prompt.LlamaWords(tokenizer, legacy=False, add_bos_token=True)
    write(out, train(words), tokenizer)
    _say(f"{out}: {sum(path.stat().st_size for path in out.iterdir())} bytes")
    return 0 if examine(out) else 1


if __name__ == "__main__":
    sys.exit(main())
