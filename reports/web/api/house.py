"""Operations on how the house is set up: peers and services, rules, and the model. They change nothing."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import AwareDatetime, Field

from dicom_node import destinations, peers
from dicom_node.database import clock
from dicom_node.hosts import with_port
from dicom_node.kinds import Kind
from dicom_node.rules import book
from dicom_node.rules.decision import Standing
from dicom_node.tables import Mode, Proof, RemoteAE, Way
from dicom_node.transports import Destination
from reports.web import speed
from reports.web.administration import caretaker_of
from reports.web.alarms import is_silent, pulses
from reports.web.api.answers import Strict
from reports.web.api.operations import Asked


class PeerAnswer(Strict):
    """One AE title. mode, forms, proof, notices: of what it gets, where `gets` is true."""

    ae_title: str
    host: str
    port: int
    may_send: bool
    gets: bool
    mode: Mode
    forms: list[Kind]
    proof: Proof
    notices: bool = Field(description="Also gets why there is no draft")
    takes_nothing: bool = Field(description="It is to get objects, and takes none of ours")
    comment: str


class ServiceAnswer(Strict):
    """One destination that is no AE title."""

    name: str
    protocol: Way
    address: str
    mode: Mode
    forms: list[Kind]
    proof: Proof
    notices: bool


class Peers(Strict):
    """Who may send to us, and where we send to."""

    items: list[PeerAnswer]
    services: list[ServiceAnswer]


class RuleAnswer(Strict):
    """One rule; the conditions in `when` must all hold. trouble: why it cannot be read, and is passed over."""

    name: str
    version: int
    enabled: bool
    when: list[str]
    exclude: str = Field(description="Why its studies are not read; empty: they are")
    reader: str
    priority: str
    to: list[str]
    late: str
    owner: str
    comment: str
    trouble: str


class Rules(Strict):
    """In the order in which they are asked; the first one that fits decides."""

    items: list[RuleAnswer]


class ModelFact(Strict):
    """One thing about the model."""

    label: str
    words: str


class WorkerAnswer(Strict):
    """One process that reads. at: its last sign of life."""

    name: str
    at: AwareDatetime | None
    silent: bool
    detail: str


class PaceAnswer(Strict):
    """Seconds a draft, of one reader: the median, and what nine of ten do not exceed."""

    reader: str
    digest: str
    drafts: int
    median: float
    ninth: float


class Models(Strict):
    """What reads here. trouble: why the model of the configuration cannot be told."""

    facts: list[ModelFact]
    trouble: str
    workers: list[WorkerAnswer]
    paces: list[PaceAnswer]


def everyone(asked: Asked) -> Peers:
    """Who is registered."""
    with asked.site.database.read() as tx:
        known, targets = peers.everyone(tx), destinations.destinations(tx)
    return Peers(
        items=[_peer(one) for one in known],
        services=[_service(one) for one in targets if one.way is not Way.DIMSE],
    )


def rules(asked: Asked) -> Rules:
    """All of them, also those that are not asked."""
    with asked.site.database.read() as tx:
        return Rules(items=[_rule(one) for one in book.everyone(tx)])


def models(asked: Asked) -> Models:
    """What the configuration says, who is at work, and how fast."""
    told = caretaker_of(asked.site).model()
    with asked.site.database.read() as tx:
        now = clock(tx)
        workers = [one for one in pulses(tx, now) if one.name.partition("@")[0] == "work"]
        paces = speed.paces(tx)
    return Models(
        facts=[ModelFact(label=label, words=words) for label, words in told.rows],
        trouble=told.trouble,
        workers=[
            WorkerAnswer(name=one.name, at=one.at, silent=is_silent(one, now), detail=one.detail) for one in workers
        ],
        paces=[
            PaceAnswer(reader=one.reader, digest=one.digest, drafts=one.drafts, median=one.median, ninth=one.slow)
            for one in paces
        ],
    )


def _peer(one: RemoteAE) -> PeerAnswer:
    return PeerAnswer(
        ae_title=one.ae_title,
        host=one.host,
        port=one.port,
        may_send=one.may_send,
        gets=one.send_to,
        mode=one.mode,
        forms=_forms(destinations.of_peer(one).objects),
        proof=one.proof,
        notices=one.notices,
        takes_nothing=destinations.takes_nothing(one),
        comment=one.comment,
    )


def _service(one: Destination) -> ServiceAnswer:
    return ServiceAnswer(
        name=one.name,
        protocol=one.way,
        address=one.url or with_port(one.host, one.port),
        mode=one.mode,
        forms=_forms(one.objects),
        proof=one.proof,
        notices=one.notices,
    )


def _rule(one: Standing) -> RuleAnswer:
    rule = one.rule
    return RuleAnswer(
        name=one.name,
        version=one.version,
        enabled=rule is not None and rule.enabled,
        when=list(rule.when) if rule else [],
        exclude=rule.exclude if rule else "",
        reader=rule.reader if rule else "",
        priority=rule.priority if rule else "",
        to=list(rule.to) if rule else [],
        late=rule.late if rule else "",
        owner=rule.owner if rule else "",
        comment=rule.comment if rule else "",
        trouble=one.trouble,
    )


def _forms(objects: Iterable[Kind]) -> list[Kind]:
    """In the order of the forms."""
    chosen = frozenset(objects)
    return [kind for kind in Kind if kind in chosen]
