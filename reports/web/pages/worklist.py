"""The worklist page: every study with one plain status, what waits for whom, and the views that people keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node import books, peers
from dicom_node.database import clock
from dicom_node.forecast import forecast
from dicom_node.rules.decision import ROUTINE
from reports import saved_views
from reports.findings import CHEXPERT, State
from reports.glance import URGENCIES, Glance, Urgency, unmarked
from reports.saved_views import SavedView, ViewRefused
from reports.tables import ReportState
from reports.web import worklist
from reports.web.alarms import alarms, is_silent, pulses
from reports.web.doors import visitor_of
from reports.web.fields import Fields, typed
from reports.web.rights import Right, Visitor
from reports.web.seen import seen_together
from reports.web.site import Site
from reports.web.standing import Facts, Standing, standing
from reports.web.wish import TABS, Priority, Show, Sort, Wish

PAGE = 50  # studies on a page
_LIVE_SECONDS = 20  # between two looks of a browser without scripts
_AGES: Final = ((15, "15 min"), (60, "1 h"), (240, "4 h"), (1440, "1 d"))
_MOST_SHOWN = 4 * PAGE


_URGENT: Final = MappingProxyType({int(Urgency.CRITICAL): "critical", int(Urgency.DOUBTFUL): "critical?"})


@dataclass(frozen=True, slots=True)
class Row:
    """One study as the page shows it.

    since: what its age counts from. named: findings of the AI's text with their class, the urgent ones first.
    """

    facts: Facts
    standing: Standing
    since: datetime
    named: tuple[tuple[str, str], ...]

    @property
    def urgency(self) -> str:
        """Does the AI's text name a finding that cannot wait, is it not sure of it, or neither: empty."""
        glance = self.facts.glance
        return _URGENT.get(glance.urgency, "") if glance is not None else ""

    @property
    def priority(self) -> str:
        """Stat or backlog; empty for what is usual."""
        rank = self.facts.workitem.priority if self.facts.workitem else ROUTINE
        return "stat" if rank < ROUTINE else "backlog" if rank > ROUTINE else ""

    @property
    def waits(self) -> bool:
        """For a person to read its draft?"""
        report = self.facts.report
        return report is not None and report.state in worklist.OPEN


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages, views = _Pages(site), _Views(site)
    return [
        site.route("/", pages.worklist, Right.SEE),
        site.route("/worklist/rows", pages.rows, Right.SEE),
        site.route("/worklist/views", typed(views.save), Right.SEE, methods=("POST",)),
        site.route("/worklist/views/default", typed(views.make_default), Right.SEE, methods=("POST",)),
        site.route("/worklist/views/remove", typed(views.remove), Right.SEE, methods=("POST",)),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def worklist(self, request: Request) -> Response:
        """A page of studies."""
        visitor, not_ready = visitor_of(request), self._site.not_ready()
        with self._site.database.read() as tx:
            now, views = clock(tx), saved_views.views_of(tx, visitor.user_id)
            wish = _wish(request, visitor, views)
            hours = self._site.premises.backlog_hours
            found = worklist.find(tx, wish, now, user_id=visitor.user_id, limit=PAGE, hours=hours)
            elsewhere = Wish(search=wish.search)  # what is not in this tab may be in another one
            is_lost = wish.search and not (found.facts or wish.before or wish.is_filtered) and wish != elsewhere
            if is_lost and worklist.first(tx, elsewhere, now, user_id=visitor.user_id, limit=1):
                return RedirectResponse(f"/?{elsewhere.address()}", status_code=303)
            context = self._context(tx, now, visitor, not_ready)
            context["senders"] = () if found.facts else peers.titles(tx, senders=True)
        seen_together(self._site.database, visitor, worklist.looked_at(wish, found.facts), "search")
        stops = request.query_params.get("refresh") == "off" or bool(wish.search or wish.before)
        return self._site.page(
            request,
            "worklist.html",
            now=now,
            wish=wish,
            views=views,
            rows=[_row(facts, now) for facts in found.facts],
            older=found.older,
            live=None if stops else _LIVE_SECONDS,
            fault=request.query_params.get("fault", "")[:200],
            **context,
        )

    def rows(self, request: Request) -> Response:
        """What became of rows that a browser shows: those that changed, and which of them the view has no more."""
        visitor, asked = visitor_of(request), request.query_params
        shown, changed = _numbers(asked.get("shown", "")), _numbers(asked.get("changed", ""))
        with self._site.database.read() as tx:
            now, views = clock(tx), saved_views.views_of(tx, visitor.user_id)
            wish = _wish(request, visitor, views)
            first = worklist.first(tx, wish, now, user_id=visitor.user_id, limit=PAGE)
            fit = worklist.fitting(tx, wish, now, user_id=visitor.user_id, among=shown)
            wanted = worklist.revisions(tx, shown & changed if changed else shown)
            facts = worklist.facts_of(tx, wanted, now, self._site.premises.backlog_hours)
            counts = worklist.counts(tx, books.backlog(tx), user_id=visitor.user_id)
        fresh = first - shown
        return self._site.page(
            request,
            "rows.html",
            now=now,
            rows=[_row(one, now) for one in facts],
            fresh=len(fresh),
            gone=sorted(shown - fit),
            counts=counts,
        )

    def _context(self, tx: Session, now: datetime, visitor: Visitor, not_ready: Sequence[str]) -> dict[str, Any]:
        waiting, beats = books.backlog(tx), pulses(tx, now)
        return {
            "alarms": alarms(tx, now, waiting, not_ready, beats),
            "backlog": waiting,
            "ahead": forecast(tx, waiting, now, self._site.premises.backlog_hours),
            "pulses": [(pulse, is_silent(pulse, now)) for pulse in beats],
            "counts": worklist.counts(tx, waiting, user_id=visitor.user_id),
            "readers": worklist.readers(tx),
            "tabs": {show: words for show, words in TABS.items() if show is not Show.MINE or visitor.user_id},
            "labels": CHEXPERT[1:],
            "ages": _AGES,
            "priorities": [one for one in Priority if one],
            "sorts": list(Sort),
            "most_views": saved_views.MOST,
        }


class _Views:
    """What people keep."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def save(self, request: Request, fields: Fields) -> Response:
        """Keep what the page shows under a name."""
        user_id, wish = visitor_of(request).user_id, Wish.of(dict(parse_qsl(fields.get("query", ""))))
        address = wish.address() or "show=all"
        if not user_id:
            return _back(address, "Sign in to keep views.")
        try:
            with self._site.database.write() as tx:
                name, default = fields.get("name", ""), fields.get("default") == "yes"
                saved_views.save(tx, user_id, name, address, is_default=default)
        except ViewRefused as error:
            return _back(address, str(error))
        return _back(address)

    def make_default(self, request: Request, fields: Fields) -> Response:
        """What / shows this person from now on; without a view, what it shows everybody."""
        number = fields.get("view", "")
        with self._site.database.write() as tx:
            saved_views.make_default(tx, visitor_of(request).user_id, int(number) if _is_number(number) else None)
        return _back("")

    def remove(self, request: Request, fields: Fields) -> Response:
        """Forget a view."""
        number = fields.get("view", "")
        if _is_number(number):
            with self._site.database.write() as tx:
                saved_views.remove(tx, visitor_of(request).user_id, int(number))
        return _back("show=all")


def _wish(request: Request, visitor: Visitor, views: Sequence[SavedView]) -> Wish:
    """What the address says; a plain one is the person's own default, and drafts to read for those who read them."""
    asked = dict(request.query_params)
    if not asked.keys() - {"refresh", "shown", "changed"}:
        kept = next((view for view in views if view.is_default), None)
        usual = "show=drafts" if visitor.may(Right.EDIT) else ""
        asked = dict(parse_qsl(kept.query if kept is not None else usual))
    return Wish.of(asked)


def _row(facts: Facts, now: datetime) -> Row:
    report, glance = facts.report, facts.glance
    drafted = report.drafted_at if report is not None and report.state is ReportState.DRAFT else None
    return Row(
        facts=facts,
        standing=standing(facts, now),
        since=drafted or facts.revision.opened_at,
        named=_named(glance) if glance is not None else (),
    )


def _named(glance: Glance) -> tuple[tuple[str, str], ...]:
    said = [(label, State.PRESENT) for label in unmarked(glance.present)]
    said += [(label, State.UNCERTAIN) for label in unmarked(glance.uncertain)]
    said.sort(key=lambda one: URGENCIES.get(one, Urgency.PLAIN))
    return tuple(
        (f"{label}?", "doubtful")
        if state is State.UNCERTAIN
        else (label, "urgent" if URGENCIES.get((label, state)) is Urgency.CRITICAL else "found")
        for label, state in said
    )


def _numbers(written: str) -> frozenset[int]:
    return frozenset(int(one) for one in written.split(",")[:_MOST_SHOWN] if _is_number(one))


def _is_number(written: str) -> bool:
    return written.isascii() and written.isdecimal() and len(written) <= 9


def _back(query: str, fault: str = "") -> Response:
    said = "&".join(part for part in (query, urlencode({"fault": fault}) if fault else "") if part)
    return RedirectResponse(f"/?{said}" if said else "/", status_code=303)
