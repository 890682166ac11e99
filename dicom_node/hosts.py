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


def places(host: str) -> tuple[str, ...]:
    """Where to call a host, in the order in which to try: its IPv4 addresses, then those of IPv6; an address is itself.

    Raises OSError or UnicodeError where it cannot be looked up.
    """
    found = [
        (family, str(address[0])) for family, *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    ]
    ordered = sorted(found, key=lambda one: one[0] != socket.AF_INET)
    several = tuple(dict.fromkeys(address for _, address in ordered))
    return several if len(several) > 1 else (host,)


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
