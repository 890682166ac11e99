"""For other programs: the JSON API with its document, the link into a study, and the badge for a page elsewhere."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dicom_node.database import clock
from reports.signoff.chain import standing_report
from reports.web import worklist
from reports.web.api.answers import Lookup
from reports.web.api.document import openapi
from reports.web.api.problems import Problem
from reports.web.api.studies import known_as
from reports.web.api.table import OPERATIONS
from reports.web.doors import visitor_of
from reports.web.rights import Right
from reports.web.seen import seen
from reports.web.site import Site
from reports.web.standing import MEANING, standing

_POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
_NOTHING: Final = "Give accession_number or study_instance_uid."


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        *(one.route(site) for one in OPERATIONS),
        site.route("/api/v1", pages.table, Right.OPEN),
        site.route("/api/v1/openapi.json", pages.document, Right.OPEN),
        site.route("/go", pages.go, Right.SEE),
        site.route("/badge", pages.badge, Right.STATUS),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    @cached_property
    def _document(self) -> dict[str, Any]:
        """Made when it is asked for: a program that nobody asks starts the sooner."""
        return openapi(OPERATIONS, self._site.premises.version)

    def document(self, request: Request) -> Response:  # noqa: ARG002
        """OpenAPI 3.1."""
        return JSONResponse(self._document)

    def table(self, request: Request) -> Response:
        """The operations, for people."""
        return self._site.page(request, "api.html", operations=OPERATIONS)

    def go(self, request: Request) -> Response:
        """From another program into a study, by what that knows of it."""
        try:
            with self._site.database.read() as tx:
                number = _known(tx, request)
                report = standing_report(tx, number) is not None
        except Problem as error:
            return self._site.page(
                request, "error.html", status=error.status, title="No study is shown", sentence=error.sentence
            )
        return RedirectResponse(f"/study/{number}/report" if report else f"/study/{number}", status_code=303)

    def badge(self, request: Request) -> Response:
        """The status of one study, small enough for a page of the RIS; framed by configured origins alone."""
        template = self._site.templates.get_template("badge.html")
        try:
            with self._site.database.read() as tx:
                number, now = _known(tx, request), clock(tx)
                wanted, hours = worklist.revisions(tx, [number]), self._site.premises.backlog_hours
                facts = worklist.facts_of(tx, wanted, now, hours)[0]
                where = standing(facts, now)
        except Problem as error:
            made = HTMLResponse(template.render(status=None, sentence=error.sentence), status_code=error.status)
        else:
            seen(self._site.database, visitor_of(request), number, "search")
            made = HTMLResponse(template.render(status=where.status, sentence=MEANING[where.status], number=number))
        made.headers["Content-Security-Policy"] = _POLICY + (" ".join(self._site.premises.access.framers) or "'none'")
        return made


def _known(tx: Session, request: Request) -> int:
    """The study that the address means. Raises Problem."""
    try:
        wanted = Lookup.model_validate(dict(request.query_params))
    except ValidationError:
        raise Problem(422, "invalid", _NOTHING) from None
    return known_as(tx, wanted)
