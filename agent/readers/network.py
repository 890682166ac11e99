"""The network of CXR-LLaVA-v2 under its published names, and how a checkpoint's weights come into it.

Native on transformers' CLIP and Llama; none of the code that lies beside the published weights is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from agent.readers import prompt, quantized
from agent.readers.checkpoint import Checkpoint, CheckpointError
from agent.readers.hyperparameters import HEAD_WIDTH
from agent.readers.weights.origin import mend

_QUANTIZED: Final = "llama.layers."  # tower, projector, embeddings and lm_head stay in bf16
_NOT_USED: Final = ("vision_tower.proj", "rotary_emb.inv_freq")  # pooled vector; computed from the configuration

# OpenCLIP's names and those of CLIPVisionModel ("pre_layrnorm" is transformers' own spelling).
_TOWER_NAMES: Final = (
    ("vision_tower.class_embedding", "vision_tower.embeddings.class_embedding"),
    ("vision_tower.positional_embedding", "vision_tower.embeddings.position_embedding.weight"),
    ("vision_tower.conv1.", "vision_tower.embeddings.patch_embedding."),
    ("vision_tower.ln_pre.", "vision_tower.pre_layrnorm."),
    ("vision_tower.ln_post.", "vision_tower.post_layernorm."),
    ("vision_tower.transformer.resblocks.", "vision_tower.encoder.layers."),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".attn.", ".self_attn."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
)


class CxrLlavaModel(nn.Module):
    """The four parts of the published model, under their published names."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        llama = LlamaConfig(**config["llama"])
        tower = _tower_config(config)
        self.vision_tower = CLIPVisionModel(tower)
        self.mm_projector = nn.Linear(tower.hidden_size, llama.hidden_size)
        self.llama = LlamaModel(llama)
        self.lm_head = nn.Linear(llama.hidden_size, llama.vocab_size, bias=False)

    def compute_buffers(self, device: torch.device) -> None:
        """Fill what no checkpoint stores: the positions of the tower and the frequencies of the rotary embedding."""
        embeddings = self.vision_tower.embeddings
        embeddings.register_buffer(
            "position_ids", torch.arange(embeddings.num_positions, device=device)[None], persistent=False
        )
        self.llama.rotary_emb = LlamaRotaryEmbedding(self.llama.config).to(device)

    def features(self, pixels: Tensor) -> Tensor:
        """Image tokens. pixels: (1, 1, size, size). Returns (1, patches, hidden size), row by row, without CLS."""
        projected: Tensor = self.mm_projector(self.patches(pixels))
        return projected

    def patches(self, pixels: Tensor) -> Tensor:
        """What the tower sees in each patch: (1, patches, width of the tower), row by row, without CLS."""
        tokens = self.vision_tower(pixels).last_hidden_state
        # CLIPVisionModel normalizes only the pooled token; this model was trained with all of them normalized.
        normalized: Tensor = self.vision_tower.post_layernorm(tokens)[:, 1:]
        return normalized

    def splice(self, ids: list[int], features: Tensor) -> Tensor:
        """Embed the words and put the image tokens where IMAGE_ID stands. Returns (1, positions, hidden size)."""
        at = ids.index(prompt.IMAGE_ID)
        words = torch.tensor([ids[:at] + ids[at + 1 :]], device=features.device)
        embedded = self.llama.embed_tokens(words)
        return torch.cat([embedded[:, :at], features.to(embedded.dtype), embedded[:, at:]], dim=1)

    def next_logits(self, embedded: Tensor) -> Tensor:
        """Logits (vocabulary,) float32 of the token after `embedded`, by transformers' own forward pass."""
        hidden = self.llama(inputs_embeds=embedded, use_cache=False)
        logits: Tensor = self.lm_head(hidden.last_hidden_state[0, -1])
        return logits.float()


def fill(model: CxrLlavaModel, checkpoint: Checkpoint, device: torch.device) -> None:
    """Read the weights one by one, so that memory holds one unquantized tensor at a time.

    model: on the meta device; afterwards on `device`, but for what `compute_buffers` computes. Raises CheckpointError.
    """
    missing = {name for name, _ in model.named_parameters()}
    for shard in checkpoint.shards:
        with checkpoint.unchanged():
            _fill_from(shard, missing, model, checkpoint, device)
    if missing:
        raise CheckpointError(
            f"{checkpoint.folder} lacks {len(missing)} weights, the first is {min(missing)}. {mend(checkpoint.folder)}"
        )


def _fill_from(
    shard: Path, missing: set[str], model: CxrLlavaModel, checkpoint: Checkpoint, device: torch.device
) -> None:
    """missing: what it places is taken out of it."""
    for key, pieces in _read(shard, grouped=checkpoint.quantized is not None):
        if key not in pieces:
            raise CheckpointError(f"{shard}: {min(pieces)} belongs to {key}, which is not there.")
        for name, part in _renamed(key, pieces[key]):
            if name not in missing:
                raise CheckpointError(f"{shard}: {key} is no weight of CXR-LLaVA-v2, or is there twice.")
            _place(model, name, {**pieces, name: part}, checkpoint, device)
            missing.remove(name)


def _read(shard: Path, *, grouped: bool) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Weight by weight; grouped: with all that belongs to a quantized one."""
    try:
        with safe_open(shard, framework="pt") as opened:
            keys = [key for key in opened.keys() if not key.endswith(_NOT_USED)]  # noqa: SIM118 -- not a mapping
            if grouped:
                yield from quantized.gathered(keys, opened.get_tensor)
            else:
                yield from ((key, {key: opened.get_tensor(key)}) for key in keys)
    except SafetensorError as error:
        raise CheckpointError(f"{shard} cannot be read: it is cut off or damaged. Copy it again.") from error


def _renamed(key: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    if not key.startswith("vision_tower."):
        return [(key, tensor)]
    for published, ours in _TOWER_NAMES:
        key = key.replace(published, ours)
    if ".in_proj_" not in key:
        return [(key, tensor)]
    return [(key.replace("in_proj_", f"{x}_proj."), part) for x, part in zip("qkv", tensor.chunk(3), strict=True)]


def _place(
    model: CxrLlavaModel, name: str, pieces: dict[str, Tensor], checkpoint: Checkpoint, device: torch.device
) -> None:
    owner_name, _, attribute = name.rpartition(".")
    owner = model.get_submodule(owner_name) if owner_name else model
    tensor, expected = pieces[name], tuple(getattr(owner, attribute).shape)
    quantize = checkpoint.precision in {"int8", "nf4"} and name.startswith(_QUANTIZED) and isinstance(owner, nn.Linear)
    if quantize and checkpoint.quantized is not None:
        _put(model, owner_name, _restored(pieces, name, (expected[0], expected[1]), checkpoint, device))
        return
    if tuple(tensor.shape) != expected:
        raise CheckpointError(
            f"{checkpoint.folder}: {name} has the shape {tuple(tensor.shape)}, config.json asks for {expected}. "
            f"Take config.json and the weights from one checkpoint."
        )
    if quantize:
        _put(model, owner_name, quantized.quantize(tensor, checkpoint.precision, device))
        return
    dtype = torch.float32 if checkpoint.precision == "fp32" else torch.bfloat16
    # the copy matters: a tensor that still maps the file would fail when somebody replaces the file
    setattr(owner, attribute, nn.Parameter(tensor.to(device=device, dtype=dtype, copy=True), requires_grad=False))


def _put(model: CxrLlavaModel, name: str, layer: nn.Module) -> None:
    parent_name, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent_name), child, layer)


def _restored(
    pieces: dict[str, Tensor], name: str, shape: tuple[int, int], checkpoint: Checkpoint, device: torch.device
) -> nn.Module:
    try:
        return quantized.restore(pieces, name, shape, device)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise CheckpointError(
            f"{checkpoint.folder}: {name} cannot be put together from what is quantized. {mend(checkpoint.folder)}"
        ) from error


def _tower_config(config: dict[str, Any]) -> CLIPVisionConfig:
    tower = config["clip_vision_cfg"]
    width = int(tower["width"])
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=int(width * tower.get("mlp_ratio", 4.0)),
        num_hidden_layers=tower["layers"],
        num_attention_heads=width // int(tower.get("head_width", HEAD_WIDTH)),
        num_channels=1,
        image_size=tower["image_size"],
        patch_size=tower["patch_size"],
        hidden_act="quick_gelu" if config["clip_quick_gelu"] else "gelu",
        layer_norm_eps=1e-5,
    )
