"""What a model that learns on takes over from the one that it began as: what it is scored by, and what it must say."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from agent.readers.weights.origin import CARD as CARD_FILE
from agent.training import provenance
from agent.training.choosing import Name
from agent.training.settings import Card

UNTAUGHT: Final = "LANGUAGE MODEL NOT TRAINED"
ONLY_PROJECTION: Final = "ONLY THE PROJECTION IS TRAINED"
NOTICE: Final = "DEMONSTRATION MODEL - NOT FOR CLINICAL USE"
_FROM_NOTHING: Final = MappingProxyType({"encoder": UNTAUGHT, "align": ONLY_PROJECTION})
_ADAPTED: Final = ", adapted"
_FROM: Final = "adapted_from"
_KEPT: Final = ("score_pairs",)  # its words have likelihoods of their own; other sentences would measure nothing


def inherit(start: Path | None, card: Card, stage: Name) -> tuple[Card, dict[str, Any]]:
    """The card of a model that learned on from `start`, and what else of the older one's card stays.

    A name that nobody chose becomes that of the older model with `, adapted`; a notice that the model is for
    demonstration stays whatever else is said, and one that the language model never learned until it does; so do the
    models that the older one came from, and with what it was made. A start without a card is the published model.
    """
    before = _card(start)
    if not before:
        return _warned(card, "" if start is not None else _FROM_NOTHING.get(stage, "")), {}
    name = str(before.get("name", ""))
    changed = {}
    if card.name == Card().name and name:
        changed["name"] = f"{name.removesuffix(_ADAPTED)}{_ADAPTED}"
    if NOTICE in str(before.get("notice", "")) and NOTICE not in card.notice:
        changed["notice"] = f"{NOTICE} - {card.notice}" if card.notice else NOTICE
    lineage: dict[str, Any] = {"name": name, "version": str(before.get("version", ""))}
    lineage |= {key: before[key] for key in (_FROM, provenance.KEY) if key in before}
    extra = {key: before[key] for key in _KEPT if key in before}
    return _warned(card.model_copy(update=changed), _still_untaught(start, stage)), {**extra, _FROM: lineage}


def _still_untaught(start: Path | None, stage: Name) -> str:
    """What has to be said after a stage; a tower that learned makes it wrong that the projection alone did."""
    before = untaught(start)
    return "" if stage == "finetune" or not before else {"encoder": UNTAUGHT}.get(stage, before)


def _warned(card: Card, words: str) -> Card:
    if words in card.notice:  # as no words are
        return card
    return card.model_copy(update={"notice": f"{words} - {card.notice}" if card.notice else words})


def untaught(start: Path | None) -> str:
    """What a start says of a language model that never learned; empty where it did, or there is no start."""
    notice = str(_card(start).get("notice", ""))
    return next((words for words in (UNTAUGHT, ONLY_PROJECTION) if words in notice), "")


def _card(start: Path | None) -> dict[str, Any]:
    path = start / CARD_FILE if start is not None else None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else {}
    return found
