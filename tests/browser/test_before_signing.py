"""What stands between a key and a signature: warnings that are seen, a PIN in its field, words that come back."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from starlette.types import ASGIApp

from reports.tables import Report, ReportState
from tests.harness.intercepting import intercept
from tests.harness.people import seat, signed_in
from tests.harness.reading_room import TEXT, ReadingRoom
from tests.unit.reports import films

BOTH = "FINDINGS: Large right pneumothorax.\nIMPRESSION: No pneumothorax."


@pytest.fixture
def opened(room: ReadingRoom, served: Callable[[ASGIApp], str], page: Page) -> Callable[..., Report]:
    """Opens a new draft before Rita; the film was shown, the PACS was asked."""
    room.end_all()
    base = served(room.app)
    seat(page.context, room.database, "rita", base)

    def open_(text: str = TEXT) -> Report:
        report = room.study(text=text)
        page.goto(f"{base}/study/{room.number(report)}/report")
        expect(page.locator("#pacs")).to_contain_text("There is no PACS to ask")
        expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
        return report

    return open_


def state(room: ReadingRoom, report: Report) -> ReportState:
    return room.ask(lambda tx: tx.get_one(Report, report.id).state)


# --- a text that says both ------------------------------------------------------------------------------------------


def test_text_that_says_both_is_shown_and_named_before_the_signature(opened: Callable[..., Report], page: Page) -> None:
    opened(BOTH)
    warning = page.locator("#against li")
    expect(warning).to_contain_text("Pneumothorax: the text says that it is present, and that it is absent.")
    page.get_by_role("button", name="Show “No pneumothorax”").focus()
    page.evaluate("window.one = document.querySelector('#chips .more').options[1]")
    with page.expect_response(re.compile("/report/desk")) as looked:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    looked.value.finished()
    page.evaluate("new Promise((done) => { setTimeout(done, 100); })")  # the page is shown anew
    expect(page.get_by_role("button", name="Show “No pneumothorax”")).to_be_focused()
    assert page.evaluate("window.one.isConnected")  # a list that is open stays open
    page.get_by_role("button", name="Show “No pneumothorax”").click()
    assert page.evaluate(
        "() => { const field = document.activeElement;"
        " return [field.id, field.value.slice(field.selectionStart, field.selectionEnd)]; }"
    ) == ["impression", "No pneumothorax"]

    page.keyboard.press("Escape")
    page.keyboard.press("a")
    told = page.locator("#ask-sign .against li")
    expect(told).to_contain_text("“Large right pneumothorax” “No pneumothorax”")
    expect(page.locator("#sign-reader")).to_have_text(f"{films.provenance().notice} The draft is by parrot 1.")


def test_set_finding_takes_the_place_of_the_sentence_that_denies_it(opened: Callable[..., Report], page: Page) -> None:
    opened()
    before = page.input_value("#findings")
    page.get_by_label("Pneumothorax: what it is").select_option("present")
    page.get_by_role("button", name="Replace it by “Pneumothorax is present.”").click()

    expect(page.locator("#findings")).to_have_value(before.replace("No pneumothorax.", "Pneumothorax is present."))
    expect(page.locator("#against li")).to_have_count(0)
    expect(page.locator("#saved")).to_have_text("Saved")
    page.keyboard.press("Control+z")
    expect(page.locator("#findings")).to_have_value(before)


# --- a key, a PIN and Enter without looking -------------------------------------------------------------------------


class Held:
    """What the page asks for stays unanswered until a test goes on."""

    def __init__(self, page: Page, act: str) -> None:
        self._held: list[Route] = []
        self._is_over = False
        intercept(page, f"**/report/{act}", self._meet)

    def _meet(self, route: Route) -> None:
        if self._is_over:
            route.continue_()
        else:
            self._held.append(route)

    def go_on(self) -> None:
        self._is_over = True
        for one in self._held:
            one.continue_()


def test_pin_that_is_typed_at_once_is_in_its_field_and_not_in_the_film(
    room: ReadingRoom, opened: Callable[..., Report], page: Page
) -> None:
    report = opened()
    film = page.locator(".viewer-below-start").inner_text()
    with page.expect_request("**/report/reading"):
        held = Held(page, "reading")
        page.keyboard.press("a")
        page.keyboard.type("2580")  # nobody waits for the dialog
    page.keyboard.press("Enter")
    expect(page.locator("#sign-proof")).to_be_focused()
    expect(page.locator("#sign-proof")).to_have_value("2580")
    expect(page.locator("#ask-sign .summary")).to_have_text("Every word is the AI's: you sign its text as your report.")
    assert page.locator(".viewer-below-start").inner_text() == film
    assert state(room, report) is ReportState.DRAFT

    held.go_on()
    expect(page.locator("#final")).to_be_visible()
    assert state(room, report) is ReportState.VERIFIED


def test_signing_key_asks_the_question_that_is_being_typed_and_begins_no_signature(
    opened: Callable[..., Report], page: Page
) -> None:
    opened()
    page.keyboard.press("q")
    page.keyboard.press("Control+Enter")  # nothing is asked yet: nothing is sent
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("Is there a fracture?")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#questions li")).to_have_count(1)
    expect(page.locator("#questions li .asked")).to_contain_text("Is there a fracture?")
    expect(page.locator("#question")).to_have_value("")
    expect(page.locator("#ask-sign")).to_be_hidden()

    page.evaluate("document.querySelector('.panel').prepend(document.createElement('textarea'))")  # any other field
    page.locator(".panel > textarea").press("Control+Enter")
    expect(page.locator("#ask-sign")).to_be_hidden()
    page.get_by_label("Impression", exact=True).press("Control+Enter")
    expect(page.locator("#ask-sign")).to_be_visible()


def test_signature_without_a_pin_is_not_sent(room: ReadingRoom, opened: Callable[..., Report], page: Page) -> None:
    report = opened()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/accept") else None)
    label, fault = page.locator("label[for=sign-proof]"), page.locator("#ask-sign .fault")
    page.keyboard.press("a")
    expect(page.locator("#ask-sign .checking")).to_be_empty()
    for key in ("Enter", "Control+Enter"):
        page.keyboard.press(key)
        expect(page.locator("#sign-proof:invalid")).to_be_focused()
        expect(label).to_have_text("Your PIN")
        expect(fault).to_be_empty()
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#final")).to_be_visible()
    assert len(sent) == 1
    assert state(room, report) is ReportState.VERIFIED

    page.keyboard.press("d")
    page.locator("#words").fill("The tube is in place.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#words-proof:invalid")).to_be_focused()
    page.keyboard.press("Escape")
    page.evaluate("document.querySelector('[data-login]').dataset.byProvider = ''")
    page.keyboard.press("d")
    expect(page.locator("#words-proof:valid")).to_be_visible()


def test_who_signs_in_at_the_provider_may_leave_the_proof_empty(opened: Callable[..., Report], page: Page) -> None:
    opened()
    page.evaluate("Object.assign(document.querySelector('[data-login]').dataset, { oidc: 'Sign in', byProvider: '' })")
    page.keyboard.press("a")
    expect(page.locator("#ask-sign .checking")).to_be_empty()
    page.keyboard.press("Enter")

    # the account of the test is of this place: the server asks for its password, in the words of the label
    expect(page.locator("#ask-sign .fault")).to_have_text("Type your password.")
    expect(page.locator("label[for=sign-proof]")).to_have_text("Your password, or leave this empty after: Sign in")
    expect(page.locator("#sign-proof:valid")).to_be_focused()


@pytest.mark.parametrize("is_refused", [False, True])
def test_dialog_of_a_signature_that_was_sent_stays_until_the_answer(
    room: ReadingRoom, opened: Callable[..., Report], page: Page, *, is_refused: bool
) -> None:
    report = opened()
    following = room.study()
    held = Held(page, "accept")
    page.keyboard.press("a")
    with page.expect_request("**/report/accept"):
        page.keyboard.type("0000" if is_refused else "2580")
        page.keyboard.press("Enter")
    for key in ("Escape", "Escape", "Escape", "n"):  # somebody in a hurry
        page.keyboard.press(key)
    fault = page.locator("#ask-sign .fault")
    expect(fault).to_contain_text("It was sent, and the server has not answered yet")

    held.go_on()
    if is_refused:
        expect(fault).to_contain_text("The PIN does not fit.")
        expect(page.locator("#sign-proof")).to_have_value("0000")
        assert state(room, report) is ReportState.DRAFT
    else:
        expect(page).to_have_url(re.compile(f"/study/{room.number(following)}/report$"))
        assert state(room, report) is ReportState.VERIFIED


def test_signed_report_comes_without_loading_its_page_anew(
    room: ReadingRoom, opened: Callable[..., Report], page: Page
) -> None:
    opened()
    following = room.study()
    page.evaluate("window.isKept = true")  # so are the film and whoever listens for keys
    page.locator("#impression").focus()
    page.keyboard.press("Control+Enter")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")

    expect(page.locator("#final")).to_contain_text("Small left pleural effusion.")
    expect(page.locator("#standing")).to_contain_text("VERIFIED REPORT")
    expect(page.locator("#writing")).to_be_hidden()
    expect(page.locator("[data-act=addendum]")).to_have_attribute("aria-disabled", "false")
    assert page.evaluate("window.isKept")
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile(f"/study/{room.number(following)}/report$"))


def test_warning_that_comes_after_enter_is_seen_before_anything_is_signed(
    room: ReadingRoom, opened: Callable[..., Report], page: Page
) -> None:
    report = opened(BOTH)
    with page.expect_request("**/report/reading"):
        held = Held(page, "reading")
        page.keyboard.press("a")
        page.keyboard.type("2580")
        page.keyboard.press("Enter")
    expect(page.locator("#ask-sign .against li")).to_have_count(0)
    held.go_on()
    expect(page.locator("#ask-sign .against li")).to_have_count(1)
    expect(page.locator("#ask-sign .fault")).to_have_text("Read the warning above; press again to sign all the same.")
    assert state(room, report) is ReportState.DRAFT

    page.keyboard.press("Enter")
    expect(page.locator("#final")).to_be_visible()
    assert state(room, report) is ReportState.VERIFIED


def test_dialog_that_is_closed_while_it_waits_signs_nothing(
    room: ReadingRoom, opened: Callable[..., Report], page: Page
) -> None:
    report = opened()
    with page.expect_request("**/report/reading"):
        held = Held(page, "reading")
        page.keyboard.press("a")
        page.keyboard.type("2580")
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator("#ask-sign")).to_be_hidden()
    with page.expect_response("**/report/reading"):
        held.go_on()

    page.keyboard.press("x")  # the next dialog is not touched by what came late
    page.locator("#ask-reject [value=missed-finding]").check()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#happened")).to_contain_text("rejected")
    assert state(room, report) is ReportState.REJECTED


def test_what_a_closed_dialog_waited_for_does_not_open_the_next_one(opened: Callable[..., Report], page: Page) -> None:
    opened()
    asked: list[Route] = []
    intercept(page, "**/report/reading", lambda route: asked.append(route))  # noqa: PLW0108 - no method of a builtin
    checking = page.locator("#ask-sign .checking")
    for is_closed in (True, False):
        with page.expect_request("**/report/reading"):
            page.keyboard.press("a")
        expect(checking).not_to_be_empty()
        if is_closed:
            page.keyboard.press("Escape")
            expect(page.locator("#ask-sign")).to_be_hidden()
    with page.expect_response("**/report/reading") as answer:
        asked[0].continue_()
    answer.value.finished()
    page.evaluate("new Promise((done) => { setTimeout(done, 100); })")  # what waits for it has gone on
    expect(checking).not_to_be_empty()
    expect(page.locator("#ask-sign button[value=do]")).to_have_attribute("aria-disabled", "true")

    asked[1].continue_()
    expect(checking).to_be_empty()


def test_dialog_that_is_opened_again_before_the_browser_says_it_was_closed_signs_nothing_of_the_first(
    room: ReadingRoom, opened: Callable[..., Report], page: Page
) -> None:
    report = opened()
    asked: list[Route] = []
    intercept(page, "**/report/reading", lambda route: asked.append(route))  # noqa: PLW0108 - no method of a builtin
    with page.expect_request("**/report/reading"):
        page.keyboard.press("a")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    with page.expect_request("**/report/reading"):
        page.evaluate(  # faster than hands; a busy browser does the same
            "() => { document.querySelector('#ask-sign').close();"
            " document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true })); }"
        )
    expect(page.locator("#ask-sign input[type=password]")).to_have_value("")
    with page.expect_response("**/report/reading") as answer:
        asked[0].continue_()
    answer.value.finished()
    page.evaluate("new Promise((done) => { setTimeout(done, 100); })")  # what waits for it has gone on
    expect(page.locator("#ask-sign .checking")).not_to_be_empty()
    assert state(room, report) is ReportState.DRAFT

    asked[1].continue_()
    expect(page.locator("#ask-sign .checking")).to_be_empty()
    expect(page.locator("#ask-sign")).to_be_visible()


def test_words_that_are_not_saved_are_not_signed(room: ReadingRoom, opened: Callable[..., Report], page: Page) -> None:
    report = opened()
    intercept(page, "**/report/save", lambda route: route.abort())
    page.locator("#impression").fill("Small left effusion, and nothing else.")
    page.keyboard.press("Control+Enter")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-sign .fault")).to_have_text("What you typed could not be saved; press again.")
    assert state(room, report) is ReportState.DRAFT

    page.unroute("**/report/save")
    page.keyboard.press("Enter")
    expect(page.locator("#final")).to_contain_text("and nothing else.")


def test_text_that_changes_while_the_dialog_is_open_is_shown_first(
    room: ReadingRoom, opened: Callable[..., Report], page: Page
) -> None:
    report = opened()
    elsewhere = signed_in(room.app, room.database, "rita")  # her other machine
    address = f"/study/{room.number(report)}/report"
    page.keyboard.press("a")
    expect(page.locator("#ask-sign .checking")).to_be_empty()
    version = elsewhere.get(f"{address}/desk").json()["version"]
    theirs = {"report": report.id, "findings": "Theirs.", "impression": "i", "chips": {}, "version": version}
    assert elsewhere.post(f"{address}/save", json=theirs).status_code == 200
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")  # her tab is seen again
    expect(page.locator("#findings")).to_have_value("Theirs.")
    page.keyboard.type("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-sign .fault")).not_to_be_empty()
    assert state(room, report) is ReportState.DRAFT
    page.keyboard.press("Enter")
    expect(page.locator("#ask-sign .fault")).to_contain_text("The text was changed")
    assert state(room, report) is ReportState.DRAFT


# --- changes that are discarded -------------------------------------------------------------------------------------


def write(page: Page) -> tuple[str, str]:
    """Rita edits both sections and sets a finding; gives what stands there."""
    page.locator("#findings").fill("Ten careful sentences about an edema.")
    page.locator("#impression").fill("One more.")
    page.get_by_label("Add a finding").select_option("Fracture")
    expect(page.locator("#saved")).to_have_text("Saved")
    return page.input_value("#findings"), page.input_value("#impression")


def test_discarded_words_come_back_with_the_findings_that_were_set(
    room: ReadingRoom, opened: Callable[..., Report], page: Page
) -> None:
    report = opened()
    drafted = page.input_value("#findings")
    findings, impression = write(page)
    page.get_by_role("button", name="Discard my changes").click()
    expect(page.locator("#findings")).to_have_value(drafted)
    expect(page.locator("[data-act=discard]")).to_be_hidden()
    expect(page.locator("#saved")).to_have_text("Saved")

    page.get_by_role("button", name="Bring them back").click()
    expect(page.locator("#findings")).to_have_value(findings)
    expect(page.locator("#impression")).to_have_value(impression)
    expect(page.get_by_label("Fracture: what it is")).to_have_value("present")
    expect(page.locator("#saved")).to_have_text("Saved")
    kept = signed_in(room.app, room.database, "rita").get(f"/study/{room.number(report)}/report/desk").json()
    assert (kept["text"]["findings"], kept["chips"]) == (findings, {"Fracture": "present"})


def test_discarding_can_be_undone_in_the_field(opened: Callable[..., Report], page: Page) -> None:
    opened()
    drafted = page.input_value("#impression")
    _, impression = write(page)
    page.get_by_role("button", name="Discard my changes").click()
    expect(page.locator("#impression")).to_have_value(drafted)
    page.locator("#impression").focus()
    page.keyboard.press("Control+z")
    expect(page.locator("#impression")).to_have_value(impression)
