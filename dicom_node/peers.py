"""Remote application entities: who may send to us and where we send to. They live in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.access import Peer, Right
from dicom_node.aet import likely_cause
from dicom_node.destinations import in_words, is_taken, kinds, objects_of
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.tables import Mode, Proof, RemoteAE, Way


def add(tx: Session, peer: RemoteAE, *, now: datetime, actor: str) -> None:
    """Register a peer. Raises ConfigurationError where its AE title is taken or it could do nothing."""
    if is_taken(tx, peer.ae_title):
        raise ConfigurationError(f"{peer.ae_title} is registered already; remove it first, or edit it")
    _needs_an_address(peer)
    tx.add(peer)
    _audit(tx, "peer-added", peer, now, actor)


def edit(
    tx: Session,
    title: str,
    *,
    now: datetime,
    actor: str,
    host: str | None = None,
    port: int | None = None,
    may_send: bool | None = None,
    send_to: bool | None = None,
    mode: Mode | None = None,
    proof: Proof | None = None,
    objects: str | None = None,
    notices: bool | None = None,
) -> RemoteAE:
    """Change what is given and leave the rest. Raises NotFound, ConfigurationError."""
    peer = find(tx, title)
    wanted = {
        "host": host,
        "port": port,
        "may_send": may_send,
        "send_to": send_to,
        "mode": mode,
        "proof": proof,
        "objects": None if objects is None else in_words(kinds(objects.split(","), Way.DIMSE)),
        "notices": notices,
    }
    for name, value in wanted.items():
        if value is not None:
            setattr(peer, name, value)
    _needs_an_address(peer)
    _audit(tx, "peer-edited", peer, now, actor)
    return peer


def remember_probe(tx: Session, title: str, probed: str, *, now: datetime, actor: str) -> None:
    """Keep what `probe.stored` says of a peer. Raises NotFound."""
    peer = find(tx, title)
    peer.probed = probed
    audit.append(tx, "peer-probed", at=now, actor=actor, ae_title=title, objects=in_words(objects_of(peer)))


def remove(tx: Session, title: str, *, now: datetime, actor: str) -> None:
    """Forget a peer; deliveries to it become dead letters when they are next tried. Raises NotFound."""
    peer = find(tx, title)
    _audit(tx, "peer-removed", peer, now, actor)
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


def as_callers(tx: Session) -> list[Peer]:
    """All peers with their rights, for `access.decide`."""
    return [Peer(one.ae_title, frozenset(right for right in Right if getattr(one, right))) for one in everyone(tx)]


def _needs_an_address(peer: RemoteAE) -> None:
    if peer.send_to and not peer.host:
        raise ConfigurationError(f"{peer.ae_title} is to receive objects, so it needs a host and a port")


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
        send_to=int(bool(peer.send_to)),
        mode=str(peer.mode or Mode.DRAFT),
        proof=str(peer.proof or Proof.QUERY),
        objects=peer.objects or "",
        notices=int(bool(peer.notices)),
    )
