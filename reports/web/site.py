"""What every page works with: the installation, its database, its templates, and what the application lends to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from dicom_node.database import Database
from dicom_node.hours import Hours
from dicom_node.owner import in_words
from reports.config import ReportsConfig
from reports.people.provider import Provider
from reports.people.service import People
from reports.provenance import NOTICE
from reports.signoff.service import SignOff
from reports.viewer_link import ViewerLink
from reports.web.access import Access
from reports.web.bodies import LARGEST_FORM
from reports.web.caretaker import Caretaker
from reports.web.doors import OpenHouse, Porter, door, visitor_of
from reports.web.film import Films
from reports.web.identity import IdentityCheck, ask_nobody
from reports.web.modules import module
from reports.web.rights import Right
from reports.web.standing import age
from reports.web.study import kind_of
from reports.web.sums import Ledger
from reports.web.wording import Claims, no_claims

_MEDIA_TYPES: Final = MappingProxyType(
    {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
)


@dataclass(frozen=True, slots=True)
class Premises:
    """What the pages say of this installation, and where its documents lie."""

    ae_title: str
    port: int  # of the DICOM listener; the one for TLS where there is no other
    store_folder: Path
    version: str
    demonstration: bool = False  # the model that runs is not for clinical use
    strangers_may_verify: bool = True
    access: Access = field(default_factory=Access)
    reading: ReportsConfig = field(default_factory=ReportsConfig)  # how headers are read
    backlog_hours: Hours | None = None  # in which studies of priority backlog are read; None: always

    @property
    def secure(self) -> bool:
        """Does every browser come by https, so that cookies may insist on it?"""
        return self.access.is_secure


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the application lends to the pages; each thing may be missing, and then its pages say so."""

    porter: Porter = field(default_factory=OpenHouse)
    people: People | None = None
    oidc: Provider | None = None  # where people sign in elsewhere
    caretaker: Caretaker | None = None
    films: Films | None = None  # decodes stored films
    viewer_link: ViewerLink | None = None  # to the site's own viewer
    signoff: SignOff | None = None
    whose_study: IdentityCheck = ask_nobody
    claims: Claims = no_claims


@dataclass(frozen=True, slots=True)
class Site:
    """Passed to every module of pages; each has `routes(site)`."""

    premises: Premises
    database: Database
    templates: Environment
    not_ready: Callable[[], Sequence[str]]
    equipment: Equipment
    ledger: Ledger = field(default_factory=Ledger)

    def page(self, request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
        """Render a template for who asks. In it: `visitor`, and what `make_templates` gives to all."""
        made = self.templates.get_template(template).render(visitor=visitor_of(request), **context)
        return HTMLResponse(made, status_code=status)

    def route(
        self,
        path: str,
        endpoint: Callable[[Request], Any],
        right: Right,
        *,
        methods: Sequence[str] = ("GET",),
        largest: int = LARGEST_FORM,
    ) -> Route:
        """An address behind the right that it needs. largest: bytes that a request may carry."""
        return door(self.equipment.porter, path, endpoint, right, methods=methods, largest=largest)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that is the same for everybody."""

    content: bytes
    media_type: str
    digest: str


def static_files() -> Mapping[str, StaticFile]:
    """Styles, scripts and drawings of the pages, by name."""
    found = {}
    for one in sorted(resources.files("reports.web.static").iterdir(), key=lambda entry: entry.name):
        media_type = _MEDIA_TYPES.get(Path(one.name).suffix)
        if media_type:
            content = one.read_bytes()
            found[one.name] = StaticFile(content, media_type, hashlib.sha256(content).hexdigest()[:12])
    return MappingProxyType(found)


def make_templates(premises: Premises, files: Mapping[str, StaticFile]) -> Environment:
    """Templates with what all of them may use.

    In them `asset("name.css")` is the address of a static file, `module("name.js")` what runs a script.
    """
    scripts = {name: one.content for name, one in files.items()}
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
        "asset": lambda name: f"/static/{name}?{files[name].digest}",
        "module": lambda name: module(name, scripts),
        "live": None,
        "now": None,
        "here": "",
        "alarms": (),
        "said": "",
        "scripted": False,
        "navigation": (),
    }
    return templates


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
