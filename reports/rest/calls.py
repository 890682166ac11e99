"""One HTTP request and its answer, within bounds: no redirects, no proxies of the environment, verified peers."""

from __future__ import annotations

import logging
import math
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import httpx

from dicom_node.errors import SendFailure
from dicom_node.transports import Destination

MAXIMUM_ANSWER: Final = 1 << 20  # bytes

_NOT_US: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED})
# Worth another try with the same bytes: the server is busy, away or out of step, or our credential has run out, which
# says nothing of what is sent. Everything else of 4xx is not.
_PASSING: Final = frozenset(
    {
        *_NOT_US,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


class TooLarge(SendFailure):
    """An answer had more bytes than were allowed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer; the body has at most as many bytes as were allowed."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """2xx."""
        return self.status // 100 == 2


class Caller:
    """A pool of connections to any number of destinations; may be used by several threads at once."""

    def __init__(self, *, seconds: float = 30.0, tls: ssl.SSLContext | None = None) -> None:
        """seconds: for the whole answer, and for each of connecting, writing and reading. tls: None: the system's."""
        for chatty in ("httpx", "httpcore"):  # they log each URL, and with it identifiers
            logging.getLogger(chatty).setLevel(logging.WARNING)
        self._seconds = seconds
        self._client = httpx.Client(
            timeout=seconds,
            follow_redirects=False,
            trust_env=False,
            verify=tls or ssl.create_default_context(),
            headers={"User-Agent": "wetread"},
        )

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def call(
        self,
        destination: Destination,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        maximum: int = MAXIMUM_ANSWER,
        seconds: float = math.inf,
    ) -> Answer:
        """Send one request; any status is an answer. maximum: bytes of it. Raises SendFailure: none; TooLarge.

        seconds: for it, where that is less than this caller has.
        """
        check_url(destination.name, url)
        patience = min(seconds, self._seconds)
        deadline = time.monotonic() + patience
        try:
            with self._client.stream(method, url, headers=dict(headers), content=content, timeout=patience) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > maximum:
                        words = f"{destination.name} answered with more than {maximum} bytes"
                        raise TooLarge(words, may_be_there=True)
                    if time.monotonic() > deadline:
                        words = f"{destination.name} did not finish its answer within {patience:g} s"
                        raise SendFailure(words, may_be_there=True)
                return Answer(response.status_code, bytes(body))
        # The texts of these errors hold the URL, which may hold an identifier.
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            words = f"{destination.name} cannot be reached ({type(error).__name__})"
            raise SendFailure(words, unreachable=True) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = f"{destination.name} did not answer ({type(error).__name__})"
            raise SendFailure(words, may_be_there=True) from None


def check_url(name: str, url: str) -> None:
    """Refuse what is no URL of HTTP, or one with a password in it. Raises SendFailure, permanent."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise SendFailure(f"the URL of {name} must be http(s)://host/..., without a password in it", permanent=True)


def refuse(
    destination: Destination, answer: Answer, detail: str = "", *, again: str = "it is sent again"
) -> SendFailure:
    """Make the failure that an answer other than 2xx means. detail: code words only. again: what we do about it."""
    status = answer.status
    told = f"{destination.name} answered {status}" + (f" ({detail})" if detail else "")
    if 300 <= status < 400:
        return SendFailure(f"{told}: redirects are not followed; name the final URL", permanent=True)
    if 400 <= status < 500 and status not in _PASSING:
        return SendFailure(f"{told}: it refuses this; see its log", permanent=True)
    if status in _NOT_US:
        return SendFailure(f"{told}: it does not accept our credential; correct delivery.credentials")
    return SendFailure(f"{told}; {again}", may_be_there=status >= 500)  # it, or one before it, broke down


def code_word(value: object) -> str:
    """Return a word of an answer that is safe to log: letters and hyphens only, else nothing."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z-]{1,40}", value) else ""
