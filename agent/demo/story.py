"""The demonstration: everything real, on this machine alone, and everything stopped afterwards."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.uid import generate_uid
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent import schema
from agent.config import Config, read_config
from agent.demo import phantom, picture
from agent.supervisor import PROCESSES, Supervisor
from dicom_node import loopback, peers, worklist
from dicom_node.aet import RemoteAddress
from dicom_node.beats import is_ready
from dicom_node.database import Database, clock
from dicom_node.errors import ConfigurationError, SendFailure, WetreadError
from dicom_node.tables import AuditRow, Book, Delivery, Mode, ProcessBeat, Proof, Reception, RemoteAE, Study, Workitem
from reports.render import as_text

PACS, OWN = "DEMO-PACS", "WETREAD"
_LET_IN = "user add rita --name 'Reader^Rita' --role radiologist --organization Demonstration"
_LOADED = MappingProxyType({"work": " and holds its model"})
_START_SECONDS, _READ_SECONDS = 90.0, 300.0

_CONFIG = """# Made by the demonstration.
[node]
ae_title = "{own}"
bind_address = "127.0.0.1"
port = {port}
data_folder = {data}
quiet_seconds = 1
deadline_seconds = 10
reserve_mebibytes = 64
[reader]
precision = "fp32"
debug_images = {images}
[web]
port = {web_port}
[log]
format = "json"
"""


@dataclass(frozen=True, slots=True)
class Result:
    """Where the demonstration left its three files."""

    folder: Path
    draft: Path
    picture: Path


class DemonstrationEnded(WetreadError):
    """The film did not become a draft; the message says why."""


class Demonstration:
    """One run. `tell` gets each line for the person who watches."""

    def __init__(self, folder: Path, *, port: int, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._began = self._sent = time.monotonic()
        self._config_file = folder / "wetread.toml"
        self._config = self._write_config(port)
        self._database = Database(self._config.node.database_url)
        self._told = 0

    def run(self, image: Path | None, *, now: datetime, keep: Callable[[], None] | None = None) -> Result:
        """Send one film and wait for its draft. Raises DemonstrationEnded, ConfigurationError."""
        pacs_folder = self._folder / "pacs"
        with loopback.LoopbackPacs(PACS, 0, pacs_folder) as pacs:
            self._prepare(pacs)
            supervisor = Supervisor(self._config, self._config_file, self._folder / "logs")
            try:
                self._say(f"starting Redis, listen, dispatch, work, send, web: {OWN} on port {self._config.node.port}")
                supervisor.start()
                film = image or self._draw(now)
                self._wait_until_ready(supervisor)
                self._send(film)
                result = self._follow(supervisor, pacs, film)
                self._keep(keep)
                self._say("stopping everything")
            except DemonstrationEnded as ended:
                self._say(f"ended without a draft: {ended}")
                self._keep(keep)
                raise DemonstrationEnded(f"{ended}\n{self._where_to_look()}") from ended
            finally:  # also where nobody reads any more what we say
                supervisor.stop()
                self._database.close()
        self._clean_up()
        return result

    def _keep(self, keep: Callable[[], None] | None) -> None:
        """Leave everything running while the person wants it, and say what can be asked meanwhile."""
        if keep is not None:
            self._tell(f"\nthe pages:    http://127.0.0.1:{self._config.web.port}")
            self._tell(f"the commands: {self._command('study list')}")
            self._tell(f"to sign, open the link that this prints:\n              {self._command(_LET_IN)}")
            keep()

    def _command(self, words: str) -> str:
        """A command line that works as it stands, whatever PATH holds."""
        program = Path(sys.executable).parent / "wetread"
        start = [str(program)] if program.exists() else [sys.executable, "-m", "agent"]
        return f"{shlex.join([*start, '--config', str(self._config_file)])} {words}"

    def _where_to_look(self) -> str:
        return (
            f"The logs lie in {self._folder / 'logs'}. What happened to the film: {self._command('study show 1')}\n"
            f"{self._folder} is yours to delete."
        )

    def _clean_up(self) -> None:
        """The node's folder, and the configuration that would point at nothing."""
        shutil.rmtree(self._config.node.data_folder, ignore_errors=True)
        self._config_file.unlink(missing_ok=True)

    # --- before ---------------------------------------------------------------------------------------------------

    def _write_config(self, port: int) -> Config:
        self._config_file.write_text(
            _CONFIG.format(
                own=OWN,
                port=_usable_port(port),
                web_port=_usable_port(0),
                data=json.dumps(str(self._folder / "node")),
                images=json.dumps(str(self._folder / "films")),
            )
        )
        return read_config(self._config_file)

    def _prepare(self, pacs: loopback.LoopbackPacs) -> None:
        schema.upgrade(self._database)
        address = pacs.address
        with self._database.write() as tx:
            peer = RemoteAE(
                ae_title=PACS,
                host=address.host,
                port=address.port,
                may_send=True,
                send_to=True,
                mode=Mode.DRAFT,
                proof=Proof.QUERY,
            )
            peers.add(tx, peer, now=clock(tx), actor="demo")
        self._say(f"loopback PACS {PACS} listens on port {address.port}")

    def _wait_until_ready(self, supervisor: Supervisor) -> None:
        """The port is open and the worker holds its model."""
        deadline = time.monotonic() + _START_SECONDS
        up: set[str] = set()
        while time.monotonic() < deadline:
            supervisor.look_after()
            for name in sorted(self._beating() - up):
                up.add(name)
                self._say(f"{name} is up (process {supervisor.process_ids()[name]}){_LOADED.get(name, '')}")
            if up >= set(PROCESSES) and self._listens():
                return
            time.sleep(0.1)
        raise DemonstrationEnded(f"the processes did not start in {_START_SECONDS:.0f} s")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self._config.node.port)) == 0

    def _beating(self) -> set[str]:
        with self._database.read() as tx:
            return {beat.name.split("@")[0] for beat in tx.scalars(select(ProcessBeat)) if is_ready(beat)}

    def _draw(self, now: datetime) -> Path:
        path = self._folder / "phantom.dcm"
        phantom.film(4711, now=now, new_uid=lambda: str(generate_uid(prefix=None))).save_as(
            path, enforce_file_format=True
        )
        return path

    # --- the study ------------------------------------------------------------------------------------------------

    def _send(self, film: Path) -> None:
        self._sent = time.monotonic()
        self._say(f"{PACS} sends {film.name} by C-STORE")
        to = RemoteAddress(OWN, "127.0.0.1", self._config.node.port)
        try:
            status = loopback.send(film, to, PACS)
        except SendFailure as error:
            raise DemonstrationEnded(f"the film was not taken: {error}") from error
        self._say(f"answered 0x{status:04X}: the film is on the disk and in the books")

    def _follow(self, supervisor: Supervisor, pacs: loopback.LoopbackPacs, film: Path) -> Result:
        """Show what happens until the draft is proven to be in the PACS."""
        deadline = time.monotonic() + _READ_SECONDS
        while time.monotonic() < deadline:
            supervisor.look_after()
            with self._database.read() as tx:
                self._tell_news(tx)
                study = tx.scalar(select(Study))
                if study is not None and self._is_done(tx, study):
                    return self._collect(tx, pacs, film)
                held = study is not None and tx.scalar(select(Workitem.hold_reason))
            if held:
                self._confirm()
            time.sleep(0.05)
        raise DemonstrationEnded(f"no draft within {_READ_SECONDS:.0f} s")

    def _is_done(self, tx: Session, study: Study) -> bool:
        revision = worklist.current_revision(tx, study)
        if revision.book is Book.DELIVERED:
            return True
        if revision.book is not Book.IN_FLIGHT:
            raise DemonstrationEnded(f"no draft: {revision.book} ({revision.reason}): {revision.explanation}")
        return False

    def _confirm(self) -> None:
        with self._database.write() as tx:
            study = tx.scalars(select(Study)).one()
            if study.hold_reason:
                raise DemonstrationEnded(f"no draft: the study is held ({study.hold_reason}); nothing is sent")
            self._say("the gate cannot tell whether this is a frontal chest film; the demonstration confirms it")
            worklist.confirm(tx, study, clock(tx), actor="demo")

    def _tell_news(self, tx: Session) -> None:
        rows = tx.scalars(select(AuditRow).where(AuditRow.id > self._told).order_by(AuditRow.id)).all()
        for row in rows:
            self._told = row.id
            if row.study_id is not None:
                words = " ".join(f"{name}={value}" for name, value in json.loads(row.detail).items() if value != "")
                self._say(f"{row.event:22} {_short(row.actor):10} {words}".rstrip())

    # --- after ----------------------------------------------------------------------------------------------------

    def _collect(self, tx: Session, pacs: loopback.LoopbackPacs, film: Path) -> Result:
        """The draft as the PACS got it, and a picture of film and draft."""
        uid = tx.scalars(select(Delivery.sop_instance_uid)).one()
        arrived = next(arrival for arrival in pacs.received if arrival.sop_instance_uid == uid)
        received = len(tx.scalars(select(Reception.id)).all())
        draft = self._folder / "draft.dcm"
        shutil.copy(arrived.path, draft)
        document = dcmread(draft)
        text = as_text(document)
        seen = next((self._folder / "films").glob("*.png"))
        target = self._folder / "film-and-draft.png"
        seconds = time.monotonic() - self._sent
        caption = f"{film.name} - the draft was in the PACS {seconds:.1f} s after the film was sent"
        picture.draw(np.asarray(Image.open(seen).convert("L")), as_text(document, width=10_000), caption, target)
        self._say(f"{PACS} holds the draft; {received} object received, 1 draft delivered")
        self._tell("")
        self._tell(text)
        return Result(self._folder, draft, target)

    def _say(self, words: str) -> None:
        self._tell(f"{time.monotonic() - self._began:7.2f} s  {words}")


def _usable_port(wanted: int) -> int:
    """A free port, or the wanted one if it is. Raises ConfigurationError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise ConfigurationError(
                f"port {wanted} cannot be opened ({error.strerror}): another program has it. Stop that program, or "
                "choose another port with --port, or leave --port out and a free one is taken"
            ) from error
        return int(probe.getsockname()[1])


def _short(actor: str) -> str:
    """The process that acted: claims are signed with machine and process number, which say nothing here."""
    return "work" if "/" in actor else actor
