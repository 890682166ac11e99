"""The page of the audit trail: searched, proved, and taken out as a file, which is itself in the trail."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dicom_node import audit
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError
from reports.web import trail
from reports.web.administration import top
from reports.web.entries import actor_of, read_entries
from reports.web.rights import Right
from reports.web.site import Site
from reports.web.timeline import sentence
from reports.web.trail import Wish


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/audit", pages.search, Right.AUDIT),
        site.route("/audit/export", pages.export, Right.AUDIT, methods=("POST",)),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def search(self, request: Request) -> Response:
        """The newest rows that fit, a page of them."""
        wish = Wish.of(request.query_params)
        proves = request.query_params.get("prove") == "yes"
        mistake, rows, number = "", [], 0
        with self._site.database.read() as tx:
            context = top(tx, ())
            try:
                rows, number = list(trail.newest(tx, wish)), trail.count(tx, wish)
            except ConfigurationError as error:
                mistake = str(error)
            events, unsealed = trail.events(tx), trail.unsealed(tx)
            broken = audit.broken_seal(tx) if proves else None
        older = rows[trail.PAGE - 1].id if len(rows) > trail.PAGE else None
        return self._site.page(
            request,
            "audit.html",
            status=422 if mistake else 200,
            wish=wish,
            rows=[(row, sentence(row)) for row in rows[: trail.PAGE]],
            number=number,
            older=older,
            events=events,
            unsealed=unsealed,
            proves=proves,
            broken=broken,
            mistake=mistake,
            **context,
        )

    def export(self, request: Request) -> Response:
        """Everything that fits, as CSV or as JSON lines."""
        entries = read_entries(request)
        wish = Wish.of({name: entries.text(name) for name in entries.values})
        form = entries.text("form")
        if form not in {"csv", "jsonl"}:
            raise HTTPException(400, "The trail is given as csv or jsonl.")
        try:
            last = self._booked(wish, form, actor_of(request))
        except ConfigurationError as error:
            raise HTTPException(400, str(error)) from error
        rows = trail.everything(self._site.database, wish, last)
        lines = trail.as_csv(rows) if form == "csv" else trail.as_json_lines(rows)
        kind = "text/csv" if form == "csv" else "application/jsonl"
        headers = {"Content-Disposition": f'attachment; filename="audit.{form}"'}
        return StreamingResponse(lines, media_type=f"{kind}; charset=utf-8", headers=headers)

    def _booked(self, wish: Wish, form: str, actor: str) -> int:
        """Write that this is taken out; returns the number of that row, the last one that goes out."""
        with self._site.database.write() as tx:
            rows = trail.count(tx, wish)
            audit.append(tx, "audit-exported", at=clock(tx), actor=actor, form=form, rows=rows, **_named(wish))
            tx.flush()
            return trail.last_number(tx)


def _named(wish: Wish) -> dict[str, Any]:
    """The filters, by names that an audit row has not taken for itself."""
    return {f"of_{name}": value for name, value in wish.filters.items()}
