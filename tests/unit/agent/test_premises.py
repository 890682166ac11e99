"""What the pages say of the port, whatever it speaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from agent.config import Config
from agent.pages import make_pages
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from tests.harness.certificates import Authority
from tests.harness.installation import install


@pytest.mark.parametrize("secured", [False, True])
def test_peers_page_names_the_port_that_is_open_and_who_may_verify(tmp_path: Path, secured: bool) -> None:
    ours = Authority(tmp_path / "certificates").issue("wetread")
    node = NodeConfig(
        data_folder=tmp_path,
        port=11112,
        tls_port=2762,
        tls_certificate=ours.certificate,
        tls_key=ours.key,
        tls_ca=ours.authorities,
        tls_only=secured,
        strangers_may_verify=not secured,
    )
    database = Database(node.database_url)
    install(database)
    page = TestClient(make_pages(Config(node=node), database), base_url="http://127.0.0.1").get("/peers").text
    database.close()
    assert f"port <b>{2762 if secured else 11112}</b>" in page
    assert ("everybody may send C-ECHO" in page) is not secured
    assert ("nobody else may send anything, not even C-ECHO" in page) is secured
