"""Peers and services: registered, changed, tried and removed in the browser, by the functions of the commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node import destinations, endpoints, peers, turned_away
from dicom_node.access import Caller, Refusal
from dicom_node.database import clock
from dicom_node.tables import Mode, Proof, RemoteAE, Retrieve, Way
from reports.web.rights import Role
from tests.harness import dcmtk
from tests.harness.node import free_port
from tests.unit.reports.office import Office

SR = "1.2.840.10008.5.1.4.1.1.88.11"
VERIFICATION = "1.2.840.10008.1.1"
PACS = {"title": "PACS", "host": "10.0.0.5", "port": "104", "mode": "draft", "proof": "query", "identity": ""}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.database.close()


def find(office: Office, title: str) -> RemoteAE:
    with office.database.read() as tx:
        return peers.find(tx, title)


def test_peer_is_added_with_everything_that_the_form_says(office: Office) -> None:
    page = office.send_form(
        "/peers/edit",
        new="yes",
        **PACS | {"mode": "shadow", "identity": "no", "calls_from": "10.0.0.0/24", "maximum_associations": "3"},
        may_send="yes",
        send_to="yes",
        objects=["kos", "basic-text"],
        dimse_timeout_seconds="120",
        idle_timeout_seconds="90",
        acse_timeout_seconds="20",
        maximum_pdu_size="16384",
        retrieve="get",
        comment="the archive",
    )

    assert "PACS is registered" in page
    made = find(office, "PACS")
    assert (made.host, made.port, made.may_send, made.send_to, made.may_verify) == ("10.0.0.5", 104, True, True, False)
    assert (made.mode, made.identity_check, made.calls_from) == (Mode.SHADOW, False, "10.0.0.0/24")
    assert (made.maximum_associations, made.objects, made.comment) == (3, "basic-text,kos", "the archive")
    assert (made.dimse_timeout_seconds, made.idle_timeout_seconds, made.acse_timeout_seconds) == (120, 90, 20)
    assert (made.maximum_pdu_size, made.retrieve) == (16384, Retrieve.GET)
    form = office.web.get("/peers/edit?title=PACS").text
    assert all(f'value="{value}"' in form for value in (120, 90, 20, 16384))
    assert '<option value="get" selected>' in form
    assert office.events_of_kim() == ["peer-added"]


def test_form_shows_what_is_registered_and_saves_it_unchanged(office: Office) -> None:
    office.add_peer("PACS")
    columns = [column.name for column in RemoteAE.__table__.columns]
    before = {column: getattr(find(office, "PACS"), column) for column in columns}
    page = office.web.get("/peers/edit?title=PACS").text

    assert 'value="10.0.0.5"' in page
    office.send_form("/peers/edit", **PACS, may_send="yes", send_to="yes", may_verify="yes", maximum_associations="0")

    assert {column: getattr(find(office, "PACS"), column) for column in before} == before


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"title": "A" * 17}, "16 are allowed"),
        ({"port": "none"}, "no whole number"),
        ({"port": "0"}, "not between 1 and 65535"),
        ({"mode": "loud"}, "none of draft, hold, shadow"),
        ({"host": ""}, "needs a host and a port"),
        ({"calls_from": "everywhere"}, "is not host, anywhere"),
        ({"maximum_associations": "-1"}, "no whole number"),
        ({"dimse_timeout_seconds": "3601"}, "--dimse-timeout is up to 3600 seconds"),
        ({"maximum_pdu_size": "4095"}, "--maximum-pdu is 4096 to 16777216 bytes"),
        ({"retrieve": "beg"}, "none of move, get"),
        ({"objects": "oru"}, "nothing that dimse carries"),
        ({"comment": "x" * 1001}, "1000 characters at most"),
    ],
)
def test_mistake_is_told_and_what_was_typed_stays(office: Office, wrong: dict[str, str], told: str) -> None:
    page = office.send_form(
        "/peers/edit", code=422, new="yes", send_to="yes", **{**PACS, "tls_name": "archive"} | wrong
    )

    assert told in page
    again = office.web.post("/peers/edit", data={"new": "yes", **PACS, "tls_name": "archive"} | wrong)
    assert 'value="archive"' in again.text
    with office.database.read() as tx:
        assert peers.titles(tx) == []
    assert office.events_of_kim() == []


def test_peer_without_a_purpose_is_not_registered(office: Office) -> None:
    assert "say what the peer is for" in office.send_form("/peers/edit", code=422, new="yes", **PACS)


def test_removal_needs_the_box_and_says_what_becomes_of_the_queue(office: Office) -> None:
    office.add_peer("PACS")
    office.wait_for_a_reading()
    office.draft(office.claim())

    assert "check the box" in office.send_form("/peers/remove", title="PACS")
    assert find(office, "PACS").ae_title == "PACS"
    page = office.send_form("/peers/remove", title="PACS", sure="yes")

    assert "PACS is removed. 1 queued for it becomes a dead letter" in page
    assert office.events_of_kim() == ["peer-removed"]


def test_echo_and_probe_tell_in_words_and_the_recommendation_is_stored(office: Office, tmp_path: Path) -> None:
    with dcmtk.receiver(
        tmp_path / "pacs", *dcmtk.profile(tmp_path / "profile", VERIFICATION, SR), title="PACS"
    ) as port:
        with office.database.write() as tx:
            to = RemoteAE(ae_title="PACS", host="127.0.0.1", port=port, send_to=True, objects="pdf")
            peers.add(tx, to, now=clock(tx), actor="person:test")
        echoed = office.send_form("/peers/echo", title="PACS")
        probed = office.send_form("/peers/probe", title="PACS")

    assert "PACS answers C-ECHO: it can be reached, and it knows us." in echoed
    assert "Recommended: forms basic-text; proof acknowledgement." in probed
    assert "no kos: it refuses Key Object Selection" in probed
    assert find(office, "PACS").objects == "pdf"
    office.send_form("/peers/advice", title="PACS")

    followed = find(office, "PACS")
    assert (followed.objects, followed.proof) == ("", Proof.ACKNOWLEDGEMENT)
    with office.database.read() as tx:
        assert destinations.in_words(destinations.objects_of(followed)) == "basic-text"
    assert office.events_of_kim() == ["peer-probed", "peer-edited"]


def test_destination_that_takes_nothing_is_registered_to_get_nothing_until_it_does(
    office: Office, tmp_path: Path
) -> None:
    with dcmtk.receiver(tmp_path / "pacs", *dcmtk.profile(tmp_path / "profile", VERIFICATION), title="PACS") as port:
        form = PACS | {"host": "127.0.0.1", "port": str(port), "ask": "yes", "send_to": "yes"}
        added = office.send_form("/peers/edit", new="yes", **form)
        assert "ATTENTION: PACS takes nothing of ours, and is registered to get nothing." in added
        assert find(office, "PACS").send_to is False

        edited = office.send_form("/peers/edit", **form)
    assert "PACS is changed." in edited
    for page in (edited, office.read("/peers"), office.read("/peers/edit?title=PACS")):
        assert page.count("ATTENTION: PACS takes nothing of ours, so each study for it ends as a dead letter.") == 1
    assert find(office, "PACS").send_to is True
    office.send_form("/peers/edit", **PACS | {"may_send": "yes"})
    assert "ATTENTION" not in office.read("/peers")
    events = ["peer-added", "peer-probed", "peer-edited", "peer-edited", "peer-probed", "peer-edited"]
    assert office.events_of_kim() == events


def test_destination_that_takes_our_forms_is_registered_without_a_warning(office: Office, tmp_path: Path) -> None:
    with dcmtk.receiver(tmp_path / "pacs", *dcmtk.profile(tmp_path / "profile", SR), title="PACS") as port:
        form = PACS | {"host": "127.0.0.1", "port": str(port), "ask": "yes", "send_to": "yes"}
        page = office.send_form("/peers/edit", new="yes", **form)
    assert "PACS is registered. Try it" in page
    assert "ATTENTION" not in page
    assert destinations.in_words(destinations.objects_of(find(office, "PACS"))) == "basic-text"


def test_destination_that_does_not_answer_is_registered_and_that_is_said(office: Office) -> None:
    form = PACS | {"host": "127.0.0.1", "port": str(free_port()), "ask": "yes", "send_to": "yes"}
    page = office.send_form("/peers/edit", new="yes", **form)
    assert "PACS is registered, and did not answer the probe." in page
    assert find(office, "PACS").send_to is True


def test_peer_that_nobody_answers_for_is_told_with_the_likely_cause(office: Office) -> None:
    with office.database.write() as tx:
        to = RemoteAE(ae_title="PACS", host="127.0.0.1", port=free_port(), send_to=True)
        peers.add(tx, to, now=clock(tx), actor="person:test")

    for address in ("/peers/echo", "/peers/probe"):
        assert "nobody listens on that port: is it the right one" in office.send_form(address, title="PACS")
    assert "has no address" not in office.send_form("/peers/echo", title="PACS")
    assert office.events_of_kim() == []


def test_caller_that_was_refused_is_added_by_one_click(office: Office) -> None:
    with office.database.write() as tx:
        stranger = Refusal(1, 1, 3, "calling-ae-title-not-recognized", "'XRAY2' at 10.0.0.9 may not send")
        turned_away.record(tx, Caller("XRAY2", "WETREAD", "10.0.0.9", frozenset()), stranger, clock(tx))

    assert "Add this caller XRAY2" in office.read("/peers")
    page = office.send_form("/peers/admit", title="XRAY2", address="10.0.0.9")

    assert "XRAY2 may send now" in page
    assert "Add this caller" not in page
    made = find(office, "XRAY2")
    assert (made.may_send, made.send_to, made.calls_from) == (True, False, "10.0.0.9")
    assert office.events_of_kim() == ["peer-added"]


def test_known_caller_without_the_right_gets_it_and_keeps_the_rest(office: Office) -> None:
    with office.database.write() as tx:
        peers.add(tx, RemoteAE(ae_title="RIS", may_query=True), now=clock(tx), actor="person:test")
        refusal = Refusal(1, 1, 3, "calling-ae-title-without-right", "'RIS' is registered, but may not send")
        turned_away.record(tx, Caller("RIS", "WETREAD", "10.0.0.9", frozenset()), refusal, clock(tx))

    assert "Let it send RIS" in office.read("/peers")
    assert "Refused 1 time from 10.0.0.9" in office.read("/peers/edit?title=RIS")
    office.send_form("/peers/admit", title="RIS", address="10.0.0.9")

    made = find(office, "RIS")
    assert (made.may_send, made.may_query, made.calls_from) == (True, True, "")


# --- services -----------------------------------------------------------------------------------------------------


SERVICE = {"name": "RIS", "url": "mllp://10.0.0.7:2575", "way": "", "mode": "draft", "proof": "", "credential": ""}


def test_service_is_added_changed_and_removed(office: Office) -> None:
    refused = office.send_form("/peers/service", code=422, new="yes", **SERVICE, notices="yes")
    assert "RIS: why there is no draft is said in basic-text, which mllp does not carry" in refused
    office.send_form("/peers/service", new="yes", **SERVICE)
    with office.database.read() as tx:
        made = endpoints.find(tx, "RIS")
    assert (made.way, made.host, made.port, made.notices) == (Way.MLLP, "10.0.0.7", 2575, False)

    assert 'value="mllp://10.0.0.7:2575"' in office.web.get("/peers/service?name=RIS").text
    office.send_form("/peers/service", **SERVICE | {"url": "mllp://[2001:db8::7]:2575"})
    assert 'value="mllp://[2001:db8::7]:2575"' in office.web.get("/peers/service?name=RIS").text
    office.send_form("/peers/service", **SERVICE | {"url": "mllp://10.0.0.8:2576", "mode": "shadow"})
    with office.database.read() as tx:
        made = endpoints.find(tx, "RIS")
    assert (made.host, made.port, made.mode, made.notices) == ("10.0.0.8", 2576, Mode.SHADOW, False)

    assert "check the box" in office.send_form("/peers/service/remove", name="RIS")
    assert "RIS is removed" in office.send_form("/peers/service/remove", name="RIS", sure="yes")
    assert office.events_of_kim() == ["destination-added", *["destination-edited"] * 2, "destination-removed"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"url": "ftp://ris"}, "must be mllp://HOST:PORT, or http"),
        ({"url": "https://ris/api"}, "--way stow, --way fhir or --way webhook"),
        ({"name": "a b"}, "is no name"),
        ({"credential": "nobodys"}, "is none of"),
        ({"proof": "commitment"}, "is none of"),
    ],
)
def test_mistake_about_a_service_is_told(office: Office, wrong: dict[str, str], told: str) -> None:
    assert told in office.send_form("/peers/service", code=422, new="yes", **SERVICE | wrong)
    assert office.events_of_kim() == []


def test_service_that_cannot_be_reached_says_so(office: Office) -> None:
    office.send_form("/peers/service", new="yes", **SERVICE | {"url": f"mllp://127.0.0.1:{free_port()}"})

    assert "cannot be reached (ConnectionRefusedError)" in office.send_form("/peers/service/try", name="RIS")


# --- who may ------------------------------------------------------------------------------------------------------


def test_nobody_else_changes_peers_or_sees_the_buttons(office: Office) -> None:
    office.add_peer("PACS")
    radiologist = office.as_(Role.RADIOLOGIST)

    assert "/peers/edit" not in radiologist.get("/peers").text
    for address in ("edit", "remove", "admit", "echo", "probe", "advice", "service", "service/remove", "service/try"):
        assert radiologist.post(f"/peers/{address}", data={"title": "PACS", "sure": "yes"}).status_code == 403
    assert find(office, "PACS").ae_title == "PACS"


def test_header_leads_to_the_peers_who_may_change_them(office: Office) -> None:
    links = {role: 'href="/peers"' in office.as_(role).get("/").text for role in (Role.RADIOLOGIST, Role.TRAINEE)}

    assert links == {Role.RADIOLOGIST: False, Role.TRAINEE: False}
    assert 'href="/peers"' in office.web.get("/").text


def test_form_of_another_site_changes_nothing(office: Office) -> None:
    office.add_peer("PACS")

    answer = office.web.post(
        "/peers/remove", data={"title": "PACS", "sure": "yes"}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert answer.status_code == 403
    assert find(office, "PACS").ae_title == "PACS"
