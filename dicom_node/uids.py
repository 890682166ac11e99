"""UIDs: derived from content, so that the same input gives the same UID; and what may pass as one."""

from __future__ import annotations

import re
import uuid

# A name space of our own (a random UUID, fixed for ever): UIDs derived in it collide with nobody else's.
NAMESPACE = uuid.UUID("6f1f0a51-2f3e-4b0c-9c1e-6a5d1f3c7e42")

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def derived_uid(*parts: str) -> str:
    """`2.25.` and the UUIDv5 of the parts as a decimal number (PS3.5 B.2). Same parts, same UID.

    The parts are joined by a character that no UID, digest or number holds, so that ("a", "bc") is not ("ab", "c").
    """
    return f"2.25.{uuid.uuid5(NAMESPACE, chr(31).join(parts)).int}"


def is_uid(text: str) -> bool:
    """Can this be used as a UID? Leading zeros of components pass: real devices write them (PS3.5 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None
