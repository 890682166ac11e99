"""What an administrator says of the OpenID provider at which people sign in."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from reports.people.rights import Role


class OidcConfig(BaseModel):
    """Section [oidc]: sign-in at the hospital's own provider (OpenID Connect Core 1.0)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = ""  # empty: nobody signs in there
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")  # empty: a public client, which PKCE alone protects
    scopes: tuple[str, ...] = ("openid", "profile")
    role_claim: str = "groups"  # a claim with one value or a list; dots lead into objects
    roles: dict[str, Role] = Field(default_factory=dict)  # value of that claim -> role; others are let in nowhere
    login_claim: str = "preferred_username"
    organization: str = Field("", max_length=64)  # stands beside signatures
    identifier_claim: str = ""  # the staff number
    scheme: str = Field("", max_length=16)  # whose numbers they are
    words: str = Field("Sign in with the hospital's account", min_length=1, max_length=80)  # on the button
    tls_ca: Path | None = None  # PEM: who signs the provider's certificate; None: whom the machine trusts

    @field_validator("issuer")
    @classmethod
    def safe(cls, issuer: str) -> str:
        """Whoever can change what it answers can sign in as anybody."""
        if issuer and not is_safe(issuer):
            raise ValueError("the issuer is an https:// address without query, as the provider writes it")
        return issuer

    @model_validator(mode="after")
    def complete(self) -> Self:
        """Half a provider lets nobody in, or everybody."""
        if not self.issuer:
            return self
        if not self.client_id or not self.roles:
            raise ValueError("a provider needs client_id, and roles: which value of role_claim makes which role")
        if "openid" not in self.scopes:
            raise ValueError('scopes must hold "openid"')
        if Role.SERVICE in self.roles.values():
            raise ValueError("service is the role of programs, which have tokens: wetread token add")
        if self.identifier_claim and not self.scheme:
            raise ValueError("a staff number needs scheme, such as 99HOSPITAL")
        return self


def is_safe(address: str) -> bool:
    """Https, or this machine itself; no user, query or fragment."""
    parts = urlsplit(address)
    if parts.query or parts.fragment or parts.username is not None or not parts.hostname:
        return False
    if parts.scheme == "https":
        return True
    try:
        here = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False
    return parts.scheme == "http" and here
