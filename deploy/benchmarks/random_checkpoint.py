"""Checkpoints of random weights in the published layout, of any size: what the engine is measured with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from agent.readers import demonstration_checkpoint

SEED = 7
INDEX = "model.safetensors.index.json"

# tower: width, layers, size, patch; language model: hidden, intermediate, layers, heads, vocabulary
SHAPES = {
    "tiny": ((64, 2, 96, 16), (96, 192, 2, 3, 700)),
    "demo": ((64, 2, 128, 32), (128, 256, 2, 4, 700)),
    "medium": ((256, 4, 256, 16), (1024, 2752, 8, 16, 4000)),
    "real": ((1024, 24, 512, 16), (4096, 11008, 32, 32, 32000)),
}


def is_written(shape: str, folder: Path) -> bool:
    """Whether this shape lies there whole; the index is written last. Raises SystemExit: something else does."""
    if not (folder / INDEX).is_file():
        return False
    found = json.loads((folder / "config.json").read_text())
    if found["llama"]["hidden_size"] != SHAPES[shape][1][0] or found["clip_vision_cfg"]["width"] != SHAPES[shape][0][0]:
        raise SystemExit(f"{folder} holds weights of another shape than {shape}")
    return True


def write_checkpoint(shape: str, folder: Path) -> None:
    """Random weights in the published layout, one shard for each layer; the words are the demonstration's."""
    folder.mkdir(parents=True, exist_ok=True)
    tower, llama = SHAPES[shape]
    demonstration = demonstration_checkpoint()
    config = json.loads((demonstration / "config.json").read_text())
    config["clip_vision_cfg"] = dict(zip(("width", "layers", "image_size", "patch_size"), tower, strict=True))
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    config["llama"] |= dict(zip(names, llama, strict=True))
    config["llama"] |= {"num_key_value_heads": llama[3], "max_position_embeddings": 4096}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_bytes((demonstration / "tokenizer_config.json").read_bytes())
    words = (demonstration / "tokenizer.model").read_bytes()
    (folder / "tokenizer.model").write_bytes(words + filling_words(700, llama[4]))
    index: dict[str, str] = {}
    # seven billion numbers take a processor more than a minute
    source = torch.Generator("cuda" if torch.cuda.is_available() else "cpu").manual_seed(SEED)
    parts = [first_tensors(tower, llama), *layer_tensors(tower, llama)]
    for number, tensors in enumerate(parts, 1):
        shard = f"model-{number:05}-of-{len(parts):05}.safetensors"
        save_file({name: random_tensor(name, size, source) for name, size in tensors.items()}, folder / shard)
        index |= dict.fromkeys(tensors, shard)
    (folder / INDEX).write_text(json.dumps({"weight_map": index}))


def filling_words(present: int, wanted: int) -> bytes:
    """Pieces that no text has, as protobuf fields: appended to a sentencepiece model they are part of it."""
    pieces = []
    for number in range(present, wanted):
        piece = f"\u2603{number}".encode()
        message = b"\x0a" + bytes([len(piece)]) + piece + b"\x15\x00\x00\x80\xc7"  # score -65536
        pieces.append(b"\x0a" + bytes([len(message)]) + message)
    return b"".join(pieces)


def random_tensor(name: str, size: tuple[int, ...], source: torch.Generator) -> Tensor:
    if len(size) == 1 and not name.endswith(("bias", "class_embedding")):
        return torch.ones(size, dtype=torch.bfloat16)
    return (torch.randn(size, generator=source, device=source.device) * 0.02).to("cpu", torch.bfloat16)


def first_tensors(tower: tuple[int, ...], llama: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    width, _, image, patch = tower
    hidden, _, _, _, vocabulary = llama
    norms = {f"vision_tower.{n}.{kind}": (width,) for n in ("ln_pre", "ln_post") for kind in ("weight", "bias")}
    return norms | {
        "vision_tower.class_embedding": (width,),
        "vision_tower.positional_embedding": ((image // patch) ** 2 + 1, width),
        "vision_tower.conv1.weight": (width, 1, patch, patch),
        "mm_projector.weight": (hidden, width),
        "mm_projector.bias": (hidden,),
        "llama.embed_tokens.weight": (vocabulary, hidden),
        "llama.norm.weight": (hidden,),
        "lm_head.weight": (vocabulary, hidden),
    }


def layer_tensors(tower: tuple[int, ...], llama: tuple[int, ...]) -> Iterator[dict[str, tuple[int, ...]]]:
    width, count = tower[:2]
    for i in range(count):
        sizes = {
            "ln_1": (width, width),
            "ln_2": (width, width),
            "attn.out_proj": (width, width),
            "mlp.c_fc": (4 * width, width),
            "mlp.c_proj": (width, 4 * width),
        }
        block = f"vision_tower.transformer.resblocks.{i}."
        tensors: dict[str, tuple[int, ...]] = {}
        for name, (rows, columns) in sizes.items():
            tensors[f"{block}{name}.weight"] = (rows,) if name.startswith("ln") else (rows, columns)
            tensors[f"{block}{name}.bias"] = (rows,)
        yield tensors | {f"{block}attn.in_proj_weight": (3 * width, width), f"{block}attn.in_proj_bias": (3 * width,)}
    hidden, inner, layers = llama[:3]
    for i in range(layers):
        block = f"llama.layers.{i}."
        attention = {f"{block}self_attn.{x}_proj.weight": (hidden, hidden) for x in "qkvo"}
        mlp: dict[str, tuple[int, ...]] = {f"{block}mlp.{x}_proj.weight": (inner, hidden) for x in ("gate", "up")}
        norms = {f"{block}{x}_layernorm.weight": (hidden,) for x in ("input", "post_attention")}
        yield attention | mlp | norms | {f"{block}mlp.down_proj.weight": (hidden, inner)}
