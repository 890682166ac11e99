"""The page of one study: what it is, where it is, everything that happened to it, and what a person can do with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node import books
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError, WetreadError
from dicom_node.tables import Study
from reports.web.alarms import alarms
from reports.web.doors import visitor_of
from reports.web.entries import Entries, actor_of, read_entries
from reports.web.film import Shelved, all_films
from reports.web.handling import ACTS, Order, act, offered
from reports.web.looking import Looked, Unseen, looked
from reports.web.rights import Right
from reports.web.seen import seen
from reports.web.site import Site
from reports.web.standing import Status
from reports.web.study import MOST_INSTANCES, dossier, draft_of

_LIVE_SECONDS = 20  # between two looks of a page that shows something moving
_MOVING: Final = frozenset({Status.RECEIVING, Status.WAITING, Status.READING, Status.DRAFTED, Status.SIGNED})

_LOOKED_AT: Final = frozenset({Status.HELD, Status.EXCLUDED})  # no report shows their film, and a person decides


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    page = "/study/{number:int}"
    acts = [
        site.route(f"{page}/{verb}", partial(pages.act, verb), one.right, methods=("POST",))
        for verb, one in ACTS.items()
    ]
    return [site.route(page, pages.study, Right.SEE), *acts]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def study(self, request: Request) -> Response:
        """One study: what it is, where it is, its draft, and everything that happened to it."""
        visitor, number = visitor_of(request), request.path_params["number"]
        answer = self._show(request)
        seen(self._site.database, visitor, number, "study")
        return answer

    def act(self, verb: str, request: Request) -> Response:
        """Do something with it; then show it, or why that was not possible."""
        entries, number = read_entries(request), request.path_params["number"]
        try:
            if ACTS[verb].sure and not entries.flag("sure"):
                raise ConfigurationError(f"Not done. Check the box first: {ACTS[verb].sure}.")
            eyes = self._looked(number, entries) if ACTS[verb].looks else None
            with self._site.database.write() as tx:
                found = tx.get(Study, number) if number < 1 << 31 else None
                if found is None:
                    raise HTTPException(404)
                shown = eyes.must_be_all(_films(tx, number)) if eyes else 0  # also of what has come just now
                act(tx, found, verb, clock(tx), Order(actor_of(request), entries.text("reason"), shown))
        except WetreadError as error:
            return self._show(request, fault=error, status=422)
        return RedirectResponse(f"/study/{number}?done={verb}", status_code=303)

    def _looked(self, number: int, entries: Entries) -> Looked:
        """What the person has had before the eyes, as the page says."""
        with self._site.database.read() as tx:
            films = _films(tx, number)
        numbers = (one for one in entries.several("shown") if one.isascii() and one.isdecimal() and len(one) <= 9)
        return looked(films, self._site.equipment.films, frozenset(int(one) for one in numbers))

    def _show(self, request: Request, *, fault: WetreadError | None = None, status: int = 200) -> Response:
        not_ready = self._site.not_ready()
        with self._site.database.read() as tx:
            now = clock(tx)
            found = dossier(tx, request.path_params["number"], now, self._site.premises.backlog_hours)
            warnings = alarms(tx, now, books.backlog(tx), not_ready)
        if found is None:
            raise HTTPException(404)
        acts = offered(found, visitor_of(request))
        film = found.standing.status in _LOOKED_AT or any(one.looks for one in acts)
        live = (
            found.standing.status in _MOVING and not film and request.query_params.get("refresh") != "off" and not fault
        )
        done = ACTS.get(request.query_params.get("done", ""))
        command = next(iter(found.standing.commands), "wetread study confirm")
        return self._site.page(
            request,
            "study.html",
            status=status,
            now=now,
            alarms=warnings,
            found=found,
            draft=draft_of(found, self._site.premises.store_folder),
            most_instances=MOST_INSTANCES,
            acts=acts,
            film=film,
            fault=str(fault or ""),
            command=command,
            elsewhere=isinstance(fault, Unseen),
            said=f"Done: {done.words}." if done else "",
            live=_LIVE_SECONDS if live else None,
        )


def _films(tx: Session, number: int) -> Sequence[Shelved]:
    """Raises HTTPException: there is no such study."""
    found = all_films(tx, number)
    if found is None:
        raise HTTPException(404)
    return found
