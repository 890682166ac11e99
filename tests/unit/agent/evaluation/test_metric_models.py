"""Metrics of RadEval: asked in a child without a network, weights from one folder; in words where there is no figure.

RadEval is an extra that a test cannot install with its weights; a package with its names stands in for it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.evaluation.models import ABSENT, figure_of, measure, why_not

STAND_IN = """
import os
class RadEval:
    def __init__(self, metrics, cache_dir, show_progress):
        self.metric, self.folder = metrics[0], cache_dir
    def __call__(self, refs, hyps):
        assert (refs, hyps) == (["Edema."], ["No edema."])
        assert os.environ["HF_HOME"] == os.environ["XDG_CACHE_HOME"] == self.folder
        assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
        if self.metric == "bertscore":
            return {"bertscore": 0.75}
        raise FileNotFoundError("a report: Edema.")
"""
CHEXBERT = """
class F1CheXbert:
    def __init__(self, device):
        assert device == "cpu"
    def forward(self, hyps, refs):
        assert (refs, hyps) == (["Edema."], ["No edema."])
        return 0, 0, {"micro avg": {"f1-score": 0.14}}, {"micro avg": {"f1-score": 0.5}}, [], []
"""


@pytest.fixture
def radeval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "radeval"
    inner = package / "metrics" / "f1chexbert"
    inner.mkdir(parents=True)
    for folder in (package / "metrics", inner):
        (folder / "__init__.py").touch()
    (package / "__init__.py").write_text(STAND_IN, encoding="utf-8")
    (inner / "f1chexbert.py").write_text(CHEXBERT, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[4]}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return tmp_path


@pytest.mark.usefixtures("radeval")
def test_each_metric_gives_its_figure_or_words(tmp_path: Path) -> None:
    assert measure(["No edema."], ["Edema."], tmp_path / "weights") == {
        "BERTScore": 0.75,
        "CheXbert-F1": 0.14,  # of 14 labels, not of five
        "RadGraph-F1": "not measured: RadEval failed (FileNotFoundError)",
    }


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Traceback\nhuggingface_hub.errors.LocalEntryNotFoundError: Cannot find the file", ABSENT),
        ("OSError: We couldn't connect to the hub and couldn't find them in the cached files.", ABSENT),
        ("huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach", ABSENT),
        ("ModuleNotFoundError: No module named 'appdirs'", "not measured: RadEval failed (ModuleNotFoundError)"),
        ("torch.cuda.OutOfMemoryError: CUDA", "not measured: RadEval failed (OutOfMemoryError)"),
        ("Killed by the kernel", "not measured: RadEval failed (without a word)"),
        ("", "not measured: RadEval failed (without a word)"),
    ],
)
def test_only_absent_weights_are_called_absent(said: str, words: str) -> None:
    assert why_not(said) == words


def test_the_figure_goes_by_the_name_that_radeval_gives_it() -> None:
    scores = json.loads('{"radgraph_simple": 0.4, "radgraph_partial": 0.3, "radgraph_complete": 0.2}')
    assert figure_of(scores, "radgraph") == 0.3
    with pytest.raises(KeyError):
        figure_of({"radgraph_f1": 0.3}, "radgraph")
