/* Grading one report: the film, four keys, a comment, and a grade that is saved before the page goes on. */

import { bind } from "./keys.js";
import { say } from "./notice.js";
import { limit } from "./patience.js";
import { FOCUS_KEYS, FilmViewer, KEYS } from "./viewer.js";

const WITHIN = 60_000; // ms; nobody waits longer for an answer, and a dead network gives none
const UNSURE = "The server did not answer: it is not known whether the grade was saved. Grade it again when the server is back; the same grade is saved once.";
const OTHERS = new Set(["p", "t", "l"]); // of the viewer: there is one film here, and t is the theme
const reading = JSON.parse(document.getElementById("reading").textContent);
const form = document.getElementById("grading");
const fault = document.getElementById("fault");
const why = document.getElementById("why");
const buttons = [...form.querySelectorAll("button[name=grade]")];
const comment = document.getElementById("comment");
const written = comment.value;
let isShown = false;
let isSending = false;
let isLeft = false;
let isBroken = false;
let inSight = 0; // ms until `since`
let since = document.visibilityState === "visible" ? performance.now() : null;

function seconds() {
  return ((inSight + (since === null ? 0 : performance.now() - since)) / 1000).toFixed(2);
}

function enable() {
  comment.readOnly = isSending; // what is typed behind the grade would not be in it
  for (const button of buttons) button.setAttribute("aria-disabled", String(!isShown || isSending));
  if (isShown) why.textContent = "";
  else why.textContent = isBroken ? "A film that cannot be shown is not graded: go on to the next one, and tell the investigator." : "The film is on its way; the grades wait for it.";
}

function tell(words) {
  fault.textContent = words;
  fault.hidden = !words;
}

/** One request at a time: a second key or click while it is under way does nothing. */
async function send(grade) {
  if (!isShown || isSending || isLeft) return;
  isSending = true;
  enable();
  tell("");
  form.elements.seconds.value = seconds();
  const sheet = { grade, comment: comment.value, version: form.elements.version.value, seconds: seconds() };
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(sheet),
      ...limit(WITHIN),
    });
    const said = await answer.json().catch(() => ({})); // it broke off within the answer, or is a gateway's
    if (answer.ok && said.onward) {
      isLeft = true;
      location.assign(said.onward);
      return;
    }
    if (answer.status === 401) tell("This browser is not let in any more: your link was renewed. Open the new one.");
    else tell(said.detail ? `Not saved. ${said.detail}` : UNSURE);
  } catch {
    tell(UNSURE);
  }
  isSending = false;
  enable();
}

function follow(id) {
  const link = document.getElementById(id);
  if (link) link.click();
}

/** Who goes on while a grade is on its way would not hear whether it came. */
function stay(event) {
  if (!isSending || isLeft || !event.target.closest("a")) return;
  event.preventDefault();
  tell("The grade is being saved: the next page comes when it is.");
}

function keys(viewer) {
  const group = "Grade";
  for (const button of buttons) {
    const letter = button.value.toLowerCase();
    const words = button.querySelector("span").textContent;
    bind(letter, words, () => void send(button.value), { group });
    bind(button.value, `${words} (with Shift)`, () => void send(button.value), { group });
  }
  bind("e", "Write a comment", () => comment.focus(), { group });
  bind("Escape", "Leave the comment: letters are keys again", () => document.activeElement?.blur(), { group, typing: true });
  bind("u", "Back to the one before, to change its grade", () => follow("back"), { group });
  bind("n", "The next one, without a grade for this", () => follow("next"), { group });
  for (const { key, words, act } of KEYS.filter((one) => !OTHERS.has(one.key))) bind(key, words, () => act(viewer), { group: "Film" });
  for (const { key, words } of FOCUS_KEYS) bind(key, `${words} (when it has the focus)`, () => {}, { group: "Film" });
}

/** The next film into the browser's memory, once this one is there. */
async function ahead() {
  for (const address of [reading.next.preview, reading.next.pixels]) {
    try {
      await (await fetch(address, { priority: "low" })).arrayBuffer();
    } catch {
      return; // it is asked for again when it is shown
    }
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") since ??= performance.now();
  else if (since !== null) {
    inSight += performance.now() - since;
    since = null;
  }
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.submitter?.name === "grade") void send(event.submitter.value);
});
addEventListener("beforeunload", (event) => {
  if (!isLeft && (isSending || comment.value !== written)) event.preventDefault();
});
addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  isLeft = true; // nobody is asked whether to leave
  location.reload(); // the browser has kept it as it was, with the grade that has changed since
});
document.addEventListener("click", stay);

const place = document.getElementById("film");
place.addEventListener("film-shown", () => {
  isShown = true;
  enable();
  say(`Report ${reading.position} of ${reading.of}`);
  void ahead();
});
place.addEventListener("film-failed", () => {
  isBroken = true;
  enable();
});
enable();
keys(new FilmViewer(place, { film: reading.film }));
