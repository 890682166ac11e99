"""The result of a reader study: grades and key together, summed for people and programs, and as CSV of everything."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.evaluation.acceptability import (
    Difference,
    Graded,
    Kappas,
    Row,
    agreement,
    differences,
    proportion,
    rows,
)
from agent.evaluation.agreement import Figure
from agent.evaluation.anchors import ACCEPTABLE
from agent.evaluation.document import plain
from agent.evaluation.packing import AI, ORIGINAL, SOURCES, Key
from agent.evaluation.stock import Stock
from reports.grading import raters as books
from reports.grading.package import Package
from reports.grading.tables import Grade, Turn

NAMES: Final = MappingProxyType({AI: "AI drafts", ORIGINAL: "original reports"})
PAPER: Final = (
    "Lee et al., CXR-LLaVA, European Radiology 2025;35:4374-4386, doi 10.1007/s00330-024-11339-6: radiologists graded "
    "reports on an external test set; a success is A or B. Other films, people and originals: an order of magnitude to "
    "stand beside, no comparison."
)
_COLUMNS: Final = (
    *("rater", "position", "item", "film", "source", "grade", "success", "comment", "seconds", "graded_at", "changes"),
)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Everything that is told. unfinished: raters who have not finished, with how many grades they have given.

    again: success by source, of films seen for the first time and of those seen before. words: median by source.
    tells: how many texts of each source have what may give it away. stock: sentences that most texts of one source
    have, and few of the other. dropped: those that no text was shown with. acts: what the
    investigator did that the result should tell: what, the rater, how many grades there were, and on which day.
    """

    title: str
    made_at: str
    films: int
    clusters: int
    raters: int
    unfinished: Mapping[str, tuple[int, int]]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    agreement: tuple[Kappas, ...]
    again: Mapping[str, Mapping[str, Figure]]
    words: Mapping[str, float]
    tells: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]
    who: Mapping[str, Any]
    seed: str
    stock: tuple[Stock, ...] = ()
    dropped: tuple[str, ...] = ()
    acts: tuple[tuple[str, str, int, str], ...] = ()


def judge(
    graded: Sequence[Graded],
    key: Key,
    package: Package,
    unfinished: Mapping[str, tuple[int, int]],
    acts: Sequence[tuple[str, str, int, str]] = (),
) -> Verdicts:
    """All sums; the resampling has the seed of the study."""
    seed = int.from_bytes(key.seed.encode(), "big") % (1 << 32)
    told = list(key.told.values())
    return Verdicts(
        title=package.title,
        made_at=package.made_at,
        films=len(package.films),
        clusters=len({one.cluster for one in told}),
        raters=len({one.rater for one in graded}),
        unfinished=unfinished,
        rows=tuple(rows(graded, SOURCES, seed=seed)),
        differences=tuple(differences(graded, AI, ORIGINAL, seed=seed)),
        agreement=tuple(agreement(graded, SOURCES, seed=seed)),
        again={source: _again(graded, source, seed) for source in SOURCES},
        words={source: _median_words(key, source) for source in SOURCES},
        tells={source: _tells(key, source) for source in SOURCES},
        left_out=key.left_out,
        who=key.who,
        seed=key.seed,
        stock=key.stock,
        dropped=key.dropped,
        acts=tuple(acts),
    )


def collect(tx: Session, key: Key, package: Package) -> tuple[list[Graded], dict[str, tuple[int, int]]]:
    """Every turn of every rater with its source; and who has not finished, with how many of how many graded."""
    graded, unfinished = [], {}
    for rater in books.everybody(tx):
        turns = list(tx.scalars(select(Turn).where(Turn.rater_id == rater.id).order_by(Turn.position)))
        if rater.finished_at is None:
            unfinished[rater.name] = (sum(bool(turn.grade) for turn in turns), len(turns))
        seen: set[str] = set()
        for turn in turns:
            told, film = key.told[turn.item], package.items[turn.item].film
            graded.append(
                Graded(
                    rater=rater.name,
                    item=turn.item,
                    film=film,
                    cluster=told.cluster,
                    source=told.source,
                    grade=Grade(turn.grade) if turn.grade else None,
                    again=film in seen,
                    seconds=turn.seconds,
                )
            )
            seen.add(film)
    return graded, unfinished


def acts(tx: Session) -> list[tuple[str, str, int, str]]:
    """What the investigator did: what, the rater, how many grades there were, and on which day."""
    return [(one.what, one.name, one.graded, f"{one.at:%Y-%m-%d}") for one in books.acts(tx)]


def sheet(tx: Session, key: Key) -> str:
    """Every turn as CSV with source and comment, for a statistician: like the key it tells who wrote what."""
    written = io.StringIO()
    out = csv.writer(written, lineterminator="\n")
    out.writerow(_COLUMNS)
    for rater in books.everybody(tx):
        for turn in tx.scalars(select(Turn).where(Turn.rater_id == rater.id).order_by(Turn.position)):
            told = key.told[turn.item]
            success = "" if not turn.grade else int(Grade(turn.grade).is_success)
            moment = f"{turn.graded_at:%Y-%m-%dT%H:%M:%SZ}" if turn.graded_at else ""
            cells = (rater.name, turn.position, turn.item, told.case, told.source, turn.grade, success, turn.comment)
            out.writerow((*map(_harmless, cells), f"{turn.seconds:.1f}", moment, max(turn.version - 1, 0)))
    return written.getvalue()


def as_json(verdicts: Verdicts) -> dict[str, Any]:
    """The same for programs, with what was published beside it."""
    return {**plain(verdicts), "published": {"success": dict(ACCEPTABLE), "source": PAPER}}


def _again(graded: Sequence[Graded], source: str, seed: int) -> dict[str, Figure]:
    found = {}
    for name, again in (("new", False), ("again", True)):
        part = [one for one in graded if one.source == source and one.again is again and one.grade is not None]
        hits = (one.grade is not None and one.grade.is_success for one in part)
        found[name] = proportion(hits, (one.cluster for one in part), seed=seed)
    return found


def _median_words(key: Key, source: str) -> float:
    return float(statistics.median(one.words for one in key.told.values() if one.source == source))


def _tells(key: Key, source: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for told in key.told.values():
        for tell in told.tells if told.source == source else ():
            found[tell] = found.get(tell, 0) + 1
    return found


def _harmless(cell: object) -> object:
    """No formula for whoever opens it as a table (CWE-1236)."""
    text = str(cell)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
