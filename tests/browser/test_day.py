"""A radiologist's day at the report page: a real browser, the real pages, real documents, hands on the keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy.orm import Session
from starlette.types import ASGIApp

from reports import questions
from reports.people.tables import Attendance
from reports.signoff.copies import SILENCE
from reports.signoff.tables import WorkingCopy
from reports.tables import Report
from tests.harness.axe import violations
from tests.harness.intercepting import intercept
from tests.harness.node import wait_until
from tests.harness.patience import SLOW
from tests.harness.people import PASSWORD, seat, signed_in
from tests.harness.reading_room import ReadingRoom
from tests.unit.agent.ward import now

FRACTURE = " Fracture of the left sixth rib."


class Day:
    """The room, where it is served, and who sits there."""

    def __init__(self, room: ReadingRoom, base: str, browser: Browser) -> None:
        self.room = room
        self.base = base
        self._browser = browser

    def sit_down(self, page: Page, login: str) -> Page:
        seat(page.context, self.room.database, login, self.base)
        page.context.set_default_timeout(SLOW)
        return page

    def colleague(self, login: str) -> Page:
        """Another person at another browser."""
        return self.sit_down(self._browser.new_context(viewport={"width": 1280, "height": 800}).new_page(), login)

    def open(self, page: Page, report: Report) -> None:
        page.goto(f"{self.base}/study/{self.room.number(report)}/report")

    def ready(self, page: Page, report: Report, act: str = "sign") -> None:
        """Open a report; the film is painted and the PACS was asked."""
        self.open(page, report)
        expect(page.locator(f"[data-act={act}]")).to_have_attribute("aria-disabled", "false")

    def text(self, report: Report) -> str:
        """As it is signed, in the store."""
        from reports.objects.content import read_content
        from reports.web.report import document_of, latest_final, papers

        final = self.room.ask(lambda tx: latest_final(papers(tx, self.room.number(report))))  # type: ignore[arg-type]
        assert final is not None
        document = document_of(final.digest, self.room.desk.config.node.store_folder)
        assert document is not None
        return read_content(document).narrative


@pytest.fixture
def day(room: ReadingRoom, served: Callable[[ASGIApp], str], browser: Browser) -> Day:
    """A new one: nothing is left of the day before."""
    room.end_all()
    return Day(room, served(room.app), browser)


def saved(page: Page) -> None:
    expect(page.locator("#saved")).to_have_text("Saved")


def sign(page: Page, secret: str = "2580") -> None:
    page.keyboard.press("Control+Enter")
    expect(page.locator("#ask-sign")).to_be_visible()
    page.keyboard.type(secret)
    page.keyboard.press("Enter")


def test_morning_from_signing_in_to_the_second_draft_by_keyboard_alone(day: Day, page: Page) -> None:
    first, second = day.room.study(), day.room.study()

    page.goto(f"{day.base}/report/next")
    page.get_by_label("Name").fill("rita")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{day.base}/study/{day.room.number(first)}/report")

    # the first one is right as it is
    expect(page.locator("[data-act=accept]")).to_have_attribute("aria-disabled", "false")
    page.keyboard.press("a")
    expect(page.locator("#ask-sign .summary")).to_have_text("Every word is the AI's: you sign its text as your report.")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#final")).to_contain_text("No pneumothorax.")
    expect(page.locator("#arrival")).to_have_text("Signed, not yet in PACS.")
    day.room.deliver()
    expect(page.locator("#arrival")).to_have_text("In PACS (acknowledgement).")

    # the next one lacks a fracture
    page.keyboard.press("n")
    expect(page).to_have_url(f"{day.base}/study/{day.room.number(second)}/report")
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type(FRACTURE)
    expect(page.locator("#findings-changes ins")).to_have_text(FRACTURE)
    expect(page.locator(".finding[data-label=Fracture]")).to_have_class(re.compile("is-present"))
    saved(page)
    sign(page)
    expect(page.locator("#final")).to_contain_text(FRACTURE.strip())
    assert day.text(second).count(FRACTURE.strip()) == 1
    assert FRACTURE.strip() not in day.text(first)


def test_draft_is_rejected_with_a_reason_by_who_saw_another_film_only(day: Day, page: Page) -> None:
    report = day.room.study()
    day.sit_down(page, "rita")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.add_init_script(
        'addEventListener("film-shown", () => { document.documentElement.dataset.painted = ""; }, true)'
    )

    def unread(route: Route) -> None:  # as if the film that was read were not there
        answer = route.fetch()
        told = answer.json()
        route.fulfill(response=answer, json={**told, "films": [{**one, "read": 0} for one in told["films"]]})

    intercept(page, re.compile(r"/films\.json"), unread)
    day.open(page, report)
    expect(page.locator("html[data-painted]")).to_have_count(1)
    expect(page.locator("#pacs")).to_contain_text("There is no PACS to ask")

    page.keyboard.press("x")
    page.keyboard.press("Control+Enter")  # no reason: nothing happens, and no other dialog opens
    expect(page.locator("#ask-reject")).to_be_visible()
    expect(page.locator("#ask-sign")).to_be_hidden()
    page.locator("#reject-words").fill("The wrong side.")
    page.locator("#ask-reject [value=missed-finding]").check()
    page.keyboard.press("Control+Enter")

    assert "shown" not in asked
    expect(page.locator("#happened")).to_contain_text("A person has rejected this AI draft for ")
    expect(page.locator("[data-act=sign]")).to_be_hidden()

    def looks_closed() -> None:
        expect(page.locator("#ended")).to_have_text("Rejected")
        expect(page.get_by_label("Add a finding")).to_be_hidden()
        expect(page.locator("#findings")).to_have_css("text-decoration-line", "line-through")

    looks_closed()
    day.open(page, report)
    looks_closed()
    assert violations(page) == []


def test_who_has_a_signed_report_before_him_sees_that_it_is_withdrawn(day: Day, page: Page) -> None:
    report = day.room.study()
    day.sit_down(page, "rita")
    day.ready(page, report)
    sign(page)
    carl = day.colleague("carl")
    day.open(carl, report)
    expect(carl.locator("#final")).to_be_visible()

    page.locator("[data-act=withdraw]").click()
    expect(page.locator("#words-reader")).to_be_hidden()  # these are the person's own words
    page.locator("#words").fill("Another film.")
    page.locator("#words-proof").fill(PASSWORD)
    page.locator("#ask-words [value=do]").click()

    for one in (page, carl):
        expect(one.locator("#ended")).to_have_text("Withdrawn")
        expect(one.locator("#happened")).to_have_text("Reader Rita has withdrawn this. Another film.")
        expect(one.locator("#ended-at")).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d$"))
        expect(one.locator("#withdrawn s").first).to_contain_text("No pneumothorax.")
        expect(one.locator("#writing")).to_be_hidden()
    assert violations(page) == []


def test_trainee_signs_first_and_a_radiologist_second_who_adds_to_it(day: Day, page: Page) -> None:
    report = day.room.study()
    day.sit_down(page, "tom")
    day.ready(page, report)
    sign(page)
    expect(page.locator("#told")).to_contain_text("Signed first by Trainee Tom")

    rita = day.colleague("rita")
    day.ready(rita, report, "cosign")
    rita.locator("#findings").fill(f"{rita.input_value('#findings')}{FRACTURE}")
    saved(rita)
    sign(rita, "2580")
    expect(rita.locator("#ask-sign .fault")).to_have_text("The password does not fit.")
    expect(rita.locator("#ask-sign .who")).to_have_text("Signed first by Trainee Tom. You sign second: Reader Rita.")
    expect(rita.locator("#ask-sign .summary").first).to_contain_text(
        "Against what Trainee Tom signed: Findings: 6 words"
    )
    rita.keyboard.type(PASSWORD)
    rita.keyboard.press("Control+Enter")
    expect(rita.locator("#final")).to_be_visible()
    expect(rita.locator("#signed")).to_contain_text(re.compile("signed first by Trainee Tom.*signed by Reader Rita"))

    expect(rita.locator("[data-act=addendum]")).to_have_attribute("aria-disabled", "false")
    rita.keyboard.press("d")
    rita.locator("#words").fill("A rib fracture as well.")
    rita.locator("#words-proof").fill("2580")
    rita.keyboard.press("Enter")
    expect(rita.locator("#final")).to_contain_text("A rib fracture as well.")
    rita.context.close()


def test_two_people_on_one_draft(day: Day, page: Page) -> None:
    report = day.room.study()
    day.sit_down(page, "rita")
    day.ready(page, report)
    carl = day.colleague("carl")
    day.open(carl, report)

    expect(carl.locator("#told")).to_contain_text("Opened by Reader Rita since ")
    expect(carl.locator("#findings")).to_have_attribute("readonly", "")
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type(FRACTURE)
    saved(page)
    expect(carl.locator("#findings")).to_have_value(re.compile("sixth rib"))  # he sees it as it is written
    page.goto(f"{day.base}/")  # leaves it
    expect(carl.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    expect(carl.locator("#findings")).to_be_editable()
    carl.context.close()


def test_session_that_ends_in_the_middle_of_an_edit_loses_nothing(day: Day, page: Page) -> None:
    report = day.room.study()
    day.sit_down(page, "rita")
    day.ready(page, report)
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    with day.room.database.write() as tx:
        tx.query(Attendance).delete()

    page.keyboard.type(FRACTURE)
    dialog = page.get_by_role("dialog", name="Your session is over")
    dialog.locator("input").fill(PASSWORD)
    page.keyboard.press("Enter")

    expect(dialog).to_be_hidden()
    saved(page)
    page.reload()
    expect(page.locator("#findings")).to_have_value(re.compile("sixth rib"))
    assert page.evaluate("() => Object.keys(sessionStorage).filter((name) => name.startsWith('wetread-unsaved'))") == []


def test_words_that_never_reached_the_server_are_there_after_a_reload(day: Day, page: Page) -> None:
    report = day.room.study()
    day.sit_down(page, "rita")
    day.ready(page, report)
    intercept(page, "**/report/save", lambda route: route.abort())
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type(FRACTURE)
    expect(page.locator("#saved")).to_contain_text("cannot be reached")

    page.unroute("**/report/save")
    page.evaluate("() => { navigator.sendBeacon = () => true; }")  # as if the machine had lost its power
    page.reload()

    expect(page.locator("#findings")).to_have_value(re.compile("sixth rib"))
    saved(page)

    day.room.late_film()
    day.room.draft(text="FINDINGS: Newer.\nIMPRESSION: Newer.")
    page.reload()
    expect(page.locator("#told")).to_contain_text("You had written")
    page.get_by_role("button", name="Insert into the findings").click()
    expect(page.locator("#findings")).to_have_value(re.compile("^Newer. The heart .* sixth rib.$"))
    saved(page)


def test_words_of_a_colleague_who_took_over_are_what_is_signed(day: Day, page: Page) -> None:
    report = day.room.study()
    page.clock.install()
    day.sit_down(page, "rita")
    day.ready(page, report)
    carl = signed_in(day.room.app, day.room.database, "carl")
    address = f"/study/{day.room.number(report)}/report"

    def take_over() -> int:
        def fall_silent(tx: Session) -> None:
            tx.get_one(WorkingCopy, report.id).heard_at = now() - SILENCE

        day.room.do(fall_silent)
        return int(carl.post(f"{address}/open", json={"report": report.id}).json()["version"])

    def write(words: str, version: int) -> None:
        body = {"report": report.id, "findings": words, "impression": "Carl.", "chips": {}, "version": version}
        assert carl.post(f"{address}/save", json=body).status_code == 200
        carl.post(f"{address}/leave", json={"report": report.id})

    # her words never reach the server, and are too many for what a browser sends as it leaves
    intercept(page, "**/report/save", lambda route: route.abort())
    page.locator("#findings").fill("Rita.")
    expect(page.locator("#saved")).to_contain_text("cannot be reached")
    page.evaluate(
        "() => { window.fetch = () => new Promise(() => {});"  # it hears no news of who took over
        " navigator.sendBeacon = (address) => {"
        " localStorage.setItem('sent', `${localStorage.getItem('sent') ?? ''} ${address.split('/').at(-1)}`);"
        " return address.endsWith('leave'); }; }"
    )
    version = take_over()
    page.reload()
    assert page.evaluate("() => localStorage.getItem('sent')") == " save leave"
    expect(page.locator("#told")).to_contain_text("Opened by Chief Carl")
    page.unroute("**/report/save")
    write("Carl wrote this.", version)
    expect(page.locator("#ask-conflict ins").first).to_contain_text("Carl")
    expect(page.locator("#ask-conflict del").first).to_contain_text("Rita")
    page.get_by_role("button", name="Take theirs").click()
    expect(page.locator("#findings")).to_have_value("Carl wrote this.")
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")

    # he takes over once more, while her tab sleeps
    write("Carl has corrected it.", take_over())
    page.clock.fast_forward(31_000)
    expect(page.locator("#findings")).to_have_value("Carl has corrected it.")
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    sign(page)
    expect(page.locator("#final")).to_contain_text("Carl has corrected it.")
    assert "Carl has corrected it." in day.text(report)


@pytest.mark.parametrize(("keep", "kept"), [("Keep mine", "Mine."), ("Take theirs", "Theirs.")])
def test_text_that_was_changed_elsewhere_is_shown_and_a_person_chooses(
    day: Day, page: Page, keep: str, kept: str
) -> None:
    report = day.room.study()
    day.sit_down(page, "rita")
    day.ready(page, report)
    elsewhere = signed_in(day.room.app, day.room.database, "rita")  # her other machine
    address = f"/study/{day.room.number(report)}/report"
    version = elsewhere.get(f"{address}/desk").json()["version"]
    theirs = {"report": report.id, "findings": "Theirs.", "impression": "i", "chips": {}, "version": version}
    intercept(page, "**/report/desk*", lambda route: route.abort())  # no news before the typing begins
    assert elsewhere.post(f"{address}/save", json=theirs).status_code == 200

    page.locator("#findings").fill("Mine.")
    page.unroute("**/report/desk*")
    expect(page.locator("#ask-conflict del").first).to_contain_text("Mine")
    expect(page.locator("#ask-conflict ins").first).to_contain_text("Theirs")
    assert page.locator("#ask-conflict h3").all_inner_texts() == ["Findings", "Impression"]
    page.get_by_role("button", name=keep).click()

    expect(page.locator("#findings")).to_have_value(kept)
    page.keyboard.press("Control+s")
    wait_until(lambda: elsewhere.get(f"{address}/desk").json()["text"]["findings"] == kept, "the choice is kept")


def test_chip_against_the_text_warns_and_inserts_only_when_told(day: Day, page: Page) -> None:
    report = day.room.study()
    day.sit_down(page, "rita")
    day.ready(page, report)
    before = page.input_value("#findings")

    page.get_by_label("Pneumothorax: what it is").select_option("present")
    warning = page.locator("#against li")
    expect(warning).to_contain_text("Pneumothorax is set to present, the text says absent. “No pneumothorax”")
    assert page.input_value("#findings") == before
    page.get_by_role("button", name="As the text says").click()
    expect(warning).to_have_count(0)

    page.get_by_label("Add a finding").select_option("Fracture")
    page.get_by_role("button", name="Insert “Fracture is present.”").click()
    expect(page.locator("#findings")).to_have_value(f"{before} Fracture is present.")
    expect(warning).to_have_count(0)
    page.get_by_role("button", name="Pleural Effusion").click()
    assert page.evaluate(
        "() => { const field = document.activeElement;"
        " return field.value.slice(field.selectionStart, field.selectionEnd); }"
    ).startswith("Small left pleural effusion")

    intercept(page, "**/report/reading", lambda route: route.abort())
    page.get_by_label("Pneumothorax: what it is").select_option("present")
    saved(page)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#ask-sign .against li")).to_contain_text("were not compared with the text")


def test_answer_of_the_model_is_in_the_report_only_when_a_person_puts_it_there(day: Day, page: Page) -> None:
    report = day.room.study()
    day.sit_down(page, "rita")
    day.ready(page, report)
    page.keyboard.press("q")
    page.keyboard.type("Is there a fracture?")
    page.keyboard.press("Enter")
    line = page.locator("#questions li")
    expect(line).to_contain_text("Waits until the model reads no film")

    def answer(tx: Session) -> None:
        asked = questions.claim(tx, token="t", reader="parrot 1", now=now())
        assert asked is not None
        questions.finish(tx, asked.id, "t", "No fracture is seen.", now())

    day.room.do(answer)

    expect(line).to_contain_text("No fracture is seen.")
    expect(line).to_contain_text("AI answer, not verified: parrot 1")
    assert "fracture" not in page.input_value("#findings")
    page.get_by_role("button", name="Insert into the findings").click()
    expect(page.locator("#findings")).to_have_value(re.compile("No fracture is seen.$"))
    expect(page.locator("#findings-behind .ai.own")).to_have_text("No fracture is seen.")  # it stays the machine's
    saved(page)


def test_names_are_text_in_every_script(day: Day, page: Page) -> None:
    names = {
        "<script>alert(1)</script>^\u202e<b>Evil": "<script>alert(1)</script> <b>Evil",
        "Hong^Gildong=洪^吉洞=홍^길동": "Hong Gildong = 洪 吉洞 = 홍 길동",
        "مثال^صورة": "مثال صورة",
    }
    reports = [day.room.study(SpecificCharacterSet="ISO_IR 192", PatientName=name) for name in names]
    day.sit_down(page, "rita")

    for report, shown in zip(reports, names.values(), strict=True):
        day.ready(page, report)
        assert page.inner_text(".of-name dd") == shown
        page.keyboard.press("Control+Enter")
        expect(page.locator("#ask-sign .whose")).to_contain_text(shown)
        assert page.locator("main b").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_stumbles(day: Day, page: Page, scheme: str) -> None:
    report = day.room.study()
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    day.sit_down(page, "rita")
    day.ready(page, report)
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type(FRACTURE)
    page.get_by_label("Pneumothorax: what it is").select_option("present")
    expect(page.locator("#against li")).to_have_count(1)
    saved(page)

    assert violations(page) == []
    page.keyboard.press("Control+Enter")
    expect(page.locator("#ask-sign")).to_be_visible()
    assert violations(page) == []
    if scheme == "dark":  # the rest has no colors of its own
        return
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-sign .fault")).to_contain_text("press again")  # the finding that was set is not said
    page.keyboard.press("Enter")
    expect(page.locator("#final")).to_be_visible()
    assert violations(page) == []
