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
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.readers import guards, prompt
from agent.readers.checkpoint import Checkpoint
from agent.readers.engine.answer import Answer, Request
from agent.readers.engine.batch import Engine
from agent.readers.engine.errors import PromptTooLong, no_room_for_weights, prompt_too_long
from agent.readers.engine.limits import Limits, Load
from agent.readers.engine.llama import Cache, NativeLlama
from agent.readers.network import CxrLlavaModel, fill
from agent.readers.preprocess import to_pixels
from agent.readers.protocol import Framing, Generation, ReaderIdentity, Reading, Score, UnreadableText
from agent.readers.weights import memory, structure
from dicom_node.errors import ConfigurationError

_HANDS: Final = 2  # threads that prepare films; Pillow lets go of the interpreter's lock
_GREEDY: Final = Generation()
Film: TypeAlias = NDArray[np.uint8]
Check: TypeAlias = Callable[..., str]  # guards.check, or guards.check_answer


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
        fill(model, checkpoint, where)
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
