"""The answers of the port, for the conformance statement: made from the decisions and errors that give them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from agent.config import Config
from dicom_node.access import HOST, VERIFICATION, Admission, Caller, House, Peer, Refusal, Right, decide, too_many
from dicom_node.errors import CannotUnderstand, DatasetMismatch, OutOfResources

_RESULTS: Final = MappingProxyType({1: "1, permanent", 2: "2, transient"})
_SOURCES: Final = MappingProxyType({1: "1, service user", 3: "3, presentation"})
_DIAGNOSTICS: Final = MappingProxyType(
    {
        (1, 1): "1, no reason given",
        (1, 3): "3, calling AE title not recognized",
        (1, 7): "7, called AE title not recognized",
        (3, 1): "1, temporary congestion",
        (3, 2): "2, local limit exceeded",
    }
)
_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.1"
_HERE: Final = "10.0.0.5"

OF_PEERS: Final = (
    ("C-STORE 0x0000", "sent; the proof is waited for"),
    ("C-STORE 0x0111, duplicate", "sent: it was there already"),
    ("C-STORE 0xBxxx, warning", "sent; the status stands with the delivery"),
    ("C-STORE 0xA9xx, 0x0117, 0x0118, 0x0119", "a dead letter at once: said of the object"),
    ("C-STORE 0x0122, or no presentation context", "another form where there is one, else left out (class-refused)"),
    ("C-STORE 0xA7xx, 0xCxxx, any other, or none", "tried again later"),
    ("association rejected, aborted or not answered", "tried again later"),
)


def rejections(config: Config) -> tuple[tuple[str, ...], ...]:
    """Result, source, diagnostic, code and occasion of every A-ASSOCIATE-RJ, each found by asking for it."""
    own = config.node.ae_title
    known = Peer("PACS", frozenset({Right.SEND, Right.VERIFY}))
    echo, store = frozenset({VERIFICATION}), frozenset({_IMAGE})
    occasions = (
        ("the called AE title is none of ours", Caller("PACS", "OTHER", _HERE, store), known, False),
        ("the calling AE title is not registered", Caller("OTHER", own, _HERE, store), known, False),
        ("it is registered, but not for this", Caller("PACS", own, _HERE, store), _with(rights=frozenset()), False),
        ("it calls from elsewhere", Caller("PACS", own, "10.9.9.9", echo), _with(calls_from=_HERE), False),
        ("its host cannot be looked up", Caller("PACS", own, _HERE, echo), _with(calls_from=HOST), False),
        ("it must use TLS", Caller("PACS", own, _HERE, echo), _with(must_use_tls=True), False),
        ("the disk is below half of the reserve", Caller("PACS", own, _HERE, store), known, True),
    )
    found = []
    for words, caller, peer, disk_full in occasions:
        house = House((own,), lambda _host: (), disk_full=disk_full)
        verdict = decide(caller, [peer], house)
        assert not isinstance(verdict, Admission), words
        found.append((*_numbers(verdict), verdict.code, words))
    found.append((*_numbers(too_many(1)), too_many(1).code, "too many associations, of all or of this peer"))
    congested = ("2, transient", "3, presentation", _DIAGNOSTICS[3, 1])
    found.append((*congested, "receiving-paused", "a person paused receiving, from all or from this peer"))
    found.append((*congested, "database-unavailable, access-check-failed", "trouble of ours; nobody is admitted then"))
    return tuple(found)


def _with(
    *, rights: frozenset[Right] = frozenset({Right.SEND}), calls_from: str = "", must_use_tls: bool = False
) -> Peer:
    return Peer("PACS", rights, calls_from=calls_from, must_use_tls=must_use_tls)


def _numbers(refusal: Refusal) -> tuple[str, str, str]:
    return (
        _RESULTS[refusal.result],
        _SOURCES[refusal.source],
        _DIAGNOSTICS[refusal.source, refusal.diagnostic],
    )


def of_storage() -> tuple[tuple[str, ...], ...]:
    """Status, meaning and occasion of every C-STORE response."""
    return (
        ("0x0000", "success", "stored, a duplicate, or other bytes under a known UID (both are kept)"),
        (_shown(OutOfResources), "refused, out of resources", "our disk or database has trouble: send again later"),
        (
            _shown(DatasetMismatch),
            "error, data set does not match",
            "its UIDs are not those of the request; quarantined",
        ),
        (_shown(CannotUnderstand), "error, cannot understand", "unreadable, or too large; quarantined"),
    )


def _shown(failure: type[OutOfResources | DatasetMismatch | CannotUnderstand]) -> str:
    return f"0x{failure.status:04X}"
