"""Who else can go on with a report."""

from __future__ import annotations

from collections.abc import Sequence

from reports.page.sheet import person as in_letters
from reports.people.service import Colleague
from reports.signoff.opened import Opened
from reports.signoff.person import Person
from reports.web.rights import Right, Visitor, rights_of
from reports.web.site import Site


def colleagues(site: Site, visitor: Visitor, opened: Opened | None) -> Sequence[tuple[int, str]]:
    """Number and name of each; of a report that is signed once, those who may sign second."""
    first = opened.first if opened is not None else None
    return tuple(
        (one.user_id, in_letters(one.name) or one.login)
        for one in _others(site, visitor)
        if first is None or (_as_person(one).may_verify and one.user_id != first.user_id)
    )


def colleague(site: Site, visitor: Visitor, number: int) -> Person | None:
    """The one with this number, as far as the sign-off service needs to know."""
    found = next((one for one in _others(site, visitor) if one.user_id == number), None)
    return _as_person(found) if found is not None else None


def _others(site: Site, visitor: Visitor) -> Sequence[Colleague]:
    """Who else may edit."""
    people = site.equipment.people
    if people is None or not visitor.may(Right.EDIT):
        return ()
    return [one for one in people.colleagues(Right.EDIT) if one.user_id != visitor.user_id]


def _as_person(one: Colleague) -> Person:
    return Person(one.user_id, one.login, one.name, "", "", "", may_verify=Right.SIGN in rights_of(one.roles))
