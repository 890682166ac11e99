"""Questions about the film of a report: put here, answered by `work`, shown as they are written."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dicom_node.database import clock
from reports import questions
from reports.questions import AnswerState, Question, QuestionRefused
from reports.web.call import asked_report, whole
from reports.web.doors import visitor_of
from reports.web.json_body import json_of
from reports.web.report import Papers, papers
from reports.web.rights import Right, Visitor
from reports.web.seen import seen
from reports.web.site import Site


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    desk = _Questions(site)
    address = "/study/{number:int}/report/questions"
    return [
        site.route(address, desk.listed, Right.SEE),
        site.route(address, desk.put, Right.ASK, methods=("POST",)),
    ]


class _Questions:
    def __init__(self, site: Site) -> None:
        self._site = site

    def listed(self, request: Request) -> Response:
        """All of a study, with the answers so far."""
        return JSONResponse(self._told(self._papers(request, asked_report(request)), visitor_of(request)))

    def put(self, request: Request) -> Response:
        """Ask about the film that the draft is about."""
        body, visitor = json_of(request), visitor_of(request)
        found = self._papers(request, whole(body.get("report")))
        assert found.report is not None
        words = str(body.get("words") or "").replace("\0", " ")
        try:
            with self._site.database.write() as tx:
                film = found.report.film_digest
                questions.put(tx, found.study.id, film, visitor.user_id, visitor.login, words, clock(tx))
        except QuestionRefused as error:
            return JSONResponse({"detail": str(error), "code": "refused"}, status_code=422)
        return JSONResponse(self._told(found, visitor))

    def _papers(self, request: Request, asked: int) -> Papers:
        """asked: the report beside which the questions stand; a study may have two, each with films of its own."""
        with self._site.database.read() as tx:
            found = papers(tx, request.path_params["number"], asked)
        if found is None or found.report is None or found.shadow:
            raise HTTPException(404)
        if asked not in {0, found.report.id}:
            raise HTTPException(409, "A newer draft has replaced this one; load the page again.")
        return found

    def _told(self, found: Papers, visitor: Visitor) -> dict[str, Any]:
        seen(self._site.database, visitor, found.study.id, "report")
        films = found.report.films if found.report is not None else ()
        with self._site.database.read() as tx:
            now = clock(tx)
            return {"questions": [_plain(one, films, now) for one in questions.of_study(tx, found.study.id)]}


def _plain(one: Question, films: Collection[str], now: datetime) -> dict[str, Any]:
    """films: digests of those that the report is about; an answer about another one must not get into it.

    Half an answer whose other half will never come is not shown, even before `work` is there again to give it up.
    """
    stopped = questions.has_stopped(one, now)
    return {
        "id": one.id,
        "by": one.login,
        "words": one.words,
        "answer": "" if stopped else one.answer,
        "state": (AnswerState.FAILED if stopped else one.state).value,
        "trouble": questions.STOPPED if stopped else one.trouble,
        "reader": one.reader,
        "elsewhere": one.film_digest not in films,
        "at": _moment(one.asked_at),
    }


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
