"""The trainer of transformers as a course asks for it: how often it saves and measures, what it tells and rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from agent.readers import quantized
from agent.readers.network import CxrLlavaModel
from agent.training import curves, films
from agent.training.settings import Stage

_TIMES, _LONG = 5, 500  # it saves so often in a run, in a long one after so many steps
_TOLD: Final = MappingProxyType({"loss": "loss", "eval_loss": "loss of the validation"})


def make_trainer(
    learner: nn.Module, course: Stage, out: Path, sets: Mapping[str, films.Films], callbacks: list[TrainerCallback]
) -> Trainer:
    validates = len(sets["validation"]) > 0
    made = Trainer(
        model=learner,
        args=_arguments(course, out, len(sets["train"]), validates=validates),
        train_dataset=sets["train"],
        eval_dataset=sets["validation"] if validates else None,
        callbacks=callbacks,
    )
    made.remove_callback(PrinterCallback)  # prints Python on stdout, where scripts expect JSON
    return made


def _arguments(course: Stage, out: Path, number: int, *, validates: bool) -> TrainingArguments:
    """number: of the films that are learned from."""
    assert course.learning_rate is not None  # Training.course has filled it
    steps = course.epochs * math.ceil(number / (course.batch * course.accumulate))  # on several devices there are fewer
    often = course.save_steps or min(_LONG, math.ceil(steps / _TIMES))
    return TrainingArguments(
        output_dir=str(out),
        num_train_epochs=course.epochs,
        per_device_train_batch_size=course.batch,
        per_device_eval_batch_size=course.batch,
        gradient_accumulation_steps=course.accumulate,
        learning_rate=course.learning_rate,
        warmup_steps=course.warmup,
        weight_decay=course.weight_decay,
        lr_scheduler_type="cosine",
        bf16=course.precision == "bf16",
        activation_checkpointing=course.activation_checkpointing,
        eval_strategy="steps" if validates else "no",
        eval_steps=often,
        save_strategy="steps",
        save_steps=often,
        save_total_limit=2,
        logging_steps=course.log_steps,
        seed=course.seed,
        data_seed=course.seed,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )


class Watch(TrainerCallback):
    """Counts the rounds, tells the losses, and draws them whenever the trainer saves, so that one may look."""

    def __init__(self, films_: films.Films, out: Path, stage: str, say: Callable[[str], None]) -> None:
        self._films = films_
        self._out = out
        self._stage = stage
        self._say = say

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        self._films.round = int((state.epoch or 0) + 1e-3)  # a run may go on in the middle of a round

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        del args, control, kwargs
        told = ", ".join(f"{words} {float(logs[key]):.4g}" for key, words in _TOLD.items() if logs and key in logs)
        if told and state.is_world_process_zero:
            self._say(f"{self._stage}: step {state.global_step} of {state.max_steps}: {told}")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        curves.draw(state.log_history, self._stage, self._out / "loss.png")


class Rounding(TrainerCallback):
    """Every second step the loss is that of weights in four bits; what it teaches goes to the whole ones."""

    def __init__(self, model: CxrLlavaModel) -> None:
        layers = model.llama.layers.named_parameters()
        self._matrices = [matrix for _, matrix in layers if matrix.ndim == 2]
        self._whole: list[torch.Tensor] = []

    @torch.no_grad()
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        if state.global_step % 2:
            for matrix in self._matrices:
                self._whole.append(matrix.clone())
                matrix.copy_(quantized.rounded(matrix))

    @torch.no_grad()
    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, state, control, kwargs
        if self._whole:
            for matrix, whole in zip(self._matrices, self._whole, strict=True):
                matrix.copy_(whole)
            self._whole.clear()
