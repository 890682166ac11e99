"""The notebook in deploy/docs/research.md runs from top to bottom, and the shapes that it names are true."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.demo import phantom

DOCUMENT = Path(__file__).parents[3] / "deploy" / "docs" / "research.md"


def test_the_notebook_runs_and_its_shapes_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uids = iter(f"2.25.{number}" for number in range(1, 100))
    image = phantom.film(1, now=datetime(2026, 1, 2, tzinfo=UTC), new_uid=lambda: next(uids), rows=512, columns=450)
    image.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    monkeypatch.chdir(tmp_path)

    cells = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found: dict[str, Any] = {}
    exec(compile("\n".join(cells), str(DOCUMENT), "exec"), found)

    assert len(cells) == 10
    assert found["film"].ndim == 2
    assert found["pixels"].shape == (1, 1, 224, 224)
    assert found["features"].shape == (1, 64, 96)
    assert found["logits"].shape == (700,)
    assert found["vector"].shape == (160,)
    assert found["prompted"].count(-200) == 1
    assert found["present"].log_probabilities.shape == (len(found["present"].ids),)
    assert found["chosen_from"].shape == (len(found["ids"]), 700)
    assert found["chosen_from"].argmax(axis=1).tolist() == found["ids"]
    assert all(answer.ending in {"eos", "tokens"} for answer in found["answers"])
    assert found["unit"].shape == (3, 160)
    assert "demonstration" in capsys.readouterr().out
