"""Checkpoints in the published layout: shards of safetensors with an index, tokenizer, configuration and card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from agent.readers.network import CxrLlavaModel
from agent.training.settings import Card, Shape

MEAN: Final = 0.5518136078431373  # of a film's grays from 0 to 1, as published
STD: Final = 0.3821719215686275
_USUAL_HEAD: Final = 64  # OpenCLIP's, which the published configuration does not name
_SHARD_BYTES: Final = 4 << 30
# From CLIPVisionModel's names to OpenCLIP's, which the published checkpoint has.
_TOWER_NAMES: Final = (
    ("vision_tower.embeddings.class_embedding", "vision_tower.class_embedding"),
    ("vision_tower.embeddings.position_embedding.weight", "vision_tower.positional_embedding"),
    ("vision_tower.embeddings.patch_embedding.", "vision_tower.conv1."),
    ("vision_tower.pre_layrnorm.", "vision_tower.ln_pre."),
    ("vision_tower.post_layernorm.", "vision_tower.ln_post."),
    ("vision_tower.encoder.layers.", "vision_tower.transformer.resblocks."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".self_attn.", ".attn."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
_TOKENIZER: Final = (
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("pad_token", "<unk>"),
    ("tokenizer_class", "LlamaTokenizer"),
    ("add_bos_token", True),
    ("add_eos_token", False),
    ("legacy", False),
)


def configuration(shape: Shape) -> dict[str, Any]:
    """config.json of a model of this shape, which starts from nothing."""
    heads = {} if shape.tower_head_width == _USUAL_HEAD else {"head_width": shape.tower_head_width}
    return {
        "architectures": ["CXRLLAVAModel"],
        "clip_embed_dim": 16,
        "clip_quick_gelu": False,
        "clip_vision_cfg": {
            **heads,
            "image_size": shape.image_size,
            "layers": shape.tower_layers,
            "patch_size": shape.patch_size,
            "width": shape.tower_width,
        },
        "image_aspect_ratio": "square",
        "image_preprocess_cfg": {"mean": MEAN, "std": STD},
        "llama": _llama(shape),
        "mm_projector_dim": shape.tower_width,
        "model_type": "CXR-LLAVA",
        "torch_dtype": "bfloat16",
    }


def _llama(shape: Shape) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": shape.llama_width,
        "initializer_range": 0.02,
        "intermediate_size": shape.llama_inner,
        "max_position_embeddings": shape.positions,
        "model_type": "llama",
        "num_attention_heads": shape.llama_heads,
        "num_hidden_layers": shape.llama_layers,
        "num_key_value_heads": shape.llama_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": shape.vocabulary,
    }


def published(model: CxrLlavaModel) -> Iterator[tuple[str, Tensor]]:
    """All weights under their published names; query, key and value of the tower as one tensor again."""
    state = {name: value.detach() for name, value in model.state_dict().items() if not name.endswith("position_ids")}
    for name, value in state.items():
        if ".q_proj." in name and name.startswith("vision_tower."):
            parts = [state[name.replace(".q_proj.", f".{one}_proj.")] for one in "qkv"]
            yield _renamed(name.replace(".q_proj.", ".in_proj_")), torch.cat(parts)
        elif not (name.startswith("vision_tower.") and (".k_proj." in name or ".v_proj." in name)):
            yield _renamed(name), value


def _renamed(name: str) -> str:
    if name.startswith("vision_tower."):
        for ours, theirs in _TOWER_NAMES:
            name = name.replace(ours, theirs)
    return name


def write(
    folder: Path,
    weights: Iterable[tuple[str, Tensor]],
    config: Mapping[str, Any],
    card: Card,
    *,
    tokenizer: bytes | Path,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a whole checkpoint; the reader loads it as it stands.

    weights: in the order in which they are stored, bf16 in the files. tokenizer: the model itself, or a folder whose
    tokenizer is copied. extra: more for the card, such as the sentences that are scored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    placed, size = _write_shards(folder, weights)
    write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": size}, "weight_map": placed},
    )
    if isinstance(tokenizer, Path):
        for name in ("tokenizer.model", "tokenizer_config.json"):
            shutil.copyfile(tokenizer / name, folder / name)
    else:
        (folder / "tokenizer.model").write_bytes(tokenizer)
        write_json(folder / "tokenizer_config.json", dict(_TOKENIZER))
    write_json(folder / "config.json", config)
    write_json(folder / "wetread.json", {**card.model_dump(), **(extra or {})})


def _write_shards(folder: Path, weights: Iterable[tuple[str, Tensor]]) -> tuple[dict[str, str], int]:
    """Fill one shard after the other, so that no more than one is in memory twice; names say how many there are."""
    shards: list[list[str]] = []
    batch: dict[str, Tensor] = {}
    held = size = 0

    def flush() -> None:
        nonlocal held
        save_file(batch, folder / f"part-{len(shards)}", metadata={"format": "pt"})
        shards.append(list(batch))
        batch.clear()
        held = 0

    for name, value in weights:
        rounded = value.to(torch.bfloat16).cpu().contiguous()
        bytes_of_it = rounded.numel() * rounded.element_size()
        if batch and held + bytes_of_it > _SHARD_BYTES:
            flush()
        batch[name] = rounded
        held, size = held + bytes_of_it, size + bytes_of_it
    flush()
    placed: dict[str, str] = {}
    for number, names in enumerate(shards):
        shard = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        (folder / f"part-{number}").replace(folder / shard)
        (folder / shard).chmod(0o644)  # safetensors writes for the owner only
        placed |= dict.fromkeys(names, shard)
    return placed, size


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write one object, keys in order, so that the same content gives the same bytes; whole, or not at all."""
    whole = path.with_name(f"{path.name}.{os.getpid()}")  # several processes may train together
    try:
        whole.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)  # of a full disk half is left
