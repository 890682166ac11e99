"""The OpenAPI 3.1 document, made of the table of operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from reports.web.api.answers import ProblemAnswer
from reports.web.api.operations import Operation
from reports.web.api.problems import MEDIA_TYPE
from reports.web.rights import WITHIN, Right

_REFERENCE: Final = "#/components/schemas/{model}"
_EVERYWHERE: Final = (
    (400, "The address or the body holds U+0000, or half a character."),
    (401, "No token, or none that holds."),
    (403, "The token has not this scope."),
)
_INTEGER: Final = (("type", "integer"), ("minimum", 1), ("maximum", 2**31 - 1))
_ABOUT: Final = (
    "What the pages show, for programs: worklist, status, reports, deliveries, brakes, audit trail, "
    "peers, rules, model. A token per program "
    "(`wetread token add`), with scopes; or the session of somebody who is signed in. Reports that no radiologist has "
    "verified are AI drafts and say so: whoever shows one shows its mark. News as server-sent events: GET /events, "
    "scope see."
)


def openapi(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path.replace(":int", ""), {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "wetread", "version": version, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    problems = dict(_EVERYWHERE) | ({422: "What was sent makes no sense."} if _can_be_wrong(one) else {})
    if one.body is not None:
        problems |= {413: "More than 1 MiB.", 415: "It is no JSON."}
    problems |= dict(one.problems or {})
    made: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": _needs(one.right),
        "security": [{"token": []}],
        "parameters": [*_path(one), *_query(one.query)],
        "responses": {"200": _good(one)} | {str(code): _bad(words) for code, words in sorted(problems.items())},
    }
    if one.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": _named(one.body)}}}
    return made


def _needs(right: Right) -> str:
    """Also in words of the wider scope that it is a part of."""
    wider = WITHIN.get(right)
    return f"Needs the right or scope `{right.value}`" + (f", or `{wider.value}`." if wider else ".")


def _can_be_wrong(one: Operation) -> bool:
    """Every operation may be asked with parameters that it has not."""
    return one.query is not None


def _good(one: Operation) -> dict[str, Any]:
    schema = _named(one.returns) if one.returns is not None else {"type": "string"}
    if one.media == "application/dicom":
        schema = {}
    return {"description": "As asked.", "content": {one.media: {"schema": schema}}}


def _bad(words: str) -> dict[str, Any]:
    return {"description": words, "content": {MEDIA_TYPE: {"schema": _named(ProblemAnswer)}}}


def _path(one: Operation) -> list[dict[str, Any]]:
    if "{number" not in one.path:
        return []
    return [{"name": "number", "in": "path", "required": True, "schema": dict(_INTEGER)}]


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Enumerations stand where they are used: parameters have no components of their own here."""
    schema = model.model_json_schema(ref_template=_REFERENCE)
    made = []
    for name, field in schema.get("properties", {}).items():
        described = {key: value for key, value in field.items() if key not in {"title", "description"}}
        if "anyOf" in described:  # what is left out is null, and nobody can write null into an address
            described = next(choice for choice in described["anyOf"] if choice != {"type": "null"})
        one = {"name": name, "in": "query", "schema": _resolved(described, schema.get("$defs", {}))}
        made.append(one | ({"description": field["description"]} if "description" in field else {}))
    return made


def _resolved(schema: dict[str, Any], defined: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    found = {
        key: value
        for key, value in defined[reference.rpartition("/")[2]].items()
        if key not in {"title", "description"}
    }
    return found | beside


def _named(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    answers = {one.returns for one in operations if one.returns is not None} | {ProblemAnswer}
    bodies = {one.body for one in operations if one.body is not None}
    wanted = [(model, "serialization") for model in sorted(answers, key=lambda model: model.__name__)]
    wanted += [(model, "validation") for model in sorted(bodies, key=lambda model: model.__name__)]
    _, made = models_json_schema(wanted, ref_template=_REFERENCE)  # type: ignore[arg-type]
    found: dict[str, Any] = made["$defs"]
    return found
