"""Metrics that need language models, through RadEval, in a process of its own that may not reach the network.

    python -m agent.evaluation.models FOLDER METRIC < {"texts": [...], "references": [...]}

huggingface_hub reads its switch for working offline when it is imported, so a child is the one sure place for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

_METRICS: Final = MappingProxyType({"BERTScore": "bertscore", "CheXbert-F1": "f1chexbert", "RadGraph-F1": "radgraph"})
_KEYS: Final = MappingProxyType({"bertscore": "bertscore", "f1chexbert": "micro avg", "radgraph": "partial"})
ABSENT: Final = "not measured: weights absent"


def measure(texts: Sequence[str], references: Sequence[str], models: Path) -> Mapping[str, float | None]:
    """One figure for each metric whose weights lie in `models`, a cache folder of the hub; None for the others."""
    asked = json.dumps({"texts": list(texts), "references": list(references)})
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HOME": str(models)}
    found: dict[str, float | None] = {}
    for name, metric in _METRICS.items():
        command = [sys.executable, "-m", __name__, str(models), metric]
        done = subprocess.run(  # noqa: S603  ourselves
            command, input=asked, capture_output=True, text=True, env={**os.environ, **offline}, check=False
        )
        lines = done.stdout.strip().splitlines()
        found[name] = float(json.loads(lines[-1])) if done.returncode == 0 and lines else None
    return found


def _figure(scores: Mapping[str, Any], metric: str) -> float:
    """The one number among what RadEval returns: some metrics return several."""
    numbers = {key: value for key, value in scores.items() if isinstance(value, int | float)}
    wanted = next((key for key in numbers if _KEYS[metric] in key.replace("_", " ")), next(iter(numbers)))
    return float(numbers[wanted])


def _child(folder: str, metric: str) -> None:
    from radeval import RadEval  # noqa: PLC0415  only the child loads it

    asked = json.load(sys.stdin)
    evaluator = RadEval(metrics=[metric], cache_dir=folder, show_progress=False)
    figure = _figure(evaluator(refs=asked["references"], hyps=asked["texts"]), metric)
    sys.stdout.write(f"{json.dumps(figure)}\n")


if __name__ == "__main__":
    _child(*sys.argv[1:])
