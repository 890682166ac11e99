"""What a model that learns on takes over from the one that it began as: what it is scored by, and what it must say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from agent.readers.weights.origin import CARD as CARD_FILE
from agent.training import provenance
from agent.training.choosing import Name
from agent.training.settings import Card, Training

UNTAUGHT: Final = "LANGUAGE MODEL NOT TRAINED"
ONLY_PROJECTION: Final = "ONLY THE PROJECTION IS TRAINED"
UNSEEING: Final = "VISION TOWER NOT TRAINED"
NOTICE: Final = "DEMONSTRATION MODEL - NOT FOR CLINICAL USE"
_SEES_NOTHING: Final = frozenset({ONLY_PROJECTION, UNSEEING})
_MOVES: Final = "what reads the tower was made for the one before: let align and finetune follow, and judge the result"
_SEES_LITTLE: Final = (
    "warning: the vision tower of this model never learned anything, so that its texts say of a film little more than "
    "chance does: begin with `wetread train encoder`, or with a `start` that learned; until then every draft says so"
)
_FROM_NOTHING: Final = MappingProxyType({"encoder": UNTAUGHT, "align": ONLY_PROJECTION, "finetune": UNSEEING})
_AFTER: Final = MappingProxyType(  # by stage and what the start says; every other notice stays as it is
    {
        ("encoder", ONLY_PROJECTION): UNTAUGHT,
        ("encoder", UNSEEING): "",
        ("finetune", ONLY_PROJECTION): UNSEEING,
        ("finetune", UNTAUGHT): "",
    }
)
_ADAPTED: Final = ", adapted"
_FROM: Final = "adapted_from"
_KEPT: Final = ("score_pairs",)  # its words have likelihoods of their own; other sentences would measure nothing


def inherit(stage: Name, settings: Training) -> tuple[Card, dict[str, Any]]:
    """The card of a model that learned on from its `start`, and what else of the older one's card stays.

    A name that nobody chose becomes that of the older model with `, adapted`; a notice that the model is for
    demonstration stays whatever else is said, and one that tower or language model never learned until it does; so do
    the models that the older one came from, and with what it was made. A start without a card is the published model.
    """
    card, before, words = settings.card, _card(settings.start), _unlearned(stage, settings)
    if not before:
        return _warned(card, words), {}
    name = str(before.get("name", ""))
    changed = {}
    if card.name == Card().name and name:
        changed["name"] = f"{name.removesuffix(_ADAPTED)}{_ADAPTED}"
    if NOTICE in str(before.get("notice", "")) and NOTICE not in card.notice:
        changed["notice"] = f"{NOTICE} - {card.notice}" if card.notice else NOTICE
    lineage: dict[str, Any] = {"name": name, "version": str(before.get("version", ""))}
    lineage |= {key: before[key] for key in (_FROM, provenance.KEY) if key in before}
    extra = {key: before[key] for key in _KEPT if key in before}
    return _warned(card.model_copy(update=changed), words), {**extra, _FROM: lineage}


def _unlearned(stage: Name, settings: Training) -> str:
    """What has to be said after a stage of what never learned; empty where all did, in this stage or before."""
    before = _said(settings.start)
    after = _FROM_NOTHING[stage] if settings.start is None else _AFTER.get((stage, before), before)
    tower_learns = stage == "finetune" and settings.finetune.train_tower
    return "" if after == UNSEEING and tower_learns else after


def cautions(stage: Name, settings: Training) -> Iterator[str]:
    """What whoever goes on with the result has to know."""
    if stage == "encoder" and settings.start is not None:
        yield _MOVES
    if _unlearned(stage, settings) in _SEES_NOTHING:
        yield _SEES_LITTLE


def _warned(card: Card, words: str) -> Card:
    if words in card.notice:  # as no words are
        return card
    return card.model_copy(update={"notice": f"{words} - {card.notice}" if card.notice else words})


def untaught(start: Path | None) -> str:
    """What a start says of a language model that never learned; empty where it did, or there is no start."""
    said = _said(start)
    return "" if said == UNSEEING else said


def knows_nothing(start: Path | None, stage: Name) -> bool:
    """Whether what learns in a stage never learned in the start, as that says itself."""
    return {"encoder": _said(start) in _SEES_NOTHING, "finetune": bool(untaught(start))}.get(stage, False)


def _said(start: Path | None) -> str:
    notice = str(_card(start).get("notice", ""))
    return next((words for words in (UNTAUGHT, ONLY_PROJECTION, UNSEEING) if words in notice), "")


def _card(start: Path | None) -> dict[str, Any]:
    path = start / CARD_FILE if start is not None else None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else {}
    return found
