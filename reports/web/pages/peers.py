"""The page of peers: who may send to us, where we send to, who was turned away; and the forms that change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node import destinations, peers, turned_away, worklist
from dicom_node.access_tables import RefusedCaller
from dicom_node.database import clock
from dicom_node.errors import WetreadError
from dicom_node.tables import Mode, Proof, RemoteAE, Way
from reports.web import registration
from reports.web.administration import caretaker_of, top
from reports.web.caretaker import Advised, Tried
from reports.web.entries import Entries, actor_of, read_entries
from reports.web.rights import Right
from reports.web.site import Site

MOST_REFUSED = 50  # callers on the page
_POST = ("POST",)


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/peers", pages.everyone, Right.SEE),
        site.route("/peers/edit", pages.form, Right.ADMINISTER),
        site.route("/peers/edit", pages.save, Right.ADMINISTER, methods=_POST),
        site.route("/peers/remove", pages.remove, Right.ADMINISTER, methods=_POST),
        site.route("/peers/admit", pages.admit, Right.ADMINISTER, methods=_POST),
        site.route("/peers/echo", pages.echo, Right.ADMINISTER, methods=_POST),
        site.route("/peers/probe", pages.probe, Right.ADMINISTER, methods=_POST),
        site.route("/peers/advice", pages.follow, Right.ADMINISTER, methods=_POST),
    ]


def back_to_peers(done: str, name: str) -> Response:
    """The list again, with a word on what was done; `name`: to whom."""
    return RedirectResponse(f"/peers?{urlencode({'done': done, 'name': name})}", status_code=303)


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def everyone(self, request: Request) -> Response:
        """Who may send to us, where we send to, who was refused."""
        asked = request.query_params
        not_ready = self._site.not_ready()
        with self._site.database.read() as tx:
            context = top(tx, not_ready)
            known, targets = peers.everyone(tx), destinations.destinations(tx)
            refused = turned_away.newest(tx, limit=MOST_REFUSED)
            stopped = worklist.count_stopped(tx, asked["name"]) if asked.get("name") else 0
        return self._site.page(
            request,
            "peers.html",
            peers=known,
            services=[to for to in targets if to.way is not Way.DIMSE],
            objects={to.name: destinations.in_words(to.objects).replace(",", ", ") for to in targets},
            for_nothing=[peer.ae_title for peer in known if destinations.takes_nothing(peer)],
            refused=[(caller, registration.way_in(caller, known)) for caller in refused],
            done=asked.get("done", ""),
            name=asked.get("name", ""),
            stopped=stopped,
            **context,
        )

    def form(self, request: Request) -> Response:
        """Everything about one peer; without a title an empty form for a new one."""
        title = request.query_params.get("title", "")
        if not title:
            return self._form(request, registration.BLANK_PEER, new=True)
        return self._of(request, title)

    def save(self, request: Request) -> Response:
        """Add a peer, or change it."""
        entries = read_entries(request)
        new = entries.flag("new")
        try:
            columns = registration.peer_columns(entries)
            title = registration.title_of(entries)
            with self._site.database.write() as tx:
                _save(tx, title, columns, new=new, actor=actor_of(request))
        except WetreadError as error:
            typed = registration.typed_peer(entries)
            return self._form(request, typed, new=new, mistake=str(error), status=422)
        done = "added" if new else "edited"
        if entries.flag("ask") and columns["send_to"]:
            done = self._ask(title, done, actor_of(request))
        return back_to_peers(done, title)

    def _ask(self, title: str, done: str, actor: str) -> str:
        """What a destination takes; one that is new and takes nothing is set to get nothing, as by `wetread ae add`."""
        try:
            caretaker_of(self._site).probe(title, actor)
        except WetreadError:
            return f"{done}-unasked"
        with self._site.database.write() as tx:
            if not destinations.takes_nothing(peers.find(tx, title)):
                return done
            if done == "added":
                peers.edit(tx, title, now=clock(tx), actor=actor, send_to=False)
        return f"{done}-for-nothing"

    def remove(self, request: Request) -> Response:
        """Forget a peer."""
        entries = read_entries(request)
        return self._change(request, "removed", entries, _remove)

    def admit(self, request: Request) -> Response:
        """Let a caller that was refused send from now on."""
        entries = read_entries(request)
        title, address, actor = entries.text("title"), entries.text("address"), actor_of(request)
        try:
            with self._site.database.write() as tx:
                now = clock(tx)
                if title in peers.titles(tx):
                    peers.edit(tx, title, now=now, actor=actor, may_send=True)
                else:
                    peers.add(tx, registration.caller_as_peer(title, address), now=now, actor=actor)
        except WetreadError as error:
            typed = {**registration.BLANK_PEER, "title": title, "may_send": True, "calls_from": address}
            return self._form(request, typed, new=True, mistake=str(error), status=422)
        return back_to_peers("admitted", title)

    def echo(self, request: Request) -> Response:
        """C-ECHO, and what came of it."""
        title = read_entries(request).text("title")
        try:
            tried = caretaker_of(self._site).echo(title)
        except WetreadError as error:
            tried = Tried(False, str(error))
        return self._of(request, title, tried=tried)

    def probe(self, request: Request) -> Response:
        """What the peer takes, and what we recommend."""
        title = read_entries(request).text("title")
        try:
            advised = caretaker_of(self._site).probe(title, actor_of(request))
        except WetreadError as error:
            return self._of(request, title, tried=Tried(False, str(error)))
        return self._of(request, title, advised=advised)

    def follow(self, request: Request) -> Response:
        """Store what the last probe recommends."""
        return self._change(request, "advised", read_entries(request), _follow)

    def _change(
        self, request: Request, done: str, entries: Entries, change: Callable[[Session, Entries, str], object]
    ) -> Response:
        title = entries.text("title")
        try:
            with self._site.database.write() as tx:
                change(tx, entries, actor_of(request))
        except WetreadError as error:
            return self._of(request, title, tried=Tried(False, str(error)))
        return back_to_peers(done, title)

    def _of(
        self, request: Request, title: str, *, tried: Tried | None = None, advised: Advised | None = None
    ) -> Response:
        try:
            with self._site.database.read() as tx:
                peer = peers.find(tx, title)
                refused = [one for one in turned_away.newest(tx) if one.calling_ae_title == title]
        except WetreadError as error:
            blank = {**registration.BLANK_PEER, "title": title}
            return self._form(request, blank, new=True, mistake=str(error), status=404)
        values = registration.shown_peer(peer)
        return self._form(request, values, peer=peer, refused=refused, tried=tried, advised=advised)

    def _form(
        self,
        request: Request,
        values: Mapping[str, Any],
        *,
        new: bool = False,
        mistake: str = "",
        peer: RemoteAE | None = None,
        refused: Sequence[RefusedCaller] = (),
        tried: Tried | None = None,
        advised: Advised | None = None,
        status: int = 200,
    ) -> Response:
        return self._site.page(
            request,
            "peer.html",
            status=status,
            values=values,
            new=new,
            mistake=mistake,
            tried=tried,
            advised=advised,
            refused=refused,
            recommended=registration.recommended(peer) if peer is not None else None,
            for_nothing=peer is not None and destinations.takes_nothing(peer),
            modes=[*Mode],
            proofs=[*Proof],
            forms=registration.FORMS,
        )


def _save(tx: Session, title: str, columns: Mapping[str, Any], *, new: bool, actor: str) -> None:
    now = clock(tx)
    if new:
        peers.add(tx, RemoteAE(ae_title=title, **columns), now=now, actor=actor)
    else:
        peers.replace(tx, title, columns, now=now, actor=actor)


def _remove(tx: Session, entries: Entries, actor: str) -> None:
    entries.must_be_sure()
    peers.remove(tx, entries.text("title"), now=clock(tx), actor=actor)


def _follow(tx: Session, entries: Entries, actor: str) -> None:
    title = entries.text("title")
    peer = peers.find(tx, title)
    advice = registration.recommended(peer)
    if advice is not None:
        peers.edit(tx, title, now=clock(tx), actor=actor, objects="", proof=advice[1])
