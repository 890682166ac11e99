"""An operation as data, and the address that is made of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node.errors import NotFound, StoreAway, WetreadError
from reports.web.api.answers import NoQuery, Strict
from reports.web.api.problems import Problem, problem
from reports.web.bodies import NOTHING_HAS_NUL
from reports.web.json_body import has_nul
from reports.web.rights import Right
from reports.web.site import Site


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read. number: of the study in the address, 0 where there is none. query, body: as the table says."""

    request: Request
    site: Site
    number: int
    query: Any
    body: Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that programs can do. answer: a model, or a whole response where it is no JSON.

    problems: status and when, beside those that every operation has. media: of an answer that is no JSON.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    right: Right
    summary: str
    answer: Callable[[Asked], Strict | Response]
    returns: type[Strict] | None
    query: type[Strict] = NoQuery
    body: type[Strict] | None = None
    problems: Mapping[int, str] | None = None
    media: str = "application/json"

    def route(self, site: Site) -> Route:
        """Its address, behind its door."""

        async def endpoint(request: Request) -> Response:
            try:
                content = await request.body() if self.body is not None else b""
                return await run_in_threadpool(self._answered, site, request, content)
            except Problem as error:
                return problem(error.status, error.sentence, code=error.code, more=error.more)

        return site.route(self.path, endpoint, self.right, methods=(self.method,))

    def _answered(self, site: Site, request: Request, content: bytes) -> Response:
        asked = Asked(
            request,
            site,
            int(request.path_params.get("number", 0)),
            _read(self.query, _query(request)),
            _body(self.body, request, content),
        )
        try:
            made = self.answer(asked)
        except Problem:
            raise
        except NotFound as error:
            raise Problem(404, "not-found", str(error)) from error
        except StoreAway as error:
            raise Problem(503, "store-away", "Its document cannot be read now; ask again later.") from error
        except WetreadError as error:
            raise Problem(409, "refused", str(error)) from error
        if isinstance(made, Response):
            return made
        return Response(made.model_dump_json(), media_type="application/json")


def _query(request: Request) -> dict[str, str]:
    pairs = request.query_params.multi_items()
    if len({name for name, _ in pairs}) < len(pairs):
        raise Problem(422, "invalid", "Each parameter may be given once.")
    return dict(pairs)


def _body(model: type[BaseModel] | None, request: Request, content: bytes) -> BaseModel | None:
    if model is None:
        return None
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "no-json", "Send it as application/json.")
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise Problem(422, "invalid", "The body is no JSON.") from None
    if has_nul(told):
        raise Problem(422, "invalid", NOTHING_HAS_NUL)
    return _read(model, told, strict=True)


def _read(model: type[BaseModel], told: Any, *, strict: bool = False) -> BaseModel:
    """Values stay out of what is said: some are a patient's."""
    try:
        return model.model_validate_json(json.dumps(told), strict=True) if strict else model.model_validate(told)
    except ValidationError as error:
        faults = [f"{'.'.join(str(part) for part in one['loc'])}: {one['type']}" for one in error.errors()[:10]]
        raise Problem(422, "invalid", "; ".join(faults) or "invalid") from None
