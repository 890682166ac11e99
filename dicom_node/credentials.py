"""What authorizes us at a web service. It comes from the configuration; the database knows only its name."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from dicom_node.errors import SendFailure
from dicom_node.transports import Destination


class Credential(BaseModel):
    """One entry of delivery.credentials: a bearer token, a user with a password, or where tokens are fetched.

    The last are the client credentials of OAuth 2 (RFC 6749 4.4), for FHIR and webhooks. client_auth: how we are known
    there: by a secret (2.3.1), as HTTP Basic or in the body; or by an assertion that is signed with client_key, a PEM
    file (private_key_jwt: RFC 7523, SMART Backend Services). client_key_id: what the server calls that key.
    client_audience: whom the assertion is for; empty: token_url.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")
    token_url: str = ""
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    client_auth: Literal["basic", "body", "private_key_jwt"] = "basic"
    client_key: Path | None = None
    client_key_id: str = ""
    client_audience: str = ""
    scope: str = ""

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        """A half credential would be found out by the first object that is refused."""
        given = [bool(self.token.get_secret_value()), bool(self.user), bool(self.token_url)]
        if sum(given) != 1:
            raise ValueError("needs either token, or user and password, or token_url, client_id and client_secret")
        self._must_be_known()
        if self.token_url and not keeps_secrets(self.token_url):
            raise ValueError("token_url must be https: the client's secret is not sent in clear")
        return self

    def _must_be_known(self) -> None:
        """A client has a secret or a key, never both, nor half of one. Raises ValueError."""
        of_a_key = bool(self.client_key_id or self.client_audience or self.client_key)
        secret = bool(self.client_secret.get_secret_value())
        if self.client_auth != "private_key_jwt":
            if self.token_url and not (self.client_id and secret):
                raise ValueError("token_url needs client_id and client_secret")
            if of_a_key:
                raise ValueError('client_key, client_key_id and client_audience need client_auth = "private_key_jwt"')
        elif not (self.token_url and self.client_id and self.client_key and self.client_key_id):
            raise ValueError("private_key_jwt needs token_url, client_id, client_key (a file) and client_key_id")
        elif secret:
            raise ValueError("private_key_jwt has no client_secret: leave it out")

    @property
    def is_fetched(self) -> bool:
        """Is the token fetched from somewhere (OAuth 2)?"""
        return bool(self.token_url)

    @property
    def authorization(self) -> str:
        """Value of the HTTP header Authorization (RFC 6750, RFC 7617), where no token is to be fetched."""
        if not self.user:
            return f"Bearer {self.token.get_secret_value()}"
        both = f"{self.user}:{self.password.get_secret_value()}"
        return f"Basic {base64.b64encode(both.encode()).decode()}"


def keeps_secrets(url: str) -> bool:
    """May a credential be sent to this URL: by TLS, or without leaving the machine?"""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in {"127.0.0.1", "::1", "localhost"}


def authorization(to: Destination, credentials: Mapping[str, Credential]) -> dict[str, str]:
    """The header that authorizes us at this destination; none where it wants none.

    Raises SendFailure where the configuration lacks the credential that it names, or it would be readable on the way.
    """
    if not to.credential:
        return {}
    if not keeps_secrets(to.url):
        raise SendFailure(f"{to.name} has a credential but no https: it is not sent in clear", permanent=True)
    credential = credentials.get(to.credential)
    if credential is None:
        raise SendFailure(f"{to.name} needs the credential {to.credential!r}, which delivery.credentials lacks")
    if credential.is_fetched:
        words = f"{to.name} has OAuth 2, which is for FHIR and webhooks only; name a token or a user instead"
        raise SendFailure(words, permanent=True)
    return {"Authorization": credential.authorization}
