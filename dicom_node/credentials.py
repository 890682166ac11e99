"""What authorizes us at a web service. It comes from the configuration; the database knows only its name."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from dicom_node.errors import SendFailure
from dicom_node.transports import Destination


class Credential(BaseModel):
    """One entry of delivery.credentials: a bearer token, or a user with a password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        """A half credential would be found out by the first object that is refused."""
        if bool(self.token.get_secret_value()) == bool(self.user):
            raise ValueError("needs either token, or user and password")
        return self

    @property
    def authorization(self) -> str:
        """Value of the HTTP header Authorization (RFC 6750, RFC 7617)."""
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
    return {"Authorization": credential.authorization}
