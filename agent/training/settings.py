"""What a training run is told: one TOML file for all three stages. Unknown keys are errors."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.readers.protocol import Framing
from dicom_node.errors import ConfigurationError

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Section):
    """Which films. Paths are relative to the TOML file."""

    manifest: Path
    images: Path | None = None
    adults_only: bool = True  # CXR-LLaVA reads films of adults
    train: str = "train"  # names of splits; films of no split are in none
    validation: str = "validation"
    labels: tuple[str, ...] = ()  # of the encoder; empty: every label of which both kinds of films are known
    framing: Framing = "crop"


class Shape(_Section):
    """A model that starts from nothing. Sizes in pixels and numbers."""

    image_size: Count = 224
    patch_size: Count = 16
    tower_width: Count = 128
    tower_layers: Count = 6
    tower_head_width: Count = 32
    llama_width: Count = 128
    llama_layers: Count = 3
    llama_heads: Count = 4
    llama_inner: Count = 352
    positions: Count = 1024
    vocabulary: Count = 512

    @model_validator(mode="after")
    def _divides(self) -> Self:
        """What does not go into it evenly would be left over without a word, or be no transformer."""
        for whole, part, of in (
            ("image_size", "patch_size", self.image_size % self.patch_size),
            ("tower_width", "tower_head_width", self.tower_width % self.tower_head_width),
            ("llama_width", "twice llama_heads", self.llama_width % (2 * self.llama_heads)),  # halves are turned
        ):
            if of:
                raise ValueError(f"{whole} has to be a multiple of {part}")
        return self


class Stage(_Section):
    """What every stage is told. Epochs may be a fraction; a batch counts films on one device in one step."""

    from_nothing: ClassVar[float] = 1e-4  # learning rates that are taken where none is set
    from_start: ClassVar[float] = 1e-6

    epochs: Positive = 10.0
    batch: Count = 16
    accumulate: Count = 1
    learning_rate: Positive | None = None  # None: whatever suits a model from nothing, or one that knows something
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05  # share of all steps
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    precision: Literal["fp32", "bf16"] = "bf16"
    activation_checkpointing: bool = False
    augment: bool = True  # shifts, sizes and grays; never mirrored: the heart has a side
    seed: int = 20250601
    save_steps: Count | None = None  # None: five times in a run, and every 500 steps in a long one
    log_steps: Count = 10


class Encoder(Stage):
    """Stage 1: the vision tower learns labels."""

    from_nothing: ClassVar[float] = 5e-4
    solved: bool = False  # the tower is written by least squares, and only the head descends: for a few hundred films


class Align(Stage):
    """Stage 2: only the projection learns, from reports."""

    from_nothing: ClassVar[float] = 1e-3
    from_start: ClassVar[float] = 1e-3
    epochs: Positive = 1.0


class Lora(_Section):
    """Low-rank adapters on every linear layer of the language model (Hu et al. 2021)."""

    rank: Count = 16
    alpha: Count = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    quantize: Literal["", "nf4", "int8"] = ""  # the frozen layers; nf4 is QLoRA (Dettmers et al. 2023)


class Finetune(Stage):
    """Stage 3: the language model learns to answer; loss on the answer alone. Without `lora` all of it learns."""

    from_nothing: ClassVar[float] = 2e-3
    from_start: ClassVar[float] = 2e-4
    epochs: Positive = 3.0
    lora: Lora | None = None
    train_projector: bool = True
    train_tower: bool = False
    bear: Literal["", "nf4"] = ""  # every second step is of weights rounded so: a small model has to learn to bear it

    @model_validator(mode="after")
    def _quantized_in_bf16(self) -> Self:
        if self.lora is not None and self.lora.quantize and self.precision != "bf16":
            raise ValueError('quantized layers compute in bf16: set precision = "bf16" in [finetune]')
        return self

    @model_validator(mode="after")
    def _bears_whole(self) -> Self:
        if self.lora is not None and self.bear:
            raise ValueError(
                "bear rounds weights that learn, and [finetune.lora] freezes them: leave out one of the two"
            )
        return self


class Card(_Section):
    """How the result calls itself; stands in every draft."""

    name: str = "CXR-LLaVA, adapted"
    version: str = "1"
    manufacturer: str = ""
    notice: str = "ADAPTED MODEL - NOT VALIDATED"


class Training(_Section):
    """The whole file."""

    data: Data
    start: Path | None = None  # folder of a checkpoint; without it a model of `shape` starts from nothing
    shape: Shape = Shape()
    card: Card = Card()
    encoder: Encoder = Encoder()
    align: Align = Align()
    finetune: Finetune = Finetune()

    def course(self, stage: Literal["encoder", "align", "finetune"], *, anew: bool = False) -> Stage:
        """What one stage is told, with the learning rate that is taken where none is set.

        anew: what learns in it knows nothing, although there is a start.
        """
        told: Stage = getattr(self, stage)
        rate = told.learning_rate or (told.from_nothing if anew or self.start is None else told.from_start)
        return told.model_copy(update={"learning_rate": rate})


def read_settings(path: Path) -> Training:
    """Read and check the file; relative paths in it are made absolute. Raises ConfigurationError with every mistake."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not in UTF-8: {error}; save it as such") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        of_windows = "; write paths with / in place of \\" if "\\" in text else ""
        raise ConfigurationError(f"{path} is no TOML file: {error}{of_windows}") from error
    try:
        settings = Training.model_validate(values)
    except ValidationError as error:
        mistakes = "; ".join(_words(one["loc"], one["type"], one["msg"]) for one in error.errors())
        raise ConfigurationError(f"{path}: {mistakes}") from error
    folder = path.parent
    data = settings.data.model_copy(update=_absolute(folder, settings.data, "manifest", "images"))
    return settings.model_copy(update={"data": data, **_absolute(folder, settings, "start")})


def _words(place: tuple[int | str, ...], kind: str, words: str) -> str:
    told = "there is no such setting" if kind == "extra_forbidden" else words.removeprefix("Value error, ")
    return f"{'.'.join(map(str, place))}: {told}"


def _absolute(folder: Path, section: BaseModel, *names: str) -> dict[str, Any]:
    return {name: folder / value for name in names if (value := getattr(section, name)) is not None}
