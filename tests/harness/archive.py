"""A Storage, Query and Storage Commitment SCP with settable manners: what an archive may say, when and where."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicTextSRStorage,
    KeyObjectSelectionDocumentStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
)

from tests.harness.node import free_port, wait_until


class Archive:
    """Listens on `with`. Each attribute may be changed at any moment.

    report: "same" and "new" association, "late" (on a new one, when `report_now` is called), "never".
    """

    def __init__(self, *, classes: tuple[str, ...] | None = None) -> None:
        self.port = free_port()
        self.report = "same"
        self.our_port = 0  # where reports on new associations go
        self.action_status: int | None = 0x0000  # None: no answer
        self.failures: dict[str, int] = {}  # SOP Instance UID, or "" for all -> Failure Reason
        self.transaction_uid = ""  # told in reports instead of the true one
        self.finds = True
        self.stored: list[str] = []
        self.asked: list[Dataset] = []  # what came in N-ACTIONs
        self.answers: list[int | None] = []  # statuses that our reports were answered with
        self.queries = 0
        self.entity = AE(ae_title="PACS")
        for sop_class in classes or (
            BasicTextSRStorage,
            KeyObjectSelectionDocumentStorage,
            StudyRootQueryRetrieveInformationModelFind,
            StorageCommitmentPushModel,
        ):
            self.entity.add_supported_context(sop_class)
        self._server: Any = None

    def __enter__(self) -> Self:
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_ACTION, self._act),
        ]
        self._server = self.entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.entity.shutdown()

    def report_now(self, number: int = -1) -> int | None:
        """Report on a transaction, on a new association; the status that we were answered with."""
        entity = AE(ae_title="PACS")
        entity.add_requested_context(StorageCommitmentPushModel)
        roles = [build_role(StorageCommitmentPushModel, scp_role=True)]
        association = entity.associate("127.0.0.1", self.our_port, ae_title="WETREAD", ext_neg=roles)
        assert association.is_established
        self._report(association, self.asked[number])
        association.release()
        return self.answers[-1]

    def wait_for_answers(self, number: int = 1) -> None:
        wait_until(lambda: len(self.answers) >= number, "the report to be answered")

    def _store(self, event: evt.Event) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if event.identifier.QueryRetrieveLevel == "STUDY":
            return
        self.queries += 1
        if self.finds:
            yield 0xFF00, event.identifier

    def _act(self, event: evt.Event) -> tuple[int, None]:
        self.asked.append(event.action_information)
        if self.action_status is None:
            event.assoc.abort()
            return 0x0110, None
        if self.action_status == 0x0000 and self.report in {"same", "new"}:
            threading.Timer(0.2, self._report_on, (event.assoc,)).start()
        return self.action_status, None

    def _report_on(self, association: Any) -> None:
        if self.report == "new":
            self.report_now()
        elif association.is_established:
            self._report(association, self.asked[-1])

    def _report(self, association: Any, asked: Dataset) -> None:
        information = Dataset()
        information.TransactionUID = self.transaction_uid or asked.TransactionUID
        committed, failed = [], []
        for item in asked.ReferencedSOPSequence:
            uid = str(item.ReferencedSOPInstanceUID)
            reason = self.failures.get(uid, self.failures.get(""))
            if reason is not None:
                item.FailureReason = reason
            (committed if reason is None else failed).append(item)
        if committed:
            information.ReferencedSOPSequence = committed
        if failed:
            information.FailedSOPSequence = failed
        status, _ = association.send_n_event_report(
            information, 2 if failed else 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        self.answers.append(status.get("Status"))
