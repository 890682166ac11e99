"""How many words a text shares with a radiologist's report. Shared words are no shared meaning: a negation turns one.

BERTScore, CheXbert-F1 and RadGraph-F1 need models of their own. They are measured where the extra `eval-models` is
installed and their weights lie on this machine, and are never fetched.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU

from agent.evaluation.models import ABSENT, measure

NEED_MODELS: Final = ("BERTScore", "CheXbert-F1", "RadGraph-F1")


@dataclass(frozen=True, slots=True)
class Overlap:
    """One metric of all texts: from 0 to 1, or words that say why there is no figure."""

    name: str
    value: float | None
    remark: str = ""


def overlap(texts: Sequence[str], references: Sequence[str], *, models: Path | None = None) -> list[Overlap]:
    """ROUGE-1, -2 and -L (mean F1 of all films, stemmed), BLEU-1 and -4 (of the corpus), then what needs models.

    models: folder with the weights of the last three.
    """
    if not texts:
        return []
    return [*_rouge(texts, references), *_bleu(texts, references), *_by_models(texts, references, models)]


def _rouge(texts: Sequence[str], references: Sequence[str]) -> list[Overlap]:
    kinds = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
    scorer = RougeScorer(list(kinds), use_stemmer=True)
    scores = [scorer.score(reference, text) for text, reference in zip(texts, references, strict=True)]
    return [Overlap(name, sum(one[kind].fmeasure for one in scores) / len(scores)) for kind, name in kinds.items()]


def _bleu(texts: Sequence[str], references: Sequence[str]) -> list[Overlap]:
    found = []
    for order in (1, 4):
        metric = BLEU(max_ngram_order=order, lowercase=True)
        found.append(Overlap(f"BLEU-{order}", metric.corpus_score(list(texts), [list(references)]).score / 100))
    return found


def _by_models(texts: Sequence[str], references: Sequence[str], models: Path | None) -> list[Overlap]:
    if models is None or not models.is_dir() or importlib.util.find_spec("radeval") is None:
        return [Overlap(name, None, ABSENT) for name in NEED_MODELS]
    figures = measure(texts, references, models)
    return [
        Overlap(name, None, figure) if isinstance(figure, str) else Overlap(name, figure)
        for name, figure in ((name, figures[name]) for name in NEED_MODELS)
    ]
