"""CXR-LLaVA-v2 (Lee et al., Eur Radiol 2025, doi 10.1007/s00330-024-11339-6), native on transformers' CLIP and Llama.

Film -> OpenCLIP ViT (one channel) -> ln_post on every patch token -> one linear layer -> rows between the embedded
words of the prompt -> Llama 2 -> text. Loads the published checkpoint as it is; none of its code is run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from agent.readers import guards, prompt, quantized
from agent.readers.checkpoint import Checkpoint, CheckpointError
from agent.readers.engine.answer import Answer, Request
from agent.readers.engine.batch import Engine
from agent.readers.engine.errors import PromptTooLong, no_room_for_weights, prompt_too_long
from agent.readers.engine.limits import Limits, Load
from agent.readers.engine.llama import Cache, NativeLlama
from agent.readers.hyperparameters import HEAD_WIDTH
from agent.readers.preprocess import to_pixels
from agent.readers.protocol import Framing, Generation, ReaderIdentity, Reading, Score, UnreadableText
from agent.readers.weights import memory, structure
from agent.readers.weights.origin import mend
from dicom_node.errors import ConfigurationError

_QUANTIZED: Final = "llama.layers."  # tower, projector, embeddings and lm_head stay in bf16
_NOT_USED: Final = ("vision_tower.proj", "rotary_emb.inv_freq")  # pooled vector; computed from the configuration
_HANDS: Final = 2  # threads that prepare films; Pillow lets go of the interpreter's lock
_GREEDY: Final = Generation()
Film: TypeAlias = NDArray[np.uint8]
Check: TypeAlias = Callable[..., str]  # guards.check, or guards.check_answer

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


class CxrLlavaReader:
    """Reads frontal chest films, several at once where several threads ask or `submit` is used.

    Its engine rests until somebody waits for an answer, who then drives it; `serving` gives it a thread of its own,
    which is what a process with several readings at a time wants.
    """

    def __init__(
        self,
        model: CxrLlavaModel,
        checkpoint: Checkpoint,
        device: torch.device,
        *,
        limits: Limits | int = 8,
        seconds: float | None = None,
    ) -> None:
        self._model = model
        self._device = device
        self._config = checkpoint.config
        self._framing = checkpoint.framing
        self._words = checkpoint.words()
        self._pairs = checkpoint.score_pairs()
        self._identity = checkpoint.identity()  # last: it sees whether all before it was of the same files
        self._native = NativeLlama(model.llama, model.lm_head)
        usual = limits if isinstance(limits, Limits) else Limits(limits, checkpoint.positions, seconds=seconds)
        self._engine = Engine(self._native, self._embedded, usual)
        self._hands = ThreadPoolExecutor(_HANDS, thread_name_prefix="prepare")

    @property
    def identity(self) -> ReaderIdentity:
        """Which model, exactly."""
        return self._identity

    @property
    def score_pairs(self) -> Mapping[str, tuple[str, str]] | None:
        """For each label a sentence that says it and one that denies it, where the checkpoint's card names them."""
        return self._pairs

    @property
    def load(self) -> Load:
        """Studies in slots, studies that wait, slots."""
        return self._engine.load

    @property
    def slots(self) -> int:
        """How many studies are written at once."""
        return self._engine.load.slots

    @property
    def parts(self) -> CxrLlavaModel:
        """The loaded model: tower, projector, language model and head, for whoever wants to look inside."""
        return self._model

    def engine(self, limits: Limits, *, end: int = prompt.EOS_ID) -> Engine:
        """Another engine over the same weights. Only one of them may step at a time; for tests and measurements.

        end: the token that ends an answer; one that is not in the vocabulary lets it run to its limit.
        """
        return Engine(self._native, self._embedded, limits, end=end)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Decode in a thread of its own; at the end, what is still being read fails with Canceled."""
        self._engine.start()
        try:
            yield
        finally:
            self._engine.stop()

    def report(
        self,
        film: Film,
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
        *,
        urgent: bool = False,
    ) -> Reading:
        """Write a report. See Reader.report."""

        def tell(ids: Sequence[int]) -> None:
            progress(len(ids))

        return self._write(prompt.REPORT, film, generation, tell, guards.check, urgent=urgent)

    def ask(
        self,
        film: Film,
        question: str,
        generation: Generation,
        progress: Callable[[str], None] = lambda _words: None,
        *,
        seconds: float | None = None,
        urgent: bool = False,
    ) -> Reading:
        """Answer one question about a film, in as few words as may be. See Asks.ask."""

        def tell(ids: Sequence[int]) -> None:
            progress(self._words.text(ids).rstrip("\ufffd"))  # a character of which a part is still to come

        user, check = prompt.question(question), guards.check_answer
        try:
            return self._write(user, film, generation, tell, check, seconds=seconds, urgent=urgent)
        except PromptTooLong as error:
            raise UnreadableText("long-question", "The question is too long for the model. Make it shorter.") from error

    def submit(
        self,
        film: Film,
        user: str = prompt.REPORT,
        generation: Generation = _GREEDY,
        *,
        seconds: float | None = None,
        urgent: bool = False,
    ) -> Answer:
        """Put a reading in line and return at once; the film is prepared in another thread.

        film: (rows, columns) uint8. user: prompt.REPORT, prompt.DIFFERENTIAL or prompt.question(...). See Request.
        """
        pixels = self._hands.submit(self.pixels, film)
        return self._engine.submit(Request(tuple(self.prompt_ids(user)), pixels, generation, seconds, urgent))

    def stream(
        self,
        film: Film,
        user: str = prompt.REPORT,
        generation: Generation = _GREEDY,
        *,
        seconds: float | None = None,
        urgent: bool = False,
    ) -> Iterator[str]:
        """The raw answer piece by piece, as it is written. It has passed no guard: show it, but send it nowhere.

        Closing the iterator ends the reading. Otherwise like `submit`.
        """
        with closing(self.submit(film, user, generation, seconds=seconds, urgent=urgent).stream()) as tokens:
            yield from self._words.pieces(tokens)

    def text(self, ids: Sequence[int]) -> str:
        """The words of an answer's tokens."""
        return self._words.text(ids)

    def score(self, film: Film, continuation: str, user: str = prompt.REPORT, *, ends: bool = True) -> Score:
        """How likely the model would have answered `continuation`; `ends`: and nothing more."""
        ids = [*self._words.answer_ids(continuation), *([prompt.EOS_ID] if ends else [])]
        if not ids:
            raise ValueError("an empty continuation has no likelihood")
        with self._engine.pause():
            logits = self._answer_logits(film, ids, user)
            chosen = logits.log_softmax(dim=-1).gather(1, torch.tensor(ids, device=self._device)[:, None])[:, 0]
            return Score(tuple(ids), np.asarray(chosen.cpu().numpy(), dtype=np.float32))

    def answer_logits(self, film: Film, ids: Sequence[int], user: str = prompt.REPORT) -> NDArray[np.float32]:
        """What each token of a given answer was chosen from: logits (tokens, vocabulary).

        ids: at least one. Raises ValueError: none, or one that is no token; PromptTooLong.
        """
        with self._engine.pause():
            return np.asarray(self._answer_logits(film, ids, user).cpu().numpy(), dtype=np.float32)

    def embed(self, film: Film) -> NDArray[np.float32]:
        """The film as one vector, (width of the tower,): the mean of its patches, for search and small classifiers."""
        with self._engine.pause():
            patches = self._model.patches(torch.from_numpy(self.pixels(film)).to(self._device))
            return np.asarray(patches[0].float().mean(dim=0).cpu().numpy(), dtype=np.float32)

    def pixels(self, film: Film) -> NDArray[np.float32]:
        """The film as the vision tower takes it: (1, 1, size, size) float32."""
        normalization = self._config["image_preprocess_cfg"]
        size = int(self._config["clip_vision_cfg"]["image_size"])
        mean, std = float(normalization["mean"]), float(normalization["std"])
        return to_pixels(film, size=size, mean=mean, std=std, framing=self._framing)

    def prompt_ids(self, user: str) -> list[int]:
        """Ids of a whole prompt, IMAGE_ID at the film."""
        return self._words.prompt_ids(user)

    @property
    def features_count(self) -> int:
        """How many positions a film takes: its patches."""
        tower = self._config["clip_vision_cfg"]
        return int(int(tower["image_size"]) // int(tower["patch_size"])) ** 2

    def features(self, film: Film) -> NDArray[np.float32]:
        """Projected image tokens: (1, patches, hidden size)."""
        with self._engine.pause():
            return np.asarray(self._features(self.pixels(film)).float().cpu().numpy(), dtype=np.float32)

    def next_logits(self, film: Film, user: str) -> NDArray[np.float32]:
        """Logits (vocabulary,) of the first token of the answer."""
        with self._engine.pause():
            embedded = self._embedded(self.prompt_ids(user), self.pixels(film))
            hidden = self._native.prefill(Cache(self._native, 1, embedded.shape[0]), 0, embedded, 0)
            return np.asarray(self._native.logits(hidden)[0].cpu().numpy(), dtype=np.float32)

    def token_ids(
        self,
        film: Film,
        user: str,
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
    ) -> list[int]:
        """The raw answer. It ends with EOS_ID unless `max_new_tokens` or the room for positions was used up.

        Raises EngineError, and UnreadableText where the model computes no numbers.
        """
        request = Request(tuple(self.prompt_ids(user)), self.pixels(film), generation)
        return self._engine.submit(request).result(progress)

    def _write(
        self,
        user: str,
        film: Film,
        generation: Generation,
        tell: Callable[[Sequence[int]], None],
        check: Check,
        *,
        seconds: float | None = None,
        urgent: bool,
    ) -> Reading:
        """tell: called with the tokens so far, at least once a second."""
        started = time.monotonic()
        request = Request(tuple(self.prompt_ids(user)), self.pixels(film), generation, seconds, urgent)
        answer = self._engine.submit(request)
        ids = answer.result(lambda count: tell(answer.ids[:count]))
        if answer.ending == "seconds":
            raise UnreadableText("reading-timeout", "The text was not done within the limit of seconds.")
        text = check(self._words.text(ids), ended=answer.ending == "eos")
        return Reading(text, generation, len(ids), time.monotonic() - started)

    def _answer_logits(self, film: Film, ids: Sequence[int], user: str) -> Tensor:
        if not ids:
            raise ValueError("an answer has at least one token")
        before = self._embedded(self.prompt_ids(user), self.pixels(film))
        if before.shape[0] + len(ids) > self._native.positions:
            raise prompt_too_long(before.shape[0] + len(ids), self._native.positions)
        embedded = torch.cat([before, self._native.embed(self._known(ids))])
        cache = Cache(self._native, 1, embedded.shape[0])
        hidden = self._native.prefill(cache, 0, embedded, 0, len(ids) + 1)
        return self._native.logits(hidden[:-1])

    def _features(self, pixels: NDArray[np.float32]) -> Tensor:
        return self._model.features(torch.from_numpy(pixels).to(self._device))

    def _embedded(self, ids: Sequence[int], pixels: NDArray[np.float32]) -> Tensor:
        words = [token for token in ids if token != prompt.IMAGE_ID]
        if len(words) != len(ids) - 1:
            raise ValueError(f"a prompt holds IMAGE_ID once, not {len(ids) - len(words)} times")
        self._known(words)
        return self._model.splice(list(ids), self._features(pixels))[0]

    def _known(self, ids: Sequence[int]) -> Sequence[int]:
        """Tokens that the model has. A GPU that looks for another one computes nothing any more for anybody."""
        for token in ids:
            if not 0 <= token < self._native.vocabulary:
                raise ValueError(f"{token} is no token of this model, which has {self._native.vocabulary}")
        return ids


def load(
    folder: Path,
    precision: str,
    *,
    device: str = "auto",
    limits: Limits | int = 8,
    framing: Framing = "crop",
    seconds: float | None = None,
    memory_gibibytes: float | None = None,
) -> CxrLlavaReader:
    """Load a checkpoint of the published layout.

    precision: fp32, bf16, int8 or nf4; the last two quantize only the layers of the language model. auto: the largest
    of the last three for which memory is free now.
    device: "auto" takes the first CUDA device where there is one, else the processor.
    limits: how many studies at once, and how long each may be; a number of studies lets each be as long as a report
    and take `seconds`, None for no limit.
    framing: crop, as published, or pad, which is another digest.
    memory_gibibytes: of a GPU, for this process; None for all.

    Raises CheckpointError, which names the file and what to do; DeviceFull.
    """
    where = place(device)
    if memory_gibibytes is not None and where.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(min(1.0, memory_gibibytes * 2**30 / _memory(where)[1]), where)
    if precision == "auto":
        precision = _largest(Checkpoint.open(folder, None), limits, where, memory_gibibytes)
    checkpoint = Checkpoint.open(folder, precision, framing)
    with torch.device("meta"):  # names and shapes only: a second copy of 14 GB would not fit
        model = CxrLlavaModel(checkpoint.config)
    if where.type == "cuda" and precision == "fp32":
        torch.backends.cudnn.allow_tf32 = False  # by default 10 bits of each value are multiplied in the first layer
    try:
        _fill(model, checkpoint, where)
        model.compute_buffers(where)
        reader = CxrLlavaReader(model.eval(), checkpoint, where, limits=limits, seconds=seconds)
    except torch.OutOfMemoryError as error:
        raise no_room_for_weights(precision) from error
    if where.type == "cuda":
        torch.cuda.empty_cache()  # what was read before it was quantized or joined; others may need it
    return reader


def place(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means here. Raises ConfigurationError: there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigurationError(
            f"The device {name!r} is configured, but torch sees no CUDA device. Use 'auto' or 'cpu'."
        )
    return torch.device("cuda:0" if name == "cuda" else name)  # torch limits the memory of a numbered device only


def _largest(checkpoint: Checkpoint, limits: Limits | int, where: torch.device, gibibytes: float | None) -> str:
    """The precision that `auto` means here and now."""
    if checkpoint.quantized is not None:
        return checkpoint.precision
    slots, positions = (limits, checkpoint.positions) if isinstance(limits, int) else (limits.slots, limits.positions)
    free = min(_memory(where)[0], math.inf if gibibytes is None else gibibytes * 2**30)
    found = structure.read(checkpoint.folder, checkpoint.shards)
    # on a processor int8 takes several times as long as the other two (measured)
    precisions = ("bf16", "int8", "nf4") if where.type == "cuda" else ("bf16", "nf4")
    return memory.largest(found, checkpoint.config, precisions, slots * positions, free)


def _memory(where: torch.device) -> tuple[int, int]:
    """Bytes that are free, and all of them."""
    if where.type == "cuda":
        return torch.cuda.mem_get_info(where)
    lines = (line.split() for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    kibibytes = {words[0]: int(words[1]) for words in lines}
    return kibibytes["MemAvailable:"] << 10, kibibytes["MemTotal:"] << 10


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


def _fill(model: CxrLlavaModel, checkpoint: Checkpoint, device: torch.device) -> None:
    """Read the weights one by one, so that memory holds one unquantized tensor at a time."""
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
