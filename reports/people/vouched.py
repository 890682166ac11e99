"""Who somebody is here, by what a provider said of them: login, name, roles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from reports.people.accounts import Particulars
from reports.people.config import OidcConfig
from reports.people.provider import ProviderRefused, claim_at
from reports.people.rights import Role
from reports.people.service import Identity

_LATEST: Final = 1 << 33  # seconds since 1970, in the year 2242
_SIGNS_OF_NAMES = str.maketrans(dict.fromkeys("^=\\", " "))


def identity_of(claims: Mapping[str, Any], config: OidcConfig) -> Identity:
    """Issuer and subject are who it is; everything else is told about them.

    Raises ProviderRefused: none of the roles, no login.
    """
    roles = roles_of(claims, config)
    if not roles:
        raise ProviderRefused(
            "role", "Your account there has no role in these pages. Ask the administrator for one of the groups."
        )
    login = claim_at(claims, config.login_claim)
    if not isinstance(login, str) or not login:
        raise ProviderRefused(f"no claim {config.login_claim}")
    number = claim_at(claims, config.identifier_claim) if config.identifier_claim else None
    number = str(number) if isinstance(number, str | int) and not isinstance(number, bool) else ""
    scheme = config.scheme if number else ""
    who = Particulars(_name(claims, login), roles, config.organization, number, scheme)
    return Identity(config.issuer, claims["sub"], login, who, _asked_at(claims))


def roles_of(claims: Mapping[str, Any], config: OidcConfig) -> frozenset[Role]:
    """What the values of the claim make somebody; only words are looked at."""
    told = claim_at(claims, config.role_claim)
    values = told if isinstance(told, list) else [told]
    return frozenset(config.roles[value] for value in values if isinstance(value, str) and value in config.roles)


def _asked_at(claims: Mapping[str, Any]) -> datetime | None:
    """When the provider asked for the password (OpenID Connect Core 2, auth_time)."""
    told = claims.get("auth_time")
    if not isinstance(told, int | float) or isinstance(told, bool) or not 0 <= told < _LATEST:
        return None
    return datetime.fromtimestamp(told, UTC)


def _name(claims: Mapping[str, Any], login: str) -> str:
    """DICOM Person Name."""
    family, given, whole = (_text(claims.get(name)) for name in ("family_name", "given_name", "name"))
    if family:
        return f"{family}^{given}" if given else family
    return whole or login


def _text(value: object) -> str:
    return " ".join(value.translate(_SIGNS_OF_NAMES).split()) if isinstance(value, str) else ""
