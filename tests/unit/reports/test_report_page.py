"""The report page without a browser: what it shows, what it lets do, and why it does not."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from starlette.testclient import TestClient

from dicom_node.database import clock
from dicom_node.files import stored_path
from dicom_node.tables import Delivery, DeliveryState, Proof, Study
from dicom_node.worklist.holds import PATIENT_CHANGED, hold_study
from reports import life, questions
from reports.findings import State, extract
from reports.people import accounts
from reports.people.rights import Role
from reports.signoff.copies import OFFERED
from reports.signoff.reasons import Reason
from reports.signoff.tables import SignedDocument, WorkingCopy
from reports.tables import Event, Report, ReportState
from reports.text import DraftText
from reports.web import film
from reports.web.desk import arrival
from reports.web.report import Papers, age_then
from reports.web.wording import SHOWN, reading, sentence_for
from tests.harness.people import PASSWORD, add_user, signed_in
from tests.harness.reading_room import TEXT, ReadingRoom

PIN = {"pin": "2580"}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    made = ReadingRoom(tmp_path)
    add_user(made.database, "rita", Role.RADIOLOGIST, name="Reader^Rita")
    add_user(made.database, "carl", Role.RADIOLOGIST, name="Chief^Carl")
    add_user(made.database, "tom", Role.TRAINEE, name="Trainee^Tom")
    add_user(made.database, "ada", Role.ADMINISTRATOR, name="Admin^Ada")
    yield made
    made.close()


class Hand:
    """A person at the page of one report."""

    def __init__(self, room: ReadingRoom, login: str, report: Report) -> None:
        self.client = signed_in(room.app, room.database, login)
        self.number = room.number(report)
        self.address = f"/study/{self.number}/report"
        self.report = report.id

    def page(self) -> str:
        answer = self.client.get(self.address)
        assert answer.status_code == 200
        return answer.text

    def desk(self) -> dict[str, Any]:
        return dict(self.client.get(f"{self.address}/desk").json())

    def do(self, act: str, **body: Any) -> Any:
        return self.client.post(f"{self.address}/{act}", json={"report": self.report, **body})

    def must(self, act: str, **body: Any) -> dict[str, Any]:
        answer = self.do(act, **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ready(self) -> dict[str, Any]:
        self.must("open")
        self.must("shown")
        return self.must("identity")


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


# --- what is shown --------------------------------------------------------------------------------------------------


def test_page_shows_whose_study_it_is_the_notice_and_the_words(room: ReadingRoom) -> None:
    page = Hand(room, "rita", room.study(IssuerOfPatientID="HOSPITAL")).page()

    shown = words(page)
    for expected in (
        "Example Film",
        "EX-0001",
        "HOSPITAL",
        "65 y",
        "ACC0001",
        "2025-03-01 10:15",
        "DX CHEST PA",
        "ROOM-4",
    ):
        assert expected in shown
    assert "AI-GENERATED DRAFT - NOT VERIFIED" in shown
    assert "The heart is mildly enlarged. No pneumothorax." in page
    assert "script-src 'self'" in Hand(room, "rita", room.study()).client.get("/").headers["content-security-policy"]


@pytest.mark.parametrize(
    ("notice", "said"),
    [
        ("DEMONSTRATION MODEL - NOT FOR CLINICAL USE", 2),  # before a signature, and where it becomes an addendum
        ("", 0),
    ],
)
def test_dialogs_before_a_signature_repeat_what_the_draft_says_of_its_model(
    room: ReadingRoom, notice: str, said: int
) -> None:
    room.receive_film()
    page = Hand(room, "rita", room.draft(notice=notice)).page()

    lines = re.findall(r'<p class="notice by-reader" id="[a-z]+-reader">(.*?)</p>', page)

    assert [words(one) for one in lines] == [f"{notice} The draft is by parrot 1."] * said
    assert page.count('aria-describedby="sign-reader"') == said // 2


def test_an_unpaired_body_part_has_no_side(room: ReadingRoom) -> None:
    shown = words(Hand(room, "rita", room.study(ImageLaterality="U")).page())
    assert "DX CHEST PA" in shown
    assert "DX CHEST PA U" not in shown


def test_page_says_so_while_the_store_is_away_and_nothing_can_be_signed(room: ReadingRoom) -> None:
    rita = Hand(room, "rita", room.study())
    rita.ready()
    store = room.desk.config.node.store_folder
    store.rename(room.folder / "away")
    assert "The store is away: the draft cannot be shown now." in words(rita.page())
    assert "is not there: mount its disk" in rita.client.get(f"/study/{rita.number}").text
    refused = rita.do("accept", version=0, findings="The heart is mildly enlarged.", **PIN)
    assert (refused.status_code, "is not there" in refused.text) == (422, True)
    (room.folder / "away").rename(store)
    assert "The heart is mildly enlarged. No pneumothorax." in rita.page()


def test_page_without_the_patient_offers_nothing_though_the_store_comes_back_as_it_is_made(room: ReadingRoom) -> None:
    rita = Hand(room, "rita", room.study())
    rita.ready()
    store, away = room.desk.config.node.store_folder, room.folder / "away"

    def come_back(*asked: Any) -> None:
        if "FROM film_shown" in asked[2] and away.exists():  # the page has been told that there is no document
            away.rename(store)

    store.rename(away)
    event.listen(room.database._reader, "before_cursor_execute", come_back)
    page = rita.page()

    assert store.is_dir()
    assert "Load this page again when it is back" in words(page)
    assert 'id="ask-sign"' not in page
    shown = rita.page()
    assert 'id="ask-sign"' in shown
    assert "Example Film" in shown[shown.index('id="ask-sign"') :]


@pytest.mark.parametrize("withdrawn", [False, True])
@pytest.mark.parametrize("gone", ["the store", "what was signed"])
def test_page_of_what_was_signed_says_that_it_cannot_be_shown_and_shows_nothing_else(
    room: ReadingRoom, gone: str, withdrawn: bool
) -> None:
    rita = Hand(room, "rita", room.study(IssuerOfPatientID="HOSPITAL"))
    rita.must("accept", version=rita.ready()["version"], **PIN)
    if withdrawn:
        rita.must("withdraw", words="Wrong film.", password=PASSWORD, safety=False)
    store = room.desk.config.node.store_folder
    chosen = select(SignedDocument.digest)
    if gone == "the store":
        store.rename(room.folder / "away")
        why = "The store is away: what was signed cannot be shown now."
    else:
        stored_path(store, room.ask(lambda tx: tx.scalars(chosen).one())).unlink()
        why = "What was signed cannot be shown: the document is not in the store"

    page = rita.page()

    shown = words(page)
    assert why in shown
    assert ("counts no more" in shown, 'class="notice final"' in page) == (withdrawn, not withdrawn)
    for whose in ("Patient name cannot be shown", "Patient ID EX-0001", "Issuer HOSPITAL", "Accession ACC0001"):
        assert whose in shown
    for other in ("AI-GENERATED", "How the draft was made"):
        assert other not in shown
    paper = page[page.index('id="paper"') : page.index('id="making"')]
    assert "mildly enlarged" not in paper.partition('id="writing"')[0]


def test_hostile_name_is_text_and_nothing_else(room: ReadingRoom) -> None:
    name = "<script>alert('x')</script>^\u202eEvil"
    page = Hand(room, "rita", room.study(SpecificCharacterSet="ISO_IR 192", PatientName=name)).page()

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; Evil" in page


@pytest.mark.parametrize(
    ("charset", "name", "shown"),
    [
        ("ISO_IR 192", "Hong^Gildong=洪^吉洞=홍^길동", "Hong Gildong = 洪 吉洞 = 홍 길동"),
        ("ISO_IR 192", "مثال^صورة", "مثال صورة"),
    ],
)
def test_names_of_all_scripts_stand_apart(room: ReadingRoom, charset: str, name: str, shown: str) -> None:
    page = Hand(room, "rita", room.study(SpecificCharacterSet=charset, PatientName=name)).page()

    assert f"<bdi>{shown}</bdi>" in page


def test_text_that_ends_a_script_block_stays_text(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    opened = hand.ready()

    hand.must(
        "save", findings="</script><img src=x onerror=alert(1)>", impression="i", chips={}, version=opened["version"]
    )

    page = hand.page()
    assert "<img src=x" not in page
    block = re.search(r'<script type="application/json" id="desk">(.*?)</script>', page, re.DOTALL)
    assert block is not None
    assert json.loads(block[1])["text"]["findings"] == "</script><img src=x onerror=alert(1)>"


def test_page_says_that_there_is_no_draft(room: ReadingRoom) -> None:
    from tests.unit.reports import films

    room.receive(films.film())
    client = signed_in(room.app, room.database, "rita")

    assert "There is no draft of this study." in words(client.get("/study/1/report").text)
    assert client.get("/study/99/report").status_code == 404
    assert client.post("/study/1/report/open", json={}).status_code == 404


def absent(room: ReadingRoom) -> str:
    """What the address of the report of study 1 says where there is none."""
    return words(signed_in(room.app, room.database, "rita").get("/study/1/report").text)


def test_page_of_a_study_without_a_draft_says_which_of_all_reasons_it_is(room: ReadingRoom) -> None:
    room.receive_film()
    assert "Study 1 receiving" in absent(room)
    assert "1 image so far" in absent(room)

    room.complete()
    assert "Study 1 waiting" in absent(room)
    assert "Number 1 of 1 in the queue." in absent(room)

    room.take_reading()
    assert "Study 1 reading" in absent(room)

    with room.database.write() as tx:
        hold_study(tx, tx.get_one(Study, 1), PATIENT_CHANGED, clock(tx))
    assert "Study 1 held" in absent(room)
    assert "It waits, is being read" not in absent(room)


def test_film_that_was_read_is_listed_however_many_there_are(
    room: ReadingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "MOST_FILMS", 1)
    room.receive_film()
    room.late_film()
    hand = Hand(room, "rita", room.draft(text=TEXT))  # of the newest

    listed = hand.client.get(hand.address.replace("report", "films.json")).json()["films"]

    assert [one["read"] for one in listed] == [1]


def test_every_look_is_in_the_audit_trail(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    hand.page()
    hand.page()

    assert room.events().count("study-seen") == 1


@pytest.mark.parametrize("address", ["report/desk", "report/questions", "films.json", "priors.json"])
def test_every_way_to_the_words_and_films_is_a_look(room: ReadingRoom, address: str) -> None:
    number = room.number(room.study())
    client = signed_in(room.app, room.database, "rita")

    assert client.head(f"/study/{number}/films.json").status_code == 200  # prepares, and tells nothing
    assert "study-seen" not in room.events()
    assert client.get(f"/study/{number}/{address}").status_code == 200

    assert room.events().count("study-seen") == 1


def test_what_an_act_answers_is_a_look(room: ReadingRoom) -> None:
    Hand(room, "rita", room.study()).must("open")

    assert room.events().count("study-seen") == 1


# --- findings in the words ------------------------------------------------------------------------------------------


def test_chips_know_where_the_text_says_so() -> None:
    text = DraftText("😀 No pneumothorax. Mild edema.", "Small left pleural effusion compared to the prior.")

    found = reading(text, {}, lambda whole: [(whole.index("compared"), whole.index("compared") + 8)])

    chips = {one["label"]: one for one in found["findings"]}
    assert [chips[label]["state"] for label in ("Pneumothorax", "Edema", "Pleural Effusion", "Fracture")] == [
        "absent",
        "present",
        "present",
        "",
    ]
    (place,) = chips["Pneumothorax"]["places"]
    assert in_utf16(text.findings, place) == "No pneumothorax"
    (other,) = chips["Pleural Effusion"]["places"]
    assert other["section"] == "impression"
    assert in_utf16(text.impression, other).startswith("Small left pleural effusion")
    assert chips["Pleural Effusion"]["detail"] == "mild left"
    (claim,) = found["claims"]
    assert in_utf16(text.impression, claim) == "compared"


def in_utf16(text: str, place: dict[str, Any]) -> str:
    units = text.encode("utf-16-le")
    return units[2 * place["start"] : 2 * place["end"]].decode("utf-16-le")


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("label", SHOWN)
def test_offered_sentence_says_what_the_chip_says(label: str, state: State) -> None:
    found = extract(sentence_for(label, state)).by_label

    assert found[label].state is state


def test_contradiction_warns_and_changes_no_word(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    hand.must("open")

    said = hand.must("reading", findings="No pneumothorax.", impression="x", chips={"Pneumothorax": "present"})

    (warning,) = said["contradictions"]
    assert warning["sentence"] == "Pneumothorax is set to present, the text says absent."
    assert warning["quoted"] == [{"words": "No pneumothorax", "section": "findings", "start": 0, "end": 15}]
    assert warning["offer"] == "Pneumothorax is present."
    assert hand.desk()["text"]["findings"].startswith("The heart is mildly enlarged.")


@pytest.mark.parametrize(
    ("born", "studied", "age"),
    [
        ("19600102", "20250301", "65 y"),
        ("19600302", "20250301", "64 y"),
        ("20240115", "20250301", "13 mo"),
        ("", "20250301", ""),
        ("2025030", "20250301", ""),
        ("20250302", "20250301", ""),
    ],
)
def test_age_is_that_of_the_day_of_the_study(born: str, studied: str, age: str) -> None:
    assert age_then(born, studied) == age


# --- buttons say why ------------------------------------------------------------------------------------------------


def test_nothing_can_be_signed_before_the_film_was_shown_and_the_pacs_asked(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())

    opened = hand.must("open")
    assert opened["obstacles"]["sign"] == "The film has not been shown to you yet."
    assert hand.do("accept", version=opened["version"], **PIN).json()["code"] == "not-shown"
    shown = hand.must("shown")
    assert shown["obstacles"]["accept"] == "The PACS has not been asked yet whose study this is."
    asked = hand.must("identity")
    assert asked["obstacles"]["accept"] == ""
    assert asked["identity"]["words"] == "There is no PACS to ask"


def test_where_nobody_can_be_asked_the_site_must_allow_it(tmp_path: Path) -> None:
    room = ReadingRoom(tmp_path, sign_unasked=False)
    add_user(room.database, "rita", Role.RADIOLOGIST)
    hand = Hand(room, "rita", room.study())

    assert "reports.sign_unasked" in hand.ready()["obstacles"]["sign"]
    assert hand.do("accept", version=hand.desk()["version"], **PIN).json()["code"] == "identity-unproven"
    room.close()


def test_pacs_that_cannot_be_reached_is_named(room: ReadingRoom) -> None:
    room.peer("PACS")
    hand = Hand(room, "rita", room.study())

    said = hand.ready()

    assert said["identity"]["outcome"] == "unknown"
    assert "PACS at 127.0.0.1:104" in said["identity"]["words"]
    assert said["obstacles"]["sign"] == "The PACS does not say whose study this is."


def test_administrator_looks_and_changes_nothing(room: ReadingRoom) -> None:
    hand = Hand(room, "ada", room.study())

    assert hand.desk()["obstacles"]["sign"] == "Your account has no right to this."
    assert hand.do("open").status_code == 403


# --- the acts -------------------------------------------------------------------------------------------------------


def test_accept_signs_the_draft_as_it_is_and_follows_it_to_the_pacs(room: ReadingRoom) -> None:
    room.peer("PACS", proof=Proof.ACKNOWLEDGEMENT)  # it cannot be asked for identities
    hand = Hand(room, "rita", room.study())
    opened = hand.ready()

    signed = hand.must("accept", version=opened["version"], **PIN)

    assert signed["state"] == "VERIFIED"
    assert signed["arrival"]["words"] == "Signed, not yet in PACS."
    room.deliver()
    assert hand.desk()["arrival"]["words"] == "In PACS (acknowledgement)."
    page = words(hand.page())
    assert "VERIFIED REPORT" in page
    assert "AI-GENERATED DRAFT" not in page
    assert "Rita" in page


@pytest.mark.parametrize(
    ("sendings", "said"),
    [
        ("A COMMITTED, B COMMITTED", "In A (query), B (query)."),
        ("A COMMITTED, B QUEUED", "In A (query); not yet in B."),
        ("A SENT, B QUEUED", "Signed, not yet in A, B."),
        ("A FAILED, B QUEUED", "Signed, but A did not take it; the administrator is told; not yet in B."),
        ("A COMMITTED, B FAILED", "In A (query); B did not take it; the administrator is told."),
        ("A COMMITTED, A QUEUED, B COMMITTED", "In B (query); not yet in A."),
    ],
)
def test_page_says_of_each_destination_whether_it_has_what_was_signed(sendings: str, said: str) -> None:
    given = [one.split() for one in sendings.split(", ")]
    rows = [
        Delivery(destination=to, state=DeliveryState(state), proven_by="query" if state == "COMMITTED" else "")
        for to, state in given
    ]
    found = Papers(Study(), None, 1, shadow=False, signed=(), late=False, sendings=rows)

    assert arrival(found)["words"] == said


def test_edited_text_is_kept_and_signed(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    opened = hand.ready()
    text = {"findings": "No pneumothorax. The lungs are clear.", "impression": "Normal chest."}

    saved = hand.must("save", **text, chips={"Pneumothorax": "absent"}, version=opened["version"])
    assert hand.desk()["text"] == text
    assert hand.desk()["obstacles"]["accept"] == "The text was changed; sign it instead."
    hand.must("sign", **text, version=saved["version"], **PIN)

    assert "Normal chest." in hand.page()
    assert room.ask(lambda tx: tx.get_one(Report, hand.report).state) is ReportState.VERIFIED


@pytest.mark.parametrize(
    ("proof", "code"),
    [
        ({"pin": "0000"}, "proof-refused"),
        ({}, "password-needed"),
        ({"password": "a wrong one"}, "proof-refused"),
    ],
)
def test_nothing_is_signed_without_the_persons_proof(room: ReadingRoom, proof: dict[str, str], code: str) -> None:
    hand = Hand(room, "rita", room.study())
    opened = hand.ready()

    refused = hand.do("accept", version=opened["version"], **proof)

    assert (refused.status_code, refused.json()["code"]) == (403, code)
    assert hand.desk()["state"] == "DRAFT"


def test_second_signature_is_another_persons_and_takes_the_password(room: ReadingRoom) -> None:
    report = room.study()
    tom, rita = Hand(room, "tom", report), Hand(room, "rita", report)
    first = tom.must("accept", version=tom.ready()["version"], **PIN)
    assert first["state"] == "AWAITING SECOND"
    assert first["obstacles"]["cosign"] == "A radiologist signs second."
    assert first["obstacles"]["edit"] == "It is signed once; another radiologist changes it or sends it back."
    assert (first["openable"], rita.desk()["openable"]) == (False, True)
    assert tom.do("cosign", version=1, password=PASSWORD).status_code == 403

    opened = rita.ready()
    assert (opened["first"]["name"], opened["you"]) == ("Trainee Tom", "Reader Rita")
    assert opened["first"]["text"] == opened["text"] == opened["drafted"]
    edited = {**opened["text"], "findings": "Tension pneumothorax."}
    opened["version"] = rita.must("save", **edited, chips={}, version=opened["version"])["version"]
    assert rita.desk()["first"]["text"] == opened["text"] != rita.desk()["text"]
    opened["text"] = edited
    body = {**opened["text"], "version": opened["version"]}
    assert rita.do("cosign", **body, **PIN).json()["code"] == "password-needed"
    assert rita.must("cosign", **body, password=PASSWORD)["state"] == "VERIFIED"


def test_what_was_signed_first_can_be_sent_back(room: ReadingRoom) -> None:
    report = room.study()
    tom, rita = Hand(room, "tom", report), Hand(room, "rita", report)
    tom.must("accept", version=tom.ready()["version"], **PIN)
    rita.ready()

    assert rita.must("send-back", words="The effusion is on the right.")["state"] == "DRAFT"

    told = "It was signed once and sent back: The effusion is on the right."
    assert (tom.desk()["happened"], tom.desk()["sentBack"]) == (told, True)
    assert told in words(tom.page())


def test_rejected_draft_says_so_and_cannot_be_signed(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    opened = hand.ready()

    assert hand.do("reject", reason="because").status_code == 422
    ended = hand.must("reject", reason=Reason.WRONG_FINDING.value, words="", safety=True)

    assert ended["state"] == "REJECTED"
    assert ended["happened"].startswith("A person has rejected this AI draft for a wrong finding.")
    assert ended["ended"] == "Rejected"
    assert ended["obstacles"]["edit"] == "It is closed."
    assert hand.do("accept", version=opened["version"], **PIN).json()["code"] == "ended"


def test_addendum_and_withdrawal_follow_a_signature(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    opened = hand.ready()
    assert hand.do("addendum", words="More.", **PIN).status_code == 409
    hand.must("accept", version=opened["version"], **PIN)

    assert [one["words"] for one in hand.must("addendum", words="A rib fracture as well.", **PIN)["signed"]] == [
        "signed by",
        "addendum by",
    ]
    assert "A rib fracture as well." in hand.page()
    twice = hand.do("addendum", words="A rib fracture as well.", seen=1, **PIN)
    assert (twice.status_code, twice.json()["code"]) == (409, "signed-since")
    assert hand.do("withdraw", words="Wrong patient.", **PIN).json()["code"] == "password-needed"
    ended = hand.must("withdraw", words="Wrong patient.", password=PASSWORD, safety=True)
    assert (ended["state"], ended["ended"]) == ("WITHDRAWN", "Withdrawn")
    assert ended["happened"] == "Reader Rita has withdrawn this for the patient's safety. Wrong patient."


def test_page_of_a_withdrawn_report_shows_what_was_signed_and_not_the_words_of_the_model(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    opened = hand.ready()
    text = {"findings": "Large right pneumothorax.", "impression": "Pneumothorax.", "chips": {}}
    saved = hand.must("save", **text, version=opened["version"])
    hand.must("sign", **text, version=saved["version"], **PIN)
    hand.must("withdraw", words="Wrong film.", password=PASSWORD, safety=False)

    page = hand.page()
    paper = page.partition('id="withdrawn"')[2].partition("</article>")[0]

    assert "<s>Large right pneumothorax.</s>" in paper
    assert "Reader Rita" in paper
    assert "AI-GENERATED DRAFT" not in page.partition('id="standing"')[2].partition("</div>")[0]
    assert '<div id="writing" hidden>' in page
    study = words(hand.client.get(f"/study/{hand.number}").text)
    assert "Not to be used. This is the draft as the AI wrote it" in study


@pytest.mark.parametrize(
    ("event", "actor", "said"),
    [
        (Event.WITHDRAWN, "person:carl", "Chief Carl has withdrawn this. Wrong film."),
        (Event.WITHDRAWN_FOR_SAFETY, "person:gone", "gone has withdrawn this for the patient's safety. Wrong film."),
        (Event.WITHDRAWN, "command:carl", "carl (by a command) has withdrawn this. Wrong film."),  # any account's name
        (Event.EXPIRED, "dispatch", "Nobody has signed this AI draft in time; it has expired. Wrong film."),
    ],
)
def test_page_of_an_ended_report_says_when_it_ended_and_who_withdrew_it(
    room: ReadingRoom, event: Event, actor: str, said: str
) -> None:
    hand = Hand(room, "rita", room.study())
    at = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    room.do(lambda tx: life.end_all(tx, 1, event, at, actor=actor, explanation="Wrong film."))

    state, page = hand.desk(), hand.page().partition('id="standing"')[2].partition("</div>")[0]

    assert (state["happened"], state["endedAt"]) == (said, "2026-03-04T05:06:07Z")
    assert f"{state['ended']} 2026-03-04 05:06:07 UTC {said}" in html.unescape(words(page))


def test_two_people_on_one_draft(room: ReadingRoom) -> None:
    report = room.study()
    rita, carl = Hand(room, "rita", report), Hand(room, "carl", report)
    rita.ready()

    opened = carl.must("open")

    assert not opened["mine"]
    assert "Rita" in opened["holder"]["name"]
    assert opened["obstacles"]["sign"].startswith("Opened by ")
    rita.must("leave")
    assert carl.must("open")["mine"]
    assert rita.must("touch") == {"mine": False}


def test_text_of_somebody_else_is_never_overwritten(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    opened = hand.ready()
    body = {"findings": "One.", "impression": "Two.", "chips": {}}
    hand.must("save", **body, version=opened["version"])

    stale = hand.do("save", **body, version=opened["version"])

    assert (stale.status_code, stale.json()["code"]) == (409, "stale-version")


@pytest.mark.parametrize("act", ["sign", "accept"])
def test_words_that_are_not_those_of_the_version_are_never_signed(room: ReadingRoom, act: str) -> None:
    """A script that took over the version, and not the words that a colleague has saved."""
    report = room.study()
    rita, carl = Hand(room, "rita", report), Hand(room, "carl", report)
    seen = rita.ready()["text"]
    rita.must("leave")
    opened = carl.ready()
    text = {"findings": "Tension pneumothorax.", "impression": "Pneumothorax."}
    carl.must("save", **text, chips={}, version=opened["version"])
    carl.must("leave")

    version = rita.ready()["version"]
    refused = rita.do(act, **seen, version=version, **PIN)

    assert (refused.status_code, refused.json()["code"]) == (409, "stale-version")
    assert "carl" in refused.json()["detail"]
    assert rita.do("accept", version=version, **PIN).json()["code"] == "stale-version"
    assert rita.must("sign", **text, version=version, **PIN)["state"] == "VERIFIED"


def test_second_signature_is_for_the_words_that_were_seen(room: ReadingRoom) -> None:
    report = room.study()
    tom, rita = Hand(room, "tom", report), Hand(room, "rita", report)
    tom.must("accept", version=tom.ready()["version"], **PIN)
    opened = rita.ready()

    body = {**opened["text"], "findings": "Never saved.", "version": opened["version"]}

    assert rita.do("cosign", **body, password=PASSWORD).json()["code"] == "stale-version"


def test_words_for_a_draft_that_was_replaced_are_offered_to_who_wrote_them(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    typed = {"findings": "Dictated for ten minutes.", "impression": "Long."}
    hand.must("save", **typed, chips={}, version=hand.ready()["version"])
    assert hand.desk()["older"] is None

    room.late_film()
    newer = room.draft(text=TEXT)

    assert newer.id != hand.report
    assert hand.desk()["report"] == newer.id
    assert hand.desk()["older"] == typed
    assert Hand(room, "carl", newer).desk()["older"] is None


def test_page_that_goes_away_saves_and_leaves(room: ReadingRoom) -> None:
    report = room.study()
    rita, carl = Hand(room, "rita", report), Hand(room, "carl", report)
    opened = rita.ready()

    rita.must("save", findings="One.", impression="Two.", chips={}, version=opened["version"], leave=True)

    there = carl.must("open")
    assert there["mine"]
    assert there["text"] == {"findings": "One.", "impression": "Two."}


def test_hand_over_is_for_one_colleague(room: ReadingRoom) -> None:
    first, second = room.study(), room.study()
    rita = Hand(room, "rita", first)
    rita.ready()
    carl_id = int(re.search(r'<option value="(\d+)">[^<]*Carl', rita.page())[1])  # type: ignore[index]

    assert rita.do("hand-over", to=9999).status_code == 422
    rita.must("hand-over", to=carl_id)

    assert rita.client.get("/report/next").headers["location"] == Hand(room, "rita", second).address
    assert Hand(room, "carl", first).client.get("/report/next").headers["location"] == rita.address


def handed_over(room: ReadingRoom, *logins: str) -> tuple[Hand, ...]:
    """One draft, which rita hands to carl; first her hand, then those of the others."""
    report = room.study()
    rita = Hand(room, "rita", report)
    rita.ready()
    with room.database.read() as tx:
        carl_id = accounts.find(tx, "carl").id
    rita.must("hand-over", to=carl_id)
    return rita, *(Hand(room, login, report) for login in logins)


def next_of(hand: Hand) -> str:
    return str(hand.client.get("/report/next").headers["location"])


def test_everybody_sees_to_whom_a_draft_is_handed_over(room: ReadingRoom) -> None:
    rita, carl = handed_over(room, "carl")

    assert (rita.desk()["handed"]["name"], rita.desk()["handed"]["you"]) == ("Chief Carl", False)
    assert carl.desk()["handed"]["you"]
    for hand in (rita, carl):
        assert "handed to carl" in hand.client.get("/?show=drafts").text
    assert (next_of(rita), next_of(carl)) == ("/", carl.address)

    to = rita.desk()["handed"]["user"]
    carl.must("open")

    assert carl.desk()["handed"] is None
    assert rita.desk()["holder"]["user"] == to
    assert "handed to carl" not in rita.client.get("/?show=drafts").text


def test_draft_that_is_handed_over_is_anybodys_after_half_an_hour(room: ReadingRoom) -> None:
    rita, carl = handed_over(room, "carl")
    with room.database.write() as tx:
        tx.get_one(WorkingCopy, rita.report).held_since = clock(tx) - OFFERED

    assert next_of(rita) == next_of(carl) == rita.address
    assert rita.desk()["handed"] is None
    assert f'id="study-{rita.number}"' in carl.client.get("/?show=mine").text


def test_draft_that_is_handed_to_somebody_who_is_disabled_is_anybodys(room: ReadingRoom) -> None:
    (rita,) = handed_over(room)
    with room.database.write() as tx:
        accounts.find(tx, "carl").disabled = True

    assert next_of(rita) == rita.address
    assert rita.desk()["handed"] is None
    assert "handed to" not in rita.client.get("/?show=drafts").text


def test_draft_that_somebody_else_opens_is_handed_over_no_more(room: ReadingRoom) -> None:
    rita, carl = handed_over(room, "carl")
    rita.must("open")
    rita.must("leave")

    assert next_of(rita) == next_of(carl) == rita.address


def test_what_awaits_a_second_signature_is_handed_to_those_alone_who_may_sign_second(room: ReadingRoom) -> None:
    report = room.study()
    tom, rita = Hand(room, "tom", report), Hand(room, "rita", report)
    tom.must("accept", version=tom.ready()["version"], **PIN)
    add_user(room.database, "tia", Role.TRAINEE, name="Trainee^Tia")
    with room.database.read() as tx:
        numbers = {login: accounts.find(tx, login).id for login in ("tom", "tia", "carl")}
    rita.must("open")

    page = rita.page()
    assert re.search(r'<option value="\d+">Chief Carl', page)
    assert not re.search(r'<option value="\d+">Trainee', page)
    for login in ("tom", "tia"):
        assert rita.do("hand-over", to=numbers[login]).status_code in {409, 422}
    rita.must("hand-over", to=numbers["carl"])
    assert next_of(Hand(room, "carl", report)) == rita.address


def test_next_is_the_oldest_draft_that_waits_for_this_person(room: ReadingRoom) -> None:
    reports = [room.study() for _ in range(3)]
    rita, carl = Hand(room, "rita", reports[0]), Hand(room, "carl", reports[1])
    carl.ready()

    desk = rita.must("open")

    assert desk["next"] == Hand(room, "rita", reports[2]).address
    assert desk["left"] == 1
    for one in (reports[0], reports[2]):
        hand = Hand(room, "rita", one)
        hand.must("accept", version=hand.ready()["version"], **PIN)
    carl.must("leave")
    assert rita.client.get("/report/next").headers["location"] == carl.address
    carl.ready()
    carl.must("reject", reason="quality", words="")
    assert rita.client.get("/report/next").headers["location"] == "/"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"report": 1, "findings": "\\ud800"}', b"[" * 100_000])
def test_nonsense_is_refused_in_words(room: ReadingRoom, body: bytes) -> None:
    hand = Hand(room, "rita", room.study())

    answer = hand.client.post(f"{hand.address}/save", content=body, headers={"Accept": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("This is no JSON")


def test_page_of_another_site_cannot_sign(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())
    hand.ready()

    refused = hand.client.post(f"{hand.address}/accept", json={}, headers={"Sec-Fetch-Site": "cross-site"})

    assert refused.status_code == 403


def test_newer_draft_is_never_signed_in_place_of_the_one_that_was_read(room: ReadingRoom) -> None:
    hand = Hand(room, "rita", room.study())

    assert hand.client.post(f"{hand.address}/open", json={"report": hand.report + 7}).status_code == 409


def test_nobody_sees_a_page_before_signing_in(room: ReadingRoom) -> None:
    room.study()
    client = TestClient(room.app, base_url="http://localhost:8080", follow_redirects=False)

    assert client.get("/study/1/report", headers={"Accept": "text/html"}).status_code == 303
    assert client.get("/study/1/report/desk").status_code == 401


# --- questions about the film ---------------------------------------------------------------------------------------


def test_question_is_put_and_shown_with_its_answer(room: ReadingRoom) -> None:
    hand = Hand(room, "tom", room.study())

    asked = hand.must("questions", words="Is there a rib fracture?")["questions"]

    assert [(one["words"], one["by"], one["state"], one["answer"]) for one in asked] == [
        ("Is there a rib fracture?", "tom", "waiting", "")
    ]
    assert hand.do("questions", words=" ").json()["detail"] == "Type a question."
    ada = Hand(room, "ada", Report(id=hand.report, revision_id=1))
    assert ada.client.get(f"{ada.address}/questions").json()["questions"] == asked
    assert ada.do("questions", words="May I?").status_code == 403


@pytest.mark.parametrize("words", ["x" * 501, "\U0001f600" * 125 + "a"])
def test_question_that_is_too_long_is_refused_at_the_form(room: ReadingRoom, words: str) -> None:
    refused = Hand(room, "tom", room.study()).do("questions", words=words)

    assert refused.status_code == 422
    assert "too long: 500 Latin letters at most" in refused.json()["detail"]


@pytest.mark.parametrize("silence", [timedelta(), timedelta(minutes=2)])
def test_half_an_answer_of_a_worker_that_died_is_not_shown(room: ReadingRoom, silence: timedelta) -> None:
    hand = Hand(room, "tom", room.study())
    hand.must("questions", words="Is there a fracture?")
    with room.database.write() as tx:
        at = clock(tx) - silence
        asked = questions.claim(tx, token="t", reader="parrot 1", now=at)
        assert asked is not None
        questions.write(tx, asked.id, "t", "There is no", at)

    (shown,) = hand.client.get(f"{hand.address}/questions").json()["questions"]

    if silence:
        assert (shown["state"], shown["answer"], shown["trouble"]) == ("failed", "", questions.STOPPED)
    else:
        assert (shown["state"], shown["answer"], shown["trouble"]) == ("answering", "There is no", "")
