"""What an administrator types: each command does what it says, and its exit code tells a script."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import BasicTextSRStorage
from sqlalchemy import func, select

from agent.demo.phantom import film
from dicom_node.files import stored_path
from dicom_node.loopback import LoopbackPacs
from dicom_node.tables import AuditRow, Instance, Revision, Study, Workitem
from reports.tables import Report
from tests.harness import dcmtk
from tests.harness.node import Node, free_port, wait_until

NUMBERS = count(1)
DONE, FAILED, USAGE, NOT_FOUND, WRONG_STATE = 0, 1, 2, 3, 4


def new_film(**elements: str) -> Dataset:
    image = film(
        4711, now=datetime.now(UTC), new_uid=lambda: f"2.25.55{next(NUMBERS)}{time.time_ns()}", rows=512, columns=448
    )
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    return image


def send(node: Node, folder: Path, image: Dataset) -> str:
    path = folder / f"{image.SOPInstanceUID}.dcm"
    image.save_as(path, enforce_file_format=True)
    sent = dcmtk.store(node.port, path, options=("-R",))
    assert sent.returncode == 0, sent.stdout
    return str(image.StudyInstanceUID)


def show(node: Node, study: str) -> dict[str, Any]:
    shown: dict[str, Any] = node.ask("study", "show", study)
    return shown


# --- without anything running -----------------------------------------------------------------------------------------


@pytest.fixture
def idle(tmp_path: Path) -> Node:
    """A configured node with a database and no process."""
    return Node(tmp_path / "idle")


def test_config_lists_every_mistake_with_its_path(idle: Node) -> None:
    text = idle.config_file.read_text()
    idle.config_file.write_text(text.replace("[web]", 'nonsense = 1\n[web]\nbind_address = "0.0.0.0"') + "[nowhere]\n")
    told = idle.cli("config", "show")
    assert told.returncode == USAGE
    for key in ("reader.nonsense: unknown key", "web: beyond 127.0.0.1", "nowhere: unknown key"):
        assert f"{idle.config_file}: {key}" in told.stderr
    assert "Traceback" not in told.stderr


def test_config_shows_what_is_in_force_and_hides_secrets(idle: Node) -> None:
    environment = os.environ | {"WETREAD_NODE__PORT": "4104", "WETREAD_BROKER__URL": "redis://:geheim@localhost/0"}
    command = [sys.executable, "-m", "agent", "--config", str(idle.config_file), "config", "show"]
    told = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert "port = 4104" in told.stdout
    assert "geheim" not in told.stdout + told.stderr


def test_absent_configuration_and_broken_toml_are_told(idle: Node) -> None:
    idle.config_file.write_text("[node\n")
    told = idle.cli("study", "list")
    assert (told.returncode, "is no TOML" in told.stderr) == (USAGE, True)
    idle.config_file.unlink()
    told = idle.cli("study", "list")
    assert (told.returncode, "cannot read" in told.stderr) == (USAGE, True)


def test_database_without_tables_is_told(idle: Node) -> None:
    shutil.rmtree(idle.folder / "data")
    told = idle.cli("study", "list")
    assert told.returncode == USAGE
    assert "wetread db upgrade" in told.stderr
    assert idle.cli("db", "upgrade").returncode == DONE
    assert "no study" in idle.cli("study", "list").stdout


def test_unknown_command_is_a_usage_error(idle: Node) -> None:
    assert idle.cli("studies").returncode == USAGE
    assert idle.cli("--help").returncode == DONE


@pytest.mark.parametrize(
    "words", ["show 7", "show 999999999999999999999999", "requeue 1.2", "confirm A", "exclude A --reason r"]
)
def test_unknown_study_is_not_found(idle: Node, words: str) -> None:
    told = idle.cli("study", *words.split())
    assert (told.returncode, "no study has the number" in told.stderr) == (NOT_FOUND, True)


def test_peers_are_added_listed_edited_and_removed(idle: Node) -> None:
    assert idle.ask("ae", "list") == []
    assert idle.cli("ae", "add", "PACS@127.0.0.1:104", "--may-send", "--send-to").returncode == DONE
    assert idle.cli("ae", "add", "CR1", "--may-send").returncode == DONE
    assert idle.cli("ae", "edit", "PACS", "--mode", "hold", "--proof", "acknowledgement").returncode == DONE
    by_title = {peer["ae_title"]: peer for peer in idle.ask("ae", "list")}
    assert by_title["PACS"] == {
        "ae_title": "PACS",
        "host": "127.0.0.1",
        "port": 104,
        "may_send": True,
        "may_verify": True,
        "may_query": False,
        "send_to": True,
        "own_ae_title": "",
        "calls_from": "",
        "maximum_associations": 0,
        "tls": False,
        "tls_name": "",
        "must_use_tls": False,
        "dimse_timeout_seconds": 0,
        "idle_timeout_seconds": 0,
        "acse_timeout_seconds": 0,
        "maximum_pdu_size": 0,
        "retrieve": "move",
        "mode": "hold",
        "proof": "acknowledgement",
        "objects": "basic-text,kos",
        "notices": False,
        "identity_check": False,
        "probed_at": None,
        "takes_nothing": False,
        "comment": "",
    }
    assert "CR1" in idle.cli("ae", "list").stdout
    assert idle.cli("ae", "remove", "CR1").returncode == DONE
    assert [peer["ae_title"] for peer in idle.ask("ae", "list")] == ["PACS"]


def test_every_setting_of_a_peer_is_set_shown_and_taken_back(idle: Node) -> None:
    settings = "--may-send --may-not-verify --may-query --own-ae-title WETREAD2 --from 10.0.0.5,10.1.0.0/16"
    more = "--maximum-associations 3 --tls --tls-name pacs.example.org --must-use-tls"
    terms = "--dimse-timeout 120 --idle-timeout 90 --acse-timeout 20 --maximum-pdu 16384 --retrieve get"
    given = [*settings.split(), *more.split(), *terms.split()]
    assert idle.cli("ae", "add", "PACS@10.0.0.5:104", *given).returncode == DONE
    shown = idle.cli("ae", "list").stdout
    for words in ("--may-not-verify --may-query --own-ae-title WETREAD2 --from 10.0.0.5,10.1.0.0/16", more, terms):
        assert words in shown
    back = "--may-verify --may-not-query --own-ae-title= --from anywhere --maximum-associations 0 --no-tls"
    back += " --dimse-timeout 0 --idle-timeout 0 --acse-timeout 0 --maximum-pdu 0 --retrieve move"
    assert idle.cli("ae", "edit", "PACS", *back.split(), "--tls-name=", "--may-use-no-tls").returncode == DONE
    (peer,) = idle.ask("ae", "list")
    usual = ("", "", 0, False, "", False, 0, 0, 0, 0, "move", True, False)
    names = ("own_ae_title", "calls_from", "maximum_associations", "tls", "tls_name", "must_use_tls")
    names += ("dimse_timeout_seconds", "idle_timeout_seconds", "acse_timeout_seconds", "maximum_pdu_size", "retrieve")
    assert tuple(peer[name] for name in (*names, "may_verify", "may_query")) == usual


def test_wrong_peers_are_refused_with_what_to_do(idle: Node) -> None:
    for arguments, words in (
        (["add", "PACS@127.0.0.1:104"], "--may-send, --send-to or both"),
        (["add", "WETREAD@127.0.0.1:104", "--may-send"], "is our own AE title"),
        (["add", "PACS", "--send-to"], "needs a host"),
        (["add", "PACS@127.0.0.1", "--may-send"], "PACS@10.0.0.5:104"),
        (["add", "A" * 17, "--may-send"], "16 are allowed"),
        (["add", "A", "--may-send", "--from", "the ward"], "addresses and networks such as 10.0.0.5"),
        (["add", "A", "--may-send", "--from", "host"], "--address HOST:PORT"),
        (["echo", "CR1"], "has no address"),
    ):
        if arguments[0] == "echo":
            idle.cli("ae", "add", "CR1", "--may-send")
        told = idle.cli("ae", *arguments)
        assert told.returncode == USAGE, arguments
        assert words in told.stderr
    for deed in ("edit", "remove", "echo"):
        told = idle.cli("ae", deed, "cr1")
        assert (told.returncode, "only the case differs" in told.stderr) == (NOT_FOUND, True)


def test_echo_tells_whether_a_peer_answers(idle: Node, tmp_path: Path) -> None:
    with LoopbackPacs("PACS", 0, tmp_path / "pacs") as pacs:
        idle.add_peer("PACS", pacs.port)
        assert idle.cli("ae", "echo", "PACS").stdout == "PACS answered\n"
        idle.add_peer("OTHER", pacs.port)
        told = idle.cli("ae", "echo", "OTHER")
        assert (told.returncode, "its AE title is not OTHER" in told.stderr) == (FAILED, True)
    told = idle.cli("ae", "echo", "PACS")
    assert (told.returncode, "cannot be reached" in told.stderr) == (FAILED, True)


def test_check_of_a_stopped_node_says_what_to_start(idle: Node) -> None:
    told = idle.cli("check")
    assert told.returncode == FAILED
    for words in ("wetread listen", "wetread work", "Redis does not answer", "wetread ae add"):
        assert words in told.stdout
    found = {finding["subject"]: finding["verdict"] for finding in idle.ask("check")}
    assert (found["broker"], found["books"], found["listen"]) == ("warning", "ok", "wrong")


@pytest.mark.timeout(600)
def test_processes_that_were_stopped_in_order_are_said_to_be_stopped_at_once(tmp_path: Path) -> None:
    with Node(tmp_path / "node") as node:
        running = {finding["subject"]: finding["words"] for finding in node.ask("check")}
    stopped = {finding["subject"]: finding["words"] for finding in node.ask("check")}

    for name in ("listen", "dispatch", "work", "send", "web"):
        assert running[name].endswith(" s ago")
        assert "was stopped" in stopped[name]


def test_taken_port_is_told_by_listen(idle: Node, tmp_path: Path) -> None:
    with LoopbackPacs("PACS", idle.port, tmp_path / "pacs"):
        told = idle.cli("listen")
    assert (told.returncode, "choose another with node.port" in told.stderr) == (USAGE, True)


# --- with everything running ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, LoopbackPacs]]:
    folder = tmp_path_factory.mktemp("cli")
    with LoopbackPacs("PACS", 0, folder / "pacs") as pacs, Node(folder / "node") as node:
        node.add_peer("PACS", pacs.port, send_to=True)
        yield node, pacs


def book_of(node: Node, study: str) -> str:
    """The book of the newest revision, asked of the database: a command for each look would cost a second."""
    newest = select(Revision.book).join(Study).where(Study.study_instance_uid == study)
    with node.database.read() as tx:
        return str(tx.scalars(newest.order_by(Revision.number.desc())).first())


def workitem_of(node: Node, study: str) -> tuple[str, str]:
    """State and hold reason of the newest workitem."""
    newest = select(Workitem).join(Revision).join(Study).where(Study.study_instance_uid == study)
    with node.database.read() as tx:
        found = tx.scalars(newest.order_by(Workitem.id.desc())).first()
    return (found.state.value, found.hold_reason) if found else ("", "")


def wait_for_book(node: Node, study: str, book: str) -> dict[str, Any]:
    wait_until(lambda: book_of(node, study) == book, f"the study to be {book}", seconds=180)
    return show(node, study)


@pytest.mark.timeout(600)
def test_one_study_is_listed_shown_and_read_anew(house: tuple[Node, LoopbackPacs], tmp_path: Path) -> None:
    node, pacs = house
    study = send(node, tmp_path, new_film(AccessionNumber="ACC-1"))
    shown = wait_for_book(node, study, "delivered")
    assert [(one["stage"], one["state"]) for one in shown["deliveries"]] == [("draft", "COMMITTED")]
    events = [event["event"] for event in shown["timeline"]]
    order = [
        "study-opened",
        "study-complete",
        "workitem-claimed",
        "draft-recorded",
        "delivery-sent",
        "delivery-committed",
    ]
    assert [event for event in events if event in order] == order
    assert study in node.cli("study", "list", "--book", "delivered").stdout
    text = node.cli("study", "show", "ACC-1")
    assert (text.returncode, "TIMELINE" in text.stdout) == (DONE, True)
    assert node.cli("study", "confirm", study).returncode == WRONG_STATE

    told = node.cli("study", "requeue", study)
    words = f"study #1 (accession number ACC-1, Study Instance UID {study}): revision 2 scheduled\n"
    assert (told.returncode, told.stdout) == (DONE, words)
    assert wait_for_book(node, study, "delivered")["revision"] == 2
    drafts = [arrival for arrival in pacs.received if arrival.sop_class_uid == BasicTextSRStorage]
    assert len({arrival.sop_instance_uid for arrival in drafts if arrival.study_instance_uid == study}) == 2
    assert [report["state"] for report in show(node, study)["reports"]] == ["DRAFT", "SUPERSEDED"]
    assert (node.folder / "logs" / "work.log").read_text().count('"ended": "drafted"') >= 2  # one line for each reading


@pytest.mark.timeout(600)
def test_unsure_film_waits_for_a_person_who_confirms(house: tuple[Node, LoopbackPacs], tmp_path: Path) -> None:
    node, _ = house
    image = new_film()
    for keyword in ("BodyPartExamined", "AnatomicRegionSequence", "SeriesDescription", "StudyDescription"):
        if keyword in image:
            delattr(image, keyword)
    study = send(node, tmp_path, image)
    wait_until(lambda: workitem_of(node, study)[1], "the film to be held")
    assert show(node, study)["where"].startswith("held: ")
    assert study in node.cli("study", "list", "--held").stdout
    assert node.ask("queue")["held"] == 1
    assert node.cli("study", "requeue", study).returncode == WRONG_STATE
    assert node.cli("study", "confirm", study).returncode == DONE
    shown = wait_for_book(node, study, "delivered")
    confirmed = next(event for event in shown["timeline"] if event["event"] == "study-confirmed")
    assert confirmed["actor"].startswith("command:")


@pytest.mark.timeout(600)
def test_paused_node_receives_and_claims_nothing(house: tuple[Node, LoopbackPacs], tmp_path: Path) -> None:
    node, pacs = house
    assert node.cli("pause").returncode == DONE
    study = send(node, tmp_path, new_film())
    wait_until(lambda: workitem_of(node, study)[0] == "SCHEDULED", "the study to be complete")
    time.sleep(3)  # more than the engine's own pace of 2 s
    assert show(node, study)["where"] == "waiting to be read"
    assert node.ask("queue")["paused"] == {"work": True, "send": True, "receive": False}
    assert "PAUSED: Reading is paused by" in node.cli("queue").stdout
    assert {"subject", "verdict", "words"} <= node.ask("check")[0].keys()
    assert node.cli("check").returncode == DONE, "a pause is a warning"

    assert node.cli("resume", "--what", "work").returncode == DONE
    wait_until(lambda: workitem_of(node, study)[0] == "COMPLETED", "the draft", seconds=60)
    assert show(node, study)["where"] == "drafted, on its way"
    time.sleep(1.5)
    assert study not in {arrival.study_instance_uid for arrival in pacs.received}
    assert node.cli("resume").returncode == DONE
    wait_for_book(node, study, "delivered")


@pytest.mark.timeout(600)
def test_person_excludes_a_held_study(house: tuple[Node, LoopbackPacs], tmp_path: Path) -> None:
    node, _ = house
    study = send(node, tmp_path, new_film(PatientID=""))
    wait_until(lambda: workitem_of(node, study)[1] == "no-patient-id", "the study to be held")
    told = node.cli("study", "confirm", study)
    assert (told.returncode, "held (no-patient-id)" in told.stderr) == (WRONG_STATE, True)
    assert node.cli("study", "exclude", study, "--reason", "sent by mistake").returncode == DONE
    shown = show(node, study)
    assert (shown["book"], shown["explanation"]) == ("excluded", "sent by mistake")
    assert node.cli("study", "exclude", study, "--reason", "again").returncode == WRONG_STATE


@pytest.mark.timeout(600)
def test_backup_of_the_running_node_comes_back_elsewhere(house: tuple[Node, LoopbackPacs], tmp_path: Path) -> None:
    node, _ = house
    study = send(node, tmp_path, new_film())
    wait_for_book(node, study, "delivered")
    archive = tmp_path / "backup.tar"
    assert node.cli("db", "backup", str(archive)).returncode == DONE
    assert node.cli("db", "backup", str(archive)).returncode == USAGE, "it would have overwritten a backup"

    other = Node(tmp_path / "other")
    other.database.close()
    told = other.cli("db", "restore", str(archive))
    assert (told.returncode, "--replace" in told.stderr) == (USAGE, True)
    assert other.cli("db", "restore", str(archive), "--replace").returncode == DONE
    assert show(other, study)["book"] == "delivered"
    with other.database.read() as tx:
        digests = tx.scalars(select(Report.digest)).all()
        assert tx.scalar(select(func.count(AuditRow.id)))
        assert tx.scalar(select(func.count(Instance.id)))
    assert digests
    for digest in digests:
        document = stored_path(other.config.node.store_folder, digest)
        assert hashlib.sha256(document.read_bytes()).hexdigest() == digest
        assert dcmread(document).Modality == "SR"
    found = {finding["subject"]: finding["verdict"] for finding in other.ask("check")}
    assert (found["books"], found["audit trail"]) == ("ok", "ok")


def test_backup_replaces_a_database_that_cannot_be_read(idle: Node, tmp_path: Path) -> None:
    idle.add_peer("PACS", free_port())
    archive = tmp_path / "backup.tar"
    assert idle.cli("db", "backup", str(archive)).returncode == DONE
    idle.database.close()
    (idle.folder / "data" / "wetread.db").write_bytes(b"damaged" * 1000)
    told = idle.cli("db", "restore", str(archive), "--replace")
    assert told.returncode == DONE, told.stderr
    assert [peer["ae_title"] for peer in idle.ask("ae", "list")] == ["PACS"]


def test_restore_is_refused_while_it_runs(house: tuple[Node, LoopbackPacs], tmp_path: Path) -> None:
    node, _ = house
    archive = tmp_path / "backup.tar"
    assert node.cli("db", "backup", str(archive)).returncode == DONE
    told = node.cli("db", "restore", str(archive), "--replace")
    assert (told.returncode, "stop it first" in told.stderr) == (USAGE, True)


def test_damaged_backup_is_refused_and_the_database_that_is_there_stays(idle: Node, tmp_path: Path) -> None:
    idle.add_peer("PACS", free_port())
    archive = tmp_path / "backup.tar"
    assert idle.cli("db", "backup", str(archive)).returncode == DONE
    archive.write_bytes(archive.read_bytes()[:3000])
    idle.config.node.store_folder.rename(tmp_path / "away")
    told = idle.cli("db", "restore", str(archive), "--replace")
    assert told.returncode == USAGE
    assert not idle.config.node.store_folder.exists(), "nothing is put where its disk belongs"
    assert "Traceback" not in told.stderr
    assert [peer["ae_title"] for peer in idle.ask("ae", "list")] == ["PACS"]
