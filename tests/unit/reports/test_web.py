"""The pages, on a real database that was filled by the functions that fill it in life."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from agent import schema
from agent.config import Config, ReaderConfig
from agent.pages import make_pages
from dicom_node import audit, endpoints, peers, turned_away, worklist
from dicom_node.access import Caller, Refusal
from dicom_node.beats import cannot_start
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.destinations import destinations, takes
from dicom_node.files import stored_path, write_document
from dicom_node.headers import Header
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Book, Mode, ProcessBeat, RemoteAE, Study
from dicom_node.worklist import Claim, Ending, Outgoing
from reports import life
from reports.life import RULES
from reports.objects.frame import encode
from reports.provenance import NOTICE
from reports.tables import Event, Report
from reports.web.access import is_loopback_name
from reports.web.alarms import PROCESSES
from reports.web.app import make_app
from reports.web.site import Premises
from reports.web.timeline import WORDS
from tests.harness.installation import install
from tests.unit.reports import films

LEASE = timedelta(minutes=5)
RESEARCH = "Research software. Drafts are AI drafts, not verified."
KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"  # no image: it does not open a study again
INLINE_SCRIPT = re.compile(r"<script(?! (?:type=\"module\" )?src=\"/static/[a-z]+\.js(?:\?[0-9a-f]{12})?\"></script>)")
HOSTILE = "<script>alert('x')</script>\"&'"


class House:
    """A node without network: what arrives and what becomes of it is entered as the processes enter it."""

    def __init__(self, folder: Path, *, reserve_mebibytes: int = 1) -> None:
        self.config = Config(node=NodeConfig(data_folder=folder, reserve_mebibytes=reserve_mebibytes))
        self.database = Database(self.config.node.database_url)
        install(self.database)
        self.web = TestClient(make_pages(self.config, self.database), base_url="http://localhost:8080")

    def now(self) -> datetime:
        with self.database.read() as tx:
            return clock(tx)

    def add_peer(self, title: str = "PACS", mode: Mode = Mode.DRAFT) -> None:
        with self.database.write() as tx:
            peer = RemoteAE(ae_title=title, host="10.0.0.5", port=104, may_send=True, send_to=True, mode=mode)
            peers.add(tx, peer, now=clock(tx), actor="person:test")

    def beat(self, *, seconds_ago: float = 0, without: str = "") -> None:
        with self.database.write() as tx:
            moment = clock(tx) - timedelta(seconds=seconds_ago)
            for name in PROCESSES:
                if name != without:
                    tx.merge(ProcessBeat(name=f"{name}@host", pid=1, started_at=moment, beat_at=moment))

    def receive(
        self,
        number: int = 1,
        *,
        patient_id: str = "EX-0001",
        accession: str = "ACC0001",
        instance: int = 1,
        sop_class_uid: str = films.DX,
    ) -> None:
        study = f"{films.STUDY}.{number}"
        header = Header(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=f"{study}.1.{instance}",
            study_instance_uid=study,
            series_instance_uid=f"{study}.1",
            patient_id=patient_id,
            issuer_of_patient_id="",
            accession_number=accession,
            device_uid="",
        )
        arrival = worklist.Arrival(
            header=header,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            digest=f"{number:032x}{instance:032x}",
            size=1_234_567,
            calling_ae_title="PACS",
        )
        with self.database.write() as tx:
            worklist.record_instance(tx, arrival, clock(tx))

    def complete(self) -> None:
        with self.database.write() as tx:
            worklist.complete_studies(tx, clock(tx), quiet=timedelta(0), deadline=LEASE)

    def claim(self) -> Claim:
        with self.database.write() as tx:
            held = worklist.claim(tx, worker="work@host", token="t" * 32, lease=LEASE, now=clock(tx))
        assert held is not None
        return held

    def wait_for_a_reading(self, number: int = 1, **arrival: str) -> None:
        self.receive(number, **arrival)
        self.complete()

    def draft(self, held: Claim, nothing_leaves: Ending | None = None) -> str:
        """Record a draft for the peers that get drafts; returns its digest in the store."""
        document = films.draft()
        digest = write_document(self.config.node.store_folder, encode(document))
        report = Report(
            revision_id=held.revision_id,
            sop_instance_uid=document.SOPInstanceUID,
            digest=digest,
            film_digest="f" * 64,
            reader="CXR-LLaVA demo 1.0 fp32",
            reader_digest="d" * 64,
            generation="greedy",
        )
        with self.database.write() as tx:
            outgoing = [
                Outgoing(
                    destination=destination.name,
                    kind=Kind.BASIC_TEXT,
                    stage=Stage.DRAFT,
                    sop_class_uid=document.SOPClassUID,
                    sop_instance_uid=document.SOPInstanceUID,
                    device_uid=document.DeviceUID,
                    digest=digest,
                )
                for destination in destinations(tx)
                if takes(destination, Kind.BASIC_TEXT, Stage.DRAFT)
            ]
            life.record(tx, report, None, clock(tx), actor="work")
            worklist.finish(
                tx, held, outgoing, nothing_leaves=nothing_leaves or Ending(Book.AWAITING_SIGNOFF), now=clock(tx)
            )
        return digest

    def consign(self) -> worklist.Consignment:
        with self.database.write() as tx:
            held = worklist.claim_delivery(tx, sender="send@host", token="s" * 32, lease=LEASE, now=clock(tx))
        assert held is not None
        return held

    def shown(self, address: str = "/") -> str:
        """The page as a person reads it: without markup, on one line."""
        page = self.web.get(address)
        assert page.status_code == 200
        return words(page.text)


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.replace("&#34;", '"').replace("&#39;", "'")).split())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.database.close()


# --- the worklist: one plain status each --------------------------------------------------------------------------


def test_empty_worklist_says_how_to_register_the_pacs(house: House) -> None:
    page = house.shown()

    assert "wetread ae add PACS@10.0.0.5:104 --may-send --send-to" in page
    assert "AE title WETREAD" in page
    assert "11112" in page


def test_empty_worklist_with_a_sender_says_where_it_should_send(house: House) -> None:
    house.add_peer("XRAY1")

    page = house.shown()

    assert "XRAY1 may send to WETREAD on port 11112" in page
    assert "wetread check" in page


def test_open_study_is_receiving(house: House) -> None:
    house.receive(instance=1)
    house.receive(instance=2)

    assert re.search(r"receiving 2 images so far, the last object \d+ s ago", house.shown())


def test_waiting_studies_know_their_place_in_the_queue(house: House) -> None:
    for number in (1, 2, 3):
        house.wait_for_a_reading(number)

    page = house.shown()

    assert "waiting Number 1 of 3 in the queue." in page
    assert page.index("Number 3 of 3") < page.index("Number 2 of 3") < page.index("Number 1 of 3")
    assert "3 waiting to be read, oldest 0 s" in page


def test_failed_attempt_shows_its_reason_and_the_wait_for_the_next(house: House) -> None:
    house.wait_for_a_reading()
    held = house.claim()
    with house.database.write() as tx:
        worklist.fail(
            tx,
            held,
            reason="gpu",
            explanation="the GPU is out of memory",
            attempts=3,
            wait=timedelta(minutes=10),
            now=clock(tx),
        )

    page = house.shown()

    assert "waiting Number 1 of 1 in the queue. Attempt 1 failed: the GPU is out of memory." in page
    assert re.search(r"Next attempt in (9|10) min\.", page)


def test_claimed_study_is_being_read(house: House) -> None:
    house.wait_for_a_reading()
    house.claim()

    assert "reading Being read by work@host, attempt 1." in house.shown()


def test_drafted_study_follows_its_delivery_to_the_proof(house: House) -> None:
    house.add_peer()
    house.wait_for_a_reading()
    house.draft(house.claim())
    assert "drafted, on its way Drafted. About to be sent to PACS." in house.shown()

    held = house.consign()
    with house.database.write() as tx:
        worklist.mark_retry(tx, held, error="connection refused", wait=timedelta(minutes=30), now=clock(tx))
    assert "PACS did not take it yet: connection refused. Next try in" in house.shown()

    with house.database.write() as tx:
        tx.execute(text("UPDATE delivery SET next_attempt_at = queued_at"))
    held = house.consign()
    with house.database.write() as tx:
        worklist.mark_sent(tx, held, clock(tx))
    assert "Sent to PACS, its proof is awaited." in house.shown()

    held = house.consign()
    with house.database.write() as tx:
        worklist.mark_committed(tx, held, clock(tx))
    assert "delivered The draft is in PACS (basic-text; proof: query)." in house.shown()


def test_excluded_study_says_why(house: House) -> None:
    house.wait_for_a_reading()
    held = house.claim()
    with house.database.write() as tx:
        worklist.exclude(tx, held, reason="child", explanation="The patient is under 18 years.", now=clock(tx))

    assert "excluded Not read: The patient is under 18 years." in house.shown()
    assert "--overrule child" in house.shown("/study/1")


def test_study_that_the_gate_holds_names_both_commands(house: House) -> None:
    house.wait_for_a_reading()
    held = house.claim()
    with house.database.write() as tx:
        worklist.hold(tx, held, reason="body-part-unknown", explanation="The body part is absent.", now=clock(tx))

    page = house.shown()

    assert "held A person must decide whether it may be read: The body part is absent." in page
    assert "wetread study confirm '#1'" in page
    assert "wetread study exclude '#1' --reason " in page
    assert "1 study is held until a person decides." in page


@pytest.mark.parametrize(
    ("patients", "said"),
    [(["A", "B"], "Objects of two patients came under one Study Instance UID"), ([""], "came without a Patient ID")],
)
def test_study_that_is_held_for_its_patient_offers_no_confirmation(
    house: House, patients: list[str], said: str
) -> None:
    for instance, patient in enumerate(patients, 1):
        house.receive(patient_id=patient, instance=instance)
    house.complete()

    page = house.shown()

    assert said in page
    assert "wetread study exclude '#1'" in page
    assert "wetread study release '#1'" in page
    assert "wetread study confirm" not in page


def test_second_patient_after_the_draft_left_is_told_beside_the_delivery(house: House) -> None:
    house.add_peer()
    house.wait_for_a_reading()
    house.draft(house.claim())
    held = house.consign()
    with house.database.write() as tx:
        worklist.mark_sent(tx, held, clock(tx))
    house.receive(patient_id="EX-0002", instance=2, sop_class_uid=KEY_OBJECT)

    page = house.shown()

    assert "drafted, on its way" in page
    assert "Objects of two patients" in page


def test_dead_letter_names_reason_and_command_and_raises_an_alarm(house: House) -> None:
    house.add_peer()
    house.wait_for_a_reading()
    house.draft(house.claim())
    held = house.consign()
    with house.database.write() as tx:
        worklist.mark_failed(tx, held, error="0x0122 SOP class not supported", now=clock(tx))

    page = house.shown()

    assert "dead letter Given up: PACS: 0x0122 SOP class not supported. wetread study requeue" in page
    assert "wetread study requeue '#1'" in page
    assert "1 study is a dead letter: nothing more happens until a person has looked." in page
    assert re.search(r"\b1 dead letter\b", page)


def test_dead_letter_says_who_has_the_draft(house: House) -> None:
    house.add_peer("ARCHIVE")
    house.add_peer("PACS")
    house.wait_for_a_reading()
    house.draft(house.claim())
    first, second = house.consign(), house.consign()
    with house.database.write() as tx:
        worklist.mark_sent(tx, first, clock(tx))
        worklist.mark_failed(tx, second, error="refused", now=clock(tx))
    proven = house.consign()
    with house.database.write() as tx:
        worklist.mark_committed(tx, proven, clock(tx))

    said = f"dead letter Given up: {second.destination}: refused. {first.destination} has it."
    assert said in house.shown()


def test_draft_without_a_draft_destination_awaits_its_signature(house: House) -> None:
    house.add_peer(mode=Mode.HOLD)
    house.wait_for_a_reading()
    house.draft(house.claim())

    assert "awaiting sign-off Drafted." in house.shown()


def test_closed_study_says_why_nothing_was_delivered(house: House) -> None:
    house.add_peer(mode=Mode.SHADOW)
    house.wait_for_a_reading()
    house.draft(house.claim(), Ending(Book.CLOSED, "shadow", "all destinations are in shadow mode"))

    assert "closed, not delivered Nothing was delivered: all destinations are in shadow mode." in house.shown()
    assert "lungs are clear" not in house.shown("/study/1")
    assert "shown to nobody" in house.shown("/study/1")


def test_study_that_a_person_excluded_gives_no_more_advice(house: House) -> None:
    house.receive(patient_id="")
    house.complete()
    with house.database.write() as tx:
        worklist.set_aside(tx, worklist.find_study(tx, "1"), explanation="no chest", now=clock(tx), actor="person:test")

    page = house.shown()

    assert "excluded Not read: no chest." in page
    assert "Correct it in the PACS" not in page


# --- search and pages ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", ["acc-2", "PAT%/2", f"{films.STUDY}.2", "%20PAT%252F2"])
def test_search_finds_by_the_start_of_each_identifier(house: House, search: str) -> None:
    house.receive(1, accession="ACC-1", patient_id="PAT%/1")
    house.receive(2, accession="ACC-2", patient_id="PAT%/2")

    found = house.web.get("/", params={"q": search.replace("%20PAT%252F2", " PAT%/2 ")}).text

    assert "/study/2" in found
    assert "/study/1" not in found


def test_wildcards_of_the_database_are_letters_like_any_other(house: House) -> None:
    house.receive(1)

    assert "No study fits." in words(house.web.get("/", params={"q": "%"}).text)


def test_pages_are_turned_without_losing_or_repeating_a_study(house: House) -> None:
    for number in range(1, 121):
        house.receive(number)

    seen: list[int] = []
    address: str | None = "/"
    while address:
        page = house.web.get(address).text
        seen += [int(number) for number in re.findall(r'href="/study/(\d+)"', page)]
        older = re.search(r'href="([^"]+)" rel="next"', page)
        address = older[1].replace("&amp;", "&") if older else None

    assert seen == list(range(120, 0, -1))


def test_worklist_can_be_narrowed_to_dead_letters_and_held_studies(house: House) -> None:
    house.receive(1, patient_id="")
    house.receive(2)
    house.complete()
    with house.database.write() as tx:
        worklist.set_aside(tx, worklist.find_study(tx, "2"), explanation="test", now=clock(tx), actor="person:test")

    assert re.findall(r"/study/(\d+)", house.web.get("/?show=held").text) == ["1"]
    assert "No study fits" in house.shown("/?show=dead-letters")


@pytest.mark.parametrize("query", ["before=²", "before=99999999999999999999", "before=-1", "show=nothing", "q=%01"])
def test_nonsense_in_the_address_shows_the_plain_worklist(house: House, query: str) -> None:
    house.receive()

    assert "/study/1" in house.web.get(f"/?{query}").text


def test_only_the_first_plain_page_refreshes_and_can_be_stopped(house: House) -> None:
    house.receive()

    assert 'http-equiv="refresh"' in house.web.get("/").text
    for address in ("/?refresh=off", "/?q=ACC", "/study/1?refresh=off", "/peers"):
        assert "http-equiv" not in house.web.get(address).text


# --- alarms -------------------------------------------------------------------------------------------------------


def test_process_without_a_sign_of_life_raises_an_alarm(house: House) -> None:
    house.beat(seconds_ago=31, without="send")

    page = house.shown()

    assert "Never given a sign of life: send." in page
    assert re.search(r"listen@host has given no sign of life for 3\d s", page)


def test_process_that_cannot_start_raises_an_alarm_with_its_reason(house: House) -> None:
    house.beat()
    with house.database.write() as tx:
        tx.get_one(ProcessBeat, "listen@host").detail = cannot_start("no port", "at 04:50:12Z")

    page = house.shown()

    assert "listen@host cannot start: no port; wetread run tries again at 04:50:12Z." in page
    assert "silent listen@host" in page


def test_living_processes_raise_none(house: House) -> None:
    house.beat()

    assert "sign of life" not in house.shown()
    assert re.search(r"alive listen@host \d+ s ago", house.shown())


def test_host_that_is_long_gone_is_forgotten_when_another_does_its_work(house: House) -> None:
    house.beat()
    with house.database.write() as tx:
        moment = clock(tx) - timedelta(hours=2)
        tx.add(ProcessBeat(name="work@gone", pid=1, started_at=moment, beat_at=moment))

    assert "work@gone" not in house.shown()


def test_pause_shows_who_did_it_and_how_to_go_on(house: House) -> None:
    house.wait_for_a_reading()
    with house.database.write() as tx:
        worklist.switch(tx, "pause-work", on=True, now=clock(tx), actor="person:kim")

    page = house.shown()

    assert "Reading is paused by person:kim since" in page
    assert "wetread resume --what work" in page
    assert "Number 1 of 1 in the queue. Reading is paused by a person." in page


def test_peers_without_a_destination_raise_an_alarm(house: House) -> None:
    with house.database.write() as tx:
        peers.add(tx, RemoteAE(ae_title="XRAY", may_send=True), now=clock(tx), actor="person:test")

    assert "No destination is registered" in house.shown()


def test_page_of_peers_shows_who_was_refused_and_why(house: House) -> None:
    refusal = Refusal(1, 1, 3, "calling-ae-title-not-recognized", "only the case differs from 'PACS'")
    with house.database.write() as tx:
        turned_away.record(tx, Caller("<b>pacs", "WETREAD", "10.0.0.9", frozenset()), refusal, clock(tx))

    page = house.web.get("/peers").text

    assert "only the case differs" in page
    assert "10.0.0.9" in page
    assert "<b>pacs" not in page
    assert "&lt;b&gt;pacs" in page


# --- one study ----------------------------------------------------------------------------------------------------


def test_study_page_shows_draft_beside_the_notice_and_the_whole_timeline(house: House) -> None:
    house.add_peer()
    house.wait_for_a_reading()
    house.draft(house.claim())
    held = house.consign()
    with house.database.write() as tx:
        worklist.mark_sent(tx, held, clock(tx))
    held = house.consign()
    with house.database.write() as tx:
        worklist.mark_committed(tx, held, clock(tx))

    page = house.shown("/study/1")

    assert page.count(NOTICE) == 2  # beside the draft, and as its first section
    assert "The lungs are clear." in page
    assert "State: DRAFT, of revision 1." in page
    told = (
        "The first object arrived.",
        "No more images were expected (by quiet); revision 1 was complete.",
        "Reading started, attempt 1.",
        "The draft was recorded.",
        "Sent to PACS, which answered success.",
        "PACS proved that it had it, by query.",
        "Revision 1 was delivered: every destination proved it.",
    )
    places = [page.index(sentence) for sentence in told]
    assert places == sorted(places)
    assert "Digital X-Ray Image Storage" in page
    assert "1,234,567" in page


def test_every_moment_is_written_in_utc_and_for_machines(house: House) -> None:
    house.receive()
    with house.database.write() as tx:
        tx.get_one(Study, 1).last_received_at = datetime(2025, 3, 1, 23, 30, 5, tzinfo=UTC)

    assert '<time datetime="2025-03-01T23:30:05Z">2025-03-01 23:30:05 UTC</time>' in house.web.get("/study/1").text


def test_draft_whose_file_is_gone_or_changed_says_so(house: House) -> None:
    house.add_peer()
    house.wait_for_a_reading()
    path = stored_path(house.config.node.store_folder, house.draft(house.claim()))

    path.write_bytes(path.read_bytes().replace(b"lungs", b"LUNGS"))
    assert "is damaged" in house.shown("/study/1")
    path.unlink()
    assert "is missing" in house.shown("/study/1")


def test_draft_of_an_older_revision_is_marked(house: House) -> None:
    house.add_peer()
    house.wait_for_a_reading()
    house.draft(house.claim())
    house.receive(instance=2)

    assert "of revision 1; the study is at revision 2" in house.shown("/study/1")


OF_NO_STUDY = {
    "commitment-asked-of-us",
    "commitment-contradicted",
    "commitment-reported",
    "commitment-reported-by-us",
    "destination-requeued",
    "not-reconciled",
    "object-quarantined",
    "reconciled",
    "switched",
}


def test_every_event_that_the_node_writes_about_a_study_has_words() -> None:
    folder = Path(worklist.__file__).parent
    source = "".join(path.read_text() for path in (*folder.glob("*.py"), folder.parent / "retention.py"))
    written = set(re.findall(r'audit\.append\(\s*tx,\s*"([a-z-]+)"', source))
    written |= {f"revision-{book.replace(' ', '-')}" for book in Book if book is not Book.IN_FLIGHT}

    assert len(written) > 15
    assert written - set(WORDS) - OF_NO_STUDY == set()


def test_every_event_of_a_report_has_words() -> None:
    of_people = {"report-attested", "report-sent-back", "report-signed", "report-addendum"}
    others = {Event.DRAFTED, Event.ATTESTED, Event.SENT_BACK, Event.SIGNED}
    ends = of_people | {f"report-{rule.to.value.lower()}" for event, rule in RULES.items() if event not in others}
    told = {"report-recalled", "report-left-behind", "object-left-out"}
    seen = {Event.FINAL_ELSEWHERE, Event.CANCELED, Event.CANCELED_FOR_SAFETY, Event.PATIENT_CHANGED}

    assert ends | told | {f"seen-{event.value}" for event in seen} <= set(WORDS)


@pytest.mark.parametrize(
    ("event", "detail", "told"),
    [
        ("study-moved", '{"to": "attic"}', "Study moved: to attic"),
        ("study-confirmed", "{}", "(films shown here before: not recorded)."),  # a row of an earlier version
    ],
)
def test_event_is_shown_with_what_it_says(house: House, event: str, detail: str, told: str) -> None:
    house.receive()
    with house.database.write() as tx:
        tx.execute(text("UPDATE audit SET event = :event, detail = :detail"), {"event": event, "detail": detail})

    assert told in house.shown("/study/1")


@pytest.mark.parametrize("address", ["/study/7", "/study/99999999999999999999", "/study/x", "/nowhere"])
def test_what_is_not_there_is_not_found(house: House, address: str) -> None:
    answer = house.web.get(address)

    assert answer.status_code == 404
    assert RESEARCH in answer.text


# --- peers --------------------------------------------------------------------------------------------------------


def test_peers_page_says_what_each_may_and_gets(house: House) -> None:
    assert "wetread ae add" in house.shown("/peers")
    house.add_peer("PACS")
    house.add_peer("ARCHIVE", Mode.HOLD)

    page = house.shown("/peers")

    assert "PACS 10.0.0.5:104 yes yes, drafts at once basic-text, kos C-FIND finds it" in page
    assert "ARCHIVE 10.0.0.5:104 yes only what a radiologist signed" in page


def test_peers_page_shows_services_with_their_protocol(house: House) -> None:
    with house.database.write() as tx:
        endpoints.add(tx, "RIS", endpoints.place("mllp://ris"), now=clock(tx), actor="person:test")
        web = endpoints.place("http://vna/dicom-web")
        endpoints.add(tx, "VNA", web, now=clock(tx), actor="person:test", notices=True)

    page = house.shown("/peers")

    assert "RIS HL7 v2 (MLLP) ris:2575 yes, drafts at once oru its answer" in page
    assert "yes, drafts at once, and why there is no draft basic-text, kos" in page


# --- nobody else let in, nothing told -----------------------------------------------------------------------------


def test_hostile_values_are_shown_and_never_become_markup(house: House) -> None:
    house.add_peer()
    with house.database.write() as tx:
        peers.find(tx, "PACS").comment = HOSTILE
    house.wait_for_a_reading(patient_id=HOSTILE, accession=HOSTILE)
    house.draft(house.claim())
    held = house.consign()
    with house.database.write() as tx:
        worklist.mark_failed(tx, held, error=HOSTILE, now=clock(tx))

    for address in ("/", "/study/1", "/peers", "/?q=" + HOSTILE):
        page = house.web.get(address)
        assert page.status_code == 200
        assert not INLINE_SCRIPT.search(page.text)
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&#34;&amp;&#39;" in page.text


@pytest.mark.parametrize("address", ["/", "/study/1", "/peers", "/nowhere"])
def test_every_page_says_what_it_is_and_is_locked_down(house: House, address: str) -> None:
    house.receive()

    page = house.web.get(address)

    assert RESEARCH in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert not INLINE_SCRIPT.search(page.text)
    assert not re.search(r" style=| on\w+=|(?:src|href)=\"(?:https?:)?//", page.text)


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("127.0.0.1:8080", True),
        ("127.9.9.9", True),
        ("[::1]:8080", True),
        ("", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.5", False),
        ("0.0.0.0", False),
        ("[::1", False),
        ("localhost:80@evil.example", False),
        ("127.0.0.1\n", False),
    ],
)
def test_only_loopback_names_are_ours(host: str, is_ours: bool) -> None:
    assert is_loopback_name(host) is is_ours


def test_page_of_another_site_that_points_its_name_here_learns_nothing(house: House) -> None:
    house.receive()

    for address in ("/", "/study/1", "/metrics", "/static/wetread.css"):
        answer = house.web.get(address, headers={"Host": "evil.example"})
        assert answer.status_code == 421
        assert "ACC0001" not in answer.text


def test_browser_keeps_a_static_file_as_long_as_its_digest_stays(house: House) -> None:
    page = house.web.get("/").text
    named = re.search(r"/static/wetread\.css\?[0-9a-f]{12}", page)
    assert named is not None

    kept = {path: house.web.get(path).headers["cache-control"] for path in (named[0], f"{named[0][:-1]}x")}
    loaded = house.web.get("/static/keys.js")  # as other scripts load it: by name alone
    again = house.web.get("/static/keys.js", headers={"If-None-Match": loaded.headers["etag"]})

    assert list(kept.values()) == ["private, max-age=31536000, immutable", "private, no-cache"]
    assert (loaded.headers["cache-control"], again.status_code) == ("private, no-cache", 304)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_pages_change_nothing(house: House, method: str) -> None:
    assert house.web.request(method, "/").status_code == 405


def test_error_page_tells_no_details_and_the_probes_still_answer(house: House, tmp_path: Path) -> None:
    house.receive()
    with house.database.write() as tx:
        tx.execute(text("ALTER TABLE study RENAME TO elsewhere"))

    page = house.web.get("/?q=EX-0001")

    assert page.status_code == 500
    assert "Something broke" in page.text
    assert RESEARCH in page.text
    assert not re.search("study|sqlite|Traceback|EX-0001", page.text.replace("/study", ""))
    assert page.headers["Content-Security-Policy"]
    assert house.web.get("/healthz").text == "alive\n"
    assert house.web.get("/metrics").status_code == 503


def test_pages_without_a_database_answer_with_the_error_page(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    premises = Premises(ae_title="WETREAD", port=11112, store_folder=tmp_path, version="1")
    app = make_app(premises, database, not_ready=lambda: ["no"], metrics=lambda: b"")
    web = TestClient(app, base_url="http://127.0.0.1")

    assert [web.get(address).status_code for address in ("/", "/study/1", "/peers")] == [500, 500, 500]
    assert web.get("/readyz").status_code == 503
    database.close()


# --- readiness ----------------------------------------------------------------------------------------------------


def test_installation_that_is_well_is_ready(house: House) -> None:
    answer = house.web.get("/readyz")

    assert (answer.status_code, answer.text) == (200, "ready\n")


def test_disk_below_its_reserve_is_not_ready_and_stands_above_the_pages(tmp_path: Path) -> None:
    full = House(tmp_path, reserve_mebibytes=1 << 40)

    answer = full.web.get("/readyz")

    assert answer.status_code == 503
    assert "images are refused until there is space" in answer.text
    assert "images are refused until there is space" in full.shown()
    full.database.close()


def test_store_that_is_away_is_not_ready_and_stands_above_the_pages(house: House, tmp_path: Path) -> None:
    folder = house.config.node.store_folder
    folder.rename(tmp_path / "away")
    assert house.web.get("/readyz").status_code == 200, "nothing was ever stored"
    house.receive()

    answer = house.web.get("/readyz")

    assert answer.status_code == 503
    assert answer.text.startswith(f"The store is away, so nothing is received, read or sent: {folder} is not there")
    assert "The store is away" in house.shown()
    (tmp_path / "away").rename(folder)
    assert house.web.get("/readyz").text == "ready\n"


def test_database_of_another_version_is_not_ready(house: House) -> None:
    with house.database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    answer = house.web.get("/readyz")

    assert answer.status_code == 503
    needed = f"this program needs {schema.VERSION}: run wetread db upgrade."
    assert answer.text == f"The database has version 9999, {needed}\n"


def test_database_without_tables_is_not_ready(house: House) -> None:
    with house.database.write() as tx:
        tx.execute(text("DROP TABLE alembic_version"))

    answer = house.web.get("/readyz")

    assert answer.status_code == 503
    assert "wetread db upgrade" in answer.text


# --- markup and style sheet ---------------------------------------------------------------------------------------


def test_elements_of_every_page_are_closed_in_order(house: House) -> None:
    house.add_peer()
    house.wait_for_a_reading()
    house.draft(house.claim())
    house.receive(2)

    for address in ("/", "/study/1", "/study/2", "/peers", "/nowhere", "/?q=nothing"):
        checked = OpenElements()
        checked.feed(house.web.get(address).text)
        assert (checked.count > 20, checked.path) == (True, [])


class OpenElements(HTMLParser):
    """Follows the elements of a page and stops where one is closed that is not the innermost."""

    def __init__(self) -> None:
        super().__init__()
        self.path: list[str] = []
        self.count = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.count += 1
        if tag not in {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}:
            self.path.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop() == tag


def test_style_sheet_is_found_at_the_address_that_pages_name(house: House) -> None:
    address = re.search(r'<link rel="stylesheet" href="([^"]+)">', house.web.get("/").text)
    assert address

    sheet = house.web.get(address[1])

    assert sheet.headers["Content-Type"] == "text/css; charset=utf-8"
    assert not re.search(r"url\(|@import", sheet.text)


def test_colors_have_the_contrast_of_wcag_aa_in_light_and_dark(house: House) -> None:
    sheet = house.web.get("/static/wetread.css").text
    colors = re.findall(r"--([a-z]+-(?:ink|back)): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", sheet)
    assert len(colors) == sheet.count("light-dark(#") - 1  # the line around things

    for theme in (1, 2):
        named = {color[0]: color[theme] for color in colors}
        pairs = [(name, name.replace("-ink", "-back")) for name in named if name.endswith("-ink")]
        pairs += [(name, "card-back") for name in ("quiet-ink", "link-ink", "head-ink", "bad-ink")]
        pairs += [(name, "pick-back") for name in ("quiet-ink", "link-ink")]
        assert len(pairs) >= 20
        poor = {pair: contrast(*(named[name] for name in pair)) for pair in pairs}
        assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.2, "relative luminance"."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("address", ["/", "/study/1", "/peers"])
def test_every_page_says_that_a_demonstration_model_runs(house: House, tmp_path: Path, address: str) -> None:
    house.receive()
    real = Config(node=house.config.node, reader=ReaderConfig(checkpoint=tmp_path))
    with_a_model = TestClient(make_pages(real, house.database), base_url="http://localhost:8080")

    assert "Demonstration model. It has seen 746 public films and is weak" in house.shown(address)
    assert "Demonstration model." not in words(with_a_model.get(address).text)


def test_the_timeline_names_a_worker_in_words_and_no_empty_reason(house: House) -> None:
    house.receive()
    with house.database.write() as tx:
        audit.append(
            tx, "revision-excluded", at=clock(tx), actor="xray7/ab12/4026:77", study_id=1, revision=1, reason=""
        )

    page = house.shown("/study/1")

    assert "Revision 1 was excluded: no reason was recorded. process 77 on xray7" in page
    assert "xray7/ab12" not in page
