"""The page of rules: their order, their forms, and what they would do with a film or with the last day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node.database import clock
from dicom_node.errors import ConfigurationError, WetreadError
from dicom_node.rules import book, forms
from dicom_node.rules.decision import Standing
from dicom_node.rules.forms import Rule
from reports.web import rulebook
from reports.web.administration import caretaker_of, top
from reports.web.bodies import LARGEST_UPLOAD
from reports.web.caretaker import Trial
from reports.web.entries import Entries, actor_of, read_entries
from reports.web.rights import Right
from reports.web.site import Site

MOST_STUDIES: Final = 300  # that a trial looks at while somebody waits for its page
SPANS: Final = ("90m", "24h", "7d")
_POST = ("POST",)


def routes(site: Site) -> list[Route]:
    """Addresses of this module."""
    pages = _Pages(site)
    return [
        site.route("/rules", pages.rules, Right.ADMINISTER),
        site.route("/rules/edit", pages.form, Right.ADMINISTER),
        site.route("/rules/edit", pages.save, Right.ADMINISTER, methods=_POST),
        site.route("/rules/move", pages.move, Right.ADMINISTER, methods=_POST),
        site.route("/rules/switch", pages.switch, Right.ADMINISTER, methods=_POST),
        site.route("/rules/remove", pages.remove, Right.ADMINISTER, methods=_POST),
        site.route("/rules/rules.toml", pages.export, Right.ADMINISTER),
        site.route("/rules/try", pages.try_out, Right.ADMINISTER, methods=_POST, largest=LARGEST_UPLOAD),
    ]


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def rules(self, request: Request) -> Response:
        """All rules in the order in which they are asked."""
        return self._show(request)

    def form(self, request: Request) -> Response:
        """One rule, as fields and as TOML; without a name an empty form for a new one."""
        name = request.query_params.get("name", "")
        if not name:
            return self._form(request, rulebook.BLANK, new=True)
        try:
            with self._site.database.read() as tx:
                found = book.find(tx, name)
        except WetreadError as error:
            return self._show(request, mistake=str(error), status=404)
        if found.rule is None:
            words = f"rule {name} cannot be read: {found.trouble}. Write it anew, or remove it."
            return self._form(request, {**rulebook.BLANK, "name": name}, mistake=words)
        return self._form(request, rulebook.shown(found.rule), toml=forms.write([found.rule]), version=found.version)

    def save(self, request: Request) -> Response:
        """Add a rule, or change it; from fields, or from TOML."""
        entries = read_entries(request)
        new, name = entries.flag("new"), entries.text("name")
        toml = entries.text("toml")
        try:
            if toml:
                rule = rulebook.one_of_toml(toml, "" if new else name)
            else:
                rule = forms.make({"name": name, **rulebook.fields(entries)})
            with self._site.database.write() as tx:
                self._must_be_known(tx, rule)
                _save(tx, rule, entries, actor_of(request))
        except WetreadError as error:
            typed = {**rulebook.BLANK, "name": name} if toml else rulebook.typed(entries)
            version = rulebook.version_of(entries)
            return self._form(request, typed, new=new, toml=toml, version=version, mistake=str(error), status=422)
        return _back("added" if new else "edited", rule.name)

    def move(self, request: Request) -> Response:
        """Up or down by one place."""

        def change(tx: Session, entries: Entries, actor: str) -> None:
            names = [one.name for one in book.everyone(tx)]
            name = entries.text("name")
            stands = rulebook.before(names, name, up=entries.text("to") == "up")
            if stands != name:
                book.move(tx, name, now=clock(tx), actor=actor, before=stands)

        return self._change(request, "moved", change)

    def switch(self, request: Request) -> Response:
        """Ask a rule, or ask it no more."""

        def change(tx: Session, entries: Entries, actor: str) -> None:
            enabled = entries.text("on") == "yes"
            book.edit(tx, entries.text("name"), now=clock(tx), actor=actor, enabled=enabled)

        return self._change(request, "switched", change)

    def remove(self, request: Request) -> Response:
        """Remove a rule; what it said stays in the audit trail."""

        def change(tx: Session, entries: Entries, actor: str) -> None:
            entries.must_be_sure()
            book.remove(tx, entries.text("name"), now=clock(tx), actor=actor)

        return self._change(request, "removed", change)

    def export(self, request: Request) -> Response:  # noqa: ARG002
        """All rules as a file for `wetread rule apply`."""
        with self._site.database.read() as tx:
            rules = [one.rule for one in book.everyone(tx) if one.rule is not None]
        headers = {"Content-Disposition": 'attachment; filename="rules.toml"'}
        return Response(forms.write(rules), media_type="text/plain; charset=utf-8", headers=headers)

    def try_out(self, request: Request) -> Response:
        """What would the rules do? Nothing is stored or changed."""
        entries = read_entries(request)
        span = entries.text("span")
        try:
            with self._site.database.read() as tx:
                rules = rulebook.drafted(entries.text("draft"), book.everyone(tx))
            trials = self._trials(entries, rules, span)
        except WetreadError as error:
            return self._show(request, mistake=str(error), typed=_tried_with(entries), status=422)
        return self._show(request, trials=trials, span=span, typed=_tried_with(entries))

    def _trials(self, entries: Entries, rules: Sequence[Standing], span: str) -> Sequence[Trial]:
        caretaker = caretaker_of(self._site)
        if span:
            return caretaker.of_studies(rules, span, MOST_STUDIES)
        _, content = entries.files.get("file", ("", b""))
        if not content:
            raise ConfigurationError("choose a DICOM file first")
        return [caretaker.of_file(content, rules, entries.text("calling"), entries.text("called"))]

    def _must_be_known(self, tx: Session, rule: Rule) -> None:
        """Raises ConfigurationError: it names a reader or a destination that there is not."""
        told = book.unknown(tx, rule, readers=frozenset(caretaker_of(self._site).readers()))
        if told:
            raise ConfigurationError("\n".join(told))

    def _change(self, request: Request, done: str, change: Callable[[Session, Entries, str], None]) -> Response:
        entries = read_entries(request)
        try:
            with self._site.database.write() as tx:
                change(tx, entries, actor_of(request))
        except WetreadError as error:
            return self._show(request, mistake=str(error), status=422)
        return _back(done, entries.text("name"))

    def _show(
        self,
        request: Request,
        *,
        mistake: str = "",
        trials: Sequence[Trial] | None = None,
        span: str = "",
        typed: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> Response:
        not_ready = self._site.not_ready()
        with self._site.database.read() as tx:
            context = top(tx, not_ready)
            standing = book.everyone(tx)
        counted = Counter(one.rule or "none" for one in trials or ())
        return self._site.page(
            request,
            "rules.html",
            status=status,
            rules=standing,
            mistake=mistake,
            trials=trials,
            span=span,
            spans=SPANS,
            most=MOST_STUDIES,
            counted=counted.most_common(),
            changed=sum(one.then != one.rule for one in trials or ()),
            remarks=list(dict.fromkeys(remark for one in trials or () for remark in one.remarks)),
            typed=typed or {"draft": "", "calling": "", "called": ""},
            done=request.query_params.get("done", ""),
            name=request.query_params.get("name", ""),
            **context,
        )

    def _form(
        self,
        request: Request,
        values: Mapping[str, Any],
        *,
        new: bool = False,
        toml: str = "",
        version: int = 0,
        mistake: str = "",
        status: int = 200,
    ) -> Response:
        return self._site.page(
            request,
            "rule.html",
            status=status,
            values=values,
            new=new,
            toml=toml,
            version=version,
            mistake=mistake,
            priorities=[(one, one or "as the header says, else routine") for one in rulebook.PRIORITIES],
            late=[(one, one or "as node.late_images says") for one in rulebook.LATE],
            readers=[("", "any"), *((one, one) for one in caretaker_of(self._site).readers())],
        )


def _tried_with(entries: Entries) -> Mapping[str, str]:
    return {name: entries.text(name) for name in ("draft", "calling", "called")}


def _save(tx: Session, rule: Rule, entries: Entries, actor: str) -> None:
    now = clock(tx)
    if entries.flag("new"):
        book.add(tx, rule, now=now, actor=actor, before=entries.text("before"))
    else:
        rulebook.must_be_the_version(entries, book.find(tx, rule.name))
        book.edit(tx, rule.name, now=now, actor=actor, **rulebook.whole(rule))


def _back(done: str, name: str) -> Response:
    return RedirectResponse(f"/rules?{urlencode({'done': done, 'name': name})}", status_code=303)
