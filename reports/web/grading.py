"""The pages of a reader study, an app of its own: a film, one report about it, four grades, and nothing that says more.

It has the package and the grades and no way to the key. Every address but the link and the styles is for raters alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from dicom_node.database import Database, clock
from dicom_node.errors import NotFound, WrongState
from reports.grading import grading, raters
from reports.grading.package import FILMS, Package, PackedFilm
from reports.grading.tables import GRADE_WORDS, LONGEST_COMMENT, Grade, Rater
from reports.people.rights import Right, Visitor
from reports.web.access import Access
from reports.web.assets import Assets
from reports.web.doors import visitor_of
from reports.web.fields import Fields, typed, wants_json
from reports.web.guard import Guard
from reports.web.site import Equipment, Premises, Site, make_templates, static_files

_KEEP: Final = "private, max-age=600"  # a film comes twice, and the next one is fetched ahead
_STAYS: Final = 180 * 86400  # seconds that a browser keeps the rater's session
_RIGHTS: Final = frozenset({Right.OPEN, Right.SEE, Right.EDIT})
_VOID: Final = "This link was used already, or replaced by a newer one. Ask the investigator for a new link."
_WITHOUT: Final = (
    "These pages open with the personal link that the investigator gave you, in the browser in which it was first "
    "used. If you have lost it, ask for a new one: your grades are kept."
)


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Knows raters by the session that their link began."""

    database: Database
    secure: bool

    @property
    def cookie(self) -> str:
        """A browser takes a name with this prefix over https only, for this host alone (RFC 6265bis, 4.1.3.2)."""
        return "__Host-wetread-rater" if self.secure else "wetread-rater"

    def visitor(self, request: Request) -> Visitor | None:
        """The rater, or None."""
        session = request.cookies.get(self.cookie, "")
        if not session:
            return None
        with self.database.read() as tx:
            rater = raters.known(tx, session)
        return Visitor(rater.id, rater.name, _RIGHTS) if rater is not None else None

    def admit(self, response: Response, session: str) -> None:
        """Let the browser keep the session, so that it goes on after it was closed."""
        response.set_cookie(
            self.cookie, session, max_age=_STAYS, path="/", secure=self.secure, httponly=True, samesite="lax"
        )


def make_grading_app(
    package: Package,
    database: Database,
    *,
    version: str,
    session: Callable[[], str],
    access: Access = Access(),  # noqa: B008  frozen
) -> Starlette:
    """Build the app. session: makes a secret of at least 128 bits."""
    premises = Premises("", 0, package.folder, version, access=access)
    files = static_files()
    templates = make_templates(premises, files)
    templates.globals |= {"grades": tuple(GRADE_WORDS.items()), "title": package.title}
    doorkeeper = Doorkeeper(database, premises.secure)
    site = Site(premises, database, templates, lambda: (), Equipment(porter=doorkeeper))
    pages, ways, films = _Grading(site, package), _Ways(site, doorkeeper, session), _Films(package)
    routes: list[BaseRoute] = [
        site.route("/", pages.start, Right.SEE),
        site.route("/item/{position:int}", pages.item, Right.SEE),
        site.route("/item/{position:int}", typed(pages.grade), Right.EDIT, methods=("POST",)),
        site.route("/finish", pages.end, Right.SEE),
        site.route("/finish", typed(pages.finish), Right.EDIT, methods=("POST",)),
        site.route("/film/{film}/{product}", films.file, Right.SEE),
        site.route("/enter/{link}", ways.look, Right.OPEN),
        site.route("/enter/{link}", ways.enter, Right.OPEN, methods=("POST",)),
        site.route("/sign-in", ways.closed, Right.OPEN),
        site.route("/static/{name}", Assets(files).file, Right.OPEN),
        site.route("/healthz", lambda _request: PlainTextResponse("alive\n"), Right.OPEN),
    ]
    broken = _message(
        templates, "Something broke", "The page could not be made. Tell the investigator. Grades are kept."
    )
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, error_page=broken, access=access)],
        exception_handlers={HTTPException: _Refusals(templates).answer},
    )


@dataclass(frozen=True, slots=True)
class _Grading:
    """What a rater sees and does."""

    site: Site
    package: Package

    def start(self, request: Request) -> Response:
        """What the study asks, and how far the rater is."""
        with self.site.database.read() as tx:
            standing = grading.progress(tx, _rater(tx, request))
        following = standing.left[0] if standing.left else None
        return self.site.page(request, "grading_start.html", standing=standing, following=following)

    def item(self, request: Request) -> Response:
        """A film and a report."""
        position = request.path_params["position"]
        with self.site.database.write() as tx:
            rater = _rater(tx, request)
            if rater.finished_at is not None:
                return RedirectResponse("/", status_code=303)
            try:
                turn = grading.turn(tx, rater, position)
            except NotFound:
                raise HTTPException(404, "There is no report of that number.") from None
            grading.shown(tx, rater, position, clock(tx))
            standing = grading.progress(tx, rater)
            ahead = min(position + 1, standing.of)
            following = grading.turn(tx, rater, ahead).item
        shown = self.package.items[turn.item]
        film = _film(self.package.films[shown.film])
        reading = {
            "film": film,
            "next": _addresses(self.package.films[self.package.items[following].film]),
            "position": position,
            "of": standing.of,
        }
        return self.site.page(
            request, "grading_item.html", turn=turn, text=shown.text, standing=standing, reading=reading,
            longest=LONGEST_COMMENT,
        )  # fmt: skip

    def grade(self, request: Request, fields: Fields) -> Response:
        """Keep the grade; the answer comes when it is on the disk."""
        position = request.path_params["position"]
        sheet = _sheet(fields)
        try:
            with self.site.database.write() as tx:
                rater = _rater(tx, request)
                grading.grade(tx, rater, position, sheet, clock(tx))
                standing = grading.progress(tx, rater)
        except NotFound:
            raise HTTPException(404, "There is no report of that number.") from None
        except WrongState as error:
            raise HTTPException(409, str(error)) from error
        onward = _onward(standing, position)
        if wants_json(request):
            return JSONResponse({"onward": onward, "graded": standing.graded})
        return RedirectResponse(onward, status_code=303)

    def end(self, request: Request) -> Response:
        """Before the last step: what has no grade."""
        with self.site.database.read() as tx:
            standing = grading.progress(tx, _rater(tx, request))
        if standing.finished_at is not None:
            return RedirectResponse("/", status_code=303)
        return self.site.page(request, "grading_finish.html", standing=standing)

    def finish(self, request: Request, fields: Fields) -> Response:
        """Close the rater's part."""
        try:
            with self.site.database.write() as tx:
                grading.finish(tx, _rater(tx, request), clock(tx), leaving=fields.get("leaving") == "yes")
        except WrongState as error:
            raise HTTPException(409, f"{error} Say on the page before that you leave them so.") from error
        return RedirectResponse("/", status_code=303)


@dataclass(frozen=True, slots=True)
class _Ways:
    """How a rater comes in."""

    site: Site
    doorkeeper: Doorkeeper
    session: Callable[[], str]

    def look(self, request: Request) -> Response:
        """What a link opens; looking at it does not use it up, as programs that read mail do."""
        with self.site.database.read() as tx:
            rater = raters.expected(tx, request.path_params["link"])
        if rater is None:
            if self.doorkeeper.visitor(request) is not None:
                return RedirectResponse("/", status_code=303)
            return HTMLResponse(_message(self.site.templates, "This link is void", _VOID), status_code=410)
        return self.site.page(request, "grading_enter.html", name=rater.name)

    def enter(self, request: Request) -> Response:
        """Use the link up."""
        session = self.session()
        with self.site.database.write() as tx:
            rater = raters.enter(tx, request.path_params["link"], session)
        if rater is None:
            return self.look(request)
        response = RedirectResponse("/", status_code=303)
        self.doorkeeper.admit(response, session)
        return response

    def closed(self, request: Request) -> Response:  # noqa: ARG002
        """Where nobody is known."""
        return HTMLResponse(_message(self.site.templates, "Your link, please", _WITHOUT), status_code=401)


@dataclass(frozen=True, slots=True)
class _Films:
    """The two files of a film, as they were packed."""

    package: Package
    kinds: Mapping[str, tuple[str, str, str]] = field(
        default_factory=lambda: {
            "preview": ("jpg", "image/jpeg", ""),
            "pixels": ("film", "application/octet-stream", "gzip"),
        }
    )

    def file(self, request: Request) -> Response:
        """One of them; the name must be in the list."""
        film, kind = request.path_params["film"], self.kinds.get(request.path_params["product"])
        if film not in self.package.films or kind is None:
            raise HTTPException(404)
        suffix, media_type, encoding = kind
        headers = {"Cache-Control": _KEEP, "Vary": "Cookie", **({"Content-Encoding": encoding} if encoding else {})}
        path = self.package.folder / FILMS / f"{film}.{suffix}"
        if not path.is_file():
            detail = {"code": "file-missing", "detail": "The film is gone from the package. Tell the investigator."}
            return JSONResponse(detail, status_code=410)
        return FileResponse(path, media_type=media_type, headers=headers)


class _Refusals:
    """What is said where a page is not shown."""

    def __init__(self, templates: Environment) -> None:
        self._templates = templates

    def answer(self, request: Request, error: Exception) -> Response:
        """Words for people, JSON for scripts."""
        assert isinstance(error, HTTPException)
        usual = error.detail in {"", HTTPStatus(error.status_code).phrase}
        sentence = "There is no such page." if usual else error.detail
        if wants_json(request):
            return JSONResponse({"detail": sentence}, status_code=error.status_code, headers=error.headers)
        page = _message(self._templates, "Not possible", sentence)
        return HTMLResponse(page, status_code=error.status_code, headers=error.headers)


def _rater(tx: Any, request: Request) -> Rater:
    rater: Rater = tx.get_one(Rater, visitor_of(request).user_id)
    return rater


def _sheet(fields: Fields) -> grading.Sheet:
    """Raises HTTPException: no such grade or number."""
    try:
        seconds = float(fields.get("seconds") or 0)
        chosen = Grade(fields.get("grade", ""))
        version = int(fields.get("version", ""))
    except ValueError as error:
        raise HTTPException(400, "A grade is A, B, C or D.") from error
    return grading.Sheet(chosen, fields.get("comment", ""), version, seconds if math.isfinite(seconds) else 0.0)


def _onward(standing: grading.Progress, position: int) -> str:
    """The next one without a grade; from the last one back to those that were left out; then the end."""
    after = [left for left in standing.left if left > position] or list(standing.left)
    return f"/item/{after[0]}" if after else "/finish"


def _addresses(film: PackedFilm) -> dict[str, str]:
    return {"preview": f"/film/{film.id}/preview", "pixels": f"/film/{film.id}/pixels"}


def _film(film: PackedFilm) -> dict[str, Any]:
    """As the viewer takes it."""
    return {"id": film.id, **_addresses(film), "facts": dict(film.facts), "words": [], "trouble": None}


def _message(templates: Environment, heading: str, sentence: str) -> str:
    return templates.get_template("grading_message.html").render(visitor=None, heading=heading, sentence=sentence)
