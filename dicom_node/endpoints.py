"""Destinations that are no AE titles: registered, changed, forgotten, each with a trace. They live in the database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import audit
from dicom_node.credentials import keeps_secrets
from dicom_node.destinations import check_notices, in_words, is_taken, kinds
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.hosts import with_port
from dicom_node.tables import Endpoint, Mode, Proof, Way
from dicom_node.worklist import known

MLLP_PORT = 2575  # registered for HL7 (IANA)

_PROOFS = MappingProxyType({Way.STOW: Proof.QUERY, Way.FHIR: Proof.QUERY})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GUESSES = ((re.compile(r"dicom-?web|/wado|/stow|/rs$"), Way.STOW), (re.compile(r"fhir"), Way.FHIR))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is, as its URL says."""

    way: Way
    host: str = ""
    port: int = 0
    url: str = ""


def place(url: str, way: Way | None = None) -> Place:
    """Read `mllp://host:2575`, `mllps://` (TLS) or a base URL, whose protocol is guessed from its path unless given.

    Raises ConfigurationError.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"this is no URL: {error}") from error
    if parts.username is not None:
        raise ConfigurationError("no user or password in a URL: name a credential with --credential")
    if parts.scheme in {"mllp", "mllps"}:
        if not parts.hostname or way not in {None, Way.MLLP} or parts.path.strip("/"):
            raise ConfigurationError(f"{url} must be {parts.scheme}://HOST:PORT")
        shown = f"mllps://{parts.netloc}" if parts.scheme == "mllps" else ""  # the URL says that it is TLS
        return Place(Way.MLLP, host=parts.hostname, port=port or MLLP_PORT, url=shown)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{url} must be mllp://HOST:PORT, or http(s)://HOST/PATH without a query")
    way = way or next((guess for pattern, guess in _GUESSES if pattern.search(parts.path.lower())), None)
    if way not in {Way.STOW, Way.FHIR, Way.WEBHOOK}:
        raise ConfigurationError(f"say what {url} is: --way stow, --way fhir or --way webhook")
    return Place(way, url=url.rstrip("/"))


def usual_proof(way: Way) -> Proof:
    """What counts as delivered where nobody chose: a query where the protocol has one."""
    return _PROOFS.get(way, Proof.ACKNOWLEDGEMENT)


def add(
    tx: Session,
    name: str,
    where: Place,
    *,
    now: datetime,
    actor: str,
    mode: Mode = Mode.DRAFT,
    proof: Proof | None = None,
    objects: str = "",
    notices: bool = False,
    credential: str = "",
    comment: str = "",
) -> Endpoint:
    """Register a service. Raises ConfigurationError."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name: letters, digits, dot, hyphen and underscore, at most 64")
    if is_taken(tx, name):
        raise ConfigurationError(f"{name} is registered already; remove it first, or edit it")
    endpoint = Endpoint(
        name=name,
        way=where.way,
        host=where.host,
        port=where.port,
        url=where.url,
        mode=mode,
        proof=proof or usual_proof(where.way),
        objects=in_words(kinds(objects.split(","), where.way)),
        notices=notices,
        credential=credential,
        comment=comment,
    )
    _check(endpoint, notices=notices)
    tx.add(endpoint)
    _audit(tx, "destination-added", endpoint, now, actor)
    return endpoint


def edit(
    tx: Session,
    name: str,
    *,
    now: datetime,
    actor: str,
    where: Place | None = None,
    mode: Mode | None = None,
    proof: Proof | None = None,
    objects: str | None = None,
    notices: bool | None = None,
    credential: str | None = None,
    comment: str | None = None,
) -> Endpoint:
    """Change what is given and leave the rest. Raises NotFound, ConfigurationError."""
    endpoint = find(tx, name)
    if where is not None:
        if where.way is not endpoint.way:
            raise ConfigurationError(f"{name} speaks {endpoint.way}; remove it, and add it anew for {where.way}")
        endpoint.host, endpoint.port, endpoint.url = where.host, where.port, where.url
    if objects is not None:
        endpoint.objects = in_words(kinds(objects.split(","), endpoint.way))
    for field, value in {
        "mode": mode,
        "proof": proof,
        "notices": notices,
        "credential": credential,
        "comment": comment,
    }.items():
        if value is not None:
            setattr(endpoint, field, value)
    _check(endpoint, notices=notices is not False and (notices is not None or objects is not None))
    _audit(tx, "destination-edited", endpoint, now, actor)
    return endpoint


def remove(tx: Session, name: str, *, now: datetime, actor: str) -> None:
    """Forget a service; deliveries to it become dead letters when they are next tried. Raises NotFound."""
    endpoint = find(tx, name)
    _audit(tx, "destination-removed", endpoint, now, actor)
    known.forget(tx, name)
    tx.delete(endpoint)


def find(tx: Session, name: str) -> Endpoint:
    """The service with exactly this name. Raises NotFound."""
    endpoint = tx.scalar(select(Endpoint).where(Endpoint.name == name))
    if endpoint is None:
        names = ", ".join(tx.scalars(select(Endpoint.name).order_by(Endpoint.name))) or "none"
        raise NotFound(f"{name!r} is no destination; registered: {names} (AE titles: wetread ae list)")
    return endpoint


def _check(endpoint: Endpoint, *, notices: bool) -> None:
    """Raises ConfigurationError. notices: whether what is asked for could be carried is looked at as well."""
    if notices and endpoint.notices:
        check_notices(endpoint.name, endpoint.way, endpoint.objects)
    if endpoint.credential and endpoint.way is Way.MLLP:
        raise ConfigurationError("MLLP has no credentials")
    signs_only = endpoint.way is Way.WEBHOOK  # the secret itself is not sent
    if endpoint.credential and not signs_only and not keeps_secrets(endpoint.url):
        raise ConfigurationError(f"{endpoint.name} has a credential, so its URL must be https")


def _audit(tx: Session, event: str, endpoint: Endpoint, now: datetime, actor: str) -> None:
    audit.append(
        tx,
        event,
        at=now,
        actor=actor,
        destination=endpoint.name,
        way=endpoint.way.value,
        address=endpoint.url or with_port(endpoint.host, endpoint.port),
        mode=endpoint.mode.value,
        proof=endpoint.proof.value,
        objects=endpoint.objects,
        notices=int(endpoint.notices),
    )
