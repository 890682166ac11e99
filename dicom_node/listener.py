"""The Storage and Verification SCP. Success goes on the wire only after the bytes and the row are durable.

One C-STORE: streamed to incoming/ -> fsync -> rename -> fsync of the folder -> row committed -> 0x0000. This process
loads no model, decodes no pixels and publishes no message.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast

import structlog
from pydicom import Dataset
from pynetdicom import _config, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from dicom_node import access, answers, contexts, files, peers, worklist
from dicom_node.associations import keep_identifiers_out_of_logs, prompt_handlers
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import CannotUnderstand, ConfigurationError, OutOfResources, StoreFailure
from dicom_node.headers import Header, agree, read_header
from dicom_node.limits import Intake, LimitedAE
from dicom_node.tables import Outcome
from dicom_node.uids import is_uid

log = structlog.get_logger("listen")

SUCCESS = 0x0000
_ENVELOPE = 1 << 20  # bytes of a message that are no object: commands, and a header for each fragment
_SWEEP_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Delivered:
    """One C-STORE request whose data set lies in a file."""

    part: Path
    transfer_syntax_uid: str
    calling_ae_title: str
    sop_class_uid: str
    sop_instance_uid: str
    address: str = ""

    @property
    def sender(self) -> dict[str, str]:
        """Who sent it, for the log."""
        return {"calling_ae_title": self.calling_ae_title, "address": self.address}


class _TooLarge(CannotUnderstand):
    """The object is larger than we take, whatever it is."""

    reason = "object-too-large"


class Listener:
    """Accepts associations and receives objects. `start` returns with the port open; `stop` finishes what goes on."""

    def __init__(self, config: NodeConfig, database: Database) -> None:
        self._config = config
        self._database = database
        self._server: ThreadedAssociationServer | None = None
        self._ae = self._make_ae()

    def start(self) -> None:
        """Open the port. Raises ConfigurationError where that is not possible."""
        self._prepare_folders()
        keep_identifiers_out_of_logs()
        # pynetdicom's own switches, read when an object arrives: stream to a file, and take SOP classes nobody knows.
        _config.STORE_RECV_CHUNKED_DATASET = True
        _config.UNRESTRICTED_STORAGE_SERVICE = not self._config.refuse_other_sop_classes
        tempfile.tempdir = str(self._config.incoming_folder)
        handlers = [
            (evt.EVT_REQUESTED, self._handle_requested),
            (evt.EVT_C_STORE, self._handle_store),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_REJECTED, self._handle_rejected),
            (evt.EVT_ACCEPTED, _handle_accepted),
            (evt.EVT_CONN_CLOSE, _handle_closed),
            *prompt_handlers(),
        ]
        address = (self._config.bind_address, self._config.port)
        began = time.time()
        try:
            self._server = self._ae.start_server(address, block=False, evt_handlers=handlers)
        except OSError as error:
            raise ConfigurationError(
                f"cannot open port {self._config.port} on {self._config.bind_address} ({error.strerror}): another "
                "program has it, or it needs root; choose another with node.port"
            ) from error
        # Only now is it certain that no other listener writes here; what is older than our port, nobody finishes.
        files.sweep(self._config.incoming_folder, older_than_seconds=time.time() - began)
        log.info("listening", ae_title=self._config.ae_title, port=self._config.port)

    def stop(self, *, patience_seconds: float = 30) -> None:
        """Take no new association, let those at hand finish for so long, then abort what is left."""
        if self._server is None:
            return
        self._server.shutdown()
        deadline = time.monotonic() + patience_seconds
        for association in list(self._ae.active_associations):
            association.join(max(0.0, deadline - time.monotonic()))
        self._ae.shutdown()
        self._server = None
        log.info("stopped")

    def sweep(self) -> None:
        """Delete what aborted associations left in the incoming folder."""
        swept = files.sweep(self._config.incoming_folder, older_than_seconds=_SWEEP_AFTER.total_seconds())
        if swept:
            log.info("swept", files=swept)

    # --- association ----------------------------------------------------------------------------------------------

    def _handle_requested(self, event: evt.Event) -> None:
        """Decide before negotiation, and put the proposed transfer syntaxes into our order of preference.

        pynetdicom swallows what a handler of this event raises and goes on to accept: every trouble must end in a
        refusal here.
        """
        association = event.assoc
        request = cast(A_ASSOCIATE, association.requestor.primitive)
        proposed = request.presentation_context_definition_list
        try:
            refusal = self._decide(
                access.Caller(
                    calling_ae_title=str(request.calling_ae_title).strip(),
                    called_ae_title=str(request.called_ae_title).strip(),
                    address=association.requestor.address or "",
                    abstract_syntaxes=frozenset(str(context.abstract_syntax) for context in proposed),
                )
            )
            for context in proposed:
                contexts.by_preference(context)
            self._make_intake().watch(association)
        except Exception:
            log.exception("access_check_failed", address=association.requestor.address)
            refusal = access.Refusal(2, 3, 1, "access-check-failed", "the access check failed; see the log")
        if refusal is not None:
            association.acse.send_reject(refusal.result, refusal.source, refusal.diagnostic)
            association.kill()

    def _decide(self, caller: access.Caller) -> access.Refusal | None:
        refusal = self._examine(caller)
        if refusal is not None:
            log.warning(
                "association_refused",
                code=refusal.code,
                calling_ae_title=caller.calling_ae_title,
                called_ae_title=caller.called_ae_title,
                address=caller.address,
                explanation=refusal.explanation,
            )
        return refusal

    def _examine(self, caller: access.Caller) -> access.Refusal | None:
        try:
            with self._database.read() as tx:
                senders = peers.titles(tx, senders=True)
        except SQLAlchemyError as error:
            log.error("database_unavailable", error=type(error).__name__)
            return access.Refusal(2, 3, 1, "database-unavailable", "the database does not answer; see wetread check")
        return access.decide(
            caller,
            own_ae_title=self._config.ae_title,
            senders=senders,
            check_called=self._config.require_called_ae_title,
            disk_full=files.free_mebibytes(self._config.data_folder) < self._config.reserve_mebibytes // 2,
        )

    def _handle_rejected(self, event: evt.Event) -> None:
        log.warning(
            "association_rejected",
            calling_ae_title=event.assoc.requestor.ae_title,
            address=event.assoc.requestor.address,
            explanation="too many associations at once (node.maximum_associations)",
        )

    # --- C-STORE --------------------------------------------------------------------------------------------------

    def _handle_store(self, event: evt.Event) -> int | Dataset:
        """Answer one C-STORE request (PS3.4 B.2.3): 0x0000, 0xA700 (ours), 0xA900 or 0xC000 (the object's fault)."""
        part = Path(event.dataset_path)
        delivered = _Delivered(
            part=part,
            transfer_syntax_uid=str(event.context.transfer_syntax),
            calling_ae_title=str(event.assoc.requestor.ae_title).strip(),
            sop_class_uid=str(cast(C_STORE, event.request).AffectedSOPClassUID),
            sop_instance_uid=str(cast(C_STORE, event.request).AffectedSOPInstanceUID),
            address=event.assoc.requestor.address or "",
        )
        try:
            return self._receive(delivered)
        except Exception as trouble:  # noqa: BLE001  told apart and answered there
            try:
                return self._answer_trouble(delivered, trouble)
            except (OSError, SQLAlchemyError, StoreFailure) as another:
                log.error("store_broken", exc_info=another, **delivered.sender)
                return answers.answer(answers.passing(another))
        finally:
            _discard(part)

    def _answer_trouble(self, delivered: _Delivered, trouble: Exception) -> Dataset:
        """Our disk or database: again later. The content, or what nobody foresaw: keep it, book it, and never again."""
        if isinstance(trouble, OutOfResources):
            failure: StoreFailure = trouble
        elif isinstance(trouble, StoreFailure):
            return self._refuse(delivered, trouble)
        elif isinstance(trouble, (OSError, SQLAlchemyError)) and not isinstance(trouble, DataError):
            failure = answers.passing(trouble)
        else:
            log.error("store_broken", exc_info=trouble, **delivered.sender)
            return self._refuse(delivered, CannotUnderstand("the object could not be processed"))
        log.error("store_unavailable", error=type(trouble).__name__, explanation=failure.comment, **delivered.sender)
        return answers.answer(failure)

    def _receive(self, delivered: _Delivered) -> int | Dataset:
        free, reserve = files.free_mebibytes(self._config.data_folder), self._config.reserve_mebibytes
        if free < reserve:
            raise answers.too_full(free, reserve)
        header = self._inspect(delivered)
        arrival = worklist.Arrival(
            header=header,
            transfer_syntax_uid=delivered.transfer_syntax_uid,
            digest=files.digest_of_dataset(delivered.part, delivered.transfer_syntax_uid),
            size=delivered.part.stat().st_size,
            calling_ae_title=delivered.calling_ae_title,
        )
        # The file moves in before the transaction, so that no lock is held while the disk works. A file whose row was
        # never committed is found again under the same digest when the object is sent again, and else swept.
        kept = files.adopt(delivered.part, self._config.store_folder, arrival.digest)
        with ExitStack() as undone:
            # for the quarantine; the file in the store may be that of another row
            undone.callback(os.link, kept, delivered.part)
            outcome = self._book(arrival)
            undone.pop_all()
        log.info(
            "object_received",
            outcome=outcome.value,
            sop_instance_uid=header.sop_instance_uid,
            size=arrival.size,
            **delivered.sender,
        )
        return SUCCESS

    def _inspect(self, delivered: _Delivered) -> Header:
        """Is it an object that can be booked? Raises StoreFailure."""
        if self._is_too_large(delivered.part):
            raise _TooLarge("larger than node.maximum_object_mebibytes")
        if not is_uid(delivered.transfer_syntax_uid):
            raise CannotUnderstand("the transfer syntax is no UID")
        header = read_header(delivered.part)
        agree(header, sop_class_uid=delivered.sop_class_uid, sop_instance_uid=delivered.sop_instance_uid)
        return header

    def _is_too_large(self, part: Path) -> bool:
        return part.stat().st_size > self._config.maximum_object_mebibytes << 20

    def _book(self, arrival: worklist.Arrival) -> Outcome:
        try:
            return self._commit(arrival)
        except IntegrityError:  # another association opened the same study or brought the same object: look again
            return self._commit(arrival)

    def _commit(self, arrival: worklist.Arrival) -> Outcome:
        with self._database.write() as tx:
            return worklist.record_instance(tx, arrival, clock(tx))

    def _refuse(self, delivered: _Delivered, failure: StoreFailure) -> Dataset:
        """Keep the bytes of an unusable object, book it, and answer with its status and a comment."""
        try:
            digest = self._quarantine(delivered, failure)
        except (OSError, SQLAlchemyError) as error:
            log.error("store_unavailable", error=type(error).__name__, **delivered.sender)
            return answers.answer(answers.passing(error))
        log.warning(
            "object_quarantined",
            reason=failure.reason,
            comment=failure.comment,
            digest=digest[:12],
            **delivered.sender,
        )
        return answers.answer(failure)

    def _quarantine(self, delivered: _Delivered, failure: StoreFailure) -> str:
        digest = files.digest_of_dataset(delivered.part, delivered.transfer_syntax_uid)
        if not self._is_too_large(delivered.part):
            files.quarantine(delivered.part, self._config.quarantine_folder, digest)
        self._book_refused(
            failure.reason, digest, delivered.calling_ae_title, delivered.sop_class_uid, delivered.sop_instance_uid
        )
        return digest

    def _book_refused(
        self, reason: str, digest: str, calling_ae_title: str, sop_class_uid: str, sop_instance_uid: str
    ) -> None:
        with self._database.write() as tx:
            worklist.record_quarantine(
                tx,
                clock(tx),
                calling_ae_title=calling_ae_title,
                reason=reason,
                digest=digest,
                sop_class_uid=_printable(sop_class_uid),
                sop_instance_uid=_printable(sop_instance_uid),
            )

    def _book_too_large(self, calling_ae_title: str, request: C_STORE_RQ) -> None:
        """Book an object of which no more is received; what came of it has no digest that says anything."""
        command = request.command_set
        uids = (str(command.get(keyword, "")) for keyword in ("AffectedSOPClassUID", "AffectedSOPInstanceUID"))
        try:
            self._book_refused(_TooLarge.reason, "", calling_ae_title, *uids)
        except (OSError, SQLAlchemyError) as error:
            log.error("store_unavailable", error=type(error).__name__, calling_ae_title=calling_ae_title)

    # --- set-up ---------------------------------------------------------------------------------------------------

    def _make_intake(self) -> Intake:
        return Intake(
            self._config.incoming_folder,
            longest_object=(self._config.maximum_object_mebibytes << 20) + _ENVELOPE,
            least_free_mebibytes=self._config.reserve_mebibytes // 4,
            longest_pdu=self._config.maximum_pdu_size,
            book_too_large=self._book_too_large,
        )

    def _make_ae(self) -> LimitedAE:
        ae = LimitedAE(ae_title=self._config.ae_title)
        ae.maximum_associations = self._config.maximum_associations
        ae.maximum_pdu_size = self._config.maximum_pdu_size
        ae.network_timeout = self._config.idle_timeout_seconds
        ae.dimse_timeout = self._config.dimse_timeout_seconds
        ae.acse_timeout = self._config.dimse_timeout_seconds
        ae.add_supported_context(Verification)
        for uid in contexts.storage_classes(only_radiographs=self._config.refuse_other_sop_classes):
            ae.add_supported_context(uid, list(contexts.TRANSFER_SYNTAXES))
        return ae

    def _prepare_folders(self) -> None:
        for folder in (self._config.incoming_folder, self._config.store_folder, self._config.quarantine_folder):
            try:
                folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(
                    f"cannot make {folder} ({error.strerror}); set node.data_folder to a writable folder"
                ) from error


def _handle_accepted(event: evt.Event) -> None:
    """Say which objects the peer cannot send in this association; it sees no more than a refused context."""
    refused = event.assoc.rejected_contexts
    if refused:
        log.warning(
            "contexts_refused",
            calling_ae_title=event.assoc.requestor.ae_title,
            sop_classes=sorted({str(context.abstract_syntax) for context in refused}),
            explanation="no storage SOP class of studies, or no transfer syntax that this node can carry",
        )


def _handle_closed(event: evt.Event) -> None:
    """End the thread of a connection that closed without a word; a port scan would fill all places for a minute."""
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)


def _discard(part: Path) -> None:
    """Delete what is no longer needed; where that fails, the object's answer still holds and the sweep comes later."""
    try:
        part.unlink(missing_ok=True)
    except OSError as error:
        log.error("part_not_deleted", error=type(error).__name__)


def _printable(text: str) -> str:
    """What the request calls a UID may be anything, but not anything can be booked."""
    return "".join(character if character.isprintable() else "?" for character in text)
