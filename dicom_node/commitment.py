"""Storage commitment on the wire (PS3.4 J): our questions as SCU, our reports as SCP, and what is said in both."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from dicom_node.errors import SendFailure
from dicom_node.peer import Address, Opened, associate, associated, named, shown
from dicom_node.uids import is_uid
from dicom_node.worklist.commitments import Reference
from dicom_node.worklist.promises import MOST, Promise

log = structlog.get_logger("commitment")

PUSH_MODEL: Final = str(StorageCommitmentPushModel)
WELL_KNOWN: Final = str(StorageCommitmentPushModelInstance)
REASONS: Final = MappingProxyType(
    {
        0x0110: "processing failure",
        0x0112: "it has no such object",
        0x0119: "the object is of another class there",
        0x0122: "it commits no objects of this class",
        0x0131: "the transaction UID is in use",
        0x0213: "it is out of resources",
    }
)
"""Failure Reason (0008,1197) in words (PS3.3 C.14.1.1)."""

SUCCESS, PROCESSING_FAILURE, NO_SUCH_INSTANCE, NO_SUCH_EVENT = 0x0000, 0x0110, 0x0112, 0x0113
MISSING_ARGUMENT, INVALID_ARGUMENT, NO_SUCH_ACTION = 0x0114, 0x0115, 0x0123
DUPLICATE_INVOCATION, RESOURCE_LIMITATION = 0x0210, 0x0213
_NOT_FOR_US: Final = frozenset({0x0112, 0x0118, 0x0122, 0x0123, 0x0124, 0x0211})  # whatever we ask, it will say so
_REQUEST, _ALL_COMMITTED, _SOME_FAILED = 1, 1, 2  # PS3.4 J.3.2.1.1 and J.3.3.1.1
_WAITING = 8  # associations that are kept open for a report
_PARTING_SECONDS = 0.3  # after a report: its answer must leave first


@dataclass(frozen=True, slots=True)
class Report:
    """What an N-EVENT-REPORT says. committed: SOP Instance UIDs; failed: those with their Failure Reason."""

    transaction_uid: str
    committed: tuple[str, ...]
    failed: Mapping[str, int]


class Malformed(SendFailure):
    """A request or report without what PS3.4 J asks for. `status` is the answer to it."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


class NotCommitting(SendFailure):
    """The peer offers no storage commitment, or refuses it whatever is asked."""


def in_words(reason: int | None) -> str:
    """A Failure Reason for a sentence."""
    return "no reason" if reason is None else REASONS.get(reason, f"reason 0x{reason:04X}")


def read_request(information: Dataset) -> tuple[str, tuple[Reference, ...]]:
    """Transaction UID and objects of an N-ACTION. Raises Malformed."""
    uid = _transaction_uid(information)
    references = tuple(_references(information, "ReferencedSOPSequence"))
    if not references:
        raise Malformed("the request names no object", MISSING_ARGUMENT)
    if len(references) > MOST:
        raise Malformed(f"the request names more than {MOST} objects", RESOURCE_LIMITATION)
    return uid, references


def read_report(information: Dataset) -> Report:
    """Raises Malformed."""
    failed = {
        str(item.get("ReferencedSOPInstanceUID", "")): _reason(item)
        for item in information.get("FailedSOPSequence", None) or ()
    }
    committed = tuple(one.sop_instance_uid for one in _references(information, "ReferencedSOPSequence"))
    return Report(_transaction_uid(information), committed, MappingProxyType(failed))


def report_of(promise: Promise) -> tuple[Dataset, int]:
    """The event information and the event type of a report."""
    information = Dataset()
    information.TransactionUID = promise.transaction_uid
    if promise.committed:
        information.ReferencedSOPSequence = [_item(one) for one in promise.committed]
    if promise.failed:
        information.FailedSOPSequence = [_item(one, reason) for one, reason in promise.failed]
    return information, _SOME_FAILED if promise.failed else _ALL_COMMITTED


def send_report(association: Association, promise: Promise) -> None:
    """N-EVENT-REPORT on an association that stands. Raises SendFailure."""
    information, event_type = report_of(promise)
    try:
        status, _ = association.send_n_event_report(information, event_type, PUSH_MODEL, WELL_KNOWN)
    except (RuntimeError, ValueError) as error:  # it ended meanwhile, or we are not its SCP
        raise SendFailure(f"{promise.peer_ae_title} ended the association before the report") from error
    if status.get("Status") != SUCCESS:
        raise SendFailure(f"{promise.peer_ae_title} answered the report with {shown(status.get('Status'))}")


def report_to(address: Address, promise: Promise) -> None:
    """N-EVENT-REPORT on an association of our own. Raises SendFailure."""
    with associated(address, [PUSH_MODEL], as_scp=[PUSH_MODEL]) as opened:
        send_report(opened.association, promise)


class Asker:
    """Asks peers for commitment. Each question has an association for itself, which stays open a while for its report.

    A report that came while another message is under way would be taken for the answer to that; so nothing else is
    sent on such an association. `book` enters a report into the books and says whether its transaction is known.
    """

    def __init__(self, book: Callable[[Report], int], *, keep_seconds: float = 10) -> None:
        self._book = book
        self._keep_seconds = keep_seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    def ask(self, address: Address, transaction_uid: str, references: Sequence[Reference]) -> bool:
        """N-ACTION; False where it was not answered, so that it may be under way there.

        Raises NotCommitting where the peer does not do this at all, SendFailure where it refuses now or is away.
        """
        done = threading.Event()
        handlers = [(evt.EVT_N_EVENT_REPORT, lambda event: self._handle(event, done))]
        try:
            opened = associate(address, [PUSH_MODEL], handlers)
        except SendFailure as failure:
            raise NotCommitting(str(failure)) if failure.class_refused else failure from None
        try:
            status, _ = opened.association.send_n_action(
                _request(transaction_uid, references), _REQUEST, PUSH_MODEL, WELL_KNOWN
            )
        except RuntimeError:
            status = Dataset()
        answer = status.get("Status")
        if answer != SUCCESS:
            opened.close()
            if answer is None:
                return False
            kind = NotCommitting if answer in _NOT_FOR_US else SendFailure
            raise kind(f"{address.peer_ae_title} refused storage commitment with {shown(answer)}")
        self._keep(opened, done)
        return True

    def close(self) -> None:
        """Release what waits for reports: they come to our port."""
        with self._lock:
            waiting = list(self._waiting)
        for done in waiting:
            done.set()

    def _handle(self, event: evt.Event, done: threading.Event) -> tuple[int, None]:
        status = answer_report(event, self._book)
        done.set()
        return status, None

    def _keep(self, opened: Opened, done: threading.Event) -> None:
        with self._lock:
            self._waiting.append(done)
            oldest = self._waiting[0] if len(self._waiting) > _WAITING else None
        if oldest is not None:
            oldest.set()
        threading.Thread(target=self._release, args=(opened, done), name="commitment", daemon=True).start()

    def _release(self, opened: Opened, done: threading.Event) -> None:
        if done.wait(self._keep_seconds):
            threading.Event().wait(_PARTING_SECONDS)
        with self._lock:
            self._waiting.remove(done)
        opened.close(patience=_PARTING_SECONDS)


def answer_report(event: evt.Event, book: Callable[[Report], int]) -> int:
    """Read an N-EVENT-REPORT, have it booked, and return the status to answer with."""
    if event.event_type not in {_ALL_COMMITTED, _SOME_FAILED}:
        return NO_SUCH_EVENT
    try:
        report = read_report(event.event_information)
    except Malformed as malformed:
        log.warning("commitment_report_malformed", explanation=str(malformed))
        return malformed.status
    return book(report)


def _request(transaction_uid: str, references: Sequence[Reference]) -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_item(one) for one in references]
    return information


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = UID(reference.sop_class_uid)
    item.ReferencedSOPInstanceUID = UID(reference.sop_instance_uid)
    if reason is not None:
        item.FailureReason = reason
    return item


def _reason(item: Dataset) -> int:
    """An absent, empty or multiple Failure Reason says no more than that it failed."""
    reason = item.get("FailureReason", None)
    return reason if isinstance(reason, int) else PROCESSING_FAILURE


def _references(information: Dataset, keyword: str) -> Iterator[Reference]:
    for item in information.get(keyword, None) or ():
        pair = [str(item.get(name, "")) for name in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")]
        if not all(is_uid(uid) for uid in pair):
            raise Malformed("an object is named without its UIDs", INVALID_ARGUMENT)
        yield Reference(*pair)


def _transaction_uid(information: Dataset) -> str:
    uid = str(information.get("TransactionUID", ""))
    if not is_uid(uid):
        raise Malformed("there is no Transaction UID", MISSING_ARGUMENT)
    return uid


__all__ = ["Asker", "Malformed", "NotCommitting", "Report", "answer_report", "in_words", "named", "report_to"]
