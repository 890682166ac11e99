"""The app: which address shows what. It takes what it needs as arguments and changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from dicom_node import books, destinations, peers, turned_away
from dicom_node.database import Database, clock
from dicom_node.forecast import forecast
from dicom_node.owner import in_words
from dicom_node.tables import Way
from reports.provenance import NOTICE
from reports.web.alarms import alarms, is_silent, pulses
from reports.web.guard import Guard
from reports.web.standing import Status, age, standing
from reports.web.study import MOST_INSTANCES, dossier, draft_of, kind_of
from reports.web.worklist import Wish, newest

PAGE = 50  # studies on a page
MOST_REFUSED = 50  # callers on the page of peers
_LIVE_SECONDS = 20  # between two looks of a page that shows something moving
_MOVING = frozenset({Status.RECEIVING, Status.WAITING, Status.READING, Status.DRAFTED})
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Premises:
    """What the pages say of this installation, and where its documents lie."""

    ae_title: str
    port: int  # of the DICOM listener
    store_folder: Path
    version: str
    demonstration: bool = False  # the model that runs does not see the film


def make_app(
    premises: Premises,
    database: Database,
    *,
    not_ready: Callable[[], Sequence[str]],
    metrics: Callable[[], bytes],
) -> Starlette:
    """Build the app.

    not_ready: sentences that say why this installation cannot do its work; empty where it can.
    metrics: Prometheus text format 0.0.4; may raise SQLAlchemyError.
    """
    style = resources.files("reports.web.static").joinpath("wetread.css").read_bytes()
    templates = _templates(premises, style)
    pages = _Pages(premises, database, templates, not_ready)
    probes = _Probes(not_ready, metrics)
    routes = [
        Route("/", pages.worklist),
        Route("/study/{number:int}", pages.study),
        Route("/peers", pages.peers),
        Route("/healthz", probes.healthz),
        Route("/readyz", probes.readyz),
        Route("/metrics", probes.metrics),
        Route("/static/wetread.css", _file(style, "text/css; charset=utf-8")),
    ]
    trouble = templates.get_template("error.html")
    broken = trouble.render(
        title="Something broke",
        sentence="The page could not be made. The log of the web process says where; wetread check says whether the "
        "database and the disk are well.",
    )
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, error_page=broken)],
        exception_handlers={HTTPException: pages.absent},
    )


class _Pages:
    """The pages for people."""

    def __init__(
        self, premises: Premises, database: Database, templates: Environment, not_ready: Callable[[], Sequence[str]]
    ) -> None:
        self._premises = premises
        self._database = database
        self._templates = templates
        self._not_ready = not_ready

    def worklist(self, request: Request) -> Response:
        """Every study with one plain status, the newest first."""
        asked = request.query_params
        wish = Wish.of(asked.get("q", ""), asked.get("show", ""), asked.get("before", ""))
        live = wish.is_plain and asked.get("refresh") != "off"
        not_ready = self._not_ready()
        with self._database.read() as tx:
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
        return self._page(
            "worklist.html", now=now, wish=wish, rows=rows, older=older, live=_LIVE_SECONDS if live else None, **context
        )

    def study(self, request: Request) -> Response:
        """One study: what it is, where it is, its draft, and everything that happened to it."""
        not_ready = self._not_ready()
        with self._database.read() as tx:
            now = clock(tx)
            found = dossier(tx, request.path_params["number"], now)
            warnings = alarms(tx, now, books.backlog(tx), not_ready)
        if found is None:
            raise HTTPException(404)
        live = found.standing.status in _MOVING and request.query_params.get("refresh") != "off"
        return self._page(
            "study.html",
            now=now,
            alarms=warnings,
            found=found,
            draft=draft_of(found, self._premises.store_folder),
            most_instances=MOST_INSTANCES,
            live=_LIVE_SECONDS if live else None,
        )

    def peers(self, request: Request) -> Response:  # noqa: ARG002
        """Who may send to us, where we send to."""
        not_ready = self._not_ready()
        with self._database.read() as tx:
            now = clock(tx)
            everyone, targets = peers.everyone(tx), destinations.destinations(tx)
            warnings = alarms(tx, now, books.backlog(tx), not_ready)
            refused = turned_away.newest(tx, limit=MOST_REFUSED)
        objects = {to.name: destinations.in_words(to.objects).replace(",", ", ") for to in targets}
        services = [to for to in targets if to.way is not Way.DIMSE]
        return self._page(
            "peers.html",
            now=now,
            alarms=warnings,
            peers=everyone,
            services=services,
            objects=objects,
            refused=refused,
        )

    def absent(self, request: Request, error: Exception) -> Response:  # noqa: ARG002
        """No such page or study, or a method that no page has."""
        assert isinstance(error, HTTPException)
        title, sentence = "Not found", "There is no such page or study."
        if error.status_code == 405:
            title, sentence = "Not possible", "The pages only show; commands change things: wetread --help."
        page = self._templates.get_template("error.html").render(title=title, sentence=sentence)
        return HTMLResponse(page, status_code=error.status_code, headers=error.headers)

    def _page(self, name: str, **context: Any) -> Response:
        return HTMLResponse(self._templates.get_template(name).render(**context))


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


def _file(content: bytes, media_type: str) -> Callable[[Request], Response]:
    """A file that never changes while the process runs; its address holds its digest."""

    def answer(request: Request) -> Response:  # noqa: ARG001
        headers = {"Content-Type": media_type, "Cache-Control": "private, max-age=86400"}
        return Response(content, headers=headers)

    return answer


def _templates(premises: Premises, style: bytes) -> Environment:
    templates = Environment(
        loader=PackageLoader("reports.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"utc": _utc, "iso": _iso, "age": age, "kind": kind_of, "owner": in_words}
    templates.globals |= {
        "premises": premises,
        "notice": NOTICE,
        "style": hashlib.sha256(style).hexdigest()[:12],
        "live": None,
        "now": None,
        "here": "",
        "alarms": (),
    }
    return templates


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
