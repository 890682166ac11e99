"""Peers and services as a file declares them: what is there as plain tables, and making it what the tables say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node import endpoints, mistakes, peers
from dicom_node.config import AETitle
from dicom_node.destinations import in_words, kinds
from dicom_node.errors import ConfigurationError
from dicom_node.hosts import with_port
from dicom_node.rules.book import Change
from dicom_node.tables import Endpoint, Mode, Proof, RemoteAE, Retrieve, Way

MOST: Final = 1000  # tables in one section


class PeerForm(BaseModel):
    """`[[peers]]`: a remote AE title. What is not given has the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ae_title: AETitle
    host: str = ""
    port: int = Field(0, ge=0, le=65535)
    may_send: bool = False
    may_verify: bool = True
    may_query: bool = False
    send_to: bool = False
    own_ae_title: str = ""
    calls_from: str = ""
    maximum_associations: int = Field(0, ge=0)
    tls: bool = False
    tls_name: str = ""
    must_use_tls: bool = False
    dimse_timeout_seconds: int = 0  # 0: as the node has it
    idle_timeout_seconds: int = 0
    acse_timeout_seconds: int = 0
    maximum_pdu_size: int = 0
    retrieve: Retrieve = Retrieve.MOVE
    mode: Mode = Mode.DRAFT
    proof: Proof = Proof.QUERY
    identity_check: bool | None = None
    objects: tuple[str, ...] = ()  # none: what `ae probe` recommends
    notices: bool = False
    comment: str = ""


class ServiceForm(BaseModel):
    """`[[destinations]]`: a service that gets our documents. What is not given has the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    url: str
    way: Way | None = None  # where the URL does not say it
    mode: Mode = Mode.DRAFT
    proof: Proof | None = None  # query where it can be asked
    objects: tuple[str, ...] = ()  # none: what its protocol suggests
    notices: bool = False
    credential: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of tables in a file: what it is called, and what is there and becomes of it."""

    name: str
    key: str  # the field that names a table
    form: type[BaseModel]
    there: Callable[[Session], Mapping[str, BaseModel]]
    add: Callable[[Session, Any, datetime, str], None]
    edit: Callable[[Session, Any, datetime, str], None]
    remove: Callable[[Session, str, datetime, str], None]

    def export(self, tx: Session) -> list[dict[str, Any]]:
        """Everything that is there, without what has its default; whoever gets documents has its mode said."""
        return [_filled(form) for form in self.there(tx).values()]

    def apply(self, tx: Session, tables: object, *, prune: bool, now: datetime, actor: str) -> tuple[Change, ...]:
        """Make what is there what `tables` say; others stay, or go with `prune`.

        Returns what changed. Raises ConfigurationError.
        """
        wanted, there = self._read(tables), self.there(tx)
        changes = []
        if prune:  # first: a name may move from a peer to a service
            for name in there.keys() - wanted.keys():
                self.remove(tx, name, now, actor)
                changes.append(Change(name, "removed", ""))
        for name, form in wanted.items():
            old = there.get(name)
            if old == form:
                continue
            (self.edit if old else self.add)(tx, form, now, actor)
            tx.flush()
            new = self.there(tx)[name]
            if old != new:
                changes.append(Change(name, "edited" if old else "added", _differences(old, new)))
        return tuple(changes)

    def _read(self, tables: object) -> dict[str, BaseModel]:
        """Raises ConfigurationError that lists what is wrong."""
        if not isinstance(tables, list) or len(tables) > MOST or not all(isinstance(one, dict) for one in tables):
            raise ConfigurationError(f"{self.name} is a list of at most {MOST} tables: [[{self.name}]]")
        forms: dict[str, BaseModel] = {}
        for number, table in enumerate(tables, 1):
            try:
                form = self.form.model_validate(table)
            except ValidationError as error:
                raise ConfigurationError("\n".join(_mistakes(self.name, number, self.form, error))) from error
            name = getattr(form, self.key)
            if name in forms:
                raise ConfigurationError(f"[[{self.name}]]: {name!r} is there twice")
            forms[name] = form
        return forms


def _peers(tx: Session) -> Mapping[str, PeerForm]:
    forms = {}
    for one in peers.everyone(tx):
        fields = {name: getattr(one, name) for name in PeerForm.model_fields if name != "objects"}
        forms[one.ae_title] = PeerForm(**fields, objects=_words(one.objects))
    return forms


def _add_peer(tx: Session, form: PeerForm, now: datetime, actor: str) -> None:
    peers.add(tx, RemoteAE(**_columns(form), probed=""), now=now, actor=actor)


def _edit_peer(tx: Session, form: PeerForm, now: datetime, actor: str) -> None:
    peers.replace(tx, form.ae_title, _columns(form), now=now, actor=actor)


def _columns(form: PeerForm) -> dict[str, Any]:
    return {**form.model_dump(), "objects": in_words(kinds(form.objects, Way.DIMSE))}


def _services(tx: Session) -> Mapping[str, ServiceForm]:
    forms = {}
    for one in tx.scalars(select(Endpoint).order_by(Endpoint.name)):
        shared = ("name", "way", "mode", "proof", "notices", "credential", "comment")
        fields = {name: getattr(one, name) for name in shared}
        forms[one.name] = ServiceForm(
            **fields, url=one.url or f"mllp://{with_port(one.host, one.port)}", objects=_words(one.objects)
        )
    return forms


def _add_service(tx: Session, form: ServiceForm, now: datetime, actor: str) -> None:
    endpoints.add(
        tx,
        form.name,
        endpoints.place(form.url, form.way),
        now=now,
        actor=actor,
        mode=form.mode,
        proof=form.proof,
        objects=",".join(form.objects),
        notices=form.notices,
        credential=form.credential,
        comment=form.comment,
    )


def _edit_service(tx: Session, form: ServiceForm, now: datetime, actor: str) -> None:
    where = endpoints.place(form.url, form.way)
    if _meant(form) == _services(tx)[form.name]:
        return
    endpoints.edit(
        tx,
        form.name,
        now=now,
        actor=actor,
        where=where,
        mode=form.mode,
        proof=form.proof or endpoints.usual_proof(where.way),
        objects=",".join(form.objects),
        notices=form.notices,
        credential=form.credential,
        comment=form.comment,
    )


def _meant(form: ServiceForm) -> ServiceForm:
    """The form as it would be exported: with the protocol and proof that follow from the URL."""
    where = endpoints.place(form.url, form.way)
    return form.model_copy(
        update={
            "way": where.way,
            "url": where.url or f"mllp://{with_port(where.host, where.port)}",
            "proof": form.proof or endpoints.usual_proof(where.way),
        }
    )


PEERS: Final = Section(
    "peers",
    "ae_title",
    PeerForm,
    _peers,
    _add_peer,
    _edit_peer,
    lambda tx, name, now, by: peers.remove(tx, name, now=now, actor=by),
)
SERVICES: Final = Section(
    "destinations",
    "name",
    ServiceForm,
    _services,
    _add_service,
    _edit_service,
    lambda tx, name, now, by: endpoints.remove(tx, name, now=now, actor=by),
)


def _words(objects: str) -> tuple[str, ...]:
    return tuple(word for word in objects.split(",") if word)


def _filled(form: BaseModel) -> dict[str, Any]:
    """Only what is not the default, in the order of the fields; the mode always, where documents go."""
    gets = getattr(form, "send_to", True)
    said = form.model_dump(mode="json", exclude_defaults=True).keys() | ({"mode"} if gets else set())
    return {key: value for key, value in form.model_dump(mode="json").items() if key in said}


def _differences(old: BaseModel | None, new: BaseModel) -> str:
    after = new.model_dump(mode="json")
    if old is None:
        return "; ".join(f"{key} = {_shown(value)}" for key, value in list(_filled(new).items())[1:])
    before = old.model_dump(mode="json")
    keys = [key for key in after if before[key] != after[key]]
    return "; ".join(f"{key}: {_shown(before[key])} -> {_shown(after[key])}" for key in keys)


def _shown(value: object) -> str:
    """What is in force; `default` only where what that is depends on the protocol or the last probe."""
    return "default" if value is None or value == [] else json.dumps(value, ensure_ascii=False)


def _mistakes(section: str, number: int, form: type[BaseModel], error: ValidationError) -> Sequence[str]:
    lines = []
    for place, what in mistakes.told(form, error):
        key = ".".join(str(part) for part in place)
        lines.append(f"[[{section}]] number {number}: {key}: {what}")
    return lines
