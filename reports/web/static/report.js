/* The report page: the film beside the draft, hands on the keyboard. */

import { inWords } from "./acts.js";
import { lines } from "./against.js";
import { Answers } from "./answers.js";
import { Autosave } from "./autosave.js";
import { Calls, Refused } from "./calls.js";
import { Chips } from "./chips.js";
import { conflict } from "./conflict.js";
import { ACTS } from "./deeds.js";
import { show } from "./difference.js";
import { Editor } from "./editor.js";
import { showFilms } from "./film.js";
import { go, isLed } from "./going.js";
import { keep, made } from "./keys.js";
import { lately } from "./lately.js";
import { moment } from "./moments.js";
import { notice, say } from "./notice.js";
import { isUnasked, Pacs } from "./pacs.js";
import { stayOpen } from "./presence.js";
import { Questions } from "./questions.js";
import { bindKeys } from "./report_keys.js";
import { Shown } from "./shown.js";
import { keptForAnother, told } from "./told.js";
import { refused, Unsaved } from "./unsaved.js";
import { watch } from "./watch.js";

const READ_AFTER = 250; // ms after the last key
const SECTIONS = ["findings", "impression"];
const OPENING = "It is being opened for you; press again in a moment.";
const $ = (id) => document.getElementById(id);
const read = (id) => JSON.parse($(id).textContent);

class Page {
  constructor() {
    this.desk = read("desk");
    this.reading = read("reading");
    this.chosen = { ...this.desk.chips };
    this.calls = new Calls(document.querySelector(".report").dataset.study, this.desk.report);
    this.answers = new Answers(() => this.calls.look());
    this.pacs = new Pacs($("pacs"), this);
    this.editors = Object.fromEntries(SECTIONS.map((name) =>
      [name, new Editor($(name), $(`${name}-behind`), this.desk.drafted[name])]));
    this.readOf = JSON.stringify(this.words()); // what `reading` is of
    this.film = new Shown(this);
    this.chips = new Chips($("chips"), {
      set: (label, state) => this.setChip(label, state),
      go: (finding) => this.goTo(finding),
    });
    this.saving = new Autosave({
      calls: this.calls,
      version: this.desk.version,
      read: () => this.words(),
      told: (words, kind) => { $("saved").textContent = words; $("saved").className = kind; },
      conflict: () => conflict(this),
      refused: (error) => refused(this, error),
    });
    this.unsaved = new Unsaved($("unsaved"), this);
    this.lines = {}; // what those of each list are made of
    this.opening = 0; // how often it is being opened
    this.opened = null; // what waits for that
    this.isBegun = false; // what comes with an opening was done for the present one
    this.isWarned = false; // of leaving words that are not saved
    this.isGone = false; // the page goes away, and has said so
    this.isDone = false; // this person has done something with it: it is not opened again by itself
    this.born = this.desk.state; // what the server wrote into the page
    this.isHurried = false; // the next one is wanted as soon as an act is done
    this.heard = null; // what waits for an act to be done hears of each state
    this.isActing = false; // from an act's start: whoever does it shows what comes of it, unless it is refused
  }

  async start() {
    for (const name of SECTIONS) this.listen(name);
    for (const button of document.querySelectorAll("[data-act]")) {
      button.addEventListener("click", () => { void this.act(button.dataset.act); });
      button.addEventListener("focus", () => { $("why").textContent = this.desk.obstacles[button.dataset.act] ?? ""; });
    }
    for (const button of document.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => { void go(this, button.dataset.go); });
    }
    $("onward").checked = localStorage.getItem("wetread-onward") === "on";
    $("onward").addEventListener("change", () => keep("wetread-onward", $("onward").checked ? "on" : ""));
    [this.isLed, this.began] = [isLed(), performance.now()];
    bindKeys(this);
    this.render(this.desk);
    new Questions($("questions"), { base: this.calls.base, report: this.calls.report, insert: (answer) => this.insert(answer) });
    lately($("lately"), this.calls);
    void showFilms($("film"), {
      study: Number(this.calls.base.split("/")[2]),
      report: this.calls.report,
      shown: () => this.film.seen(),
      next: Number(this.desk.next.split("/")[2] ?? 0),
    });
    stayOpen(this);
    watch(this);
    if (!keptForAnother(this.desk)) await this.open();
  }

  // --- the state ---------------------------------------------------------------------------------------------------

  /** Show what the server says. The words in the editors are the person's; they are not touched. */
  render(desk) {
    this.answers.shown();
    this.desk = desk;
    Object.assign(document.querySelector(".report").dataset, { state: desk.state, ended: desk.ended });
    if ($("ended")) [$("ended").textContent, $("ended-at").textContent] = [desk.ended, desk.endedAt && moment(desk.endedAt)];
    const locked = Boolean(desk.obstacles.edit);
    for (const name of SECTIONS) $(name).readOnly = locked;
    if (!$("final") && !$("withdrawn")) $("writing").hidden = false;
    $("happened").textContent = desk.state === "DRAFT" && !desk.sentBack ? "" : desk.happened; // the notice says that it is a draft
    this.pacs.show(desk.identity);
    this.tellOf(desk);
    this.unsaved.show();
    this.buttons(desk);
    this.showReading();
    $("signed").replaceChildren(...desk.signed.map(({ words, by, at }) =>
      made("li", { textContent: `${words} ${by}, ${moment(at)}` })));
    $("arrival").textContent = desk.arrival.words;
    $("arrival").className = `arrival ${desk.arrival.there ? "good" : "wait"}`;
    $("left").textContent = desk.left ? `${desk.left} more` : "none left";
    this.heard?.(desk);
  }

  tellOf(desk) {
    const { open, mine, holder, handed, openable, first, beside, older, obstacles: { edit, close } } = desk;
    this.list("told", [open, mine, holder, handed, openable, first, beside, older, edit, close], () => told(desk, {
      open: () => this.open({ loud: true }),
      act: (name) => { void this.act(name); },
      use: (name, words) => this.editors[name].append(words),
    }));
  }

  /** Lines anew where they change: else whoever is at a button of one would lose it, and hear all of them again. */
  list(id, of, make) {
    const now = JSON.stringify(of);
    if (this.lines[id] === now) return;
    this.lines[id] = now;
    const isAt = $(id).contains(document.activeElement);
    $(id).replaceChildren(...make());
    if (isAt) ($(id).querySelector("button") ?? document.querySelector(".panel")).focus({ preventScroll: true });
  }

  buttons({ obstacles, state, beside, next, previous }) {
    const second = state === "AWAITING SECOND";
    const wanted = {
      sign: state === "DRAFT" && !beside, accept: state === "DRAFT" && !beside, reject: state === "DRAFT",
      "hand-over": state === "DRAFT" || second, discard: (state === "DRAFT" || second) && !this.isUntouched,
      cosign: second && !beside, "send-back": second, addendum: state === "VERIFIED", withdraw: state === "VERIFIED",
      "take-over": Boolean(beside), close: Boolean(beside),
    };
    const reasons = { ...obstacles, discard: obstacles.edit || (this.isUntouched ? "Nothing was changed." : "") };
    if (!this.isUntouched && !reasons.accept) reasons.accept = "The text was changed; sign it instead.";
    if (this.isUntouched && reasons.accept.startsWith("The text was changed")) reasons.accept = "";
    if (this.opening && obstacles.edit) for (const name of Object.keys(reasons)) if (reasons[name] === obstacles.edit) reasons[name] = OPENING;
    this.reasons = this.film.bar(reasons);
    for (const button of document.querySelectorAll("[data-act]")) {
      const why = reasons[button.dataset.act] ?? "";
      button.hidden = !wanted[button.dataset.act];
      button.setAttribute("aria-disabled", why && !this.isPassing(why) ? "true" : "false"); // it keeps the focus, and says why
      button.title = why;
    }
    const main = beside ? "take-over" : second ? "cosign" : "sign";
    $("why").textContent = wanted[main] ? reasons[main] : "";
    for (const [name, address] of [["next", next], ["previous", previous]]) {
      document.querySelector(`[data-go=${name}]`).setAttribute("aria-disabled", address ? "false" : "true");
    }
  }

  // --- the words ---------------------------------------------------------------------------------------------------

  words() {
    return {
      findings: this.editors.findings.text,
      impression: this.editors.impression.text,
      chips: { ...this.chosen },
    };
  }

  /** Is what is shown of findings and chips that of the words as they are now? */
  get isRead() {
    return this.readOf === JSON.stringify(this.words());
  }

  get isUntouched() {
    return SECTIONS.every((name) => this.editors[name].isUntouched);
  }

  listen(name) {
    const editor = this.editors[name];
    editor.field.addEventListener("input", () => {
      this.isWarned = false;
      this.saving.touch();
      this.showChanges();
      this.readSoon();
    });
    for (const event of ["keyup", "click", "focus"]) {
      editor.field.addEventListener(event, () => this.chips.point(name, editor.field.selectionStart));
    }
  }

  readSoon() {
    clearTimeout(this.readTimer);
    this.readTimer = setTimeout(() => { void this.readNow(); }, READ_AFTER);
  }

  async readNow() {
    const asked = this.words();
    try {
      const reading = await this.calls.post("reading", asked, { unattended: true });
      if (JSON.stringify(asked) !== JSON.stringify(this.words())) return this.readSoon();
      this.reading = reading;
      this.readOf = JSON.stringify(asked);
      this.showReading();
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // the chips stay as they were until the server is there again
    }
    return undefined;
  }

  showReading() {
    const locked = Boolean(this.desk.obstacles.edit);
    this.chips.show(this.reading.findings, this.chosen, locked);
    for (const name of SECTIONS) {
      this.editors[name].mark({ claims: this.reading.claims.filter(({ section }) => section === name) });
    }
    const { contradictions } = this.reading;
    this.list("against", [contradictions, locked], () => lines(contradictions, locked, {
      show: (place) => { if (this.isThere(place)) this.editors[place.section].select(place); },
      replace: (place, offer) => { if (this.isThere(place)) this.editors[place.section].replace(place, offer); },
      insert: (offer) => this.editors.findings.append(offer),
      release: (label) => this.setChip(label, ""),
    }));
    this.showChanges();
  }

  showChanges() {
    for (const name of SECTIONS) {
      const { runs, isUntouched } = this.editors[name];
      $(`${name}-counted`).textContent = isUntouched ? "" : inWords(runs);
      $(`${name}-changes`).hidden = isUntouched;
      show($(`${name}-changes`), runs);
    }
    this.buttons(this.desk);
  }

  /** Words of the machine that the person wants: they stay marked as its words. */
  insert(answer) {
    if (this.desk.obstacles.edit) {
      notice(this.desk.obstacles.edit, { kind: "wait", stays: false });
      return;
    }
    this.editors.findings.knows(answer);
    this.editors.findings.append(answer);
  }

  /** Are these words where the server has found them? Else they are looked for again. */
  isThere({ section, start, end, words }) {
    const isThere = this.editors[section].text.slice(start, end) === words;
    if (!isThere) void this.readNow();
    return isThere;
  }

  setChip(label, state) {
    if (state) this.chosen[label] = state;
    else delete this.chosen[label];
    this.saving.touch();
    void this.readNow();
    this.showReading();
  }

  goTo(finding) {
    const [first] = finding?.places ?? [];
    for (const name of SECTIONS) {
      this.editors[name].mark({ meant: (finding?.places ?? []).filter(({ section }) => section === name) });
    }
    if (first) this.editors[first.section].select(first);
    else say("The text does not mention it.");
  }

  /** Put the server's text into the editors. */
  take(desk) {
    for (const name of SECTIONS) this.editors[name].text = desk.text[name];
    this.chosen = { ...desk.chips };
    this.saving.settle(desk.version);
    this.render(desk);
    void this.readNow();
  }

  /** Show what the server says, and its words as well where they are newer than those here and all of these are saved. */
  follow(desk) {
    if (desk.report !== this.calls.report) return; // a newer draft has replaced this one, which `watch` tells
    if (desk.version > this.saving.version && !this.saving.isPending) this.take(desk);
    else this.render(desk);
    const begins = desk.mine && !this.isBegun;
    this.isBegun = desk.mine;
    if (begins) void this.begin();
    void this.film.tell(); // opened anew, here or in another tab: the server has forgotten what this page shows
  }

  // --- opening -----------------------------------------------------------------------------------------------------

  open(how = {}) {
    const once = this.openOnce(how);
    this.opened = Promise.allSettled([this.opened, once]);
    return once;
  }

  async openOnce({ loud = false }) {
    if (!this.desk.openable && !this.desk.adds) return;
    if (loud) say("It is being opened.");
    this.opening += 1;
    this.buttons(this.desk);
    try {
      const desk = await this.answers.newest(() => this.calls.post("open"), (now) => this.follow(now));
      if (this.desk.mine || this.desk.adds) return;
      if (desk.mine) throw new Refused(0, { detail: "The server has not said yet whether it is open for you; it is asked again.", code: "offline" });
      if (loud) notice(`${desk.obstacles.edit} It is not free yet.`, { kind: "wait", stays: false });
    } catch (error) {
      this.tell(error);
    } finally {
      this.opening -= 1;
      this.buttons(this.desk);
    }
  }

  /** It is open for this person, whichever answer has said so first. */
  async begin() {
    try {
      await Promise.all([this.restore(), this.pacs.ask()]);
    } catch (error) {
      this.tell(error);
    }
  }

  /** What this tab had typed and the server never got. */
  async restore() {
    const left = this.saving.left();
    if (!left) return;
    const same = SECTIONS.every((name) => left[name] === this.desk.text[name]);
    if (same && JSON.stringify(left.chips) === JSON.stringify(this.desk.chips)) {
      this.saving.settle(this.desk.version);
      return this.saving.forget();
    }
    for (const name of SECTIONS) this.editors[name].text = left[name];
    this.chosen = { ...left.chips };
    this.saving.version = left.version;
    this.saving.touch();
    this.showReading();
    void this.readNow();
    notice("What you typed last and was not saved is here again.");
    return undefined;
  }

  /** Show the state as it is now. */
  refresh() {
    return this.answers.newest(() => this.calls.look(), (desk) => this.follow(desk));
  }

  tell(error) {
    if (!(error instanceof Refused)) throw error;
    notice(error.message, { kind: "bad" });
  }

  // --- acts --------------------------------------------------------------------------------------------------------

  /** What a person asks for with a key or a button. Its dialog is there before the next key. */
  async act(name) {
    const why = this.reasons[name];
    if (why && !this.isPassing(why)) {
      $("why").textContent = why;
      notice(why, { kind: "wait", stays: false });
      return;
    }
    try {
      await ACTS[name](this);
    } catch (error) {
      this.tell(error);
    }
  }

  /** Is this reason against an act one that `prepare` may end? */
  isPassing(why) {
    return isUnasked(why) || this.film.isUntold(why);
  }

  /** Before an act is sent: it is open, the PACS was asked where it must be, and the server has what was shown and typed. Throws why not. */
  async prepare(name) {
    if (this.film.isNeeded(name, this.reasons[name] ?? "")) {
      await this.opened;
      await this.film.tell();
    }
    if (isUnasked(this.reasons[name] ?? "")) await this.pacs.ask();
    if (!(await this.saving.flush())) throw new Refused(0, { detail: "What you typed could not be saved; press again.", code: "unsaved" });
    const why = this.reasons[name];
    if (why) throw new Refused(0, { detail: why, code: "obstacle" });
  }
}

if ($("desk")) {
  const page = new Page();
  void page.start();
}
