"""Answers that come late: what the report page shows is never older than what it has shown before."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect
from starlette.types import ASGIApp

from reports.people.tables import Attendance
from reports.tables import Report
from tests.harness.intercepting import intercept
from tests.harness.node import wait_until
from tests.harness.patience import SLOW
from tests.harness.people import seat, signed_in
from tests.harness.reading_room import ReadingRoom

NOBODY = "There is no PACS to ask"
WATCHED = """
window.barred = [];
window.hid = [];
addEventListener("DOMContentLoaded", () => {
  const sign = document.querySelector("[data-act=sign]");
  const look = () => { window.barred.push(sign.getAttribute("aria-disabled")); window.hid.push(sign.hidden); };
  new MutationObserver(look).observe(sign, { attributes: true });
});
"""


class Late:
    """Answers of an address: the server gives them at once, the page gets each when the test says so."""

    def __init__(self, page: Page, address: str) -> None:
        self._held: list[tuple[Route, APIResponse]] = []
        self._is_over = False
        intercept(page, re.compile(address), self._meet)

    @property
    def count(self) -> int:
        """How many answers wait."""
        return len(self._held)

    def let_come(self) -> None:
        """Those that wait, and from now on all."""
        self._is_over = True
        for route, answer in self._held:
            route.fulfill(response=answer)

    def lose(self) -> None:
        """The server has done what was asked, and nobody hears of it."""
        self._is_over = True
        for route, _ in self._held:
            route.abort()

    def _meet(self, route: Route) -> None:
        answer = route.fetch(timeout=SLOW)
        if self._is_over:  # by now, too: the test went on while the server was asked
            route.fulfill(response=answer)
        else:
            self._held.append((route, answer))


@pytest.fixture
def base(room: ReadingRoom, served: Callable[[ASGIApp], str], page: Page) -> str:
    """Where the room is served; Rita sits at `page`."""
    room.end_all()
    address = served(room.app)
    seat(page.context, room.database, "rita", address)
    return address


def address(base: str, room: ReadingRoom, report: Report) -> str:
    return f"{base}/study/{room.number(report)}/report"


def wait_for(page: Page, late: Late) -> None:
    def has_come() -> bool:
        page.evaluate("1")  # lets the route be called
        return late.count > 0

    wait_until(has_come, "the server to answer")


def test_answer_about_the_pacs_from_before_the_film_was_shown_bars_nothing(
    room: ReadingRoom, base: str, page: Page
) -> None:
    report = room.study()
    page.add_init_script(WATCHED)
    film, pacs = Late(page, r"/pixels$"), Late(page, r"/report/identity$")
    page.goto(address(base, room, report))
    wait_for(page, pacs)  # it says that no film was shown
    wait_for(page, film)
    expect(page.locator("#pacs")).to_have_text("Asking the PACS whose study this is")
    film.let_come()
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")

    pacs.let_come()
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    told = page.evaluate("window.barred")
    assert "true" not in told[told.index("false") :]  # it stays open


def test_pacs_is_asked_once_however_many_wait_for_its_answer(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    intercept(page, "**/report/identity", lambda route: route.abort())  # the first time
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text("The PACS was not asked: The server cannot be reached.")
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")  # whoever signs asks it
    page.unroute("**/report/identity")

    pacs = Late(page, r"/report/identity$")
    page.keyboard.press("a")
    wait_for(page, pacs)
    expect(page.locator("#pacs")).to_have_text("Asking the PACS whose study this is")
    page.keyboard.press("Escape")
    expect(page.locator("#ask-sign")).to_be_hidden()
    page.keyboard.press("a")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    pacs.let_come()

    expect(page.locator("#final")).to_be_visible()
    assert asked.count("identity") == 2


def test_signature_waits_until_the_server_knows_of_the_film(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    held: list[Route] = []
    intercept(page, "**/report/shown", lambda route: held.append(route))  # noqa: PLW0108  a bound method of a list is no handler
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    wait_until(lambda: page.evaluate("1") and bool(held), "the server to be told of the film")
    expect(page.locator("[data-act=sign]")).to_have_attribute("title", re.compile("^The film has not been shown"))
    page.keyboard.press("a")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-sign .checking")).not_to_be_empty()
    held[0].continue_()

    expect(page.locator("#final")).to_be_visible()


def test_rejection_waits_for_no_film(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    held: list[Route] = []  # for ever: the network hangs
    intercept(page, "**/report/shown", lambda route: held.append(route))  # noqa: PLW0108 - no method of a builtin
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    wait_until(lambda: page.evaluate("1") and bool(held), "the server to be told of the film")
    page.keyboard.press("x")
    page.locator("#ask-reject [value=missed-finding]").check()
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Rejected.")


def test_addendum_waits_until_the_signed_report_is_open(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    opening = Late(page, r"/report/open$")
    intercept(page, "**/report/desk*", lambda route: route.abort())  # no news of it either
    page.keyboard.press("a")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#final")).to_be_visible()
    wait_for(page, opening)  # the server has forgotten what was shown of the draft
    page.keyboard.press("d")
    page.locator("#words").fill("A rib fracture as well.")
    page.locator("#words-proof").fill("2580")
    page.keyboard.press("Enter")
    page.evaluate("new Promise((done) => { setTimeout(done, 300); })")
    opening.let_come()

    expect(page.locator("#final")).to_contain_text("A rib fracture as well.")


def test_look_from_before_an_act_does_not_bring_back_what_was(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    page.add_init_script(WATCHED)
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    looked = Late(page, r"/report/desk")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(page, looked)  # it says that this is a draft

    page.keyboard.press("x")
    page.locator("#ask-reject [value=missed-finding]").check()
    page.keyboard.press("Enter")
    expect(page.locator("[data-act=sign]")).to_be_hidden()
    come: list[str] = []
    page.on("response", lambda response: come.append(response.url))
    looked.let_come()
    wait_until(lambda: page.evaluate("1") and len([one for one in come if "/report/desk" in one]) > 1, "a newer look")

    expect(page.locator("#happened")).to_contain_text("A person has rejected this AI draft")
    expect(page.locator("[data-act=sign]")).to_be_hidden()
    hid = page.evaluate("window.hid")
    assert False not in hid[hid.index(True) :]


def test_news_of_ones_own_signature_lead_to_the_next_report(room: ReadingRoom, base: str, page: Page) -> None:
    report, following = room.study(), room.study()
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    expect(page.locator("[data-act=accept]")).to_have_attribute("aria-disabled", "false")
    page.locator("#onward").check()
    signed = Late(page, r"/report/accept$")
    page.keyboard.press("a")
    expect(page.locator("#sign-proof")).to_be_focused()
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    wait_for(page, signed)  # it is in the books

    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page).to_have_url(address(base, room, following))


def sign_into_the_void(room: ReadingRoom, base: str, page: Page) -> Late:
    """A signature that the server has, and whose answer does not come."""
    intercept(page, "**/events", lambda route: route.abort())
    page.goto(address(base, room, room.study()))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    expect(page.locator("[data-act=accept]")).to_have_attribute("aria-disabled", "false")
    intercept(page, "**/report/desk*", lambda route: route.abort())
    signed = Late(page, r"/report/accept$")
    page.keyboard.press("a")
    expect(page.locator("#sign-proof")).to_be_focused()
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    wait_for(page, signed)
    return signed


def test_signature_whose_answer_does_not_come_ends_with_the_news_of_it(
    room: ReadingRoom, base: str, page: Page
) -> None:
    sign_into_the_void(room, base, page)

    page.unroute("**/report/desk*")  # the page looks by itself

    expect(page.locator("#final")).to_be_visible()
    expect(page.locator("#ask-sign")).to_be_hidden()


def test_signature_whose_answer_is_lost_is_shown_as_the_signed_report(room: ReadingRoom, base: str, page: Page) -> None:
    signed = sign_into_the_void(room, base, page)

    signed.lose()
    expect(page.locator("#ask-sign")).to_contain_text("The server did not answer: it may have been done.")
    page.unroute("**/report/desk*")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page.locator("#final")).to_be_visible()


@pytest.mark.parametrize("act", ["hand-over", "addendum"])
def test_other_acts_whose_answer_does_not_come_end_with_the_news_of_them_as_well(
    room: ReadingRoom, base: str, page: Page, act: str
) -> None:
    report = room.study()
    if act == "addendum":
        path = f"/study/{room.number(report)}/report"
        carl = signed_in(room.app, room.database, "carl")
        for step in ("open", "shown", "identity"):
            version = carl.post(f"{path}/{step}", json={"report": report.id}).json()["version"]
        signed = carl.post(f"{path}/accept", json={"report": report.id, "version": version, "pin": "2580"})
        assert signed.status_code == 200
    intercept(page, "**/events", lambda route: route.abort())
    page.goto(address(base, room, report))
    expect(page.locator(f"[data-act={act}]")).to_have_attribute("aria-disabled", "false")
    intercept(page, "**/report/desk*", lambda route: route.abort())
    done = Late(page, f"/report/{act}$")
    if act == "addendum":
        page.keyboard.press("d")
        page.locator("#words").fill("Old rib fracture.")
        page.locator("#words-proof").fill("2580")
        page.keyboard.press("Enter")
    else:
        page.keyboard.press("o")
        page.locator("#hand-to").select_option(label="Chief Carl")
        page.locator("#ask-hand-over [value=do]").click()
    wait_for(page, done)

    page.unroute("**/report/desk*")

    if act == "addendum":
        expect(page.locator("#final")).to_contain_text("Old rib fracture.")
        expect(page.locator("#unsaved")).to_be_empty()
    else:
        expect(page.locator("#toasts")).to_contain_text("Handed over.")
        expect(page.locator("#told")).to_contain_text("Handed to Chief Carl since")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_question_is_put_once_and_an_older_list_does_not_hide_it(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    listed = Late(page, r"/report/questions\?")
    page.keyboard.press("q")
    wait_for(page, listed)  # there is no question
    put = Late(page, r"/report/questions$")
    page.keyboard.type("Is there a fracture?")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    wait_for(page, put)
    put.let_come()
    expect(page.locator("#questions li")).to_have_count(1)

    newer = Late(page, r"/report/questions\?")  # goes first
    listed.let_come()
    wait_for(page, newer)  # what came late is asked for once more
    expect(page.locator("#questions li")).to_have_count(1)
    newer.let_come()
    with page.expect_response(re.compile(r"/report/questions\?")):
        expect(page.locator("#questions li")).to_contain_text("Is there a fracture?")
    assert put.count == 1


def test_opening_whose_state_did_not_come_is_shown_when_it_does(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    carl, path = signed_in(room.app, room.database, "carl"), f"/study/{room.number(report)}/report"
    assert carl.post(f"{path}/open", json={"report": report.id}).status_code == 200
    intercept(page, "**/events", lambda route: route.abort())
    page.goto(address(base, room, report))
    expect(page.locator("#told")).to_contain_text("Opened by")
    page.get_by_role("button", name="Open it now").focus()
    with page.expect_response(re.compile("/report/desk")) as seen:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    seen.value.finished()
    page.evaluate("new Promise(requestAnimationFrame)")
    expect(page.get_by_role("button", name="Open it now")).to_be_focused()  # what is as it was stays
    looked, opened = Late(page, r"/report/desk"), Late(page, r"/report/open$")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(page, looked)  # it says that Carl has it
    assert carl.post(f"{path}/leave", json={"report": report.id}).status_code == 200
    page.get_by_role("button", name="Open it now").click()
    wait_for(page, opened)
    with page.expect_response(re.compile("/report/desk")):
        looked.let_come()
    intercept(page, re.compile(r"/report/(desk|identity)"), lambda route: route.abort())
    opened.let_come()
    expect(page.locator("#toasts")).to_contain_text("The server has not said yet whether it is open for you")

    page.unroute(re.compile(r"/report/(desk|identity)"))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    expect(page.locator(".panel")).to_be_focused()  # the button is gone
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")


def test_reading_from_before_a_finding_was_set_takes_its_warning_not_away(
    room: ReadingRoom, base: str, page: Page
) -> None:
    page.goto(address(base, room, room.study()))
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    asked: list[Route] = []
    intercept(
        page, "**/report/reading", lambda route: asked.append(route) if len(asked) < 3 else route.continue_()
    )  # what is asked later is answered at once
    for state in ("present", "absent", "present"):
        page.get_by_label("Pneumothorax: what it is").select_option(state)
    wait_until(lambda: page.evaluate("3") == len(asked), "what was set to be asked about")
    warning = page.locator("#against li")
    asked[2].continue_()
    expect(warning).to_contain_text("Pneumothorax")
    with page.expect_response("**/report/reading") as late:
        asked[1].continue_()  # it was asked while nothing was set
    late.value.finished()
    page.evaluate("new Promise((done) => { setTimeout(done, 100); })")  # what waits for it has gone on

    expect(warning).to_have_count(1)
    asked[0].continue_()


def settled(page: Page, counts: Callable[[], tuple[int, int]]) -> int:
    """How many looks at the report were begun once all have ended, and none has led to another one."""

    def is_quiet() -> bool:
        before = counts()
        page.evaluate("fetch('/account/who').then(() => 1)")
        return before == counts() and before[0] == before[1]

    wait_until(is_quiet, "the looks at the report to end")
    return counts()[0]


def test_sign_of_life_behind_ones_own_act_blames_nobody(room: ReadingRoom, base: str, page: Page) -> None:
    page.clock.install()
    looks: list[str] = []
    ended: list[str] = []
    for event, urls in (("request", looks), ("requestfinished", ended), ("requestfailed", ended)):
        page.on(event, lambda request, urls=urls: urls.append(request.url) if "/report/desk" in request.url else None)  # type: ignore[call-overload]
    page.goto(address(base, room, room.study()))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    touched: list[Route] = []
    intercept(page, "**/report/touch", lambda route: touched.append(route))  # noqa: PLW0108 - no method of a builtin
    with page.expect_request("**/report/touch"):
        page.clock.fast_forward(31_000)
    page.keyboard.press("x")
    page.locator("#ask-reject [value=missed-finding]").check()
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Rejected.")
    page.clock.pause_at(datetime.fromtimestamp(page.evaluate("Date.now()") / 1000 + 10, UTC))  # no look at the news ...
    begun = settled(page, lambda: (len(looks), len(ended)))  # ... and none on its way
    with page.expect_response("**/report/touch") as late:
        touched[0].continue_()
    assert late.value.json() == {"mine": False}
    page.evaluate("fetch('/account/who').then(() => 1)")  # behind it

    expect(page.locator("#toasts")).not_to_contain_text("taken this report over")
    assert len(looks) == begun


def test_key_that_comes_before_the_report_is_open_says_so(room: ReadingRoom, base: str, page: Page) -> None:
    opening: list[Route] = []
    intercept(page, "**/report/open", lambda route: opening.append(route))  # noqa: PLW0108 - no method of a builtin
    with page.expect_request("**/report/open"):
        page.goto(address(base, room, room.study()))
    page.keyboard.press("a")
    expect(page.locator("#toasts")).to_contain_text("It is being opened for you; press again in a moment.")
    expect(page.locator("#why")).to_have_text("It is being opened for you; press again in a moment.")
    expect(page.locator("#ask-sign")).to_be_hidden()
    opening[0].continue_()
    expect(page.locator("[data-act=accept]")).to_have_attribute("aria-disabled", "false")
    page.keyboard.press("a")
    expect(page.locator("#sign-proof")).to_be_focused()


def test_page_that_the_browser_has_kept_opens_its_report_anew(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    page.goto(address(base, room, report))
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    page.locator("#impression").fill("Typed at the last moment.")
    with page.expect_request("**/report/save"), page.expect_navigation():
        page.evaluate(
            "['pagehide', 'pageshow'].forEach("
            "(one) => dispatchEvent(new PageTransitionEvent(one, { persisted: true })))"
        )

    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    expect(page.locator("#impression")).to_have_value("Typed at the last moment.")
    page.goto(f"{base}/worklist")  # it says again when it goes
    carl, path = signed_in(room.app, room.database, "carl"), f"/study/{room.number(report)}/report/desk"
    wait_until(lambda: carl.get(path).json()["holder"] is None, "the report is free")


# --- what was typed -------------------------------------------------------------------------------------------------


def test_words_that_could_not_be_saved_are_not_left_without_a_word(room: ReadingRoom, base: str, page: Page) -> None:
    report, _ = room.study(), room.study()
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    intercept(page, "**/report/save", lambda route: route.abort())
    page.locator("#findings").fill("Mine alone.")
    page.keyboard.press("Escape")

    page.keyboard.press("n")
    expect(page.locator("#toasts")).to_contain_text("What you typed is not saved.")
    expect(page).to_have_url(address(base, room, report))
    page.keyboard.press("n")
    expect(page).not_to_have_url(address(base, room, report))


def test_words_for_a_report_that_was_signed_meanwhile_are_kept_for_an_addendum(
    room: ReadingRoom, base: str, page: Page
) -> None:
    report = room.study()
    intercept(page, "**/events", lambda route: route.abort())  # the page hears of nothing
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    elsewhere, path = signed_in(room.app, room.database, "rita"), f"/study/{room.number(report)}/report"
    version = elsewhere.get(f"{path}/desk").json()["version"]
    signed = elsewhere.post(f"{path}/accept", json={"report": report.id, "version": version, "pin": "2580"})
    assert signed.status_code == 200

    page.locator("#impression").fill("Small left pleural effusion. Old fracture.")
    expect(page.locator("#toasts")).to_contain_text("What you typed is not in it; it is kept in this tab.")
    expect(page.locator("#impression")).not_to_be_editable()
    expect(page.locator("#impression")).to_have_value("Small left pleural effusion. Old fracture.")
    page.get_by_role("button", name="Show the signed report").click()
    expect(page.locator("[data-act=addendum]")).to_have_attribute("aria-disabled", "false")
    page.get_by_role("button", name="Write it as an addendum").click()
    expect(page.locator("#words")).to_have_value("Small left pleural effusion. Old fracture.")


def test_dialog_of_an_ended_session_takes_no_key_that_was_meant_for_the_text(
    room: ReadingRoom, base: str, page: Page
) -> None:
    report = room.study()
    page.clock.install()
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    page.clock.pause_at(datetime.fromtimestamp(page.evaluate("Date.now()") / 1000 + 10, UTC))  # as if typed in no time
    intercept(page, re.compile("/study/(?!.*/save)"), lambda route: route.abort())  # no other answer tells of the end
    with room.database.write() as tx:
        tx.query(Attendance).delete()
    words = " She breathes well, and coughs no more than she did."
    page.locator("#impression").focus()
    page.keyboard.press("Control+End")
    with page.expect_response(re.compile("/report/save")) as refused:
        page.keyboard.type(" Now")
        page.keyboard.press("Control+s")
    assert refused.value.status == 401
    page.keyboard.type(words)

    dialog = page.get_by_role("dialog", name="Your session is over")
    page.clock.run_for(2_000)
    expect(dialog).to_be_visible()
    expect(dialog.locator("input")).to_have_value("")
    expect(page.locator("#impression")).to_have_value(re.compile(f" Now{re.escape(words)}$"))


def test_choice_between_two_texts_is_not_made_by_a_blank(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    page.goto(address(base, room, report))
    expect(page.locator("#pacs")).to_contain_text(NOBODY)
    elsewhere = signed_in(room.app, room.database, "rita")
    path = f"/study/{room.number(report)}/report"
    version = elsewhere.get(f"{path}/desk").json()["version"]
    theirs = {"report": report.id, "findings": "Theirs.", "impression": "i", "chips": {}, "version": version}
    intercept(page, "**/report/desk*", lambda route: route.abort())  # no news before the typing begins
    assert elsewhere.post(f"{path}/save", json=theirs).status_code == 200

    page.locator("#findings").fill("Mine.")
    page.unroute("**/report/desk*")
    expect(page.locator("#ask-conflict")).to_be_visible()
    page.keyboard.type(" and more ")
    for key in ("Enter", "Escape", "Escape", "Escape"):
        page.keyboard.press(key)
    expect(page.locator("#ask-conflict")).to_be_visible()
    expect(page.locator("#ask-conflict h2")).to_be_focused()

    room.end_all()  # what is told behind a dialog is dim
    expect(page.locator("#ask-conflict [role=alert]")).to_contain_text("has withdrawn this. Neither text goes into it.")
    page.get_by_role("button", name="Take theirs").click()
    expect(page.locator("#findings")).to_have_value("Theirs.")
    expect(page.locator("#ended")).to_have_text("Withdrawn")


def test_findings_that_were_set_elsewhere_are_chosen_between_like_words(
    room: ReadingRoom, base: str, page: Page
) -> None:
    report = room.study()
    page.goto(address(base, room, report))
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    elsewhere, path = signed_in(room.app, room.database, "rita"), f"/study/{room.number(report)}/report"
    desk = elsewhere.get(f"{path}/desk").json()
    theirs = {**desk["text"], "report": report.id, "chips": {"Fracture": "present"}, "version": desk["version"]}
    intercept(page, "**/report/desk*", lambda route: route.abort())
    assert elsewhere.post(f"{path}/save", json=theirs).status_code == 200
    page.get_by_label("Pneumothorax: what it is").select_option("present")
    page.unroute("**/report/desk*")
    looked = Late(page, r"/report/desk")
    wait_for(page, looked)
    page.keyboard.press("e")
    page.keyboard.type("x")  # it is no place for a dialog now
    page.keyboard.press("Backspace")
    looked.let_come()

    chosen = page.locator("#ask-conflict .compared")
    expect(chosen).to_contain_text("Findings that were set")
    expect(chosen.locator("del").last).to_contain_text("Pneumothorax")
    expect(chosen.locator("ins").last).to_contain_text("Fracture")
    page.get_by_role("button", name="Take theirs").click()
    expect(page.get_by_label("Fracture: what it is")).to_have_value("present")
    expect(page.locator("#saved")).to_be_empty()
