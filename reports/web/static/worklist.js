// The worklist by keyboard, and kept new: rows change in place, new ones are announced, nothing moves under the hand.

import { bind, made } from "./keys.js";
import { say } from "./notice.js";
import { hear } from "./stream.js";

const body = document.getElementById("studies");
const news = document.getElementById("news");
const search = document.getElementById("q");
const COLLECT = 400; // ms: what changes together is asked for together
const AGAIN = 5000; // ms after a look that failed
const AGES = 15000;
const PICKED = "wetread-picked";

// --- which row ---------------------------------------------------------------------------------------------------

function rows() {
  return body ? [...body.rows] : [];
}

function picked() {
  return body?.querySelector("tr.picked") ?? null;
}

function pick(row, { focus = true } = {}) {
  if (!row) return;
  picked()?.classList.remove("picked");
  row.classList.add("picked");
  const link = row.querySelector("a.read") ?? row.querySelector("a.open");
  if (focus) link.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  sessionStorage.setItem(PICKED, row.id);
}

function move(by) {
  const all = rows();
  const at = all.indexOf(picked());
  pick(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)]);
}

function open(kind) {
  const row = picked() ?? rows()[0];
  const link = (kind === "study" ? null : row?.querySelector("a.read")) ?? row?.querySelector("a.open");
  if (link) location.assign(link.href);
}

body?.addEventListener("focusin", (event) => pick(event.target.closest("tr"), { focus: false }));

const here = { group: "Worklist" };
bind("j", "Next study", () => move(1), here);
bind("k", "Study before", () => move(-1), here);
bind("o", "Open the draft, or the study where there is none", () => open("draft"), here);
bind("Enter", "The same", (event) => { if (event.target.closest?.("a, button, summary, input, select")) event.target.click(); else open("draft"); }, here);
bind("i", "Open the page of the study", () => open("study"), here);
bind("n", "Next draft to read", () => location.assign("/report/next"), here);
bind("/", "Search", () => { search.focus(); search.select(); }, here);
bind("Escape", "Leave the search field", () => { if (document.activeElement === search) search.blur(); }, { ...here, typing: true });
bind("r", "Show what is new", () => refresh(), here);
document.querySelectorAll("a[data-view]").forEach((link) => {
  bind(link.dataset.view, `My view: ${link.textContent}`, () => location.assign(link.href), { group: "Views" });
});

document.querySelector("form.search")?.addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (value === "") formData.delete(name); // a short address
});

// --- what is new ---------------------------------------------------------------------------------------------------

const changed = new Set();
let everything = false;
let timer = 0;
let asking = false; // one question at a time: an older answer would come over a newer one
let isWanted = false; // the whole list, once what was asked is answered
let isBehind = false; // the last question failed, and the page says so

function tell(words, { kind = "", action = "", then } = {}) {
  news.replaceChildren();
  if (!words) return;
  news.append(made("span", { className: `word ${kind}`, textContent: words }));
  if (action) {
    const button = made("button", { type: "button", textContent: action });
    button.addEventListener("click", then);
    news.append(button);
  }
}

function heard(studies) {
  if (studies === null) everything = true;
  else studies.forEach((one) => changed.add(one));
  if (!timer) timer = setTimeout(look, COLLECT);
}

async function look() {
  timer = 0;
  if (asking || document.hidden) return;
  asking = true;
  const shown = rows().map((row) => Number(row.dataset.study));
  const asked = { all: everything, of: [...changed] };
  const wanted = asked.all ? shown : shown.filter((one) => changed.has(one));
  changed.clear();
  everything = false;
  let wait = COLLECT;
  try {
    const query = new URLSearchParams(location.search);
    query.set("shown", shown.join(","));
    query.set("changed", (wanted.length ? wanted : [0]).join(","));
    const answer = await fetch(`/worklist/rows?${query}`, { headers: { Accept: "text/html", "Wetread-Unattended": "1" } });
    const page = await answer.text();
    if (answer.redirected) return; // the session has ended, and the stream says so
    if (!answer.ok) throw new TypeError("no rows");
    if (isBehind) tell("");
    isBehind = false;
    patch(new DOMParser().parseFromString(page, "text/html"));
  } catch {
    everything ||= asked.all; // it is no old news before it is shown
    asked.of.forEach((one) => changed.add(one));
    fallBehind();
    wait = AGAIN;
  } finally {
    asking = false;
    goOn(wait);
  }
}

function fallBehind() {
  if (!isBehind) tell("The server does not answer. What stands here may be old.", { kind: "bad" });
  isBehind = true;
  announced = 0;
}

/** What came while something was asked. */
function goOn(wait) {
  if (isWanted) void refresh();
  else if ((changed.size || everything) && !timer) timer = setTimeout(look, wait);
}

function patch(page) {
  const table = page.getElementById("rows");
  if (!table) return;
  for (const fresh of table.tBodies[0].rows) exchange(document.getElementById(fresh.id), fresh);
  const gone = new Set(table.dataset.gone.split(",").filter(Boolean));
  for (const row of rows()) row.classList.toggle("gone", gone.has(row.dataset.study));
  document.querySelectorAll("[data-count]").forEach((count) => {
    const now = table.getAttribute(`data-${count.dataset.count}`);
    if (now !== null && count.textContent !== now) count.textContent = now;
  });
  announce(Number(table.dataset.fresh));
}

/** Cells that differ get their new content; the row stays, and so does the focus in it. */
function exchange(row, fresh) {
  if (!row) return;
  for (const name of ["data-waits", "data-held"]) row.toggleAttribute(name, fresh.hasAttribute(name));
  [...fresh.cells].forEach((cell, place) => {
    const old = row.cells[place];
    if (old.innerHTML === cell.innerHTML || old.querySelector("details[open]")) return;
    const focused = old.contains(document.activeElement);
    old.replaceChildren(...cell.childNodes);
    if (focused) (old.querySelector("a.read") ?? old.querySelector("a, summary") ?? row.querySelector("a.open")).focus({ preventScroll: true });
  });
}

let announced = 0;

function announce(number) {
  if (number === 0) {
    if (announced) tell("");
  } else if (number !== announced) {
    const words = number === 1 ? "1 new study" : `${number} new studies`;
    tell(words, { action: "Show", then: refresh });
    say(`${words}. Press r to show.`);
  }
  announced = number;
}

/** Is the focus nowhere else than in the rows, or at the button that is gone then? Who searches meanwhile keeps it. */
function isIdle() {
  const { activeElement } = document;
  return !activeElement || activeElement === document.body || body.contains(activeElement) || news.contains(activeElement);
}

async function refresh() {
  isWanted = asking;
  if (asking) return;
  asking = true;
  let wait = COLLECT;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("studies");
    if (!answer.ok || answer.redirected || !fresh || !body) {
      location.reload();
      return;
    }
    const kept = picked()?.id;
    const focus = isIdle();
    body.replaceChildren(...fresh.rows);
    for (const part of [".tabs", ".turn", ".backlog", ".pulses"]) {
      const [old, now] = [document.querySelector(part), page.querySelector(part)];
      if (old && now) old.replaceChildren(...now.childNodes);
    }
    if (kept) pick(document.getElementById(kept), { focus });
    isBehind = false;
    announced = 0;
    tell("");
    say("The list is new.");
  } catch {
    fallBehind();
    everything = true; // who looks next knows whether it answers again
    wait = AGAIN;
  } finally {
    asking = false;
    goOn(wait);
  }
}

function listen() {
  hear({
    changed: heard,
    well: () => { tell(""); isBehind = false; announced = 0; heard(null); }, // also after a break
    silent: () => tell("The database does not answer. What stands here may be old.", { kind: "bad" }),
    ended: () => tell("Your session has ended.", { kind: "bad", action: "Sign in", then: () => location.reload() }),
    lost: () => tell("No news from the server. What stands here may be old.", { kind: "bad" }),
  });
}

function age(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

function ages() {
  document.querySelectorAll("time[data-age]").forEach((time) => {
    const now = age((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== now) time.textContent = now;
  });
}

setInterval(ages, AGES);
document.addEventListener("visibilitychange", () => { if (!document.hidden) heard(null); });
pick(document.getElementById(sessionStorage.getItem(PICKED) ?? ""), { focus: false });
if (!location.search.includes("refresh=off")) listen();
