"""Where our objects go: AE titles and services as one list, with what each of them takes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from types import MappingProxyType

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from dicom_node.errors import ConfigurationError
from dicom_node.kinds import FINAL, NOTES, OF_A_NOTICE, Kind, Stage
from dicom_node.tables import Endpoint, Mode, Proof, RemoteAE, Way
from dicom_node.terms import Terms
from dicom_node.transports import Destination

_DICOM = frozenset({Kind.BASIC_TEXT, Kind.TID1500, Kind.KOS, Kind.PDF, Kind.SC})
CARRIES = MappingProxyType(
    {
        Way.DIMSE: _DICOM,
        Way.STOW: _DICOM,
        Way.MLLP: frozenset({Kind.ORU}),
        Way.FHIR: frozenset({Kind.FHIR}),
        Way.WEBHOOK: frozenset({Kind.OUTCOME}),
    }
)
_SUGGESTED = frozenset({Kind.BASIC_TEXT, Kind.KOS})  # what a peer gets that was never probed


def destinations(tx: Session) -> tuple[Destination, ...]:
    """Everything that is registered to get objects, by name; also what is in mode hold or shadow."""
    peers, endpoints = (tx.scalars(one).all() for one in _registered())
    everyone = [*(of_peer(peer) for peer in peers), *(_of_endpoint(endpoint) for endpoint in endpoints)]
    return tuple(sorted(everyone, key=lambda destination: destination.name))


@cache
def _registered() -> tuple[Select[RemoteAE], Select[Endpoint]]:
    return select(RemoteAE).where(RemoteAE.send_to), select(Endpoint)


def find(tx: Session, name: str) -> Destination | None:
    """The destination with this name; also an AE title that gets nothing any more, which can still be asked."""
    peer = tx.scalar(select(RemoteAE).where(RemoteAE.ae_title == name))
    if peer is not None:
        return of_peer(peer)
    endpoint = tx.scalar(select(Endpoint).where(Endpoint.name == name))
    return None if endpoint is None else _of_endpoint(endpoint)


def takes(destination: Destination, kind: Kind, stage: Stage) -> bool:
    """Does it get objects of this form at this stage, by its mode and its objects?

    What takes documents back is for whoever got them, whatever the mode is now; the worklist knows who did.
    """
    if kind not in destination.objects:
        return False
    if stage in NOTES:
        return True
    if stage is Stage.NOTICE:
        return destination.notices and destination.mode is not Mode.SHADOW
    if stage in FINAL:
        return destination.mode is not Mode.SHADOW
    return destination.mode is Mode.DRAFT


def is_taken(tx: Session, name: str) -> bool:
    """Does an AE title or another destination have this name?"""
    titles = select(RemoteAE.id).where(RemoteAE.ae_title == name)
    return tx.scalar(titles) is not None or tx.scalar(select(Endpoint.id).where(Endpoint.name == name)) is not None


def kinds(words: Iterable[str], way: Way) -> frozenset[Kind]:
    """The forms with these names. Raises ConfigurationError for one that this protocol cannot carry."""
    wanted = frozenset(word.strip() for word in words if word.strip())
    possible = sorted(kind.value for kind in CARRIES[way])
    for word in sorted(wanted - frozenset(possible)):
        raise ConfigurationError(f"{word!r} is nothing that {way} carries; it carries {', '.join(possible)}")
    return frozenset(Kind(word) for word in wanted)


def check_notices(name: str, way: Way, objects: str) -> None:
    """Can a destination be told why there is no draft? objects: those that a person chose, with commas; none: any.

    Raises ConfigurationError: it would never get a notice.
    """
    said = f"why there is no draft is said in {in_words(OF_A_NOTICE)}"
    if not CARRIES[way] & OF_A_NOTICE:
        able = ", ".join(one.value for one in Way if CARRIES[one] & OF_A_NOTICE)
        raise ConfigurationError(f"{name}: {said}, which {way} does not carry ({able} do): leave notices out")
    if objects and not kinds(objects.split(","), way) & OF_A_NOTICE:
        raise ConfigurationError(f"{name}: {said}, and it gets {objects} only: add that, or leave notices out")


def in_words(objects: Iterable[Kind]) -> str:
    """Forms as they stand in the database and in lists: in the order of `Kind`."""
    chosen = frozenset(objects)
    return ",".join(kind.value for kind in Kind if kind in chosen)


def of_peer(peer: RemoteAE) -> Destination:
    """A peer as a destination, whether or not it gets anything."""
    return Destination(
        name=peer.ae_title,
        way=Way.DIMSE,
        host=peer.host,
        port=peer.port,
        url="",
        mode=peer.mode,
        proof=peer.proof,
        objects=objects_of(peer),
        notices=peer.notices,
        own_ae_title=peer.own_ae_title,
        identity_check=asks_for_identity(peer),
        tls=peer.tls,
        tls_name=peer.tls_name,
        terms=terms_of(peer),
        retrieve=peer.retrieve,
    )


def terms_of(peer: RemoteAE) -> Terms:
    """What it has of its own; a peer that was not written yet may lack a value."""
    return Terms(
        dimse_timeout_seconds=peer.dimse_timeout_seconds or 0,
        idle_timeout_seconds=peer.idle_timeout_seconds or 0,
        acse_timeout_seconds=peer.acse_timeout_seconds or 0,
        maximum_pdu_size=peer.maximum_pdu_size or 0,
    )


def asks_for_identity(peer: RemoteAE) -> bool:
    """As a person chose; else whoever is asked for objects is asked for the study as well."""
    return peer.proof is not Proof.ACKNOWLEDGEMENT if peer.identity_check is None else peer.identity_check


def objects_of(peer: RemoteAE) -> frozenset[Kind]:
    """What a person chose for this peer, else what its last probe recommends, else the two that nearly all take."""
    if peer.objects:
        return kinds(peer.objects.split(","), Way.DIMSE)
    if peer.probed:
        return kinds(json.loads(peer.probed)["objects"], Way.DIMSE) or _SUGGESTED
    return _SUGGESTED


def takes_nothing(peer: RemoteAE) -> bool:
    """Is it to get objects, though its last probe says that it takes none of ours, and nobody chose any?"""
    return bool(peer.send_to and peer.probed and not peer.objects and not json.loads(peer.probed)["objects"])


def _of_endpoint(endpoint: Endpoint) -> Destination:
    suggested = _SUGGESTED if endpoint.way is Way.STOW else CARRIES[endpoint.way]
    return Destination(
        name=endpoint.name,
        way=endpoint.way,
        host=endpoint.host,
        port=endpoint.port,
        url=endpoint.url,
        mode=endpoint.mode,
        proof=endpoint.proof,
        objects=kinds(endpoint.objects.split(","), endpoint.way) or suggested,
        notices=endpoint.notices,
        identity_check=endpoint.way is Way.STOW and endpoint.proof is Proof.QUERY,
        credential=endpoint.credential,
    )
