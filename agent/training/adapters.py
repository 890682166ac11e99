"""Which numbers learn in a stage, and how low-rank adapters become part of the weights again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from torch import Tensor

from agent.readers.checkpoint import Checkpoint
from agent.readers.network import CxrLlavaModel
from agent.training import layout
from agent.training.modules import ReportWriter, learn_only
from agent.training.settings import Finetune, Lora, Training

_LINEAR: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_ADAPTER: Final = "default"


def choose_what_learns(stage: str, finetune: Finetune, writer: ReportWriter) -> None:
    """align: the projection alone. finetune: the language model or its adapters, and what the settings add."""
    if stage == "align":
        learn_only(writer, "model.mm_projector.")
        return
    parts = [
        *(["model.mm_projector."] if finetune.train_projector else []),
        *(["model.vision_tower."] if finetune.train_tower else []),
    ]
    if finetune.lora is None:
        learn_only(writer, "model.llama.", "model.lm_head.", *parts)
        return
    _inject(writer.model, finetune.lora)
    learn_only(writer, *parts)
    for name, parameter in writer.named_parameters():
        if ".lora_" in name:
            parameter.requires_grad_(True)
            parameter.data = parameter.data.float()
    if parts:
        for name, parameter in writer.named_parameters():
            if name.startswith(tuple(parts)):
                parameter.data = parameter.data.float()


def _inject(model: CxrLlavaModel, lora: Lora) -> None:
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=list(_LINEAR))
    inject_adapter_in_model(config, model.llama)


def weights(model: CxrLlavaModel, settings: Training) -> Iterator[tuple[str, Tensor]]:
    """All weights under their published names, adapters added in.

    Where there are adapters the frozen weights come from the files that the run started from: they may be quantized in
    memory, and rounding twice would lose more than was learned.
    """
    adapted = {name: layer for name, layer in model.llama.named_modules() if isinstance(layer, LoraLayer)}
    if not adapted:
        yield from layout.published(model)
        return
    assert settings.start is not None
    learned = dict(_beside_adapters(model))
    for name, value in _stored(settings.start):
        layer = adapted.get(name.removeprefix("llama.").removesuffix(".weight"))
        if layer is not None:
            yield name, value.float() + _delta(layer).to(value.device)
        else:
            yield name, learned.get(name, value)


def _beside_adapters(model: CxrLlavaModel) -> Iterator[tuple[str, Tensor]]:
    yield from (
        (name, value) for name, value in layout.published(model) if name.startswith(("mm_projector.", "vision_tower."))
    )


def _delta(layer: Any) -> Tensor:
    """What the adapter adds to the weight: (rows, columns) float32."""
    up, down = layer.lora_B[_ADAPTER].weight, layer.lora_A[_ADAPTER].weight
    product: Tensor = up.detach().float() @ down.detach().float()
    return product.cpu() * float(layer.scaling[_ADAPTER])


def _stored(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for shard in Checkpoint.open(folder, "bf16").shards:
        with safe_open(shard, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118 -- not a mapping
                if not key.endswith("rotary_emb.inv_freq"):
                    yield key, opened.get_tensor(key)
