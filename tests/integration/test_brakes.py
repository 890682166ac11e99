"""`wetread pause` and `resume`: for all, for one peer, and for receiving; who did it is on record."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner
from pydicom.uid import UID
from pynetdicom import AE
from sqlalchemy import select

from agent.cli import wetread
from dicom_node.listener import Listener
from dicom_node.tables import AuditRow, Instance, RemoteAE, Switch
from dicom_node.worklist import pauses
from tests.harness import dcmtk
from tests.harness.node import Node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Its configuration and database, and a listener in this process; nothing else runs."""
    made = Node(tmp_path / "node")
    with made.database.write() as tx:
        for title in ("PACS", "CR1"):
            tx.add(RemoteAE(ae_title=title, host="127.0.0.1", port=104, may_send=True))
    listener = Listener(made.config.node, made.database)
    listener.start()
    yield made
    listener.stop(patience_seconds=5)
    made.database.close()


def type_(node: Node, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(wetread, ["--config", str(node.config_file), *arguments])
    return (1 if result.exception and result.exit_code == 0 else result.exit_code), result.output or str(
        result.exception
    )


def test_peer_that_is_paused_is_refused_for_now_and_the_others_are_not(node: Node, image: Path) -> None:
    assert type_(node, "pause", "--peer", "PACS") == (
        0,
        "paused: send PACS, receive PACS; go on with: wetread resume --what send --what receive --peer 'PACS'\n",
    )
    refused = dcmtk.store(node.port, image, calling="PACS")
    assert refused.returncode != 0
    assert "Rejected Transient" in refused.stdout
    assert dcmtk.echo(node.port, calling="PACS").returncode == 0
    assert dcmtk.store(node.port, image, calling="CR1").returncode == 0
    code, shown = type_(node, "queue")
    assert code == 0
    assert "PAUSED: Receiving from PACS is paused by command:" in shown
    assert "go on with: wetread resume --what receive --peer 'PACS'" in shown
    assert type_(node, "resume", "--peer", "PACS")[0] == 0
    assert dcmtk.store(node.port, image, calling="PACS").returncode == 0


@pytest.mark.parametrize("brake", [("--all",), ("--peer", "PACS")])
def test_a_pause_holds_in_the_middle_of_an_association(node: Node, image: Path, brake: tuple[str, ...]) -> None:
    """A storm is often one association, which may go on for hours."""
    films = [pydicom.dcmread(image) for _ in range(3)]
    for number, film in enumerate(films):
        film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{4711 + number}")
    sender = AE(ae_title="PACS")
    sender.add_requested_context(films[0].SOPClassUID, films[0].file_meta.TransferSyntaxUID)
    association = sender.associate("127.0.0.1", node.port, ae_title=node.config.node.ae_title)
    assert association.send_c_store(films[0]).Status == 0x0000
    assert type_(node, "pause", *brake)[0] == 0
    answer = association.send_c_store(films[1])
    assert (answer.Status, answer.ErrorComment) == (0xA700, "a person paused receiving; send again later")
    assert type_(node, "resume", *brake)[0] == 0
    assert association.send_c_store(films[2]).Status == 0x0000
    association.release()
    with node.database.read() as tx:
        assert set(tx.scalars(select(Instance.sop_instance_uid))) == {"2.25.4711", "2.25.4713"}


def test_emergency_stop_stops_everything_and_is_audited(node: Node, image: Path) -> None:
    assert type_(node, "pause", "--peer", "CR1", "--what", "send")[0] == 0
    assert type_(node, "pause", "--all") == (
        0,
        "paused: work, send, receive; go on with: wetread resume --what work --what send --what receive\n",
    )
    assert "Rejected Transient" in dcmtk.store(node.port, image).stdout
    paused = json.loads(type_(node, "queue", "--json")[1])
    assert paused["paused"] == {"work": True, "send": True, "receive": True}
    assert paused["paused_peers"] == [{"what": "send", "peer": "CR1"}]
    assert type_(node, "resume", "--all")[0] == 0
    after = json.loads(type_(node, "queue", "--json")[1])
    assert (any(after["paused"].values()), after["paused_peers"]) == (False, [])
    assert dcmtk.store(node.port, image).returncode == 0
    with node.database.read() as tx:
        switched = tx.scalars(select(AuditRow).where(AuditRow.event == "switched")).all()
    assert len(switched) == 1 + 3 + 4
    assert all(row.actor.startswith("command:") for row in switched)


def test_mistakes_are_told(node: Node) -> None:
    assert "reading cannot be paused for one peer" in type_(node, "pause", "--what", "work", "--peer", "PACS")[1]
    assert "'NOBODY' is not registered" in type_(node, "pause", "--peer", "NOBODY")[1]
    assert "knows no --peer" in type_(node, "pause", "--all", "--peer", "PACS")[1]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--all",),
        ("--what", "receive"),
        ("--what", "work", "--what", "receive"),
        ("--peer", "PACS"),
        ("--peer", "PACS", "--peer", "CR1", "--what", "send"),
    ],
)
def test_command_that_a_pause_prints_undoes_it_and_nothing_else(node: Node, options: tuple[str, ...]) -> None:
    type_(node, "pause", "--peer", "CR1", "--what", "receive")
    before = brakes(node)
    _, told = type_(node, "pause", *options)
    assert brakes(node) > before
    assert type_(node, *shlex.split(told.split("go on with: wetread ")[1]))[0] == 0
    assert brakes(node) == before


def test_going_on_where_nothing_is_paused_is_a_mistake_and_changes_nothing(node: Node) -> None:
    type_(node, "pause", "--peer", "PACS", "--what", "send")
    for options in (("--peer", "PACSS"), ("--peer", "PACS", "--peer", "PACSS"), ("--what", "receive"), ()):
        code, told = type_(node, "resume", *options)
        assert code != 0
        assert "Sending to PACS is paused: wetread resume --what send --peer 'PACS'" in told
    with node.database.read() as tx:
        assert len(tx.scalars(select(AuditRow).where(AuditRow.event == "switched")).all()) == 1
        assert [row.name for row in tx.scalars(select(Switch))] == ["pause-send PACS"]
    assert type_(node, "resume", "--all") == (0, "going on: send PACS\n")
    assert type_(node, "resume", "--all") == (0, "nothing was paused\n")


def brakes(node: Node) -> set[tuple[str, str]]:
    with node.database.read() as tx:
        return {(brake.what, brake.peer) for brake in pauses.pauses(tx)}
