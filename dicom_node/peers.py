"""Remote application entities: who may send to us and where we send to. They live in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.access import HOST, Peer, Right, networks
from dicom_node.aet import ae_title, likely_cause
from dicom_node.config import NodeConfig
from dicom_node.destinations import check_notices, in_words, is_taken, kinds, objects_of, terms_of
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.tables import Mode, Proof, RemoteAE, Retrieve, Way
from dicom_node.worklist import known


def add(tx: Session, peer: RemoteAE, *, now: datetime, actor: str) -> None:
    """Register a peer. Raises ConfigurationError where its AE title is taken or it could do nothing."""
    if is_taken(tx, peer.ae_title):
        raise ConfigurationError(f"{peer.ae_title} is registered already; remove it first, or edit it")
    _check(peer)
    _check_notices(peer)
    tx.add(peer)
    _audit(tx, "peer-added", peer, now, actor)


class Changes(TypedDict, total=False):
    """What `edit` may change; None leaves a field as it is."""

    host: str | None
    port: int | None
    may_send: bool | None
    may_verify: bool | None
    may_query: bool | None
    send_to: bool | None
    own_ae_title: str | None
    calls_from: str | None
    maximum_associations: int | None
    tls: bool | None
    tls_name: str | None
    must_use_tls: bool | None
    dimse_timeout_seconds: int | None
    idle_timeout_seconds: int | None
    acse_timeout_seconds: int | None
    maximum_pdu_size: int | None
    retrieve: Retrieve | None
    mode: Mode | None
    proof: Proof | None
    identity_check: bool | None
    objects: str | None
    notices: bool | None
    comment: str | None


def edit(tx: Session, title: str, *, now: datetime, actor: str, **changes: Unpack[Changes]) -> RemoteAE:
    """Change what is given and leave the rest. Raises NotFound, ConfigurationError."""
    peer = find(tx, title)
    for name, value in changes.items():
        if value is not None:
            setattr(peer, name, value)
    _check(peer)
    if changes.get("notices") or changes.get("objects"):
        _check_notices(peer)
    _audit(tx, "peer-edited", peer, now, actor)
    return peer


def replace(tx: Session, title: str, columns: Mapping[str, Any], *, now: datetime, actor: str) -> None:
    """Set all these columns, also to None. Raises NotFound, ConfigurationError."""
    peer = find(tx, title)
    for name, value in columns.items():
        setattr(peer, name, value)
    _check(peer)
    _check_notices(peer)
    _audit(tx, "peer-edited", peer, now, actor)


def remember_probe(tx: Session, title: str, probed: str, *, now: datetime, actor: str) -> None:
    """Keep what `probe.stored` says of a peer. Raises NotFound."""
    peer = find(tx, title)
    peer.probed = probed
    audit.append(tx, "peer-probed", at=now, actor=actor, ae_title=title, objects=in_words(objects_of(peer)))


def remove(tx: Session, title: str, *, now: datetime, actor: str) -> None:
    """Forget a peer; deliveries to it become dead letters when they are next tried. Raises NotFound."""
    peer = find(tx, title)
    _audit(tx, "peer-removed", peer, now, actor)
    known.forget(tx, title)
    tx.delete(peer)


def find(tx: Session, title: str) -> RemoteAE:
    """The peer with exactly this AE title. Raises NotFound, with the likely cause."""
    peer = tx.scalar(select(RemoteAE).where(RemoteAE.ae_title == title))
    if peer is None:
        raise NotFound(f"{title!r} is not registered: {likely_cause(title, titles(tx))}")
    return peer


def everyone(tx: Session) -> Sequence[RemoteAE]:
    """All peers by AE title."""
    return tx.scalars(select(RemoteAE).order_by(RemoteAE.ae_title)).all()


def titles(tx: Session, *, senders: bool = False) -> list[str]:
    """Registered AE titles; only those that may send to us where `senders`."""
    return [peer.ae_title for peer in everyone(tx) if peer.may_send or not senders]


def unheard_name(peer: RemoteAE, node: NodeConfig) -> str:
    """What to say of a peer that knows us by an AE title that our port does not take; empty where it takes it."""
    if not peer.own_ae_title or not node.require_called_ae_title or peer.own_ae_title in node.own_ae_titles:
        return ""
    return (
        f"{peer.ae_title} knows us as {peer.own_ae_title!r}, and our port refuses who calls that: add it to "
        "node.further_ae_titles, or its films, storage commitment and C-MOVE to that name come to nothing"
    )


def as_callers(tx: Session) -> list[Peer]:
    """All peers, as the door knows them."""
    return [
        Peer(
            ae_title=one.ae_title,
            rights=frozenset(right for right in Right if getattr(one, right)),
            host=one.host,
            calls_from=one.calls_from,
            maximum_associations=one.maximum_associations,
            must_use_tls=one.must_use_tls,
            terms=terms_of(one),
        )
        for one in everyone(tx)
    ]


def _check(peer: RemoteAE) -> None:
    """Raises ConfigurationError; brings `objects`, `calls_from` and the own AE title into the form that is kept."""
    peer.objects = in_words(kinds((peer.objects or "").split(","), Way.DIMSE))
    if peer.own_ae_title:
        peer.own_ae_title = ae_title(peer.own_ae_title)
    if peer.send_to and not (peer.host and peer.port):
        raise ConfigurationError(f"{peer.ae_title} is to receive objects, so it needs a host and a port")
    if (peer.maximum_associations or 0) < 0:
        raise ConfigurationError("--maximum-associations is 1 or more, or 0 for the node's limit alone")
    terms_of(peer).check()
    if peer.calls_from == HOST:
        if not peer.host:
            raise ConfigurationError(f"{peer.ae_title} is to call from its host, so it needs one: --address HOST:PORT")
    elif peer.calls_from:
        peer.calls_from = _networks(peer.calls_from)


def _check_notices(peer: RemoteAE) -> None:
    """Raises ConfigurationError where nothing could tell it why there is no draft, though it is to be told."""
    if peer.notices:
        check_notices(peer.ae_title, Way.DIMSE, peer.objects)


def _networks(text: str) -> str:
    try:
        return ",".join(_short(network) for network in networks(text))
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is not host, anywhere, or addresses and networks such as 10.0.0.5,10.1.0.0/24: {error}"
        ) from error


def _short(network: IPv4Network | IPv6Network) -> str:
    return str(network.network_address if network.num_addresses == 1 else network)


def _audit(tx: Session, event: str, peer: RemoteAE, now: datetime, actor: str) -> None:
    audit.append(
        tx,
        event,
        at=now,
        actor=actor,
        ae_title=peer.ae_title,
        host=peer.host,
        port=peer.port,
        may_send=int(bool(peer.may_send)),
        may_verify=int(peer.may_verify is not False),
        may_query=int(bool(peer.may_query)),
        own_ae_title=peer.own_ae_title or "",
        calls_from=peer.calls_from or "",
        maximum_associations=peer.maximum_associations or 0,
        tls=int(bool(peer.tls)),
        tls_name=peer.tls_name or "",
        must_use_tls=int(bool(peer.must_use_tls)),
        **asdict(terms_of(peer)),
        retrieve=str(peer.retrieve or Retrieve.MOVE),
        send_to=int(bool(peer.send_to)),
        mode=str(peer.mode or Mode.DRAFT),
        proof=str(peer.proof or Proof.QUERY),
        identity_check="default" if peer.identity_check is None else str(int(peer.identity_check)),
        objects=peer.objects or "",
        notices=int(bool(peer.notices)),
    )
