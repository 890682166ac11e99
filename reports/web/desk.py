"""The report page's state as plain values: what a script shows, and why a button cannot be pressed.

The reasons here are for people who look at a button; what may be done is decided by `reports.signoff` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from dicom_node.tables import DeliveryState
from reports.life import RULES
from reports.page.sheet import person as in_letters
from reports.page.sheet import visible
from reports.signoff.copies import IDENTITY_HOLDS
from reports.signoff.reasons import WORDS
from reports.signoff.service import Opened
from reports.signoff.tables import Identity, SignedKind
from reports.tables import Event, Report, ReportState
from reports.text import DraftText
from reports.web.identity import Checked, in_words
from reports.web.offers import Offer
from reports.web.report import Neighbors, Papers
from reports.web.rights import Right, Visitor

_HAPPENED: Final = MappingProxyType(
    {
        ReportState.DRAFT: "A draft: nobody has signed it.",
        ReportState.AWAITING_SECOND: "Signed once; it is a report when a second person has signed.",
        ReportState.VERIFIED: "Signed.",
    }
)
_ENDED: Final = MappingProxyType(
    {
        ReportState.REJECTED: "Rejected",
        ReportState.SUPERSEDED: "Replaced",
        ReportState.EXPIRED: "Expired",
        ReportState.WITHDRAWN: "Withdrawn",
    }
)
_SIGNED_AS: Final = MappingProxyType(
    {
        SignedKind.ATTESTED: "signed first by",
        SignedKind.SIGNED: "signed by",
        SignedKind.COSIGNED: "signed second by",
        SignedKind.ADDENDUM: "addendum by",
    }
)
_OPEN: Final = frozenset({ReportState.DRAFT, ReportState.AWAITING_SECOND})
_SOMEBODY: Final = "A person"  # as the words of a withdrawal begin
_NOT_YOURS: Final = "Your account has no right to this."


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a desk is made of, at one moment.

    first: the words of the first signature. older: what this person wrote into a draft that was replaced. added:
    numbers of this person's addenda in the study.
    """

    visitor: Visitor
    found: Papers
    opened: Opened
    near: Neighbors
    unasked: bool  # the site signs where nobody can be asked
    now: datetime
    said: Checked | None = None  # by the PACS, just now
    first: DraftText | None = None
    older: DraftText | None = None
    offer: Offer | None = None
    added: Sequence[int] = ()


def desk(scene: Scene) -> dict[str, Any]:
    """The state for a script. Holds words of the report: for the page, never for a log."""
    opened, found = scene.opened, scene.found
    assert found.report is not None
    return {
        "report": opened.report_id,
        "state": opened.state.value,
        "open": opened.state in _OPEN,
        "ended": ended(found),
        "endedAt": _moment(found.report.changed_at) if ended(found) else "",
        "happened": happened(found),
        "sentBack": _is_sent_back(found.report),
        "closed": found.report.state is ReportState.WITHDRAWN and found.report.event == Event.SIGNED_ALREADY,
        "version": opened.version,
        "text": _sections(opened.text),
        "drafted": _sections(opened.drafted),
        "older": _sections(scene.older),
        "chips": dict(opened.chips),
        "editedBy": opened.edited_by,
        "editedAt": _moment(opened.edited_at),
        "mine": opened.mine,
        "adds": opened.state is ReportState.VERIFIED and scene.visitor.may(Right.SIGN),
        "openable": not _closed(scene),
        "you": visible(in_letters(scene.visitor.name)) or scene.visitor.login,
        "holder": _holder(opened),
        "handed": _handed(scene),
        "shown": opened.film_shown,
        "identity": _identity(scene),
        "first": _first(scene),
        "beside": _beside(scene),
        "obstacles": obstacles(scene),
        "signed": [
            {
                "words": _SIGNED_AS[one.kind],
                "by": visible(in_letters(one.name)) or one.login,
                "at": _moment(one.at),
                "number": one.number,
            }
            for one in found.signed
        ],
        "added": list(scene.added),
        "arrival": arrival(found),
        "next": _address(scene.near.next),
        "previous": _address(scene.near.previous),
        "left": scene.near.left,
    }


def ended(found: Papers) -> str:
    """The word for a report that counts no more; empty where it still does."""
    assert found.report is not None
    return _ENDED.get(found.report.state, "")


def happened(found: Papers) -> str:
    """What has become of the report, in a sentence."""
    report = found.report
    assert report is not None
    if _is_sent_back(report):
        return f"It was signed once and sent back: {report.explanation}"
    if report.state in _HAPPENED:
        return _HAPPENED[report.state]
    if report.state is ReportState.REJECTED:  # a person's words say so themselves, with the reason
        return f"{report.explanation or RULES[Event(report.event)].words} Whoever had it is told."
    words = RULES[Event(report.event)].words
    if found.withdrawn_by:
        words = f"{visible(in_letters(found.withdrawn_by))}{words.removeprefix(_SOMEBODY)}"
    return f"{words} {report.explanation}".strip()


def arrival(found: Papers) -> dict[str, Any]:
    """How far what was signed is: words, whether it is there, and each destination."""
    if not found.sendings:
        return {
            "there": False,
            "words": "" if not found.signed else "Nothing is sent: no destination gets it.",
            "to": [],
        }
    by: dict[str, list[str]] = {}
    states: dict[str, set[DeliveryState]] = {}
    for one in found.sendings:
        states.setdefault(one.destination, set()).add(one.state)
        if one.proven_by:
            by.setdefault(one.destination, []).append(one.proven_by)
    to = [
        {
            "name": name,
            "there": all(state is DeliveryState.COMMITTED for state in there),
            "failed": DeliveryState.FAILED in there,
            "proof": ", ".join(dict.fromkeys(by.get(name, []))),
        }
        for name, there in states.items()
    ]
    return {"there": all(one["there"] for one in to), "words": _whereabouts(to), "to": to}


def _whereabouts(to: Sequence[Mapping[str, Any]]) -> str:
    """Which destinations have it, which did not take it, and which are to get it still."""
    has = [f"{one['name']} ({one['proof']})" if one["proof"] else one["name"] for one in to if one["there"]]
    failed = ", ".join(one["name"] for one in to if one["failed"])
    waiting = ", ".join(one["name"] for one in to if not one["there"] and not one["failed"])
    parts = [f"In {', '.join(has)}"] if has else []
    if failed:
        parts += [f"{'' if has else 'Signed, but '}{failed} did not take it", "the administrator is told"]
    if waiting:
        parts.append(f"{'' if parts else 'Signed, '}not yet in {waiting}")
    return f"{'; '.join(parts)}."


def obstacles(scene: Scene) -> Mapping[str, str]:
    """Why each act cannot be done; empty where it can."""
    opened, may = scene.opened, scene.visitor.may
    is_draft, is_second = opened.state is ReportState.DRAFT, opened.state is ReportState.AWAITING_SECOND
    is_signed = opened.state is ReportState.VERIFIED
    held, beside = _held(scene), _signed_beside(opened)
    sign = _first_of(
        ("" if may(Right.EDIT) else _NOT_YOURS),
        ("" if is_draft else "It is no open draft."),
        beside,
        held,
        _unproven(scene),
    )
    changed = "" if opened.text == opened.drafted else "The text was changed; sign it instead."
    own = opened.first is not None and opened.first.user_id == scene.visitor.user_id
    second = _first_of(
        ("" if may(Right.SIGN) else "A radiologist signs second."),
        ("" if is_second else "No second signature is awaited."),
        ("The first signature is yours; somebody else must sign second." if own else ""),
        held,
    )
    radiologist = "" if may(Right.SIGN) else "Only a radiologist may do this."
    signed = _first_of(radiologist, ("" if is_signed else "It is not signed."))
    close = _first_of(radiologist, ("" if beside else "No signed report stands beside it."), held)
    edit = _first_of(_closed(scene), held)
    return {
        "edit": edit,
        "accept": sign or changed,
        "sign": sign,
        "cosign": _first_of(second, beside, _unproven(scene)),
        "send-back": second,
        "take-over": close or _unproven(scene),
        "close": close or _unshown(opened),
        "reject": _first_of(
            edit,
            ("" if is_draft else "It is signed once; send it back instead."),
            (radiologist or _unshown(opened)) if beside else "",
        ),
        "hand-over": edit,
        "addendum": signed or _unproven(scene),
        "withdraw": signed,
    }


def _closed(scene: Scene) -> str:
    """Why this person could not even open it to edit."""
    opened, may = scene.opened, scene.visitor.may
    own = opened.first is not None and opened.first.user_id == scene.visitor.user_id
    waits = opened.state is ReportState.AWAITING_SECOND and (own or not may(Right.SIGN))
    return _first_of(
        ("" if may(Right.EDIT) else _NOT_YOURS),
        ("" if opened.state in _OPEN else "It is closed."),
        ("It is signed once; another radiologist changes it or sends it back." if waits else ""),
    )


def reasons() -> list[tuple[str, str]]:
    """Why a draft is rejected: code and words."""
    return [(reason.value, words) for reason, words in WORDS.items()]


def _held(scene: Scene) -> str:
    opened = scene.opened
    if opened.mine:
        return ""
    if opened.holder is None:
        return "It is not opened for you; open it again."
    return f"Opened by {visible(in_letters(opened.holder.name)) or opened.holder.login}."


def _signed_beside(opened: Opened) -> str:
    if opened.beside is None or opened.state not in _OPEN:
        return ""
    return "The study has a signed report: take this draft over as an addendum to it, or close it."


def _unshown(opened: Opened) -> str:
    return "" if opened.film_shown else "The film has not been shown to you yet."


def _unproven(scene: Scene) -> str:
    opened = scene.opened
    if not opened.film_shown:
        return _unshown(opened)
    if opened.identity is None or opened.identity_at is None:
        return "The PACS has not been asked yet whose study this is."
    if scene.now - opened.identity_at >= IDENTITY_HOLDS:
        return "The PACS has to be asked again whose study this is."
    if opened.identity is Identity.NOBODY and not scene.unasked:
        return "There is no PACS to ask whose study this is; an administrator must allow it (reports.sign_unasked)."
    if opened.identity in {Identity.DIFFERS, Identity.UNKNOWN}:
        return f"{in_words(opened.identity)}."
    return ""


def _first_of(*obstacles: str) -> str:
    return next((one for one in obstacles if one), "")


def _identity(scene: Scene) -> dict[str, Any]:
    opened = scene.opened
    return {
        "outcome": opened.identity.value if opened.identity else "",
        "words": in_words(opened.identity, scene.said),
        "lacks": bool(scene.said and scene.said.lost),
        "at": _moment(opened.identity_at),
        "blocks": bool(_unproven(scene)) and opened.film_shown,
    }


def _holder(opened: Opened) -> dict[str, Any] | None:
    if opened.holder is None:
        return None
    name = visible(in_letters(opened.holder.name)) or opened.holder.login
    holder = opened.holder
    return {
        "user": holder.user_id,
        "name": name,
        "since": _moment(holder.since),
        "heard": _moment(holder.heard_at),
    }


def _handed(scene: Scene) -> dict[str, Any] | None:
    """To whom it is handed over, as long as it is kept for that one."""
    offer = scene.offer
    if offer is None or scene.opened.state not in _OPEN:
        return None
    name = visible(in_letters(offer.name)) or offer.login
    you = offer.user_id == scene.visitor.user_id
    return {"user": offer.user_id, "name": name, "since": _moment(offer.since), "you": you}


def _first(scene: Scene) -> dict[str, Any] | None:
    first = scene.opened.first
    if first is None:
        return None
    name = visible(in_letters(first.name)) or first.login
    return {"name": name, "at": _moment(first.at), "text": _sections(scene.first)}


def _beside(scene: Scene) -> dict[str, Any] | None:
    """The signed report of the study, where this is another draft of it."""
    one = scene.opened.beside
    if one is None or scene.opened.state not in _OPEN:
        return None
    address = f"/study/{scene.opened.study_id}/report?report={one.report_id}"
    by = visible(in_letters(one.name)) or one.login
    return {"by": by, "at": _moment(one.at), "number": one.number, "address": address}


def _sections(text: DraftText | None) -> dict[str, str] | None:
    return None if text is None else {"findings": text.findings, "impression": text.impression}


def _is_sent_back(report: Report) -> bool:
    is_back = report.state is ReportState.DRAFT and report.event == Event.SENT_BACK
    return is_back and bool(report.explanation)


def _moment(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else ""


def _address(study_id: int | None) -> str:
    return f"/study/{study_id}/report" if study_id else ""
