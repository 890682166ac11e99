"""The films for the viewer in the page: which there are, a small picture, every value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dicom_node.files import stored_path
from reports.web.before_after import Taken, in_order
from reports.web.call import asked_report
from reports.web.doors import visitor_of
from reports.web.film import (
    NO_DECODER,
    Films,
    FilmsBusy,
    FilmTrouble,
    Picture,
    Prior,
    Shelf,
    Shelved,
    as_json,
    film,
    priors,
    shelf,
)
from reports.web.namesake import NOBODY, Whose, doubt, whose
from reports.web.rights import Right
from reports.web.seen import seen
from reports.web.site import Site

_KEEP: Final = "private, max-age=300"  # in the browser of who saw it, by the pixels' digest; no proxy keeps it
_REMEMBERED: Final = 2048  # films whose headers were read: up to 8 MiB each, and always the same
_RETRY_SECONDS: Final = "2"
_GONE: Final = frozenset({"file-missing", "purged"})
_PURGED: Final = FilmTrouble("purged", "The film was deleted: it was kept as long as node.keep_days says.")


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    films = _Films(site)
    return [
        site.route("/study/{number:int}/films.json", films.of_study, Right.SEE),
        site.route("/study/{number:int}/priors.json", films.of_others, Right.SEE),
        site.route("/film/{number:int}/film.json", films.described, Right.SEE),
        site.route("/film/{number:int}/preview", films.preview, Right.SEE),
        site.route("/film/{number:int}/pixels", films.pixels, Right.SEE),
    ]


class _Films:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._remembered = lru_cache(_REMEMBERED)(self._read)

    def of_study(self, request: Request) -> Response:
        """The films of a study, where those of other studies of the patient are told, and the way to the site's viewer.

        `?report=` says whose films were read: a study may have two reports. HEAD lets the first picture be made, before
        somebody looks: nothing is told, so that is no look.
        """
        with self._site.database.read() as tx:
            found = _asked(tx, request)
        if request.method == "HEAD":
            self._prepare(found)
            return Response()
        seen(self._site.database, visitor_of(request), found.study.id, "film")
        link, study = self._site.equipment.viewer_link, found.study
        return JSONResponse(
            {
                "study": study.id,
                "words": list(found.words),
                "films": [self._told(one) for one in found.films],
                "priors": f"/study/{study.id}/priors.json" + (f"?report={found.report_id}" if found.report_id else ""),
                "viewer": link.to(study.study_instance_uid, study.accession_number, study.patient_id) if link else "",
            }
        )

    def of_others(self, request: Request) -> Response:
        """The films of other studies of the patient. The header of each is read, and no film of the study waits for it.

        `?report=` as of the films. Where the decoding processes are busy it is worth asking again: a prior without its
        date would stand in a wrong place.
        """
        with self._site.database.read() as tx:
            found = _asked(tx, request)
            others = priors(tx, found.study)
        if request.method == "HEAD":
            return Response()
        seen(self._site.database, visitor_of(request), found.study.id, "film")
        try:
            return JSONResponse({"study": found.study.id, "priors": self._priors(found, others)})
        except FilmsBusy as trouble:
            return _refused(trouble)

    def described(self, request: Request) -> Response:
        """What the header of one film says."""
        return self._answer(request, "facts", lambda films, digest: JSONResponse(dict(films.describe(digest))))

    def preview(self, request: Request) -> Response:
        """A small JPEG."""
        return self._answer(request, "preview", lambda films, digest: _sent(films.preview(digest)))

    def pixels(self, request: Request) -> Response:
        """Every value."""
        return self._answer(request, "pixels", lambda films, digest: _sent(films.pixels(digest)))

    def _prepare(self, found: Shelf) -> None:
        with suppress(FilmTrouble):  # comes up with the film
            for first in found.films[:1]:
                films = self._films(purged=first.purged)
                films.preview(first.digest)
                films.describe(first.digest)  # the list of films is what a page asks for first

    def _told(self, one: Shelved) -> dict[str, Any]:
        """With what its header says."""
        try:
            return self._described(one)
        except FilmsBusy:  # the film itself is asked for again until it is free; then it says all this
            return as_json(one)

    def _described(self, one: Shelved, **more: Any) -> dict[str, Any]:
        """Raises FilmsBusy."""
        try:
            return as_json(one, self._films(purged=one.purged).describe(one.digest), **more)
        except FilmsBusy:
            raise
        except FilmTrouble as trouble:
            return as_json(one, trouble=trouble, **more)

    def _priors(self, found: Shelf, there: Sequence[Prior]) -> list[dict[str, Any]]:
        """Each film with whom it names, held against the film that was read: the Patient ID alone may be another's.

        Raises FilmsBusy.
        """
        mine = self._whose(found.films[0]) if found.films else NOBODY
        own = _taken([self._described(one) for one in found.films[:1]])
        films = {prior.study_id: [self._beside(mine, one) for one in prior.films if not one.purged] for prior in there}
        others = [Taken(one.study_id, _taken(films[one.study_id]), one.received_at) for one in there]
        return [
            {
                "study": one.study_id,
                "words": words,
                "taken": one.taken,
                "received": f"{one.received_at:%Y-%m-%dT%H:%M:%SZ}",
                "films": films[one.study_id],
            }
            for one, words in in_order(own, others)
        ]

    def _beside(self, mine: Whose, one: Shelved) -> dict[str, Any]:
        """A film of another study. mine: whom the film that was read names. Raises FilmsBusy."""
        theirs = self._whose(one)
        return self._described(one, whose=theirs.words, doubt=doubt(mine, theirs))

    def _whose(self, one: Shelved) -> Whose:
        if one.purged:
            return NOBODY
        try:
            return self._remembered(one.digest)
        except LookupError:
            return NOBODY

    def _read(self, digest: str) -> Whose:
        """Raises LookupError: nobody is named, or the file cannot be read now; that is not remembered."""
        premises = self._site.premises
        found = whose(stored_path(premises.store_folder, digest), premises.reading)
        if found == NOBODY:
            raise LookupError
        return found

    def _films(self, *, purged: bool) -> Films:
        if purged:
            raise _PURGED
        if self._site.equipment.films is None:
            raise NO_DECODER
        return self._site.equipment.films

    def _answer(self, request: Request, product: str, make: Callable[[Films, str], Response]) -> Response:
        with self._site.database.read() as tx:
            found = film(tx, request.path_params["number"])
        if found is None:
            raise HTTPException(404)
        digest, purged = found.digest, found.purged
        tag = f'"{product}-{digest}"'
        headers = {"ETag": tag, "Cache-Control": _KEEP, "Vary": "Cookie"}
        try:
            films = self._films(purged=purged)
            is_known = request.headers.get("if-none-match") == tag
            response = Response(status_code=304) if is_known else make(films, digest)
        except FilmTrouble as trouble:
            return _refused(trouble)
        if request.method == "GET":  # HEAD only lets it be decoded, before somebody looks
            seen(self._site.database, visitor_of(request), found.study_id, "film")
        response.headers.update(headers)
        return response


def _asked(tx: Session, request: Request) -> Shelf:
    """The films that are meant. Raises HTTPException."""
    asked = asked_report(request)
    found = shelf(tx, request.path_params["number"], asked)
    if found is None:
        raise HTTPException(404)
    if asked not in {0, found.report_id}:  # else the film of another report would count as shown
        raise HTTPException(409, "A newer draft has replaced this one; load the page again.")
    return found


def _taken(films: Sequence[Mapping[str, Any]]) -> str:
    """The first moment that one of them tells; empty where none does."""
    told = [str((one["facts"] or {}).get("taken") or "") for one in films]
    return min(filter(None, told), default="")


def _sent(picture: Picture) -> Response:
    headers = {"Content-Encoding": picture.encoding} if picture.encoding else {}
    return Response(picture.content, media_type=picture.media_type, headers=headers)


def _refused(trouble: FilmTrouble) -> Response:
    said = {"code": trouble.code, "detail": trouble.explanation, "passes": trouble.passes}
    if isinstance(trouble, FilmsBusy):
        return JSONResponse(said, status_code=503, headers={"Retry-After": _RETRY_SECONDS})
    status = 410 if trouble.code in _GONE else 503 if trouble is NO_DECODER else 422
    return JSONResponse(said, status_code=status)
