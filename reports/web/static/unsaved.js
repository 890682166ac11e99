/* Words that came into no report, since it was signed, closed, replaced or taken over meanwhile: they are kept, and shown. */

import { Refused } from "./calls.js";
import { difference, show } from "./difference.js";
import { made } from "./keys.js";
import { notice } from "./notice.js";
import { button, TITLES } from "./told.js";

const ADDENDUM = "Addendum";
const SENT = "-sent"; // ends the name of what was sent with an act

/** A save was refused for good: the page shows how the report stands, and that these words are not in it. page: the report page. */
export async function refused(page, error) {
  const render = (desk) => { if (desk.report === page.calls.report) page.render(desk); };
  try {
    await page.answers.newest(() => page.calls.look(), render);
  } catch (trouble) {
    if (!(trouble instanceof Refused)) throw trouble; // then it is shown later
  }
  const isSigned = page.desk.state === "VERIFIED";
  const where = page.saving.left() ? "it is kept in this tab" : "copy it before you leave";
  page.refusal?.remove();
  page.refusal = notice(`${error.message.replace(/\.$/u, "")}. What you typed is not in it; ${where}.`, {
    kind: "bad", action: isSigned ? "Show the signed report" : "", then: () => location.reload(),
  });
}

/** What this person typed for a study in this tab, of which nobody knows that the server has it. */
export class Unsaved {
  #shown = "";
  #offered = [];
  words = ""; // for an addendum

  /** page: the report page; place: an element of its own. */
  constructor(place, page) {
    Object.assign(this, { place, page });
  }

  /** An act with words is sent: they stay until it is known to be done. */
  send(title, words) {
    if (words) keep(this.#nameOfSent, { of: this.page.calls.base, title, words });
  }

  /** It is known what became of them. */
  sent() {
    keep(this.#nameOfSent, null);
  }

  /** What was offered for an addendum is in one. */
  forget() {
    for (const name of this.#offered) keep(name, null);
  }

  /** Show them where nobody can go on writing them. */
  show() {
    const found = this.#found();
    const { desk: { adds, text, state }, born } = this.page;
    const now = JSON.stringify([found, adds, text, state, born]);
    if (now === this.#shown) return; // somebody may be marking them
    this.#shown = now;
    const written = found.filter(({ left }) => !left.title);
    const added = written.map((one) => [one.name, this.#differing(one.left).filter(({ runs }) => isMore(runs)).map(({ mine }) => mine)]);
    this.#offered = added.filter(([, texts]) => texts.length).map(([name]) => name);
    this.words = added.flatMap(([, texts]) => texts).join("\n").trim();
    this.place.replaceChildren(...found.map((one) => this.#box(one)));
  }

  get #nameOfSent() {
    return this.page.saving.name + SENT;
  }

  #found() {
    const { desk, saving, calls, isActing } = this.page;
    const isRestored = desk.open && (desk.mine || !desk.holder); // they are in the fields, or will be
    const found = [];
    for (const name of names(saving.name.slice(0, -String(calls.report).length))) {
      const left = read(name);
      if (left?.of !== calls.base || (name === saving.name && isRestored) || (left.title && isActing)) continue;
      if (left.title === ADDENDUM && isThere(left.words)) keep(name, null); // in the report that this page was loaded with
      else if (left.title || this.#differing(left).length || hasOtherChips(left, desk)) found.push({ name, left });
      else keep(name, null); // the server has every word of it
    }
    return found;
  }

  /** Sections that are other than in the report. */
  #differing(left) {
    const theirs = this.page.desk.text;
    return Object.entries(TITLES).filter(([section]) => left[section] !== theirs[section]).map(([section, title]) => (
      { title, mine: left[section], runs: difference(theirs[section], left[section]) }));
  }

  #box({ name, left }) {
    const box = made("div", { className: "said wait older" });
    box.append(made("strong", { textContent: this.#heading(name, left) }));
    if (left.title) box.append(line(left.title, made("span", { className: "text", dir: "auto", textContent: left.words })));
    else {
      for (const { title, mine, runs } of this.#differing(left)) {
        const changes = made("span", { className: "text", dir: "auto" });
        show(changes, runs);
        box.append(line(title, made("span", { className: "text", dir: "auto", textContent: mine })), line("Against the report", changes));
      }
      if (hasOtherChips(left, this.page.desk)) box.append(line("Findings that you set", chipsInWords(left.chips)));
    }
    const { desk, born } = this.page;
    if (desk.adds && born === desk.state && this.#offered.includes(name)) {
      box.append(button("Write it as an addendum", () => { void this.page.act("addendum"); }), " ");
    }
    box.append(button("Throw it away", () => { keep(name, null); this.show(); }));
    return box;
  }

  #heading(name, { title }) {
    if (title) return "You sent this, and the server did not answer. It may have been done: look before you send it again.";
    if (name !== this.page.saving.name) return "What you typed for another draft of this study is not in this one.";
    return this.page.desk.state === "VERIFIED" ? "What you typed before this was signed is not in it." : "What you typed last is not in this draft.";
  }
}

function line(title, words) {
  const one = made("p");
  one.append(made("b", { textContent: `${title}: ` }), words);
  return one;
}

/** Does the signed report on this page have them? */
function isThere(words) {
  const solid = (text) => text.replace(/\s/gu, "");
  return solid(document.getElementById("final")?.textContent ?? "").includes(solid(words));
}

/** Were words added? Where words only went, what is left of a sentence may say the contrary. */
function isMore(runs) {
  return runs.some(({ mark, text }) => mark === "+" && /[\p{L}\p{N}]/u.test(text));
}

function hasOtherChips(left, desk) {
  return chipsInWords(left.chips) !== chipsInWords(desk.chips);
}

/** Findings that were set: "Edema present, Nodule absent", whatever the order in which they were. */
export function chipsInWords(chips) {
  return Object.entries(chips ?? {}).map((one) => one.join(" ")).sort().join(", ") || "none";
}

/** Of all reports of one person. */
function names(prefix) {
  try {
    return Object.keys(sessionStorage).filter((name) => name.startsWith(prefix) && /^\d+(-sent)?$/u.test(name.slice(prefix.length)));
  } catch {
    return [];
  }
}

function read(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name) ?? "null");
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    if (value === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // no place: the dialog itself still has it
  }
}
