"""Pages about this installation: the model, the checks, what was refused, and the papers for the PACS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node import refused
from dicom_node.errors import ConfigurationError
from reports import handout
from reports.handout import Handout, Prose, Table, Typed
from reports.web import speed
from reports.web.administration import caretaker_of, top
from reports.web.alarms import is_silent, pulses
from reports.web.caretaker import Verdict
from reports.web.rights import Right
from reports.web.site import Site

MOST_REFUSED = 200


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/models", pages.models, Right.ADMINISTER),
        site.route("/models/verify", pages.verify, Right.ADMINISTER, methods=("POST",)),
        site.route("/check", pages.check, Right.ADMINISTER),
        site.route("/quarantine", pages.quarantine, Right.ADMINISTER),
        site.route("/sheet", pages.sheet, Right.ADMINISTER),
        site.route("/sheet.{form}", pages.sheet_file, Right.ADMINISTER),
        site.route("/conformance", pages.conformance, Right.ADMINISTER),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def models(self, request: Request) -> Response:
        """What reads here, on which machines, and how fast."""
        return self._models(request, ())

    def verify(self, request: Request) -> Response:
        """Read all of the model, and compare. Changes nothing."""
        return self._models(request, caretaker_of(self._site).verify_model())

    def check(self, request: Request) -> Response:
        """What `wetread check` says now. Asks every peer, so it takes some seconds."""
        found = caretaker_of(self._site).check()
        return self._site.page(request, "check.html", found=found)

    def quarantine(self, request: Request) -> Response:
        """What was refused for its content, and who sent it."""
        folder = self._folder()
        with self._site.database.read() as tx:
            context = top(tx, ())
            found = refused.newest(tx, folder, limit=MOST_REFUSED)
        return self._site.page(request, "quarantine.html", found=found, most=MOST_REFUSED, **context)

    def sheet(self, request: Request) -> Response:
        """The sheet for the administrator of the PACS."""
        return self._handout(request, self._sheet(request), "/sheet")

    def sheet_file(self, request: Request) -> Response:
        """The same as a file."""
        form, paper = request.path_params["form"], self._sheet(request)
        if form == "txt":
            content, kind = handout.as_text(paper).encode(), "text/plain; charset=utf-8"
        elif form == "pdf":
            content, kind = caretaker_of(self._site).printed(paper), "application/pdf"
        else:
            raise HTTPException(404)
        headers = {"Content-Disposition": f'attachment; filename="wetread-sheet.{form}"'}
        return Response(content, media_type=kind, headers=headers)

    def conformance(self, request: Request) -> Response:
        """The DICOM conformance statement."""
        return self._handout(request, caretaker_of(self._site).statement(), "/conformance")

    def _sheet(self, request: Request) -> Handout:
        try:
            return caretaker_of(self._site).sheet(request.query_params.get("host", "")[:255].strip())
        except ConfigurationError as error:
            raise HTTPException(400, str(error)) from error

    def _handout(self, request: Request, paper: Handout, address: str) -> Response:
        kinds = {Prose: "prose", Table: "table", Typed: "typed"}
        sections = [(one, [(kinds[type(block)], block) for block in one.blocks]) for one in paper.sections]
        host = request.query_params.get("host", "")
        return self._site.page(request, "handout.html", paper=paper, sections=sections, address=address, host=host)

    def _models(self, request: Request, verified: Sequence[Verdict]) -> Response:
        with self._site.database.read() as tx:
            context = top(tx, self._site.not_ready())
            now = context["now"]
            workers = [one for one in pulses(tx, now) if one.name.partition("@")[0] == "work"]
            paces = speed.paces(tx)
        return self._site.page(
            request,
            "models.html",
            model=caretaker_of(self._site).model(),
            workers=[(one, is_silent(one, now)) for one in workers],
            paces=paces,
            newest=speed.NEWEST,
            verified=verified,
            **context,
        )

    def _folder(self) -> Path:
        return caretaker_of(self._site).quarantine_folder()
