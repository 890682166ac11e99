"""How long a session lasts, what a PIN is good for, and what ends it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from dicom_node.errors import ConfigurationError
from reports.people import accounts, sessions
from reports.people.accounts import Particulars
from reports.people.enrollment import FRESH, change_pin
from reports.people.errors import PasswordNeeded, ProofRefused, SignInRefused, TooSoon
from reports.people.rights import Right, Role, Visitor
from reports.people.service import MOST_PINS, Identity
from reports.people.tables import Account, Attendance
from tests.harness.people import PASSWORD, add_user
from tests.unit.reports.people.lobby import HERE, Lobby

PIN = "2580"
ELSEWHERE = Particulars("Park^Jiwoo", frozenset({Role.RADIOLOGIST}), "Example Hospital")


def enter(lobby: Lobby, login: str = "kim", *roles: Role) -> tuple[str, Visitor]:
    add_user(lobby.database, login, *(roles or (Role.RADIOLOGIST,)))
    signed_in = lobby.sign_in(login)
    return signed_in.token, signed_in.user


def test_a_session_ends_after_half_an_hour_without_anything_done(lobby: Lobby) -> None:
    token, _ = enter(lobby)
    for _ in range(4):
        lobby.wait(minutes=29)
        assert lobby.people.by_session(token) is not None
    lobby.wait(minutes=30)

    assert lobby.people.by_session(token) is None


def test_a_session_ends_after_half_a_day_whatever_is_done(porch: Lobby) -> None:
    token, _ = enter(porch)
    for _ in range(35):
        porch.wait(minutes=20)
        assert porch.people.by_session(token) is not None
    porch.wait(minutes=20)

    assert porch.people.by_session(token) is None


def test_what_pages_do_by_themselves_keeps_no_session_awake(porch: Lobby) -> None:
    token, _ = enter(porch)
    for _ in range(29):
        porch.wait(minutes=1)
        assert porch.people.by_session(token, attended=False) is not None
    porch.wait(minutes=1)

    assert porch.people.by_session(token, attended=False) is None


def test_other_tokens_open_nothing(porch: Lobby) -> None:
    token, _ = enter(porch)

    for wrong in ("", token[:-1], token + "A", token.swapcase(), sessions.digest_of(token)):
        assert porch.people.by_session(wrong) is None


def test_signing_out_ends_this_session_alone(porch: Lobby) -> None:
    token, _ = enter(porch)
    other = porch.sign_in("kim").token

    porch.people.sign_out(token)
    porch.people.sign_out("no such token")

    assert porch.people.by_session(token) is None
    assert porch.people.by_session(other) is not None
    assert ("user-signed-out", "person:kim") in porch.audited()


def test_signing_out_everywhere_else_leaves_this_session(lobby: Lobby) -> None:
    token, visitor = enter(lobby)
    others = [lobby.sign_in("kim").token for _ in range(3)]

    ended = lobby.people.sign_out_everywhere(visitor.user_id, actor=visitor.actor, but=int(visitor.session))

    assert ended == 3
    assert lobby.people.by_session(token) is not None
    assert [lobby.people.by_session(one) for one in others] == [None] * 3


def test_a_session_ends_at_once_with_the_account(porch: Lobby) -> None:
    token, _ = enter(porch)
    with porch.database.write() as tx:
        accounts.disable(tx, accounts.find(tx, "kim"), now=porch.moment, actor="person:test")

    assert porch.people.by_session(token) is None


def test_new_roles_hold_in_open_sessions(porch: Lobby) -> None:
    token, _ = enter(porch)
    with porch.database.write() as tx:
        account = accounts.find(tx, "kim")
        who = Particulars(account.name, frozenset({Role.AUDITOR}))
        accounts.edit(tx, account, who, now=porch.moment, actor="person:test")

    visitor = porch.people.by_session(token)
    assert visitor is not None
    assert not visitor.may(Right.SIGN)
    assert porch.details("roles-changed") == [{"user": "kim", "before": "radiologist", "after": "auditor"}]


def test_rows_of_old_sessions_go(lobby: Lobby) -> None:
    enter(lobby)
    lobby.wait(days=2)
    lobby.sign_in("kim")

    with lobby.database.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Attendance)) == 1


def test_the_right_pin_proves_and_forgives_earlier_slips(lobby: Lobby) -> None:
    _, visitor = enter(lobby)
    for _ in range(MOST_PINS - 1):
        with pytest.raises(ProofRefused, match="does not fit"):
            lobby.people.prove_pin(visitor, "0000")
    lobby.people.prove_pin(visitor, PIN)

    with pytest.raises(ProofRefused, match=f"Tries left: {MOST_PINS - 1}"):
        lobby.people.prove_pin(visitor, "0000")


def test_after_five_wrong_pins_the_right_one_needs_the_password_first(porch: Lobby) -> None:
    _, visitor = enter(porch)
    for _ in range(MOST_PINS):
        with pytest.raises(ProofRefused):
            porch.people.prove_pin(visitor, "0000")
    with pytest.raises(PasswordNeeded, match="too often"):
        porch.people.prove_pin(visitor, PIN)

    porch.people.prove_password(visitor, PASSWORD, address=HERE)
    porch.people.prove_pin(visitor, PIN)

    assert [event for event, _ in porch.audited()].count("pin-refused") == MOST_PINS


def test_a_pin_proves_nothing_in_a_session_that_is_over(porch: Lobby) -> None:
    token, visitor = enter(porch)
    porch.wait(minutes=30)
    with pytest.raises(PasswordNeeded, match="over"):
        porch.people.prove_pin(visitor, PIN)
    porch.people.sign_out(token)

    with pytest.raises(PasswordNeeded, match="over"):
        porch.people.prove_password(visitor, PASSWORD, address=HERE)


def test_who_has_no_pin_is_asked_for_the_password(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST, pin="")
    visitor = porch.sign_in("kim").user

    assert not porch.people.has_pin(visitor)
    with pytest.raises(PasswordNeeded, match="no PIN"):
        porch.people.prove_pin(visitor, "")


def test_the_password_was_proven_recently_or_not(porch: Lobby) -> None:
    _, visitor = enter(porch)
    porch.wait(minutes=10)
    assert not porch.people.proven_recently(visitor, timedelta(minutes=5))

    porch.people.prove_password(visitor, PASSWORD, address=HERE)

    assert porch.people.proven_recently(visitor, timedelta(minutes=5))
    assert not porch.people.proven_recently(Visitor(0, "service:ris", frozenset()), timedelta(minutes=5))


def test_proving_is_slowed_down_as_signing_in_is(porch: Lobby) -> None:
    _, visitor = enter(porch)
    for _ in range(4):
        with pytest.raises(ProofRefused):
            porch.people.prove_password(visitor, "wrong wrong wrong", address=HERE)

    with pytest.raises(TooSoon):
        porch.people.prove_password(visitor, PASSWORD, address=HERE)


def test_nobody_proves_with_the_password_of_another_person(porch: Lobby) -> None:
    _, visitor = enter(porch)
    add_user(porch.database, "lee", Role.RADIOLOGIST, password="another long password", pin="9630")

    with pytest.raises(ProofRefused):
        porch.people.prove_password(visitor, "another long password", address=HERE)
    with pytest.raises(ProofRefused):
        porch.people.prove_pin(visitor, "9630")


def test_whom_a_provider_vouches_for_gets_an_account(lobby: Lobby) -> None:
    identity = Identity("https://id.example", "subject-1", "park", ELSEWHERE)

    first = lobby.people.sign_in_elsewhere(identity, address=HERE)
    again = lobby.people.sign_in_elsewhere(identity, address=HERE)

    assert first.user.user_id == again.user.user_id
    assert again.user.may(Right.SIGN)
    assert lobby.details("user-signed-in")[0] == {"address": HERE, "way": "provider"}
    with pytest.raises(SignInRefused):
        lobby.sign_in("park", "")  # it has no password here


def test_roles_are_what_the_provider_says_now(porch: Lobby) -> None:
    porch.people.sign_in_elsewhere(Identity("https://id.example", "1", "park", ELSEWHERE), address=HERE)
    demoted = Particulars("Park^Jiwoo", frozenset({Role.TRAINEE}))

    signed_in = porch.people.sign_in_elsewhere(Identity("https://id.example", "1", "park", demoted), address=HERE)

    assert signed_in.user.roles == {Role.TRAINEE}
    assert signed_in.user.organization == "Example Hospital"  # it does not say: what is known stays


def test_a_provider_takes_over_no_local_account(porch: Lobby) -> None:
    add_user(porch.database, "park", Role.ADMINISTRATOR)

    with pytest.raises(SignInRefused, match="local account"):
        porch.people.sign_in_elsewhere(Identity("https://id.example", "1", "park", ELSEWHERE), address=HERE)
    with porch.database.read() as tx:
        assert tx.scalars(select(Account)).one().subject is None


def test_a_provider_opens_no_account_that_is_off(porch: Lobby) -> None:
    identity = Identity("https://id.example", "1", "park", ELSEWHERE)
    porch.people.sign_in_elsewhere(identity, address=HERE)
    with porch.database.write() as tx:
        accounts.disable(tx, accounts.find(tx, "park"), now=porch.moment, actor="person:test")

    with pytest.raises(SignInRefused, match="switched off"):
        porch.people.sign_in_elsewhere(identity, address=HERE)


def test_what_a_provider_says_must_fit_into_a_document(porch: Lobby) -> None:
    nameless = Particulars("", frozenset({Role.AUDITOR}))

    with pytest.raises(ConfigurationError, match="Person Name"):
        porch.people.sign_in_elsewhere(Identity("https://id.example", "1", "park", nameless), address=HERE)


@pytest.mark.parametrize(
    ("seconds", "proves"), [(None, False), (7200, False), (301, False), (100, True), (-30, True), (-7200, False)]
)
def test_a_sign_in_elsewhere_proves_what_the_provider_says_it_asked(
    lobby: Lobby, seconds: int | None, proves: bool
) -> None:
    asked = None if seconds is None else lobby.moment - timedelta(seconds=seconds)
    identity = Identity("https://id.example", "1", "park", ELSEWHERE, asked)

    visitor = lobby.people.sign_in_elsewhere(identity, address=HERE).user

    assert lobby.people.proven_recently(visitor, FRESH) is proves
    lobby.wait(minutes=6)
    assert not lobby.people.proven_recently(visitor, FRESH)
    lobby.people.proven_elsewhere(visitor)
    assert lobby.people.proven_recently(visitor, FRESH)


def test_who_has_no_password_here_sets_a_pin_after_signing_in_at_the_provider(porch: Lobby) -> None:
    identity = Identity("https://id.example", "1", "park", ELSEWHERE)
    visitor = porch.people.sign_in_elsewhere(identity, address=HERE).user
    with pytest.raises(ProofRefused, match="once more"):
        change_pin(porch.people, visitor, "", PIN, address=HERE)

    porch.people.proven_elsewhere(visitor)
    change_pin(porch.people, visitor, "", PIN, address=HERE)

    porch.people.prove_pin(visitor, PIN)
