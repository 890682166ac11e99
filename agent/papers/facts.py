"""What a PACS administrator has to know of this node, gathered from configuration, database and machine."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.uid import UID
from sqlalchemy.orm import Session

from agent.config import Config
from dicom_node import contexts, destinations, peers, tls
from dicom_node.access import Right
from dicom_node.services import Offer
from dicom_node.tables import RemoteAE
from dicom_node.transports import Destination

_NOWHERE: Final = ("192.0.2.1", 9)  # RFC 5737: for examples; a datagram socket that connects there sends nothing
_ANY: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  compared


@dataclass(frozen=True, slots=True)
class Facts:
    """port and tls_port: None where closed. certificate: None without TLS."""

    ae_titles: tuple[str, ...]
    hosts: tuple[str, ...]
    port: int | None
    tls_port: int | None
    certificate: tls.Certificate | None
    needs_client_certificate: bool
    sop_classes: tuple[str, ...]
    takes_other_classes: bool
    transfer_syntaxes: tuple[str, ...]
    offers: tuple[Offer, ...]
    peers: tuple[RemoteAE, ...]
    targets: tuple[Destination, ...]
    strangers_may_verify: bool
    maximum_associations: int
    maximum_pdu_size: int

    @property
    def host(self) -> str:
        """The address to type."""
        return self.hosts[0]

    @property
    def best_port(self) -> int:
        """The plain port where it is open, else that of TLS."""
        port = self.tls_port if self.port is None else self.port
        assert port is not None
        return port

    @property
    def senders(self) -> tuple[str, ...]:
        """AE titles that may send to us."""
        return tuple(peer.ae_title for peer in self.peers if peer.may_send)


def gather(config: Config, tx: Session, *, host: str = "", offers: Sequence[Offer] = ()) -> Facts:
    """host: what to call this machine; empty: its own addresses. Raises ConfigurationError."""
    node = config.node
    secured = node.tls_certificate is not None
    return Facts(
        ae_titles=node.own_ae_titles,
        hosts=(host,) if host else own_addresses(node.bind_address),
        port=None if node.tls_only else node.port,
        tls_port=node.tls_port if secured else None,
        certificate=tls.read_certificate(node.tls_certificate) if node.tls_certificate else None,
        needs_client_certificate=secured and node.tls_require_client_certificate,
        sop_classes=contexts.storage_classes(only_radiographs=node.refuse_other_sop_classes),
        takes_other_classes=not node.refuse_other_sop_classes,
        transfer_syntaxes=contexts.READABLE if node.refuse_other_sop_classes else contexts.TRANSFER_SYNTAXES,
        offers=tuple(offers),
        peers=tuple(peers.everyone(tx)),
        targets=destinations.destinations(tx),
        strangers_may_verify=node.strangers_may_verify,
        maximum_associations=node.maximum_associations,
        maximum_pdu_size=node.maximum_pdu_size,
    )


def own_addresses(bind_address: str) -> tuple[str, ...]:
    """Where others find this machine: the address that the port is bound to, else name and address of the network."""
    if bind_address not in _ANY:
        return (bind_address,)
    name = socket.getfqdn()
    found = [_way_out(), *([name] if name and not name.startswith("localhost") else [])]
    return tuple(dict.fromkeys(one for one in found if one)) or ("127.0.0.1",)


def _way_out() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)
        except OSError:  # no network at all
            return ""
        return str(probe.getsockname()[0])


def name_of(uid: str) -> str:
    """A class or transfer syntax in words."""
    return UID(uid).name


def rights_in_words(rights: frozenset[Right]) -> str:
    """Which peers may use a service."""
    words = {
        Right.SEND: "may send to us",
        Right.QUERY: "may query us",
        Right.VERIFY: "may verify",
        Right.RECEIVE: "get our documents",
    }
    return " or ".join(words[right] for right in Right if right in rights)
