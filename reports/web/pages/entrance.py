"""Signing in and out, and the one-time link with which a person sets a password."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dicom_node.errors import ConfigurationError, WetreadError
from reports.people.enrollment import Enrollment, Invitation, enroll, invitation
from reports.people.errors import LinkRefused, SignInRefused, TooSoon
from reports.people.service import People, SignedIn
from reports.web.entrance import address_of, admit, dismiss, local_path, token_of
from reports.web.fields import Fields, typed, wants_json
from reports.web.navigation import landing, shown
from reports.web.pages import oidc
from reports.web.rights import Right
from reports.web.site import Site


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    people = site.equipment.people
    if people is None:
        return []
    site.templates.globals["house_is_open"] = lambda: not people.anybody()
    pages = _Pages(site, people)
    return [
        site.route("/sign-in", pages.door, Right.OPEN),
        site.route("/sign-in", typed(pages.sign_in), Right.OPEN, methods=("POST",)),
        site.route("/sign-out", pages.sign_out, Right.OPEN, methods=("POST",)),
        site.route("/welcome/{token}", pages.welcome, Right.OPEN),
        site.route("/welcome/{token}", typed(pages.enroll), Right.OPEN, methods=("POST",)),
    ]


class _Pages:
    def __init__(self, site: Site, people: People) -> None:
        self._site = site
        self._people = people

    def door(self, request: Request) -> Response:
        """The form. Who is signed in goes on at once; a link from elsewhere is followed again from here for that.

        A browser keeps our cookie from a navigation that began at another site (SameSite=Strict), and gives it to one
        that begins here.
        """
        wanted = local_path(request.query_params.get("next", "/"))
        token = token_of(request, secure=self._secure)
        if token and self._people.by_session(token, attended=False) is not None:
            return RedirectResponse(wanted, status_code=303)
        if not token and request.headers.get("sec-fetch-site") == "cross-site":
            again = f"/sign-in?next={quote(wanted, safe='')}"
            return HTMLResponse(self._site.templates.get_template("sent-on.html").render(address=again))
        return self._form(request, wanted)

    def sign_in(self, request: Request, fields: Fields) -> Response:
        """Look at what was typed."""
        login, password = fields.get("login", ""), fields.get("password", "")
        try:
            signed_in = self._people.sign_in(login, password, address=address_of(request))
        except (SignInRefused, TooSoon) as error:
            return self._refusal(request, fields, error)
        if wants_json(request):
            return self._let_in(request, signed_in, JSONResponse({"login": signed_in.user.login}))
        return self._let_in(request, signed_in, self._onward(signed_in, local_path(fields.get("next", "/"))))

    def sign_out(self, request: Request) -> Response:
        """End this session; the browser forgets the films that it may keep for some minutes."""
        token = token_of(request, secure=self._secure)
        by_provider = bool(token) and self._people.sign_out(token)
        farewell = oidc.farewell(self._site, request) if by_provider else None
        response = farewell or RedirectResponse("/sign-in", status_code=303)
        response.headers["Clear-Site-Data"] = '"cache"'  # W3C Clear Site Data, 3.1; kept by browsers over TLS
        dismiss(response, secure=self._secure)
        return response

    def welcome(self, request: Request) -> Response:
        """What a one-time link opens; looking at it does not use it up."""
        try:
            return self._welcome(request, invitation(self._people, request.path_params["token"]), {})
        except LinkRefused as error:
            return self._site.page(request, "error.html", status=410, title="This link is void", sentence=str(error))

    def enroll(self, request: Request, fields: Fields) -> Response:
        """Set password and PIN, and let in."""
        token = request.path_params["token"]
        try:
            known = invitation(self._people, token)
            wanted = Enrollment(
                _twice(fields, "password", "The two passwords differ."),
                _twice(fields, "pin", "The two PINs differ."),
                *(fields.get(name, "") for name in ("login", "name", "organization")),
            )
            signed_in = enroll(self._people, token, wanted, address=address_of(request))
        except LinkRefused as error:
            return self._site.page(request, "error.html", status=410, title="This link is void", sentence=str(error))
        except ConfigurationError as error:
            return self._welcome(request, known, fields, fault=str(error))
        return self._let_in(request, signed_in, self._onward(signed_in, "/"))

    def _onward(self, signed_in: SignedIn, wanted: str) -> Response:
        places = shown(self._site.templates)
        return RedirectResponse(landing(places, signed_in.user, wanted), status_code=303)

    @property
    def _secure(self) -> bool:
        return self._site.premises.secure

    def _let_in(self, request: Request, signed_in: SignedIn, response: Response) -> Response:
        """A new session in place of the one that the browser had."""
        before = token_of(request, secure=self._secure)
        if before:
            self._people.sign_out(before)
        admit(response, signed_in.token, secure=self._secure)
        return response

    def _refusal(self, request: Request, fields: Fields, error: WetreadError) -> Response:
        status, headers = 403, {}
        if isinstance(error, TooSoon):
            status, headers = 429, {"Retry-After": str(error.seconds)}
        if wants_json(request):
            return JSONResponse({"detail": str(error)}, status_code=status, headers=headers)
        wanted = local_path(fields.get("next", "/"))
        response = self._form(request, wanted, status=status, fault=str(error), login=fields.get("login", ""))
        response.headers.update(headers)
        return response

    def _form(self, request: Request, wanted: str, *, status: int = 200, fault: str = "", login: str = "") -> Response:
        return self._site.page(
            request,
            "sign-in.html",
            status=status,
            next=wanted,
            fault=fault,
            login=login,
            anybody=self._people.anybody(),
            oidc=getattr(self._site.equipment, "oidc", None),
        )

    def _welcome(self, request: Request, known: Invitation, fields: Fields, *, fault: str = "") -> Response:
        shown = replace(known, login=known.login or fields.get("login", ""), name=known.name or fields.get("name", ""))
        return self._site.page(
            request,
            "welcome.html",
            status=422 if fault else 200,
            known=shown,
            organization=fields.get("organization", ""),
            fault=fault,
        )


def _twice(fields: Fields, name: str, words: str) -> str:
    """What was typed two times. Raises ConfigurationError where it differs."""
    if fields.get(name, "") != fields.get(f"{name}_again", ""):
        raise ConfigurationError(words)
    return fields.get(name, "")
