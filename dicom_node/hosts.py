"""Host names of peers, looked up when one of them calls."""

from __future__ import annotations

import socket


def addresses_of(host: str) -> frozenset[str]:
    """IP addresses of a host name or of an address; none where it cannot be looked up."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(str(address[0]).partition("%")[0] for *_, address in found)
