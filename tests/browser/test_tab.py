"""What a tab remembers from one page to the next, and how it hears what is new."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.harness.events import STREAM

SIGNED = "/study/1/report"


def test_words_that_were_not_saved_are_offered_to_who_wrote_them_alone(page: Page, address: str) -> None:
    def autosave(login: str, then: str) -> Any:
        page.goto(f"{address}/?login={login}")
        return page.evaluate(
            """async (then) => {
              const { Autosave } = await import("/static/autosave.js");
              const read = () => ({ findings: "Kim's words.", impression: "", chips: {} });
              const calls = { report: 7, post: () => new Promise(() => {}) };
              const saving = new Autosave({ calls, version: 1, read, told: () => {} });
              return then === "touch" ? saving.touch() : saving.left();
            }""",
            then,
        )

    autosave("kim", "touch")

    assert autosave("lee", "left") is None
    assert autosave("kim", "left")["findings"] == "Kim's words."


def test_words_that_were_typed_while_others_were_saved_follow_those(page: Page, address: str) -> None:
    page.goto(address)
    left = page.evaluate(
        """async () => {
          const { Autosave } = await import("/static/autosave.js");
          let findings = "", answer = null;
          const calls = { report: 7, post: () => new Promise((resolve) => { answer = resolve; }) };
          const read = () => ({ findings, impression: "", chips: {} });
          const saving = new Autosave({ calls, version: 1, read, told: () => {} });
          findings = "First.";
          saving.touch();
          const saved = saving.flush();
          findings = "First. Second.";
          saving.touch();
          answer({ version: 2 });
          await saved;
          return saving.left();
        }"""
    )

    assert (left["findings"], left["version"]) == ("First. Second.", 2)


def test_words_of_a_colleague_that_do_not_come_are_asked_for_again(page: Page, address: str) -> None:
    page.clock.install()
    page.goto(address)
    page.evaluate(
        """async () => {
          const { Autosave } = await import("/static/autosave.js");
          const { Refused } = await import("/static/calls.js");
          const post = async () => { throw new Refused(409, { code: "stale-version" }); };
          window.told = [], window.asked = 0;
          const conflict = async () => { window.asked += 1; throw new Refused(0, { detail: "No server." }); };
          const read = () => ({ findings: "Mine.", impression: "", chips: {} });
          const calls = { report: 7, post };
          new Autosave({ calls, version: 1, read, told: (words) => told.push(words), conflict }).touch();
        }"""
    )
    page.clock.run_for(20_000)

    assert page.evaluate("told.at(-1)").endswith("somebody has changed the text, and it did not come. No server.")
    assert page.evaluate("asked") >= 3


def test_fault_of_the_pacs_gives_way_to_a_newer_answer(page: Page, address: str) -> None:
    page.goto(address)
    told = page.evaluate(
        """async () => {
          const { Pacs } = await import("/static/pacs.js");
          const strip = document.createElement("p");
          const old = { outcome: "", words: "Not asked yet.", at: "", blocks: false };
          const newer = { outcome: "same", words: "The same.", at: "2026-11-22T08:00:00Z", blocks: false };
          const newest = async () => { throw new Error("No server."); };
          const pacs = new Pacs(strip, { desk: { identity: old }, answers: { newest } });
          const told = [];
          await pacs.ask();
          for (const one of [old, newer]) {
            pacs.show(one);
            told.push(`${strip.textContent} ${strip.className}`);
          }
          return told;
        }"""
    )

    assert told[0] == "The PACS was not asked: No server. pacs bad"
    assert told[1].startswith("The same, ")
    assert told[1].endswith("pacs good")


def test_pacs_without_a_film_of_the_draft_is_no_good_news(page: Page, address: str) -> None:
    page.goto(address)
    told = page.evaluate(
        """async () => {
          const { Pacs } = await import("/static/pacs.js");
          const strip = document.createElement("p");
          const identity = { outcome: "same", words: "It lacks a film.", at: "2026-11-22T08:00:00Z", blocks: false };
          const page = { desk: { identity }, calls: { post: async () => ({ identity: { ...identity, lacks: true } }) },
            answers: { newest: (call) => call() } };
          await new Pacs(strip, page).ask(); // a later state tells the outcome alone
          return [strip.textContent, strip.className];
        }"""
    )

    assert told[0].startswith("It lacks a film, ")
    assert told[1] == "pacs wait"


def test_key_behind_a_dialog_that_was_just_closed_is_one(page: Page, address: str) -> None:
    page.goto(address)
    heard = page.evaluate(
        """async () => {
          const { bind } = await import("/static/keys.js");
          const heard = [];
          bind("n", "Next", () => heard.push("n"));
          document.body.innerHTML = "<dialog><input></dialog>";
          const [dialog, field] = document.querySelectorAll("dialog, input");
          const press = () => field.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true }));
          dialog.showModal();
          press();
          dialog.close();
          press(); // the browser takes the focus from the field when it paints next
          return heard;
        }"""
    )

    assert heard == ["n"]


FETCHED = """
window.asked = 0;
window.fetch = async (address, { signal } = {}) => {
  signal?.throwIfAborted();
  window.asked += 1;
  const headers = { "Content-Type": "application/json", "Retry-After": "2" };
  return new Response(JSON.stringify({ code: "busy", detail: "As the server says." }), { status: STATUS, headers });
};
"""


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "Your session is over"),
        (404, "There is no report here any more."),
        (409, "As the server says."),
        (503, ""),
    ],
)
def test_answers_that_will_never_come_are_asked_for_once(page: Page, address: str, status: int, told: str) -> None:
    page.clock.install()
    page.goto(address)
    page.evaluate(f"() => {{ {FETCHED.replace('STATUS', str(status))} }}")
    page.evaluate(
        """async () => {
          const { Questions } = await import("/static/questions.js");
          document.body.innerHTML = '<details><p class="fault"></p><ol></ol></details>';
          const list = document.querySelector("details");
          new Questions(list, { base: "/study/1/report", report: 3, insert: () => {} });
          list.open = true;
        }"""
    )
    for _ in range(12):
        page.clock.run_for(5_000)

    assert page.evaluate("asked") == 1 if told else page.evaluate("asked") > 4
    assert page.locator(".fault").inner_text().startswith(told)


def test_films_to_compare_with_are_waited_for_half_a_minute(page: Page, address: str) -> None:
    page.clock.install()
    page.goto(address)
    page.evaluate(f"() => {{ {FETCHED.replace('STATUS', '503')} }}")
    page.evaluate(
        """() => { import("/static/viewer_film.js").then(({ fetchPriors }) => fetchPriors("/study/1/priors.json"))
             .catch((error) => { window.failed = error.message; }); }"""  # not waited for: the clock is this test's
    )
    page.evaluate("import('/static/viewer_film.js')")  # it is there
    for _ in range(20):
        page.clock.run_for(2_000)

    assert page.evaluate("window.failed") == "The server is busy with other films."
    assert 5 < page.evaluate("asked") < 18


def looks_in_ten_minutes(page: Page, address: str, arrival: dict[str, Any]) -> int:
    """How often a page asks for what was signed just before."""
    page.clock.install()
    page.goto(address)
    page.evaluate(
        """async ([signed, arrival]) => {
          sessionStorage.setItem("wetread-signed", JSON.stringify([signed]));
          window.looks = 0;
          const look = async () => { window.looks += 1; return { arrival }; };
          const { lately } = await import("/static/lately.js");
          lately(document.getElementById("lately"), { base: "/study/2/report", look });
        }""",
        [SIGNED, arrival],
    )
    for _ in range(60):
        page.clock.run_for(10_000)
    assert page.locator("#lately").inner_text() == f"Study 1: {arrival['words']}"
    return int(page.evaluate("window.looks"))


def kept(page: Page) -> list[str]:
    return list(json.loads(page.evaluate("sessionStorage.getItem('wetread-signed')")))


@pytest.mark.parametrize(
    ("to", "left"),
    [
        ([], []),  # no destination gets it
        ([{"name": "PACS", "there": True, "failed": False}, {"name": "OLD", "there": False, "failed": True}], [SIGNED]),
    ],
)
def test_what_does_not_come_by_itself_is_asked_for_once(
    page: Page, address: str, to: list[dict[str, Any]], left: list[str]
) -> None:
    assert looks_in_ten_minutes(page, address, {"there": False, "words": "Not there.", "to": to}) == 1
    assert kept(page) == left


def test_what_is_on_its_way_is_asked_for_ever_less_often(page: Page, address: str) -> None:
    to = [{"name": "PACS", "there": False, "failed": False}]

    assert 5 < looks_in_ten_minutes(page, address, {"there": False, "words": "On its way.", "to": to}) < 30
    assert kept(page) == [SIGNED]


def looks(page: Page, seconds: int) -> int:
    """How often the page has asked for the state of its report, in so much of its time."""
    before = int(page.evaluate("window.looks"))
    page.clock.run_for(seconds * 1000)
    return int(page.evaluate("window.looks")) - before


@pytest.fixture
def reading(page: Page, address: str) -> Page:
    """A page of study 7, which somebody else has open."""
    page.clock.install(time=datetime(2026, 11, 22, 8, tzinfo=UTC))
    page.goto(address)
    page.clock.pause_at(datetime(2026, 11, 22, 9, tzinfo=UTC))  # from now on the test alone moves it
    page.evaluate(STREAM)
    page.evaluate(
        """async () => {
          const desk = { report: 3, open: true, mine: false, state: "DRAFT", openable: true, holder: {}, arrival: {} };
          window.desk = desk;
          window.looks = 0;
          const look = async () => { window.looks += 1; return desk; };
          const { watch } = await import("/static/watch.js");
          const { Answers } = await import("/static/answers.js");
          const page = { desk, calls: { base: "/study/7/report", look }, answers: new Answers(look) };
          window.shown = { ...page, saving: { isPending: false }, follow: () => {} };
          watch(window.shown);
        }"""
    )
    return page


def test_what_the_server_tells_is_looked_at_and_nothing_is_asked_meanwhile(reading: Page) -> None:
    reading.evaluate("emit('well', {})")
    assert looks(reading, 1) == 1  # what changed before the page could listen
    assert looks(reading, 20) == 0
    reading.evaluate("emit('changed', { studies: [6, 8] })")
    assert looks(reading, 5) == 0
    reading.evaluate("emit('changed', { studies: [7] }); emit('changed', { studies: [7] })")
    assert looks(reading, 5) == 1
    reading.evaluate("emit('changed', { studies: null })")
    assert looks(reading, 5) == 1


@pytest.mark.parametrize("why", ["silent", "error"])
def test_page_asks_while_nobody_tells(reading: Page, why: str) -> None:
    reading.evaluate("emit('well', {})")
    assert looks(reading, 10) == 1
    reading.evaluate(f"emit('{why}', {{}})")
    assert 6 <= looks(reading, 20) <= 10
    reading.evaluate("emit('changed', { studies: null })" if why == "silent" else "emit('well', {})")
    looks(reading, 5)
    assert looks(reading, 20) == 0


@pytest.fixture
def writing(reading: Page) -> Page:
    """The same page where the draft is one's own: nothing waits, and it has looked just now."""
    reading.evaluate("Object.assign(desk, { mine: true, holder: null })")
    reading.evaluate("emit('well', {})")
    looks(reading, 60)
    reading.evaluate("emit('changed', { studies: [7] })")
    assert looks(reading, 1) == 1
    return reading


WITHDRAWN = "Reader Rita has withdrawn this. Another film."


@pytest.fixture
def signed(reading: Page) -> Page:
    """The same page of a signed report that a colleague withdraws as soon as the server tells of study 7."""
    reading.evaluate(
        """() => {
          document.body.innerHTML = '<dialog><p class="fault" role="alert"></p></dialog><div id="toasts"></div>';
          shown.born = desk.state = "VERIFIED";
          Object.assign(desk, { open: false, holder: null, ended: "", arrival: { there: true } });
          emit("well", {});
        }"""
    )
    assert looks(reading, 5) == 1
    reading.evaluate("Object.assign(desk, { state: 'WITHDRAWN', ended: 'Withdrawn' })")
    reading.evaluate("(happened) => { desk.happened = happened; }", WITHDRAWN)
    return reading


def test_withdrawal_is_told_once_to_who_has_a_dialog_open_and_shown_when_wanted(signed: Page) -> None:
    signed.evaluate("document.querySelector('dialog').showModal()")
    for _ in range(2):
        signed.evaluate("emit('changed', { studies: [7] })")
        assert looks(signed, 5) == 1

    expect(signed.locator("dialog[open] .fault")).to_have_text(WITHDRAWN)
    expect(signed.locator("#toasts [role=alert]")).to_have_text(f"{WITHDRAWN}Show the withdrawn reportClose")
    signed.evaluate("document.querySelector('dialog').close()")
    with signed.expect_navigation():
        signed.get_by_role("button", name="Show the withdrawn report").click()


def test_withdrawal_is_shown_at_once_where_no_dialog_is_open(signed: Page) -> None:
    signed.clock.resume()  # what moves it would meet a page that goes
    with signed.expect_navigation():
        signed.evaluate("emit('changed', { studies: [7] })")


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({}, ""),
        ({"state": "WITHDRAWN", "ended": "Withdrawn", "happened": WITHDRAWN}, WITHDRAWN),
        ({"state": "VERIFIED", "happened": "Signed."}, "Signed."),
        ({"report": 4}, "A newer draft has replaced this one."),
    ],
)
def test_who_chooses_between_two_texts_is_told_there_that_the_report_is_over(
    writing: Page, now: dict[str, Any], told: str
) -> None:
    writing.evaluate(
        """(now) => {
          document.body.innerHTML = '<dialog id="ask-conflict"><p class="fault" role="alert"></p></dialog>';
          document.querySelector("dialog").showModal();
          shown.saving.isPending = true;
          shown.desk = { ...desk };
          Object.assign(desk, now);
          emit("changed", { studies: [7] });
        }""",
        now,
    )
    assert looks(writing, 1) == 1

    expect(writing.locator(".fault")).to_have_text(f"{told} Neither text goes into it." if told else "")
    assert looks(writing, 20) == 0
    writing.evaluate(
        "shown.saving.isPending = false; shown.born = desk.state; document.querySelector('dialog').close()"
    )
    if "report" not in now:  # that page is loaded anew
        assert looks(writing, 2) == 1  # the page itself has not shown it yet


def test_own_draft_is_looked_at_when_the_news_come_again(writing: Page) -> None:
    writing.evaluate("emit('error', {})")
    assert looks(writing, 10) == 0
    writing.evaluate("emit('well', {})")  # what came in the break was told to nobody
    assert looks(writing, 1) == 1


def test_own_draft_is_looked_at_when_the_page_is_seen_again(writing: Page) -> None:
    writing.evaluate("emit('changed', { studies: [7] }); turn(true)")
    assert looks(writing, 10) == 0
    writing.evaluate("turn(false)")  # nobody tells yet
    assert looks(writing, 1) == 1
    writing.evaluate("emit('well', {})")
    assert looks(writing, 1) == 1


def test_hidden_page_takes_no_connection(reading: Page) -> None:
    reading.evaluate("emit('well', {})")
    looks(reading, 5)

    reading.evaluate("turn(true)")

    assert reading.evaluate("window.sources.map((one) => one.readyState)") == [2]
    assert looks(reading, 60) == 0
    reading.evaluate("turn(false); emit('well', {})")
    assert reading.evaluate("window.sources.map((one) => one.readyState)") == [2, 1]
    assert looks(reading, 5) == 1
