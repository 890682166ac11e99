"""Every page of a node, each as somebody sees it: where it is, who looks, and what is done there first.

Some nodes: one on a busy day, one whose administrator has much to mend, those that were installed just now, and one
without tables. Tests walk through them, and so does what takes the manual's pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from playwright.sync_api import Page, expect
from starlette.types import ASGIApp

from agent.config import Config
from agent.demo import phantom
from agent.pages import make_pages
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.tables import Proof
from reports import questions
from reports.people import accounts, links, tokens
from reports.people.accounts import Particulars
from reports.people.config import OidcConfig
from reports.people.rights import Role
from reports.people.tables import Purpose
from reports.web.rights import Right
from tests.harness.intercepting import intercept
from tests.harness.morning import DEVICES, Morning
from tests.harness.people import add_user
from tests.harness.reading_room import ReadingRoom
from tests.unit.agent.ward import as_file, now
from tests.unit.reports import films
from tests.unit.reports.busy_office import BusyOffice

PROVIDER: Final = {"issuer": "https://login.hospital.example", "client_id": "wetread", "roles": {"rads": "radiologist"}}
INVITATION: Final = "i" * 43
FIRST: Final = "f" * 43
NAMES: Final[tuple[Mapping[str, Any], ...]] = (
    {"PatientName": "Hong^Gildong=洪^吉洞=홍^길동", "SpecificCharacterSet": "ISO_IR 192"},
    {"PatientName": "مثال^صورة", "SpecificCharacterSet": "ISO_IR 192"},
    {"PatientName": "Oberhuber-Wolkenstein^Maximiliane Theodora Franziska^^Dr.", "AccessionNumber": "A2026112200017-X"},
)


@dataclass(frozen=True, slots=True)
class Scene:
    """A page as it is looked at. whose: who is signed in; empty: nobody. do: what is done there before it is seen."""

    name: str
    path: str
    node: str = "day"
    whose: str = "rita"
    do: Callable[[Page], object] | None = None
    height: int = 800
    has_film: bool = False


def _film(page: Page) -> None:
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")


def _questions(page: Page) -> None:
    _film(page)
    page.locator("#questions summary").click()
    expect(page.locator("#questions li")).to_have_count(2)
    page.locator("#questions").scroll_into_view_if_needed()


def _looked_at(page: Page) -> None:
    """All of its film was shown: now something can be said of it."""
    page.locator("#film canvas").first.scroll_into_view_if_needed()
    expect(page.get_by_role("button", name="Let it be read")).to_be_enabled()


def _conflict(page: Page) -> None:
    """The same person has saved at another machine."""
    _film(page)
    desk = page.request.get(f"{page.url}/desk").json()
    theirs = {"report": desk["report"], "findings": "Small effusion on the left.", "impression": "", "chips": {}}
    headers = {"Sec-Fetch-Site": "same-origin"}
    intercept(page, "**/report/desk*", lambda route: route.abort())  # no news before the typing begins
    saved = page.request.post(f"{page.url}/save", data={**theirs, "version": desk["version"]}, headers=headers)
    assert saved.ok, saved.text()
    page.locator("#findings").fill("No effusion.")
    page.unroute("**/report/desk*")
    expect(page.locator("#ask-conflict")).to_be_visible()


def _try_rules(page: Page) -> None:
    film = as_file(films.film(InstitutionName="City Hospital North"))
    page.set_input_files("#file", {"name": "film.dcm", "mimeType": "application/dicom", "buffer": film})
    page.get_by_label("Sent by (AE title)").fill("ER_CR1")
    page.get_by_role("button", name="Try on the film").click()
    expect(page.get_by_role("region", name="Outcome of the trial")).to_be_visible()
    page.locator("#trial").scroll_into_view_if_needed()


def _elsewhere(page: Page) -> None:
    """The model as if it lay where it is installed: the folder of a checkout is nobody's business."""
    page.evaluate(
        """() => { for (const one of document.querySelectorAll("dd")) {
          if (one.textContent.endsWith("demo_checkpoint")) one.textContent = "/opt/wetread/models/demonstration";
        } }"""
    )


def _wrong_password(page: Page) -> None:
    page.get_by_label("User name").fill("kim")
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _reset(page: Page) -> None:
    page.get_by_role("button", name="Link for a new password").click()
    expect(page.locator(".link-once")).to_be_visible()


def _session_over(page: Page) -> None:
    page.context.clear_cookies()
    page.evaluate("void import('/static/session.js').then((session) => session.signedIn())")
    expect(page.get_by_role("dialog")).to_be_visible()


def _keys(page: Page) -> None:
    expect(page.locator("#theme")).to_have_text("Theme: auto")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


SCENES: Final = (
    Scene("worklist", "/?show=drafts"),
    Scene("worklist-all", "/?show=all"),
    Scene("worklist-nothing", "/?show=all&q=NOBODY"),
    Scene("keys", "/", do=_keys),
    Scene("study", "/study/4"),
    Scene("study-held", "/study/{held}", do=_looked_at, height=1000, has_film=True),
    Scene("report-none", "/study/{held}/report"),
    Scene("report-asked", "/study/{asked}/report", do=_questions, height=1000, has_film=True),
    Scene("report-conflict", "/study/{asked}/report", do=_conflict, has_film=True),
    Scene("badge", "/badge?accession_number=ACC0001"),
    Scene("api", "/api/v1"),
    Scene("error-404", "/study/999999"),
    Scene("sign-in", "/sign-in", whose=""),
    Scene("sign-in-provider", "/sign-in", "provided", ""),
    Scene("provider-refused", "/oidc/finish", "provided", ""),
    Scene("provider-done", "/oidc/done", "provided"),
    Scene("sign-in-refused", "/sign-in", "office", "", _wrong_password),
    Scene("link-void", "/welcome/unknown", "office", ""),
    Scene("welcome", f"/welcome/{INVITATION}", "office", ""),
    Scene("account", "/account", "office", "kim", height=900),
    Scene("users", "/users", "office", "kim", height=1200),
    Scene("user", "/users/3", "office", "kim", _reset, 900),
    Scene("peers", "/peers", "office", "kim", height=900),
    Scene("peer", "/peers/edit?title=PACS", "office", "kim", height=1000),
    Scene("service", "/peers/service?name=RIS", "office", "kim", height=900),
    Scene("rules", "/rules", "office", "kim", height=900),
    Scene("rule", "/rules/edit?name=er-first", "office", "kim", height=1000),
    Scene("rules-tried", "/rules", "office", "kim", _try_rules, 900),
    Scene("queues", "/queues", "office", "kim", height=900),
    Scene("dead-letters", "/dead-letters", "office", "kim", height=900),
    Scene("models", "/models", "office", "kim", _elsewhere, 900),
    Scene("audit", "/audit", "office", "kim"),
    Scene("check", "/check", "office", "kim"),
    Scene("quarantine", "/quarantine", "office", "kim"),
    Scene("sheet", "/sheet", "office", "kim", height=1000),
    Scene("conformance", "/conformance", "office", "kim"),
    Scene("quality", "/quality", "office", "kim", height=1240),
    Scene("error-403", "/peers", "office", "ann"),
    Scene("session-over", "/queues", "office", "kim", _session_over),
    Scene("error-500", "/", "bare", ""),
    Scene("no-users", "/", "closed", ""),
    Scene("sign-in-first", "/sign-in", "closed", ""),
    Scene("welcome-first", f"/welcome/{FIRST}", "closed", "", height=1000),
    *(
        Scene(f"fresh-{name}", f"/{'' if name == 'worklist' else name}", "fresh", "pat")
        for name in ("worklist", "quality", "peers", "rules", "queues", "dead-letters", "models", "users", "audit")
    ),
    Scene("fresh-check", "/check", "fresh", "pat"),
    Scene("fresh-quarantine", "/quarantine", "fresh", "pat"),
    Scene("fresh-account", "/account", "fresh", "pat"),
)


class Gallery:
    """The nodes, filled."""

    def __init__(self, folder: Path) -> None:
        self.room, self.numbers = _room(_made(folder / "day"))
        self.office = _office(_made(folder / "office"))
        self._empty = [Database(_config(_made(folder / name)).node.database_url) for name in ("bare",)]
        self.fresh, self.closed = ReadingRoom(_made(folder / "fresh")), ReadingRoom(_made(folder / "closed"))
        add_user(self.fresh.database, "pat", Role.ADMINISTRATOR, name="Admin^Pat")
        with self.closed.database.write() as tx:
            links.make(tx, Purpose.FIRST, FIRST, None, now=clock(tx), actor="test")
        provided = self.room.desk.config.model_copy(update={"oidc": OidcConfig.model_validate(PROVIDER)})
        self.apps: Mapping[str, ASGIApp] = MappingProxyType(
            {
                "day": self.room.app,
                "office": make_pages(self.office.config, self.office.database),
                "fresh": self.fresh.app,
                "closed": self.closed.app,
                "provided": make_pages(provided, self.room.database),
                "bare": make_pages(_config(folder / "bare"), self._empty[0]),
            }
        )
        self._databases: Mapping[str, Database] = {
            "day": self.room.database,
            "office": self.office.database,
            "fresh": self.fresh.database,
            "provided": self.room.database,
        }

    def database(self, node: str) -> Database:
        """Of a node where people can be signed in."""
        return self._databases[node]

    def beat(self) -> None:
        """Where somebody works, all five processes live."""
        self.office.beat()
        Morning(self.room, 1, "rita").beat()

    def path(self, scene: Scene) -> str:
        """Where it is: studies by the numbers that they got."""
        return scene.path.format(**self.numbers)

    def close(self) -> None:
        """Let go of the databases."""
        for one in (self.room.database, self.office.database, self.fresh.database, self.closed.database, *self._empty):
            one.close()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _config(folder: Path) -> Config:
    return Config(node=NodeConfig(data_folder=folder, reserve_mebibytes=1))


def _room(folder: Path) -> tuple[ReadingRoom, Mapping[str, int]]:
    """Rita's, who also administers: a study in each state; one with questions; names in other scripts."""
    room = ReadingRoom(folder)
    room.peer("PACS", proof=Proof.ACKNOWLEDGEMENT)
    rita = add_user(room.database, "rita", Role.RADIOLOGIST, Role.ADMINISTRATOR, name="Reader^Rita")
    add_user(room.database, "carl", Role.RADIOLOGIST, name="Chief^Carl")
    for changes in NAMES:
        room.study(**changes)
    drawn = phantom.pixels(4711, rows=1250, columns=1050)
    report = room.study(DEVICES, pixels=drawn, StudyDescription="Chest PA (drawn phantom)")
    asked = room.number(report)
    for words, answer in (
        ("Where does the endotracheal tube end?", "The tip of the tube is above the carina."),
        ("Is there a fracture?", "No fracture is seen."),
    ):
        with room.database.write() as tx:
            questions.put(tx, asked, report.film_digest, rita, "rita", words, now())
        with room.database.write() as tx:
            taken = questions.claim(tx, token="t", reader="CXR-LLaVA v2 nf4", now=now())
            assert taken is not None
            questions.finish(tx, taken.id, "t", answer, now())
    morning = Morning(room, rita, "rita")
    morning.fill(of_held=drawn)
    return room, {"asked": asked, "held": morning.number_of("ACC9002")}


def _office(folder: Path) -> BusyOffice:
    """Kim's, an administrator: peers, rules, queues, dead letters, decisions of three months, and many people."""
    office = BusyOffice(folder)
    database = office.database
    add_user(database, "kim", Role.ADMINISTRATOR, Role.RADIOLOGIST, name="Kim^Minjun")
    add_user(database, "ann", Role.AUDITOR, name="Auditor^Ann")
    add_user(database, "hong", Role.RADIOLOGIST, name="Hong^Gildong=洪^吉洞=홍^길동", organization="서울 병원")
    add_user(database, "amal", Role.TRAINEE, name="مثال^صورة")
    long = "annemarie.mueller-luedenscheidt@radiology.example"
    add_user(database, long, Role.RADIOLOGIST, Role.TRAINEE, name="Müller-Lüdenscheidt^Annemarie Charlotte^^Prof. Dr.")
    with database.write() as tx:
        at, who = clock(tx), Particulars("New^Nora", frozenset({Role.TRAINEE}), "Example Hospital")
        nora = accounts.add(tx, "nora", who, now=at, actor="person:kim")
        links.make(tx, Purpose.INVITE, INVITATION, nora, now=at, actor="person:kim")
        accounts.disable(tx, accounts.find(tx, "amal"), now=at, actor="person:kim")
        ends, scopes = at + timedelta(days=365), (Right.SEE, Right.QUALITY)
        tokens.add(tx, "ris", f"{tokens.PREFIX}{'x' * 43}", scopes, expires_at=ends, now=at, actor="person:kim")
    return office
