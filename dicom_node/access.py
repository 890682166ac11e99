"""Who may open an association, and in words why not (PS3.8 9.3.4: result, source, diagnostic)."""

from __future__ import annotations

from dataclasses import dataclass

from dicom_node.aet import likely_cause

VERIFICATION = "1.2.840.10008.1.1"

_REJECTED_PERMANENT, _REJECTED_TRANSIENT = 0x01, 0x02
_SERVICE_USER, _PRESENTATION = 0x01, 0x03


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


def decide(
    caller: Caller, *, own_ae_title: str, senders: list[str], check_called: bool, disk_full: bool
) -> Refusal | None:
    """Accept (None) or refuse an association. Strangers may send C-ECHO, and nothing else."""
    if check_called and caller.called_ae_title != own_ae_title:
        return Refusal(
            _REJECTED_PERMANENT,
            _SERVICE_USER,
            0x07,
            "called-ae-title-not-recognized",
            f"{caller.calling_ae_title!r} at {caller.address} called {caller.called_ae_title!r}, but we are "
            f"{own_ae_title!r}: {_called_cause(caller, own_ae_title)}",
        )
    only_echo = caller.abstract_syntaxes <= {VERIFICATION}
    if caller.calling_ae_title not in senders and not only_echo:
        return Refusal(
            _REJECTED_PERMANENT,
            _SERVICE_USER,
            0x03,
            "calling-ae-title-not-recognized",
            f"{caller.calling_ae_title!r} at {caller.address} may not send: "
            f"{likely_cause(caller.calling_ae_title, senders)}; known: {', '.join(senders) or 'none'}",
        )
    if disk_full and not only_echo:
        return Refusal(
            _REJECTED_TRANSIENT,
            _PRESENTATION,
            0x02,
            "disk-full",
            "the disk is below half of node.reserve_mebibytes: free some space, or lower node.keep_days",
        )
    return None


def _called_cause(caller: Caller, own_ae_title: str) -> str:
    if caller.calling_ae_title == own_ae_title:
        return "calling and called AE title seem to be swapped in the sender"
    if caller.called_ae_title.casefold() == own_ae_title.casefold():
        return "only the case differs; AE titles are case-sensitive"
    return "correct the called AE title in the sender, or node.ae_title here"
