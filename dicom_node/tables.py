"""The tables, their states, and the transition tables as data. The database is the truth (see decisions/0002).

A *study revision* is the unit of the books: each is in exactly one `Book`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import BigInteger, Enum, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dicom_node.database import UTCDateTime
from dicom_node.kinds import Kind, Stage

SCHEMA_NAMES = MappingProxyType(
    {
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Base(DeclarativeBase):
    """All tables share one metadata; names of constraints are fixed so that migrations can name them."""

    metadata = MetaData(naming_convention=dict(SCHEMA_NAMES))
    type_annotation_map = {datetime: UTCDateTime()}  # noqa: RUF012  SQLAlchemy's own form


class StudyState(StrEnum):
    """Are images still expected?"""

    RECEIVING = "RECEIVING"
    COMPLETE = "COMPLETE"


class WorkitemState(StrEnum):
    """Procedure Step State of a unified procedure step (PS3.4 CC.1.1)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


class DeliveryState(StrEnum):
    """One object on its way to one destination."""

    QUEUED = "QUEUED"
    SENT = "SENT"  # the peer answered success; its proof is still missing
    COMMITTED = "COMMITTED"  # the peer proved that it has the object
    FAILED = "FAILED"  # a dead letter: a person is told, and can requeue it
    CANCELED = "CANCELED"


class Book(StrEnum):
    """Where a study revision stands. Exactly one at any moment; `wetread check` proves it."""

    IN_FLIGHT = "in flight"
    AWAITING_SIGNOFF = "awaiting sign-off"
    DELIVERED = "delivered"  # every destination proven
    EXCLUDED = "excluded"  # with a reason
    DEAD_LETTERED = "dead-lettered"  # with a reason; a person is told
    CLOSED = "closed undelivered"  # shadow, rejected, expired, withdrawn, superseded


class Outcome(StrEnum):
    """What became of one C-STORE request: received = the sum of these."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"


class Role(StrEnum):
    """What an instance is to us."""

    IMAGE = "image"
    OTHER = "other"  # no image: stored and booked, never reopens a study
    SET_ASIDE = "set aside"  # an image without a Patient ID; a person released the study without it


class Mode(StrEnum):
    """What a destination gets."""

    DRAFT = "draft"  # the unverified draft at once
    HOLD = "hold"  # only what a radiologist signed
    SHADOW = "shadow"  # nothing


class Retrieve(StrEnum):
    """How films that never came are brought here from a peer."""

    MOVE = "move"  # C-MOVE: it sends them to our port, which it must know
    GET = "get"  # C-GET: it gives them on the association that asks


class Proof(StrEnum):
    """What counts as proof that a destination has an object."""

    QUERY = "query"  # C-FIND finds the SOP Instance UID
    COMMITMENT = "commitment"  # the peer promised it (PS3.4 J); C-FIND where it does not answer in time
    ACKNOWLEDGEMENT = "acknowledgement"  # the C-STORE response alone


class Way(StrEnum):
    """Protocol that a destination speaks."""

    DIMSE = "dimse"  # C-STORE to an AE title
    STOW = "stow"  # DICOMweb STOW-RS
    MLLP = "mllp"  # HL7 v2 over TCP
    FHIR = "fhir"  # FHIR R4 REST
    WEBHOOK = "webhook"  # JSON by HTTP POST


STUDY_TRANSITIONS = frozenset(
    {
        (StudyState.RECEIVING, StudyState.COMPLETE),
        (StudyState.COMPLETE, StudyState.RECEIVING),  # a late image: revision + 1
    }
)
WORKITEM_TRANSITIONS = frozenset(
    {
        (WorkitemState.SCHEDULED, WorkitemState.IN_PROGRESS),
        (WorkitemState.SCHEDULED, WorkitemState.CANCELED),
        (WorkitemState.IN_PROGRESS, WorkitemState.COMPLETED),
        (WorkitemState.IN_PROGRESS, WorkitemState.CANCELED),
        (WorkitemState.IN_PROGRESS, WorkitemState.SCHEDULED),  # the lease ended, or a retry
    }
)
DELIVERY_TRANSITIONS = frozenset(
    {
        (DeliveryState.QUEUED, DeliveryState.SENT),
        (DeliveryState.QUEUED, DeliveryState.FAILED),
        (DeliveryState.QUEUED, DeliveryState.CANCELED),
        (DeliveryState.CANCELED, DeliveryState.SENT),  # called off while it was being transmitted: the peer has it
        (DeliveryState.SENT, DeliveryState.COMMITTED),
        (DeliveryState.SENT, DeliveryState.QUEUED),  # the peer does not have it after all
        (DeliveryState.SENT, DeliveryState.FAILED),
        (DeliveryState.FAILED, DeliveryState.QUEUED),  # a person requeued it
    }
)


def _state(states: type[StrEnum]) -> Enum:
    return Enum(states, native_enum=False, length=24, values_callable=lambda kind: [member.value for member in kind])


class RemoteAE(Base):
    """A peer: who may send to us, and where we send to."""

    __tablename__ = "remote_ae"

    id: Mapped[int] = mapped_column(primary_key=True)
    ae_title: Mapped[str] = mapped_column(String(16), unique=True)
    host: Mapped[str] = mapped_column(String(255), default="")
    port: Mapped[int] = mapped_column(default=104)
    may_send: Mapped[bool] = mapped_column(default=False)
    may_verify: Mapped[bool] = mapped_column(default=True)
    may_query: Mapped[bool] = mapped_column(default=False)
    send_to: Mapped[bool] = mapped_column(default=False)
    own_ae_title: Mapped[str] = mapped_column(String(16), default="")  # what we call ourselves there; empty: our first
    calls_from: Mapped[str] = mapped_column(Text, default="")  # "host", or networks with commas; empty: anywhere
    maximum_associations: Mapped[int] = mapped_column(default=0)  # of its own at once; 0: only the node's limit
    tls: Mapped[bool] = mapped_column(default=False)  # we call it by TLS
    tls_name: Mapped[str] = mapped_column(String(255), default="")  # in its certificate; empty: its host
    must_use_tls: Mapped[bool] = mapped_column(default=False)  # it may call us by TLS only
    dimse_timeout_seconds: Mapped[int] = mapped_column(default=0)  # `terms.Terms`; 0: as the node has it
    idle_timeout_seconds: Mapped[int] = mapped_column(default=0)
    acse_timeout_seconds: Mapped[int] = mapped_column(default=0)
    maximum_pdu_size: Mapped[int] = mapped_column(default=0)
    retrieve: Mapped[Retrieve] = mapped_column(_state(Retrieve), default=Retrieve.MOVE)
    mode: Mapped[Mode] = mapped_column(_state(Mode), default=Mode.DRAFT)
    proof: Mapped[Proof] = mapped_column(_state(Proof), default=Proof.QUERY)
    identity_check: Mapped[bool | None] = mapped_column(default=None)  # None: unless acknowledged is all
    objects: Mapped[str] = mapped_column(Text, default="")  # kinds with commas; empty: what the last probe recommends
    notices: Mapped[bool] = mapped_column(default=False)  # gets "No AI draft: <reason>" as well
    probed: Mapped[str] = mapped_column(Text, default="")  # JSON: what it took when it was last probed; empty: never
    comment: Mapped[str] = mapped_column(Text, default="")


class Endpoint(Base):
    """A destination that is no AE title: DICOMweb, HL7 v2, FHIR, webhook."""

    __tablename__ = "destination"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)  # no AE title has it either
    way: Mapped[Way] = mapped_column(_state(Way))
    host: Mapped[str] = mapped_column(String(255), default="")
    port: Mapped[int] = mapped_column(default=0)
    url: Mapped[str] = mapped_column(Text, default="")
    mode: Mapped[Mode] = mapped_column(_state(Mode), default=Mode.DRAFT)
    proof: Mapped[Proof] = mapped_column(_state(Proof), default=Proof.ACKNOWLEDGEMENT)
    objects: Mapped[str] = mapped_column(Text, default="")  # kinds with commas; empty: what its protocol suggests
    notices: Mapped[bool] = mapped_column(default=False)
    credential: Mapped[str] = mapped_column(String(64), default="")  # name of a secret in the configuration
    comment: Mapped[str] = mapped_column(Text, default="")


class Study(Base):
    """One Study Instance UID."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[StudyState] = mapped_column(_state(StudyState), index=True)
    revision: Mapped[int] = mapped_column(default=1)
    patient_id: Mapped[str] = mapped_column(Text, default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(Text, default="")
    accession_number: Mapped[str] = mapped_column(String(64), default="", index=True)
    hold_reason: Mapped[str] = mapped_column(String(64), default="")  # nothing is sent while it is set
    first_received_at: Mapped[datetime]  # of this revision
    last_received_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]


class Revision(Base):
    """One study revision: the unit of the books."""

    __tablename__ = "revision"
    __table_args__ = (UniqueConstraint("study_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    number: Mapped[int]
    book: Mapped[Book] = mapped_column(_state(Book), index=True)
    reason: Mapped[str] = mapped_column(String(64), default="")  # a code such as not-a-chest
    explanation: Mapped[str] = mapped_column(Text, default="")  # a sentence; no patient, no report text
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]

    study: Mapped[Study] = relationship(lazy="joined")


class Instance(Base):
    """One stored object. Same SOP Instance UID twice: the bytes differ; the first is used, the other is a conflict."""

    __tablename__ = "instance"
    __table_args__ = (UniqueConstraint("sop_instance_uid", "digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    revision: Mapped[int]  # the first revision that has it
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    series_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    patient_id: Mapped[str] = mapped_column(Text, default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(Text, default="")
    accession_number: Mapped[str] = mapped_column(String(64), default="")
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    role: Mapped[Role] = mapped_column(_state(Role))
    conflict: Mapped[bool] = mapped_column(default=False, index=True)
    digest: Mapped[str] = mapped_column(String(64))  # names the file in the store
    size: Mapped[int] = mapped_column(BigInteger)
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    called_ae_title: Mapped[str] = mapped_column(String(16), default="")  # which of ours the sender called
    received_at: Mapped[datetime]


class Reception(Base):
    """One answered C-STORE request: the book of what came through the door."""

    __tablename__ = "reception"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[Outcome] = mapped_column(_state(Outcome), index=True)
    reason: Mapped[str] = mapped_column(String(64), default="")
    sop_class_uid: Mapped[str] = mapped_column(String(64), default="")
    sop_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    digest: Mapped[str] = mapped_column(String(64), default="")
    instance_id: Mapped[int | None] = mapped_column(ForeignKey("instance.id"))


class Workitem(Base):
    """The reading of one study revision, as a unified procedure step."""

    __tablename__ = "workitem"
    __table_args__ = (Index("ix_workitem_due", "state", "priority", "next_attempt_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), unique=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"), index=True)
    state: Mapped[WorkitemState] = mapped_column(_state(WorkitemState))
    priority: Mapped[int] = mapped_column(default=5)  # 0 is the most urgent
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    claim_token: Mapped[str] = mapped_column(String(32), default="")
    claimed_by: Mapped[str] = mapped_column(String(128), default="")
    hold_reason: Mapped[str] = mapped_column(String(64), default="")  # waits for a person; not claimable
    confirmed_by: Mapped[str] = mapped_column(String(64), default="")
    content_at: Mapped[datetime | None]  # the moment of the first claim: Content Date and Time of every object
    rung_at: Mapped[datetime | None]  # when its bell was last rung
    last_error: Mapped[str] = mapped_column(Text, default="")

    revision: Mapped[Revision] = relationship(lazy="joined")


class Delivery(Base):
    """One object for one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("destination", "sop_instance_uid"),
        Index("ix_delivery_due", "state", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"), index=True)
    destination: Mapped[str] = mapped_column(String(64))
    kind: Mapped[Kind] = mapped_column(_state(Kind))
    stage: Mapped[Stage] = mapped_column(_state(Stage))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    device_uid: Mapped[str] = mapped_column(String(64), default="", index=True)
    digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[DeliveryState] = mapped_column(_state(DeliveryState))
    attempts: Mapped[int] = mapped_column(default=0)
    resends: Mapped[int] = mapped_column(default=0)  # times that it was answered with success but never found
    next_attempt_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    claim_token: Mapped[str] = mapped_column(String(32), default="")
    claimed_by: Mapped[str] = mapped_column(String(128), default="")
    queued_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    committed_at: Mapped[datetime | None]
    proven_by: Mapped[str] = mapped_column(String(24), default="")
    reason: Mapped[str] = mapped_column(String(64), default="")  # a code: why a dead letter, or not taken or wanted
    last_error: Mapped[str] = mapped_column(Text, default="")

    revision: Mapped[Revision] = relationship(lazy="joined")


class AuditRow(Base):
    """What happened, in the order in which it happened. Appended only; sealed into a hash chain by `dispatch`."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(48), index=True)
    study_id: Mapped[int | None] = mapped_column(index=True)
    detail: Mapped[str] = mapped_column(Text, default="{}")  # JSON; no name, no report text
    seal: Mapped[str] = mapped_column(String(64), default="")
    sealed_as: Mapped[int | None] = mapped_column(unique=True)  # place in the chain: commits may pass each other


class Switch(Base):
    """What a person switched, by name: paused work, paused sending, one peer stopped."""

    __tablename__ = "switch"

    name: Mapped[str] = mapped_column(String(96), primary_key=True)
    on: Mapped[bool]
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


class StoreMark(Base):
    """What the folder of stored objects is marked with, so that no other is taken for it; one row at most."""

    __tablename__ = "store_mark"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    mark: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]


class ProcessBeat(Base):
    """The last sign of life of each of the five processes."""

    __tablename__ = "process"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)  # listen@host
    pid: Mapped[int]
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    detail: Mapped[str] = mapped_column(Text, default="")
