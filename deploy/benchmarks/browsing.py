"""A whole node and people at its pages, as the benchmarks of a working day use them: real processes, real sockets."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from backlog import free_port, wait_for_port

from dicom_node.database import Database, clock
from reports.people import accounts
from reports.people.accounts import Particulars
from reports.people.passwords import Hasher
from reports.people.rights import Role

OWN: Final = "WETREAD"
PASSWORD, PIN = "violet tractor under glass", "2580"
_DESK = re.compile(r'<script type="application/json" id="desk">(.*?)</script>', re.DOTALL)
_BROWSER = {"Sec-Fetch-Site": "same-origin"}
_JSON = {"Accept": "application/json"}
_PATIENCE = 120.0  # seconds for an answer


@dataclass(frozen=True, slots=True)
class Node:
    """`wetread run` at work. command: how to call it with the same configuration."""

    port: int
    address: str
    database: Database
    command: Sequence[str]

    def check(self) -> list[dict[str, str]]:
        """What `wetread check` finds, without what is well."""
        done = subprocess.run([*self.command, "check", "--json"], capture_output=True, text=True, check=False)  # noqa: S603
        return [one for one in json.loads(done.stdout) if one["verdict"] != "ok"]


@contextmanager
def node(folder: Path, settings: str, peer: Sequence[str]) -> Iterator[Node]:
    """All processes of a node. settings: more of its configuration; peer: what `wetread ae add` is told."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the node is stopped as well
    port, web, data = free_port(), free_port(), folder / "data"
    config = folder / "wetread.toml"
    config.write_text(
        f'[node]\nbind_address = "127.0.0.1"\nport = {port}\ndata_folder = {json.dumps(str(data))}\n'
        f"quiet_seconds = 2\nreserve_mebibytes = 64\n[web]\nport = {web}\n{settings}"
    )
    command = [sys.executable, "-m", "agent", "--config", str(config)]
    for words in (["db", "upgrade"], ["ae", "add", *peer]):
        subprocess.run([*command, *words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    with (folder / "wetread.log").open("w") as log:
        process = subprocess.Popen([*command, "run"], stdout=log, stderr=log)  # noqa: S603
    database = Database(f"sqlite:///{data / 'wetread.db'}")
    try:
        wait_for_port(port, process)
        wait_for_port(web, process)
        yield Node(port, f"http://127.0.0.1:{web}", database, command)
    finally:
        database.close()
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def add_people(database: Database, logins: Sequence[str]) -> None:
    """Radiologists, with the real cost of a password; one hash for all, since nobody measures how they are made."""
    hasher = Hasher()
    password, pin = hasher.hash(PASSWORD), hasher.hash(PIN)
    with database.write() as tx:
        now = clock(tx)
        for login in logins:
            who = Particulars(f"{login.capitalize()}^Reader", frozenset({Role.RADIOLOGIST}), "Example Hospital")
            account = accounts.add(tx, login, who, now=now, actor="person:benchmark")
            account.password, account.pin = password, pin


@dataclass
class Clockwork:
    """Seconds by what was asked for, and what went wrong; several threads write."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def took(self, kind: str, seconds: float) -> None:
        """One more."""
        with self._lock:
            self.seconds.setdefault(kind, []).append(seconds)

    def went_wrong(self, words: str) -> None:
        """One more."""
        with self._lock:
            self.errors.append(words)


class Unwell(Exception):
    """A page did not answer as it must; the clockwork has it."""


class Person:
    """A radiologist at a browser: keeps cookies and connections, asks what the pages' own scripts ask."""

    def __init__(self, address: str, login: str, clockwork: Clockwork) -> None:
        self.login = login
        self._clockwork = clockwork
        self._web = httpx.Client(base_url=address, headers=_BROWSER, timeout=_PATIENCE, trust_env=False)

    def close(self) -> None:
        """Leave."""
        self._web.close()

    def sign_in(self) -> None:
        """With the password. Raises Unwell, as all that asks."""
        fields = {"login": self.login, "password": PASSWORD}
        self.ask("sign-in", "POST", "/sign-in", data=fields, headers=_JSON)

    def get(self, kind: str, path: str) -> httpx.Response:
        """A page or what belongs to it."""
        return self.ask(kind, "GET", path)

    def ask(self, kind: str, method: str, path: str, **more: Any) -> httpx.Response:
        """Until the last byte is here."""
        began = time.perf_counter()
        try:
            answer = self._web.request(method, path, **more)
        except httpx.HTTPError as error:
            self._clockwork.went_wrong(f"{kind}: {type(error).__name__}")
            raise Unwell from error
        self._clockwork.took(kind, time.perf_counter() - began)
        if answer.status_code >= 400:
            self._clockwork.went_wrong(f"{kind}: {answer.status_code} {answer.text[:200]}")
            raise Unwell
        return answer

    def listen(self, over: threading.Event) -> None:
        """Take the news as an open worklist does, until it is over. For a thread of its own."""
        with suppress(httpx.HTTPError), self._web.stream("GET", "/events") as news:
            if news.status_code != 200:
                self._clockwork.went_wrong(f"news: {news.status_code}")
                return
            for _ in news.iter_lines():
                if over.is_set():
                    return

    def report(self, study: int) -> Sheet:
        """Open a report's page."""
        page = self.get("report page", f"/study/{study}/report")
        found = _DESK.search(page.text)
        return Sheet(self, study, json.loads(found[1]) if found else {})


class Sheet:
    """A report's page in a browser. state: what the page knows of the report; empty where there is none."""

    def __init__(self, person: Person, study: int, state: Mapping[str, Any]) -> None:
        self.state = dict(state)
        self._person = person
        self._study = study

    def films(self) -> None:
        """The small picture and every value of each film."""
        for film in self._person.get("film list", f"/study/{self._study}/films.json").json()["films"]:
            self._person.get("small picture", film["preview"])
            self._person.get("every pixel", film["pixels"])

    def ready(self) -> bool:
        """Open it to edit, say that the film was shown, have the PACS asked. False: a colleague has it open."""
        if not self._post("open").get("mine"):
            return False
        self._post("shown")
        self._post("identity")
        return True

    def type(self, more: str) -> None:
        """Add words to the impression; the page looks what they say, and saves them."""
        text = self.state["text"]
        self.state["text"] = {**text, "impression": f"{text['impression']} {more}".strip()}
        words = {**self.state["text"], "chips": {}}
        self._tell("reading", words)
        self.state["version"] = self._tell("save", {**words, "version": self.state["version"]})["version"]

    def sign(self) -> None:
        """With the PIN: as it is where nothing was typed."""
        act = "sign" if self.state["text"] != self.state["drafted"] else "accept"
        words = {**self.state["text"], "chips": {}, "version": self.state["version"], "pin": PIN}
        self.state |= self._tell(act, words, kind="sign")

    def _post(self, act: str) -> dict[str, Any]:
        self.state |= self._tell(act, {})
        return self.state

    def _tell(self, act: str, body: Mapping[str, Any], *, kind: str = "") -> dict[str, Any]:
        address = f"/study/{self._study}/report/{act}"
        whole = {**body, "report": self.state["report"]}
        said: dict[str, Any] = self._person.ask(kind or act, "POST", address, json=whole, headers=_JSON).json()
        return said


def machine() -> str:
    """What it ran on, and how busy that was."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load {load}"
