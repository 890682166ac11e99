"""An OpenID provider: where people are sent to sign in, and what is believed of what comes back.

Authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636, RFC 9207, RFC 9700).
"""

from __future__ import annotations

import hmac
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from secrets import token_urlsafe
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from dicom_node import tls
from dicom_node.errors import WetreadError
from reports.people.config import OidcConfig, is_safe

log = structlog.get_logger("people")

# Those with a public key: a provider's key must be no secret that we share with it (RFC 8725 3.1), and none is none.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SKEW_SECONDS: Final = 60  # between our clock and the provider's
AGAIN_SECONDS: Final = 120  # since the provider asked for the password, where that is what it was asked to do

_new_secret: Final = partial(token_urlsafe, 32)
_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP"})
_PATIENCE_SECONDS = 10.0
_FRESH_SECONDS = 3600.0  # of what the provider says of itself
_NEW_KEYS_SECONDS = 60.0  # between two questions for keys because of an unknown one
_SILENT_SECONDS = 5.0  # in which nobody waits once more for one that does not answer
_LARGEST = 1 << 20  # bytes of an answer
_SILENT = "The provider does not answer. Try again in a minute, or sign in with a password."
_BEING_ASKED = "The provider is being asked just now. Try again in a few seconds, or sign in with a password."
_TRY_AGAIN = "The sign-in did not work. Start it once more; if it fails again, tell the administrator: {reason}."


class ProviderRefused(WetreadError):
    """Nobody was let in. The sentence is for the person; `reason` for the log."""

    def __init__(self, reason: str, sentence: str = "") -> None:
        super().__init__(sentence or _TRY_AGAIN.format(reason=reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Errand:
    """What a browser keeps while its person is away at the provider; each value is used once.

    again: the person is signed in here, and is asked who it is once more.
    """

    state: str
    nonce: str
    verifier: str
    wanted: str  # the local address to go on to
    again: bool


@dataclass(slots=True)
class _Known:
    """What the provider says of itself, and when it was asked."""

    about: Mapping[str, Any]
    keys: KeySet
    asked_at: float
    keys_at: float


class Provider:
    """One for the web process; safe to use from several threads.

    now: seconds since 1970. new_secret: 256 random bits as text.
    """

    def __init__(
        self,
        config: OidcConfig,
        *,
        now: Callable[[], float] = time.time,
        new_secret: Callable[[], str] = _new_secret,
    ) -> None:
        self.config = config
        self._now = now
        self._new_secret = new_secret
        self._context: ssl.SSLContext = tls.client_context(tls.Files(authorities=config.tls_ca))
        self._known: _Known | None = None
        self._silent_until = 0.0
        self._asking = threading.Lock()  # held by who asks; nobody waits for it

    @property
    def words(self) -> str:
        """On the button."""
        return self.config.words

    def begin(self, redirect_uri: str, wanted: str, *, again: bool) -> tuple[str, Errand]:
        """Where to send the browser, and what it has to keep. Raises ProviderRefused."""
        errand = Errand(self._new_secret(), self._new_secret(), self._new_secret(), wanted, again)
        extra = {"prompt": "login", "max_age": "0"} if again else {}
        address = prepare_grant_uri(
            _endpoint(self._about(), "authorization_endpoint"),
            self.config.client_id,
            "code",
            redirect_uri,
            " ".join(self.config.scopes),
            errand.state,
            nonce=errand.nonce,
            code_challenge=create_s256_code_challenge(errand.verifier),
            code_challenge_method="S256",
            **extra,
        )
        return str(address), errand

    def finish(self, errand: Errand, answer: Mapping[str, str], redirect_uri: str) -> Mapping[str, Any]:
        """The claims of who signed in. answer: the query with which the browser came back. Raises ProviderRefused."""
        about = self._about()
        if not hmac.compare_digest(answer.get("state", "").encode(), errand.state.encode()):
            raise ProviderRefused("state")
        tells = about.get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", self.config.issuer if not tells else "") != self.config.issuer:
            raise ProviderRefused("iss of the answer")
        if "error" in answer or not answer.get("code"):
            raise ProviderRefused("called off", "You were not signed in there. Try again, or sign in with a password.")
        tokens = self._redeem(about, answer["code"], errand.verifier, redirect_uri)
        claims = self._claims(str(tokens.get("id_token", "")), errand, str(tokens.get("access_token", "")))
        if errand.again:
            self._must_be_fresh(claims)
        return self._completed(about, claims, str(tokens.get("access_token", "")))

    def leave(self, back: str) -> str | None:
        """Where to send the browser to sign out there as well (RP-Initiated Logout 1.0); None where it has no place.

        back: an absolute address, registered with the provider.
        """
        try:
            about = self._about()
        except ProviderRefused:
            return None
        place = about.get("end_session_endpoint")
        if not isinstance(place, str) or not is_safe(place):
            return None
        return f"{place}?{urlencode({'client_id': self.config.client_id, 'post_logout_redirect_uri': back})}"

    def _redeem(self, about: Mapping[str, Any], code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        client, secret = self.config.client_id, self.config.client_secret.get_secret_value()
        ways = about.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        auth = None
        if secret and "client_secret_basic" in ways:
            auth = httpx.BasicAuth(quote_plus(client), quote_plus(secret))  # RFC 6749 2.3.1
        elif secret:
            form |= {"client_id": client, "client_secret": secret}
        else:
            form["client_id"] = client
        return self._asked("POST", _endpoint(about, "token_endpoint"), data=form, auth=auth)

    def _claims(self, id_token: str, errand: Errand, access_token: str) -> CodeIDToken:
        """Core 3.1.3.7. Raises ProviderRefused."""
        try:
            token = self._decoded(id_token)
            essential = {"essential": True}
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": essential | {"value": self.config.issuer},
                    "aud": essential | {"value": self.config.client_id},
                    "sub": dict(essential),
                },
                params={"nonce": errand.nonce, "client_id": self.config.client_id, "access_token": access_token},
            )
            claims.validate(now=int(self._now()), leeway=SKEW_SECONDS)
        except (JoseError, ValueError) as error:
            raise ProviderRefused(f"ID token, {getattr(error, 'claim', None) or type(error).__name__}") from None
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise ProviderRefused("ID token, sub")
        return claims

    def _decoded(self, id_token: str) -> jwt.Token:
        known = self._fresh()
        try:
            return jwt.decode(id_token, known.keys, algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            return jwt.decode(id_token, self._new_keys(known), algorithms=ALGORITHMS)

    def _must_be_fresh(self, claims: Mapping[str, Any]) -> None:
        """By our clock: what the browser kept, its person could have changed."""
        asked = claims.get("auth_time")
        age = self._now() - asked if isinstance(asked, int | float) and not isinstance(asked, bool) else None
        if age is None or not -SKEW_SECONDS <= age <= AGAIN_SECONDS + SKEW_SECONDS:
            raise ProviderRefused("auth_time", "The provider did not ask for your password again. Try once more.")

    def _completed(self, about: Mapping[str, Any], claims: Mapping[str, Any], access: str) -> Mapping[str, Any]:
        """With what only the userinfo endpoint tells; it must speak of the same person (Core 5.3.2)."""
        needed = (self.config.role_claim, self.config.login_claim, self.config.identifier_claim, "family_name")
        if all(claim_at(claims, name) is not None for name in needed if name) or not about.get("userinfo_endpoint"):
            return dict(claims)
        place = _endpoint(about, "userinfo_endpoint")
        told = self._asked("GET", place, headers={"Authorization": f"Bearer {access}"})
        if told.get("sub") != claims["sub"]:
            raise ProviderRefused("userinfo, sub")
        return {**told, **claims}

    def _about(self) -> Mapping[str, Any]:
        return self._fresh().about

    def _fresh(self) -> _Known:
        """What was heard last stands where it cannot be asked just now; nobody waits for somebody else's question.

        Raises ProviderRefused.
        """
        known, now = self._known, self._now()
        if known is not None and now - known.asked_at <= _FRESH_SECONDS:
            return replace(known)
        silent = now < self._silent_until
        if silent or not self._asking.acquire(blocking=False):
            if known is None:
                raise ProviderRefused("no answer", _SILENT if silent else _BEING_ASKED)
            return replace(known)
        try:
            return replace(self._met(known))
        finally:
            self._asking.release()

    def _met(self, known: _Known | None) -> _Known:
        try:
            about = self._asked("GET", self.config.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if about.get("issuer") != self.config.issuer:
                raise ProviderRefused("issuer of its configuration")
            self._known = _Known(about, self._keys(about), self._now(), self._now())
        except ProviderRefused as error:
            self._silent_until = self._now() + _SILENT_SECONDS  # from now on: asking may have taken longer than that
            if known is None:
                raise
            log.warning("provider_not_asked_anew", reason=error.reason)
            return known
        return self._known

    def _new_keys(self, known: _Known) -> KeySet:
        """It may have changed its keys; whoever invents names of keys does not make us ask all the time."""
        if not self._asking.acquire(blocking=False):
            return known.keys
        try:
            if self._known is None or self._now() - self._known.keys_at < _NEW_KEYS_SECONDS:
                return known.keys
            self._known.keys_at = self._now()
            self._known.keys = self._keys(self._known.about)
            return self._known.keys
        finally:
            self._asking.release()

    def _keys(self, about: Mapping[str, Any]) -> KeySet:
        told = self._asked("GET", _endpoint(about, "jwks_uri")).get("keys")
        usable = [key for key in told or () if isinstance(key, dict) and key.get("kty") in _KEY_TYPES]
        try:
            return KeySet.import_key_set({"keys": usable})
        except (JoseError, ValueError, KeyError) as error:
            raise ProviderRefused("keys") from error

    def _asked(self, method: str, address: str, **arguments: Any) -> Mapping[str, Any]:
        """A JSON object. Raises ProviderRefused."""
        where = f"{urlsplit(address).path} does not answer as it should"
        try:
            with httpx.Client(verify=self._context, timeout=_PATIENCE_SECONDS, trust_env=False) as client:
                answer = client.request(method, address, **arguments)
        except httpx.HTTPError as error:
            log.warning("provider_unreachable", error=type(error).__name__)
            raise ProviderRefused("no answer", _SILENT) from error
        if answer.status_code != 200 or len(answer.content) > _LARGEST:
            raise ProviderRefused(where)
        try:
            told = answer.json()
        except ValueError:
            raise ProviderRefused(where) from None
        if not isinstance(told, dict):
            raise ProviderRefused(where)
        return told


def claim_at(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by names with dots that lead into objects; None where there is none."""
    if name in claims:
        return claims[name]
    here: Any = claims
    for part in name.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return None
        here = here[part]
    return here


def _endpoint(about: Mapping[str, Any], name: str) -> str:
    """Raises ProviderRefused: absent, or in the clear."""
    found = about.get(name)
    if not isinstance(found, str) or not is_safe(found.partition("?")[0]):
        raise ProviderRefused(f"its {name}")
    return found
