"""One's own account: password, PIN, open sessions, and proving that one is still here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dicom_node.errors import WetreadError
from reports.people import sessions
from reports.people.enrollment import change_password, change_pin
from reports.people.errors import ProofRefused, TooSoon, WeakPassword
from reports.people.service import People
from reports.people.tables import Account
from reports.web.doors import visitor_of
from reports.web.entrance import address_of
from reports.web.fields import Fields, typed
from reports.web.rights import Right
from reports.web.site import Site

_DONE = ("password", "pin", "sessions")


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    people = site.equipment.people
    if people is None:
        return []
    pages = _Pages(site, people)
    changes = {"password": pages.password, "pin": pages.pin, "sign-out": pages.sign_out, "prove": pages.prove}
    return [
        site.route("/account", pages.account, Right.ACCOUNT),
        site.route("/account/who", pages.who, Right.ACCOUNT),
        *(
            site.route(f"/account/{name}", typed(change), Right.ACCOUNT, methods=("POST",))
            for name, change in changes.items()
        ),
    ]


class _Pages:
    def __init__(self, site: Site, people: People) -> None:
        self._site = site
        self._people = people

    def account(self, request: Request) -> Response:
        """What is known of the visitor, and where this person is signed in."""
        done = request.query_params.get("done", "")
        return self._shown(request, done=done if done in _DONE else "")

    def who(self, request: Request) -> Response:
        """For scripts: who is signed in here?"""
        return JSONResponse({"login": visitor_of(request).login})

    def password(self, request: Request, fields: Fields) -> Response:
        """Take another password."""
        if fields.get("new", "") != fields.get("new_again", ""):
            return self._shown(request, status=422, fault="The two new passwords differ.", at="password")
        who, (old, new) = visitor_of(request), (fields.get("password", ""), fields.get("new", ""))
        try:
            change_password(self._people, who, old, new, address=address_of(request))
        except (ProofRefused, TooSoon, WeakPassword) as error:
            return self._shown(request, status=_status(error), fault=str(error), at="password")
        return RedirectResponse("/account?done=password", status_code=303)

    def pin(self, request: Request, fields: Fields) -> Response:
        """Take another PIN."""
        if fields.get("pin", "") != fields.get("pin_again", ""):
            return self._shown(request, status=422, fault="The two PINs differ.", at="pin")
        who, (password, pin) = visitor_of(request), (fields.get("password", ""), fields.get("pin", ""))
        try:
            change_pin(self._people, who, password, pin, address=address_of(request))
        except (ProofRefused, TooSoon, WeakPassword) as error:
            return self._shown(request, status=_status(error), fault=str(error), at="pin")
        return RedirectResponse("/account?done=pin", status_code=303)

    def sign_out(self, request: Request, fields: Fields) -> Response:  # noqa: ARG002
        """End every other session."""
        who = visitor_of(request)
        self._people.sign_out_everywhere(who.user_id, actor=who.actor, but=int(who.session))
        return RedirectResponse("/account?done=sessions", status_code=303)

    def prove(self, request: Request, fields: Fields) -> Response:
        """For scripts: the same person is still here; 204, or 403 and 429 with a sentence."""
        who = visitor_of(request)
        try:
            if "pin" in fields:
                self._people.prove_pin(who, fields["pin"])
            else:
                self._people.prove_password(who, fields.get("password", ""), address=address_of(request))
        except (ProofRefused, TooSoon) as error:
            return JSONResponse({"detail": str(error)}, status_code=_status(error))
        return Response(status_code=204)

    def _shown(self, request: Request, *, status: int = 200, done: str = "", fault: str = "", at: str = "") -> Response:
        who = visitor_of(request)
        with self._people.database.read() as tx:
            now = self._people.now(tx)
            account = tx.get_one(Account, who.user_id)
            rows = sessions.of(tx, who.user_id)
        return self._site.page(
            request,
            "account.html",
            status=status,
            now=now,
            account=account,
            sessions=[one for one in rows if sessions.is_alive(one, self._people.limits, now)],
            done=done,
            fault=fault,
            at=at,
        )


def _status(error: WetreadError) -> int:
    if isinstance(error, TooSoon):
        return 429
    return 422 if isinstance(error, WeakPassword) else 403
