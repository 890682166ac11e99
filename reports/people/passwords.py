"""Passwords and PINs: what is good enough to be one, and how it is kept.

Argon2id (RFC 9106). Length counts, composition does not (NIST SP 800-63B, 3.1.1.2): no rule asks for a digit or a sign.
"""

from __future__ import annotations

import threading
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from itertools import pairwise
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from reports.people.errors import WeakPassword

SHORTEST: Final = 12
LONGEST: Final = 256
_PINS: Final = range(4, 9)  # lengths
_AT_ONCE: Final = 2  # hashes computed side by side: each takes `memory_kibibytes`


@dataclass(frozen=True, slots=True)
class Profile:
    """What one hash costs."""

    rounds: int
    memory_kibibytes: int
    lanes: int


PROFILE: Final = Profile(rounds=3, memory_kibibytes=64 << 10, lanes=4)
"""RFC 9106 section 4, second recommended option; above the least that OWASP's password storage cheat sheet asks for."""


class Hasher:
    """Keeps and compares secrets. Safe to use from several threads."""

    def __init__(self, profile: Profile = PROFILE) -> None:
        self._argon2 = PasswordHasher(
            time_cost=profile.rounds,
            memory_cost=profile.memory_kibibytes,
            parallelism=profile.lanes,
            hash_len=32,
            salt_len=16,
            type=Type.ID,
        )
        self._room = threading.BoundedSemaphore(_AT_ONCE)

    @cached_property
    def _nobody(self) -> str:
        return self._argon2.hash("nobody has this password")

    def hash(self, secret: str) -> str:
        """As it is kept: a PHC string with its own salt."""
        with self._room:
            return self._argon2.hash(_octets(secret))

    def fits(self, kept: str, secret: str) -> bool:
        """Is it the secret that was hashed? Where nothing was (`kept` is empty) it takes as long to say no."""
        nobody = self._nobody
        with self._room:
            try:
                return self._argon2.verify(kept or nobody, _octets(secret)) and bool(kept)
            except (VerificationError, InvalidHashError):
                return False

    def is_outdated(self, kept: str) -> bool:
        """Was it hashed at another cost than we take today?"""
        return self._argon2.check_needs_rehash(kept)


def check_password(password: str, *, login: str, name: str) -> None:
    """Raises WeakPassword with what to do."""
    folded = _normal(password).casefold()
    if len(folded) < SHORTEST:
        raise WeakPassword(
            f"The password is too short: take {SHORTEST} characters or more, such as four or five words."
        )
    if len(folded) > LONGEST:
        raise WeakPassword(f"The password is too long: {LONGEST} characters at most.")
    parts = {part for part in (login, *name.casefold().replace("^", " ").replace("=", " ").split()) if len(part) > 2}
    rest = folded
    for part in sorted(parts, key=len, reverse=True):
        rest = rest.replace(part, "")
    if len(rest) < SHORTEST // 2:
        raise WeakPassword("The password is little more than your name: take words that have nothing to do with you.")
    if folded in _worst() or len(set(folded)) < 5 or _is_a_run(folded):
        raise WeakPassword("Everybody who guesses tries this password first: take four or five unrelated words.")


def check_pin(pin: str) -> None:
    """Raises WeakPassword with what to do."""
    if len(pin) not in _PINS or not (pin.isascii() and pin.isdigit()):
        raise WeakPassword(f"A PIN has {_PINS.start} to {_PINS.stop - 1} digits.")
    if len(set(pin)) == 1 or _is_a_run(pin):
        raise WeakPassword("This PIN is tried first: no row of equal or counting digits.")


def _normal(secret: str) -> str:
    """One way to type a character (RFC 8265, OpaqueString): keyboards differ in how they compose."""
    return unicodedata.normalize("NFC", secret)


def _octets(secret: str) -> bytes:
    return _normal(secret).encode("utf-8", "surrogatepass")  # JSON may carry half a character


def _is_a_run(text: str) -> bool:
    """Counts up or down by one, such as 23456 or edcba; 9 is followed by 0."""
    around = 10 if text.isdigit() else 1 << 21
    steps = {(ord(after) - ord(before)) % around for before, after in pairwise(text)}
    return steps in ({1}, {around - 1})


@cache
def _worst() -> frozenset[str]:
    listed = resources.files("reports.people").joinpath("worst.txt").read_text(encoding="utf-8")
    return frozenset(listed.split())
