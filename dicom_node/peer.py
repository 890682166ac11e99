"""An association that we ask for: opened within bounds, closed in order, and told in words where none comes about."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role
from pynetdicom._globals import DEFAULT_MAX_LENGTH
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_node import checkpoint, hosts
from dicom_node.aet import typed
from dicom_node.associations import prompt_handlers
from dicom_node.config import NodeConfig
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.hosts import with_port
from dicom_node.limits import LONGEST_ANSWER, Answers
from dicom_node.pdu_socket import TlsPDUSocket
from dicom_node.terms import AS_THE_NODE, Terms
from dicom_node.tls import ClientContext, Secured, client_context, explain
from dicom_node.transports import Destination

PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)  # what our documents can be written in without loss

USUAL_PDU = DEFAULT_MAX_LENGTH  # bytes that we take at once from those we call, unless they have their own

_CONNECT_SECONDS = 10.0
_SECOND_LOOK_SECONDS = 2.0
_LETTING_GO_SECONDS = 1.0

_REJECTIONS = MappingProxyType(
    {
        (1, 3): "it does not know our AE title; register {own} in the PACS",
        (1, 7): "its AE title is not {peer}; register it under its own: wetread ae remove, then wetread ae add",
        (1, 1): "it gives no reason; does it want TLS (wetread ae edit {typed} --tls), or another address of ours?",
        (3, 1): "it is congested, and says to come later",
        (3, 2): "it has too many associations open",
    }
)


@dataclass(frozen=True, slots=True)
class Address:
    """Both ends of an association, and our patience with it.

    answer_seconds: for each answer; `terms` may have another patience for the association itself, and for silence.
    """

    own_ae_title: str
    peer_ae_title: str
    host: str
    port: int
    connect_seconds: float = 10
    answer_seconds: float = 60
    tls: Secured | None = None
    terms: Terms = AS_THE_NODE

    @property
    def accept_seconds(self) -> float:
        """For the answer to our request for an association."""
        return self.terms.acse_timeout_seconds or self.answer_seconds

    @property
    def where(self) -> str:
        """The peer, for a sentence."""
        return f"{self.peer_ae_title} at {with_port(self.host, self.port)}"


def address_of(to: Destination, node: NodeConfig, *, seconds: float | None = None) -> Address:
    """How we call a destination that speaks DIMSE.

    seconds: the longest that somebody waits for it; None: as long as the peer, or else the node, has it.
    """
    patience, terms = to.terms.dimse_timeout_seconds or node.dimse_timeout_seconds, to.terms
    if seconds is not None:
        patience = min(patience, seconds)
        terms = replace(terms, acse_timeout_seconds=min(terms.acse_timeout_seconds, seconds))
    return Address(
        to.own_ae_title or node.ae_title,
        to.name,
        to.host,
        to.port,
        connect_seconds=min(_CONNECT_SECONDS, patience),
        answer_seconds=patience,
        tls=Secured(node.tls_files, to.tls_name or to.host) if to.tls else None,
        terms=terms,
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """An established association, and what watches how much the peer sends on it."""

    association: Association
    answers: Answers
    address: Address

    def takes(self, sop_class_uid: str) -> bool:
        """Did the peer accept a presentation context for this class?"""
        return any(context.abstract_syntax == sop_class_uid for context in self.association.accepted_contexts)

    def excess(self, *, may_be_there: bool = False) -> SendFailure | None:
        """A sentence where we hung up because of how much, or how slowly, the peer sends."""
        return _excess(self.answers, self.address, may_be_there=may_be_there)

    def unanswered(self, service: str, *, began: float = 0) -> str:
        """What to say where no answer came: our patience ended, or it broke off. began: by the monotonic clock."""
        title, seconds = self.address.peer_ae_title, self.address.answer_seconds
        if time.monotonic() - max(began, self.answers.heard_at) >= seconds:
            return f"{title} did not answer {service} within {seconds:g} s"
        return f"{title} broke off before it answered {service}"

    def close(self, *, patience: float | None = None) -> None:
        """Release it where it still stands; waits for the peer's answer `patience` seconds."""
        if self.association.is_established:
            if patience is not None:
                self.association.acse_timeout = patience
            self.association.release()


def echo(address: Address) -> None:
    """C-ECHO (PS3.4 A.4). Raises SendFailure with the likely cause."""
    with associated(address, [str(Verification)]) as opened:
        if not opened.takes(str(Verification)):
            raise SendFailure(f"{address.where} takes no {named(str(Verification))}", class_refused=True)
        status = opened.association.send_c_echo().get("Status")
        if status != 0x0000:
            raise SendFailure(f"{address.peer_ae_title} answered C-ECHO with {shown(status)}")


@contextmanager
def associated(
    address: Address,
    sop_class_uids: Sequence[str],
    *,
    apart: bool = False,
    as_scp: Sequence[str] = (),
    longest_answer: int = LONGEST_ANSWER,
) -> Iterator[Opened]:
    """An association for one purpose. Raises SendFailure."""
    opened = associate(address, sop_class_uids, apart=apart, as_scp=as_scp, longest_answer=longest_answer)
    try:
        yield opened
    except SendFailure as failure:
        raise (opened.excess(may_be_there=failure.may_be_there) or failure) from None
    finally:
        opened.close()


def associate(
    address: Address,
    sop_class_uids: Sequence[str],
    handlers: Iterable[tuple[Any, ...]] = (),
    *,
    apart: bool = False,
    also: Iterable[tuple[str, str]] = (),
    as_scp: Sequence[str] = (),
    longest_answer: int = LONGEST_ANSWER,
) -> Opened:
    """Ask for an association with these classes, each in both little endian syntaxes; some may be refused.

    `apart`: a presentation context for each syntax, so that the peer says of each whether it takes it.
    `also`: further classes, each with one transfer syntax for a presentation context of its own.
    `as_scp`: classes of all these for which we want to be the SCP although we ask for the association (PS3.7 D.3.3.4).
    `longest_answer`: bytes that the peer may send in it altogether.
    A host name with several addresses is called at each of them until one takes the connection.
    Raises SendFailure where none comes about, or where all classes are refused.
    """
    ae = _entity(address)
    for sop_class_uid in sop_class_uids:
        for syntaxes in [[syntax] for syntax in PLAIN] if apart else [list(PLAIN)]:
            ae.add_requested_context(sop_class_uid, syntaxes)
    for sop_class_uid, syntax in also:
        ae.add_requested_context(sop_class_uid, syntax)
    secured = _context(address)
    roles, further = [build_role(uid, scp_role=True) for uid in as_scp], list(handlers)
    began = time.monotonic()
    for place in _places(ae, address):
        answers = Answers(longest_pdu=ae.maximum_pdu_size, seconds=address.answer_seconds, most=longest_answer)
        everything = [*answers.handlers(), *prompt_handlers(), *further]
        association = _call(ae, address, place, roles, everything, secured)
        if association.is_established:
            checkpoint.install(association)
            return Opened(association, answers, address)
        ended = time.monotonic()
        _let_go(association)
        if answers.connected_at is not None or answers.rejection is not None:
            break
    raise (
        _insecure(secured, address)
        or _excess(answers, address)
        or _why(association, address, sop_class_uids, answers, waited=ended - began, ended=ended)
    )


def _places(ae: AE, address: Address) -> tuple[str, ...]:
    """The addresses of the host; all of them share the patience for one connection. Raises SendFailure."""
    try:
        found = hosts.places(address.host)
    except (OSError, ValueError) as error:
        raise _nowhere(address, error) from error
    ae.connection_timeout = address.connect_seconds / len(found)
    return found


def _call(
    ae: AE,
    address: Address,
    place: str,
    roles: list[SCP_SCU_RoleSelectionNegotiation],
    handlers: list[tuple[Any, ...]],
    secured: ClientContext | None,
) -> Association:
    """Raises SendFailure where `place` is none."""
    try:
        return ae.associate(
            place,
            address.port,
            ae_title=address.peer_ae_title,
            max_pdu=ae.maximum_pdu_size,
            ext_neg=[*roles],
            evt_handlers=handlers,
            tls_args=None if secured is None or address.tls is None else (secured, address.tls.name),
        )
    except (OSError, ValueError) as error:
        raise _nowhere(address, error) from error


def _nowhere(address: Address, error: Exception) -> SendFailure:
    words = f"{address.where} cannot be looked up ({type(error).__name__}): is the host's name right?"
    return SendFailure(words, unreachable=True)


def _entity(address: Address) -> AE:
    """Our end, with our patience and the PDUs that we take."""
    ae = AE(ae_title=address.own_ae_title)
    ae.acse_timeout = address.accept_seconds
    ae.dimse_timeout = address.answer_seconds
    ae.network_timeout = address.terms.idle_timeout_seconds or address.answer_seconds
    ae.maximum_pdu_size = address.terms.maximum_pdu_size or USUAL_PDU
    return ae


def named(sop_class_uid: str) -> str:
    """A class in words, with its UID."""
    return f"{UID(sop_class_uid).name} ({sop_class_uid})"


def shown(status: int | None) -> str:
    """A DIMSE status for a sentence."""
    return "no status" if status is None else f"status 0x{status:04X}"


def _excess(answers: Answers, address: Address, *, may_be_there: bool = False) -> SendFailure | None:
    if not answers.trouble:
        return None
    words = f"{address.peer_ae_title} {answers.trouble}; is {with_port(address.host, address.port)} a DICOM node?"
    return SendFailure(words, may_be_there=may_be_there)


def _let_go(association: Association) -> None:
    """Close the connection: pynetdicom leaves it open where the peer spoke something else than DICOM."""
    association.dul.join(_LETTING_GO_SECONDS)
    if association.dul.socket is not None:
        association.dul.socket.close()


def _context(address: Address) -> ClientContext | None:
    """Raises SendFailure where our own certificate or CA cannot be read: that must not end a process."""
    if address.tls is None:
        return None
    try:
        context = client_context(address.tls.files)
    except ConfigurationError as error:
        raise SendFailure(f"{address.where} is to be called by TLS: {error}", unreachable=True) from error
    context.sslsocket_class = TlsPDUSocket
    return context


def _insecure(secured: ClientContext | None, address: Address) -> SendFailure | None:
    if secured is None or secured.trouble is None:
        return None
    name = "" if address.tls is None else address.tls.name
    words = f"{address.where}: no secure connection: {explain(secured.trouble, name=name)}"
    return SendFailure(words, unreachable=True)


def _why(
    association: Association,
    address: Address,
    sop_class_uids: Sequence[str],
    answers: Answers,
    *,
    waited: float,
    ended: float,
) -> SendFailure:
    """Turn an association that did not come about into a sentence. waited: seconds until `ended`, on our clock."""
    where = address.where
    if answers.rejection is not None:
        source, diagnostic = answers.rejection
        words = _REJECTIONS.get(answers.rejection, f"source {source}, diagnostic {diagnostic}")
        words = words.format(own=address.own_ae_title, peer=address.peer_ae_title, typed=typed(address.peer_ae_title))
        return SendFailure(f"{where} rejected the association: {words}")
    if association.rejected_contexts:
        return SendFailure(f"{where} takes no {named(sop_class_uids[0])}", class_refused=True)
    if association.acceptor.primitive is not None:
        return SendFailure(f"{where} aborted the association")
    if answers.connected_at is not None:
        return SendFailure(f"{where} {_silence(address, ended - answers.connected_at)}", unreachable=True)
    return SendFailure(f"{where} cannot be reached: {_obstacle(address, waited)}", unreachable=True)


def _silence(address: Address, lasted: float) -> str:
    """Somebody is there, and gave no answer: until our patience ended, or until he hung up."""
    if lasted >= address.accept_seconds:
        words = f"took the connection and gave no answer within {address.accept_seconds:g} s"
        return f"{words}: is this the port of a DICOM node, and is it well?"
    words = "took the connection and hung up without an answer"
    return f"{words}: is this the port of a DICOM node, does it want TLS, or does a firewall cut the line?"


def _obstacle(address: Address, waited: float) -> str:
    """pynetdicom keeps to itself why a connection failed; where that was quick, it costs nothing to look again."""
    if waited >= address.connect_seconds:
        return f"no answer within {address.connect_seconds:g} s: is a firewall in between, or the address wrong?"
    try:
        socket.create_connection((address.host, address.port), timeout=_SECOND_LOOK_SECONDS).close()
    except ConnectionRefusedError:
        return "nobody listens on that port: is it the right one, and the PACS running?"
    except TimeoutError:
        return "no answer: is a firewall in between, or the address wrong?"
    except OSError as error:
        return f"{(error.strerror or type(error).__name__).lower()}: is the host right, and the network there?"
    return "it hung up: is it well, and the PACS behind it running?"
