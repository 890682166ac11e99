"""The app: which address shows what. It takes what it needs as arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from jinja2 import Environment
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute

from dicom_node.database import Database
from reports.web.api.problems import PREFIX, problem
from reports.web.assets import Assets
from reports.web.doors import OnlyKnown, visitor_of
from reports.web.guard import Guard
from reports.web.navigation import navigation
from reports.web.pages import (
    account,
    api,
    audit,
    entrance,
    events,
    films,
    installation,
    letters,
    oidc,
    overview,
    peers,
    quality,
    questions,
    queues,
    report,
    rules,
    services,
    users,
    worklist,
)
from reports.web.rights import Right
from reports.web.site import Equipment, Premises, Site, StaticFile, make_templates, static_files

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TITLES: Final = MappingProxyType({401: "Sign in first", 403: "Not allowed", 404: "Not found", 405: "Not possible"})
_SENTENCES: Final = MappingProxyType(
    {
        403: "Your account has no right to this. An administrator can give it, on the page Users.",
        404: "There is no such page or study.",
        405: "This address cannot do that.",
    }
)


def make_app(
    premises: Premises,
    database: Database,
    *,
    not_ready: Callable[[], Sequence[str]],
    metrics: Callable[[], bytes],
    equipment: Equipment | None = None,
) -> Starlette:
    """Build the app.

    not_ready: sentences that say why this installation cannot do its work; empty where it can.
    metrics: Prometheus text format 0.0.4; may raise SQLAlchemyError.
    """
    files = static_files()
    templates = make_templates(premises, files)
    equipment = equipment or Equipment()
    if premises.access.is_public:
        equipment = replace(equipment, porter=OnlyKnown(equipment.porter))
    site = Site(premises, database, templates, not_ready, equipment)
    trouble = templates.get_template("error.html")
    broken = trouble.render(
        visitor=None,
        title="Something broke",
        sentence="The page could not be made. The log of the web process says where; wetread check says whether the "
        "database and the disk are well.",
    )
    routes = _routes(site, files, metrics)
    templates.globals["navigation"] = navigation(routes)
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, error_page=broken, access=premises.access)],
        exception_handlers={HTTPException: _Refusals(templates).answer},
    )


def _routes(site: Site, files: Mapping[str, StaticFile], metrics: Callable[[], bytes]) -> list[BaseRoute]:
    probes = _Probes(site.not_ready, metrics)
    return [
        *worklist.routes(site),
        *events.routes(site),
        *overview.routes(site),
        *report.routes(site),
        *questions.routes(site),
        *entrance.routes(site),
        *oidc.routes(site),
        *account.routes(site),
        *users.routes(site),
        *peers.routes(site),
        *services.routes(site),
        *queues.routes(site),
        *letters.routes(site),
        *rules.routes(site),
        *audit.routes(site),
        *installation.routes(site),
        *quality.routes(site),
        *films.routes(site),
        *api.routes(site),
        site.route("/healthz", probes.healthz, Right.OPEN),
        site.route("/readyz", probes.readyz, Right.OPEN),
        site.route("/metrics", probes.metrics, Right.OPEN),
        site.route("/static/{name}", Assets(files).file, Right.OPEN),
    ]


class _Refusals:
    """What is said where a page is not shown: words for people, JSON for programs."""

    def __init__(self, templates: Environment) -> None:
        self._templates = templates

    def answer(self, request: Request, error: Exception) -> Response:
        """No such page or study, a method that no page has, or no right to it."""
        assert isinstance(error, HTTPException)
        title = _TITLES.get(error.status_code, "Not possible")
        usual = error.detail in {"", HTTPStatus(error.status_code).phrase}
        sentence = _SENTENCES.get(error.status_code, error.detail) if usual else error.detail
        if request.url.path.startswith(PREFIX):
            return problem(error.status_code, sentence, headers=error.headers)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"detail": sentence}, status_code=error.status_code, headers=error.headers)
        page = self._templates.get_template("error.html").render(
            visitor=visitor_of(request), title=title, sentence=sentence
        )
        return HTMLResponse(page, status_code=error.status_code, headers=error.headers)


class _Probes:
    """The answers for machines."""

    def __init__(self, not_ready: Callable[[], Sequence[str]], metrics: Callable[[], bytes]) -> None:
        self._not_ready = not_ready
        self._metrics = metrics

    def healthz(self, request: Request) -> Response:  # noqa: ARG002
        """Is the process alive?"""
        return PlainTextResponse("alive\n")

    def readyz(self, request: Request) -> Response:  # noqa: ARG002
        """Can this installation do its work? 503 and one reason a line where not."""
        reasons = self._not_ready()
        if reasons:
            return PlainTextResponse("".join(f"{reason}\n" for reason in reasons), status_code=503)
        return PlainTextResponse("ready\n")

    def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Prometheus text. 503 where the database does not answer."""
        try:
            return Response(self._metrics(), headers={"Content-Type": _METRICS_TYPE})
        except SQLAlchemyError:
            return PlainTextResponse("the database does not answer\n", status_code=503)
