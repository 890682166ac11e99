"""What a model never learned stands in its notice, stage by stage, until it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.training import lineage
from agent.training.choosing import Name
from agent.training.settings import Card, Data, Finetune, Training


def inherited(start: Path | None, card: Card, stage: Name, finetune: Finetune | None = None) -> Card:
    settings = Training(data=Data(manifest=Path("films.csv")), start=start, card=card, finetune=finetune or Finetune())
    return lineage.inherit(stage, settings)[0]


@pytest.mark.parametrize(
    ("before", "stage", "after"),
    [
        ("LANGUAGE MODEL NOT TRAINED - X", "align", "LANGUAGE MODEL NOT TRAINED - mine"),
        ("ONLY THE PROJECTION IS TRAINED - X", "align", "ONLY THE PROJECTION IS TRAINED - mine"),
        ("ONLY THE PROJECTION IS TRAINED - X", "encoder", "LANGUAGE MODEL NOT TRAINED - mine"),
        ("ONLY THE PROJECTION IS TRAINED - X", "finetune", "VISION TOWER NOT TRAINED - mine"),
        ("LANGUAGE MODEL NOT TRAINED - X", "finetune", "mine"),
        ("VISION TOWER NOT TRAINED - X", "encoder", "mine"),
        ("VISION TOWER NOT TRAINED - X", "align", "VISION TOWER NOT TRAINED - mine"),
        ("VISION TOWER NOT TRAINED - X", "finetune", "VISION TOWER NOT TRAINED - mine"),
        (
            f"LANGUAGE MODEL NOT TRAINED - {lineage.NOTICE}",
            "align",
            f"LANGUAGE MODEL NOT TRAINED - {lineage.NOTICE} - mine",
        ),
        ("", "align", "mine"),
        (None, "encoder", "LANGUAGE MODEL NOT TRAINED - mine"),
        (None, "align", "ONLY THE PROJECTION IS TRAINED - mine"),
        (None, "finetune", "VISION TOWER NOT TRAINED - mine"),
    ],
)
def test_a_notice_of_what_never_learned_stays_until_it_learned(
    tmp_path: Path, before: str | None, stage: Name, after: str
) -> None:
    (tmp_path / "wetread.json").write_text(json.dumps({"name": "small", "notice": before}), encoding="utf-8")
    start = None if before is None else tmp_path
    card = inherited(start, Card(notice="mine"), stage)
    assert card.notice == after
    unsaid = after.removesuffix("mine").removesuffix(" - ")
    assert inherited(start, Card(notice=""), stage).notice == unsaid
    assert inherited(start, card, stage).notice == after  # whoever writes it out gets it once


@pytest.mark.parametrize("start", ["ONLY THE PROJECTION IS TRAINED", "VISION TOWER NOT TRAINED", None])
def test_a_tower_that_learns_while_the_language_model_does_is_no_untrained_one(
    tmp_path: Path, start: str | None
) -> None:
    (tmp_path / "wetread.json").write_text(json.dumps({"name": "small", "notice": start}), encoding="utf-8")
    learns = Finetune(train_tower=True)
    assert inherited(tmp_path if start else None, Card(notice="mine"), "finetune", learns).notice == "mine"


def test_what_never_learned_learns_as_fast_as_from_nothing(tmp_path: Path) -> None:
    known = {}
    for notice in ("LANGUAGE MODEL NOT TRAINED", "ONLY THE PROJECTION IS TRAINED", "VISION TOWER NOT TRAINED", "mine"):
        (tmp_path / "wetread.json").write_text(json.dumps({"notice": f"{notice} - X"}), encoding="utf-8")
        stages: tuple[Name, ...] = ("encoder", "align", "finetune")
        known[notice] = [lineage.knows_nothing(tmp_path, stage) for stage in stages]
    assert list(known.values()) == [[False, False, True], [True, False, True], [True, False, False], [False] * 3]
