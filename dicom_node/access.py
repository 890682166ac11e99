"""Who may open an association, and in words why not (PS3.8 9.3.4: result, source, diagnostic)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dicom_node.aet import likely_cause

VERIFICATION = "1.2.840.10008.1.1"

_REJECTED_PERMANENT, _REJECTED_TRANSIENT = 0x01, 0x02
_SERVICE_USER, _PRESENTATION = 0x01, 0x03


class Right(StrEnum):
    """What a registered peer may be to us; the value is the column that grants it."""

    SEND = "may_send"
    RECEIVE = "send_to"


@dataclass(frozen=True, slots=True)
class Peer:
    """A registered AE title and its rights."""

    ae_title: str
    rights: frozenset[Right]


@dataclass(frozen=True, slots=True)
class Caller:
    """What an association request says of itself."""

    calling_ae_title: str
    called_ae_title: str
    address: str
    abstract_syntaxes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An A-ASSOCIATE-RJ: result, source and diagnostic for the peer, a code and a sentence for people."""

    result: int
    source: int
    diagnostic: int
    code: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Admission:
    """Welcome, but not to these SOP classes: their presentation contexts are refused."""

    withheld: frozenset[str] = frozenset()


def decide(
    caller: Caller,
    *,
    own_ae_title: str,
    peers: Sequence[Peer],
    needed: Mapping[str, frozenset[Right]],
    check_called: bool,
    disk_full: bool,
) -> Refusal | Admission:
    """Accept or refuse an association. Strangers may send C-ECHO, and nothing else.

    needed: SOP classes of further services, with the rights of which a caller needs one. Every other class is taken for
    storage, which needs the right to send; without it there is no association, so that a sender reads a plain reason.
    """
    if check_called and caller.called_ae_title != own_ae_title:
        return _wrong_called(caller, own_ae_title)
    wanted = caller.abstract_syntaxes - {VERIFICATION}
    if not wanted:
        return Admission()
    rights = next((peer.rights for peer in peers if peer.ae_title == caller.calling_ae_title), frozenset())
    withheld = frozenset(uid for uid in wanted if not rights & needed.get(uid, {Right.SEND}))
    if withheld - needed.keys() or withheld == wanted:
        return _wrong_calling(caller, peers)
    if disk_full and wanted - needed.keys():
        return Refusal(
            _REJECTED_TRANSIENT,
            _PRESENTATION,
            0x02,
            "disk-full",
            "the disk is below half of node.reserve_mebibytes: free some space, or lower node.keep_days",
        )
    return Admission(withheld)


def _wrong_called(caller: Caller, own_ae_title: str) -> Refusal:
    return Refusal(
        _REJECTED_PERMANENT,
        _SERVICE_USER,
        0x07,
        "called-ae-title-not-recognized",
        f"{caller.calling_ae_title!r} at {caller.address} called {caller.called_ae_title!r}, but we are "
        f"{own_ae_title!r}: {_called_cause(caller, own_ae_title)}",
    )


def _wrong_calling(caller: Caller, peers: Sequence[Peer]) -> Refusal:
    senders = [peer.ae_title for peer in peers if Right.SEND in peer.rights]
    return Refusal(
        _REJECTED_PERMANENT,
        _SERVICE_USER,
        0x03,
        "calling-ae-title-not-recognized",
        f"{caller.calling_ae_title!r} at {caller.address} may not send: "
        f"{likely_cause(caller.calling_ae_title, senders)}; known: {', '.join(senders) or 'none'}",
    )


def _called_cause(caller: Caller, own_ae_title: str) -> str:
    if caller.calling_ae_title == own_ae_title:
        return "calling and called AE title seem to be swapped in the sender"
    if caller.called_ae_title.casefold() == own_ae_title.casefold():
        return "only the case differs; AE titles are case-sensitive"
    return "correct the called AE title in the sender, or node.ae_title here"
