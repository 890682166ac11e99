"""Delivery to AE titles: C-STORE, and C-FIND as its proof, over associations that are kept while more is due."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO

import structlog
from pydicom import Dataset, dcmread
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
)

from dicom_node import identity
from dicom_node.aet import typed
from dicom_node.errors import SendFailure
from dicom_node.identity import COERCED, DIFFERS
from dicom_node.peer import Address, Opened, associate, named, shown
from dicom_node.tls import Files, Secured
from dicom_node.transports import Destination, Parcel

log = structlog.get_logger("send")

FIND = str(StudyRootQueryRetrieveInformationModelFind)
STORED = tuple(
    str(sop_class)
    for sop_class in (
        BasicTextSRStorage,
        Comprehensive3DSRStorage,
        ComprehensiveSRStorage,
        KeyObjectSelectionDocumentStorage,
        EncapsulatedPDFStorage,
        SecondaryCaptureImageStorage,
    )
)
"""Every class that we send: asked for at once, so that one association serves all objects of a study."""

_COERCED = "B000"  # coercion of data elements (PS3.4 B.2.3)
_DUPLICATE = 0x0111
_NO_SUCH_CLASS = 0x0122
_NEVER = frozenset({0x0117, 0x0118, 0x0119, _NO_SUCH_CLASS})  # invalid instance, class and instance conflict
_PENDING = frozenset({0xFF00, 0xFF01})
_USES = 500  # of one association: the peer may send only so much on it
_PARTING_SECONDS = 5.0  # for the answer to a release: nobody waits for it
_MESSAGE_IDS = 0xFFFF


class DimseTransport:
    """Sends to AE titles. Each call has an association for itself; the next one to the same peer may get the same.

    keep_seconds: how long an association stays open after its last use. It is 0 where each object gets its own.
    """

    def __init__(
        self,
        own_ae_title: str,
        *,
        connect_seconds: float = 10,
        answer_seconds: float = 60,
        keep_seconds: float = 3,
        tls: Files = Files(),  # noqa: B008  frozen
    ) -> None:
        """`tls`: for destinations that are called by TLS."""
        self._own_ae_title = own_ae_title
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._keep_seconds = keep_seconds
        self._idle: defaultdict[Address, list[_Line]] = defaultdict(list)
        self._lock = threading.Lock()
        self._sweeping = False

    def send(self, parcel: Parcel) -> str:
        """C-STORE; returns the status: 0000, 0111 (it was there already), or a Bxxx warning.

        Raises SendFailure; with a code where the peer has the study of another patient or order.
        """
        dataset = dcmread(BytesIO(parcel.payload))
        return self._over_a_line(parcel, lambda line: line.store_alike(dataset, parcel))

    def holds(self, parcel: Parcel) -> bool:
        """Does the peer find it by C-FIND at IMAGE level (PS3.4 C.6.2)? Raises SendFailure, as `send` does."""
        document = dcmread(BytesIO(parcel.payload), stop_before_pixels=True)
        return self._over_a_line(parcel, lambda line: line.finds_alike(document, parcel)) == "found"

    def address(self, to: Destination) -> Address:
        """Both ends of an association with it, and our patience."""
        return Address(
            to.own_ae_title or self._own_ae_title,
            to.name,
            to.host,
            to.port,
            self._connect_seconds,
            to.terms.dimse_timeout_seconds or self._answer_seconds,
            Secured(self._tls, to.tls_name or to.host) if to.tls else None,
            to.terms,
        )

    def close(self) -> None:
        """Release all associations that nobody uses."""
        with self._lock:
            lines = [line for kept in self._idle.values() for line in kept]
            self._idle.clear()
        for line in lines:
            line.close()

    def _over_a_line(self, parcel: Parcel, act: Callable[[_Line], str]) -> str:
        """Use a kept association, and once more a fresh one where the kept one turns out to be broken."""
        address = self.address(parcel.destination)
        kept = self._take(address)
        may_be_there = False
        if kept is not None:
            try:
                return self._use(kept, act)
            except BrokenLine as broken:
                may_be_there = broken.may_be_there
                log.info("association_broken", destination=address.peer_ae_title, explanation=str(broken))
        try:
            return self._use(_Line(address, parcel.sop_class_uid), act)
        except SendFailure as failure:
            failure.may_be_there = failure.may_be_there or may_be_there
            raise

    def _use(self, line: _Line, act: Callable[[_Line], str]) -> str:
        """One exchange. A line on which anything went wrong is not used again."""
        with ExitStack() as unsound:
            unsound.callback(line.abort)
            try:
                answer = act(line)
            except SendFailure as failure:
                unsound.pop_all()
                if line.is_sound:  # the peer answered, if only to refuse
                    self._give_back(line)
                else:
                    line.close()
                raise (line.excess(may_be_there=failure.may_be_there) or failure) from None
            unsound.pop_all()
        self._give_back(line)
        return answer

    def _take(self, address: Address) -> _Line | None:
        with self._lock:
            lines = self._idle.get(address, [])
            line = lines.pop() if lines else None
        if line is None or line.is_sound:
            return line
        line.close()
        return self._take(address)

    def _give_back(self, line: _Line) -> None:
        if not line.is_sound or self._keep_seconds <= 0:
            line.close()
            return
        line.idle_since = time.monotonic()
        with self._lock:
            self._idle[line.address].append(line)
            if self._sweeping:
                return
            self._sweeping = True
        self._sweep_later()

    def _sweep_later(self) -> None:
        timer = threading.Timer(self._keep_seconds, self._sweep)
        timer.name, timer.daemon = "associations", True
        timer.start()

    def _sweep(self) -> None:
        """Release what was not used for a while; comes again as long as there is anything left."""
        before = time.monotonic() - self._keep_seconds
        with self._lock:
            old = [line for kept in self._idle.values() for line in kept if line.idle_since <= before]
            for address, kept in list(self._idle.items()):
                self._idle[address] = [line for line in kept if line.idle_since > before]
                if not self._idle[address]:
                    del self._idle[address]
            self._sweeping = bool(self._idle)
            again = self._sweeping
        for line in old:
            line.close()
        if again:
            self._sweep_later()


class BrokenLine(SendFailure):
    """An association was gone, or went without an answer and without a time-out."""


class RefusedQuestion(SendFailure):
    """A C-FIND was answered with a failure."""


class _Line:
    """One association, in the hands of one thread at a time."""

    def __init__(self, address: Address, sop_class_uid: str) -> None:
        """Raises SendFailure."""
        self.address = address
        self.idle_since = 0.0
        self._uses = 0
        self._answered: list[int] = []  # message IDs that were responded to since the last question
        handlers = [(evt.EVT_DIMSE_RECV, self._handle_message)]
        self._opened: Opened = associate(address, list(dict.fromkeys([sop_class_uid or FIND, *STORED, FIND])), handlers)

    @property
    def is_sound(self) -> bool:
        """May it be used again?"""
        return bool(self._opened.association.is_established) and self._uses < _USES

    def excess(self, *, may_be_there: bool) -> SendFailure | None:
        """Why we hung up, if we did."""
        return self._opened.excess(may_be_there=may_be_there)

    def close(self) -> None:
        """Release it where it stands."""
        self._opened.close(patience=_PARTING_SECONDS)

    def abort(self) -> None:
        """End it at once: what may still come on it is nobody's answer."""
        if self._opened.association.is_established:
            self._opened.association.abort()

    def store_alike(self, dataset: Dataset, parcel: Parcel) -> str:
        """C-STORE where the study is whose it was, and a look at what a peer has made of it that says "coerced"."""
        if identity.is_asked_of(parcel) and identity.must_be_the_same(dataset, parcel, self.studies, code=DIFFERS):
            identity.must_have_the_films(dataset, parcel, self.has)
        answer = self.store(dataset)
        if answer == _COERCED and identity.matters_to(parcel):
            log.warning("coerced", destination=self.address.peer_ae_title, sop_instance_uid=dataset.SOPInstanceUID)
            try:
                identity.must_be_the_same(dataset, parcel, self.studies, code=COERCED)
            except SendFailure as failure:
                failure.may_be_there = True
                raise
        return answer

    def finds_alike(self, document: Dataset, parcel: Parcel) -> str:
        """C-FIND for one instance; what is found must be in the study of the same patient and order."""
        answer = self.finds(keys_of(document))
        if answer == "found" and identity.is_asked_of(parcel):
            identity.must_be_the_same(document, parcel, self.studies, code=COERCED)
        return answer

    def store(self, dataset: Dataset) -> str:
        """C-STORE. It is transcoded where only the implicit syntax is taken. Raises SendFailure."""
        title = self.address.peer_ae_title
        sop_class_uid = str(dataset.SOPClassUID)
        if not self._opened.takes(sop_class_uid):
            raise SendFailure(f"{self.address.where} takes no {named(sop_class_uid)}", class_refused=True)
        message_id, began = self._next_message()
        try:
            status = self._opened.association.send_c_store(dataset, msg_id=message_id).get("Status")
        except RuntimeError as error:  # it ended between our look and the sending
            raise self._broken(f"{title} ended the association", began, sent=False) from error
        if status is None:
            raise self._broken(self._opened.unanswered("C-STORE", began=began), began, sent=True)
        self._must_have_answered(message_id)
        if status in {0x0000, _DUPLICATE} or status >> 12 == 0xB:
            return f"{status:04X}"
        raise SendFailure(
            f"{title} refused the object with {shown(status)}",
            permanent=is_permanent(status),
            class_refused=status == _NO_SUCH_CLASS,
        )

    def finds(self, keys: Dataset) -> str:
        """C-FIND for one instance; "found" or "missing". Raises SendFailure."""
        title = self.address.peer_ae_title
        if not self._opened.takes(FIND):
            cure = f"if it cannot be asked: wetread ae edit {typed(title)} --proof acknowledgement"
            raise SendFailure(f"{self.address.where} takes no {named(FIND)}; {cure}", permanent=True)
        return "found" if self._ask(keys, "SOPInstanceUID") else "missing"

    def studies(self, keys: Dataset) -> list[Dataset] | None:
        """C-FIND for one study; None where the peer cannot be asked, or refuses the question. Raises SendFailure."""
        if not self._opened.takes(FIND):
            return None
        try:
            return self._ask(keys, "StudyInstanceUID")
        except RefusedQuestion as refused:
            log.warning("question_refused", destination=self.address.peer_ae_title, explanation=str(refused))
            return None

    def has(self, keys: Dataset) -> bool | None:
        """C-FIND for one image; None where the peer cannot be asked, or refuses the question. Raises SendFailure."""
        if not self._opened.takes(FIND):
            return None
        try:
            return bool(self._ask(keys, "SOPInstanceUID"))
        except RefusedQuestion as refused:
            log.warning("question_refused", destination=self.address.peer_ae_title, explanation=str(refused))
            return None

    def _ask(self, keys: Dataset, unique: str) -> list[Dataset]:
        """C-FIND; those answers that have the UID that was asked for. Raises SendFailure."""
        title = self.address.peer_ae_title
        message_id, began = self._next_message()
        found: list[Dataset] = []
        broken = False
        try:
            for response, identifier in self._opened.association.send_c_find(keys, FIND, msg_id=message_id):
                status = response.get("Status")
                if status is None:
                    raise self._broken(self._opened.unanswered("C-FIND", began=began), began, sent=False)
                if status in _PENDING:
                    broken = broken or identifier is None  # as pynetdicom says it; it holds its lock until the next
                    if identifier is not None and identifier.get(unique) == keys[unique].value:
                        found.append(identifier)
                elif status != 0x0000:
                    raise RefusedQuestion(f"{title} answered C-FIND with {shown(status)}")
        except RuntimeError as error:
            raise self._broken(f"{title} ended the association", began, sent=False) from error
        self._must_have_answered(message_id)
        if broken:  # left out, what was asked for would count as gone
            raise SendFailure(f"{title} answered C-FIND with an identifier that cannot be read")
        return found

    def _next_message(self) -> tuple[int, float]:
        """The ID of the next message, and when it began."""
        self._uses += 1
        self._answered.clear()
        return self._uses % _MESSAGE_IDS + 1, time.monotonic()

    def _must_have_answered(self, message_id: int) -> None:
        """Was it this message that was answered (PS3.7 9.1.1.1.2)? A stray answer must not pass for that of the next.

        Raises SendFailure.
        """
        if set(self._answered) != {message_id}:
            self.abort()
            words = f"{self.address.peer_ae_title} answered another message than the one it was sent"
            raise SendFailure(words, may_be_there=True)

    def _broken(self, words: str, began: float, *, sent: bool) -> SendFailure:
        """What to say of a line without an answer; where it broke at once, and was a kept one, a fresh one is tried."""
        self.abort()
        at_once = time.monotonic() - began < 0.9 * self.address.answer_seconds
        kind = BrokenLine if at_once and not self._opened.answers.trouble else SendFailure
        return kind(words, may_be_there=sent)

    def _handle_message(self, event: evt.Event) -> None:
        message_id = getattr(event.message.command_set, "MessageIDBeingRespondedTo", None)
        if message_id is not None:
            self._answered.append(int(message_id))


def keys_of(document: Dataset) -> Dataset:
    """The identifier of a query for this document at IMAGE level."""
    return identity.keys_of_an_image(document.StudyInstanceUID, document.SeriesInstanceUID, document.SOPInstanceUID)


def is_permanent(status: int) -> bool:
    """Is it said of the object or the agreement, so that the same bytes will be refused again (PS3.4 B.2.3, PS3.7 C)?

    Everything else may pass: processing failures and "cannot understand" are also what a PACS says whose database is
    away. It is tried again, ever later, until node.give_up_hours.
    """
    return status in _NEVER or status >> 8 == 0xA9
