"""May this person do this now? Asked before documents are built, and again with the study locked."""

from __future__ import annotations

import unicodedata

from reports.signoff.errors import (
    AlreadySigned,
    Ended,
    NotAllowed,
    NotCurrent,
    PatientChanged,
    SamePerson,
    SignedBeside,
    SignedSince,
    SignOffError,
)
from reports.signoff.person import Person
from reports.signoff.scene import Scene, Signature
from reports.tables import ENDED, Event, ReportState


def may_be_edited(scene: Scene) -> None:
    """Is it a draft, or waiting for a second signature? Raises AlreadySigned, Ended."""
    if scene.state is ReportState.VERIFIED:
        raise AlreadySigned(scene.last.login if scene.last is not None else "")
    if scene.state in ENDED:
        raise Ended(scene.state.value, scene.event)


def may_save(scene: Scene, person: Person) -> None:
    """May this person change the text? Once it is signed first, only who could sign second: else the first signer
    would have signed words of a third person.

    Raises AlreadySigned, Ended, NotAllowed, SamePerson.
    """
    may_be_edited(scene)
    if scene.first is not None:
        _may_be_second(scene.first, person)


def could_save(scene: Scene, person: Person) -> bool:
    """`may_save`, as a question."""
    try:
        may_save(scene, person)
    except SignOffError:
        return False
    return True


def may_be_handed(scene: Scene, to: Person) -> None:
    """Can this person go on with it? Raises AlreadySigned, Ended, NotAllowed."""
    may_be_edited(scene)
    if scene.first is not None and not could_save(scene, to):
        raise NotAllowed("the report has a first signature; hand it to a radiologist who has not signed it")


def may_sign(scene: Scene, person: Person) -> None:  # noqa: ARG001  the first signature is anybody's
    """May it be signed as the first? Raises AlreadySigned, Ended, NotAllowed, NotCurrent, PatientChanged."""
    may_be_edited(scene)
    if scene.state is ReportState.AWAITING_SECOND:
        raise NotAllowed("the report has a first signature; sign it second, or send it back")
    _may_leave(scene)


def may_cosign(scene: Scene, person: Person) -> None:
    """May this person sign it as the second? Raises SamePerson, and as `may_sign`."""
    may_be_edited(scene)
    if scene.state is not ReportState.AWAITING_SECOND or scene.first is None:
        raise NotAllowed("the report has no first signature yet; sign it")
    _may_be_second(scene.first, person)
    _may_leave(scene)


def may_add(scene: Scene, person: Person, seen: int | None) -> None:
    """May this person write an addendum? seen: number of the document that it is made from; None: nobody says.

    Raises NotAllowed, PatientChanged, SignedSince.
    """
    must_be_verified(scene, "an addendum")
    if not person.may_verify:
        raise NotAllowed("a trainee's signature does not verify an addendum; a radiologist writes it")
    if seen is not None and scene.last is not None and scene.last.number != seen:
        raise SignedSince(scene.last.login)
    _must_be_whose_it_was(scene)


def may_send_back(scene: Scene, person: Person) -> None:
    """May this person refuse the second signature, or take back the own first one? Raises NotAllowed, AlreadySigned."""
    may_be_edited(scene)
    if scene.state is not ReportState.AWAITING_SECOND or scene.first is None:
        raise NotAllowed("the report has no first signature that could lapse")
    if not person.may_verify and not is_the_same(person, scene.first):
        raise NotAllowed("only a radiologist, or who signed first, sends a report back")


def may_reject(scene: Scene, person: Person, *, for_safety: bool) -> None:
    """Is it a draft, and does a radiologist speak for the patient's safety, or beside a signed report?

    Raises AlreadySigned, Ended, NotAllowed.
    """
    may_be_edited(scene)
    if scene.state is ReportState.AWAITING_SECOND:
        raise NotAllowed("the report has a first signature; send it back, then reject it")
    if for_safety and not person.may_verify:
        raise NotAllowed("only a radiologist rejects for the patient's safety; reject it without that, or ask one")
    _may_end_beside(scene, person)


def may_close(scene: Scene, person: Person) -> None:
    """May this person end a draft that stands beside a signed report? It is no judgment of its words.

    Raises AlreadySigned, Ended, NotAllowed.
    """
    may_be_edited(scene)
    if scene.beside is None:
        raise NotAllowed("no signed report stands beside this draft; sign it, or reject it")
    _may_end_beside(scene, person)


def may_withdraw(scene: Scene, person: Person) -> None:
    """Raises NotAllowed: it is not signed, or the person may not verify."""
    must_be_verified(scene, "a withdrawal")
    if not person.may_verify:
        raise NotAllowed("a trainee cannot withdraw a signed report; a radiologist does")


def must_be_verified(scene: Scene, what: str) -> None:
    """Raises NotAllowed: a draft."""
    if scene.state is not ReportState.VERIFIED or scene.last is None:
        raise NotAllowed(f"{what} needs a signed report; this one is {scene.state.value.lower()}")


def is_the_same(person: Person, first: Signature) -> bool:
    """By user, by name and by staff number: any of them is enough."""
    if person.user_id == first.user_id or person.login.casefold() == first.login.casefold():
        return True
    if _plain(person.name) & _plain(first.name):
        return True
    return bool(person.identifier) and (person.identifier, person.scheme) == (first.identifier, first.scheme)


def _may_end_beside(scene: Scene, person: Person) -> None:
    if scene.beside is not None and not person.may_verify:
        raise NotAllowed("a radiologist says what becomes of a draft beside a signed report")


def _may_be_second(first: Signature, person: Person) -> None:
    if is_the_same(person, first):
        raise SamePerson
    if not person.may_verify:
        raise NotAllowed("a trainee's signature does not verify a report; a radiologist signs second, or sends it back")


def _plain(name: str) -> frozenset[tuple[str, str]]:
    """Family and given name in each script: `Kim^Minjun=김^민준` and `KIM^MINJUN ^^Dr` share one."""
    groups = [unicodedata.normalize("NFKC", group).casefold().split("^") for group in name.split("=")]
    pairs = [tuple("".join(part.split()) for part in [*group, ""][:2]) for group in groups]
    return frozenset((family, given) for family, given in pairs if family or given)


def _may_leave(scene: Scene) -> None:
    if scene.beside is not None:
        raise SignedBeside(scene.beside.login)
    if scene.silence is Event.SIGNED_ALREADY:
        raise AlreadySigned(scene.last.login if scene.last is not None else "")
    if scene.silence is Event.FINAL_ELSEWHERE:
        raise AlreadySigned("")
    _must_be_whose_it_was(scene)
    if scene.silence is not None:
        raise Ended("no longer wanted", scene.silence.value)
    if not scene.is_current:
        raise NotCurrent


def _must_be_whose_it_was(scene: Scene) -> None:
    if scene.hold:
        raise PatientChanged(f"the study is held ({scene.hold}) until a person has looked whose it is")
    if scene.is_merged:
        raise PatientChanged("the Patient ID of the study was merged into another one")
