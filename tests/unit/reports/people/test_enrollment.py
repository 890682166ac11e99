"""One-time links, accounts, and tokens of programs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from dicom_node.errors import ConfigurationError, NotFound, WrongState
from reports.people import accounts, links, tokens
from reports.people.accounts import Particulars
from reports.people.enrollment import Enrollment, change_password, change_pin, enroll, invitation, set_password
from reports.people.errors import LinkRefused, ProofRefused, SignInRefused, WeakPassword
from reports.people.rights import Right, Role
from reports.people.service import SignedIn
from reports.people.tables import ApiToken, OneTimeLink, Purpose
from tests.harness.people import PASSWORD, add_user
from tests.unit.reports.people.lobby import HERE, Lobby

NEW = "seven green umbrellas today"
TOKEN = "t" * 43


def make_link(lobby: Lobby, purpose: Purpose, login: str = "", *, token: str = TOKEN) -> None:
    with lobby.database.write() as tx:
        account = accounts.find(tx, login) if login else None
        links.make(tx, purpose, token, account, now=lobby.moment, actor="person:test")


def use(lobby: Lobby, token: str = TOKEN, **typed: str) -> SignedIn:
    return enroll(lobby.people, token, Enrollment(**{"password": NEW, **typed}), address=HERE)


def test_the_first_link_makes_an_administrator_who_is_signed_in(lobby: Lobby) -> None:
    make_link(lobby, Purpose.FIRST)

    signed_in = use(lobby, login="Kim", name="Kim^Minjun")

    assert signed_in.user.roles == {Role.ADMINISTRATOR}
    assert lobby.who(signed_in) is not None
    assert lobby.sign_in("kim", NEW).user.login == "kim"
    assert [event for event, _ in lobby.audited()][:3] == ["link-made", "user-added", "password-set"]


def test_a_link_is_good_once(porch: Lobby) -> None:
    make_link(porch, Purpose.FIRST)
    use(porch, login="kim", name="Kim^Minjun")

    with pytest.raises(LinkRefused):
        use(porch, login="lee", name="Lee^Sora")


def test_of_two_at_once_one_gets_in(lobby: Lobby) -> None:
    make_link(lobby, Purpose.FIRST)

    def attempt(login: str) -> bool:
        try:
            use(lobby, login=login, name="Kim^Minjun")
        except LinkRefused:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, ("a", "b", "c", "d"))) == 1


@pytest.mark.parametrize(
    ("purpose", "lasts"),
    [(Purpose.FIRST, {"hours": 1}), (Purpose.RESET, {"hours": 24}), (Purpose.INVITE, {"days": 3})],
)
def test_a_link_ends_with_its_time(porch: Lobby, purpose: Purpose, lasts: dict[str, float]) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    make_link(porch, purpose, "" if purpose is Purpose.FIRST else "kim")
    porch.wait(**lasts)
    with pytest.raises(LinkRefused):
        invitation(porch.people, TOKEN)

    porch.wait(seconds=-1)

    assert invitation(porch.people, TOKEN).purpose is purpose


def test_looking_at_a_link_does_not_use_it_up(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    make_link(porch, Purpose.INVITE, "kim")

    known = [invitation(porch.people, TOKEN) for _ in range(3)][-1]

    assert (known.login, known.name, known.has_pin) == ("kim", "Kim^Test", True)
    assert use(porch).user.login == "kim"


def test_a_refused_password_leaves_the_link_good(porch: Lobby) -> None:
    make_link(porch, Purpose.FIRST)
    with pytest.raises(WeakPassword):
        use(porch, login="kim", name="Kim^Minjun", password="short")
    with pytest.raises(WeakPassword):
        use(porch, login="kim", name="Kim^Minjun", pin="1234")
    with pytest.raises(ConfigurationError, match="Person Name"):
        use(porch, login="kim", name="")

    assert use(porch, login="kim", name="Kim^Minjun").user.login == "kim"


def test_a_new_link_voids_the_one_before(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    make_link(porch, Purpose.RESET, "kim")
    make_link(porch, Purpose.RESET, "kim", token="u" * 43)

    with pytest.raises(LinkRefused):
        use(porch)
    assert use(porch, token="u" * 43).user.login == "kim"


def test_a_link_is_void_for_who_was_switched_off_since(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    make_link(porch, Purpose.RESET, "kim")
    with porch.database.write() as tx:
        accounts.disable(tx, accounts.find(tx, "kim"), now=porch.moment, actor="person:test")

    with pytest.raises(LinkRefused):
        use(porch)


def test_the_token_of_a_link_is_kept_nowhere(porch: Lobby) -> None:
    make_link(porch, Purpose.FIRST)

    with porch.database.read() as tx:
        assert TOKEN not in str(vars(tx.scalars(select(OneTimeLink)).one()))


def test_a_reset_ends_every_session_and_keeps_the_pin(lobby: Lobby) -> None:
    add_user(lobby.database, "kim", Role.RADIOLOGIST)
    before = lobby.sign_in("kim")
    make_link(lobby, Purpose.RESET, "kim")

    after = use(lobby)

    assert lobby.who(before) is None
    lobby.people.prove_pin(after.user, "2580")
    with pytest.raises(SignInRefused):
        lobby.sign_in("kim", PASSWORD)


def test_a_new_password_ends_the_other_sessions(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    here, there = porch.sign_in("kim"), porch.sign_in("kim")

    with pytest.raises(ProofRefused):
        change_password(porch.people, here.user, "wrong wrong wrong", NEW, address=HERE)
    with pytest.raises(WeakPassword):
        change_password(porch.people, here.user, PASSWORD, "short", address=HERE)
    change_password(porch.people, here.user, PASSWORD, NEW, address=HERE)

    assert porch.who(here) is not None
    assert porch.who(there) is None
    assert porch.sign_in("kim", NEW).user.login == "kim"


@pytest.mark.parametrize("way", ["own", "script", "link"])
def test_no_link_outlives_a_new_password(porch: Lobby, way: str) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    visitor = porch.sign_in("kim").user
    make_link(porch, Purpose.RESET, "kim")

    if way == "own":
        change_password(porch.people, visitor, PASSWORD, NEW, address=HERE)
    elif way == "script":
        set_password(porch.people, "kim", NEW, actor="person:root")
    else:
        use(porch)

    with pytest.raises(LinkRefused):
        invitation(porch.people, TOKEN)
    with porch.database.read() as tx:
        assert tx.scalars(select(OneTimeLink)).all() == []


def test_a_new_pin_needs_the_password(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)
    visitor = porch.sign_in("kim").user

    with pytest.raises(ProofRefused):
        change_pin(porch.people, visitor, "wrong wrong wrong", "9630", address=HERE)
    change_pin(porch.people, visitor, PASSWORD, "9630", address=HERE)

    porch.people.prove_pin(visitor, "9630")
    with pytest.raises(ProofRefused):
        porch.people.prove_pin(visitor, "2580")


def test_a_script_sets_a_password(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.RADIOLOGIST)

    set_password(porch.people, "KIM", NEW, actor="person:root")

    assert porch.sign_in("kim", NEW).user.login == "kim"
    with pytest.raises(NotFound):
        set_password(porch.people, "nobody", NEW, actor="person:root")


@pytest.mark.parametrize("login", ["", " ", "a b", "a" * 57, "a/b", "-x", "a\x00", "<script>"])
def test_logins_that_would_not_fit_are_refused(porch: Lobby, login: str) -> None:
    with pytest.raises(ConfigurationError, match="login"):
        add_user(porch.database, login, Role.AUDITOR)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"name": "Kim\\Minjun"}, "backslash"),
        ({"name": "a^b^c^d^e^f"}, "Person Name"),
        ({"name": "K" * 65}, "Person Name"),
        ({"organization": ""}, "organization"),
        ({"organization": "x" * 65}, "64"),
        ({"identifier": "4711"}, "scheme"),
        ({"scheme": "99H"}, "scheme"),
        ({"organization": "A\nB"}, "control"),
        ({"roles": frozenset({Role.SERVICE})}, "token"),
    ],
)
def test_what_could_not_stand_in_a_document_is_refused(porch: Lobby, changed: dict[str, object], why: str) -> None:
    kept: dict[str, object] = {
        "name": "Kim^Minjun=金^珉俊",
        "roles": frozenset({Role.RADIOLOGIST}),
        "organization": "X",
    }
    with porch.database.write() as tx, pytest.raises(ConfigurationError, match=why):
        accounts.add(tx, "kim", Particulars(**{**kept, **changed}), now=porch.moment, actor="x")  # type: ignore[arg-type]


def test_a_login_is_given_once_however_it_is_typed(porch: Lobby) -> None:
    add_user(porch.database, "kim", Role.AUDITOR)

    with pytest.raises(ConfigurationError, match="already"):
        add_user(porch.database, " Kim", Role.AUDITOR)


def test_the_last_administrator_stays(lobby: Lobby) -> None:
    add_user(lobby.database, "kim", Role.ADMINISTRATOR)
    add_user(lobby.database, "lee", Role.ADMINISTRATOR)
    with lobby.database.write() as tx:
        accounts.find(tx, "lee").password = ""  # invited only: nobody who could let people in

    def demote() -> None:
        with lobby.database.write() as tx:
            kim = accounts.find(tx, "kim")
            accounts.edit(tx, kim, Particulars(kim.name, frozenset({Role.AUDITOR})), now=lobby.moment, actor="x")

    def disable(login: str) -> None:
        with lobby.database.write() as tx:
            accounts.disable(tx, accounts.find(tx, login), now=lobby.moment, actor="x")

    for change in (demote, lambda: disable("kim")):
        with pytest.raises(WrongState, match="last administrator"):
            change()
    with lobby.database.write() as tx:
        accounts.find(tx, "lee").password = "set"
    disable("kim")
    with pytest.raises(WrongState):
        disable("lee")


def test_a_token_is_who_asks_with_its_scopes(lobby: Lobby) -> None:
    with lobby.database.write() as tx:
        ends = lobby.moment + timedelta(days=1)
        scopes = (Right.SEE, Right.QUALITY)
        tokens.add(tx, "ris", TOKEN, scopes, expires_at=ends, now=lobby.moment, actor="person:test")

    visitor = lobby.people.by_token(TOKEN)

    assert visitor is not None
    assert (visitor.user_id, visitor.login, visitor.actor) == (0, "service:ris", "service:ris")
    assert visitor.rights == {Right.OPEN, Right.SEE, Right.QUALITY}
    assert lobby.people.by_token(TOKEN[:-1]) is None
    with lobby.database.read() as tx:
        kept = tx.scalars(select(ApiToken)).one()
    assert kept.used_at == lobby.moment
    assert TOKEN not in str(vars(kept))

    lobby.wait(days=1)
    assert lobby.people.by_token(TOKEN) is None


def test_a_removed_token_opens_nothing(lobby: Lobby) -> None:
    with lobby.database.write() as tx:
        tokens.add(tx, "ris", TOKEN, [Right.SEE], expires_at=None, now=lobby.moment, actor="person:test")
    with lobby.database.write() as tx:
        tokens.remove(tx, "ris", now=lobby.moment, actor="person:test")

    assert lobby.people.by_token(TOKEN) is None
    with lobby.database.write() as tx, pytest.raises(NotFound):
        tokens.remove(tx, "ris", now=lobby.moment, actor="person:test")


@pytest.mark.parametrize(
    "scopes", [[], [Right.SIGN], [Right.EDIT, Right.SEE], [Right.ACCOUNT], [Right.OPEN], [Right.PEOPLE]]
)
def test_no_program_gets_the_rights_of_people(porch: Lobby, scopes: list[Right]) -> None:
    with porch.database.write() as tx, pytest.raises(ConfigurationError, match="scopes"):
        tokens.add(tx, "ris", TOKEN, scopes, expires_at=None, now=porch.moment, actor="person:test")
