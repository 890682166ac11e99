"""Signing in and what slows down who guesses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from reports.people import accounts
from reports.people.errors import SignInRefused, TooSoon
from reports.people.passwords import Hasher, Profile
from reports.people.rights import NOBODY, Right, Role
from reports.people.service import People
from reports.people.tables import Account, Attendance, FailedTries
from tests.harness.people import PASSWORD, add_user
from tests.unit.reports.people.lobby import HERE, Lobby

ELSEWHERE = "10.9.9.9"


def fail(lobby: Lobby, login: str, times: int, *, address: str = HERE) -> None:
    """Wrong passwords, each as soon as it is looked at."""
    for _ in range(times):
        waits = 0
        while True:
            try:
                lobby.sign_in(login, "wrong wrong wrong", address=address)
            except SignInRefused:
                break
            except TooSoon as error:
                lobby.wait(seconds=error.seconds)
                waits += 1
                assert waits < 3


def wait_told(lobby: Lobby, login: str, *, address: str = HERE) -> int:
    with pytest.raises(TooSoon) as refused:
        lobby.sign_in(login, address=address)
    return refused.value.seconds


def test_who_signs_in_is_known_with_roles_and_name(lobby: Lobby) -> None:
    number = add_user(lobby.database, "Kim", Role.RADIOLOGIST, Role.ADMINISTRATOR, name="Kim^Minjun")

    visitor = lobby.who(lobby.sign_in(" KIM "))

    assert visitor is not None
    assert (visitor.user_id, visitor.login, visitor.name) == (number, "kim", "Kim^Minjun")
    assert visitor.roles == {Role.RADIOLOGIST, Role.ADMINISTRATOR}
    assert visitor.may(Right.SIGN)
    assert visitor.may(Right.ADMINISTER)
    assert visitor.actor == "person:kim"


def test_wrong_passwords_unknown_names_and_disabled_people_hear_the_same(lobby: Lobby) -> None:
    add_user(lobby.database, "kim", Role.RADIOLOGIST)
    add_user(lobby.database, "lee", Role.RADIOLOGIST)
    add_user(lobby.database, "new", Role.RADIOLOGIST)
    with lobby.database.write() as tx:
        accounts.disable(tx, accounts.find(tx, "lee"), now=lobby.moment, actor="person:test")
        accounts.find(tx, "new").password = ""

    said = set()
    for login, password in (
        ("kim", "wrong wrong wrong"),
        ("nobody", PASSWORD),
        ("lee", PASSWORD),
        ("new", ""),
        ("", ""),
        ("a\x00b", PASSWORD),
        ("\ud800", PASSWORD),
    ):
        with pytest.raises(SignInRefused) as refused:
            lobby.sign_in(login, password)
        said.add(str(refused.value))

    assert len(said) == 1


def test_an_unknown_name_costs_as_much_work_as_a_wrong_password(porch: Lobby) -> None:
    """The comparison is what takes time: it is made for nobody as well, against a hash of the same cost."""
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    for login in ("kim", "nobody"):
        with pytest.raises(SignInRefused):
            porch.sign_in(login, "wrong wrong wrong")

    assert porch.hasher.compared == [True, False]  # one each, the second without a hash of a person
    assert not porch.hasher.is_outdated(porch.hasher._nobody)


def test_the_token_is_kept_nowhere(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)

    signed_in = porch.sign_in("kim")

    with porch.database.read() as tx:
        row = tx.scalars(select(Attendance)).one()
    assert len(signed_in.token) >= 43  # 256 bits
    assert signed_in.token not in str(vars(row))
    assert porch.sign_in("kim").token != signed_in.token


def test_what_was_typed_as_a_name_is_nowhere_in_the_books(porch: Lobby) -> None:
    typed = "my-password-typed-into-the-wrong-field"
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    with pytest.raises(SignInRefused):
        porch.sign_in(typed, "x")
    with pytest.raises(SignInRefused):
        porch.sign_in("kim", typed)

    with porch.database.read() as tx:
        tries = " ".join(row.key for row in tx.scalars(select(FailedTries)))
    assert porch.audited()[-2:] == [("sign-in-refused", "nobody"), ("sign-in-refused", "person:kim")]
    assert porch.details("sign-in-refused") == [{"address": HERE}] * 2
    assert typed not in tries


def test_a_password_is_hashed_anew_when_the_cost_changes(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    dearer = People(porch.database, Hasher(Profile(2, 128, 1)), now=porch.now)

    dearer.sign_in("kim", PASSWORD, address=HERE)

    with porch.database.read() as tx:
        kept = accounts.find(tx, "kim").password
    assert "m=128,t=2,p=1" in kept
    assert dearer.sign_in("kim", PASSWORD, address=HERE).user.login == "kim"


@pytest.mark.parametrize("change", ["disabled", "password"])
def test_who_is_switched_off_while_the_password_is_compared_does_not_come_in(porch: Lobby, change: str) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)

    def meanwhile() -> None:
        with porch.database.write() as tx:
            account = accounts.find(tx, "kim")
            account.disabled, account.password = change == "disabled", account.password + "x" * (change == "password")

    porch.hasher.meanwhile = meanwhile

    with pytest.raises(SignInRefused):
        porch.sign_in("kim")
    with porch.database.read() as tx:
        assert tx.scalar(select(Attendance)) is None


def test_waits_grow_with_failed_tries_and_end(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    told = []
    fail(porch, "kim", 4)
    for _ in range(3):
        told.append(wait_told(porch, "kim"))
        fail(porch, "kim", 1)
    fail(porch, "kim", 20)
    longest = wait_told(porch, "kim")
    porch.wait(seconds=longest)

    assert told == sorted(set(told))
    assert 280 <= longest <= 301
    assert porch.sign_in("kim").user.login == "kim"


def test_a_try_during_the_wait_is_not_looked_at_and_does_not_prolong_it(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    fail(porch, "kim", 6)
    compared = len(porch.hasher.compared)
    wait = wait_told(porch, "kim")

    assert wait_told(porch, "kim") == wait
    assert len(porch.hasher.compared) == compared


def test_names_that_nobody_has_wait_as_long(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    fail(porch, "kim", 6)
    fail(porch, "nobody", 6, address=ELSEWHERE)
    porch.wait(minutes=50)
    fail(porch, "kim", 1)
    fail(porch, "nobody", 1, address=ELSEWHERE)

    assert wait_told(porch, "kim") == wait_told(porch, "nobody", address=ELSEWHERE)


def test_success_forgets_the_failures(lobby: Lobby) -> None:
    add_user(lobby.database, "kim", Role.RADIOLOGIST)
    fail(lobby, "kim", 3)
    lobby.sign_in("kim")
    fail(lobby, "kim", 3)

    assert lobby.sign_in("kim").user.login == "kim"


def test_guessing_from_elsewhere_hardly_slows_the_owner(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    fail(porch, "kim", 15, address=ELSEWHERE)
    assert porch.sign_in("kim", address=HERE).user.login == "kim"

    fail(porch, "kim", 40, address=ELSEWHERE)

    assert wait_told(porch, "kim", address=HERE) <= 61


def test_a_success_makes_nobody_wait_who_shares_the_address(lobby: Lobby) -> None:
    add_user(lobby.database, "kim", Role.RADIOLOGIST)
    for number in range(31):
        fail(lobby, f"guess{number}", 1)
    lobby.wait(minutes=6)

    for _ in range(10):
        assert lobby.sign_in("kim").user.login == "kim"
        lobby.wait(seconds=50)


def test_who_came_in_while_others_guess_the_password_proves_it_at_once(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    fail(porch, "kim", 50, address=ELSEWHERE)
    porch.wait(seconds=61)
    visitor = porch.sign_in("kim").user

    porch.people.prove_password(visitor, PASSWORD, address=HERE)

    fail(porch, "kim", 1, address="10.9.9.10")
    assert wait_told(porch, "kim") > 30  # what failed still counts


def test_successes_do_not_keep_old_failures_alive(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    for number in range(24):
        fail(porch, f"guess{number}", 1)
    for _ in range(7):
        porch.wait(minutes=10)
        porch.sign_in("kim")

    fail(porch, "guess", 1)

    assert porch.sign_in("kim").user.login == "kim"


def test_half_of_the_failures_are_forgotten_in_an_hour(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    fail(porch, "kim", 7)
    porch.wait(minutes=61)
    fail(porch, "kim", 1)  # after three
    assert wait_told(porch, "kim") <= 3
    porch.wait(minutes=121)
    fail(porch, "kim", 2)  # after one

    assert porch.sign_in("kim").user.login == "kim"


def test_one_address_that_tries_many_names_is_slowed_down(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    for number in range(20):
        fail(porch, f"guess{number}", 1, address=ELSEWHERE)

    assert wait_told(porch, "kim", address=ELSEWHERE) > 0
    assert porch.sign_in("kim", address=HERE).user.login == "kim"


def test_a_whole_department_behind_one_address_is_not_slowed_down_by_signing_in(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    for _ in range(45):  # more than an address, and than a name, may fail
        porch.sign_in("kim")

    assert porch.sign_in("kim").user.login == "kim"


def test_many_tries_at_once_are_all_counted(lobby: Lobby) -> None:
    add_user(lobby.database, "kim", Role.RADIOLOGIST)

    def attempt(number: int) -> type[Exception]:
        try:
            lobby.sign_in("kim", f"wrong wrong wrong {number}")
        except (SignInRefused, TooSoon) as error:
            return type(error)
        raise AssertionError

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(16)))

    assert outcomes.count(SignInRefused) == 4
    assert outcomes.count(TooSoon) == 12


def test_nobody_is_nobody_only_until_there_is_a_user(porch: Lobby) -> None:
    assert not porch.people.anybody()
    add_user(porch.database, "kim", Role.RADIOLOGIST)

    assert porch.people.anybody()
    assert NOBODY.rights == {Right.OPEN, Right.SEE}


def test_colleagues_are_those_who_may_and_can_come_in(lobby: Lobby) -> None:
    add_user(lobby.database, "kim", Role.RADIOLOGIST)
    add_user(lobby.database, "lee", Role.TRAINEE)
    add_user(lobby.database, "old", Role.RADIOLOGIST)
    with lobby.database.write() as tx:
        accounts.disable(tx, accounts.find(tx, "old"), now=lobby.moment, actor="person:test")

    assert [one.login for one in lobby.people.colleagues(Right.SIGN)] == ["kim"]
    assert {one.login for one in lobby.people.colleagues(Right.EDIT)} == {"kim", "lee"}


def test_an_account_without_roles_may_only_come_in(porch: Lobby) -> None:
    add_user(porch.database, "kim")

    assert porch.sign_in("kim").user.rights == {Right.OPEN}
    with porch.database.read() as tx:
        assert tx.scalars(select(Account)).one().roles == ""
