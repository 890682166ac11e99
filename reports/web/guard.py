"""What every answer passes: only loopback names are served, every answer is locked down, no error tells a secret."""

from __future__ import annotations

import ipaddress
import re
from types import MappingProxyType
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger("web")

SECURITY_HEADERS: Final = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex, nofollow",
        "Cache-Control": "no-store",  # pages show patients; a page may say otherwise for what is no secret
    }
)
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?", re.ASCII | re.IGNORECASE)


def is_loopback_name(host: str) -> bool:
    """Does a Host header name this machine itself?

    A page of another site can make its own name resolve to 127.0.0.1 (DNS rebinding) and would then read our pages
    with the browser of whoever visits it. The Host header still holds that site's name.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match[1] or match[2]).lower()
    if name in {"localhost", "localhost."}:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware around all pages. `error_page` is a whole document, made before anything could go wrong."""

    def __init__(self, app: ASGIApp, error_page: str) -> None:
        self._app = app
        self._error_page = error_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answered = False

        async def locked(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if not is_loopback_name(Headers(scope=scope).get("host", "")):
            refusal = PlainTextResponse("These pages answer to localhost and 127.0.0.1 only.\n", status_code=421)
            await refusal(scope, receive, locked)
            return
        try:
            await self._app(scope, receive, locked)
        except Exception:
            log.exception("page_failed", method=scope["method"])
            if not answered:
                await HTMLResponse(self._error_page, status_code=500)(scope, receive, locked)
