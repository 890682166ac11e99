"""Acts without an answer, and words that came into no report: what a page says of them, and that it keeps them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

DIALOG = """
document.body.innerHTML = `<div id="toasts"></div><dialog><form>
  <label><input type="radio" name="reason" value="a" required checked>a</label>
  <label><input type="radio" name="reason" value="b">b</label>
  <p class="fault"></p><button value="do" autofocus>Do</button><button type="button" data-close>Cancel</button>
</form></dialog>`;
const dialog = document.querySelector("dialog"), send = document.querySelector("button");
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const { asking } = await import("/static/acts.js");
"""


def test_what_is_sent_is_what_was_chosen_when_it_was_sent(page: Page, address: str) -> None:
    page.goto(address)
    told = page.evaluate(
        f"""async () => {{ {DIALOG}
          let sent = null, prepared = null, refuse = null;
          const wanted = [];
          asking(dialog, (data) => {{
            sent = data.get("reason");
            return new Promise((_, reject) => {{ refuse = () => reject(new Error("No.")); }});
          }}, () => new Promise((resolve) => {{ prepared = resolve; }}), (isWanted) => wanted.push(isWanted));
          send.focus();
          send.click();
          document.querySelector("[value=b]").click();
          document.activeElement.blur(); // as the browser does a moment after the button cannot be pressed
          press("n");
          prepared();
          while (!refuse) await new Promise((resolve) => setTimeout(resolve));
          refuse();
          while (send.disabled) await new Promise((resolve) => setTimeout(resolve));
          return {{ sent, wanted, isBack: document.activeElement === send }};
        }}"""
    )

    assert told == {"sent": "a", "wanted": [False, True], "isBack": True}


def test_act_that_begins_behind_a_closed_dialog_takes_nothing_from_the_one_before(page: Page, address: str) -> None:
    page.goto(address)
    told = page.evaluate(
        f"""async () => {{ {DIALOG}
          let second = null;
          const begun = new Promise((resolve) => {{
            new MutationObserver(() => {{
              if (dialog.open || second) return;
              second = asking(dialog, async () => null); // before the event of the one before
              dialog.addEventListener("close", () => setTimeout(resolve), {{ once: true }});
            }}).observe(dialog, {{ attributes: true }});
          }});
          const first = asking(dialog, async () => "done");
          send.click();
          const told = await first;
          await begun;
          return {{ told, isOpen: dialog.open, second: await Promise.race([second, "waits"]) }};
        }}"""
    )

    assert told == {"told": "done", "isOpen": True, "second": "waits"}


GRAVE = "post('reject', {}, { isGrave: true })"
NEVER = "new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))"


@pytest.mark.parametrize(
    ("call", "answer", "code"),
    [(GRAVE, NEVER, "unsure"),
     (GRAVE, "Promise.reject(new TypeError('gone'))", "unsure"),
     (GRAVE, "new Response('{\"cut', { status: 200 })", "unsure"),
     (GRAVE, "new Response('<p>Bad gateway', { status: 502 })", "unsure"),
     (GRAVE, "Response.json({ code: 'held', detail: 'It is open.' }, { status: 409 })", "held"),
     ("post('save')", NEVER, "offline"),  # else nothing is saved any more, and nobody told
     ("look()", NEVER, "offline")],
)  # fmt: skip
def test_act_without_an_answer_may_have_been_done(page: Page, address: str, call: str, answer: str, code: str) -> None:
    page.clock.install()
    page.goto(address)
    page.evaluate(
        f"""async () => {{
          const {{ Calls }} = await import("/static/calls.js");
          window.fetch = async (_, {{ signal }}) => {answer};
          new Calls(1, 7).{call}.catch((error) => {{ window.code = error.code; }});
        }}"""
    )
    page.clock.run_for(61_000)

    page.wait_for_function("window.code")
    assert page.evaluate("window.code") == code


SENT = "{ mine: false, holder: null, handed: { user: 7 }, added: [2] }"


@pytest.mark.parametrize(
    ("act", "body", "desk", "is_done"),
    [
        ("reject", "{}", "{ state: 'REJECTED' }", True),
        ("reject", "{}", "{ state: 'DRAFT' }", False),
        ("hand-over", "{ to: 7 }", SENT, True),
        ("hand-over", "{ to: 7 }", "{ mine: false, holder: { user: 7 }, handed: null }", True),  # opened by now
        ("hand-over", "{ to: 7 }", "{ mine: false, holder: { user: 8 }, handed: null }", False),  # taken over
        ("hand-over", "{ to: 7 }", "{ mine: true, holder: { user: 9 }, handed: null }", False),
        ("addendum", "{ seen: 1 }", SENT, True),
        ("addendum", "{ seen: 2 }", SENT, False),  # one from before
        ("take-over", "{ seen: 1 }", SENT, True),
        (
            "take-over",
            "{ seen: 1 }",
            "{ closed: true, added: [] }",
            False,
        ),  # somebody has closed it: the words are nowhere
        ("close", "undefined", "{ closed: true }", True),
        ("close", "undefined", "{ closed: false }", False),
    ],
)
def test_act_is_done_where_the_state_shows_it(
    page: Page, address: str, act: str, body: str, desk: str, is_done: bool
) -> None:
    page.goto(address)
    asked = f"(await import('/static/done.js')).isDone('{act}', {body}, 'DRAFT', {desk})"

    assert page.evaluate(f"(async () => {asked})()") is is_done


NONE = "There is no pneumothorax."


@pytest.mark.parametrize(
    ("state", "report", "typed", "shown", "offered"),
    [
        ("VERIFIED", 7, NONE, "", ""),  # the server has every word
        ("VERIFIED", 7, "There is pneumothorax.", "What you typed before this was signed is not in it.", ""),
        ("VERIFIED", 7, "Large right effusion.", "What you typed before this was signed", "Large right effusion."),
        ("REJECTED", 7, "Old fracture.", "What you typed last is not in this draft.", "Old fracture."),
        ("DRAFT", 6, "Old fracture.", "What you typed for another draft of this study", "Old fracture."),
        ("DRAFT", 7, "Old fracture.", "", ""),  # it is in its field
    ],
)
def test_words_that_no_report_has_are_shown_and_never_turned_round(
    page: Page, address: str, state: str, report: int, typed: str, shown: str, offered: str
) -> None:
    page.goto(f"{address}/?login=kim")
    told = page.evaluate(
        """async ([state, report, typed, signed]) => {
          const { Autosave } = await import("/static/autosave.js");
          const { Unsaved } = await import("/static/unsaved.js");
          const calls = { report, base: "/study/1/report", post: () => new Promise(() => {}) };
          const read = () => ({ findings: typed, impression: "", chips: {} });
          new Autosave({ calls, version: 1, read, told: () => {} }).touch();
          calls.report = 7;
          const saving = new Autosave({ calls, version: 1, read, told: () => {} });
          const desk = { state, open: state === "DRAFT", mine: state === "DRAFT", adds: state === "VERIFIED", chips: {},
            text: { findings: signed, impression: "" } };
          const place = document.body.appendChild(document.createElement("div"));
          const unsaved = new Unsaved(place, { desk, saving, calls, born: state });
          unsaved.show();
          return { text: place.textContent, words: unsaved.words, buttons: place.querySelectorAll("button").length };
        }""",
        [state, report, typed, NONE],
    )

    assert shown in told["text"]
    assert bool(told["text"]) == bool(shown)
    assert (typed in told["text"]) == bool(shown)
    assert told["words"] == offered
    assert told["buttons"] == (2 if offered and state == "VERIFIED" else 1 if shown else 0)


def test_words_that_were_sent_stay_until_it_is_known_that_they_arrived(page: Page, address: str) -> None:
    page.goto(f"{address}/?login=kim")
    told = page.evaluate(
        """async () => {
          const { Autosave } = await import("/static/autosave.js");
          const { Unsaved } = await import("/static/unsaved.js");
          const calls = { report: 7, base: "/study/1/report", post: () => new Promise(() => {}) };
          const saving = new Autosave({ calls, version: 1, read: () => ({}), told: () => {} });
          const text = { findings: "", impression: "" };
          const desk = { state: "VERIFIED", open: false, adds: true, chips: {}, text };
          const sender = new Unsaved(document.createElement("p"), { desk, saving, calls, born: "VERIFIED" });
          sender.send("Addendum", "Old fracture.");
          const told = [];
          for (const isKnown of [false, true]) { // as the page is loaded again
            if (isKnown) sender.sent();
            const place = document.createElement("p");
            new Unsaved(place, { desk, saving, calls, born: "VERIFIED" }).show();
            told.push(place.textContent);
          }
          const place = document.createElement("p");
          const final = document.body.appendChild(document.createElement("article"));
          final.id = "final";
          for (const words of ["New fracture.", "New fracture. Old\\nfracture."]) {
            sender.send("Addendum", "Old fracture.");
            final.textContent = words;
            new Unsaved(place, { desk, saving, calls, born: "VERIFIED" }).show();
            told.push(place.textContent);
          }
          return told;
        }"""
    )

    assert "It may have been done" in told[0]
    assert "Addendum: Old fracture." in told[0]
    assert told[1] == ""
    assert "Addendum: Old fracture." in told[2], "another addendum of the same person, from another tab"
    assert told[3] == "", "it is in the report"


def test_list_of_films_that_breaks_off_is_no_list_of_none(page: Page, address: str) -> None:
    page.goto(address)
    told = page.evaluate(
        """async () => {
          const { fetchPriors } = await import("/static/viewer_film.js");
          const headers = { "Content-Type": "application/json" };
          const told = [];
          for (const body of ['{"priors": [{"cut', "{}"]) {
            window.fetch = async () => new Response(body, { headers });
            await fetchPriors("/study/1/priors.json").catch(({ name, code }) => told.push(`${name} ${code}`));
          }
          return told;
        }"""
    )

    assert told == ["FilmFailure truncated"] * 2
