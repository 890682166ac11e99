"""The DICOM port: who is let in, with which presentation contexts, and which service handles what then comes."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import structlog
from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import access, contexts, files, peers
from dicom_node.associations import keep_identifiers_out_of_logs, prompt_handlers
from dicom_node.completeness import AssociationEnds
from dicom_node.config import NodeConfig
from dicom_node.counted import counted
from dicom_node.database import Database
from dicom_node.errors import ConfigurationError
from dicom_node.hosts import addresses_of
from dicom_node.limits import LimitedAE, agree, takes_place
from dicom_node.negotiation import refuse_unreadable, tell_what_was_refused
from dicom_node.pdu_socket import TlsPDUSocket
from dicom_node.services import Directory, Service, withhold
from dicom_node.storage import SUCCESS, Storage
from dicom_node.tls import explain, server_context
from dicom_node.turned_away import Register
from dicom_node.worklist.pauses import What, is_paused

log = structlog.get_logger("listen")

_SWEEP_AFTER = timedelta(hours=1)
_SWEEP_SECONDS = 600.0
_LOOK_SECONDS = 5.0


class Listener:
    """Accepts associations and receives objects. `start` returns with the port open; `stop` finishes what goes on."""

    def __init__(self, config: NodeConfig, database: Database, services: Sequence[Service] = ()) -> None:
        """`services`: what is offered beside Verification and Storage."""
        self._config = config
        self._database = database
        self._storage = Storage(config, database)
        self._directory = Directory(tuple(services))
        self._register = Register(database)
        self._servers: list[ThreadedAssociationServer] = []
        self._ae = self._make_ae()

    def start(self) -> None:
        """Open the port. Raises ConfigurationError where that is not possible."""
        self._storage.prepare_folders()
        keep_identifiers_out_of_logs()
        self._storage.receive_into_files()
        # pynetdicom's own switch, read when an object arrives: take SOP classes nobody knows.
        _config.UNRESTRICTED_STORAGE_SERVICE = not self._config.refuse_other_sop_classes
        handlers = [
            (evt.EVT_REQUESTED, self._handle_requested),
            (evt.EVT_C_STORE, self._storage.handle_store),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_REJECTED, self._handle_rejected),
            (evt.EVT_ACCEPTED, tell_what_was_refused),
            (evt.EVT_CONN_CLOSE, _handle_closed),
            *self._directory.event_handlers(),
            *prompt_handlers(),
            *(AssociationEnds(self._database).handlers() if "association-end" in self._config.complete_by else ()),
        ]
        began = time.time()
        secured = self._context()
        if not self._config.tls_only:
            self._open("node.port", self._config.port, handlers)
        if secured is not None:
            self._open("node.tls_port", self._config.tls_port, handlers, secured)
        # Only now is it certain that no other listener writes here; what is older than our port, nobody finishes.
        files.sweep(self._config.incoming_folder, older_than_seconds=time.time() - began)

    def _context(self) -> ssl.SSLContext | None:
        """Raises ConfigurationError."""
        if self._config.tls_certificate is None:
            return None
        return server_context(self._config.tls_files, require_client=self._config.tls_require_client_certificate)

    def _open(
        self, setting: str, port: int, handlers: list[tuple[Any, ...]], secured: ssl.SSLContext | None = None
    ) -> None:
        """Raises ConfigurationError; what was opened before is closed then."""
        address = (self._config.bind_address, port)
        try:
            server = self._ae.start_server(address, block=False, evt_handlers=handlers, ssl_context=secured)
        except OSError as error:
            self.stop(patience_seconds=0)
            raise ConfigurationError(
                f"cannot open port {port} on {self._config.bind_address} ({error.strerror}): another "
                f"program has it, or it needs root; choose another with {setting}"
            ) from error
        assert server is not None
        self._servers.append(server)
        log.info("listening", ae_title=self._config.ae_title, port=port, tls=secured is not None)

    def stop(self, *, patience_seconds: float = 30, tell: Callable[[str], None] = lambda _words: None) -> None:
        """Take no new association, let those at hand finish for so long, then abort what is left.

        tell: hears every second which ones there still are.
        """
        if not self._servers:
            return
        for server in self._servers:
            server.shutdown()
        deadline = time.monotonic() + patience_seconds
        while (going_on := list(self._ae.active_associations)) and time.monotonic() < deadline:
            asked_for = sum(takes_place(one) for one in going_on)
            tell(counted(asked_for, "association") if asked_for else "")
            going_on[0].join(min(1.0, max(0.0, deadline - time.monotonic())))
        self._ae.shutdown()
        self._servers.clear()
        self._register.close()
        log.info("stopped")

    def sweep(self) -> None:
        """Delete what aborted associations left in the incoming folder."""
        try:
            swept = files.sweep(self._config.incoming_folder, older_than_seconds=_SWEEP_AFTER.total_seconds())
        except OSError as error:
            log.error("not_swept", error=type(error).__name__)
            return
        if swept:
            log.info("swept", files=swept)

    def mind(self, stop: threading.Event) -> None:
        """Until `stop`: say where the store goes and comes, and sweep now and then."""
        swept = time.monotonic()
        while not stop.wait(_LOOK_SECONDS):
            self._storage.look()
            if time.monotonic() - swept > _SWEEP_SECONDS:
                self.sweep()
                swept = time.monotonic()

    # --- association ----------------------------------------------------------------------------------------------

    def _handle_requested(self, event: evt.Event) -> None:
        """Decide before negotiation, and put the proposed transfer syntaxes into our order of preference.

        pynetdicom swallows what a handler of this event raises and goes on to accept: every trouble must end in a
        refusal here.
        """
        association = event.assoc
        request = cast(A_ASSOCIATE, association.requestor.primitive)
        caller = None
        try:
            caller = self._caller(association, request)
            verdict = self._examine(caller)
            if isinstance(verdict, access.Admission):
                withhold(association, verdict.withheld)
                agree(association, verdict.terms)
            else:
                _log_refusal(caller, verdict)
            for context in request.presentation_context_definition_list:
                contexts.by_preference(context)
            refuse_unreadable(association)
            self._storage.make_intake(association.acceptor.maximum_length or 0).watch(association)
        except Exception:
            log.exception("access_check_failed", address=association.requestor.address)
            verdict = access.Refusal(2, 3, 1, "access-check-failed", "the access check failed; see the log")
        if isinstance(verdict, access.Refusal):
            association.acse.send_reject(verdict.result, verdict.source, verdict.diagnostic)
            association.kill()
            if caller is not None:
                self._register.note(caller, verdict)  # only now: a busy database must not keep the caller waiting

    def _caller(self, association: Association, request: A_ASSOCIATE) -> access.Caller:
        calling = str(request.calling_ae_title).strip()
        others = (one for one in self._ae.active_associations if one is not association and one.is_acceptor)
        return access.Caller(
            calling_ae_title=calling,
            called_ae_title=str(request.called_ae_title).strip(),
            address=association.requestor.address or "",
            abstract_syntaxes=frozenset(
                str(context.abstract_syntax) for context in request.presentation_context_definition_list
            ),
            tls=_is_tls(association),
            associations=sum(1 for one in others if takes_place(one) and _title(one) == calling),
        )

    def _examine(self, caller: access.Caller) -> access.Refusal | access.Admission:
        try:
            with self._database.read() as tx:
                known = peers.as_callers(tx)
                paused = is_paused(tx, What.RECEIVE, caller.calling_ae_title)
        except SQLAlchemyError as error:
            log.error("database_unavailable", error=type(error).__name__)
            return access.Refusal(2, 3, 1, "database-unavailable", "the database does not answer; see wetread check")
        if paused and caller.abstract_syntaxes - {access.VERIFICATION}:
            words = "a person paused receiving, from all or from this peer; how to go on stands in: wetread queue"
            return access.Refusal(2, 3, 1, "receiving-paused", words)  # for now: temporary congestion
        house = access.House(
            own_ae_titles=self._config.own_ae_titles,
            addresses_of=addresses_of,
            needed=self._directory.needed(),
            check_called=self._config.require_called_ae_title,
            strangers_may_verify=self._config.strangers_may_verify,
            disk_full=self._is_full(),
        )
        return access.decide(caller, known, house)

    def _is_full(self) -> bool:
        """So full that nobody need begin? A disk that does not answer is told with each object."""
        try:
            return files.free_mebibytes(self._config.data_folder) < self._config.reserve_mebibytes // 2
        except OSError:
            return False

    def _handle_rejected(self, event: evt.Event) -> None:
        """pynetdicom rejects by itself only where there are too many."""
        caller = self._caller(event.assoc, cast(A_ASSOCIATE, event.assoc.requestor.primitive))
        self._refuse_late(caller, access.too_many(self._config.maximum_associations))

    def _handle_tls_failed(self, address: str, error: OSError) -> None:
        """Nobody has said an AE title yet."""
        words = f"a caller from {address} on node.tls_port: {explain(error)}"
        self._refuse_late(access.Caller("", "", address, frozenset()), access.insecure(words))

    def _refuse_late(self, caller: access.Caller, refusal: access.Refusal) -> None:
        """Somebody else has turned the caller away already."""
        _log_refusal(caller, refusal)
        self._register.note(caller, refusal)

    # --- set-up ---------------------------------------------------------------------------------------------------

    def _make_ae(self) -> LimitedAE:
        ae = LimitedAE(ae_title=self._config.ae_title)
        ae.tls_failed = self._handle_tls_failed  # type: ignore[method-assign]
        ae.maximum_associations = self._config.maximum_associations
        ae.maximum_pdu_size = self._config.maximum_pdu_size
        ae.network_timeout = self._config.idle_timeout_seconds
        ae.dimse_timeout = self._config.dimse_timeout_seconds
        ae.acse_timeout = self._config.dimse_timeout_seconds
        ae.add_supported_context(Verification)
        for uid in contexts.storage_classes(only_radiographs=self._config.refuse_other_sop_classes):
            ae.add_supported_context(uid, list(contexts.syntaxes_of(uid)))
        self._directory.support(ae)
        return ae


def _log_refusal(caller: access.Caller, refusal: access.Refusal) -> None:
    log.warning(
        "association_refused",
        code=refusal.code,
        calling_ae_title=caller.calling_ae_title,
        called_ae_title=caller.called_ae_title,
        address=caller.address,
        explanation=refusal.explanation,
    )


def _is_tls(association: Association) -> bool:
    transport = association.dul.socket
    return transport is not None and isinstance(transport.socket, TlsPDUSocket)


def _title(association: Association) -> str:
    request = association.requestor.primitive
    return str(request.calling_ae_title).strip() if isinstance(request, A_ASSOCIATE) else ""


def _handle_closed(event: evt.Event) -> None:
    """End the thread of a connection that closed without a word; a port scan would fill all places for a minute."""
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)
