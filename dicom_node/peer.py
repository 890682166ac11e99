"""What we ask of another DICOM node as a service class user: C-ECHO, C-STORE, and C-FIND as proof of delivery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType

from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from dicom_node.associations import prompt_handlers
from dicom_node.errors import SendFailure
from dicom_node.limits import Answers

_PLAIN = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
_DUPLICATE = 0x0111
_NEVER = frozenset({0x0117, 0x0118, 0x0119, 0x0122})  # invalid instance, no such class, class and instance conflict
_PENDING = frozenset({0xFF00, 0xFF01})

_REJECTIONS = MappingProxyType(
    {
        (1, 3): "it does not know our AE title; register {own} in the PACS",
        (1, 7): "its AE title is not {peer}; correct it with: wetread ae edit",
        (3, 2): "it has too many associations open",
    }
)


@dataclass(frozen=True, slots=True)
class Address:
    """Both ends of an association, and our patience with it."""

    own_ae_title: str
    peer_ae_title: str
    host: str
    port: int
    connect_seconds: float = 10
    answer_seconds: float = 60


def echo(address: Address) -> None:
    """C-ECHO (PS3.4 A.4). Raises SendFailure with the likely cause."""
    with _association(address, Verification) as association:
        status = association.send_c_echo().get("Status")
        if status != 0x0000:
            raise SendFailure(f"{address.peer_ae_title} answered C-ECHO with {_shown(status)}")


def store(address: Address, payload: bytes) -> int:
    """C-STORE one of our documents; returns the status: 0x0000, 0x0111 (it was there already), or a 0xBxxx warning.

    `payload` is a whole Part 10 file. Both little endian syntaxes are offered; it is transcoded where only the implicit
    one is taken. Raises SendFailure.
    """
    dataset = dcmread(BytesIO(payload))
    with _association(address, str(dataset.SOPClassUID)) as association:
        status = association.send_c_store(dataset).get("Status")
        if status is None:
            words = f"{address.peer_ae_title} broke off or did not answer within the time-out"
            raise SendFailure(words, may_be_there=True)
        if status in {0x0000, _DUPLICATE} or status >> 12 == 0xB:
            return int(status)
        raise SendFailure(
            f"{address.peer_ae_title} refused the object with {_shown(status)}", permanent=_is_permanent(status)
        )


def holds(address: Address, payload: bytes) -> bool:
    """Does the peer find this document by C-FIND at IMAGE level (PS3.4 C.6.2)? Raises SendFailure."""
    document = dcmread(BytesIO(payload), stop_before_pixels=True)
    keys = Dataset()
    keys.QueryRetrieveLevel = "IMAGE"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(keys, keyword, document[keyword].value)
    found = False
    with _association(address, StudyRootQueryRetrieveInformationModelFind) as association:
        for response, identifier in association.send_c_find(keys, StudyRootQueryRetrieveInformationModelFind):
            status = response.get("Status")
            if status is None:
                raise SendFailure(f"{address.peer_ae_title} broke off during C-FIND")
            if status in _PENDING:
                found = found or (identifier is not None and identifier.get("SOPInstanceUID") == keys.SOPInstanceUID)
            elif status != 0x0000:
                raise SendFailure(f"{address.peer_ae_title} answered C-FIND with {_shown(status)}")
    return found


@contextmanager
def _association(address: Address, sop_class_uid: str) -> Iterator[Association]:
    ae = AE(ae_title=address.own_ae_title)
    ae.connection_timeout = address.connect_seconds
    ae.acse_timeout = address.answer_seconds
    ae.dimse_timeout = address.answer_seconds
    ae.network_timeout = address.answer_seconds
    ae.add_requested_context(sop_class_uid, list(_PLAIN))
    answers = Answers(longest_pdu=ae.maximum_pdu_size, seconds=address.answer_seconds)
    handlers = [*answers.handlers(), *prompt_handlers()]
    try:
        association = ae.associate(
            address.host,
            address.port,
            ae_title=address.peer_ae_title,
            max_pdu=ae.maximum_pdu_size,
            evt_handlers=handlers,
        )
    except (OSError, ValueError) as error:  # the host's name cannot be looked up, or is none
        where = f"{address.peer_ae_title} at {address.host}:{address.port}"
        words = f"{where} cannot be looked up ({type(error).__name__}): is the host's name right?"
        raise SendFailure(words, unreachable=True) from error
    if not association.is_established:
        raise _excess(answers, address) or _why(association, address, sop_class_uid)
    try:
        yield association
    except SendFailure as failure:
        raise (_excess(answers, address, may_be_there=failure.may_be_there) or failure) from None
    finally:
        if association.is_established:
            association.release()


def _excess(answers: Answers, address: Address, *, may_be_there: bool = False) -> SendFailure | None:
    """A sentence where we hung up because of how much, or how slowly, the peer sends."""
    if not answers.trouble:
        return None
    words = f"{address.peer_ae_title} {answers.trouble}; is {address.host}:{address.port} a DICOM node?"
    return SendFailure(words, may_be_there=may_be_there)


def _why(association: Association, address: Address, sop_class_uid: str) -> SendFailure:
    """Turn an association that did not come about into a sentence."""
    where = f"{address.peer_ae_title} at {address.host}:{address.port}"
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = (getattr(answer, "result_source", 0), getattr(answer, "diagnostic", 0))
        words = _REJECTIONS.get(reason, f"source {reason[0]}, diagnostic {reason[1]}")
        words = words.format(own=address.own_ae_title, peer=address.peer_ae_title)
        return SendFailure(f"{where} rejected the association: {words}")
    if association.rejected_contexts and sop_class_uid == StudyRootQueryRetrieveInformationModelFind:
        cure = f"if it cannot be asked: wetread ae edit {address.peer_ae_title} --proof acknowledgement"
        return SendFailure(f"{where} takes no {_named(sop_class_uid)}; {cure}", permanent=True)
    if association.rejected_contexts:
        return SendFailure(f"{where} takes no {_named(sop_class_uid)}", class_refused=True)
    if association.acceptor.primitive is not None:
        return SendFailure(f"{where} aborted the association")
    words = f"{where} cannot be reached: is the host right, the port open, the PACS running?"
    return SendFailure(words, unreachable=True)


def _named(sop_class_uid: str) -> str:
    return f"{UID(sop_class_uid).name} ({sop_class_uid})"


def _is_permanent(status: int) -> bool:
    """Is it said of the object or the agreement, so that the same bytes will be refused again (PS3.4 B.2.3, PS3.7 C)?

    Everything else may pass: processing failures and "cannot understand" are also what a PACS says whose database is
    away. It is tried again, ever later, until node.give_up_hours.
    """
    return status in _NEVER or status >> 8 == 0xA9


def _shown(status: int | None) -> str:
    return "no status" if status is None else f"status 0x{status:04X}"
