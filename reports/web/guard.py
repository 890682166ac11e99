"""What every answer passes: only names of ours are served, every answer is locked down, no error tells a secret."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reports.web.access import Access, arrive, is_known_to_be_safe
from reports.web.api.problems import PREFIX, problem

log = structlog.get_logger("web")

SECURITY_HEADERS: Final = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Referrer-Policy": "same-origin",  # with none, Origin is null in our own forms (Fetch, 3.2)
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex, nofollow",
        "Cache-Control": "no-store",  # pages show patients; a page may say otherwise for what is no secret
    }
)
_HSTS: Final = "max-age=31536000"  # RFC 6797: a year of https alone, for this name


class Guard:
    """ASGI middleware around all pages. `error_page` is a whole document, made before anything could go wrong."""

    def __init__(self, app: ASGIApp, error_page: str, access: Access) -> None:
        self._app = app
        self._error_page = error_page
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answered = False
        refusal = arrive(self._access, scope)
        always = is_known_to_be_safe(self._access, scope)

        async def locked(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                _lock(MutableHeaders(scope=message), always_by_tls=always)
            await send(message)

        if refusal is not None:
            await refusal(scope, receive, locked)
            return
        try:
            await self._app(scope, receive, locked)
        except ClientDisconnect:  # in the middle of what it sent: nobody is there to be answered
            log.info("visitor_left", method=scope["method"])
        except Exception:
            log.exception("page_failed", method=scope["method"])
            if not answered:
                await self._broken(scope)(scope, receive, locked)

    def _broken(self, scope: Scope) -> Response:
        if scope["path"].startswith(PREFIX):
            return problem(500, "The answer could not be made. The log of the web process says where.")
        return HTMLResponse(self._error_page, status_code=500)


def _lock(headers: MutableHeaders, *, always_by_tls: bool) -> None:
    framed = "frame-ancestors http" in headers.get("content-security-policy", "")
    for name, value in SECURITY_HEADERS.items():
        if name != "X-Frame-Options" or not framed:
            headers.setdefault(name, value)
    if always_by_tls:
        headers.setdefault("Strict-Transport-Security", _HSTS)
