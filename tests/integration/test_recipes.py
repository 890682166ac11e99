"""What the sheet tells to type into Orthanc, typed into Orthanc: it routes films to us, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.config import Config
from agent.papers.facts import gather
from agent.papers.recipes import orthanc_json, orthanc_lua
from dicom_node import peers
from dicom_node.database import clock
from dicom_node.tables import RemoteAE
from tests.harness import dcmtk
from tests.harness.door import Door, OpenDoor, small_film
from tests.harness.node import wait_until
from tests.harness.orthanc import TITLE, Orthanc


@pytest.fixture
def door(open_door: OpenDoor) -> Door:
    door = open_door()
    with door.database.write() as tx:
        peers.add(tx, RemoteAE(ae_title=TITLE, may_send=True), now=clock(tx), actor="test")
    return door


def send(folder: Path, port: int, modality: str, calling: str = "CR1") -> str:
    image = small_film(Modality=modality)
    path = folder / f"{modality}.dcm"
    image.save_as(path, enforce_file_format=True)
    done = dcmtk.store(port, path, calling=calling, called=TITLE)
    assert done.returncode == 0, done.stdout
    return str(image.SOPInstanceUID)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_orthanc_does_what_the_sheet_says(door: Door, tmp_path: Path) -> None:
    with door.database.read() as tx:
        facts = gather(Config(node=door.config), tx, host="127.0.0.1")
    orthanc = Orthanc(tmp_path / "orthanc", wetread_port=1, routes=False)
    script = tmp_path / "wetread.lua"
    script.write_text(orthanc_lua(facts))
    config = json.loads(orthanc._config.read_text()) | json.loads(orthanc_json(facts))
    orthanc._config.write_text(json.dumps({**config, "LuaScripts": [str(script)]}))
    with orthanc:
        send(tmp_path, orthanc.port, "OT")
        send(tmp_path, orthanc.port, "CR", calling="WETREAD")  # as if it were a draft of ours
        film = send(tmp_path, orthanc.port, "DX")
        wait_until(door.instances, "Orthanc to route the film", seconds=60)
        assert [instance.sop_instance_uid for instance in door.instances()] == [film]
        assert door.instances()[0].calling_ae_title == TITLE
        orthanc.ask("/system")
