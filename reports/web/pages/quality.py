"""The page of quality: what radiologists made of the drafts; drawn, in tables, and as CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reports import quality
from reports.quality import Agreement, Case, Outcome, Share, Spread
from reports.signoff.reasons import WORDS, Reason
from reports.signoff.tables import Verdict
from reports.web import plots, spreadsheet
from reports.web.rights import Right
from reports.web.site import Site
from reports.web.sums import Sums

SPANS: Final = MappingProxyType({"7": "7 days", "30": "30 days", "90": "90 days", "365": "a year", "3650": "all"})
_USUAL: Final = "90"
_CASE: Final = (
    *("study", "decided_at", "verdict", "reason", "withdrawn", "words_drafted", "words_signed", "words_changed"),
    *("received_at", "drafted_at", "opened_at", "reader", "reader_digest", "institution", "device", "station"),
    *("drafted", "signed"),
)
_OUTCOME: Final = (
    *("group", "name", "drafts", "accepted", "minor", "major", "rejected", "success", "success_low", "success_high"),
    *("words_changed_median", "film_to_draft_s_median", "film_to_draft_s_p90", "draft_to_decision_s_median"),
    *("draft_to_decision_s_p90", "film_to_decision_s_median", "film_to_decision_s_p90", "withdrawn"),
    *(f"rejected_{reason.replace('-', '_')}" for reason in Reason),
)
_AGREEMENT: Final = (
    *("group", "name", "finding", "drafted", "signed", "both", "added", "dropped"),
    *("agreement", "agreement_low", "agreement_high", "kappa"),
)


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/quality", pages.quality, Right.QUALITY),
        site.route("/quality/drafts.csv", pages.drafts, Right.QUALITY),
        site.route("/quality/groups.csv", pages.groups, Right.QUALITY),
        site.route("/quality/findings.csv", pages.findings, Right.QUALITY),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def quality(self, request: Request) -> Response:
        """All of it."""
        days = _days(request)
        sums = self._sums(days)
        return self._site.page(
            request,
            "quality.html",
            now=sums.at,
            days=days,
            spans=SPANS,
            whole=sums.whole,
            weeks=sums.weeks,
            verdicts=list(Verdict),
            tables=_tables(sums),
            findings=sums.findings,
            by_verdict=plots.verdicts(sums.weeks) if sums.weeks else "",
            by_time=plots.times(sums.weeks) if sums.weeks else "",
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
        chosen = self._site.ledger.cases(self._site.database, int(_days(request)))
        return _file("drafts.csv", spreadsheet.document(_CASE, (_row(case) for case in chosen)))

    def groups(self, request: Request) -> Response:
        """The tables of the page, one below the other."""
        sums = self._sums(_days(request))
        rows = [
            (group, *_figures(one)) for group, grouped in (("All", (sums.whole,)), *_tables(sums)) for one in grouped
        ]
        return _file("groups.csv", spreadsheet.document(_OUTCOME, rows))

    def findings(self, request: Request) -> Response:
        """How drafts and signed reports agree, finding by finding: of all, and by week, site, device and reader."""
        chosen = self._site.ledger.cases(self._site.database, int(_days(request)))
        parts = [("All", "all", quality.agreement(chosen))]
        parts += [(group, *part) for group, by in quality.GROUPS.items() for part in quality.agreements(chosen, by)]
        rows = ((group, name, *_agreement(one)) for group, name, found in parts for one in found)
        return _file("findings.csv", spreadsheet.document(_AGREEMENT, rows))

    def _sums(self, days: str) -> Sums:
        return self._site.ledger.sums(self._site.database, int(days))


def _days(request: Request) -> str:
    days = request.query_params.get("days", _USUAL)
    return days if days in SPANS else _USUAL


def _tables(sums: Sums) -> tuple[tuple[str, Sequence[Outcome]], ...]:
    """Heading and rows."""
    return tuple(zip(quality.GROUPS, (sums.weeks, sums.sites, sums.devices, sums.readers), strict=True))


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
        case.institution,
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
        one.withdrawn,
        *(dict(one.reasons).get(reason, 0) for reason in Reason),
    )


def _agreement(one: Agreement) -> tuple[object, ...]:
    figures = (_figure(value) for value in (one.same.value, one.same.low, one.same.high, one.kappa))
    return (one.label, one.drafted, one.signed, one.both, one.added, one.dropped, *figures)


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
