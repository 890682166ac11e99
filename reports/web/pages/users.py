"""Users: who may come in, as what. For administrators; the same functions as `wetread user`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node.errors import ConfigurationError, WrongState
from reports.people import accounts, links, sessions, tokens
from reports.people.accounts import Particulars
from reports.people.rights import Role
from reports.people.service import People, new_token
from reports.people.tables import Account, Purpose
from reports.web.doors import visitor_of
from reports.web.fields import Fields, typed
from reports.web.rights import Right
from reports.web.site import Site

ROLES = tuple(role for role in Role if role is not Role.SERVICE)
_DONE = ("edited", "disabled", "enabled", "signed-out")

Change = Callable[[Session, Account, datetime, str], object]  # of one account, by an actor


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    people = site.equipment.people
    if people is None:
        return []
    pages = _Pages(site, people)
    return [
        site.route("/users", pages.users, Right.PEOPLE),
        site.route("/users", typed(pages.add), Right.PEOPLE, methods=("POST",)),
        site.route("/users/{number:int}", pages.user, Right.PEOPLE),
        site.route("/users/{number:int}", typed(pages.edit), Right.PEOPLE, methods=("POST",)),
        site.route("/users/{number:int}/reset", pages.reset, Right.PEOPLE, methods=("POST",)),
        site.route("/users/{number:int}/disable", pages.disable, Right.PEOPLE, methods=("POST",)),
        site.route("/users/{number:int}/enable", pages.enable, Right.PEOPLE, methods=("POST",)),
        site.route("/users/{number:int}/sign-out", pages.sign_out, Right.PEOPLE, methods=("POST",)),
    ]


class _Pages:
    def __init__(self, site: Site, people: People) -> None:
        self._site = site
        self._people = people

    def users(self, request: Request) -> Response:
        """Everybody, and a form for one more."""
        return self._list(request)

    def add(self, request: Request, fields: Fields) -> Response:
        """One more person; shows the link for that person this once."""
        token = new_token()
        try:
            with self._people.database.write() as tx:
                now, actor = self._people.now(tx), visitor_of(request).actor
                account = accounts.add(tx, fields.get("login", ""), _particulars(fields), now=now, actor=actor)
                links.make(tx, Purpose.INVITE, token, account, now=now, actor=actor)
        except ConfigurationError as error:
            return self._list(request, status=422, fault=str(error), typed=fields)
        return self._list(request, link=_address(request, token), of=account, purpose=Purpose.INVITE)

    def user(self, request: Request) -> Response:
        """One person."""
        done = request.query_params.get("done", "")
        return self._one(request, done=done if done in _DONE else "")

    def edit(self, request: Request, fields: Fields) -> Response:
        """What is known of a person, and the roles."""

        def change(tx: Session, account: Account, now: datetime, actor: str) -> None:
            accounts.edit(tx, account, _particulars(fields), now=now, actor=actor)

        return self._change(request, change, "edited")

    def reset(self, request: Request) -> Response:
        """A link for a new password, shown this once."""
        token = new_token()
        with self._people.database.write() as tx:
            account = self._account(tx, request)
            purpose = Purpose.RESET if account.password else Purpose.INVITE
            links.make(tx, purpose, token, account, now=self._people.now(tx), actor=visitor_of(request).actor)
        return self._one(request, link=_address(request, token), purpose=purpose)

    def disable(self, request: Request) -> Response:
        """Let a person in no more."""
        return self._change(
            request, lambda tx, account, now, actor: accounts.disable(tx, account, now=now, actor=actor), "disabled"
        )

    def enable(self, request: Request) -> Response:
        """Let a person in again."""
        return self._change(
            request, lambda tx, account, now, actor: accounts.enable(tx, account, now=now, actor=actor), "enabled"
        )

    def sign_out(self, request: Request) -> Response:
        """End every session of a person."""
        return self._change(
            request, lambda tx, account, now, actor: accounts.sign_out(tx, account, now=now, actor=actor), "signed-out"
        )

    def _change(self, request: Request, change: Change, done: str) -> Response:
        try:
            with self._people.database.write() as tx:
                account = self._account(tx, request)
                change(tx, account, self._people.now(tx), visitor_of(request).actor)
        except (ConfigurationError, WrongState) as error:
            return self._one(request, status=422, fault=str(error))
        return RedirectResponse(f"/users/{account.id}?done={done}", status_code=303)

    def _account(self, tx: Session, request: Request) -> Account:
        number = request.path_params["number"]
        account = tx.get(Account, number) if number < 1 << 31 else None
        if account is None:
            raise HTTPException(404, "There is no such user.")
        return account

    def _list(self, request: Request, *, status: int = 200, **more: Any) -> Response:
        with self._people.database.read() as tx:
            now, everyone = self._people.now(tx), accounts.everyone(tx)
            programs = tokens.everyone(tx)
        context = {"fault": "", "link": "", "of": None, "purpose": None, "typed": {}, **more}
        return self._site.page(
            request, "users.html", status=status, now=now, people=everyone, programs=programs, roles=ROLES, **context
        )

    def _one(self, request: Request, *, status: int = 200, **more: Any) -> Response:
        with self._people.database.read() as tx:
            account, now = self._account(tx, request), self._people.now(tx)
            alive = [one for one in sessions.of(tx, account.id) if sessions.is_alive(one, self._people.limits, now)]
        context = {"fault": "", "link": "", "purpose": None, "done": "", **more}
        return self._site.page(
            request, "user.html", status=status, now=now, account=account, sessions=alive, roles=ROLES, **context
        )


def _particulars(fields: Fields) -> Particulars:
    roles = frozenset(role for role in ROLES if fields.get(f"role_{role}"))
    return Particulars(
        fields.get("name", ""),
        roles,
        fields.get("organization", ""),
        fields.get("identifier", ""),
        fields.get("scheme", ""),
    )


def _address(request: Request, token: str) -> str:
    return f"{request.url.scheme}://{request.headers['host']}/welcome/{token}"
