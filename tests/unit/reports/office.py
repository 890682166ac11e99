"""An administrator at a page: a real database, the real application behind it, and a badge instead of a sign-in."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path

from httpx import Response
from pydantic import SecretStr
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from agent.caretaker import Caretaker
from agent.config import Config
from dicom_node import worklist
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.destinations import destinations, takes
from dicom_node.files import make_store
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import AuditRow, Book
from dicom_node.worklist import Ending, Outgoing
from reports import life
from reports.tables import Report
from reports.web.app import make_app
from reports.web.rights import Role, Visitor, rights_of
from reports.web.site import Equipment, Premises
from tests.harness.installation import empty_database
from tests.unit.reports.test_web import House

SR = "1.2.840.10008.5.1.4.1.1.88.11"


@dataclass(frozen=True)
class Badge:
    """Everybody who comes is kim, with these roles."""

    roles: frozenset[Role]

    def visitor(self, request: Request) -> Visitor:
        return Visitor(1, "kim", rights_of(self.roles), self.roles)


class Office(House):
    """A node, and an administrator in front of its pages."""

    def __init__(self, folder: Path, *roles: Role, database: Database | None = None) -> None:
        """database: another one than SQLite in the folder, with our tables and nothing in them."""
        (folder / "wetread.db").write_bytes(empty_database())
        make_store(folder / "store", "here")
        super().__init__(folder)
        if database is not None:
            self.database.close()
            url = database.url.render_as_string(hide_password=False)
            self.config = Config(node=NodeConfig(data_folder=folder, reserve_mebibytes=1, database=SecretStr(url)))
            self.database = database
        self.app = self.app_of(*(roles or (Role.ADMINISTRATOR,)))
        self.web = client(self.app)

    def as_(self, *roles: Role) -> TestClient:
        """The pages, to somebody with these roles."""
        return client(self.app_of(*roles))

    def app_of(self, *roles: Role) -> Starlette:
        node = self.config.node
        return make_app(
            Premises(node.ae_title, node.port, node.store_folder, "0"),
            self.database,
            not_ready=list,
            metrics=bytes,
            equipment=Equipment(porter=Badge(frozenset(roles)), caretaker=Caretaker(self.config, self.database)),
        )

    def draft_of(self, number: int) -> None:
        """Claim the next reading and record a draft of its own for every destination that gets drafts."""
        held = self.claim()
        uid = f"2.25.47{number}"
        report = Report(
            revision_id=held.revision_id,
            sop_instance_uid=uid,
            digest=f"{number:064x}",
            film_digest="f" * 64,
            reader="CXR-LLaVA demo 1.0 fp32",
            reader_digest="d" * 64,
            generation="greedy",
        )
        with self.database.write() as tx:
            outgoing = [
                Outgoing(to.name, Kind.BASIC_TEXT, Stage.DRAFT, SR, uid, "", f"{number:064x}")
                for to in destinations(tx)
                if takes(to, Kind.BASIC_TEXT, Stage.DRAFT)
            ]
            life.record(tx, report, None, clock(tx), actor="work")
            worklist.finish(tx, held, outgoing, nothing_leaves=Ending(Book.AWAITING_SIGNOFF), now=clock(tx))

    def send_form(self, address: str, /, *, code: int = 200, **fields: str | list[str]) -> str:
        """Fill a form in, send it, and read the page that follows."""
        answer = self.web.post(address, data=fields)
        assert answer.status_code == code, words(answer)
        return words(answer)

    def read(self, address: str, *, code: int = 200) -> str:
        answer = self.web.get(address)
        assert answer.status_code == code, words(answer)
        return words(answer)

    def events(self) -> list[tuple[str, str]]:
        """Event and actor of every audit row, in order."""
        with self.database.read() as tx:
            return [(row.event, row.actor) for row in tx.scalars(select(AuditRow).order_by(AuditRow.id))]

    def events_of_kim(self) -> list[str]:
        return [event for event, actor in self.events() if actor == "person:kim"]


def client(app: Starlette) -> TestClient:
    return TestClient(app, base_url="http://localhost:8080", headers={"Sec-Fetch-Site": "same-origin"})


def words(answer: Response) -> str:
    """As a person reads it, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())
