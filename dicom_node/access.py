"""Who may open an association, and in words why not (PS3.8 9.3.4: result, source, diagnostic)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dicom_node.aet import likely_cause, typed
from dicom_node.counted import counted
from dicom_node.hosts import plain
from dicom_node.terms import AS_THE_NODE, Terms

VERIFICATION: Final = "1.2.840.10008.1.1"
HOST: Final = "host"  # in a peer's `calls_from`: wherever its host name leads

_PERMANENT, _TRANSIENT = 0x01, 0x02
_SERVICE_USER, _PRESENTATION = 0x01, 0x03
_NO_REASON, _UNKNOWN_CALLING, _UNKNOWN_CALLED = 0x01, 0x03, 0x07
_CONGESTION, _LOCAL_LIMIT = 0x01, 0x02


class Right(StrEnum):
    """What a registered peer may be to us; the value is the column that grants it."""

    SEND = "may_send"
    QUERY = "may_query"
    VERIFY = "may_verify"
    RECEIVE = "send_to"


@dataclass(frozen=True, slots=True)
class Peer:
    """A registered AE title: its rights, where it lives and may call from, how often at once, and how safely.

    calls_from: `host`, or addresses and networks with commas between them; empty for anywhere.
    maximum_associations: 0 for no limit of its own.
    """

    ae_title: str
    rights: frozenset[Right]
    host: str = ""
    calls_from: str = ""
    maximum_associations: int = 0
    must_use_tls: bool = False
    terms: Terms = AS_THE_NODE


@dataclass(frozen=True, slots=True)
class Caller:
    """What an association request says of itself, and what we see of it.

    associations: how many others of the same AE title are open.
    """

    calling_ae_title: str
    called_ae_title: str
    address: str
    abstract_syntaxes: frozenset[str]
    tls: bool = False
    associations: int = 0


@dataclass(frozen=True, slots=True)
class House:
    """Our side of the door.

    own_ae_titles: under which we may be called; empty for any.
    needed: SOP classes of further services, with the rights of which a caller needs one. Every other class is taken
    for storage, which needs the right to send; without it there is no association, so that a sender reads why.
    addresses_of: the IP addresses of a host name; empty where it cannot be looked up.
    """

    own_ae_titles: tuple[str, ...]
    addresses_of: Callable[[str], Collection[str]]
    needed: Mapping[str, frozenset[Right]] = field(default_factory=lambda: MappingProxyType({}))
    check_called: bool = True
    strangers_may_verify: bool = True
    disk_full: bool = False


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
    """Welcome, but not to these SOP classes: their presentation contexts are refused. terms: the caller's own."""

    withheld: frozenset[str] = frozenset()
    terms: Terms = AS_THE_NODE


def decide(caller: Caller, peers: Sequence[Peer], house: House) -> Refusal | Admission:
    """Accept or refuse an association. Strangers may send C-ECHO at most."""
    if house.check_called and caller.called_ae_title not in house.own_ae_titles:
        return _wrong_called(caller, house.own_ae_titles)
    peer = next((peer for peer in peers if peer.ae_title == caller.calling_ae_title), None)
    wanted = caller.abstract_syntaxes - {VERIFICATION}
    if peer is None:
        if wanted or not house.strangers_may_verify:
            return _stranger(caller, peers, house)
        return Admission()
    return _not_like_this(caller, peer, house) or _by_rights(caller, peer, house)


def _by_rights(caller: Caller, peer: Peer, house: House) -> Refusal | Admission:
    wanted = caller.abstract_syntaxes - {VERIFICATION}
    withheld = _withheld(caller, peer, house)
    if withheld - house.needed.keys() - {VERIFICATION} or withheld == caller.abstract_syntaxes:
        return _no_right(caller, only_echo=not wanted)
    if house.disk_full and wanted - house.needed.keys():
        return Refusal(
            _TRANSIENT,
            _PRESENTATION,
            _LOCAL_LIMIT,
            "disk-full",
            "the disk is below half of node.reserve_mebibytes: free some space, or lower node.keep_days",
        )
    return Admission(withheld, peer.terms)


def too_many(most: int) -> Refusal:
    """All places are taken."""
    words = f"all {most} associations are taken (node.maximum_associations); the sender tries again"
    return Refusal(_TRANSIENT, _PRESENTATION, _LOCAL_LIMIT, "too-many-associations", words)


def insecure(words: str) -> Refusal:
    """A handshake of TLS that came to nothing; the numbers never reach anybody."""
    return Refusal(_PERMANENT, _SERVICE_USER, _NO_REASON, "tls-failed", words)


def _withheld(caller: Caller, peer: Peer, house: House) -> frozenset[str]:
    needed = {VERIFICATION: frozenset({Right.VERIFY}), **house.needed}
    return frozenset(uid for uid in caller.abstract_syntaxes if not peer.rights & needed.get(uid, {Right.SEND}))


def _not_like_this(caller: Caller, peer: Peer, house: House) -> Refusal | None:
    """Known, but from elsewhere, in the clear, or too often at once."""
    who = f"{caller.calling_ae_title!r} at {caller.address}"
    if peer.calls_from:
        refusal = _from_elsewhere(who, caller.address, peer, house)
        if refusal is not None:
            return refusal
    if peer.must_use_tls and not caller.tls:
        words = (
            f"{who} must use TLS: let it call node.tls_port, or wetread ae edit {typed(peer.ae_title)} --may-use-no-tls"
        )
        return Refusal(_PERMANENT, _SERVICE_USER, _NO_REASON, "tls-required", words)
    if peer.maximum_associations and caller.associations >= peer.maximum_associations:
        words = (
            f"{who} has {counted(caller.associations, 'association')} open, its limit is {peer.maximum_associations}; "
            f"it tries again, or raise it: wetread ae edit {typed(peer.ae_title)} --maximum-associations N"
        )
        return Refusal(_TRANSIENT, _PRESENTATION, _LOCAL_LIMIT, "too-many-associations", words)
    return None


def _from_elsewhere(who: str, address: str, peer: Peer, house: House) -> Refusal | None:
    """A name service that is away must not cost films: a sender gives up after a permanent refusal."""
    if peer.calls_from != HOST:
        admitted, known = networks(peer.calls_from), peer.calls_from
    else:
        found = house.addresses_of(peer.host)
        if not found:
            words = (
                f"{who} may call from its host {peer.host!r} only, which cannot be looked up here; the sender tries "
                f"again: mend the name service, or wetread ae edit {typed(peer.ae_title)} --from {address}"
            )
            return Refusal(_TRANSIENT, _PRESENTATION, _CONGESTION, "host-lookup-failed", words)
        admitted = networks(",".join(found))
        known = f"its host {peer.host!r}"
    if _is_address(address) and any(ipaddress.ip_address(plain(address)) in network for network in admitted):
        return None
    words = (
        f"{who} may call from {known} only: another machine uses its name, or it has moved; "
        f"wetread ae edit {typed(peer.ae_title)} --from {address}, or --address HOST:PORT, or --from anywhere"
    )
    return Refusal(_PERMANENT, _SERVICE_USER, _UNKNOWN_CALLING, "calling-address-not-recognized", words)


def networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Read `10.0.0.5,10.1.0.0/24`; an address as an IPv6 socket shows it (`::ffff:10.0.0.5`) is that of IPv4.

    Raises ValueError.
    """
    return tuple(ipaddress.ip_network(plain(word.strip())) for word in text.split(","))


def _wrong_called(caller: Caller, own_ae_titles: Sequence[str]) -> Refusal:
    return Refusal(
        _PERMANENT,
        _SERVICE_USER,
        _UNKNOWN_CALLED,
        "called-ae-title-not-recognized",
        f"{caller.calling_ae_title!r} at {caller.address} called {caller.called_ae_title!r}, but we are "
        f"{' or '.join(repr(title) for title in own_ae_titles)}: {_called_cause(caller, own_ae_titles)}",
    )


def _called_cause(caller: Caller, own_ae_titles: Sequence[str]) -> str:
    seen = caller.called_ae_title
    if caller.calling_ae_title in own_ae_titles:
        return "calling and called AE title seem to be swapped in the sender"
    if seen.casefold() in {title.casefold() for title in own_ae_titles}:
        return "only the case differs; AE titles are case-sensitive"
    if _squeezed(seen) in {_squeezed(title) for title in own_ae_titles}:
        return "only blanks, hyphens or underscores differ; correct it in the sender"
    if _is_address(seen):
        return "that is an IP address; the sender needs our AE title there"
    return "correct the called AE title in the sender, or node.ae_title here (node.further_ae_titles for one more)"


def _stranger(caller: Caller, peers: Sequence[Peer], house: House) -> Refusal:
    senders = [peer.ae_title for peer in peers if Right.SEND in peer.rights]
    return Refusal(
        _PERMANENT,
        _SERVICE_USER,
        _UNKNOWN_CALLING,
        "calling-ae-title-not-recognized",
        f"{caller.calling_ae_title!r} at {caller.address} may not send: {_calling_cause(caller, peers, house)}; "
        f"known: {', '.join(senders) or 'none'}",
    )


def _calling_cause(caller: Caller, peers: Sequence[Peer], house: House) -> str:
    seen, titles = caller.calling_ae_title, [peer.ae_title for peer in peers]
    if seen in house.own_ae_titles:
        return "it calls itself by our own AE title; give the sender one of its own"
    if any(_squeezed(seen) == _squeezed(title) for title in titles):
        return likely_cause(seen, titles)
    if _is_address(seen):
        return "that is an IP address; the sender needs an AE title of its own there"
    there = [peer.ae_title for peer in peers if peer.host and caller.address == peer.host]
    if not there:
        return likely_cause(seen, titles)
    names = " and ".join(part for part in (", ".join(map(repr, there[:-1])), repr(there[-1])) if part)
    which = "" if len(there) == 1 else ", and nothing tells which of them this is, if any"
    return (
        f"{caller.address} is the address of {names}{which}; correct its AE title there, or add this one "
        f"with: wetread ae add {typed(seen)} --may-send"
    )


def _no_right(caller: Caller, *, only_echo: bool) -> Refusal:
    title = caller.calling_ae_title
    what, option = ("verify", "--may-verify") if only_echo else ("send", "--may-send")
    return Refusal(
        _PERMANENT,
        _SERVICE_USER,
        _UNKNOWN_CALLING,
        "calling-ae-title-without-right",
        f"{title!r} at {caller.address} is registered, but may not {what}: wetread ae edit {typed(title)} {option}",
    )


def _squeezed(title: str) -> str:
    return title.replace(" ", "").replace("_", "").replace("-", "").casefold()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
