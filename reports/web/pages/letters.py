"""The page of dead letters: what was given up, why, and the buttons that try it again or close it."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node import worklist
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError, WetreadError
from dicom_node.worklist.closings import close_dead_letter
from reports.web import letters
from reports.web.administration import top
from reports.web.entries import Entries, actor_of, read_entries
from reports.web.letters import Wish
from reports.web.rights import Right
from reports.web.site import Site

_POST = ("POST",)


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/dead-letters", pages.letters, Right.ADMINISTER),
        site.route("/dead-letters/requeue", pages.requeue, Right.ADMINISTER, methods=_POST),
        site.route("/dead-letters/requeue-all", pages.requeue_all, Right.ADMINISTER, methods=_POST),
        site.route("/dead-letters/close", pages.close, Right.ADMINISTER, methods=_POST),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def letters(self, request: Request) -> Response:
        """What was given up, with the reason and where to look."""
        asked = request.query_params
        return self._show(request, Wish(asked.get("destination", ""), asked.get("reason", "")))

    def requeue(self, request: Request) -> Response:
        """Try one study again."""
        entries = read_entries(request)
        try:
            self._requeue(entries.number("study", "Study"), actor_of(request))
        except WetreadError as error:
            return self._show(request, _wish(entries), mistake=str(error))
        return _back(_wish(entries), requeued=1)

    def requeue_all(self, request: Request) -> Response:
        """Try everything again that the filter shows; studies that are held, or have gone on, stay."""
        entries, actor = read_entries(request), actor_of(request)
        wish = _wish(entries)
        try:
            entries.must_be_sure()
        except ConfigurationError as error:
            return self._show(request, wish, mistake=str(error))
        if wish.destination:
            with self._site.database.read() as tx:
                vain = letters.all_in_vain(tx, wish.destination)
            if vain:
                return self._show(request, wish, mistake=vain)
        if wish.destination and not wish.reason:
            with self._site.database.write() as tx:
                count = worklist.requeue_for(tx, wish.destination, clock(tx), actor=actor)
            return _back(wish, requeued=count)
        with self._site.database.read() as tx:
            numbers = letters.studies_of(tx, wish)
        mistakes = [mistake for number in numbers if (mistake := self._attempt(number, actor))]
        if mistakes:
            words = f"{len(numbers) - len(mistakes)} requeued; {len(mistakes)} not: {mistakes[0]}"
            return self._show(request, wish, mistake=words)
        return _back(wish, requeued=len(numbers))

    def close(self, request: Request) -> Response:
        """End one that is meant."""
        entries = read_entries(request)
        reason = entries.text("why")
        try:
            if not reason:
                raise ConfigurationError("say why in a sentence, without a patient's data")
            with self._site.database.write() as tx:
                number = entries.number("delivery", "Number")
                close_dead_letter(tx, number, explanation=reason[:1000], now=clock(tx), actor=actor_of(request))
        except WetreadError as error:
            return self._show(request, _wish(entries), mistake=str(error))
        return _back(_wish(entries), closed=1)

    def _requeue(self, number: int, actor: str) -> None:
        with self._site.database.write() as tx:
            study = worklist.find_study_to_change(tx, f"#{number}")
            worklist.requeue(tx, study, clock(tx), actor=actor)

    def _attempt(self, number: int, actor: str) -> str:
        try:
            self._requeue(number, actor)
        except WetreadError as error:
            return f"study {number}: {error}"
        return ""

    def _show(self, request: Request, wish: Wish, *, mistake: str = "") -> Response:
        asked, not_ready = request.query_params, self._site.not_ready()
        with self._site.database.read() as tx:
            context = top(tx, not_ready)
            found, counts, given_up = letters.letters(tx, wish), letters.counts(tx), letters.given_up(tx)
            elsewhere = {one.study_id: letters.CURES.get(one.reason, letters.ELSEWHERE) for one in given_up}
        return self._site.page(
            request,
            "letters.html",
            status=422 if mistake else 200,
            wish=wish,
            letters=found,
            counts=counts,
            total=sum(count for _, _, count in counts),
            given_up=given_up,
            cures=elsewhere,
            mistake=mistake,
            requeued=asked.get("requeued", ""),
            closed=asked.get("closed", ""),
            **context,
        )


def _wish(entries: Entries) -> Wish:
    return Wish(entries.text("destination"), entries.text("reason"))


def _back(wish: Wish, **done: int) -> Response:
    query = urlencode({"destination": wish.destination, "reason": wish.reason, **done})
    return RedirectResponse(f"/dead-letters?{query}", status_code=303)
