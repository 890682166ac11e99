"""Hosts of peers: their names, looked up when one of them calls, and their addresses as people write them."""

from __future__ import annotations

import ipaddress
import socket


def addresses_of(host: str) -> frozenset[str]:
    """IP addresses of a host name or of an address; none where it cannot be looked up."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(str(address[0]).partition("%")[0] for *_, address in found)


def plain(address: str) -> str:
    """An IPv4 address that came over an IPv6 socket (`::ffff:10.0.0.5`, RFC 4291 2.5.5.2) is itself."""
    try:
        mapped = getattr(ipaddress.ip_address(address), "ipv4_mapped", None)
    except ValueError:
        return address
    return address if mapped is None else str(mapped)


def with_port(host: str, port: int) -> str:
    """`10.0.0.5:104`, and an IPv6 address in brackets (RFC 3986 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
