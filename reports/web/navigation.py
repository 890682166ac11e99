"""Where the header of every page leads to: places that exist, for those who may go there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment
from starlette.routing import BaseRoute, Route

from reports.web.rights import Right, Visitor


@dataclass(frozen=True, slots=True)
class Place:
    """A page in the header of who has the right. here: what its template sets as `here`. key: pressed after g."""

    path: str
    words: str
    right: Right
    here: str
    key: str


PLACES: Final = (
    Place("/", "Worklist", Right.SEE, "worklist", "w"),
    Place("/quality", "Quality", Right.QUALITY, "quality", "q"),
    Place("/peers", "Peers", Right.ADMINISTER, "peers", "p"),
    Place("/rules", "Rules", Right.ADMINISTER, "rules", "r"),
    Place("/queues", "Queues", Right.ADMINISTER, "queues", "u"),
    Place("/dead-letters", "Dead letters", Right.ADMINISTER, "dead-letters", "d"),
    Place("/models", "Models", Right.ADMINISTER, "models", "m"),
    Place("/users", "Users", Right.PEOPLE, "users", "s"),
    Place("/audit", "Audit", Right.AUDIT, "audit", "a"),
    Place("/check", "Check", Right.ADMINISTER, "check", "c"),
)


def landing(places: Iterable[Place], visitor: Visitor, wanted: str) -> str:
    """Where somebody comes out who has signed in: who asked for nothing, at the first page that this person may see."""
    if wanted != "/":
        return wanted
    return next((place.path for place in places if visitor.may(place.right)), "/account")


def shown(templates: Environment) -> tuple[Place, ...]:
    """The places that the pages of these templates lead to."""
    places = templates.globals["navigation"]
    assert isinstance(places, tuple)
    return places


def navigation(routes: Iterable[BaseRoute]) -> tuple[Place, ...]:
    """The places that this app has a page for."""
    paths = {route.path for route in routes if isinstance(route, Route)}
    return tuple(place for place in PLACES if place.path in paths)
