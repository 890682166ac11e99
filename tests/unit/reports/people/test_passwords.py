"""What is good enough to be a password or a PIN, and how it is kept."""

from __future__ import annotations

from typing import Literal

import pytest
from argon2 import PasswordHasher, extract_parameters

from reports.people.errors import WeakPassword
from reports.people.passwords import PROFILE, SHORTEST, Hasher, Profile, check_password, check_pin
from tests.harness.people import CHEAP


@pytest.mark.parametrize(
    "password",
    [
        "violet tractor under glass",
        "aaaabbbbccccddddeeeeffff",  # no rule about composition
        "한국어 비밀번호 열두 글자",
        "  leading and trailing  ",
        "minjun has nothing in this",
    ],
)
def test_long_passwords_are_taken_whatever_they_are_made_of(password: str) -> None:
    check_password(password, login="kim", name="Kim^Minjun")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("elevenchars", "too short"),
        ("x" * 257, "too long"),
        ("minjunkim2026", "your name"),
        ("Minjun.Minjun", "your name"),
        ("radiologist9kim.m", "your name"),
        ("Password1234", "first"),
        ("CorrectHorseBatteryStaple", "first"),
        ("ababababababab", "first"),
        ("12345678901234", "first"),
        ("zyxwvutsrqponm", "first"),
    ],
)
def test_easy_passwords_are_refused_with_the_reason(password: str, why: str) -> None:
    login = "radiologist9kim" if "9kim" in password else "kim"

    with pytest.raises(WeakPassword, match=why):
        check_password(password, login=login, name="Kim^Minjun")


@pytest.mark.parametrize("pin", ["2580", "918273", "10203040"])
def test_pins_of_four_to_eight_digits_are_taken(pin: str) -> None:
    check_pin(pin)


@pytest.mark.parametrize("pin", ["", "258", "918273645", "25a0", "２５８０", "1111", "1234", "9876", "7890", "-123"])
def test_other_pins_are_refused(pin: str) -> None:
    with pytest.raises(WeakPassword):
        check_pin(pin)


def test_a_password_is_kept_as_argon2id_with_a_salt_of_its_own() -> None:
    hasher = Hasher(CHEAP)
    first, second = hasher.hash("violet tractor"), hasher.hash("violet tractor")

    assert first.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert first != second
    assert hasher.fits(first, "violet tractor")
    assert not hasher.fits(first, "violet Tractor")


def test_the_cost_is_what_the_standard_recommends() -> None:
    assert Hasher().hash("violet tractor").startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert Profile(rounds=3, memory_kibibytes=65536, lanes=4) == PROFILE
    assert SHORTEST >= 12


def test_the_same_word_typed_in_another_way_fits() -> None:
    hasher = Hasher(CHEAP)

    assert hasher.fits(hasher.hash("stra\u00dfe m\u00fcller caf\u00e9"), "stra\u00dfe mu\u0308ller cafe\u0301")


def test_no_password_fits_where_none_was_set() -> None:
    hasher = Hasher(CHEAP)

    assert not hasher.fits("", "")
    assert not hasher.fits("", "nobody has this password")
    assert not hasher.fits("not a hash", "violet tractor")
    assert not hasher.fits(hasher.hash("x"), "\ud800")  # half a character, as JSON can carry it


class Watched(PasswordHasher):
    """The real one, which tells what it compares with."""

    compared: tuple[str | bytes, ...] = ()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002  its own name
        self.compared = (*self.compared, hash)
        return super().verify(hash, password)


def test_nobody_takes_as_long_as_somebody() -> None:
    """The same comparison is made, with a hash of the same cost: time tells nobody whether there is such a user."""
    hasher = Hasher(CHEAP)
    watched = hasher._argon2 = Watched(time_cost=1, memory_cost=64, parallelism=1)
    kept = hasher.hash("violet tractor")

    assert not hasher.fits(kept, "wrong")
    assert not hasher.fits("", "wrong")

    first, second = (extract_parameters(str(one)) for one in watched.compared)
    assert first == second


def test_a_hash_of_another_cost_is_known_to_be_outdated() -> None:
    kept = Hasher(CHEAP).hash("violet tractor")

    assert not Hasher(CHEAP).is_outdated(kept)
    assert Hasher(Profile(2, 64, 1)).is_outdated(kept)
