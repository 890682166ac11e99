"""The page of queues: what waits where, and the brakes for reading, sending and receiving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node import books, destinations, outages
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError, NotFound, WetreadError
from dicom_node.forecast import forecast
from dicom_node.hours import Hours
from dicom_node.worklist import pauses
from dicom_node.worklist.pauses import OF_PEERS, What
from reports.web import queues
from reports.web.administration import top
from reports.web.entries import Entries, actor_of, read_entries
from reports.web.rights import Right
from reports.web.site import Site

STOP: Final = "STOP"  # typed by whoever stops everything
_POST = ("POST",)
_LIVE_SECONDS = 20


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/queues", pages.queues, Right.ADMINISTER),
        site.route("/queues/pause", pages.pause, Right.ADMINISTER, methods=_POST),
        site.route("/queues/stop", pages.stop, Right.ADMINISTER, methods=_POST),
        site.route("/queues/go-on", pages.go_on, Right.ADMINISTER, methods=_POST),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def queues(self, request: Request) -> Response:
        """What waits where."""
        return self._show(request)

    def pause(self, request: Request) -> Response:
        """Pull one brake, or let it go."""
        entries = read_entries(request)
        try:
            what, peer = _named(entries)
            on = entries.text("on") == "yes"
            with self._site.database.write() as tx:
                if peer and on and destinations.find(tx, peer) is None:
                    raise NotFound(f"{peer!r} is not registered")
                pauses.pause(tx, what, peer=peer, on=on, now=clock(tx), actor=actor_of(request))
        except WetreadError as error:
            return self._show(request, mistake=str(error), status=422)
        return _done("paused" if on else "going-on")

    def stop(self, request: Request) -> Response:
        """Stop reading, sending and receiving, for all."""
        if read_entries(request).text("word") != STOP:
            return self._show(request, mistake=f"Nothing was stopped: the word to type is {STOP}.", status=422)
        with self._site.database.write() as tx:
            for what in What:
                pauses.pause(tx, what, on=True, now=clock(tx), actor=actor_of(request))
        return _done("stopped")

    def go_on(self, request: Request) -> Response:
        """Let every brake go, also those of single peers."""
        with self._site.database.write() as tx:
            for brake in pauses.pauses(tx):
                pauses.pause(tx, brake.what, peer=brake.peer, on=False, now=clock(tx), actor=actor_of(request))
        return _done("going-on")

    def _show(self, request: Request, *, mistake: str = "", status: int = 200) -> Response:
        not_ready = self._site.not_ready()
        with self._site.database.read() as tx:
            context = _context(tx, not_ready, self._site.premises.backlog_hours)
        caretaker = self._site.equipment.caretaker
        when = caretaker.backlog_hours(context["now"]) if caretaker is not None else ("", True)
        live = request.method == "GET" and not request.query_params
        return self._site.page(
            request,
            "queues.html",
            status=status,
            mistake=mistake,
            done=request.query_params.get("done", ""),
            hours=when,
            word=STOP,
            live=_LIVE_SECONDS if live else None,
            **context,
        )


def _context(tx: Session, not_ready: Sequence[str], hours: Hours | None) -> dict[str, Any]:
    above = top(tx, not_ready)
    now, waiting, brakes = above["now"], books.backlog(tx), pauses.pauses(tx)
    stopped = {what: [one.peer for one in brakes if one.what is what and one.peer] for what in OF_PEERS}
    return {
        **above,
        "backlog": waiting,
        "ahead": forecast(tx, waiting, now, hours),
        "brakes": brakes,
        "all_paused": {one.what.value for one in brakes if not one.peer},
        "readings": queues.readings(tx),
        "outbound": queues.outbound(tx, stopped[What.SEND]),
        "inbound": queues.inbound(tx, now, stopped[What.RECEIVE]),
        "outages": outages.outages(tx, now),
        "attempts": queues.next_attempts(tx),
        "switches": [(What.WORK, "Reading"), (What.SEND, "Sending"), (What.RECEIVE, "Receiving")],
    }


def _named(entries: Entries) -> tuple[What, str]:
    """Raises ConfigurationError: reading knows no peer."""
    word, peer = entries.text("what"), entries.text("peer")
    if word not in list(What):
        raise ConfigurationError(f"{word!r} cannot be paused; work, send and receive can")
    what = What(word)
    if peer and what not in OF_PEERS:
        raise ConfigurationError("reading cannot be paused for one peer; a rule can exclude its studies")
    return what, peer


def _done(word: str) -> Response:
    return RedirectResponse(f"/queues?{urlencode({'done': word})}", status_code=303)
