"""The page of quality: what radiologists made of the drafts; drawn, in tables, and as CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node.database import clock
from reports import quality
from reports.quality import Case, Outcome, Share, Spread
from reports.signoff.reasons import WORDS
from reports.signoff.tables import Verdict
from reports.web import plots, spreadsheet
from reports.web.rights import Right
from reports.web.site import Site

SPANS: Final = MappingProxyType({"7": "7 days", "30": "30 days", "90": "90 days", "365": "a year", "3650": "all"})
_USUAL: Final = "90"
_CASE: Final = (
    *("study", "decided_at", "verdict", "reason", "withdrawn", "words_drafted", "words_signed", "words_changed"),
    *("received_at", "drafted_at", "opened_at", "reader", "reader_digest", "device", "station", "drafted", "signed"),
)
_OUTCOME: Final = (
    *("group", "name", "drafts", "accepted", "minor", "major", "rejected", "success", "success_low", "success_high"),
    *("words_changed_median", "film_to_draft_s_median", "film_to_draft_s_p90", "draft_to_decision_s_median"),
    *("draft_to_decision_s_p90", "film_to_decision_s_median", "film_to_decision_s_p90"),
)


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/quality", pages.quality, Right.QUALITY),
        site.route("/quality/drafts.csv", pages.drafts, Right.QUALITY),
        site.route("/quality/groups.csv", pages.groups, Right.QUALITY),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def quality(self, request: Request) -> Response:
        """All of it."""
        days, chosen = self._chosen(request)
        tables = _tables(chosen)
        weeks = tables[0][1]
        with self._site.database.read() as tx:
            now = clock(tx)
        return self._site.page(
            request,
            "quality.html",
            now=now,
            days=days,
            spans=SPANS,
            whole=quality.outcome("all", chosen),
            weeks=weeks,
            verdicts=list(Verdict),
            tables=tables,
            findings=quality.agreement(chosen),
            by_verdict=plots.verdicts(weeks) if weeks else "",
            by_time=plots.times(weeks) if weeks else "",
            reasons=WORDS,
            paper=quality.PAPER,
            few=quality.FEW,
            percent=_percent,
            interval=_interval,
            lasting=_lasting,
            number=_number,
        )

    def drafts(self, request: Request) -> Response:
        """One draft a row, for a spreadsheet."""
        _, chosen = self._chosen(request)
        return _file("drafts.csv", spreadsheet.document(_CASE, (_row(case) for case in chosen)))

    def groups(self, request: Request) -> Response:
        """The tables of the page, one below the other."""
        _, chosen = self._chosen(request)
        rows = [
            (group, *_figures(one))
            for group, grouped in (("All", [quality.outcome("all", chosen)]), *_tables(chosen))
            for one in grouped
        ]
        return _file("groups.csv", spreadsheet.document(_OUTCOME, rows))

    def _chosen(self, request: Request) -> tuple[str, list[Case]]:
        days = request.query_params.get("days", _USUAL)
        days = days if days in SPANS else _USUAL
        with self._site.database.read() as tx:
            return days, _since(tx, days)


def _since(tx: Session, days: str) -> list[Case]:
    return quality.cases(tx, clock(tx) - timedelta(days=int(days)))


def _tables(chosen: Sequence[Case]) -> tuple[tuple[str, list[Outcome]], ...]:
    """Heading and rows; the weeks come first."""
    return (
        ("Week", quality.grouped(chosen, quality.week_of)),
        ("Device (station)", quality.grouped(chosen, quality.device_of)),
        ("Reader [digest]", quality.grouped(chosen, quality.reader_of)),
    )


def _row(case: Case) -> tuple[object, ...]:
    return (
        case.study_id,
        case.decided_at,
        case.verdict.value,
        case.reason,
        case.withdrawn,
        case.words_drafted,
        case.words_signed,
        case.words_changed,
        case.received_at,
        case.drafted_at,
        case.opened_at,
        case.reader,
        case.reader_digest,
        case.device,
        case.station,
        json.dumps(dict(case.drafted), sort_keys=True),
        json.dumps(dict(case.signed), sort_keys=True),
    )


def _figures(one: Outcome) -> tuple[object, ...]:
    times = [figure for spread in (one.drafting, one.deciding, one.whole) for figure in (spread.median, spread.ninth)]
    return (
        one.name,
        one.drafts,
        *(one.verdicts[verdict].count for verdict in Verdict),
        *(_figure(value) for value in (one.success.value, one.success.low, one.success.high)),
        *(_figure(value) for value in (one.changed.median, *times)),
    )


def _figure(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _file(name: str, content: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


def _percent(share: Share) -> str:
    return "-" if math.isnan(share.value) else f"{share.value:.1%}".replace("%", " %")


def _interval(share: Share) -> str:
    return "" if math.isnan(share.low) else f"{100 * share.low:.0f} to {100 * share.high:.0f}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _lasting(spread: Spread) -> str:
    """Median and nine of ten, in the unit that fits."""
    if not spread.number:
        return "-"
    return f"{_duration(spread.median)} / {_duration(spread.ninth)}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
