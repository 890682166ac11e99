"""The page of one study: what it is, where it is, and everything that happened to it."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node import books
from dicom_node.database import clock
from reports.web.alarms import alarms
from reports.web.rights import Right
from reports.web.site import Site
from reports.web.standing import Status
from reports.web.study import MOST_INSTANCES, dossier, draft_of

_LIVE_SECONDS = 20  # between two looks of a page that shows something moving
_MOVING = frozenset({Status.RECEIVING, Status.WAITING, Status.READING, Status.DRAFTED})


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/study/{number:int}", pages.study, Right.SEE),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

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
