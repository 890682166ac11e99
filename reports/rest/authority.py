"""What authorizes us at web services: credentials as they are, or tokens that are fetched with them (OAuth 2).

The client credentials grant (RFC 6749 4.4) is one request; the libraries that have it neither bound what the server
answers nor fetch anew on 401, so it is written here, by the same `Caller` as everything else. No answer's words and no
secret get into a message: only the error codes of RFC 6749 5.2. Who has no secret but a key signs: `assertion`.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from secrets import token_urlsafe
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from dicom_node.credentials import Credential, authorization, keeps_secrets
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.transports import Destination
from reports.rest import assertion
from reports.rest.calls import MAXIMUM_ANSWER, Answer, Caller

_MARGIN: Final = 30.0  # seconds before its end a token is not used any more; at most a tenth of its life
_UNTOLD: Final = 300.0  # life of a token whose server does not tell
_LONGEST: Final = 86_400.0
_MAXIMUM: Final = 65_536  # bytes of a token's answer
_PATIENCE: Final = 10.0  # seconds for a token, and for another thread's; a delivery asks twice within its lease
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_ERRORS: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    until: float  # monotonic


class Authority:
    """Calls services in our name; may be used by several threads at once. Fetched tokens live in memory only."""

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        caller: Caller,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        new_jti: Callable[[], str] = token_urlsafe,
    ) -> None:
        """credentials: by the name that a destination has for its own. now: seconds since 1970. new_jti: 256 bits."""
        self._credentials = credentials
        self._caller = caller
        self._monotonic = monotonic
        self._now = now
        self._new_jti = new_jti
        self._tokens: dict[str, _Token] = {}
        self._storing = threading.Lock()  # never held while a server is asked
        self._fetching = MappingProxyType({name: threading.Lock() for name in credentials})

    def call(
        self,
        destination: Destination,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        maximum: int = MAXIMUM_ANSWER,
    ) -> Answer:
        """As `Caller.call`, authorized; where a fetched token is refused with 401, once more with a new one.

        Raises SendFailure.
        """

        def once() -> tuple[Mapping[str, str], Answer]:
            ours = self.headers(destination)
            whole = {**headers, **ours}
            return ours, self._caller.call(destination, method, url, headers=whole, content=content, maximum=maximum)

        ours, answer = once()
        if answer.status == HTTPStatus.UNAUTHORIZED and self._forget(destination, ours):
            _, answer = once()
        return answer

    def headers(self, to: Destination) -> dict[str, str]:
        """The header that authorizes us there; none where it wants none. Raises SendFailure."""
        credential = self._fetched(to)
        if credential is None:
            return authorization(to, self._credentials)
        if not keeps_secrets(to.url):
            raise SendFailure(f"{to.name} has a credential but no https: no token is sent in clear", permanent=True)
        token = self._usable(to) or self._renewed(to, credential)
        return {"Authorization": token.header}

    def _usable(self, to: Destination) -> _Token | None:
        token = self._tokens.get(to.credential)
        return token if token is not None and self._monotonic() < token.until else None

    def _renewed(self, to: Destination, credential: Credential) -> _Token:
        """A new one. Whoever waits gets the token that was fetched meanwhile, or goes on without one."""
        fetching = self._fetching[to.credential]
        if not fetching.acquire(timeout=_PATIENCE):
            raise SendFailure(f"the token server of {to.name} has not answered another request yet", unreachable=True)
        try:
            token = self._usable(to) or self._fetch(to, credential)
            with self._storing:
                self._tokens[to.credential] = token
        finally:
            fetching.release()
        return token

    def _fetched(self, to: Destination) -> Credential | None:
        credential = self._credentials.get(to.credential) if to.credential else None
        return credential if credential is not None and credential.is_fetched else None

    def _forget(self, to: Destination, used: Mapping[str, str]) -> bool:
        """Drop a token that was refused, unless another thread has a new one already; False where none was fetched."""
        if self._fetched(to) is None:
            return False
        with self._storing:
            token = self._tokens.get(to.credential)
            if token is not None and token.header == used["Authorization"]:
                del self._tokens[to.credential]
        return True

    def _form(self, to: Destination, credential: Credential) -> dict[str, str]:
        """What a token is asked for with. Raises SendFailure where the key cannot be used."""
        form = {"grant_type": "client_credentials"}
        if credential.scope:
            form["scope"] = credential.scope
        if credential.client_auth == "body":
            form |= {"client_id": credential.client_id, "client_secret": credential.client_secret.get_secret_value()}
        if credential.client_auth == "private_key_jwt":
            try:
                said = assertion.signed(credential, now=self._now(), jti=self._new_jti())
            except ConfigurationError as error:
                raise SendFailure(f"no token for {to.name}: {error}") from None
            form |= {"client_assertion_type": assertion.TYPE, "client_assertion": said}
        return form

    def _fetch(self, to: Destination, credential: Credential) -> _Token:
        asked = self._monotonic()
        server = replace(to, name=f"the token server of {to.name}")
        try:
            answer = self._caller.call(
                server,
                "POST",
                credential.token_url,
                headers=_head(credential),
                content=urlencode(self._form(to, credential)).encode("ascii"),
                maximum=_MAXIMUM,
                seconds=_PATIENCE,
            )
        except SendFailure as failure:
            failure.may_be_there = False  # nothing has left for the destination itself
            raise
        said = _parsed(answer)
        if not answer.is_success:
            raise SendFailure(f"{server.name} answered {answer.status}{_error(said)}: {_cure(credential)}")
        token, kind = said.get("access_token"), said.get("token_type")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise SendFailure(f"{server.name} answered {answer.status} without a token")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise SendFailure(f"{server.name} gives tokens of another kind than Bearer")
        life = _life(said.get("expires_in"))
        return _Token(f"Bearer {token}", asked + life - min(_MARGIN, life / 10))


def _head(credential: Credential) -> dict[str, str]:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if credential.client_auth != "basic":
        return headers
    both = f"{quote_plus(credential.client_id)}:{quote_plus(credential.client_secret.get_secret_value())}"
    return {**headers, "Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}


def _parsed(answer: Answer) -> Mapping[str, Any]:
    try:
        parsed = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _error(said: Mapping[str, Any]) -> str:
    error = said.get("error")
    return f" ({error})" if isinstance(error, str) and error in _ERRORS else ""


def _cure(credential: Credential) -> str:
    if credential.client_auth != "private_key_jwt":
        return "correct delivery.credentials"
    return "correct delivery.credentials; does it know our public key, and is this machine's clock right?"


def _life(seconds: object) -> float:
    """Of a token, in seconds; some servers write the number as a text."""
    try:
        told = float(seconds) if isinstance(seconds, int | float | str) else _UNTOLD
    except (ValueError, OverflowError):
        return _UNTOLD
    return min(told, _LONGEST) if told > 0 else _UNTOLD
