"""The forms by which peers and services are registered: what stands in them, and which columns come of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from dicom_node.access_tables import RefusedCaller
from dicom_node.aet import RemoteAddress, ae_title
from dicom_node.destinations import CARRIES, in_words
from dicom_node.errors import ConfigurationError
from dicom_node.hosts import with_port
from dicom_node.kinds import Kind
from dicom_node.tables import Endpoint, Mode, Proof, RemoteAE, Retrieve, Way
from reports.web.entries import Entries

FORMS: Final = tuple(kind.value for kind in Kind if kind in CARRIES[Way.DIMSE])
ADDABLE: Final = "calling-ae-title-not-recognized"  # refused callers that one click makes senders
ADMITTABLE: Final = "calling-ae-title-without-right"
_FLAGS: Final = ("may_send", "may_verify", "may_query", "send_to", "tls", "must_use_tls", "notices")
_TEXTS: Final = ("own_ae_title", "calls_from", "tls_name", "comment")
_NUMBERS: Final = MappingProxyType(
    {
        "maximum_associations": "Associations at once",
        "dimse_timeout_seconds": "Seconds for an answer",
        "idle_timeout_seconds": "Seconds of silence",
        "acse_timeout_seconds": "Seconds to accept an association",
        "maximum_pdu_size": "Longest PDU",
    }
)
_IDENTITY: Final = MappingProxyType({"": None, "yes": True, "no": False})
_LONGEST: Final = MappingProxyType({"comment": 1000, "tls_name": 255, "calls_from": 2000, "host": 255})

BLANK_PEER: Final = MappingProxyType(
    {
        "title": "",
        "host": "",
        "port": "104",
        "may_send": False,
        "may_verify": True,
        "may_query": False,
        "send_to": False,
        "mode": Mode.DRAFT.value,
        "proof": Proof.QUERY.value,
        "identity": "",
        "objects": (),
        "notices": False,
        "own_ae_title": "",
        "calls_from": "",
        "tls": False,
        "tls_name": "",
        "must_use_tls": False,
        **dict.fromkeys(_NUMBERS, "0"),
        "retrieve": Retrieve.MOVE.value,
        "comment": "",
        "ask": True,
    }
)
BLANK_SERVICE: Final = MappingProxyType(
    {
        "name": "",
        "url": "",
        "way": "",
        "mode": Mode.DRAFT.value,
        "proof": "",
        "objects": (),
        "notices": False,
        "credential": "",
        "comment": "",
    }
)


def shown_peer(peer: RemoteAE) -> Mapping[str, Any]:
    """A peer as it stands in its form."""
    return MappingProxyType(
        {
            **{name: getattr(peer, name) for name in (*_FLAGS, *_TEXTS)},
            "title": peer.ae_title,
            "host": peer.host,
            "port": str(peer.port or ""),
            "mode": peer.mode.value,
            "proof": peer.proof.value,
            "identity": {None: "", True: "yes", False: "no"}[peer.identity_check],
            "objects": tuple(filter(None, peer.objects.split(","))),
            **{name: str(getattr(peer, name)) for name in _NUMBERS},
            "retrieve": peer.retrieve.value,
            "ask": True,
        }
    )


def typed_peer(entries: Entries) -> Mapping[str, Any]:
    """The same, as a person typed it: shown again beside what is wrong with it."""
    texts = ("title", "host", "port", "mode", "proof", "identity", "retrieve", *_NUMBERS, *_TEXTS)
    return MappingProxyType(
        {
            **{name: entries.text(name) for name in texts},
            **{name: entries.flag(name) for name in _FLAGS},
            "objects": tuple(entries.several("objects")),
            "ask": entries.flag("ask"),
        }
    )


def peer_columns(entries: Entries) -> dict[str, Any]:
    """Every column but the AE title. Raises ConfigurationError."""
    columns: dict[str, Any] = {name: entries.flag(name) for name in _FLAGS}
    columns |= {name: _limited(entries, name) for name in _TEXTS}
    columns |= _address(entries)
    columns["calls_from"] = "" if columns["calls_from"] == "anywhere" else columns["calls_from"]
    columns |= {name: entries.number(name, label) for name, label in _NUMBERS.items()}
    columns["retrieve"] = Retrieve(_one_of(entries, "retrieve", ["", *Retrieve]) or Retrieve.MOVE)
    columns["mode"] = Mode(_one_of(entries, "mode", [mode.value for mode in Mode]))
    columns["proof"] = Proof(_one_of(entries, "proof", [proof.value for proof in Proof]))
    columns["identity_check"] = _IDENTITY[_one_of(entries, "identity", list(_IDENTITY))]
    columns["objects"] = ",".join(entries.several("objects"))
    if not any(columns[role] for role in ("may_send", "may_query", "send_to")):
        raise ConfigurationError("say what the peer is for: it may send to us, gets our documents, or both")
    return columns


def title_of(entries: Entries) -> str:
    """The AE title of the form. Raises InvalidAETitle."""
    return ae_title(entries.text("title"))


def caller_as_peer(title: str, address: str) -> RemoteAE:
    """Somebody who was turned away, as a sender; it may call from where it called. Raises InvalidAETitle."""
    return RemoteAE(
        ae_title=ae_title(title),
        host="",
        port=0,
        may_send=True,
        calls_from=address,
        mode=Mode.DRAFT,
        proof=Proof.QUERY,
        comment="added from the list of refused callers",
    )


def way_in(caller: RefusedCaller, peers: Sequence[RemoteAE]) -> str:
    """What one click can do for a refused caller: `add`, `admit`, `edit`; empty: nothing, or nothing any more."""
    peer = next((one for one in peers if one.ae_title == caller.calling_ae_title), None)
    if peer is None:
        return "add" if caller.code == ADDABLE and caller.calling_ae_title.strip() else ""
    if caller.code in {ADDABLE, ADMITTABLE}:
        return "" if peer.may_send else "admit"
    return "edit"


def shown_service(endpoint: Endpoint) -> Mapping[str, Any]:
    """A service as it stands in its form."""
    url = endpoint.url or f"mllp://{with_port(endpoint.host, endpoint.port)}"
    return MappingProxyType(
        {
            **{name: getattr(endpoint, name) for name in ("name", "notices", "credential", "comment")},
            "url": url,
            "way": endpoint.way.value,
            "mode": endpoint.mode.value,
            "proof": endpoint.proof.value,
            "objects": tuple(filter(None, endpoint.objects.split(","))),
        }
    )


def typed_service(entries: Entries) -> Mapping[str, Any]:
    """As a person typed it."""
    texts = ("name", "url", "way", "mode", "proof", "credential", "comment")
    typed: dict[str, Any] = {name: entries.text(name) for name in texts}
    return MappingProxyType({**typed, "notices": entries.flag("notices"), "objects": tuple(entries.several("objects"))})


def service_fields(entries: Entries, credentials: Sequence[str]) -> dict[str, Any]:
    """What `endpoints.add` and `endpoints.edit` share. Raises ConfigurationError."""
    proofs = ["", *(proof.value for proof in Proof if proof is not Proof.COMMITMENT)]  # that one is DIMSE's
    proof = _one_of(entries, "proof", proofs)
    return {
        "mode": Mode(_one_of(entries, "mode", [mode.value for mode in Mode])),
        "proof": Proof(proof) if proof else None,
        "objects": ",".join(entries.several("objects")),
        "notices": entries.flag("notices"),
        "credential": _one_of(entries, "credential", ["", *credentials]),
        "comment": _limited(entries, "comment"),
    }


def recommended(peer: RemoteAE) -> tuple[str, Proof] | None:
    """Forms and proof that its last probe recommends; None where it was never probed."""
    if not peer.probed:
        return None
    probed = json.loads(peer.probed)
    return in_words(Kind(word) for word in probed["objects"]), Proof(probed["proof"])


def _address(entries: Entries) -> dict[str, Any]:
    host = _limited(entries, "host").strip("[]")
    if not host:
        return {"host": "", "port": 0}
    written = f"[{host}]" if ":" in host else host
    remote = RemoteAddress.parse(f"X@{written}:{entries.number('port', 'Port')}")
    return {"host": remote.host, "port": remote.port}


def _limited(entries: Entries, name: str) -> str:
    value, most = entries.text(name), _LONGEST.get(name, 64)
    if len(value) > most:
        raise ConfigurationError(f"{name.replace('_', ' ')}: {most} characters at most, not {len(value)}")
    return value


def _one_of(entries: Entries, name: str, known: Sequence[str]) -> str:
    value = entries.text(name)
    if value not in known:
        raise ConfigurationError(f"{name}: {value!r} is none of {', '.join(filter(None, known))}")
    return value
