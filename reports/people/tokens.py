"""Tokens of programs, such as a RIS: shown once, kept as a digest, good for the scopes that were given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.errors import ConfigurationError, NotFound
from reports.people.accounts import in_words
from reports.people.rights import Right, Role, Visitor
from reports.people.sessions import digest_of
from reports.people.tables import ApiToken

SCOPES: Final = (Right.STATUS, Right.SEE, Right.QUALITY, Right.AUDIT, Right.QUEUES, Right.ADMINISTER)
"""What a program may be given. It signs nothing, edits nothing and lets nobody in: that is for people."""

PREFIX: Final = "wetread_"  # so that a token that got into a file is recognized as one
_SERVICE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,55}")
_GRAIN: Final = timedelta(minutes=5)  # of "last used"


def add(
    tx: Session,
    service: str,
    token: str,
    scopes: Iterable[Right],
    *,
    expires_at: datetime | None,
    now: datetime,
    actor: str,
) -> ApiToken:
    """Register a token. Raises ConfigurationError."""
    wanted = frozenset(scopes)
    if not _SERVICE.fullmatch(service):
        raise ConfigurationError("a service has 1 to 56 characters: small letters, digits and . _ -")
    if not wanted or wanted - set(SCOPES):
        raise ConfigurationError(f"a token needs scopes out of: {', '.join(SCOPES)}")
    if tx.scalar(select(ApiToken.id).where(ApiToken.service == service)) is not None:
        raise ConfigurationError(f"{service} has a token already; remove it first: wetread token remove {service}")
    made = ApiToken(
        service=service, digest=digest_of(token), scopes=in_words(wanted), created_at=now, expires_at=expires_at
    )
    tx.add(made)
    audit.append(tx, "token-added", at=now, actor=actor, service=service, scopes=made.scopes)
    return made


def remove(tx: Session, service: str, *, now: datetime, actor: str) -> None:
    """From now on it opens nothing. Raises NotFound."""
    found = tx.scalar(select(ApiToken).where(ApiToken.service == service))
    if found is None:
        raise NotFound(f"{service} has no token; see: wetread token list")
    tx.delete(found)
    audit.append(tx, "token-removed", at=now, actor=actor, service=service)


def everyone(tx: Session) -> list[ApiToken]:
    """By service."""
    return list(tx.scalars(select(ApiToken).order_by(ApiToken.service)))


def find(tx: Session, token: str, *, now: datetime) -> ApiToken | None:
    """Whose it is; None where it is nobody's, or its time is over."""
    found = tx.scalar(select(ApiToken).where(ApiToken.digest == digest_of(token)))
    return found if found is not None and (found.expires_at is None or now < found.expires_at) else None


def should_note(token: ApiToken, now: datetime) -> bool:
    """Is it long enough since its use was written down?"""
    return token.used_at is None or now - token.used_at >= _GRAIN


def visitor(token: ApiToken) -> Visitor:
    """Who asks."""
    scopes = frozenset(Right(word) for word in token.scopes.split(","))
    return Visitor(0, f"service:{token.service}", scopes | {Right.OPEN}, frozenset({Role.SERVICE}))
