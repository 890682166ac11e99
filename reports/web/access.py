"""By which names the pages are called, and through whom: nobody comes in the clear from another machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Scope

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # no patient; machines ask in the clear


@dataclass(frozen=True, slots=True)
class Access:
    """How this installation's pages are reached. hosts: names for others than this machine, in lower case.

    proxies: who speaks https for us, and is believed what it says of its clients. framers: origins whose pages may show
    the badge of a study in a frame.
    """

    hosts: frozenset[str] = frozenset()
    is_loopback: bool = True  # the port opens for this machine alone
    has_certificate: bool = False
    proxies: tuple[Network, ...] = ()
    framers: tuple[str, ...] = ()

    @property
    def is_secure(self) -> bool:
        """Does every browser come by https, so that cookies may insist on it?"""
        return self.has_certificate or bool(self.proxies)

    @property
    def is_public(self) -> bool:
        """Do others than this machine reach the pages?"""
        return not self.is_loopback or bool(self.proxies)


def is_loopback_name(host: str) -> bool:
    """Does a Host header name this machine itself?

    A page of another site can make its own name resolve to 127.0.0.1 (DNS rebinding) and would then read our pages
    with the browser of whoever visits it. The Host header still holds that site's name.
    """
    name = _name_in(host)
    if name == "localhost":
        return True
    address = address_of(name)
    return address is not None and address.is_loopback


def is_ours(access: Access, host: str, client: str) -> bool:
    """May a request have this Host header? client: address of the machine at the other end of the connection."""
    name = _name_in(host)
    if name in access.hosts:
        return True
    return is_loopback_name(host) and (access.is_loopback or _is_loopback(client))


def arrive(access: Access, scope: Scope) -> Response | None:
    """Look at a request that came: the refusal, or None. Puts the real client and scheme into `scope`."""
    headers = Headers(scope=scope)
    host, peer = headers.get("host", ""), (scope.get("client") or ("", 0))[0]
    if not is_ours(access, host, peer):
        known = ", ".join(sorted(access.hosts)) or "localhost and 127.0.0.1"
        return PlainTextResponse(f"These pages answer to {known} only.\n", status_code=421)
    if not access.proxies:
        return None
    return _through_a_proxy(access, scope, headers, peer, host)


def is_known_to_be_safe(access: Access, scope: Scope) -> bool:
    """Came this by https, and to a name that will always be called so (RFC 6797)?"""
    return scope.get("scheme") == "https" and _name_in(Headers(scope=scope).get("host", "")) in access.hosts


def address_of(text: str) -> Address | None:
    """An address with or without port; one of IPv4 in the clothes of IPv6 is one of IPv4."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _through_a_proxy(access: Access, scope: Scope, headers: Headers, peer: str, host: str) -> Response | None:
    from_proxy = _is_in(access.proxies, address_of(peer))
    scheme = ",".join(headers.getlist("x-forwarded-proto")).rpartition(",")[2].strip().lower()
    if from_proxy:
        scope["client"] = (_client(access.proxies, peer, headers.getlist("x-forwarded-for")), 0)
        if scheme == "https":
            scope["scheme"] = "https"
            return None
    if scope["path"] in _PROBES and (from_proxy or _is_loopback(peer)):
        return None
    if not from_proxy:
        return PlainTextResponse("These pages are reached through the proxy of this site only.\n", status_code=403)
    if scheme == "http" and scope["method"] in {"GET", "HEAD"}:
        query = scope.get("query_string", b"").decode("latin-1")
        path = scope.get("raw_path", b"/").decode("latin-1")
        return RedirectResponse(f"https://{host}{path}{'?' if query else ''}{query}", status_code=308)
    words = "These pages answer to https only: the proxy must speak it, and say so in X-Forwarded-Proto.\n"
    return PlainTextResponse(words, status_code=403)


def _client(proxies: Iterable[Network], peer: str, forwarded: Iterable[str]) -> str:
    """Who called the first proxy of ours: each hop adds whom it saw, so what is left of a stranger is his own claim."""
    client = peer
    for hop in reversed([part for line in forwarded for part in line.split(",")]):
        address = address_of(hop)
        if address is None:
            break
        client = str(address)
        if not _is_in(proxies, address):
            break
    return client


def _name_in(host: str) -> str:
    match = _HOST.fullmatch(host)
    return (match[1] or match[2]).lower().rstrip(".") if match else ""


def _is_in(networks: Iterable[Network], address: Address | None) -> bool:
    return address is not None and any(address in network for network in networks)


def _is_loopback(client: str) -> bool:
    address = address_of(client)
    return address is not None and address.is_loopback
