"""Signing in at the hospital's provider: away, back, and out.

The browser comes back by a navigation that began at another site, and brings no cookie of ours then (SameSite=Strict):
the page that it comes to sends it on to one of ours, which then sees them all.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from urllib.parse import urlencode

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from dicom_node.errors import ConfigurationError
from reports.people import accounts
from reports.people.errors import ProofRefused, SignInRefused
from reports.people.provider import Errand, Provider, ProviderRefused
from reports.people.rights import Visitor
from reports.people.service import People
from reports.people.vouched import identity_of
from reports.web.entrance import address_of, admit, local_path, token_of
from reports.web.navigation import landing, shown
from reports.web.rights import Right
from reports.web.site import Site

log = structlog.get_logger("web")

_AWAY_SECONDS = 900  # that a person may take at the provider
_TAKEN = ("code", "state", "iss", "error")


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    people, provider = site.equipment.people, site.equipment.oidc
    if people is None or provider is None:
        return []
    site.templates.globals["oidc_words"] = provider.words
    pages = _Pages(site, people, provider)
    return [
        site.route("/oidc/begin", pages.begin, Right.OPEN),
        site.route("/oidc/callback", pages.callback, Right.OPEN),
        site.route("/oidc/finish", pages.finish, Right.OPEN),
        site.route("/oidc/done", pages.done, Right.ACCOUNT),
    ]


def farewell(site: Site, request: Request) -> Response | None:
    """The answer to signing out that goes on to the provider; None where there is none, or it has no such place.

    A page and no redirect: a browser refuses a form to be redirected to another site (CSP, form-action).
    """
    provider = site.equipment.oidc
    place = provider.leave(str(request.base_url.replace(path="/sign-in"))) if provider is not None else None
    return None if place is None else _sent_on(site, place)


class _Pages:
    def __init__(self, site: Site, people: People, provider: Provider) -> None:
        self._site = site
        self._people = people
        self._provider = provider

    def begin(self, request: Request) -> Response:
        """Send the browser to the provider. again: to prove once more who it is."""
        wanted = local_path(request.query_params.get("next", "/"))
        try:
            address, errand = self._provider.begin(_back(request), wanted, again="again" in request.query_params)
        except ProviderRefused as error:
            return self._refusal(request, error.reason, str(error))
        response = RedirectResponse(address, status_code=303)
        kept = base64.urlsafe_b64encode(json.dumps(asdict(errand)).encode()).decode()
        response.set_cookie(
            self._cookie, kept, max_age=_AWAY_SECONDS, secure=self._secure, httponly=True, samesite="strict"
        )
        return response

    def callback(self, request: Request) -> Response:
        """The browser comes back; on to the page that sees our cookies."""
        query = {name: request.query_params[name] for name in _TAKEN if name in request.query_params}
        return _sent_on(self._site, f"/oidc/finish?{urlencode(query)}")

    def finish(self, request: Request) -> Response:
        """Look at what it brought, and let in."""
        state = ""
        try:
            errand = self._errand(request)
            state = errand.state
            response = self._finished(request, errand)
        except (ProviderRefused, SignInRefused, ProofRefused, ConfigurationError) as error:
            reason = error.reason if isinstance(error, ProviderRefused) else type(error).__name__
            response = self._refusal(request, reason, str(error))
            if state and state == request.query_params.get("state"):  # it was on an errand: anybody can call this page
                self._people.refused_elsewhere(address_of(request))
        response.delete_cookie(self._cookie, secure=self._secure, httponly=True, samesite="strict")
        return response

    def done(self, request: Request) -> Response:
        """For a tab that was opened to prove who one is."""
        words = "The provider has said that it is you. Close this tab and go on in the other one."
        return self._site.page(request, "error.html", title="Thank you", sentence=words)

    def _finished(self, request: Request, errand: Errand) -> Response:
        claims = self._provider.finish(errand, request.query_params, _back(request))
        token = token_of(request, secure=self._secure)
        before = self._people.by_session(token) if token else None
        if errand.again and before is not None:
            self._must_be(before, str(claims["sub"]))
            self._people.proven_elsewhere(before)
            return RedirectResponse(local_path(errand.wanted), status_code=303)
        signed_in = self._people.sign_in_elsewhere(
            identity_of(claims, self._provider.config), address=address_of(request)
        )
        if token:
            self._people.sign_out(token)
        places = shown(self._site.templates)
        response = RedirectResponse(landing(places, signed_in.user, local_path(errand.wanted)), status_code=303)
        admit(response, signed_in.token, secure=self._secure)
        return response

    def _must_be(self, visitor: Visitor, subject: str) -> None:
        """Raises ProofRefused."""
        with self._people.database.read() as tx:
            account = accounts.by_subject(tx, self._provider.config.issuer, subject)
        if account is None or account.id != visitor.user_id:
            raise ProofRefused("That was somebody else: prove it with the account that is signed in here.")

    def _errand(self, request: Request) -> Errand:
        """What the browser kept. Raises ProviderRefused."""
        try:
            kept = json.loads(base64.urlsafe_b64decode(request.cookies.get(self._cookie, "")))
            errand = Errand(**kept)
        except (ValueError, TypeError):
            raise ProviderRefused(
                "no errand", "This sign-in is over or was begun elsewhere. Start it once more."
            ) from None
        if not all(
            isinstance(text, str) and text for text in (errand.state, errand.nonce, errand.verifier, errand.wanted)
        ):
            raise ProviderRefused("no errand")
        return errand

    def _refusal(self, request: Request, reason: str, sentence: str) -> Response:
        log.warning("provider_sign_in_refused", reason=reason)
        return self._site.page(request, "error.html", status=403, title="Not signed in", sentence=sentence)

    @property
    def _secure(self) -> bool:
        return self._site.premises.secure

    @property
    def _cookie(self) -> str:
        return "__Host-wetread-oidc" if self._secure else "wetread-oidc"


def _back(request: Request) -> str:
    """Where the provider sends browsers; the Host header has been checked."""
    return str(request.base_url.replace(path="/oidc/callback"))


def _sent_on(site: Site, address: str) -> Response:
    return HTMLResponse(site.templates.get_template("sent-on.html").render(address=address))
