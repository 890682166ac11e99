"""Proof that it is the person, asked with each signature: the PIN of a session, or the password."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from reports.people.errors import PasswordNeeded
from reports.people.service import People
from reports.people.tables import Attendance
from reports.web.doors import visitor_of
from reports.web.entrance import address_of
from reports.web.rights import Visitor

FRESH: Final = timedelta(minutes=2)  # since somebody who has no PIN or password here has signed in elsewhere


def prove(people: People | None, request: Request, body: Mapping[str, Any], *, always_password: bool) -> None:
    """Check what the person typed beside a signature. body: `pin` or `password`.

    always_password: a PIN is not enough, as for a second signature and a withdrawal.

    Raises ProofRefused, PasswordNeeded, TooSoon; HTTPException where there are no users.
    """
    if people is None:
        raise HTTPException(403, "Nobody can sign here before there are users: wetread user first")
    visitor = visitor_of(request)
    pin, password = str(body.get("pin") or ""), str(body.get("password") or "")
    if password:
        people.prove_password(visitor, password, address=address_of(request))
    elif pin and not always_password:
        people.prove_pin(visitor, pin)
    elif not _by_provider(people, visitor):
        raise PasswordNeeded("This takes your password." if always_password else "Type your password.")
    elif (not always_password and people.has_pin(visitor)) or not people.proven_recently(visitor, FRESH):
        raise PasswordNeeded("Sign in once more where you signed in, then do this within two minutes.")


def _by_provider(people: People, visitor: Visitor) -> bool:
    """Was it not here that the password was typed? Then there is none to ask for."""
    with people.database.read() as tx:
        attendance = tx.get(Attendance, int(visitor.session or 0))
        return attendance is not None and attendance.provider
