"""The Storage SCP. Success goes on the wire only after the bytes and the row are durable.

One C-STORE: streamed to incoming/ -> fsync -> rename -> fsync of the folder -> row committed -> 0x0000. This process
loads no model, decodes no pixels and publishes no message.
"""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import structlog
from pydicom import Dataset
from pynetdicom import _config, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from dicom_node import answers, files, mark, parts, worklist
from dicom_node.associations import ends_of
from dicom_node.characters import UNPRINTABLE, disarm
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import CannotUnderstand, ConfigurationError, OutOfResources, StoreAway, StoreFailure
from dicom_node.headers import Header, agree, read_header
from dicom_node.limits import Intake
from dicom_node.rules.tables import Late
from dicom_node.tables import Outcome
from dicom_node.uids import is_uid
from dicom_node.worklist.pauses import What, is_paused

log = structlog.get_logger("listen")

SUCCESS = 0x0000
_ENVELOPE = 1 << 20  # bytes of a message that are no object: commands, and a header for each fragment


@dataclass(frozen=True, slots=True)
class _Delivered:
    """One C-STORE request whose data set lies in a file."""

    part: Path
    transfer_syntax_uid: str
    calling_ae_title: str
    sop_class_uid: str
    sop_instance_uid: str
    address: str = ""
    called_ae_title: str = ""

    @property
    def sender(self) -> dict[str, str]:
        """Who sent it, for the log."""
        return {"calling_ae_title": self.calling_ae_title, "address": self.address}


class _TooLarge(CannotUnderstand):
    """The object is larger than we take, whatever it is."""

    reason = "object-too-large"


class Storage:
    """Receives objects into the folders and the books."""

    def __init__(self, config: NodeConfig, database: Database) -> None:
        self._config = config
        self._database = database
        self._is_away = False

    def prepare_folders(self) -> None:
        """Make the folders. Raises ConfigurationError where that is not possible.

        A store that was marked, or has objects in the books, is not made anew: an empty mount point would take the next
        ones, which are not seen any more when the disk is back.
        """
        store = self._config.store_folder
        try:
            mark.settle(self._database, store, new=secrets.token_hex(16))
        except StoreAway as away:
            raise ConfigurationError(f"{away}. {mark.CURE}") from away
        except OSError as error:
            raise _cannot_make(store, error) from error
        for folder in (self._config.incoming_folder, self._config.quarantine_folder):
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise _cannot_make(folder, error) from error

    def receive_into_files(self) -> None:
        """Have this process stream what it receives into files of the incoming folder: a switch of pynetdicom's own."""
        _config.STORE_RECV_CHUNKED_DATASET = True
        parts.stream_into(self._config.incoming_folder, self._config.store_folder)

    def look(self) -> None:
        """Say in the log that the store is away, and that it is back: once each, also while nobody sends."""
        try:
            with self._database.read() as tx:
                mark.require(tx, self._config.store_folder)
        except StoreAway as away:
            if not self._is_away:
                log.error("store_away", explanation=str(away))
            self._is_away = True
        except SQLAlchemyError:
            return  # the database is told of where somebody needs it
        else:
            if self._is_away:
                log.info("store_back")
            self._is_away = False

    def make_intake(self, longest_pdu: int) -> Intake:
        """What counts the bytes of one association; `longest_pdu`: what was negotiated."""
        return Intake(
            self._config.incoming_folder,
            longest_object=(self._config.maximum_object_mebibytes << 20) + _ENVELOPE,
            least_free_mebibytes=self._config.reserve_mebibytes // 4,
            longest_pdu=longest_pdu,
            book_too_large=self._book_too_large,
        )

    def handle_store(self, event: evt.Event) -> int | Dataset:
        """Answer one C-STORE request (PS3.4 B.2.3): 0x0000, 0xA700 (ours), 0xA900 or 0xC000 (the object's fault)."""
        request = cast(C_STORE, event.request)
        sender = ends_of(event.assoc)
        if request._dataset_path is None:
            return self._refuse_empty(request, sender.ae_title)
        part = Path(event.dataset_path)
        delivered = _Delivered(
            part=part,
            transfer_syntax_uid=str(event.context.transfer_syntax),
            calling_ae_title=sender.ae_title,
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            address=sender.address,
            called_ae_title=sender.own_ae_title,
        )
        try:
            if (lost := parts.trouble_of(request)) is not None:
                raise lost
            return self._receive(delivered)
        except Exception as trouble:  # noqa: BLE001  told apart and answered there
            try:
                return self._answer_trouble(delivered, trouble)
            except (OSError, SQLAlchemyError, StoreFailure) as another:
                log.error("store_broken", exc_info=another, **delivered.sender)
                return answers.answer(answers.passing(another))
        finally:
            _discard(part)

    def _refuse_empty(self, request: C_STORE, calling_ae_title: str) -> Dataset:
        """Book and answer a request that says of itself that no data set follows (PS3.7 E.1)."""
        failure = CannotUnderstand("the request has no data set")
        uids = (str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
        try:
            self._book_refused(failure.reason, "", calling_ae_title, *uids)
        except (OSError, SQLAlchemyError) as error:
            log.error("store_unavailable", error=type(error).__name__, calling_ae_title=calling_ae_title)
            return answers.answer(answers.passing(error))
        log.warning(
            "object_quarantined", reason=failure.reason, comment=failure.comment, calling_ae_title=calling_ae_title
        )
        return answers.answer(failure)

    def _answer_trouble(self, delivered: _Delivered, trouble: Exception) -> Dataset:
        """Our disk or database: again later. The content, or what nobody foresaw: keep it, book it, and never again."""
        trouble = self._at_bottom(trouble)
        if isinstance(trouble, OutOfResources):
            failure: StoreFailure = trouble
        elif isinstance(trouble, StoreFailure):
            return self._refuse(delivered, trouble)
        elif isinstance(trouble, (OSError, SQLAlchemyError)) and not isinstance(trouble, DataError):
            failure = answers.passing(trouble)
        else:
            log.error("store_broken", exc_info=trouble, **delivered.sender)
            return self._refuse(delivered, CannotUnderstand("the object could not be processed"))
        words = str(trouble) if isinstance(trouble, StoreAway) else failure.comment
        log.error("store_unavailable", error=type(trouble).__name__, explanation=words, **delivered.sender)
        return answers.answer(failure)

    def _at_bottom(self, trouble: Exception) -> Exception:
        """A disk that is away takes other things with it; it is named first."""
        if isinstance(trouble, (OSError, SQLAlchemyError)):
            try:
                files.require(self._config.store_folder)
            except StoreAway as away:
                return away
        return trouble

    def _receive(self, delivered: _Delivered) -> int | Dataset:
        free, reserve = files.free_mebibytes(self._config.data_folder), self._config.reserve_mebibytes
        if free < reserve:
            raise answers.too_full(free, reserve)
        if self._must_wait(delivered.calling_ae_title):  # asked for each object: a storm is often one association
            log.warning("receiving_paused", **delivered.sender)
            return answers.answer(answers.paused())
        header = self._inspect(delivered)
        arrival = worklist.Arrival(
            header=header,
            transfer_syntax_uid=delivered.transfer_syntax_uid,
            digest=files.digest_of_dataset(delivered.part, delivered.transfer_syntax_uid),
            size=delivered.part.stat().st_size,
            calling_ae_title=delivered.calling_ae_title,
            called_ae_title=delivered.called_ae_title,
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

    def _must_wait(self, calling_ae_title: str) -> bool:
        """Did a person pause receiving? Raises StoreAway."""
        with self._database.read() as tx:
            mark.require(tx, self._config.store_folder)
            return is_paused(tx, What.RECEIVE, calling_ae_title)

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
            return worklist.record_instance(tx, arrival, clock(tx), late=Late(self._config.late_images))

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


def _cannot_make(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot make {folder} ({error.strerror}); set node.data_folder to a writable folder")


def _discard(part: Path) -> None:
    """Delete what is no longer needed; where that fails, the object's answer still holds and the sweep comes later."""
    try:
        if part.exists():  # where nothing could be written, nothing can be deleted
            part.unlink(missing_ok=True)
    except OSError as error:
        log.error("part_not_deleted", error=type(error).__name__)


def _printable(text: str) -> str:
    """What the request calls a UID may be anything, but not anything can be booked."""
    return disarm(text, instead="?", also=UNPRINTABLE, keep=" ")
