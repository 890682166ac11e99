"""CXR-LLaVA-v2 (Lee et al., Eur Radiol 2025, doi 10.1007/s00330-024-11339-6), native on transformers' CLIP and Llama.

Film -> OpenCLIP ViT (one channel) -> ln_post on every patch token -> one linear layer -> rows between the embedded
words of the prompt -> Llama 2 -> text. Loads the published checkpoint as it is; none of its code is run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from bitsandbytes.nn.modules import Int8Params, Linear4bit, Linear8bitLt, Params4bit
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, DynamicCache, LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from agent.readers import guards, prompt
from agent.readers.checkpoint import REPOSITORY, Checkpoint, CheckpointError
from agent.readers.preprocess import to_pixels
from agent.readers.protocol import Generation, ReaderIdentity, Reading
from dicom_node.errors import ConfigurationError

_QUANTIZED: Final = "llama.layers."  # tower, projector, embeddings and lm_head stay in bf16
_NOT_USED: Final = ("vision_tower.proj", "rotary_emb.inv_freq")  # pooled vector; computed from the configuration
_HEAD_WIDTH: Final = 64  # OpenCLIP's default, which the published configuration relies on

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
        tokens = self.vision_tower(pixels).last_hidden_state
        # CLIPVisionModel normalizes only the pooled token; this model was trained with all of them normalized.
        tokens = self.vision_tower.post_layernorm(tokens)[:, 1:]
        projected: Tensor = self.mm_projector(tokens)
        return projected

    def splice(self, ids: list[int], features: Tensor) -> Tensor:
        """Embed the words and put the image tokens where IMAGE_ID stands. Returns (1, positions, hidden size)."""
        at = ids.index(prompt.IMAGE_ID)
        words = torch.tensor([ids[:at] + ids[at + 1 :]], device=features.device)
        embedded = self.llama.embed_tokens(words)
        return torch.cat([embedded[:, :at], features.to(embedded.dtype), embedded[:, at:]], dim=1)

    def next_logits(self, embedded: Tensor, cache: DynamicCache | None = None) -> Tensor:
        """Logits (vocabulary,) float32 of the token after `embedded`, which follows what the cache holds."""
        hidden = self.llama(inputs_embeds=embedded, past_key_values=cache, use_cache=cache is not None)
        logits: Tensor = self.lm_head(hidden.last_hidden_state[0, -1])
        return logits.float()

    def tokens(self, embedded: Tensor, choose: Callable[[Tensor], int], limit: int) -> Iterator[int]:
        """Token after token, the end token included; stops behind it or after `limit` tokens."""
        cache = DynamicCache(config=self.llama.config)
        for _ in range(limit):
            chosen = choose(self.next_logits(embedded, cache))
            yield chosen
            if chosen == prompt.EOS_ID:
                return
            embedded = self.llama.embed_tokens(torch.tensor([[chosen]], device=embedded.device))


class CxrLlavaReader:
    """Reads one frontal chest film at a time. Not for several threads at once."""

    def __init__(self, model: CxrLlavaModel, checkpoint: Checkpoint, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._config = checkpoint.config
        self._words = checkpoint.words()
        self._identity = checkpoint.identity()

    @property
    def identity(self) -> ReaderIdentity:
        """Which model, exactly."""
        return self._identity

    def report(
        self, film: NDArray[np.uint8], generation: Generation, progress: Callable[[int], None] = lambda _tokens: None
    ) -> Reading:
        """Write a report. See Reader.report."""
        return self._write(prompt.REPORT, film, generation, progress)

    def ask(
        self,
        film: NDArray[np.uint8],
        question: str,
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
    ) -> Reading:
        """Answer one question about a film; otherwise like `report`."""
        return self._write(prompt.question(question), film, generation, progress)

    def pixels(self, film: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The film as the vision tower takes it: (1, 1, size, size) float32."""
        normalization = self._config["image_preprocess_cfg"]
        size = int(self._config["clip_vision_cfg"]["image_size"])
        return to_pixels(film, size=size, mean=float(normalization["mean"]), std=float(normalization["std"]))

    def prompt_ids(self, user: str) -> list[int]:
        """Ids of a whole prompt, IMAGE_ID at the film."""
        return self._words.prompt_ids(user)

    def features(self, film: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Projected image tokens: (1, patches, hidden size)."""
        with torch.inference_mode():
            return np.asarray(self._features(film).float().cpu().numpy(), dtype=np.float32)

    def next_logits(self, film: NDArray[np.uint8], user: str) -> NDArray[np.float32]:
        """Logits (vocabulary,) of the first token of the answer."""
        with torch.inference_mode():
            embedded = self._model.splice(self.prompt_ids(user), self._features(film))
            return np.asarray(self._model.next_logits(embedded).cpu().numpy(), dtype=np.float32)

    def token_ids(
        self,
        film: NDArray[np.uint8],
        user: str,
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
    ) -> list[int]:
        """The raw answer. It ends with EOS_ID unless `max_new_tokens` or the room for positions was used up."""
        ids: list[int] = []
        with torch.inference_mode():
            embedded = self._model.splice(self.prompt_ids(user), self._features(film))
            room = int(self._config["llama"]["max_position_embeddings"]) - embedded.shape[1]
            limit = min(generation.max_new_tokens, room)
            for token in self._model.tokens(embedded, _chooser(generation), limit):
                ids.append(token)
                progress(len(ids))
        return ids

    def _write(
        self, user: str, film: NDArray[np.uint8], generation: Generation, progress: Callable[[int], None]
    ) -> Reading:
        started = time.monotonic()
        ids = self.token_ids(film, user, generation, progress)
        text = guards.check(self._words.text(ids), ended=ids[-1:] == [prompt.EOS_ID])
        return Reading(text, generation, len(ids), time.monotonic() - started)

    def _features(self, film: NDArray[np.uint8]) -> Tensor:
        return self._model.features(torch.from_numpy(self.pixels(film)).to(self._device))


def load(folder: Path, precision: str, *, device: str = "auto") -> CxrLlavaReader:
    """Load a checkpoint of the published layout.

    precision: fp32, bf16, int8 or nf4; the last two quantize only the layers of the language model.
    device: "auto" takes the first CUDA device where there is one, else the processor.

    Raises CheckpointError, which names the file and what to do.
    """
    checkpoint = Checkpoint.open(folder, precision)
    place = _device(device)
    with torch.device("meta"):  # names and shapes only: a second copy of 14 GB would not fit
        model = CxrLlavaModel(checkpoint.config)
    _fill(model, checkpoint, place)
    model.compute_buffers(place)
    return CxrLlavaReader(model.eval(), checkpoint, place)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigurationError(
            f"The device {name!r} is configured, but torch sees no CUDA device. Use 'auto' or 'cpu'."
        )
    return torch.device(name)


def _tower_config(config: dict[str, Any]) -> CLIPVisionConfig:
    tower = config["clip_vision_cfg"]
    width = int(tower["width"])
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=int(width * tower.get("mlp_ratio", 4.0)),
        num_hidden_layers=tower["layers"],
        num_attention_heads=width // int(tower.get("head_width", _HEAD_WIDTH)),
        num_channels=1,
        image_size=tower["image_size"],
        patch_size=tower["patch_size"],
        hidden_act="quick_gelu" if config["clip_quick_gelu"] else "gelu",
        layer_norm_eps=1e-5,
    )


def _fill(model: CxrLlavaModel, checkpoint: Checkpoint, device: torch.device) -> None:
    """Read the weights one by one, so that memory holds one unquantized tensor at a time."""
    missing = {name for name, _ in model.named_parameters()}
    for shard in checkpoint.shards:
        for key, tensor in _read(shard):
            for name, part in _renamed(key, tensor):
                if name not in missing:
                    raise CheckpointError(f"{shard}: {key} is no weight of CXR-LLaVA-v2, or is there twice.")
                _place(model, name, part, checkpoint, device)
                missing.remove(name)
    if missing:
        raise CheckpointError(
            f"{checkpoint.folder} lacks {len(missing)} weights, the first is {min(missing)}. "
            f"Copy the *.safetensors files and their index again from {REPOSITORY}."
        )


def _read(shard: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(shard, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118 -- not a mapping
                if not key.endswith(_NOT_USED):
                    yield key, opened.get_tensor(key)
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


def _place(model: CxrLlavaModel, name: str, tensor: Tensor, checkpoint: Checkpoint, device: torch.device) -> None:
    owner_name, _, attribute = name.rpartition(".")
    owner = model.get_submodule(owner_name) if owner_name else model
    expected = tuple(getattr(owner, attribute).shape)
    if tuple(tensor.shape) != expected:
        raise CheckpointError(
            f"{checkpoint.folder}: {name} has the shape {tuple(tensor.shape)}, config.json asks for {expected}. "
            f"Take config.json and the weights from one checkpoint."
        )
    quantize = checkpoint.precision in {"int8", "nf4"} and name.startswith(_QUANTIZED) and isinstance(owner, nn.Linear)
    if quantize:
        parent_name, _, child = owner_name.rpartition(".")
        setattr(model.get_submodule(parent_name), child, _quantized(tensor, checkpoint.precision, device))
        return
    dtype = torch.float32 if checkpoint.precision == "fp32" else torch.bfloat16
    # the copy matters: a tensor that still maps the file would fail when somebody replaces the file
    setattr(owner, attribute, nn.Parameter(tensor.to(device=device, dtype=dtype, copy=True), requires_grad=False))


def _quantized(tensor: Tensor, precision: str, device: torch.device) -> nn.Module:
    """A linear layer whose weight is quantized: moving it to its device is what does that."""
    rows, columns = tensor.shape
    layer: Any
    with torch.device("meta"):
        if precision == "int8":
            layer = Linear8bitLt(columns, rows, bias=False, has_fp16_weights=False, threshold=6.0)
        else:  # with QLoRA's double quantization
            layer = Linear4bit(  # type: ignore[no-untyped-call]
                columns, rows, bias=False, compute_dtype=torch.bfloat16, compress_statistics=True, quant_type="nf4"
            )
    if precision == "int8":
        weight: Any = Int8Params(tensor.contiguous(), requires_grad=False, has_fp16_weights=False)
    else:
        values = tensor.to(torch.bfloat16).contiguous()
        weight = Params4bit(values, requires_grad=False, compress_statistics=True, quant_type="nf4", module=layer)
        # bitsandbytes repacks weights for such processors and fails on shapes that its blocks do not fill
        layer.support_avx512bf16_for_cpu &= rows % 32 == 0 and columns % weight.blocksize == 0
    layer.weight = weight.to(device)
    return cast("nn.Module", layer)


def _chooser(generation: Generation) -> Callable[[Tensor], int]:
    """How the next token is taken from logits (vocabulary,)."""
    if generation.mode == "greedy":
        return lambda logits: int(logits.argmax())
    if generation.seed is None:
        raise ValueError("sampling needs a seed, or a reading could not be repeated")
    source = torch.Generator().manual_seed(generation.seed)  # on the processor: one seed, one sequence, on any device
    return lambda logits: _sample(logits.cpu(), generation, source)


def _sample(logits: Tensor, generation: Generation, source: torch.Generator) -> int:
    """Temperature, then top-k, then top-p: the order of transformers."""
    values, tokens = (logits / generation.temperature).sort(descending=True)
    values, tokens = values[: generation.top_k], tokens[: generation.top_k]
    probabilities = values.softmax(dim=0)
    before = probabilities.cumsum(dim=0) - probabilities
    probabilities = probabilities.masked_fill(before >= generation.top_p, 0.0)
    return int(tokens[torch.multinomial(probabilities, 1, generator=source)])
