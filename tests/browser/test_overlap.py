"""Two things at once: an answer that is late, a part that is made anew, a page that comes back as it was."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.harness.events import STREAM

ANSWERS = """
window.truth = "at first";
window.asked = [];
window.more = "<details><summary>more</summary></details>";
const link = '<td><a class="open" href="#">7</a></td>';
const row = (words, more) => `<tr id="study-7" data-study="7"><td>${words}</td><td>${more}</td>${link}</tr>`;
window.fetch = (address) => new Promise((resolve, reject) => {
  if (window.isDead) {
    reject(new TypeError("no server"));
    return;
  }
  const [now, more] = [window.truth, window.more];
  const rows = `<table id="rows" data-gone="" data-fresh="0"><tbody id="studies">${row(now, more)}</tbody></table>`;
  const text = async () => `${rows}<main><form><input></form><p>${now}</p><a href="#">a</a></main>`;
  window.asked.push(() => resolve({ ok: true, redirected: false, text }));
});
document.body.innerHTML = `<p id="news"></p><p id="said"></p><input id="q">
  <table><tbody id="studies">${row(truth, window.more)}</tbody></table>
  <main><form><input></form><p>at first</p><a href="#">a</a></main>`;
document.body.dataset.live = "20";
"""


def answer(page: Page) -> None:
    """All that was asked gets its answer, the last one first."""
    page.evaluate("async () => { for (const one of window.asked.splice(0).reverse()) one(); }")
    page.clock.run_for(1000)


@pytest.fixture
def silent(page: Page, address: str) -> Page:
    """A page whose questions are answered when a test says so, each with what was true when it was asked."""
    page.clock.install(time=datetime(2026, 11, 22, 8, tzinfo=UTC))
    page.goto(address)
    page.clock.pause_at(datetime(2026, 11, 22, 9, tzinfo=UTC))
    page.evaluate(STREAM)
    page.evaluate(f"() => {{ {ANSWERS} }}")
    return page


def test_list_that_was_asked_for_earlier_does_not_come_over_what_changed_since(silent: Page) -> None:
    silent.evaluate("import('/static/worklist.js')")
    silent.evaluate("emit('well', {})")
    silent.clock.run_for(1000)
    answer(silent)

    silent.keyboard.press("r")
    silent.evaluate("window.truth = 'later'; emit('changed', { studies: [7] })")
    silent.clock.run_for(1000)
    silent.keyboard.press("r")
    for _ in range(3):
        answer(silent)

    assert silent.locator("#study-7 td").first.inner_text() == "later"
    assert silent.evaluate("window.asked.length") == 0


def test_page_that_keeps_itself_new_leaves_alone_what_was_typed_while_it_asked(silent: Page) -> None:
    silent.evaluate("import('/static/shell.js')")
    silent.evaluate("window.truth = 'later'")
    silent.clock.run_for(20_000)
    silent.locator("main input").fill("typed meanwhile")
    silent.locator("main input").blur()
    answer(silent)
    assert silent.locator("main input").input_value() == "typed meanwhile"

    silent.evaluate("delete document.querySelector('main form').dataset.edited")
    silent.locator("main a").focus()
    silent.clock.run_for(20_000)
    answer(silent)
    assert silent.locator("main p").inner_text() == "later"
    expect(silent.locator("main a")).to_be_focused()


def listed(silent: Page) -> Page:
    """The worklist, which has shown what is true, and asks for nothing."""
    silent.evaluate("import('/static/worklist.js')")
    silent.evaluate("emit('well', {})")
    silent.clock.run_for(1000)
    answer(silent)
    return silent


def test_list_that_comes_anew_leaves_the_focus_to_who_searches_meanwhile(silent: Page) -> None:
    page = listed(silent)
    page.evaluate("document.querySelector('#study-7 a').focus()")
    page.keyboard.press("r")
    page.keyboard.press("/")
    page.keyboard.type("ki")
    answer(page)
    page.keyboard.type("m")

    assert page.locator("#q").input_value() == "kim"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("r")
    answer(page)
    expect(page.locator("#study-7 a")).to_be_focused()


def test_server_that_answers_again_is_not_said_to_be_silent(silent: Page) -> None:
    page = listed(silent)
    page.evaluate("window.isDead = true")
    page.keyboard.press("r")
    expect(page.locator("#news")).to_contain_text("The server does not answer.")
    page.evaluate("window.isDead = false; window.truth = 'later'")
    page.clock.run_for(6_000)
    answer(page)

    expect(page.locator("#news")).to_be_empty()
    expect(page.locator("#study-7 td").first).to_have_text("later")


def test_row_whose_commands_go_keeps_the_focus(silent: Page) -> None:
    page = listed(silent)
    page.locator("#study-7 summary").focus()
    page.evaluate("window.more = ''; emit('changed', { studies: [7] })")
    page.clock.run_for(1000)
    answer(page)

    expect(page.locator("#news")).to_be_empty()
    expect(page.locator("#study-7 a")).to_be_focused()


SESSION = """
window.asked = [];
window.fetch = (address) => {
  if (address === "/sign-in") return Promise.resolve(Response.json({ login: "kim" }));
  return new Promise((resolve) => { window.asked.push((status) => resolve(Response.json({}, { status }))); });
};
"""


def test_refusal_from_before_one_has_signed_in_again_asks_for_no_second_time(page: Page, address: str) -> None:
    page.goto(f"{address}/?login=kim")
    page.evaluate(f"() => {{ {SESSION} {STREAM} }}")
    page.evaluate(
        """async () => {
          const { ask } = await import("/static/session.js");
          const { hear } = await import("/static/stream.js");
          window.done = [];
          hear({ changed: () => {} });
          emit("ended", {});
          for (const one of ["/first", "/second"]) void ask(one).then(({ status }) => window.done.push(status));
          asked[0](401);
        }"""
    )
    dialog = page.get_by_role("dialog", name="Your session is over")
    dialog.locator("input").fill("a password")
    assert page.evaluate("sources.length") == 1
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    page.wait_for_function("asked.length === 3")
    page.evaluate("asked[1](401)")  # it was on its way all the time
    page.wait_for_function("asked.length === 4 || document.querySelector('dialog')")
    page.evaluate("asked.slice(2).forEach((one) => one(200))")

    page.wait_for_function("done.length === 2")
    assert page.evaluate("done") == [200, 200]
    assert page.evaluate("sources.map(({ readyState }) => readyState)") == [2, 1]  # news come again, too


LISTED = """
window.asked = [];
window.fetch = (address, { method = "GET" } = {}) => new Promise((resolve) => {
  window.asked.push({ method, answer: (...questions) => resolve(Response.json({ questions })) });
});
window.one = (words, state, answer) => ({ words, state, answer, by: "kim", trouble: "", reader: "", elsewhere: false });
document.body.innerHTML = `<details><form><input name="words"></form><p class="fault"></p><ol></ol></details>`;
const { Questions } = await import("/static/questions.js");
const panel = document.querySelector("details");
window.questions = new Questions(panel, { base: "/study/1/report", report: 3, insert: () => {} });
panel.open = true;
"""


def test_answer_that_is_being_written_takes_no_button_from_the_one_before(page: Page, address: str) -> None:
    page.clock.install(time=datetime(2026, 11, 22, 8, tzinfo=UTC))
    page.goto(address)
    page.clock.pause_at(datetime(2026, 11, 22, 9, tzinfo=UTC))
    page.evaluate(f"async () => {{ {LISTED} }}")
    page.wait_for_function("asked.length === 1")
    page.evaluate("asked[0].answer(one('A?', 'answered', 'Yes.'), one('B?', 'answering', 'Per'))")
    expect(page.locator("li")).to_have_count(2)
    page.get_by_role("button", name="Insert into the findings").focus()
    page.clock.run_for(1000)
    page.evaluate("asked[1].answer(one('A?', 'answered', 'Yes.'), one('B?', 'answering', 'Perhaps'))")

    expect(page.locator("li").nth(1)).to_contain_text("Perhaps …")  # more may come, and say the opposite
    expect(page.locator("li").nth(0).locator(".answer")).to_have_text("Yes.")
    expect(page.get_by_role("button", name="Insert into the findings")).to_be_focused()


def test_list_that_came_with_a_question_does_not_come_over_a_newer_one(page: Page, address: str) -> None:
    page.goto(address)
    page.evaluate(f"async () => {{ {LISTED} }}")
    page.wait_for_function("asked.length === 1")
    page.locator("input").fill("A?")
    page.keyboard.press("Enter")
    page.evaluate("asked[0].answer(one('A?', 'answered', 'Yes.'))")  # it was asked first, and heard of the question
    expect(page.locator("li")).to_contain_text("Yes.")
    page.evaluate("asked[1].answer(one('A?', 'waiting', ''))")
    page.wait_for_function("asked.length === 3")
    expect(page.locator("li")).to_contain_text("Yes.")
    page.evaluate("asked[2].answer(one('A?', 'answered', 'Yes, two.'))")

    expect(page.locator("li")).to_contain_text("Yes, two.")
    expect(page.locator("input")).to_have_value("")


def test_film_of_an_opening_that_another_tab_ended_is_told_anew(page: Page, address: str) -> None:
    page.goto(address)
    told = page.evaluate(
        """async () => {
          const { Shown } = await import("/static/shown.js");
          const { Answers } = await import("/static/answers.js");
          const asked = [];
          const state = (shown) => ({ shown, mine: true });
          const post = () => new Promise((resolve) => { asked.push(() => resolve(state(true))); });
          const follow = (desk) => { page.answers.shown(); page.desk = desk; void film.tell(); };
          const answers = new Answers(async () => state(false));
          const page = { desk: state(false), calls: { post }, answers, buttons: () => {}, follow };
          const film = new Shown(page);
          film.seen();
          page.follow(state(false)); // opened in another tab, behind what is on its way
          asked[0]();
          await new Promise((resolve) => setTimeout(resolve, 50));
          asked[1]?.();
          await new Promise((resolve) => setTimeout(resolve, 50));
          return { times: asked.length, shown: page.desk.shown };
        }"""
    )

    assert told == {"times": 2, "shown": True}
