"""Sends bytes as the data set of a C-STORE, whatever they are: no parser of ours or of a toolkit stands before them."""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE, _config, build_context

from dicom_node.associations import keep_identifiers_out_of_logs, prompt_handlers

_GROUP_TWO_LONG = {b"OB", b"UN", b"SQ", b"UT"}


@dataclass(frozen=True, slots=True)
class Request:
    """What the C-STORE request says of the bytes that follow; it may be wrong."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of the C-STORE response, None where the association was refused, broken or timed out."""

    status: int | None
    comment: str = ""


def data_set_of(content: bytes) -> bytes:
    """What follows preamble and file meta information (PS3.10 7.1), found without a parser; all bytes where none are.

    The group length is not believed: hostile files lack it or lie.
    """
    if content[128:132] != b"DICM":
        return content
    place = 132
    while place + 8 <= len(content) and content[place : place + 2] == b"\x02\x00":
        if content[place + 4 : place + 6] in _GROUP_TWO_LONG:
            place += 12 + int(struct.unpack_from("<I", content, place + 8)[0])
        else:
            place += 8 + int(struct.unpack_from("<H", content, place + 6)[0])
    return content[place:]


def send_raw(data_set: bytes, request: Request, *, port: int, called: str, calling: str) -> Answer:
    """One association to 127.0.0.1, one C-STORE with exactly these bytes."""
    keep_identifiers_out_of_logs()
    _config.STORE_SEND_CHUNKED_DATASET = True  # what stands in a file is sent as it is, never decoded
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(request.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(request.sop_instance_uid)
    meta.TransferSyntaxUID = UID(request.transfer_syntax_uid)
    encoded = DicomBytesIO()
    write_file_meta_info(encoded, meta, enforce_standard=True)
    with tempfile.NamedTemporaryFile(suffix=".dcm") as part:
        part.write(b"\0" * 128 + b"DICM" + encoded.getvalue() + data_set)
        part.flush()
        return _store(Path(part.name), request, port=port, called=called, calling=calling)


def _store(path: Path, request: Request, *, port: int, called: str, calling: str) -> Answer:
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
    contexts = [build_context(request.sop_class_uid, request.transfer_syntax_uid)]
    association = entity.associate("127.0.0.1", port, contexts, called, evt_handlers=prompt_handlers())
    if not association.is_established:
        return Answer(None, "no association")
    try:
        answer = association.send_c_store(path)
    except ValueError:
        return Answer(None, "presentation context not accepted")
    finally:
        association.release()
    if "Status" not in answer:
        return Answer(None, "no answer")
    return Answer(int(answer.Status), str(answer.get("ErrorComment", "")))
