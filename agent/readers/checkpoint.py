"""The files of a CXR-LLaVA checkpoint: what must be there, what they say, and the digest that names them. No torch.

The published one is ECOFRI/CXR-LLAVA-v2 on the Hugging Face hub; only its data files are read, never its code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from agent.readers import hyperparameters, prompt
from agent.readers.preprocess import RESAMPLE
from agent.readers.protocol import Framing, Generation, ReaderIdentity
from agent.readers.weights import origin, prequantized, stamps
from agent.readers.weights.origin import mend
from dicom_node.errors import ConfigurationError

NAME: Final = "ECOFRI/CXR-LLAVA-v2"
REPOSITORY: Final = f"https://huggingface.co/{NAME}"
REVISION: Final = "b2224786bb90d54b1e1291171866706cfbb44e2b"
PRECISIONS: Final = ("fp32", "bf16", "int8", "nf4")

# Keys without which a newer library would silently assume another value than the model was trained with.
_CONFIG_KEYS: Final = (
    "clip_quick_gelu",
    "clip_vision_cfg.image_size",
    "clip_vision_cfg.layers",
    "clip_vision_cfg.patch_size",
    "clip_vision_cfg.width",
    "image_preprocess_cfg.mean",
    "image_preprocess_cfg.std",
    "llama.hidden_size",
    "llama.intermediate_size",
    "llama.max_position_embeddings",
    "llama.num_attention_heads",
    "llama.num_hidden_layers",
    "llama.num_key_value_heads",
    "llama.rms_norm_eps",
    "llama.vocab_size",
)
_QUESTION: Final = 128  # tokens that a question may have beyond those of the report's prompt
_AGAIN: Final = "wait until nobody brings a model there, then start again"
_TOKENIZER_KEYS: Final = ("add_bos_token", "legacy")
_HASHED: Final = (
    "config.json",
    "model.safetensors.index.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "wetread.json",
    prequantized.QUANTIZED,
)


class CheckpointError(ConfigurationError):
    """A file of the model is missing, or says something that cannot be used."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with the published layout, checked but with no weight read."""

    folder: Path
    precision: str
    config: dict[str, Any]
    tokenizer: dict[str, Any]
    shards: tuple[Path, ...]
    framing: Framing = "crop"
    quantized: prequantized.Card | None = None  # where the layers lie quantized in the files
    stamps: stamps.Stamps = field(default_factory=dict)  # of the files, before any of them was read

    @classmethod
    def open(cls, folder: Path, precision: str | None, framing: Framing = "crop") -> Checkpoint:
        """Look at every file but the weights. precision: None for that in which the files are.

        Raises CheckpointError, which names file, key and what to do.
        """
        try:
            return cls._open(folder, precision, framing)
        except FileNotFoundError as error:  # each was there a moment before
            raise CheckpointError(f"{error.filename} went away while the model was looked at: {_AGAIN}") from error

    @classmethod
    def _open(cls, folder: Path, precision: str | None, framing: Framing) -> Checkpoint:
        seen = stamps.read(folder)
        card = prequantized.read(folder)
        if precision is None:
            precision = card.precision if card else "bf16"
        if precision not in PRECISIONS:
            raise CheckpointError(f"Precision {precision!r} is unknown. Known: {', '.join(PRECISIONS)}.")
        if not folder.is_dir():
            raise CheckpointError(origin.absent(folder))
        if card is not None and card.precision != precision:
            raise CheckpointError(
                f"{folder} holds the model quantized as {card.precision}, and {precision} is wanted. Set "
                f'reader.precision = "{card.precision}", or name the folder of the published model.'
            )
        run = folder / "model"
        if not (folder / "config.json").exists() and (run / "config.json").is_file():
            raise CheckpointError(f"{folder} is the folder of a training run; its model is {run}")
        config = _read_object(folder / "config.json", _CONFIG_KEYS)
        faults = "; ".join(map(str, hyperparameters.faults(config)))
        if faults:
            raise CheckpointError(f"{folder / 'config.json'}: {faults}. {mend(folder)}")
        tokenizer = _read_object(folder / "tokenizer_config.json", _TOKENIZER_KEYS)
        for key in _TOKENIZER_KEYS:
            if not isinstance(tokenizer[key], bool):
                raise CheckpointError(f"{folder / 'tokenizer_config.json'}: {key} is no true or false. {mend(folder)}")
        _must_exist(folder / "tokenizer.model")
        return cls(folder, precision, config, tokenizer, _find_shards(folder), framing, card, seen)

    def words(self) -> prompt.LlamaWords:
        """The tokenizer of this checkpoint.

        Raises CheckpointError: its size is not the model's, or the model has no room for film and prompt.
        """
        with self.unchanged():
            content = (self.folder / "tokenizer.model").read_bytes()
        try:
            words = prompt.LlamaWords(
                content,
                legacy=self.tokenizer["legacy"],
                add_bos_token=self.tokenizer["add_bos_token"],
            )
        except RuntimeError as error:  # what sentencepiece raises for everything
            raise CheckpointError(
                f"{self.folder / 'tokenizer.model'} is no sentencepiece model. {mend(self.folder)}"
            ) from error
        expected = self.config["llama"]["vocab_size"]
        if words.size != expected:
            raise CheckpointError(
                f"{self.folder / 'tokenizer.model'} has {words.size} tokens, config.json says {expected}: "
                f"the files belong to different models. Take both from one checkpoint."
            )
        taken, room = self._taken(words), self.config["llama"]["max_position_embeddings"]
        if taken >= room:
            raise CheckpointError(
                f"{self.folder / 'config.json'}: llama.max_position_embeddings is {room}, not more than the {taken} "
                f"positions that a film and the words of the request take. {mend(self.folder)}"
            )
        return words

    def _taken(self, words: prompt.LlamaWords) -> int:
        return hyperparameters.patches(self.config) + len(words.prompt_ids(prompt.REPORT)) - 1  # the film's own sign

    @property
    def positions(self) -> int:
        """How many positions are kept for a study: film, prompt or a longer question, the longest answer."""
        return self._taken(self.words()) + 1 + _QUESTION + Generation().max_new_tokens

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """What is read meanwhile is of the files that `open` saw.

        Raises CheckpointError: they are others now, so that numbers, words and digest could be of two models.
        """
        try:
            yield
        except (ConfigurationError, OSError) as error:
            self._compare_with_stamps(error)
            raise
        self._compare_with_stamps(None)

    def _compare_with_stamps(self, error: Exception | None) -> None:
        others = stamps.differing(self.stamps, stamps.read(self.folder))
        if others:
            raise CheckpointError(
                f"{self.folder} changed while it was read ({others[0]}), so that what was read could be of two models. "
                f"Nothing is done with it: {_AGAIN}"
            ) from error

    def identity(self) -> ReaderIdentity:
        """Name the model; reads every byte of it once, for the digest. Raises CheckpointError."""
        with self.unchanged():
            return self._identity()

    def name(self) -> str:
        """As its card says, in nearly no time. Raises CheckpointError."""
        return str(self._card().get("name", "CXR-LLaVA-v2"))

    def _card(self) -> dict[str, Any]:
        card_file = self.folder / origin.CARD
        return _read_object(card_file, ("name", "version", "manufacturer", "notice")) if card_file.exists() else {}

    def _identity(self) -> ReaderIdentity:
        card = self._card()
        return ReaderIdentity(
            name=self.name(),
            version=str(card.get("version", REVISION)),
            manufacturer=str(card.get("manufacturer", "ECOFRI")),
            precision=self.precision,
            digest=self._digest(),
            notice=str(card.get("notice", "")),
        )

    def score_pairs(self) -> Mapping[str, tuple[str, str]] | None:
        """The sentences whose likelihoods are the model's scores, where its card names them. Raises CheckpointError."""
        card_file = self.folder / "wetread.json"
        pairs = _read_object(card_file, ()).get("score_pairs") if card_file.exists() else None
        if pairs is None:
            return None
        try:
            return MappingProxyType({str(label): (str(says), str(denies)) for label, (says, denies) in pairs.items()})
        except (AttributeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f'{card_file}: score_pairs is no table of labels, each with ["says it", "denies it"].'
            ) from error

    def measure(self) -> Mapping[str, str]:
        """SHA-256 of every file that decides what the model writes. Raises CheckpointError: not as it was installed."""
        files = [path for name in _HASHED if (path := self.folder / name).exists()]
        digests = {path.name: _file_digest(path) for path in (*files, *self.shards)}
        self._compare_with_origin(digests)
        return digests

    def _digest(self) -> str:
        """SHA-256 over the files and over everything else that decides what the model writes.

        A model that was quantized beforehand has the digest of the one that it was made of: the numbers are the same.
        """
        measured = self.measure()
        digests = self.quantized.sources if self.quantized else measured
        preprocessing = RESAMPLE.name if self.framing == "crop" else f"{RESAMPLE.name}, {self.framing}"
        return digest_of(digests, self.precision, prompt.render(prompt.REPORT), preprocessing, Generation())

    def _compare_with_origin(self, digests: Mapping[str, str]) -> None:
        """Where it is known what the files must be, a changed one is an error of the worker that starts with it."""
        known = origin.read(self.folder)
        if known is None and self.quantized is not None:
            raise CheckpointError(
                f"{self.folder / origin.ORIGIN} is missing, so nothing proves of what the numbers were made. "
                f"{prequantized.MEND} {self.precision}"
            )
        if known is None:
            return
        for name, digest in digests.items():
            expected = known.files.get(name)
            if expected is None or expected.sha256 != digest:
                raise CheckpointError(
                    f"{self.folder / name} is not the file that was installed: {origin.ORIGIN} names another SHA-256. "
                    f"{mend(self.folder)}"
                )


def digest_of(
    files: Mapping[str, str], precision: str, rendered_prompt: str, preprocessing: str, generation: Generation
) -> str:
    """SHA-256 that names a model as it writes drafts.

    files: SHA-256 of weights, tokenizer and configuration; the last holds size, mean and deviation of the film.
    rendered_prompt: all words of the request. preprocessing: how a film is scaled. Mode and seed of a generation are of
    one reading and stand in its draft; the limits of sampling are the model's.
    """
    settings = asdict(generation)
    for of_one_reading in ("mode", "seed"):
        del settings[of_one_reading]
    parts = {
        "files": dict(files),
        "precision": precision,
        "prompt": rendered_prompt,
        "resample": preprocessing,
        "generation": settings,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing. {mend(path.parent)}")


def _read_object(path: Path, required: tuple[str, ...]) -> dict[str, Any]:
    _must_exist(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON file. {mend(path.parent)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object. {mend(path.parent)}")
    for key in required:
        value: Any = content
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            raise CheckpointError(
                f"{path} lacks the key {key}. Nothing is assumed in its place: take the file unchanged from the "
                f"published checkpoint ({REPOSITORY}, revision {REVISION}), or add the value of its own training."
            )
    return content


def _find_shards(folder: Path) -> tuple[Path, ...]:
    index = folder / "model.safetensors.index.json"
    if not index.exists() and (folder / "model.safetensors").is_file():
        return (folder / "model.safetensors",)
    weights = _read_object(index, ("weight_map",))["weight_map"]
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and origin.is_data(name) for name in weights.values()
    ):
        raise CheckpointError(f"{index} names no shards. {mend(folder)}")
    shards = tuple(folder / name for name in sorted(set(weights.values())))
    for shard in shards:
        _must_exist(shard)
    return shards
