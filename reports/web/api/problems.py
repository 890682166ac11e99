"""What a program is told where it gets nothing: problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from starlette.responses import JSONResponse, Response

from dicom_node.errors import WetreadError

PREFIX: Final = "/api/"  # of all addresses that answer so
MEDIA_TYPE: Final = "application/problem+json"
_CODES: Final = MappingProxyType({413: "too-large"})
_PHRASES: Final = MappingProxyType({413: "Content Too Large"})  # RFC 9110; Python said it otherwise before 3.13
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Problem(WetreadError):
    """An operation has no answer. code: for programs, such as `several-studies`; sentence: without a patient."""

    def __init__(self, status: int, code: str, sentence: str, **more: object) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.more = more


def problem(
    status: int,
    sentence: str,
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, object] = MappingProxyType({}),
) -> Response:
    """The answer. code: empty where the status says everything. more: members beside the standard's."""
    phrase = _PHRASES.get(status) or HTTPStatus(status).phrase
    said = {"type": "about:blank", "title": phrase, "status": status, "detail": sentence}
    said |= {"code": code or _CODES.get(status) or phrase.lower().replace(" ", "-"), **more}
    beside = dict(headers or _NO_HEADERS)
    if status == HTTPStatus.UNAUTHORIZED:
        beside["WWW-Authenticate"] = 'Bearer realm="wetread"'
    return JSONResponse(said, status_code=status, headers=beside, media_type=MEDIA_TYPE)
