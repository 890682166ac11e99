"""How uvicorn serves the pages: TLS, patience with clients, and an end in order."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from agent.config import WebConfig
from dicom_node import tls
from dicom_node.errors import ConfigurationError

REQUEST_SECONDS: Final = 20.0  # until the whole head of a request is here, from its connection or first byte on
_IDLE_SECONDS = 10  # between two requests of a connection
_PARTING_SECONDS = 5  # for answers that are on their way when the process is to end
_MOST_CONNECTIONS = 1000  # a page that stays open holds one for its news
_HEAD_BYTES = 64 * 1024


class Patience(H11Protocol):
    """HTTP/1.1 that hangs up on whoever sends the head of a request, or a body that nobody wants, a byte at a time."""

    _hangs_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock runs from the first moment: a client that says nothing has nothing to do here."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Whatever came: is a request under way that was not read to its end?"""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        self._forget()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """A body that is still coming after its answer is wanted by nobody."""
        super().on_response_complete()
        self._watch()

    def shutdown(self) -> None:
        """The process is to end. News for an open page never end by themselves: hang up, the page comes again."""
        super().shutdown()
        headers = self.headers or ()  # none as long as nothing was asked: browsers connect before they ask
        if (b"accept", b"text/event-stream") in headers and self.conn.our_state is h11.SEND_BODY:
            self.transport.close()

    def _watch(self) -> None:
        unread = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if self.conn.their_state is not h11.IDLE and not unread:
            self._forget()
        elif self._hangs_up is None:
            self._hangs_up = self.loop.call_later(REQUEST_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()

    def _forget(self) -> None:
        if self._hangs_up is not None:
            self._hangs_up.cancel()
            self._hangs_up = None


def make_server(app: ASGIApp, web: WebConfig) -> uvicorn.Server:
    """Ready to run. Headers of proxies are none of uvicorn's business: the pages know which proxies are declared.

    Raises ConfigurationError: the certificate or its key cannot be used.
    """
    context = _context(web)
    config = uvicorn.Config(
        app,
        host=web.bind_address,
        port=web.port,
        http=Patience,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_PARTING_SECONDS,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        ssl_context_factory=None if context is None else lambda _config, _default: context,
    )
    return uvicorn.Server(config)


def _context(web: WebConfig) -> ssl.SSLContext | None:
    """As on the DICOM port (BCP 195); no certificate is asked of browsers. Raises ConfigurationError."""
    if web.tls_certificate is None:
        return None
    try:
        return tls.server_context(tls.Files(web.tls_certificate, web.tls_key), require_client=False)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("node.", "web.")) from None
