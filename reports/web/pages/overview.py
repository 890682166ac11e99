"""The pages that show where every study is: worklist and study."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node import books, peers
from dicom_node.database import clock
from dicom_node.forecast import forecast
from reports.web.alarms import alarms, is_silent, pulses
from reports.web.rights import Right
from reports.web.site import Site
from reports.web.standing import Status, standing
from reports.web.study import MOST_INSTANCES, dossier, draft_of
from reports.web.worklist import Wish, newest

PAGE = 50  # studies on a page
_LIVE_SECONDS = 20  # between two looks of a page that shows something moving
_MOVING = frozenset({Status.RECEIVING, Status.WAITING, Status.READING, Status.DRAFTED})


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/", pages.worklist, Right.SEE),
        site.route("/study/{number:int}", pages.study, Right.SEE),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def worklist(self, request: Request) -> Response:
        """Every study with one plain status, the newest first."""
        asked = request.query_params
        wish = Wish.of(asked.get("q", ""), asked.get("show", ""), asked.get("before", ""))
        live = wish.is_plain and asked.get("refresh") != "off"
        not_ready = self._site.not_ready()
        with self._site.database.read() as tx:
            now = clock(tx)
            found = newest(tx, wish, limit=PAGE + 1)
            waiting = books.backlog(tx)
            context: dict[str, Any] = {
                "alarms": alarms(tx, now, waiting, not_ready),
                "backlog": waiting,
                "ahead": forecast(tx, waiting, now),
                "pulses": [(pulse, is_silent(pulse, now)) for pulse in pulses(tx, now)],
                "senders": peers.titles(tx, senders=True),
            }
        rows = [(facts, standing(facts, now)) for facts in found[:PAGE]]
        older = found[PAGE - 1].revision.study_id if len(found) > PAGE else None
        return self._site.page(
            request,
            "worklist.html",
            now=now,
            wish=wish,
            rows=rows,
            older=older,
            live=_LIVE_SECONDS if live else None,
            **context,
        )

    def study(self, request: Request) -> Response:
        """One study: what it is, where it is, its draft, and everything that happened to it."""
        not_ready = self._site.not_ready()
        with self._site.database.read() as tx:
            now = clock(tx)
            found = dossier(tx, request.path_params["number"], now)
            warnings = alarms(tx, now, books.backlog(tx), not_ready)
        if found is None:
            raise HTTPException(404)
        live = found.standing.status in _MOVING and request.query_params.get("refresh") != "off"
        return self._site.page(
            request,
            "study.html",
            now=now,
            alarms=warnings,
            found=found,
            draft=draft_of(found, self._site.premises.store_folder),
            most_instances=MOST_INSTANCES,
            live=_LIVE_SECONDS if live else None,
        )
