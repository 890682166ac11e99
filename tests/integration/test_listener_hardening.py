"""The door under attack: nothing that a caller does opens it, fills the memory or fills the disk."""

from __future__ import annotations

import gc
import inspect
import os
import socket
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer
from sqlalchemy import select
from sqlalchemy.exc import DataError

from dicom_node import access, files, limits, worklist
from dicom_node.errors import CannotUnderstand, ConfigurationError
from dicom_node.listener import Listener
from dicom_node.storage import _Delivered
from dicom_node.tables import Reception
from tests.harness import dcmtk
from tests.harness.door import DX, Door, OpenDoor, associated, small_film, store, store_bytes
from tests.harness.node import wait_until

# --- the access check -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_access_check_that_fails_refuses_for_now(door: Door, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pynetdicom swallows what the handler raises, and goes on as if the caller had been admitted."""

    def broken(*_arguments: object, **_settings: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(access, "decide", broken)

    for title in ("STRANGER", "PACS"):
        refused = dcmtk.store(door.port, image, calling=title)
        assert "Transient" in refused.stdout
    assert len(door.logged("access_check_failed")) == 2
    assert door.outcomes() == []


# --- content that nobody foresaw --------------------------------------------------------------------------------------


def hostile(image: Dataset, keyword: str, value: bytes) -> bytes:
    """The encoded film with these bytes as the value of an element."""
    setattr(image, keyword, "9" * len(value))
    content = encode(image, False, True)
    assert content is not None
    assert content.count(b"9" * len(value)) == 1
    return content.replace(b"9" * len(value), value)


@pytest.mark.parametrize("keyword", ["PatientID", "AccessionNumber"])
def test_text_that_postgresql_refuses_is_quarantined_and_booked(door: Door, keyword: str) -> None:
    image = small_film()
    content = hostile(image, keyword, b"AB\x00CDE\x00FGHIJ")
    with associated(door.port) as association:
        answer = store_bytes(association, content, sop_class=DX, instance=image.SOPInstanceUID)
        assert (answer.Status, door.outcomes()) == (0xC000, ["quarantined"])
        assert association.send_c_store(small_film()).Status == 0
    assert len(door.quarantined()) == 1


def test_series_uid_that_is_none_does_not_cost_the_film(door: Door) -> None:
    image = small_film()
    content = hostile(image, "SeriesInstanceUID", b"1." * 50 + b"1\0")
    with associated(door.port) as association:
        assert store_bytes(association, content, sop_class=DX, instance=image.SOPInstanceUID).Status == 0
    assert door.instances()[0].series_instance_uid == ""


TROUBLE = {
    "refused by the database": DataError("INSERT ...", {"patient_id": "SECRET"}, Exception("too long")),
    "a fault of ours": ZeroDivisionError("SECRET" * 0),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_object_that_cannot_be_booked_is_kept_and_answered_once_for_all(
    door: Door, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def broken(*_arguments: object, **_settings: object) -> None:
        raise trouble

    monkeypatch.setattr(worklist, "record_instance", broken)
    image = small_film()
    assert store(door.port, image).Status == 0xC000
    assert door.outcomes() == ["quarantined"]
    (kept,) = door.quarantined()
    assert dcmread(kept).PixelData == image.PixelData
    assert door.leftovers() == []
    assert "SECRET" not in str(door.log)


@pytest.mark.parametrize("uid", ["1.2\x003", "1" * 200])
def test_quarantine_is_booked_whatever_the_request_says(door: Door, uid: str) -> None:
    delivered = _Delivered(
        part=door.config.incoming_folder / "part",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae_title="PACS",
        sop_class_uid=uid,
        sop_instance_uid=uid,
    )
    small_film().save_as(delivered.part, enforce_file_format=True)
    answer = door.listener._storage._answer_trouble(delivered, CannotUnderstand("no"))
    assert (answer.Status, door.outcomes()) == (0xC000, ["quarantined"])


def spoil(door: Door, monkeypatch: pytest.MonkeyPatch, how: Callable[[Path], None]) -> None:
    """From now on, the disk does this to what was received, when the listener looks how full it is."""

    def measured(_folder: Path) -> int:
        for part in door.leftovers():
            how(part)
        return 1 << 20

    monkeypatch.setattr(files, "free_mebibytes", measured)


def lose(part: Path) -> None:
    os.truncate(part, 10)


def replace(part: Path) -> None:
    part.unlink(missing_ok=True)
    part.mkdir(exist_ok=True)


def test_bytes_that_our_disk_lost_are_asked_for_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    image = small_film()
    with associated(door.port) as association, monkeypatch.context() as broken:
        spoil(door, broken, lose)
        assert association.send_c_store(image).Status == 0xA700
        assert door.logged("store_broken")
    assert (door.outcomes(), door.quarantined(), door.leftovers()) == ([], [], [])
    assert store(door.port, image).Status == 0
    assert door.outcomes() == ["stored"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_part_that_cannot_be_deleted_does_not_change_the_answer(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    with associated(door.port) as association, monkeypatch.context() as broken:
        spoil(door, broken, lambda part: None if door.logged("part_not_deleted") else replace(part))
        assert association.send_c_store(small_film()).Status == 0xA700
    assert len(door.logged("part_not_deleted")) == 1
    (left,) = door.leftovers()
    left.rmdir()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("away", ["folder", "database"])
def test_garbage_is_asked_for_again_while_it_cannot_be_kept_or_booked(door: Door, tmp_path: Path, away: str) -> None:
    def answered() -> int:
        return int(store_bytes(association, bytes(64), sop_class=DX, instance="1.2.3").Status)

    folder = door.config.quarantine_folder
    with associated(door.port) as association:
        if away == "folder":
            folder.rmdir()
            folder.write_bytes(b"")
        else:
            door.database.close()
            with closing(sqlite3.connect(tmp_path / "wetread.db")) as other:
                other.execute("ALTER TABLE reception RENAME TO away")
        assert answered() == 0xA700
        assert door.logged("store_unavailable")
        if away == "folder":
            folder.unlink()
        else:
            with closing(sqlite3.connect(tmp_path / "wetread.db")) as other:
                other.execute("ALTER TABLE away RENAME TO reception")
        assert (answered(), door.outcomes()) == (0xC000, ["quarantined"])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_request_without_a_data_set_is_answered_and_booked(door: Door) -> None:
    """Its command says that nothing follows (0x0101); pynetdicom would answer it, and nobody would be told."""
    with associated(door.port) as association:
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = DX, UID("1.2.3")
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        assert message.command_set.CommandDataSetType == 0x0101
        association._reactor_checkpoint.clear()
        for fragment in message.encode_msg(association.accepted_contexts[0].context_id, 16382):
            association.dul.send_pdu(fragment)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        assert isinstance(answer, C_STORE)
        assert (answer.Status, answer.ErrorComment) == (0xC000, "the request has no data set")
        assert association.send_c_store(small_film()).Status == 0x0000
    assert door.outcomes() == ["quarantined", "stored"]
    assert door.logged("object_quarantined")


# --- how many may stand at the door ----------------------------------------------------------------------------------


@contextmanager
def silent_callers(port: int, number: int) -> Iterator[list[socket.socket]]:
    """Connections on which nobody says anything."""
    with ExitStack() as open_until_the_end:
        yield [
            open_until_the_end.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for _ in range(number)
        ]


def is_closed(caller: socket.socket) -> bool:
    caller.settimeout(0)
    try:
        return caller.recv(100) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_film_comes_in_while_200_callers_say_nothing(door: Door, image: Path) -> None:
    with silent_callers(door.port, 200) as callers:
        assert dcmtk.store(door.port, image).returncode == 0
        wait_until(lambda: len(door.listener._ae.active_associations) <= 20, "the oldest to go", seconds=30)
        open_still = [not is_closed(caller) for caller in callers]
    assert open_still[-10:] == [True] * 10
    assert open_still[:100] == [False] * 100
    assert len(door.logged("connection_closed")) >= 200 - 20
    assert door.outcomes() == ["stored"]
    wait_until(lambda: not door.listener._ae.active_associations, "every thread to end", seconds=30)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_each_connection_negotiates_on_contexts_of_its_own(door: Door) -> None:
    with associated(door.port, Verification), associated(door.port, Verification):
        first, second = (one.acceptor.supported_contexts for one in door.listener._ae.active_associations)
        assert len(first) > 100
        assert [context.abstract_syntax for context in first] == [context.abstract_syntax for context in second]
        first[0].transfer_syntax = [first[0].transfer_syntax[-1]]
        assert len(second[0].transfer_syntax) > 1
    with associated(door.port, Verification):
        newest = door.listener._ae.active_associations[-1]
        assert len(newest.acceptor.supported_contexts[0].transfer_syntax) == len(second[0].transfer_syntax)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_threads_have_an_end_however_many_connect(open_door: OpenDoor, image: Path) -> None:
    door = open_door(maximum_associations=2)
    most = 0
    with ExitStack() as callers:
        for _ in range(300):
            callers.enter_context(socket.create_connection(("127.0.0.1", door.port), timeout=30))
            most = max(most, len(door.listener._ae.active_associations))
        wait_until(lambda: len(door.listener._ae.active_associations) <= 20, "the oldest to go", seconds=30)
        assert dcmtk.store(door.port, image).returncode == 0
    assert most <= 2 + 2 * 16


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_connection_beyond_every_limit_is_closed_in_words(open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_WAITING", 0)
    door = open_door(maximum_associations=1)
    with associated(door.port, Verification), silent_callers(door.port, 1) as (caller,):
        wait_until(lambda: is_closed(caller), "the end of the second connection", seconds=30)
    assert "too many" in str(door.logged("connection_closed")[0]["explanation"])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_silent_callers_take_no_place_of_associations(open_door: OpenDoor, image: Path) -> None:
    door = open_door(maximum_associations=1)
    with silent_callers(door.port, 10):
        assert dcmtk.store(door.port, image).returncode == 0
        with associated(door.port, Verification):
            refused = dcmtk.store(door.port, image)
            assert "Local Limit Exceeded" in refused.stdout
    assert door.logged("connection_closed") == []


# --- what a PDU may hold ----------------------------------------------------------------------------------------------


def resident() -> int:
    return psutil.Process().memory_info().rss


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", [0x01, 0x02, 0x04, 0x05, 0x07], ids=hex)
def test_pdu_of_endless_length_is_not_read(door: Door, image: Path, kind: int) -> None:
    before = resident()
    with socket.create_connection(("127.0.0.1", door.port), timeout=30) as caller:
        caller.sendall(struct.pack(">BBL", kind, 0, 0xFFFFFFF0))
        with suppress(OSError):
            for _ in range(64):
                caller.sendall(bytes(1 << 20))
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(100) == b""
    assert resident() - before < 16 << 20
    assert door.logged("pdu_too_long")[0]["length"] == 0xFFFFFFF0
    assert dcmtk.store(door.port, image).returncode == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_data_longer_than_negotiated_is_not_read(door: Door) -> None:
    with associated(door.port) as association:
        wire = association.dul.socket.socket
        wire.sendall(struct.pack(">BBL", 4, 0, 140000) + bytes(140000))
        wait_until(lambda: association.is_aborted, "the end of the association", seconds=30)
    assert door.logged("pdu_too_long")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("sent", [b"", b"\x01\x00\x00", b"\x01\x00\x00\x00\x10\x00" + bytes(100)])
def test_caller_who_never_finishes_its_first_pdu_is_hung_up_on(open_door: OpenDoor, sent: bytes) -> None:
    door = open_door(dimse_timeout_seconds=1)
    with socket.create_connection(("127.0.0.1", door.port), timeout=30) as caller:
        caller.sendall(sent)
        with suppress(ConnectionResetError):
            assert caller.recv(100) in {b"", b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00"}
    wait_until(lambda: not door.listener._ae.active_associations, "the thread to end", seconds=30)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_drop_by_drop_is_not_endless(open_door: OpenDoor) -> None:
    door = open_door(dimse_timeout_seconds=1)
    with socket.create_connection(("127.0.0.1", door.port), timeout=30) as caller:
        caller.sendall(b"\x01\x00\x00\x00\x10\x00")
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - began < 60:
                caller.sendall(b"\0")
                time.sleep(0.1)
    assert time.monotonic() - began < 30


def test_pynetdicom_still_reads_through_the_socket_of_its_server() -> None:
    """The names that the limits hang on; a new pynetdicom that lacks one must not go unnoticed."""
    source = inspect.getsource(AE.start_server)
    assert "self.make_server(" in source
    assert "server_class" in inspect.signature(AE.make_server).parameters
    assert "self.socket.recv(" in inspect.getsource(AssociationSocket.recv)
    assert "accept()" in inspect.getsource(ThreadedAssociationServer.get_request)


# --- what an object may hold ------------------------------------------------------------------------------------------


def pour(association: Association, mebibytes: int) -> int:
    """Send the beginning of an object; returns how many MiB were sent before the listener had enough."""
    request = C_STORE_RQ()
    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = 1, 2
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = UID(DX), UID("1.2.3")
    primitive.DataSet = BytesIO(b"\0\0")
    request.primitive_to_message(primitive)
    command, *_ = request.encode_msg(association.accepted_contexts[0].context_id, 16382)
    association.dul.send_pdu(command)
    for sent in range(mebibytes * 16):
        piece = P_DATA()
        context = association.accepted_contexts[0].context_id
        piece.presentation_data_value_list.append((context, b"\0" + bytes((1 << 16) - 6)))
        association.dul.send_pdu(piece)
        if sent % 8 == 7:
            time.sleep(0.005)
        if association.is_aborted:
            return sent // 16
    return mebibytes


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves the part open
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_object_that_is_too_large_is_not_received_to_its_end(open_door: OpenDoor) -> None:
    door = open_door(maximum_object_mebibytes=2)
    with associated(door.port) as association:
        pour(association, 40)
        wait_until(lambda: association.is_aborted, "the abort", seconds=30)
        assert door.largest_part() < 4 << 20
    (line,) = door.logged("association_aborted")
    assert "node.maximum_object_mebibytes" in str(line["explanation"])
    wait_until(lambda: not door.leftovers(), "its part to go", seconds=30)
    with door.database.read() as tx:
        (row,) = tx.scalars(select(Reception)).all()
    assert (row.outcome.value, row.reason) == ("quarantined", "object-too-large")
    assert (row.sop_class_uid, row.sop_instance_uid, row.calling_ae_title) == (DX, "1.2.3", "PACS")
    assert store(door.port, small_film()).Status == 0
    assert door.outcomes() == ["quarantined", "stored"]
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_object_that_is_too_large_is_aborted_also_where_it_cannot_be_booked(
    open_door: OpenDoor, tmp_path: Path
) -> None:
    door = open_door(maximum_object_mebibytes=2)
    with associated(door.port) as association:
        with closing(sqlite3.connect(tmp_path / "wetread.db")) as other:
            other.execute("ALTER TABLE reception RENAME TO away")
        pour(association, 40)
        wait_until(lambda: association.is_aborted, "the abort", seconds=30)
        with closing(sqlite3.connect(tmp_path / "wetread.db")) as other:
            other.execute("ALTER TABLE away RENAME TO reception")
    assert door.logged("store_unavailable")
    wait_until(lambda: not door.leftovers(), "its part to go", seconds=30)
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_disk_that_fills_in_an_object_ends_the_association(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_door(reserve_mebibytes=100)
    with associated(door.port) as association:
        monkeypatch.setattr(files, "free_mebibytes", lambda _folder: 24)
        pour(association, 20)
        wait_until(lambda: association.is_aborted, "the abort", seconds=30)
    assert "disk" in str(door.logged("association_aborted")[0]["explanation"])
    wait_until(lambda: not door.leftovers(), "its part to go", seconds=30)
    gc.collect()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_command_without_an_end_does_not_fill_the_memory(door: Door) -> None:
    """A stranger may verify, and would need no more than that."""
    with associated(door.port, Verification, title="STRANGER") as association:
        context = association.accepted_contexts[0].context_id
        for _ in range(40):
            piece = P_DATA()
            piece.presentation_data_value_list.append((context, b"\1" + bytes(1 << 16)))
            association.dul.send_pdu(piece)
        wait_until(lambda: association.is_aborted, "the abort", seconds=30)
    assert "1 MiB" in str(door.logged("association_aborted")[0]["explanation"])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_object_a_little_too_large_is_booked_and_not_kept(open_door: OpenDoor) -> None:
    door = open_door(maximum_object_mebibytes=1)
    image = small_film()
    image.PixelData = bytes(1 << 20)
    assert store(door.port, image).Status == 0xC000
    assert (door.outcomes(), door.quarantined()) == (["quarantined"], [])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_objects_of_the_size_allowed_may_follow_each_other(open_door: OpenDoor) -> None:
    door = open_door(maximum_object_mebibytes=2)
    with associated(door.port) as association:
        for _ in range(3):
            image = small_film()
            image.PixelData = bytes((2 << 20) - 8192)
            assert association.send_c_store(image).Status == 0


def test_pynetdicom_still_names_the_file_of_an_object_that_comes() -> None:
    assert "_data_set_path" in vars(C_STORE_RQ())
    assert {"message", "msg_queue"} <= vars(DIMSEServiceProvider(Association(AE(), "acceptor"))).keys()


# --- the folders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_second_listener_on_a_taken_port_deletes_nothing(door: Door) -> None:
    coming = door.config.incoming_folder / "coming.dcm"
    coming.write_bytes(b"half")
    with pytest.raises(ConfigurationError, match="cannot open port"):
        Listener(door.config, door.database).start()
    assert coming.read_bytes() == b"half"
    coming.unlink()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_an_earlier_listener_left_goes_when_the_port_is_open(open_door: OpenDoor, tmp_path: Path) -> None:
    left = tmp_path / "data" / "incoming" / "left.dcm"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    open_door()
    assert not left.exists()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_folders_that_we_make_are_for_our_user_only(door: Door) -> None:
    folders = (door.config.data_folder, door.config.incoming_folder, door.config.store_folder)
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700] * 3
