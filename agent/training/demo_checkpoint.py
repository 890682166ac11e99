"""Make the demonstration checkpoint: CXR-LLaVA's layout, a blind tower, and sentences that claim nothing.

    python -m agent.training.demo_checkpoint OUT

The language model learns 22 sentences by heart, put together in many ways. Its projector is zero, so that nothing of
a film can reach the text: whatever it is shown, it writes that it has assessed nothing. Takes about two minutes on
two CPU cores; the same seed on the same machine gives the same files.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import sentencepiece
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from agent.readers import prompt
from agent.readers.checkpoint import PRECISIONS
from agent.readers.cxr_llava import CxrLlavaModel, load
from agent.readers.protocol import Generation

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
_LLAMA: Final = MappingProxyType(
    {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 128,
        "initializer_range": 0.02,
        "intermediate_size": 256,
        "max_position_embeddings": 1024,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 4,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": _VOCABULARY,
    }
)
_TOWER: Final = MappingProxyType({"image_size": 128, "layers": 2, "patch_size": 32, "width": 64})
_STEPS: Final = 500
_BATCH: Final = 8
_WEIGHT_NOISE: Final = 0.05  # of a matrix's own deviation, while training: what rounding to four bits will do later


def _config() -> dict[str, Any]:
    return {
        "architectures": ["CXRLLAVAModel"],
        "clip_embed_dim": 16,
        "clip_quick_gelu": False,
        "clip_vision_cfg": dict(_TOWER),
        "image_aspect_ratio": "square",
        "image_preprocess_cfg": {"mean": 0.5518136078431373, "std": 0.3821719215686275},
        "llama": dict(_LLAMA),
        "mm_projector_dim": _TOWER["width"],
        "model_type": "CXR-LLAVA",
        "torch_dtype": "bfloat16",
    }


def reports(source: random.Random) -> Iterator[str]:
    """Endless reports, put together from the sentences."""

    def one_of(sentences: tuple[str, ...]) -> str:
        return sentences[0] if source.random() < _FIRST_SHARE else source.choice(sentences[1:])

    while True:
        findings = " ".join(one_of(sentences) for sentences in (OPENING, LUNGS, HEART, PLEURA, BONES))
        yield f"FINDINGS: {findings}\nIMPRESSION: {one_of(IMPRESSION)}"


def train_tokenizer() -> bytes:
    """A Llama-like sentencepiece model (BPE with byte fallback) of the sentences and the prompts."""
    some = reports(random.Random(SEED))  # noqa: S311 -- no secret
    lines = [next(some) for _ in range(200)]
    lines += [prompt.render(text).replace("<image>", "") for text in (prompt.REPORT, prompt.DIFFERENTIAL)] * 20
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(line for text in lines for line in text.split("\n") if line),
        model_writer=model,
        model_type="bpe",
        vocab_size=_VOCABULARY,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def _tower_weights(source: torch.Generator) -> dict[str, Tensor]:
    """A random vision tower under its published (OpenCLIP) names. It runs, but nothing depends on it."""
    width, patch = _TOWER["width"], _TOWER["patch_size"]
    positions = (_TOWER["image_size"] // patch) ** 2 + 1

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source) * 0.05

    weights = {
        "class_embedding": noise(width),
        "conv1.weight": noise(width, 1, patch, patch),
        "positional_embedding": noise(positions, width),
        "proj": noise(width, 16),
    }
    norms = ["ln_pre", "ln_post"]
    for layer in range(_TOWER["layers"]):
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
    model = CxrLlavaModel(_config())
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
        features = model.mm_projector.bias.expand(1, (_TOWER["image_size"] // _TOWER["patch_size"]) ** 2, -1)
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
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith("vision_tower.")}
    weights |= _tower_weights(torch.Generator().manual_seed(SEED))
    rounded = {name: weights[name].detach().to(torch.bfloat16).contiguous() for name in sorted(weights)}
    shard = "model-00001-of-00001.safetensors"
    save_file(rounded, out / shard, metadata={"format": "pt"})
    (out / shard).chmod(0o644)  # safetensors writes for the owner only
    size = sum(value.numel() * 2 for value in rounded.values())
    _write_json(
        out / "model.safetensors.index.json",
        {"metadata": {"total_size": size}, "weight_map": dict.fromkeys(rounded, shard)},
    )
    (out / "tokenizer.model").write_bytes(tokenizer)
    specials = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    settings = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": False}
    _write_json(out / "tokenizer_config.json", specials | settings)
    _write_json(out / "config.json", _config())
    card = {"name": "wetread demonstration checkpoint", "version": VERSION, "manufacturer": "wetread", "notice": NOTICE}
    _write_json(out / "wetread.json", card)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


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
    tokenizer = train_tokenizer()
    words = prompt.LlamaWords(tokenizer, legacy=False, add_bos_token=True)
    write(out, train(words), tokenizer)
    _say(f"{out}: {sum(path.stat().st_size for path in out.iterdir())} bytes")
    return 0 if examine(out) else 1


if __name__ == "__main__":
    sys.exit(main())
