"""UIDs: derived from content, so that the same input gives the same UID; and what may pass as one."""

from __future__ import annotations

import re
import uuid

# A name space of our own (a random UUID, fixed for ever): UIDs derived in it collide with nobody else's.
NAMESPACE = uuid.UUID("6f1f0a51-2f3e-4b0c-9c1e-6a5d1f3c7e42")

ROOT = "2.25"  # of UIDs that are made of UUIDs (PS3.5 B.2)
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_ROOT = re.compile(r"[012](\.(0|[1-9][0-9]*))+")  # an object identifier: no leading zeros (PS3.5 9.1)
_ROOM = 64 - 1 - len(str(2**128))  # what a UID has left for its root beside a point and the largest UUID


def derived_uid(*parts: str) -> str:
    """`2.25.` and the UUIDv5 of the parts as a decimal number (PS3.5 B.2). Same parts, same UID.

    The parts are joined by a character that no UID, digest or number holds, so that ("a", "bc") is not ("ab", "c").
    """
    return f"{ROOT}.{uuid.uuid5(NAMESPACE, chr(31).join(parts)).int}"


def under(root: str, uid: str) -> str:
    """The same derived UID below another root, such as the one that a hospital owns: the number stays."""
    return f"{root}.{number_of(uid)}"


def root_of(uid: str) -> str:
    """What stands before the last component."""
    return uid.rpartition(".")[0]


def number_of(uid: str) -> str:
    """The last component: two derived UIDs with one number are made of the same parts, whatever their roots."""
    return uid.rpartition(".")[2]


def is_root(text: str) -> bool:
    """Can UUIDs stand below it as UIDs of at most 64 characters?"""
    return len(text) <= _ROOM and _ROOT.fullmatch(text) is not None


def is_uid(text: str) -> bool:
    """Can this be used as a UID? Leading zeros of components pass: real devices write them (PS3.5 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None
