"""The report page: the film beside the draft, and everything that a person can do with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydicom import Dataset
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dicom_node.database import clock
from dicom_node.errors import NotFound, StoreAway, WetreadError
from dicom_node.files import stored_path
from reports.page.sheet import compose
from reports.page.sheet import person as in_letters
from reports.people.errors import PasswordNeeded, ProofRefused, TooSoon
from reports.signoff.errors import SignOffError, StaleVersion
from reports.signoff.person import Person
from reports.signoff.reasons import Reason
from reports.signoff.service import Opened
from reports.text import DraftText, clean
from reports.web import worklist
from reports.web.call import Call, asked_report, whole
from reports.web.colleagues import colleague, colleagues
from reports.web.desk import Scene, arrival, desk, ended, happened, reasons
from reports.web.doors import visitor_of
from reports.web.identity import Checked
from reports.web.json_body import json_of
from reports.web.kept import added_by, signed_first, written_before
from reports.web.offers import offer_on
from reports.web.proof import prove
from reports.web.report import (
    Label,
    Papers,
    document_of,
    document_or_why,
    film_label,
    latest_final,
    neighbors,
    papers,
    strip,
    strip_of_books,
)
from reports.web.rights import Right, Visitor
from reports.web.seen import REPORT_AND_FILM, seen
from reports.web.site import Site
from reports.web.standing import CAME_LATE, standing
from reports.web.wording import reading

LARGEST_TEXT: Final = 512 * 1024  # bytes of a request; a report has at most 64 KiB in each section
_NO_CHIPS: Final[Mapping[str, str]] = MappingProxyType({})


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    page, acts = _Page(site), _Acts(site)
    base = "/study/{number:int}/report"
    return [
        site.route(base, page.show, Right.SEE),
        site.route(f"{base}/desk", page.desk, Right.SEE),
        site.route("/report/next", page.next, Right.SEE),
        *(
            site.route(f"{base}/{name}", acts.answer(act), right, methods=("POST",), largest=LARGEST_TEXT)
            for name, act, right in (
                ("open", acts.open, Right.EDIT),
                ("touch", acts.touch, Right.EDIT),
                ("leave", acts.leave, Right.EDIT),
                ("shown", acts.shown, Right.EDIT),
                ("identity", acts.identity, Right.EDIT),
                ("reading", acts.reading, Right.EDIT),
                ("save", acts.save, Right.EDIT),
                ("accept", acts.accept, Right.EDIT),
                ("sign", acts.sign, Right.EDIT),
                ("cosign", acts.cosign, Right.SIGN),
                ("send-back", acts.send_back, Right.SIGN),
                ("reject", acts.reject, Right.EDIT),
                ("hand-over", acts.hand_over, Right.EDIT),
                ("addendum", acts.addendum, Right.SIGN),
                ("take-over", acts.take_over, Right.SIGN),
                ("close", acts.close, Right.SIGN),
                ("withdraw", acts.withdraw, Right.SIGN),
            )
        ),
    ]


def person_of(visitor: Visitor) -> Person:
    """Who came, as the sign-off service needs to know one."""
    return Person(
        user_id=visitor.user_id,
        login=visitor.login,
        name=visitor.name,
        organization=visitor.organization,
        identifier=visitor.identifier,
        scheme=visitor.scheme,
        may_verify=visitor.may(Right.SIGN),
    )


class _Page:
    """What is looked at."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, request: Request) -> Response:
        """The page."""
        visitor, found = visitor_of(request), _papers(self._site, request, asked_report(request))
        absent = found.report is None or found.shadow
        seen(self._site.database, visitor, found.study.id, "report" if absent else REPORT_AND_FILM)
        if found.report is None or found.shadow:
            return self._absent(request, found)
        store = self._site.premises.store_folder
        final = latest_final(found)
        back = found.taken_back
        what = "what was signed" if final or back else "the draft"
        shown, absence = document_or_why((final or back or found.report).digest, store, what)
        scene = _scene(self._site, visitor, found, _look(self._site, visitor, found))
        if shown is None and back is None:  # it is there by now: nobody signs on a page that names no patient
            scene = None
        state = desk(scene) if scene else {}
        chips = scene.opened.chips if scene else _NO_CHIPS
        return self._site.page(
            request,
            "report.html",
            study=found.study,
            report=found.report,
            revision=found.revision,
            label=_label(store, found, shown),
            sheet=compose(shown) if shown is not None else None,
            absence=absence,
            is_final=final is not None,
            is_back=back is not None,
            ended=ended(found),
            happened=happened(found),
            late=CAME_LATE if found.late else "",
            arrival=arrival(found),
            signed=found.signed,
            desk=state,
            reading=reading(scene.opened.text, chips, self._site.equipment.claims) if scene else {},
            reasons=reasons(),
            colleagues=colleagues(self._site, visitor, scene.opened if scene else None),
            in_letters=in_letters,
        )

    def _absent(self, request: Request, found: Papers) -> Response:
        """Why there is nothing to read."""
        with self._site.database.read() as tx:
            now = clock(tx)
            wanted, hours = worklist.revisions(tx, [found.study.id]), self._site.premises.backlog_hours
            facts = worklist.facts_of(tx, wanted, now, hours)[0]
        where, study = standing(facts, now), found.study
        return self._site.page(request, "report_absent.html", study=study, shadow=found.shadow, standing=where)

    def desk(self, request: Request) -> Response:
        """The state alone, for a page that waits: opened by somebody, or signed and on its way."""
        visitor, found = visitor_of(request), _papers(self._site, request, asked_report(request))
        scene = _scene(self._site, visitor, found, _look(self._site, visitor, found))
        if scene is None:
            raise HTTPException(404)
        seen(self._site.database, visitor, found.study.id, "report")
        return JSONResponse(desk(scene))

    def next(self, request: Request) -> Response:
        """To the first draft that waits for this person; to the worklist where none does."""
        with self._site.database.read() as tx:
            near = neighbors(tx, 0, visitor_of(request).user_id, _now())
        return RedirectResponse(f"/study/{near.next}/report" if near.next else "/", status_code=303)


class _Acts:
    """What is done. Each answers with the new state, or says in words why not."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def answer(self, act: Callable[[Call], dict[str, Any] | None]) -> Callable[[Request], Response]:
        """An endpoint of an act: what it gives is added to the state."""

        def endpoint(request: Request) -> Response:
            call = self._call(request)
            try:
                more = act(call)
            except WetreadError as error:
                return _refusal(error)
            if more is not None and "bare" in more:
                return JSONResponse(more["bare"])
            return JSONResponse({**self._state(call, (more or {}).get("said")), "done": True})

        return endpoint

    def open(self, call: Call) -> None:
        """Open it to edit; the state says who else has it."""
        call.service.open_(call.report_id, call.person, call.now)

    def touch(self, call: Call) -> dict[str, Any]:
        """A sign of life."""
        return {"bare": {"mine": call.service.touch(call.report_id, call.person, call.now)}}

    def leave(self, call: Call) -> dict[str, Any]:
        """Give it free."""
        call.service.leave(call.report_id, call.person)
        return {"bare": {}}

    def shown(self, call: Call) -> None:
        """The film was painted in this person's browser."""
        call.service.film_shown(call.report_id, call.person, call.now)

    def identity(self, call: Call) -> dict[str, Any]:
        """Ask the PACS. It takes as long as the PACS takes, and no transaction waits for it."""
        assert call.found.report is not None
        draft = document_of(call.found.report.digest, self._site.premises.store_folder)
        if draft is None:
            raise NotFound("the draft's document is not in the store; run wetread check")
        said = self._site.equipment.whose_study(draft)
        call.service.identity_checked(call.report_id, said.outcome, _now())
        return {"said": said}

    def reading(self, call: Call) -> dict[str, Any]:
        """What the words say by now."""
        return {"bare": reading(call.text, call.chips, self._site.equipment.claims)}

    def save(self, call: Call) -> dict[str, Any]:
        """Keep what was typed."""
        version = call.service.save(call.report_id, call.person, call.text, call.chips, call.version, call.now)
        if call.body.get("leave"):
            call.service.leave(call.report_id, call.person)
        return {"bare": {"version": version}}

    def accept(self, call: Call) -> None:
        """Sign the draft as it is."""
        _must_be_the_text(call, as_drafted=True)
        self._prove(call)
        call.service.accept(call.report_id, call.person, call.version, _now())

    def sign(self, call: Call) -> None:
        """Sign the text as it was edited."""
        _must_be_the_text(call)
        self._prove(call)
        call.service.sign(call.report_id, call.person, call.text, call.version, _now())

    def cosign(self, call: Call) -> None:
        """Sign second."""
        _must_be_the_text(call)
        self._prove(call, always_password=True)
        call.service.cosign(call.report_id, call.person, call.text, call.version, _now())

    def send_back(self, call: Call) -> None:
        """Refuse the second signature."""
        call.service.send_back(call.report_id, call.person, call.words, call.now)

    def reject(self, call: Call) -> None:
        """No report becomes of this draft."""
        try:
            reason = Reason(str(call.body.get("reason") or ""))
        except ValueError as error:
            raise HTTPException(422, "Choose a reason.") from error
        for_safety = bool(call.body.get("safety"))
        call.service.reject(call.report_id, call.person, reason, call.words, call.now, for_safety=for_safety)

    def hand_over(self, call: Call) -> None:
        """Leave it to a colleague."""
        to = colleague(self._site, visitor_of(call.request), whole(call.body.get("to")))
        if to is None:
            raise HTTPException(422, "Choose a colleague.")
        call.service.hand_over(call.report_id, call.person, to, call.now)

    def addendum(self, call: Call) -> None:
        """Add to what was signed."""
        self._prove(call)
        seen = whole(call.body.get("seen")) or None
        call.service.addendum(call.found.study.id, call.person, call.words, _now(), seen=seen)

    def take_over(self, call: Call) -> None:
        """Add words of this draft to the signed report beside it."""
        self._prove(call)
        seen = whole(call.body.get("seen")) or None
        call.service.take_over(call.report_id, call.person, call.words, call.version, _now(), seen=seen)

    def close(self, call: Call) -> None:
        """End a draft beside a signed report."""
        call.service.close(call.report_id, call.person, call.now)

    def withdraw(self, call: Call) -> None:
        """Take back what was signed."""
        self._prove(call, always_password=True)
        for_safety = bool(call.body.get("safety"))
        call.service.withdraw(call.found.study.id, call.person, call.words, _now(), for_safety=for_safety)

    def _prove(self, call: Call, *, always_password: bool = False) -> None:
        prove(self._site.equipment.people, call.request, call.body, always_password=always_password)

    def _call(self, request: Request) -> Call:
        body = json_of(request)
        found = _papers(self._site, request, whole(body.get("report")))
        service = self._site.equipment.signoff
        if found.report is None or found.shadow or service is None:
            raise HTTPException(404, "There is no report to work on.")
        person = person_of(visitor_of(request))
        if whole(body.get("report")) != found.report.id:
            raise HTTPException(409, "A newer draft has replaced this one; load the page again.")
        return Call(request, body, found, found.report.id, person, service, _now())

    def _state(self, call: Call, said: Checked | None) -> dict[str, Any]:
        visitor = visitor_of(call.request)
        found = _papers(self._site, call.request, call.report_id)
        scene = _scene(self._site, visitor, found, _look(self._site, visitor, found))
        assert scene is not None
        seen(self._site.database, visitor, found.study.id, "report")
        return desk(replace(scene, said=said))


def _must_be_the_text(call: Call, *, as_drafted: bool = False) -> None:
    """Is what the person saw the text of that version? A script that has lost a colleague's words signs nothing.

    as_drafted: the draft's own words are what is to be signed. Every change of the text gives a new version, and the
    service compares the version with the study locked: what holds here holds there. Raises StaleVersion.
    """
    there = call.service.look(call.report_id, call.person, call.now)
    seen = [there.drafted] if as_drafted else [call.text]
    if as_drafted and "findings" in call.body:
        seen.append(call.text)
    if there.version == call.version and any(_cleaned(one) != _cleaned(there.text) for one in seen):
        raise StaleVersion(there.version, there.edited_by)


def _cleaned(text: DraftText) -> tuple[str, str]:
    return clean(text.findings), clean(text.impression)


def _papers(site: Site, request: Request, report_id: int) -> Papers:
    with site.database.read() as tx:
        found = papers(tx, request.path_params["number"], report_id)
    if found is None:
        raise HTTPException(404)
    return found


def _look(site: Site, visitor: Visitor, found: Papers) -> Opened | None:
    if site.equipment.signoff is None or found.report is None or found.shadow:
        return None
    try:
        return site.equipment.signoff.look(found.report.id, person_of(visitor), _now())
    except (NotFound, StoreAway):  # its document is not in the store; the page says so
        return None


def _scene(site: Site, visitor: Visitor, found: Papers, opened: Opened | None) -> Scene | None:
    if opened is None or site.equipment.signoff is None:
        return None
    now = _now()
    with site.database.read() as tx:
        near = neighbors(tx, found.study.id, visitor.user_id, now)
        older = written_before(tx, found.study.id, found.report, visitor.login) if found.report else None
        offer = offer_on(tx, opened.report_id, now)
        added = added_by(tx, found.study.id, visitor.user_id)
    unasked = site.equipment.signoff.workshop.config.sign_unasked
    first = signed_first(found, site.premises.store_folder)
    return Scene(visitor, found, opened, near, unasked, now, first=first, older=older, offer=offer, added=added)


def _label(store: Path, found: Papers, document: Dataset | None) -> tuple[Label, ...]:
    assert found.report is not None
    of_film = film_label(stored_path(store, found.report.film_digest))
    return (*(strip_of_books(found.study) if document is None else strip(document)), *of_film)


def _refusal(error: WetreadError) -> Response:
    sentence = str(error)
    said: dict[str, Any] = {"detail": f"{sentence[:1].upper()}{sentence[1:]}"}
    if isinstance(error, SignOffError):
        said["code"] = error.code
        if isinstance(error, StaleVersion):
            said["version"] = error.version
        return JSONResponse(said, status_code=409)
    if isinstance(error, ProofRefused):
        said["code"] = "password-needed" if isinstance(error, PasswordNeeded) else "proof-refused"
        return JSONResponse(said, status_code=403)
    return JSONResponse({**said, "code": "refused"}, status_code=429 if isinstance(error, TooSoon) else 422)


def _now() -> datetime:
    return datetime.now(UTC)
