"""How a browser or a program is recognized: a cookie or a token, and what counts as a person doing something."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from reports.people.rights import NOBODY, Visitor
from reports.people.service import People

_UNATTENDED: Final = "wetread-unattended"  # our scripts say so of what nobody asked for


class Entrance:
    """A porter who knows people and programs. As long as there is nobody to know, the house is open."""

    def __init__(self, people: People, *, secure: bool) -> None:
        self._people = people
        self._secure = secure

    def visitor(self, request: Request) -> Visitor | None:
        """Who asks; None where that person or program must be known first."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind:
            return self._people.by_token(token.strip()) if kind.lower() == "bearer" else None
        if not self._people.anybody():
            return NOBODY
        cookie = token_of(request, secure=self._secure)
        return self._people.by_session(cookie, attended=is_attended(request)) if cookie else None


def admit(response: Response, token: str, *, secure: bool) -> None:
    """Give the browser its session. It forgets it when it is closed, and sends it to our own pages alone."""
    response.set_cookie(_name(secure), token, path="/", secure=secure, httponly=True, samesite="strict")


def dismiss(response: Response, *, secure: bool) -> None:
    """Let the browser forget it."""
    response.delete_cookie(_name(secure), path="/", secure=secure, httponly=True, samesite="strict")


def token_of(request: Request, *, secure: bool) -> str:
    """What the browser sent; empty where it sent none."""
    return request.cookies.get(_name(secure), "")


def address_of(request: Request) -> str:
    """Where the request comes from, for the audit trail and for slowing down who guesses."""
    return request.client.host if request.client else "unknown"


def is_attended(request: Request) -> bool:
    """Did a person do this? What pages ask for by themselves must not keep a session awake.

    That is what our scripts mark, streams of events, and a page that a <meta> refreshes: such a navigation from our
    own page says that no click was the cause (Fetch Metadata, Sec-Fetch-User).
    """
    headers = request.headers
    if _UNATTENDED in headers or headers.get("accept", "").startswith("text/event-stream"):
        return False
    by_itself = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-site")) == ("navigate", "same-origin")
    return not (by_itself and request.method == "GET" and "sec-fetch-user" not in headers)


def local_path(wanted: str) -> str:
    """Where to go after signing in: a place of ours, whoever wrote the link; the worklist for anything else."""
    try:
        parts = urlsplit(wanted) if wanted.isprintable() else None
    except ValueError:  # "//[" and characters that NFKC turns into separators
        return "/"
    if parts is None or parts.scheme or parts.netloc or "\\" in wanted or not wanted.startswith("/"):
        return "/"
    return "/" if wanted.startswith("//") or parts.path in {"/sign-in", "/sign-out"} else wanted


def _name(secure: bool) -> str:
    """A browser takes a name with this prefix over https only, for this host alone (RFC 6265bis, 4.1.3.2)."""
    return "__Host-wetread" if secure else "wetread"
