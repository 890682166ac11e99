"""The door, opened by dcmtk and by callers with bad manners: every object is answered as the books say."""

from __future__ import annotations

import gc
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    JPEG2000Lossless,
)
from pynetdicom import AE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from sqlalchemy import select

from dicom_node import refused
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import ConfigurationError
from dicom_node.kinds import Kind, Stage
from dicom_node.listener import Listener
from dicom_node.tables import Delivery, DeliveryState, Outcome, Reception, RemoteAE, Revision, Study
from tests.harness import dcmtk
from tests.harness.door import DX, NUMBERS, Door, OpenDoor, associated, half_a_store, small_film, store, store_bytes
from tests.harness.node import free_port, wait_until

SR = "1.2.840.10008.5.1.4.1.1.88.11"


# --- who may call -----------------------------------------------------------------------------------------------------


def test_dcmtk_verifies_and_stores(door: Door, image: Path) -> None:
    assert dcmtk.echo(door.port).returncode == 0
    assert dcmtk.store(door.port, image).returncode == 0
    assert dcmtk.send(door.port, image).returncode == 0
    assert door.outcomes() == ["stored", "duplicate"]
    assert door.leftovers() == []


def test_stranger_may_verify_but_not_store_and_the_log_says_why(door: Door, image: Path) -> None:
    assert dcmtk.echo(door.port, calling="pacs").returncode == 0
    refused = dcmtk.store(door.port, image, calling="pacs")
    assert refused.returncode != 0
    assert "Calling AE Title Not Recognized" in refused.stdout
    (line,) = door.logged("association_refused")
    assert line["calling_ae_title"] == "pacs"
    assert "only the case differs from 'PACS'" in str(line["explanation"])
    assert door.outcomes() == []


def test_wrong_called_title_is_refused_in_words(door: Door, image: Path) -> None:
    refused = dcmtk.store(door.port, image, called="WETREED")
    assert "Called AE Title Not Recognized" in refused.stdout
    assert "correct the called AE title" in str(door.logged("association_refused")[0]["explanation"])


def test_sender_registered_while_running_is_known_at_once(door: Door, image: Path) -> None:
    assert dcmtk.store(door.port, image, calling="NEW").returncode != 0
    with door.database.write() as tx:
        tx.add(RemoteAE(ae_title="NEW", may_send=True))
    assert dcmtk.store(door.port, image, calling="NEW").returncode == 0


# --- what is taken ----------------------------------------------------------------------------------------------------

CODINGS = {
    "implicit": ("dcmconv", "+ti", "-xi"),
    "explicit": ("dcmconv", "+te", "-xe"),
    "big endian": ("dcmconv", "+tb", "-xb"),
    "deflated": ("dcmconv", "+td", "-xd"),
    "JPEG lossless SV1": ("dcmcjpeg", "+e1", "-xs"),
    "JPEG baseline 8 bit": ("dcmcjpeg", "+eb", "-xy"),
    "JPEG extended 12 bit": ("dcmcjpeg", "+ee", "-xx"),
    "JPEG-LS lossless": ("dcmcjpls", "+el", "-xt"),
    "JPEG-LS near lossless": ("dcmcjpls", "+en", "-xu"),
    "RLE": ("dcmcrle", "", "-xr"),
}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_each_transfer_syntax_is_kept_byte_for_byte(door: Door, image: Path, tmp_path: Path) -> None:
    image_without_uid_change = dcmread(image)
    sent = {}
    for name, (tool, option, propose) in CODINGS.items():
        coded = tmp_path / f"{name}.dcm"
        converted = dcmtk.run(tool, *filter(None, [option]), image, coded)
        assert converted.returncode == 0, converted.stdout
        done = dcmtk.store(door.port, coded, options=(propose,))
        assert done.returncode == 0, f"{name}: {done.stdout}"
        sent[str(dcmread(coded).file_meta.TransferSyntaxUID)] = coded
    # JPEG 2000 is beyond dcmtk's encoders; its senders carry it all the same
    pressed = tmp_path / "j2k.dcm"
    image_without_uid_change.compress(JPEG2000Lossless, generate_instance_uid=False)
    image_without_uid_change.save_as(pressed)
    assert dcmtk.store(door.port, pressed, options=("-xv",)).returncode == 0
    sent[str(JPEG2000Lossless)] = pressed
    kept = {instance.transfer_syntax_uid: instance for instance in door.instances()}
    assert kept.keys() == sent.keys()
    assert len(kept) == len(CODINGS) + 1
    for syntax, instance in kept.items():
        stored = dcmread(door.config.store_folder / instance.digest[:2] / f"{instance.digest}.dcm")
        assert stored.file_meta.TransferSyntaxUID == syntax
        assert stored.PixelData == dcmread(sent[syntax]).PixelData


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_compressed_is_preferred_so_that_the_sender_need_not_decode(door: Door, image: Path, tmp_path: Path) -> None:
    pressed = tmp_path / "jls.dcm"
    assert dcmtk.run("dcmcjpls", "+el", image, pressed).returncode == 0
    assert dcmtk.send(door.port, pressed).returncode == 0
    assert door.instances()[0].transfer_syntax_uid == "1.2.840.10008.1.2.4.80"


def test_sop_class_that_nobody_knows_is_taken_and_booked(door: Door) -> None:
    private = small_film(SOPClassUID="1.2.826.0.1.3680043.10.999.1")
    assert store(door.port, private).Status == 0x0000
    (instance,) = door.instances()
    assert (instance.role.value, instance.sop_class_uid) == ("other", private.SOPClassUID)


def test_only_radiographs_where_that_is_configured(open_door: OpenDoor) -> None:
    door = open_door(refuse_other_sop_classes=True)
    entity = AE(ae_title="PACS")
    entity.add_requested_context(SR)
    entity.add_requested_context(DX)
    association = entity.associate("127.0.0.1", door.port, ae_title="WETREAD")
    assert [context.abstract_syntax for context in association.accepted_contexts] == [DX]
    association.release()


# --- what is refused --------------------------------------------------------------------------------------------------


def test_data_set_that_contradicts_its_request_is_0xa900_and_quarantined(door: Door) -> None:
    image = small_film()
    with associated(door.port) as association:
        content = encode(image, False, True)
        assert content is not None
        answer = store_bytes(association, content, sop_class=DX, instance="1.2.3.4")
        assert answer.Status == 0xA900
        assert "SOP Instance UID" in answer.ErrorComment
    assert door.outcomes() == ["quarantined"]
    (kept,) = door.config.quarantine_folder.iterdir()
    assert door.instances() == []
    with door.database.read() as tx:
        (booked,) = refused.newest(tx, door.config.quarantine_folder, limit=5)
    assert (booked.reason, booked.digest, booked.size) == ("dataset-mismatch", kept.stem, kept.stat().st_size)
    (told,) = [line for line in door.log if line["event"] == "object_quarantined"]
    assert (told["calling_ae_title"], told["address"]) == (booked.calling_ae_title, "127.0.0.1")


GARBAGE = {"zeros": bytes(64), "words": b"garbage" * 40, "noise": random.Random(7).randbytes(4096), "byte": b"\x08"}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_0xc000_and_quarantined(door: Door, content: bytes) -> None:
    with associated(door.port) as association:
        answer = store_bytes(association, content, sop_class=DX, instance="1.2.3.4")
        assert answer.Status == 0xC000
        assert 0 < len(answer.ErrorComment) <= 64
        # the same association goes on
        assert association.send_c_store(small_film()).Status == 0x0000
    assert door.outcomes() == ["quarantined", "stored"]
    (kept,) = door.config.quarantine_folder.iterdir()
    assert kept.read_bytes().endswith(content)


@pytest.mark.parametrize("uid", ["../../../../tmp/evil", "/etc/passwd", "1.2/../../3", "..", "1.2.3;x"])
def test_uid_that_is_a_path_names_no_file(door: Door, uid: str, tmp_path: Path) -> None:
    image = small_film()
    image.SOPInstanceUID = uid
    content = encode(image, False, True)
    assert content is not None
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with associated(door.port) as association:
        answer = store_bytes(association, content, sop_class=DX, instance=uid)
        assert answer.get("Status", 0xC000) == 0xC000
    added = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    allowed = (door.config.quarantine_folder, tmp_path)
    assert all(path.parent in allowed for path in added)
    assert door.instances() == []


def test_empty_disk_reserve_is_0xa700_and_nothing_is_booked(open_door: OpenDoor, tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    mebibytes = free.f_bavail * free.f_frsize >> 20
    door = open_door(reserve_mebibytes=int(mebibytes * 1.5))
    answer = store(door.port, small_film())
    assert answer.Status == 0xA700
    assert "disk" in answer.ErrorComment
    assert (door.outcomes(), door.leftovers()) == ([], [])


def test_almost_no_disk_refuses_the_association_for_now(open_door: OpenDoor, image: Path) -> None:
    door = open_door(reserve_mebibytes=1 << 40)
    refused = dcmtk.store(door.port, image)
    assert "Transient" in refused.stdout
    assert "node.keep_days" in str(door.logged("association_refused")[0]["explanation"])
    assert dcmtk.echo(door.port).returncode == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_store_that_is_away_takes_nothing_and_is_not_made_anew(door: Door) -> None:
    assert store(door.port, small_film()).Status == 0x0000
    folder = door.config.store_folder
    folder.rename(folder.with_name("away"))
    with pytest.raises(ConfigurationError, match="mount its disk, or put the folder back"):
        Listener(door.config, door.database).start()
    assert store(door.port, small_film(SOPInstanceUID="1.2.3")).Status == 0xA700
    assert (folder.exists(), len(door.instances())) == (False, 1)
    folder.with_name("away").rename(folder)
    assert store(door.port, small_film(SOPInstanceUID="1.2.3")).Status == 0x0000


def test_locked_database_is_0xa700_and_the_next_try_succeeds(tmp_path: Path, sqlite_url: str) -> None:
    impatient = Database(sqlite_url, busy_seconds=0.2)
    with impatient.write() as tx:
        tx.add(RemoteAE(ae_title="PACS", may_send=True))
    config = NodeConfig(bind_address="127.0.0.1", port=free_port(), data_folder=tmp_path / "d", reserve_mebibytes=1)
    listener = Listener(config, impatient)
    listener.start()
    image = small_film()
    try:
        with closing(sqlite3.connect(tmp_path / "wetread.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = store(config.port, image)
            assert answer.Status == 0xA700
            assert "again" in answer.ErrorComment
            other.execute("ROLLBACK")
        assert store(config.port, image).Status == 0x0000
    finally:
        listener.stop()
        impatient.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_database_that_is_gone_refuses_for_now(door: Door, image: Path, tmp_path: Path) -> None:
    with associated(door.port) as association:
        door.database.close()
        for path in tmp_path.glob("wetread.db*"):
            path.rename(path.with_name(f"away-{path.name}"))
        assert association.send_c_store(small_film()).Status == 0xA700
    refused = dcmtk.store(door.port, image)
    assert "Transient" in refused.stdout
    door.database.close()
    for path in tmp_path.glob("wetread.db*"):
        path.unlink()
    for path in tmp_path.glob("away-wetread.db*"):
        path.rename(path.with_name(path.name.removeprefix("away-")))
    assert dcmtk.store(door.port, image).returncode == 0


# --- what breaks off --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves the part open
def test_abort_in_a_data_set_leaves_no_row_and_its_part_is_swept(door: Door) -> None:
    association = half_a_store(door.port)
    wait_until(door.leftovers, "the first half to arrive")
    association.abort()
    wait_until(lambda: not door.listener._ae.active_associations, "the abort to arrive", seconds=30)
    assert (door.outcomes(), door.instances()) == ([], [])
    for path in door.leftovers():
        os.utime(path, (1, 1))
    door.listener.sweep()
    assert door.leftovers() == []
    gc.collect()


def test_silent_caller_does_not_stop_others(door: Door, image: Path) -> None:
    with socket.create_connection(("127.0.0.1", door.port)):
        assert dcmtk.store(door.port, image).returncode == 0


def test_objects_of_one_study_over_parallel_associations_make_one_study(door: Door) -> None:
    study = f"2.25.99{next(NUMBERS)}"
    films = [small_film(StudyInstanceUID=study) for _ in range(12)]
    answers: list[int] = []

    def send(part: list[Dataset], title: str) -> None:
        answers.extend(int(store(door.port, image, title).Status) for image in part)

    threads = [
        threading.Thread(target=send, args=(films[start::3], title))
        for start, title in enumerate(("PACS", "CR1", "PACS"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [0] * 12
    with door.database.read() as tx:
        (found,) = tx.scalars(select(Study)).all()
    assert (found.study_instance_uid, found.revision, len(door.instances())) == (study, 1, 12)


def test_same_object_over_parallel_associations_is_kept_once(door: Door) -> None:
    image = small_film()
    threads = [threading.Thread(target=store, args=(door.port, image)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(door.outcomes()) == ["duplicate"] * 3 + ["stored"]


def test_our_own_object_is_answered_with_success_and_changes_nothing(door: Door) -> None:
    image = small_film()
    assert store(door.port, image).Status == 0x0000
    draft = small_film(StudyInstanceUID=image.StudyInstanceUID, SOPClassUID=SR, DeviceUID="2.25.4711")
    with door.database.write() as tx:
        tx.add(
            Delivery(
                revision_id=tx.scalars(select(Revision.id)).one(),
                destination="PACS",
                kind=Kind.BASIC_TEXT,
                stage=Stage.DRAFT,
                sop_class_uid=SR,
                sop_instance_uid=draft.SOPInstanceUID,
                digest="0" * 64,
                state=DeliveryState.QUEUED,
                next_attempt_at=clock(tx),
                queued_at=clock(tx),
            )
        )
    assert store(door.port, draft).Status == 0x0000
    assert door.outcomes() == ["stored", "duplicate"]
    assert len(door.instances()) == 1


# --- the end ----------------------------------------------------------------------------------------------------------


def test_sigterm_in_an_association_lets_the_object_at_hand_be_answered(tmp_path: Path, sqlite_url: str) -> None:
    folder, port = tmp_path / "node", free_port()
    config = tmp_path / "wetread.toml"
    config.write_text(
        f'[node]\nbind_address = "127.0.0.1"\nport = {port}\ndata_folder = "{folder}"\ndatabase = "{sqlite_url}"\n'
        "reserve_mebibytes = 1\n"
    )
    database = Database(sqlite_url)
    with database.write() as tx:
        tx.add(RemoteAE(ae_title="PACS", may_send=True))
    command = [sys.executable, "-m", "agent", "--config", str(config), "listen"]
    with (tmp_path / "listen.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
        wait_until(lambda: dcmtk.listens(port), "listen to open its port")
        association = half_a_store(port)
        wait_until(lambda: list((folder / "incoming").iterdir()), "the first half to arrive")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not dcmtk.listens(port), "listen to close its port", seconds=30)
        association._reactor_checkpoint.clear()
        for fragment in association.rest:  # type: ignore[attr-defined]
            association.dul.send_pdu(fragment)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        assert answer is not None
        assert answer.Status == 0x0000  # type: ignore[union-attr]
        association.release()
        assert process.wait(60) == 0
    with database.read() as tx:
        assert [row.outcome for row in tx.scalars(select(Reception))] == [Outcome.STORED]
    database.close()


def test_stop_waits_once_for_all_idle_associations(open_door: OpenDoor) -> None:
    door = open_door()
    idle = [AE(ae_title="PACS") for _ in range(12)]
    held = []
    for entity in idle:
        entity.add_requested_context(Verification)
        held.append(entity.associate("127.0.0.1", door.port, ae_title="WETREAD"))
    began, told = time.monotonic(), list[str]()
    door.listener.stop(patience_seconds=3, tell=told.append)
    assert time.monotonic() - began < 30, "it waited for each of them"
    assert told[0] == "12 associations"
    for association in held:
        association.kill()
