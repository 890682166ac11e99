"""The three stages of Lee et al. 2025: a tower that knows labels, a projection that joins it, words that fit.

A run is a folder: `settings.json`, `data.json` (what was learned from, with its digest), `films_seen.json` (what films
of other splits show), `made_with.json` (versions and machine), the trainer's own `checkpoint-*` from which a killed run
goes on, `metrics.json`, `loss.png`, and `model/`, a checkpoint in the published layout that the reader loads as it
stands.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint

from agent import edge
from agent.manifest import ManifestError
from agent.readers import learned, prompt, signs
from agent.readers.checkpoint import Checkpoint
from agent.readers.cxr_llava import load
from agent.readers.network import CxrLlavaModel
from agent.readers.weights.origin import CARD
from agent.training import adapters, asked, curves, films, layout, leaks, lineage, provenance, room, seen
from agent.training.choosing import Name, Prepared, prepare
from agent.training.closed_form import ClosedForm
from agent.training.modules import LabelledTower, ReportWriter, learn_only
from agent.training.seen import Seen
from agent.training.settings import Stage, Training
from agent.training.trainer import Rounding, Watch, make_trainer
from agent.training.words import train_tokenizer
from dicom_node.errors import ConfigurationError

Say: TypeAlias = Callable[[str], None]

CONFIG: Final = "config.json"  # of a model
_TELL_FILMS: Final = 100  # at the least, between two words on how many are decoded


def run(stage: Name, settings: Training, out: Path, say: Say) -> dict[str, Any]:
    """Train one stage into the folder `out`; a run that was killed goes on. Returns the metrics.

    Raises ManifestError and ConfigurationError before anything is written where films, settings and stage do not fit;
    edge.Refused where the disk is full.
    """
    _refuse(stage, settings)
    asked.must_be_a_run(out)
    with edge.writing(out, "and run the same command again: it goes on from the last step that was saved"):
        return _run(stage, settings, out, say)


def _run(stage: Name, settings: Training, out: Path, say: Say) -> dict[str, Any]:
    prepared = prepare(stage, settings)
    course = settings.course(stage, anew=lineage.knows_nothing(settings.start, stage))
    settings = settings.model_copy(update={stage: course})
    tokenizer, config = _beginning(settings, prepared)
    words = _words(tokenizer)
    answers, cut = room.answers(stage, settings, prepared, words, config)
    torch.manual_seed(course.seed)
    model = _model(settings, config, course)
    size = int(config["clip_vision_cfg"]["image_size"])
    squares, shown, others = _decode(settings, prepared, size, out, say)
    out.mkdir(parents=True, exist_ok=True)
    asked.note(out, settings, prepared, squares)
    seen.write(out, others)
    before = _kept_metrics(out)
    if before and (out / "model" / CARD).is_file():
        say(f"{out}: this run has ended before, and is left as it is")
        return before
    learner, targets = _learner(stage, settings, model, words.prompt_ids(prompt.REPORT), prepared, answers)
    if stage == "encoder" and settings.encoder.solved:
        _solve(model, config, squares["train"], targets["train"]["labels"])
        learn_only(learner, "norm.", "head.")
    say(f"{stage}: {len(prepared.train)} films, {_learning(learner):,} numbers learn")
    for line in (*prepared.told, *cut, *lineage.cautions(stage, settings)):
        say(line)
    last = _last_whole(out, say)
    parts = provenance.note(out, stage, _step_of(last), say)
    say(provenance.words(parts))
    sets = _sets(squares, targets, config, course)
    watching = [Watch(sets["train"], out, stage, say), *_rounding(stage, settings, model)]
    trainer = make_trainer(learner, course, out, sets, watching)
    trainer.train(resume_from_checkpoint=last)
    metrics = before or _metrics(trainer)  # one that was broken off after its last step has nothing new to tell
    layout.write_json(out / "metrics.json", metrics)
    curves.draw(trainer.state.log_history, f"{stage}, {len(prepared.train)} films", out / "loss.png")
    _list_films(settings, out / "model", prepared, shown)
    _write_model(stage, settings, out / "model", model, config, tokenizer, parts)
    say(f"{out / 'model'}: a checkpoint in the published layout{_memory(metrics)}")
    return metrics


def _memory(metrics: Mapping[str, Any]) -> str:
    """What the run took of a GPU, for its last line; empty where there was none."""
    reserved = metrics.get("gpu_bytes_reserved")
    return f"; {reserved / 2**30:.1f} GiB of the GPU were reserved at the most" if reserved else ""


def _refuse(stage: Name, settings: Training) -> None:
    if stage == "encoder" and settings.encoder.solved and settings.start is not None:
        raise ConfigurationError(
            f"[encoder] solved = true writes a tower from nothing, and would throw away that of {settings.start}: "
            "leave out `solved` to learn on, or `start` to begin anew"
        )
    if settings.start is not None and not (settings.start / CONFIG).is_file():
        run = settings.start / "model"
        what = f"a run, whose model is {run}" if (run / CONFIG).is_file() else f"no model: it has no {CONFIG}"
        raise ConfigurationError(
            f"`start` names {settings.start}, which is {what if settings.start.is_dir() else 'not there'}: name the "
            "folder `model` of a run that has ended, or that of the published model (`wetread model pull`)"
        )
    if stage != "finetune" or settings.finetune.lora is None:
        return
    if settings.start is None:
        raise ConfigurationError(
            "[finetune.lora] adapts a model, and there is none to begin with: set `start`, or leave out the section, "
            "so that all of a model from nothing learns"
        )
    if lineage.untaught(settings.start):
        raise ConfigurationError(
            f"the language model of {settings.start} never learned, and adapters would freeze it so: "
            "leave out [finetune.lora], so that all of it learns"
        )


def _decode(
    settings: Training, prepared: Prepared, size: int, out: Path, say: Say
) -> tuple[dict[str, NDArray[np.uint8]], list[Seen], list[Seen]]:
    """The films of both splits, what those show that are learned from, and what other splits show.

    Raises ManifestError: films that cannot be decoded, or whose picture another split has. For that the films of
    other splits are decoded as well, each once, unless this run or that of the start has seen them.
    """
    data, cases = settings.data, (*prepared.train, *prepared.validation, *prepared.others)

    def progress(number: int, before: int = 0) -> None:
        done = before + number
        if done % max(_TELL_FILMS, len(cases) // 20) == 0:
            say(f"{done} of {len(cases)} films are decoded")

    try:
        train, shown = films.load_squares(prepared.train, size, data.framing, progress)
        behind = partial(progress, before=len(shown))
        validation, measured = films.load_squares(prepared.validation, size, data.framing, behind)
    except ManifestError as error:
        raise ManifestError(f"{data.manifest}: {error}") from error
    known = seen.read(*((settings.start.parent,) if settings.start is not None else ()), out)
    others = films.look(prepared.others, known, partial(progress, before=len(shown) + len(measured)))
    every = (*shown, *measured, *others)
    leaks.refuse_same_pictures(data.manifest, cases, [one.digest for one in every])
    for warning in leaks.alike(data.manifest, cases, [one.fingerprint for one in every]):
        say(warning)
    if settings.start is not None:
        judged = (*prepared.validation, *prepared.others), (*measured, *others)
        for warning in leaks.learned_before(settings.start, *judged):
            say(warning)
    return {"train": train, "validation": validation}, shown, others


def _sets(
    squares: Mapping[str, NDArray[np.uint8]],
    targets: Mapping[str, dict[str, Any]],
    config: Mapping[str, Any],
    course: Stage,
) -> dict[str, films.Films]:
    return {
        name: films.Films(
            squares[name],
            targets[name],
            mean=float(config["image_preprocess_cfg"]["mean"]),
            std=float(config["image_preprocess_cfg"]["std"]),
            augment=course.augment and name == "train",
            seed=course.seed,
        )
        for name in squares
    }


def _kept_metrics(out: Path) -> dict[str, Any]:
    """What a run told at its end; empty where it never came to it."""
    path = out / "metrics.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except json.JSONDecodeError:  # it was killed in writing
        return {}
    return found


def _list_films(settings: Training, model: Path, prepared: Prepared, shown: Sequence[Seen]) -> None:
    """What the model learned from, those of its start among them. shown: what the films of training show."""
    images, pictures = [case.image for case in prepared.train], [one.digest for one in shown]
    learned.write(model, images, _learned_before(settings), pictures=pictures)
    signs.write(model, [one.fingerprint for one in shown], settings.start)


def _learned_before(settings: Training) -> frozenset[str]:
    return learned.read(settings.start) if settings.start is not None else frozenset()


def _last_whole(out: Path, say: Say) -> str | None:
    """Where a run goes on. What it was killed in writing lacks the file that is written last, and is deleted."""
    for checkpoint in out.glob("checkpoint-*"):
        if not (checkpoint / TRAINER_STATE_NAME).is_file():
            shutil.rmtree(checkpoint)
    last: str | None = get_last_checkpoint(str(out))  # type: ignore[no-untyped-call]
    if last is not None:
        say(f"{out}: goes on from {Path(last).name}")
    return last


def _step_of(checkpoint: str | None) -> int:
    """How many steps were done; the trainer names its checkpoints so."""
    return int(checkpoint.rpartition("-")[2]) if checkpoint else 0


def _beginning(settings: Training, prepared: Prepared) -> tuple[bytes | Path, dict[str, Any]]:
    """Tokenizer and configuration of the model that learns."""
    if settings.start is not None:
        return settings.start, Checkpoint.open(settings.start, "fp32").config
    reports = [case.report for case in prepared.train if case.report]
    return train_tokenizer(reports, settings.shape.vocabulary), layout.configuration(settings.shape)


def _words(tokenizer: bytes | Path) -> prompt.LlamaWords:
    if isinstance(tokenizer, bytes):
        return prompt.LlamaWords(tokenizer, legacy=False, add_bos_token=True)
    return Checkpoint.open(tokenizer, "fp32").words()


def _model(settings: Training, config: dict[str, Any], course: Stage) -> CxrLlavaModel:
    """In full precision where it learns whole, else as the adapters want it."""
    if settings.start is None:
        model = CxrLlavaModel(config)
        model.compute_buffers(torch.device("cpu"))
        return model
    lora = getattr(course, "lora", None)
    precision = (lora.quantize or course.precision) if lora else "fp32"
    return load(settings.start, precision, device="auto" if torch.cuda.is_available() else "cpu").parts.train()


def _learner(
    stage: Name,
    settings: Training,
    model: CxrLlavaModel,
    question: Sequence[int],
    prepared: Prepared,
    answers: Mapping[str, list[list[int]]],
) -> tuple[nn.Module, dict[str, dict[str, Any]]]:
    if stage == "encoder":
        arrays = {
            "train": films.label_array(prepared.train, prepared.labels),
            "validation": films.label_array(prepared.validation, prepared.labels),
        }
        tower = LabelledTower(model, len(prepared.labels), _weights(arrays["train"]))
        learn_only(tower, "model.vision_tower.", "norm.", "head.")
        return tower, {name: {"labels": array} for name, array in arrays.items()}
    writer = ReportWriter(model, question)
    adapters.choose_what_learns(stage, settings.finetune, writer)
    return writer, {name: {"labels": array} for name, array in answers.items()}


def _solve(
    model: CxrLlavaModel, config: Mapping[str, Any], squares: NDArray[np.uint8], labels: NDArray[np.float32]
) -> None:
    """Write the tower by least squares; what is not known of a film counts as the mean of the others."""
    known = np.where(labels == films.UNKNOWN, np.nan, labels)
    gray = config["image_preprocess_cfg"]
    solver = ClosedForm(model, labels.shape[1], mean=float(gray["mean"]), std=float(gray["std"]))
    solver.solve(squares, np.where(np.isnan(known), np.nanmean(known, axis=0), known).astype(np.float32))


def _weights(labels: NDArray[np.float32]) -> torch.Tensor:
    """How many negative films there are for each positive one."""
    positive, negative = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
    return torch.from_numpy((negative / np.maximum(positive, 1)).astype(np.float32))


def _learning(learner: nn.Module) -> int:
    return sum(parameter.numel() for parameter in learner.parameters() if parameter.requires_grad)


def _rounding(stage: Name, settings: Training, model: CxrLlavaModel) -> list[TrainerCallback]:
    return [Rounding(model)] if stage == "finetune" and settings.finetune.bear else []


def _metrics(trainer: Trainer) -> dict[str, Any]:
    log = trainer.state.log_history
    last: dict[str, Any] = {
        key: row[key] for row in log for key in ("loss", "eval_loss", "train_loss", "train_runtime") if key in row
    }
    memory = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None
    return {**last, "steps": trainer.state.global_step, "gpu_bytes_reserved": memory, "history": log}


def _write_model(
    stage: Name,
    settings: Training,
    folder: Path,
    model: CxrLlavaModel,
    config: Mapping[str, Any],
    tokenizer: bytes | Path,
    parts: Sequence[Mapping[str, Any]],
) -> None:
    card, extra = lineage.inherit(stage, settings)
    extra[provenance.KEY] = list(parts)
    layout.write(folder, adapters.weights(model, settings), config, card, tokenizer=tokenizer, extra=extra)
