"""Ten typical mistakes when a PACS is connected, each made for real: deploy/docs/connect.md quotes what is said then.

WETREAD_WRITE_DOCS=1 writes the quotations anew.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydicom.uid import CTImageStorage

from agent import certificates, disk
from agent.cli import wetread
from agent.config import Config, read_config
from dicom_node.access import VERIFICATION
from dicom_node.database import Database
from dicom_node.listener import Listener
from dicom_node.tls import Files
from tests.harness import dcmtk
from tests.harness.certificates import DAY, Authority
from tests.harness.door import small_film
from tests.harness.installation import empty_database
from tests.harness.node import free_port, wait_until

DOCUMENT = Path(__file__).parents[2] / "deploy" / "docs" / "connect.md"
HOST = "127.0.0.1"


@dataclass
class Site:
    """A node that only listens, its commands, and a PACS of dcmtk; what is said is kept as the document has it."""

    folder: Path
    port: int
    tls_port: int
    authority: Authority
    stack: ExitStack

    def open(self, *, node: str = "", certificate: str = "", seconds: int = 30) -> None:
        """Write the configuration and open the port."""
        self.config_file.write_text(
            f'[node]\nbind_address = "{HOST}"\nport = {self.port}\ntls_port = {self.tls_port}\n'
            f"data_folder = {json.dumps(str(self.folder / 'data'))}\ndimse_timeout_seconds = {seconds}\n"
            + ("" if "reserve_mebibytes" in node else "reserve_mebibytes = 1\n")
            + f"{node}\n{certificate}\n"
        )
        database = Database(self.config.node.database_url)
        self.stack.callback(database.close)
        listener = Listener(self.config.node, database)
        listener.start()
        self.stack.callback(listener.stop, patience_seconds=1)

    def open_tls(self, **faults: object) -> None:
        """As `open`, with TLS; `faults` of our own certificate."""
        ours = self.authority.issue("wetread", **faults)  # type: ignore[arg-type]
        files = {"tls_certificate": ours.certificate, "tls_key": ours.key, "tls_ca": ours.authorities}
        self.open(certificate="\n".join(f"{name} = {json.dumps(str(path))}" for name, path in files.items()))

    @property
    def config_file(self) -> Path:
        return self.folder / "wetread.toml"

    @property
    def config(self) -> Config:
        return read_config(self.config_file)

    def type(self, *words: str) -> Result:
        return CliRunner().invoke(wetread, ["--config", str(self.config_file), *words])

    def must(self, *words: str) -> None:
        done = self.type(*words)
        assert done.exit_code == 0, done.output

    def add_pacs(self, port: int, *options: str, host: str = HOST) -> None:
        self.must("ae", "add", f"PACS@{host}:{port}", "--may-send", "--send-to", "--no-probe", *options)

    def echoes(self, port: int) -> list[str]:
        """`wetread ae echo PACS`, which must fail."""
        done = self.type("ae", "echo", "PACS")
        assert done.exit_code == 1, done.output
        return [f"[wetread ae echo PACS] {self.plain(done.output.strip(), port)}"]

    def refusals(self, port: int = 0) -> list[str]:
        """`wetread ae refused`: the explanations."""
        found = wait_until(lambda: json.loads(self.type("ae", "refused", "--json").output), "a refusal", seconds=30)
        return [f"[wetread ae refused] {self.plain(row['explanation'], port)}" for row in found]

    def plain(self, words: str, port: int) -> str:
        """As in the document: an example's addresses, dates and numbers."""
        words = words.replace(str(self.authority.folder), "/etc/wetread").replace(
            str(self.folder / "data"), "/var/lib/wetread"
        )
        words = words.replace(f":{port}", ":104").replace(HOST, "10.0.0.5").replace("localhost", "pacs.example.org")
        words = re.sub(r"\d{4}-\d\d-\d\d", "2026-11-22", words)
        words = re.sub(r"\b\d+ MiB free", "1500 MiB free", words).replace("99999999", "2048")
        return words.replace("within 30 s", "within 60 s").replace("within 2 s", "within 10 s")

    def send(
        self, folder: Path, *, calling: str = "PACS", called: str = "WETREAD", options: tuple[str, ...] = ()
    ) -> str:
        """storescu; its words where it fails."""
        film = folder / "film.dcm"
        small_film().save_as(film, enforce_file_format=True)
        done = dcmtk.store(self.port, film, calling=calling, called=called, options=options)
        return done.stdout if done.returncode else ""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "wetread.db").write_bytes(empty_database())
    with ExitStack() as stack:
        yield Site(tmp_path, free_port(), free_port(), Authority(tmp_path / "certificates"), stack)


def wrong_case(site: Site) -> list[str]:
    site.open()
    site.must("ae", "add", "PACS", "--may-send")
    assert site.send(site.folder, calling="Pacs")
    return site.refusals()


def wrong_port(site: Site) -> list[str]:
    site.open()
    port = free_port()
    site.add_pacs(port)
    nobody = site.echoes(port)
    with _web_server() as other:
        site.must("ae", "edit", "PACS", "--address", f"{HOST}:{other}")
        hangs_up = site.echoes(other)
    with socket.create_server((HOST, 0)) as silent:  # the kernel takes connections that nobody ever reads
        other = silent.getsockname()[1]
        site.must("ae", "edit", "PACS", "--address", f"{HOST}:{other}", "--acse-timeout", "1", "--no-probe")
        says_nothing = [words.replace("within 1 s", "within 60 s") for words in site.echoes(other)]
    return [*nobody, *hangs_up, *says_nothing]


def firewall(site: Site) -> list[str]:
    site.open(seconds=2)
    with _drops_connections() as port:
        site.add_pacs(port)
        return site.echoes(port)


def called_title(site: Site) -> list[str]:
    site.open()
    site.must("ae", "add", "PACS", "--may-send")
    assert site.send(site.folder, called="CHEST_AI")
    refused = site.refusals()
    with dcmtk.archive(site.folder / "archive", title="ARCHIVE") as port:
        site.must("ae", "edit", "PACS", "--address", f"{HOST}:{port}")
        return [*refused, *site.echoes(port)]


def tls_name(site: Site) -> list[str]:
    site.open_tls()
    theirs = site.authority.issue("pacs", alternatives=["archive.example.org"])
    with _tls_pacs(site, theirs) as port:
        site.add_pacs(port, "--tls", host="localhost")
        return site.echoes(port)


def expired(site: Site) -> list[str]:
    site.open_tls(begins=-9 * DAY, ends=-DAY)
    theirs = site.authority.issue("pacs", begins=-9 * DAY, ends=-DAY)
    with _tls_pacs(site, theirs, "-ic") as port:
        site.add_pacs(port, "--tls", host="localhost")
        told = site.echoes(port)
    return [*told, *_checked(site)]


def no_sr(site: Site) -> list[str]:
    site.open()
    folder = site.folder / "pacs"
    only_ct = dcmtk.profile(folder, VERIFICATION, str(CTImageStorage))
    with dcmtk.receiver(folder, *only_ct, title="PACS") as port:
        site.add_pacs(port)
        done = site.type("ae", "probe", "PACS")
    assert done.exit_code == 1, done.output
    site.must("ae", "edit", "PACS", *done.output.split("edit 'PACS' ")[1].split()[:2])
    wanted = ("no narrative", "no tid1500", "no kos", "proof acknowledgement", "recommended", "ATTENTION")
    lines = [line for line in done.output.splitlines() if line.startswith(wanted)]
    assert len(lines) == len(wanted), done.output
    return [f"[wetread ae probe PACS] {line}" for line in lines]


def disk_full(site: Site) -> list[str]:
    site.open(node="reserve_mebibytes = 99999999")
    site.must("ae", "add", "PACS", "--may-send")
    assert site.send(site.folder)
    *_, words = disk.examine(site.config.node)
    return [*site.refusals(), f"[wetread check] disk: {site.plain(words, 0)}"]


def clock_off(site: Site) -> list[str]:
    site.open_tls(begins=DAY)
    theirs = site.authority.issue("pacs", begins=DAY)
    with _tls_pacs(site, theirs, "-ic") as port:
        site.add_pacs(port, "--tls", host="localhost")
        told = site.echoes(port)
    return [*told, *_checked(site)]


def unknown_caller(site: Site) -> list[str]:
    site.open()
    site.must("ae", "add", "PACS", "--may-send")
    assert site.send(site.folder, calling="XRAY2")
    return site.refusals()


MISTAKES: dict[str, Callable[[Site], Sequence[str]]] = {
    "1. Wrong case of the AE title": wrong_case,
    "2. Wrong port": wrong_port,
    "3. A firewall in between": firewall,
    "4. Wrong called AE title": called_title,
    "5. The certificate is for another name": tls_name,
    "6. An expired certificate": expired,
    "7. The PACS takes no Structured Reports": no_sr,
    "8. The disk is full": disk_full,
    "9. A clock is wrong": clock_off,
    "10. An unknown caller": unknown_caller,
}


@pytest.mark.parametrize("heading", MISTAKES)
def test_document_quotes_what_is_said(site: Site, heading: str) -> None:
    said = "\n".join(MISTAKES[heading](site))
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(rf"(?<=^## {re.escape(heading)}\n).*?```\n(.*?)\n```", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {heading} with a quotation"
    if os.environ.get("WETREAD_WRITE_DOCS") == "1":
        DOCUMENT.write_text(text[: found.start(1)] + said + text[found.end(1) :], encoding="utf-8")
        return
    assert found[1] == said


def test_every_section_of_the_document_is_tried() -> None:
    headings = re.findall(r"^## (\d+\. .*)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(MISTAKES)


def _checked(site: Site) -> list[str]:
    told = {setting: words for setting, _, words in certificates.examine(site.config, datetime.now(UTC))}
    return [f"[wetread check] node.tls_certificate: {site.plain(told['node.tls_certificate'], 0)}"]


@contextmanager
def _tls_pacs(site: Site, files: Files, *more: str) -> Iterator[int]:
    options = ("+tls", str(files.key), str(files.certificate), "+cf", str(files.authorities))
    with dcmtk.receiver(site.folder / "pacs", *options, *more, title="PACS") as port:
        yield port


@contextmanager
def _web_server() -> Iterator[int]:
    """Something that listens and is no DICOM node: it answers everything with words and hangs up."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1024)
                    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def _drops_connections() -> Iterator[int]:
    """A port whose queue is full: the kernel drops what comes, as a firewall does."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((HOST, 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]
