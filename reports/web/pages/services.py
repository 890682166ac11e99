"""Destinations that are no AE titles, on the page of peers: DICOMweb, HL7 v2, FHIR, webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node import endpoints
from dicom_node.database import clock
from dicom_node.errors import WetreadError
from dicom_node.tables import Way
from reports.web import registration
from reports.web.administration import caretaker_of
from reports.web.caretaker import Tried
from reports.web.entries import Entries, actor_of, read_entries
from reports.web.pages.peers import back_to_peers
from reports.web.rights import Right
from reports.web.site import Site

_POST = ("POST",)


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/peers/service", pages.form, Right.ADMINISTER),
        site.route("/peers/service", pages.save, Right.ADMINISTER, methods=_POST),
        site.route("/peers/service/remove", pages.remove, Right.ADMINISTER, methods=_POST),
        site.route("/peers/service/try", pages.try_out, Right.ADMINISTER, methods=_POST),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def form(self, request: Request) -> Response:
        """Everything about one service; without a name an empty form for a new one."""
        name = request.query_params.get("name", "")
        if not name:
            return self._form(request, registration.BLANK_SERVICE, new=True)
        return self._of(request, name)

    def save(self, request: Request) -> Response:
        """Add a service, or change it."""
        entries = read_entries(request)
        new, name = entries.flag("new"), entries.text("name")
        try:
            self._save(entries, name, new=new, actor=actor_of(request))
        except WetreadError as error:
            typed = registration.typed_service(entries)
            return self._form(request, typed, new=new, mistake=str(error), status=422)
        return back_to_peers("added" if new else "edited", name)

    def remove(self, request: Request) -> Response:
        """Forget a service."""
        entries = read_entries(request)
        name = entries.text("name")
        try:
            entries.must_be_sure()
            with self._site.database.write() as tx:
                endpoints.remove(tx, name, now=clock(tx), actor=actor_of(request))
        except WetreadError as error:
            return self._of(request, name, Tried(False, str(error)))
        return back_to_peers("removed", name)

    def try_out(self, request: Request) -> Response:
        """Can it be reached, and does it accept us?"""
        name = read_entries(request).text("name")
        try:
            tried = caretaker_of(self._site).try_out(name)
        except WetreadError as error:
            tried = Tried(False, str(error))
        return self._of(request, name, tried)

    def _save(self, entries: Entries, name: str, *, new: bool, actor: str) -> None:
        fields = registration.service_fields(entries, caretaker_of(self._site).credentials())
        way, url = entries.text("way"), entries.text("url")
        where = endpoints.place(url, Way(way) if way in list(Way) else None)
        with self._site.database.write() as tx:
            if new:
                endpoints.add(tx, name, where, now=clock(tx), actor=actor, **fields)
            else:
                endpoints.edit(tx, name, now=clock(tx), actor=actor, where=where, **fields)

    def _of(self, request: Request, name: str, tried: Tried | None = None) -> Response:
        try:
            with self._site.database.read() as tx:
                values = registration.shown_service(endpoints.find(tx, name))
        except WetreadError as error:
            return self._form(request, registration.BLANK_SERVICE, new=True, mistake=str(error), status=404)
        return self._form(request, values, tried=tried)

    def _form(
        self,
        request: Request,
        values: Mapping[str, Any],
        *,
        new: bool = False,
        mistake: str = "",
        tried: Tried | None = None,
        status: int = 200,
    ) -> Response:
        return self._site.page(
            request,
            "service.html",
            status=status,
            values=values,
            new=new,
            mistake=mistake,
            tried=tried,
            forms=registration.FORMS,
            credentials=[(name, name) for name in caretaker_of(self._site).credentials()],
        )
