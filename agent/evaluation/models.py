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
_KEYS: Final = MappingProxyType({"bertscore": "bertscore", "radgraph": "radgraph_partial"})  # RadEval's names
ABSENT: Final = "not measured: weights absent"
# What huggingface_hub and transformers say where a file is not in the cache and the network may not be asked.
_MISSING: Final = ("LocalEntryNotFoundError", "OfflineModeIsEnabled", "couldn't find them in the cached files")


def measure(texts: Sequence[str], references: Sequence[str], models: Path) -> Mapping[str, float | str]:
    """One figure for each metric whose weights lie in `models`; for the others, in words, why there is none.

    RadEval looks for some weights in the cache of the hub and for others in folders of their own beneath the user's
    cache: in the child all of them are beneath `models`.
    """
    asked = json.dumps({"texts": list(texts), "references": list(references)})
    places = {"HF_HOME": str(models), "XDG_CACHE_HOME": str(models)}
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", **places}
    found: dict[str, float | str] = {}
    for name, metric in _METRICS.items():
        command = [sys.executable, "-m", __name__, str(models), metric]
        done = subprocess.run(  # noqa: S603  ourselves
            command, input=asked, capture_output=True, text=True, env={**os.environ, **offline}, check=False
        )
        lines = done.stdout.strip().splitlines()
        found[name] = float(json.loads(lines[-1])) if done.returncode == 0 and lines else why_not(done.stderr)
    return found


def why_not(said: str) -> str:
    """In words, from what a child wrote before it failed: the kind of its error only, as the rest may hold a report."""
    if any(words in said for words in _MISSING):
        return ABSENT
    last = (said.strip().splitlines() or [""])[-1]
    kind = last.partition(":")[0].rpartition(".")[2].strip()
    return f"not measured: RadEval failed ({kind if kind.isidentifier() else 'without a word'})"


def figure_of(scores: Mapping[str, Any], metric: str) -> float:
    """The one number among those that RadEval returns for a metric. Raises KeyError: RadEval names it otherwise."""
    return float(scores[_KEYS[metric]])


def _chexbert(texts: Sequence[str], references: Sequence[str]) -> float:
    """F1 of all 14 labels, micro mean, as the paper has it. RadEval's own way to it needs a graphics card."""
    import torch  # noqa: PLC0415
    from radeval.metrics.f1chexbert.f1chexbert import F1CheXbert  # noqa: PLC0415

    scorer = F1CheXbert(device="cuda" if torch.cuda.is_available() else "cpu")
    _, _, of_14_labels, *_ = scorer.forward(list(texts), list(references))
    return float(of_14_labels["micro avg"]["f1-score"])


def _child(folder: str, metric: str) -> None:
    from radeval import RadEval  # noqa: PLC0415  only the child loads it

    asked = json.load(sys.stdin)
    if metric == "f1chexbert":
        figure = _chexbert(asked["texts"], asked["references"])
    else:
        evaluator = RadEval(metrics=[metric], cache_dir=folder, show_progress=False)
        figure = figure_of(evaluator(refs=asked["references"], hyps=asked["texts"]), metric)
    sys.stdout.write(f"{json.dumps(figure)}\n")


if __name__ == "__main__":
    _child(*sys.argv[1:])
