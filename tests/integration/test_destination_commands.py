"""`wetread ae probe` and `wetread destination` as a person types them, against peers that are there or not."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from agent.cli import wetread
from agent.commands.probing import other_proof
from agent.commands.session import open_database
from agent.config import Config, read_config
from agent.health import findings
from dicom_node.access import VERIFICATION
from dicom_node.destinations import destinations
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.kinds import Kind
from dicom_node.probe import BASIC_TEXT, KEY_OBJECT, PDF
from dicom_node.tables import Proof, RemoteAE
from tests.harness import dcmtk
from tests.harness.installation import empty_database
from tests.harness.node import free_port

Type = Callable[..., Result]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    (tmp_path / "wetread.db").write_bytes(empty_database())
    config = tmp_path / "wetread.toml"
    config.write_text(
        f'[node]\ndata_folder = "{tmp_path}"\ndimse_timeout_seconds = 3\n'
        '[delivery]\ncredentials = { web = { token = "s3cret" } }\n'
    )
    monkeypatch.setenv("WETREAD_CONFIG", str(config))

    def type_line(*words: str) -> Result:
        result = CliRunner().invoke(wetread, words, catch_exceptions=True)
        if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return type_line


@pytest.fixture
def web() -> Iterator[str]:
    """A service that answers 200 and an empty list to whatever it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(200 if "refuse" not in self.path else 403)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        do_GET = do_OPTIONS = answer  # noqa: N815  the library's names

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def configuration() -> Config:
    return read_config(Path(os.environ["WETREAD_CONFIG"]))


def gets(name: str) -> set[Kind]:
    with open_database(configuration()) as database, database.read() as tx:
        return set({to.name: to for to in destinations(tx)}[name].objects)


def listed(typed: Type, *words: str) -> dict[str, dict[str, object]]:
    rows = json.loads(typed(*words, "list", "--json").output)
    return {str(row.get("name") or row.get("ae_title")): row for row in rows}


# --- ae ---------------------------------------------------------------------------------------------------------------


def test_peer_that_is_added_is_asked_at_once_and_gets_what_it_takes(typed: Type, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "store", *dcmtk.profile(tmp_path / "profile", PDF, KEY_OBJECT)) as port:
        told = typed("ae", "add", f"PACS@127.0.0.1:{port}", "--send-to").output

    assert "pdf: it refuses Basic Text SR and takes Encapsulated PDF" in told
    assert gets("PACS") == {Kind.PDF, Kind.KOS}
    assert listed(typed, "ae")["PACS"]["proof"] == "acknowledgement", "it refuses C-FIND"
    typed("ae", "edit", "PACS", "--objects", "basic-text,pdf", "--notices")
    assert gets("PACS") == {Kind.BASIC_TEXT, Kind.PDF}
    assert listed(typed, "ae")["PACS"]["notices"] is True
    typed("ae", "edit", "PACS", "--objects", "recommended")
    assert gets("PACS") == {Kind.PDF, Kind.KOS}


@pytest.mark.parametrize("title", ["PACS", "O'HARE X RAY 16B"])
def test_proof_that_a_person_chose_is_left(typed: Type, tmp_path: Path, title: str) -> None:
    with dcmtk.receiver(tmp_path) as port:
        added = typed("ae", "add", f"{title}@127.0.0.1:{port}", "--send-to", "--proof", "query").output
        assert listed(typed, "ae")[title]["proof"] == "query"
        told = typed("ae", "probe", title).output
        edited = typed("ae", "edit", title, "--send-to").output

    assert pasted(added, "try it with: ") == ["wetread", "ae", "echo", title]
    assert pasted(told, "change it with: ") == ["wetread", "ae", "edit", title, "--proof", "acknowledgement"]
    assert pasted(edited, "change it with: ") == pasted(told, "change it with: ")


@pytest.mark.parametrize("proof", list(Proof))
@pytest.mark.parametrize("advised", [Proof.QUERY, Proof.ACKNOWLEDGEMENT])
def test_another_proof_is_advised_only_where_the_chosen_one_cannot_be(proof: Proof, advised: Proof) -> None:
    words = other_proof(RemoteAE(ae_title="PACS", proof=proof), advised)
    assert bool(words) == (proof is Proof.QUERY and advised is Proof.ACKNOWLEDGEMENT)


def test_peer_without_an_address_is_not_to_be_tried(typed: Type) -> None:
    assert typed("ae", "add", "MERCURE", "--may-send").output == "MERCURE registered\n"


def test_a_name_that_our_port_does_not_take_is_told_at_once_and_by_check(typed: Type, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "store") as port:
        added = typed("ae", "add", f"PACS@127.0.0.1:{port}", "--may-send", "--own-ae-title", "AI2").output
        (found,) = (one for one in findings(configuration()) if one.subject == "peer PACS")
        ours = typed("ae", "edit", "PACS", "--own-ae-title", "WETREAD").output

    words = "PACS knows us as 'AI2', and our port refuses who calls that: add it to node.further_ae_titles"
    assert words in added
    assert (found.verdict, words in found.words) == ("warning", True)
    assert "knows us as" not in ours


def pasted(told: str, before: str) -> list[str]:
    """The command at the end of a line, as a shell would take it."""
    (line,) = (line for line in told.splitlines() if before in line)
    return shlex.split(line.partition(before)[2])


def test_peer_that_is_not_there_yet_is_registered_with_a_note(typed: Type) -> None:
    added = typed("ae", "add", f"PACS@127.0.0.1:{free_port()}", "--send-to")
    assert (added.exit_code, "note: not probed" in added.output, "?." in added.output) == (0, True, False)
    assert "\nOnce it answers: wetread ae probe 'PACS'\n" in added.output
    assert (
        "mode draft: unverified drafts go there, as soon as it can be reached; until then it waits here" in added.output
    )
    assert gets("PACS") == {Kind.BASIC_TEXT, Kind.KOS}
    moved = typed("ae", "edit", "PACS", "--address", f"127.0.0.1:{free_port()}")
    assert (moved.exit_code, "note: not probed" in moved.output) == (0, True)
    probed = typed("ae", "probe", "PACS")
    assert (probed.exit_code, "cannot be reached" in probed.output) == (1, True)


@pytest.mark.parametrize("address", ["X@host", "ABCDEFGHIJKLMNOPQRS"])
def test_mistakes_of_a_new_peer_are_told_together(typed: Type, address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"(TITLE@HOST:PORT|16 are allowed)[^\n]*\nsay what the peer is for"):
        typed("ae", "add", address)


def test_peer_that_takes_nothing_is_registered_to_get_nothing_until_it_does(typed: Type, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "store", *dcmtk.profile(tmp_path / "profile", VERIFICATION)) as port:
        added = typed("ae", "add", f"PACS@127.0.0.1:{port}", "--may-send", "--send-to")
        assert (added.exit_code, "ATTENTION: PACS takes nothing of ours" in added.output) == (1, True)
        assert (listed(typed, "ae")["PACS"]["send_to"], "--send-to" in added.output) == (False, True)
        edited = typed("ae", "edit", "PACS", "--send-to")
        assert (edited.exit_code, "ATTENTION: PACS takes nothing of ours, so each" in edited.output) == (1, True)
        assert "ATTENTION" not in typed("ae", "edit", "PACS", "--send-to", "--no-probe").output
        assert "ATTENTION" not in typed("ae", "edit", "PACS", "--comment", "the old one").output
        shown = typed("ae", "list").output
        assert "TAKES NOTHING OF OURS" in shown
        assert re.search(r"  \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  ", shown)
        found = {one.subject: (one.verdict, one.words) for one in findings(configuration())}
        assert found["peer PACS"][0] == "warning"
        assert "takes nothing of ours" in found["peer PACS"][1]
        assert typed("ae", "probe", "PACS").exit_code == 1
    typed("ae", "edit", "PACS", "--objects", "none")
    assert listed(typed, "ae")["PACS"]["send_to"] is False
    with pytest.raises(ConfigurationError, match="says both"):
        typed("ae", "edit", "PACS", "--objects", "none", "--send-to")


def test_peer_that_is_added_is_told_what_its_mode_means(typed: Type) -> None:
    address = f"127.0.0.1:{free_port()}"
    for mode, words in (
        ("draft", "unverified drafts go there from now on"),
        ("hold", "only what a radiologist has signed here"),
        ("shadow", "nothing goes there"),
    ):
        told = typed("ae", "add", f"{mode.upper()}@{address}", "--send-to", "--no-probe", "--mode", mode).output
        assert f"mode {mode}: {words}" in told


def test_peer_is_not_asked_where_nobody_wants_it(typed: Type) -> None:
    assert "note" not in typed("ae", "add", f"PACS@127.0.0.1:{free_port()}", "--send-to", "--no-probe").output
    assert "note" not in typed("ae", "add", f"XRAY@127.0.0.1:{free_port()}", "--may-send").output


def test_probe_says_what_each_class_was_answered(typed: Type, tmp_path: Path) -> None:
    options = dcmtk.profile(tmp_path / "profile", BASIC_TEXT, syntaxes=("1.2.840.10008.1.2",))
    with dcmtk.receiver(tmp_path / "store", *options) as port:
        typed("ae", "add", f"PACS@127.0.0.1:{port}", "--send-to", "--no-probe")
        shown = typed("ae", "probe", "PACS").output
        said = json.loads(typed("ae", "probe", "PACS", "--json").output)

    line = next(line for line in shown.splitlines() if BASIC_TEXT in line)
    assert line.split()[-5:] == ["accepted", "Implicit", "VR", "Little", "Endian"]
    contexts = {context["sop_class_uid"]: context for context in said["contexts"]}
    assert contexts[BASIC_TEXT]["transfer_syntaxes"] == ["1.2.840.10008.1.2"]
    assert [uid for uid, context in contexts.items() if context["accepted"]] == [BASIC_TEXT]
    assert (said["objects"], said["proof"], len(contexts)) == (["basic-text"], "acknowledgement", 12)


# --- destination ------------------------------------------------------------------------------------------------------


def test_services_are_added_listed_edited_tried_and_removed(typed: Type, web: str) -> None:
    typed("destination", "add", "WEB", f"{web}/dicom-web", "--credential", "web", "--mode", "hold")
    typed("destination", "add", "EHR", f"{web}/fhir")
    typed("destination", "add", "HOOK", f"{web}/x", "--way", "webhook")
    typed("destination", "add", "RIS", f"mllp://127.0.0.1:{free_port()}")
    rows = listed(typed, "destination")
    assert {name: (row["way"], row["mode"], row["proof"], row["objects"]) for name, row in rows.items()} == {
        "WEB": ("stow", "hold", "query", "basic-text,kos"),
        "EHR": ("fhir", "draft", "query", "fhir"),
        "HOOK": ("webhook", "draft", "acknowledgement", "outcome"),
        "RIS": ("mllp", "draft", "acknowledgement", "oru"),
    }
    assert "s3cret" not in json.dumps(rows)
    tried = {name: typed("destination", "test", name) for name in rows}
    assert {name: result.exit_code for name, result in tried.items()} == {"WEB": 0, "EHR": 0, "HOOK": 0, "RIS": 1}
    said = {one.subject: one.verdict for one in findings(configuration())}
    assert [said[f"destination {name}"] for name in ("WEB", "EHR", "HOOK", "RIS")] == ["ok", "ok", "ok", "wrong"]
    typed("destination", "edit", "HOOK", "--url", f"{web}/refuse", "--mode", "shadow")
    assert typed("destination", "test", "HOOK").exit_code == 1
    typed("destination", "remove", "HOOK")
    assert set(listed(typed, "destination")) == {"WEB", "EHR", "RIS"}
    assert typed("destination", "requeue", "RIS").output == "0 deliveries to RIS queued again\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("add X https://h/fhir --credential other", "delivery.credentials has no 'other', it has: web"),
        ("add X http://h/fhir --credential web", "must be https"),
        ("add X https://h/dicom-web --objects oru", "nothing that stow carries"),
        ("add X https://h/x", "--way stow"),
    ],
)
def test_wrong_services_are_refused(typed: Type, line: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        typed("destination", *line.split())


@pytest.mark.parametrize("line", ["edit X --mode hold", "remove X", "test X", "requeue X"])
def test_unknown_service_is_not_found(typed: Type, line: str) -> None:
    with pytest.raises(NotFound, match="is no destination"):
        typed("destination", *line.split())
