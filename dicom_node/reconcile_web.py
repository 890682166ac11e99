"""The same questions to a DICOMweb service: QIDO-RS (PS3.18 10.6)."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx
from pydicom.datadict import tag_for_keyword

from dicom_node.credentials import Credential, authorization
from dicom_node.errors import SendFailure
from dicom_node.reconcile import Search
from dicom_node.transports import Destination

_PAGE: Final = 1000  # answers to one request
_MOST: Final = 50_000
LONGEST_PAGE: Final = 16 << 20  # bytes; an answer has some two thousand


@contextmanager
def searching_web(
    to: Destination, credentials: Mapping[str, Credential], *, seconds: float, trust: ssl.SSLContext | None = None
) -> Iterator[Search]:
    """QIDO-RS by the credential of the destination. seconds: for each page of answers. Raises SendFailure."""
    # What is packed may be a thousand times as long when it is unpacked.
    headers = {"Accept": "application/dicom+json", "Accept-Encoding": "identity", **authorization(to, credentials)}
    settings = {"verify": trust or ssl.create_default_context(), "follow_redirects": False, "trust_env": False}
    with httpx.Client(timeout=seconds, headers=headers, **settings) as client:  # type: ignore[arg-type]
        yield lambda level, keys: _search(client, to, level, keys, seconds=seconds)


def _search(
    client: httpx.Client, to: Destination, level: str, keys: Mapping[str, str], *, seconds: float
) -> list[Mapping[str, str]]:
    found: list[Mapping[str, str]] = []
    while len(found) < _MOST:
        page = _page(client, to, level, keys, offset=len(found), seconds=seconds)
        found += [{keyword: _value(one, keyword) for keyword in keys} for one in page if isinstance(one, dict)]
        if len(page) < _PAGE:
            return found
    raise SendFailure(f"{to.name} has more than {_MOST} answers to one search")


def _page(
    client: httpx.Client, to: Destination, level: str, keys: Mapping[str, str], *, offset: int, seconds: float
) -> Sequence[Any]:
    query: list[tuple[str, str | int | float | bool | None]] = [("includefield", keyword) for keyword in keys]
    query += [("limit", str(_PAGE)), ("offset", str(offset))]
    path = "/studies"
    if level == "SERIES":
        path, keys = f"/studies/{keys['StudyInstanceUID']}/series", {**keys, "StudyInstanceUID": ""}
    query += [(keyword, value) for keyword, value in keys.items() if value]
    deadline = time.monotonic() + seconds
    try:
        with client.stream("GET", f"{to.url.rstrip('/')}{path}", params=query) as answer:
            if answer.status_code == 204 or (answer.status_code == 404 and level == "SERIES"):
                return []  # a wrong path, or a gateway before an archive that is down, answers 404 to a search as well
            if answer.status_code != 200:
                raise SendFailure(f"{to.name} answered HTTP {answer.status_code} to a search")
            content = json.loads(_read(answer, to.name, deadline))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
        raise SendFailure(f"{to.name} does not answer searches ({type(error).__name__})") from error
    if not isinstance(content, list):
        raise SendFailure(f"{to.name} answered a search with JSON that is no list")
    return content


def _read(answer: httpx.Response, name: str, deadline: float) -> bytes:
    """The body, within bounds of size and time. Raises SendFailure."""
    body = bytearray()
    for chunk in answer.iter_bytes():  # as it comes: a chunk of a given size would wait for its last byte
        body += chunk
        if len(body) > LONGEST_PAGE or time.monotonic() > deadline:
            raise SendFailure(f"{name} sends an answer without an end; is its URL that of a DICOMweb service?")
    return bytes(body)


def _value(answer: Mapping[str, Any], keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    element = answer.get(f"{tag:08X}", {}) if tag is not None else {}
    values = element.get("Value", []) if isinstance(element, dict) else []
    return "\\".join(str(value) for value in values) if isinstance(values, list) else ""
