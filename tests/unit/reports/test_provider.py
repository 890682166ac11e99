"""What is believed of a provider: nothing that is not signed, for us, for this errand, and of now."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from pydantic import ValidationError

from dicom_node.errors import WetreadError
from reports.people.config import OidcConfig
from reports.people.provider import Errand, Provider, ProviderRefused, claim_at
from reports.people.rights import Role
from reports.people.vouched import identity_of
from tests.harness.liar import Liar
from tests.harness.node import wait_until

NOW = 1_790_000_000.0
BACK = "http://127.0.0.1/oidc/callback"
SETTINGS = {"client_id": "wetread", "client_secret": "s", "roles": {"rads": "radiologist"}, "organization": "Hospital"}


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar(NOW) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(liar: Liar, clock: Clock) -> Provider:
    return Provider(OidcConfig.model_validate(SETTINGS | {"issuer": liar.issuer}), now=clock)


def come_back(
    provider: Provider, liar: Liar, *, again: bool = False, answer: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    """Away and back; the errand's nonce is what the provider was asked with."""
    _, errand = provider.begin(BACK, "/", again=again)
    liar.nonce = errand.nonce
    return provider.finish(errand, {"code": "code", "state": errand.state, **(answer or {})}, BACK)


def test_honest_provider_is_believed(provider: Provider, liar: Liar) -> None:
    claims = come_back(provider, liar, answer={"iss": liar.issuer})

    assert (claims["sub"], claims["groups"]) == ("kim-17", "rads")
    (form,) = [form for path, form, _ in liar.asked if path == "/token"]
    assert form["grant_type"] == ["authorization_code"]
    assert len(form["code_verifier"][0]) >= 43


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": ["another", "third"]},
        {"aud": ["wetread", "another"]},  # without saying to whom it was given
        {"aud": ["wetread", "another"], "azp": "another"},
        {"azp": "another"},
        {"exp": int(NOW) - 61},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": int(NOW) + 3600},
        {"iat": None},
        {"nbf": int(NOW) + 3600},
        {"sub": ""},
        {"sub": None},
        {"sub": 17},
        {"at_hash": "b3RoZXI"},
    ],
)
def test_token_that_is_not_for_us_and_now_is_refused(provider: Provider, liar: Liar, claims: dict[str, Any]) -> None:
    liar.claims = claims

    with pytest.raises(ProviderRefused, match="ID token"):
        come_back(provider, liar)


def unsigned(claims: Mapping[str, Any], algorithm: str = "none") -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])


def sealed(claims: Mapping[str, Any], secret: bytes) -> str:
    """With a key that both sides know."""
    head, body, _ = unsigned(claims, "HS256").split(".")
    seal = hmac.digest(secret, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(seal).decode().rstrip('=')}"


def body_of(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return read


def made(kind: str, liar: Liar) -> str:
    """A token that nobody should believe; everything in it is as it should be but its signature."""
    honest = liar.signed()
    head, body, signature = honest.split(".")
    stranger = ECKey.generate_key("P-256", {"kid": "one"})
    public = liar.key.as_pem(private=False)
    return {
        "none": unsigned(body_of(honest)),
        "None": unsigned(body_of(honest), "None"),
        "no-signature": f"{head}.{body}.",
        "another-key": jwt.encode({"alg": "ES256", "kid": "one"}, body_of(honest), stranger),
        "own-key": jwt.encode({"alg": "ES256", "jwk": stranger.as_dict(private=False)}, body_of(honest), stranger),
        "public-key-as-secret": sealed(body_of(honest), public),
        "client-secret": sealed(body_of(honest), b"s"),
        "changed": f"{head}.{base64.urlsafe_b64encode(json.dumps(body_of(honest) | {'sub': 'lee'}).encode()).decode()}"
        f".{signature}",
        "no-token": "x",
        "nothing": " ",
        "list": unsigned([], "ES256"),  # type: ignore[arg-type]
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        *("none", "None", "no-signature", "another-key", "own-key", "public-key-as-secret", "client-secret"),
        *("changed", "no-token", "nothing", "list"),
    ],
)
def test_token_without_the_providers_signature_is_refused(provider: Provider, liar: Liar, kind: str) -> None:
    _, errand = provider.begin(BACK, "/", again=False)
    liar.nonce = errand.nonce
    liar.id_token = made(kind, liar)

    with pytest.raises(ProviderRefused, match="ID token"):
        provider.finish(errand, {"code": "code", "state": errand.state}, BACK)


@pytest.mark.parametrize(
    "answer",
    [
        {"state": "another"},
        {"state": ""},
        {"iss": "https://evil.example"},
        {"error": "access_denied"},
        {"code": ""},
    ],
)
def test_answer_that_does_not_fit_the_errand_is_refused(provider: Provider, liar: Liar, answer: dict[str, str]) -> None:
    with pytest.raises(ProviderRefused):
        come_back(provider, liar, answer=answer)

    assert not [path for path, _, _ in liar.asked if path == "/token"]  # the code goes nowhere


def test_provider_that_names_itself_must_do_so(provider: Provider, liar: Liar) -> None:
    liar.about = {"authorization_response_iss_parameter_supported": True}

    with pytest.raises(ProviderRefused, match="iss of the answer"):
        come_back(provider, liar)


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},  # in the clear
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
def test_provider_that_leads_elsewhere_is_refused(provider: Provider, liar: Liar, about: dict[str, Any]) -> None:
    liar.about = about

    with pytest.raises(ProviderRefused):
        come_back(provider, liar)


def test_keys_that_change_are_fetched_once_a_minute(provider: Provider, liar: Liar, clock: Clock) -> None:
    come_back(provider, liar)
    liar.key = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
    liar.published = [liar.key.as_dict(private=False)]
    clock.now += 61
    come_back(provider, liar)

    liar.header = {"kid": "three"}
    for _ in range(3):
        with pytest.raises(ProviderRefused):
            come_back(provider, liar)

    assert [path for path, _, _ in liar.asked].count("/jwks") == 2


@pytest.mark.parametrize(("age", "fresh"), [(0, True), (170, True), (200, False), (-300, False), (None, False)])
def test_proof_must_be_of_now(provider: Provider, liar: Liar, age: int | None, fresh: bool) -> None:
    liar.claims = {"auth_time": None if age is None else int(NOW) - age}

    if fresh:
        assert come_back(provider, liar, again=True)["sub"] == "kim-17"
    else:
        with pytest.raises(ProviderRefused, match="did not ask for your password again"):
            come_back(provider, liar, again=True)


def test_userinfo_of_somebody_else_is_refused(provider: Provider, liar: Liar) -> None:
    liar.claims = {"groups": None}
    liar.userinfo = {"sub": "kim-17", "groups": ["rads"], "aud": "another"}
    told = come_back(provider, liar)
    assert (told["groups"], told["aud"]) == (["rads"], "wetread")  # what is signed is stronger

    liar.userinfo = {"sub": "lee", "groups": ["rads"]}
    with pytest.raises(ProviderRefused, match="userinfo, sub"):
        come_back(provider, liar)


def test_provider_that_does_not_answer_is_not_waited_for_twice(clock: Clock) -> None:
    gone = Provider(OidcConfig.model_validate(SETTINGS | {"issuer": "http://127.0.0.1:9"}), now=clock)

    for _ in range(2):
        with pytest.raises(ProviderRefused, match="does not answer"):
            gone.begin(BACK, "/", again=False)
    assert gone.leave("http://127.0.0.1/sign-in") is None


class Mute:
    """Takes connections and says nothing, until it hangs up."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.callers: list[socket.socket] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.callers.append(self._listening.accept()[0])

    def hang_up(self) -> None:
        """On everybody who called; it goes on taking calls."""
        for caller in self.callers:
            caller.close()

    def close(self) -> None:
        """For good."""
        self.hang_up()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mute]:
    monkeypatch.setattr("reports.people.provider._PATIENCE_SECONDS", 120.0)
    with contextlib.closing(Mute()) as server:
        yield server


def test_nobody_waits_while_somebody_else_asks_a_silent_provider(mute: Mute, clock: Clock) -> None:
    silent = Provider(OidcConfig.model_validate(SETTINGS | {"issuer": mute.address}), now=clock)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(silent.begin, BACK, "/", again=False)
        wait_until(lambda: len(mute.callers) == 1, "the provider is being asked")
        for _ in range(3):
            with pytest.raises(ProviderRefused, match="being asked just now"):
                silent.begin(BACK, "/", again=False)
        assert not first.done()

        clock.now += 10  # that long it took
        mute.hang_up()
        with pytest.raises(ProviderRefused, match="does not answer"):
            first.result(120)
    with pytest.raises(ProviderRefused, match="does not answer"):
        silent.begin(BACK, "/", again=False)

    assert len(mute.callers) == 1


def test_what_a_provider_said_stands_while_it_does_not_answer(provider: Provider, liar: Liar, clock: Clock) -> None:
    come_back(provider, liar)
    clock.now += 3601
    liar.now = clock.now
    truth, liar.about = liar.about, {"issuer": "https://evil.example"}

    for _ in range(3):
        assert come_back(provider, liar)["sub"] == "kim-17"
    asked = [path for path, _, _ in liar.asked].count("/.well-known/openid-configuration")
    liar.about = truth
    clock.now += 6
    come_back(provider, liar)

    assert asked == 2  # not once more within five seconds
    assert [path for path, _, _ in liar.asked].count("/.well-known/openid-configuration") == 3


def test_refusals_tell_nothing_of_the_person(provider: Provider, liar: Liar) -> None:
    liar.claims = {"aud": "another", "preferred_username": "secret-login", "family_name": "Secret"}

    with pytest.raises(ProviderRefused) as refused:
        come_back(provider, liar)

    assert "ecret" not in str(refused.value)
    assert isinstance(refused.value, WetreadError)


# --- who it is here -----------------------------------------------------------------------------------------------


def config(**settings: Any) -> OidcConfig:
    return OidcConfig.model_validate(SETTINGS | {"issuer": "https://login.example"} | settings)


@pytest.mark.parametrize(
    ("claim", "value", "roles"),
    [
        ("groups", ["staff", "rads"], {Role.RADIOLOGIST}),
        ("groups", "rads", {Role.RADIOLOGIST}),
        ("groups", ["RADS"], set()),
        ("groups", [["rads"], {"rads": 1}, 7, None], set()),
        ("groups", {"rads": True}, set()),
        ("groups", None, set()),
        ("realm_access.roles", {"roles": ["rads"]}, {Role.RADIOLOGIST}),
    ],
)
def test_roles_come_from_the_configured_values_alone(claim: str, value: Any, roles: set[Role]) -> None:
    claims = {"sub": "1", "preferred_username": "kim", claim.partition(".")[0]: value}

    if roles:
        assert identity_of(claims, config(role_claim=claim)).who.roles == roles
    else:
        with pytest.raises(ProviderRefused, match="has no role in these pages"):
            identity_of(claims, config(role_claim=claim))


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"family_name": "Kim", "given_name": "Minjun"}, "Kim^Minjun"),
        ({"family_name": "K^im=x\\y"}, "K im x y"),
        ({"name": "Minjun Kim"}, "Minjun Kim"),
        ({"name": 17}, "kim"),
    ],
)
def test_name_becomes_a_person_name(told: dict[str, Any], name: str) -> None:
    claims = {"sub": "1", "preferred_username": "kim", "groups": "rads"} | told

    assert identity_of(claims, config()).who.name == name


@pytest.mark.parametrize(
    ("told", "asked"),
    [(int(NOW), datetime.fromtimestamp(NOW, UTC)), *((told, None) for told in (None, True, "now", -1, 1e300, 1 << 80))],
)
def test_moment_of_the_password_is_what_the_provider_says(told: Any, asked: datetime | None) -> None:
    claims = {"sub": "1", "preferred_username": "kim", "groups": "rads", "auth_time": told}

    assert identity_of(claims, config()).proven_at == asked


def test_claims_are_found_by_name_before_they_are_looked_for_inside() -> None:
    claims = {"https://example.org/roles": "a", "x.y": "b", "x": {"y": "c", "z": "d"}}

    assert [claim_at(claims, name) for name in ("https://example.org/roles", "x.y", "x.z", "x.w.v")] == [
        *("a", "b", "d"),
        None,
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"issuer": "http://login.example"}, "https:// address"),
        ({"issuer": "https://user@login.example"}, "https:// address"),
        ({"client_id": ""}, "needs client_id, and roles"),
        ({"roles": {}}, "needs client_id, and roles"),
        ({"roles": {"x": "service"}}, "service is the role of programs"),
        ({"scopes": ["profile"]}, "openid"),
        ({"identifier_claim": "number"}, "needs scheme"),
    ],
)
def test_half_a_provider_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**settings)


def test_errand_holds_nothing_but_what_is_used_once() -> None:
    assert set(Errand.__slots__) == {"state", "nonce", "verifier", "wanted", "again"}
