"""A small PACS on 127.0.0.1 for the demonstration and the tests: takes everything, and answers what it holds.

It is no archive: it trusts every caller on this machine, keeps its index in memory and never deletes.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import split_dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.aet import RemoteAddress, ae_title
from dicom_node.associations import keep_identifiers_out_of_logs, prompt_handlers
from dicom_node.contexts import TRANSFER_SYNTAXES, storage_classes
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.identity import COMPARED
from dicom_node.limits import Answers, takes_place

HOST = "127.0.0.1"
_PDU = 131072
_TIMEOUT_SECONDS = 30.0
_ENDS_WITHIN_SECONDS = 2.0
_WHOSE = COMPARED  # by these a signature asks whose study it is
_SUCCESS, _PENDING, _NO_SUCH_LEVEL = 0x0000, 0xFF00, 0xA900


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object that the PACS took."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    calling_ae_title: str
    whose: tuple[str, ...]  # values of `_WHOSE`


class LoopbackPacs:
    """Storage, Verification and Query SCP (Study Root; levels STUDY and IMAGE) while its context lasts.

    `on_arrival` is called in the association's thread when the file is written and indexed, before the sender
    gets its answer. Port 0 takes a free one, told by `port` once the context is entered.
    """

    def __init__(
        self,
        ae_title_: str,
        port: int,
        folder: Path,
        on_arrival: Callable[[Arrival], None] | None = None,
    ) -> None:
        self.ae_title = ae_title(ae_title_)
        self._wanted_port = port
        self._folder = folder
        self._on_arrival = on_arrival
        self._lock = threading.Lock()
        self._received: list[Arrival] = []
        self._server: ThreadedAssociationServer | None = None

    def __enter__(self) -> Self:
        """Open the port. Raises ConfigurationError where another program has it."""
        keep_identifiers_out_of_logs()
        self._folder.mkdir(parents=True, exist_ok=True)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._handle_store),
            (evt.EVT_C_FIND, self._handle_find),
            (evt.EVT_C_ECHO, lambda _event: _SUCCESS),
            *prompt_handlers(),
        ]
        try:
            self._server = self._entity().start_server((HOST, self._wanted_port), block=False, evt_handlers=handlers)
        except OSError as error:
            raise ConfigurationError(
                f"cannot open port {self._wanted_port} on {HOST} for the loopback PACS ({error.strerror}): "
                "another program has it; stop that program or choose another port"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port and abort what is still connected."""
        if self._server is None:
            return
        self._server.shutdown()
        for association in self._server.ae.active_associations:
            if not takes_place(association):
                association.join(_ENDS_WITHIN_SECONDS)  # pynetdicom's threads fail where a refused one is aborted
        self._server.ae.shutdown()
        self._server = None

    @property
    def port(self) -> int:
        """The port that is open, or the one asked for before the context is entered."""
        return self._wanted_port if self._server is None else int(self._server.server_address[1])

    @property
    def address(self) -> RemoteAddress:
        """How peers name this PACS."""
        return RemoteAddress(self.ae_title, HOST, self.port)

    @property
    def received(self) -> tuple[Arrival, ...]:
        """Everything that came, in the order of arrival; an object that came twice stands here twice."""
        with self._lock:
            return tuple(self._received)

    def _entity(self) -> AE:
        entity = AE(ae_title=self.ae_title)
        entity.require_called_aet = True
        entity.maximum_pdu_size = _PDU
        entity.add_supported_context(Verification)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        for uid in storage_classes(only_radiographs=False):
            entity.add_supported_context(uid, list(TRANSFER_SYNTAXES))
        return entity

    def _handle_store(self, event: evt.Event) -> int:
        request = cast(C_STORE, event.request)
        content = _content(event)
        header = dcmread(io.BytesIO(content), specific_tags=["StudyInstanceUID", "SeriesInstanceUID", *_WHOSE])
        with self._lock:
            arrival = Arrival(
                path=self._write(len(self._received) + 1, content),
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                series_instance_uid=str(header.get("SeriesInstanceUID", "")),
                study_instance_uid=str(header.get("StudyInstanceUID", "")),
                calling_ae_title=event.assoc.requestor.ae_title,
                whose=tuple(str(header.get(keyword, "")) for keyword in _WHOSE),
            )
            self._received.append(arrival)
        if self._on_arrival is not None:
            self._on_arrival(arrival)
        return _SUCCESS

    def _write(self, number: int, content: bytes) -> Path:
        """Name the file by its number and its digest: a UID from the network may hold a path."""
        path = self._folder / f"{number:06d}-{hashlib.sha256(content).hexdigest()[:16]}.dcm"
        part = path.with_suffix(".part")
        part.write_bytes(content)
        return part.rename(path)

    def _handle_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        level = str(query.get("QueryRetrieveLevel", ""))
        if level not in {"STUDY", "IMAGE"}:
            yield _NO_SUCH_LEVEL, None
            return
        found = [arrival for arrival in self.received if _matches(query, arrival, level)]
        key = "study_instance_uid" if level == "STUDY" else "sop_instance_uid"
        for arrival in {getattr(arrival, key): arrival for arrival in found}.values():
            yield _PENDING, self._answer(arrival, level)

    def _answer(self, arrival: Arrival, level: str) -> Dataset:
        answer = Dataset()
        answer.QueryRetrieveLevel = level
        answer.RetrieveAETitle = self.ae_title
        answer.StudyInstanceUID = arrival.study_instance_uid
        if level == "STUDY":
            same = {one.sop_instance_uid for one in self.received if one.study_instance_uid == answer.StudyInstanceUID}
            answer.NumberOfStudyRelatedInstances = len(same)
            answer.SpecificCharacterSet = "ISO_IR 192"
            for keyword, value in zip(_WHOSE, arrival.whose, strict=True):
                setattr(answer, keyword, value)
        else:
            answer.SeriesInstanceUID = arrival.series_instance_uid
            answer.SOPClassUID = arrival.sop_class_uid
            answer.SOPInstanceUID = arrival.sop_instance_uid
        return answer


def stores(folder: Path) -> tuple[Path, ...]:
    """Return the files that a loopback PACS has written into `folder`, in the order of arrival."""
    return tuple(sorted(folder.glob("*.dcm")))


def send(path: Path, to: RemoteAddress, calling: str) -> int:
    """C-STORE one DICOM file as it is, in its own transfer syntax; return the status (0x0000 or a warning).

    Raises SendFailure where the peer cannot be reached, refuses, or answers with a failure.
    """
    keep_identifiers_out_of_logs()
    _config.STORE_SEND_CHUNKED_DATASET = True  # a file given by its path is sent byte by byte, never encoded again
    meta, _ = split_dataset(path)
    entity = AE(ae_title=ae_title(calling))
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _TIMEOUT_SECONDS
    context = build_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    handlers = [*Answers(longest_pdu=_PDU, seconds=_TIMEOUT_SECONDS).handlers(), *prompt_handlers()]
    association = entity.associate(to.host, to.port, [context], to.ae_title, max_pdu=_PDU, evt_handlers=handlers)
    if not association.is_established:
        raise SendFailure(f"{to} did not accept an association from {calling}; is it running, does it know {calling}?")
    try:
        answer = association.send_c_store(path)
    except ValueError as error:
        raise SendFailure(f"{to} does not accept this SOP class in this transfer syntax", permanent=True) from error
    finally:
        association.release()
    return _accepted(answer, to)


def _accepted(answer: Dataset, to: RemoteAddress) -> int:
    if "Status" not in answer:
        raise SendFailure(f"{to} closed the association or gave no answer in {_TIMEOUT_SECONDS:.0f} s")
    status = int(answer.Status)
    if status != _SUCCESS and status >> 12 != 0xB:
        raise SendFailure(f"{to} answered 0x{status:04X}", permanent=status >> 8 != 0xA7)
    return status


def _content(event: evt.Event) -> bytes:
    """Return the object as a file with its meta information, as the peer encoded it."""
    streamed: Path | None = event.dataset_path  # set where pynetdicom streams to files, a switch of the whole process
    return event.encoded_dataset() if streamed is None else streamed.read_bytes()


def _matches(query: Dataset, arrival: Arrival, level: str) -> bool:
    """List of UID matching (PS3.4 C.2.2.2.2); an absent or empty key matches everything."""
    keys = {"StudyInstanceUID": arrival.study_instance_uid}
    if level == "IMAGE":
        keys |= {"SeriesInstanceUID": arrival.series_instance_uid, "SOPInstanceUID": arrival.sop_instance_uid}
    return all(_wanted(query, keyword, value) for keyword, value in keys.items())


def _wanted(query: Dataset, keyword: str, value: str) -> bool:
    wanted = query.get(keyword) or value
    return value in ([wanted] if isinstance(wanted, str) else [str(one) for one in wanted])
