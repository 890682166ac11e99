// The film in the page: one pane, or two beside each other, with a bar of tools.
//
//   import { FilmViewer, openStudy, prefetch } from "./viewer.js";
//   const viewer = new FilmViewer(element, { film, prior });   objects of `films` in /study/N/films.json
//   const viewer = await openStudy(element, 17);               fetches that list; offers the other films, and priors as they come
//   viewer.bindKeys(bind);                                     `bind` of keys.js; KEYS is the table
//   element.addEventListener("film-shown", ({ detail }) => ... detail.id ...);
//   prefetch(18);                                              so that the next one is there at once
//   viewer.close();
//
// `film-shown` comes once for each film, when every pixel of it was painted on a canvas in sight; what must not be
// done unseen waits for it. `film-failed` has detail.words. The element gets its height from the page (viewer.css).

import { FilmFailure, fetchPriors } from "./viewer_film.js";
import { button, made, Pane } from "./viewer_pane.js";

/** Every key: what it is, what it does in words, and which method does it. Arrows and Space need the focus on the film. */
export const KEYS = Object.freeze(
  [
    ["+", "Larger", (viewer) => viewer.zoom(1.25)],
    ["-", "Smaller", (viewer) => viewer.zoom(0.8)],
    ["0", "Fit the film into its box", (viewer) => viewer.fit()],
    ["1", "One film pixel on one screen pixel", (viewer) => viewer.actual()],
    ["2", "The film's own window; again: its next one", (viewer) => viewer.own()],
    ["3", "Full range", (viewer) => viewer.preset("full")],
    ["4", "Lung", (viewer) => viewer.preset("lung")],
    ["5", "Mediastinum", (viewer) => viewer.preset("soft")],
    ["6", "Bone", (viewer) => viewer.preset("bone")],
    ["[", "Narrower window: more contrast", (viewer) => viewer.window(-0.05, 0)],
    ["]", "Wider window: less contrast", (viewer) => viewer.window(0.05, 0)],
    ["{", "Brighter", (viewer) => viewer.window(0, -0.03)],
    ["}", "Darker", (viewer) => viewer.window(0, 0.03)],
    ["i", "Invert", (viewer) => viewer.invert()],
    ["m", "Mirror left and right; again: back", (viewer) => viewer.flip()],
    ["t", "Turn by 90 degrees", (viewer) => viewer.turn()],
    [".", "As it was at first", (viewer) => viewer.reset()],
    ["p", "Prior film beside it, or away", (viewer) => viewer.togglePrior()],
    ["l", "Link both films, or free them", (viewer) => viewer.toggleLinked()],
  ].map(([key, words, act]) => Object.freeze({ key, words, act })),
);

/** Keys of the film while it has the focus, for the list of keys. */
export const FOCUS_KEYS = Object.freeze([Object.freeze({ key: "Arrows", words: "Move the film" }), Object.freeze({ key: "Space + drag", words: "Move the film" })]);

const NOT_LISTED = "The other films of this patient could not be listed.";
const LISTING = "The other films of this patient are being listed.";

export class FilmViewer {
  /**
   * film: an object of films.json. prior: the same, shown beside it. others: [{words, film}] to choose a second one from.
   * link: address of the study in the site's own viewer. painter: "auto", "webgl2" or "2d".
   */
  constructor(element, { film = null, prior = null, others = [], films = [], words = [], link = "", linked = true, painter = "auto" } = {}) {
    this.element = element;
    this.painter = painter;
    this.others = others;
    this.priors = [];
    this.coming = null; // priors that are being listed
    this.unlisted = ""; // why they could not be
    this.askPriors = null;
    this.linked = linked;
    element.replaceChildren();
    element.classList.add("film-viewer");
    this.bar = element.appendChild(made("div", "viewer-bar"));
    this.bar.setAttribute("role", "toolbar");
    this.bar.setAttribute("aria-label", "Film");
    this.notes = element.appendChild(made("p", "viewer-notes"));
    this.notes.setAttribute("role", "status");
    this.again = button("Try again", () => this.listAgain());
    this.words = words;
    this.note();
    this.stage = element.appendChild(made("div", "viewer-stage"));
    this.main = this.addPane("Film");
    this.second = null;
    this.active = this.main;
    this.makeBar(films, link);
    element.addEventListener("film-loaded", () => this.refresh());
    element.addEventListener("view-changed", (event) => this.follow(event.detail));
    element.addEventListener("focusin", (event) => this.focused(event.target));
    element.addEventListener("keydown", (event) => this.pressed(event));
    this.ready = film ? this.show(film) : Promise.resolve();
    if (prior) this.showPrior(prior);
  }

  /** Another film in the first pane. Resolves when it was fetched, or could not be. */
  show(film) {
    return this.main.show(film);
  }

  /** A film beside the first one; null takes it away. */
  showPrior(film, words = "Prior") {
    if (!film) {
      this.second?.close();
      this.second = null;
      this.active = this.main;
    } else {
      this.second ??= this.addPane(words);
      this.second.label = words;
      this.second.show(film);
    }
    this.listOthers();
    this.refresh();
  }

  /** Films of other studies, that ask() lists as {words, film}: no film waits for them. */
  expect(ask) {
    this.askPriors = ask;
    this.unlisted = "";
    this.coming = ask().then((priors) => {
      this.priors = priors;
      this.listOthers();
    }).catch((error) => {
      this.unlisted = error instanceof FilmFailure ? `${NOT_LISTED} ${error.message}` : NOT_LISTED;
      if (!(error instanceof FilmFailure)) reportError(error);
    }).finally(() => {
      this.coming = null;
      this.again.removeAttribute("aria-disabled");
      if (this.unlisted) this.note(this.unlisted, this.again);
      else this.note();
    });
  }

  /** Its button stays while it is tried, and with it the focus of who has pressed it. */
  listAgain() {
    if (this.coming) return;
    this.expect(this.askPriors);
    this.again.setAttribute("aria-disabled", "true");
    this.note(LISTING, this.again);
  }

  /**
   * Beside it the first one that nothing speaks against, a prior rather than another film of the study; or away with it. What
   * may be another patient's is chosen in the list, by a person. Gives why none is there, or nothing; it waits for the list,
   * and asks for it once more where it did not come.
   */
  async togglePrior() {
    const isThere = Boolean(this.second);
    if (!isThere) {
      if (this.unlisted) this.listAgain();
      else if (this.coming) this.note(LISTING);
      await this.coming;
    }
    if (this.isClosed || isThere !== Boolean(this.second)) return ""; // pressed twice while it waited
    const all = isThere ? [] : [...this.priors, ...this.others];
    const other = all.find(({ film }) => !film.doubt);
    if (isThere || other) this.showPrior(other?.film ?? null, other?.words);
    else if (all.length) return "What is here under this Patient ID may be another patient's. Look at the names: Compare with.";
    else return this.unlisted || "No other film of this patient is here.";
    return "";
  }

  toggleLinked() {
    this.linked = !this.linked;
    this.refresh();
  }

  zoom(factor) {
    this.active.zoom(factor);
  }

  fit() {
    this.active.fit();
    this.follow({ pane: this.active, fitted: true });
  }

  actual() {
    this.active.actual();
  }

  invert() {
    this.active.invert();
  }

  flip() {
    this.active.flip();
  }

  turn() {
    this.active.turn();
  }

  reset() {
    this.active.reset();
  }

  window(width, darker) {
    this.active.window(width, darker);
  }

  preset(name) {
    this.active.preset(name);
  }

  /** The next of the film's own windows and VOI LUTs. */
  own() {
    const own = this.active.presets.filter((one) => one.name === "automatic" || one.name.startsWith("own-"));
    const now = own.findIndex((one) => one.look === this.active.look || JSON.stringify(one.look) === JSON.stringify(this.active.look));
    if (own.length) this.active.preset(own[(now + 1) % own.length].name);
  }

  /** How the active film is shown, in words. */
  get state() {
    return this.active.state;
  }

  /** Let keys work wherever the focus is. bind(key, words, action, {group}) is that of keys.js. Returns what unbinds. */
  bindKeys(bind) {
    const unbind = KEYS.map(({ key, words, act }) => bind(key, words, () => act(this), { group: "Film" }));
    return () => unbind.forEach((one) => typeof one === "function" && one());
  }

  close() {
    this.isClosed = true;
    this.second?.close();
    this.main.close();
    this.element.replaceChildren();
    this.element.classList.remove("film-viewer");
  }

  // --- inside

  /** What is to be known of the films, and of those that are missing: words and buttons. */
  note(...missing) {
    const all = [...this.words, ...missing].flatMap((one) => [" ", one]);
    const isAt = this.again.contains(document.activeElement);
    this.notes.replaceChildren(...all.slice(1));
    if (!isAt) return;
    if (missing.includes(this.again)) this.again.focus();
    else (this.chooser.parentElement.hidden ? this.active.root : this.chooser).focus(); // what came of it
  }

  addPane(label) {
    const pane = new Pane(this.painter, label);
    this.stage.append(pane.root);
    return pane;
  }

  focused(target) {
    if (this.second?.root.contains(target)) this.active = this.second;
    else if (this.main.root.contains(target)) this.active = this.main;
    this.refresh();
  }

  /** Keys while something in the viewer has the focus; a page that binds them as well is not asked a second time. */
  pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select")) return;
    const found = KEYS.find((one) => one.key === event.key);
    if (!found) return;
    event.preventDefault();
    found.act(this);
  }

  /** What is done to one of two linked films is done to the other: by the same share of its own range and size. */
  follow({ pane, ...what }) {
    this.refresh();
    if (!this.linked || !this.second) return;
    const other = pane === this.main ? this.second : this.main;
    if (!other.film || !pane.view || !other.view) return;
    other.following = true;
    if (what.preset) other.preset(what.preset.startsWith("own-") || what.preset === "automatic" ? (other.presets[0]?.name ?? "") : what.preset);
    if (what.windowed) other.window(...what.windowed);
    if (what.moved) other.move(alike(pane, other));
    if (what.fitted) other.fit();
    if (what.reset) other.reset();
    other.following = false;
  }

  makeBar(films, link) {
    const tools = [
      ["Fit", "0"], ["1:1", "1"], ["Invert", "i"], ["Mirror", "m"], ["Turn", "t"], ["Reset", "."],
    ].map(([words, key]) => this.tool(words, key));
    this.windows = this.choice("Window", (name) => this.preset(name));
    this.chooser = this.choice("Compare with", (id) => {
      const other = this.choices().find(({ film }) => String(film.id) === id);
      this.showPrior(other?.film ?? null, other?.words);
    });
    this.listOthers();
    this.link = this.tool("Linked", "l");
    this.bar.append(this.windows.parentElement, ...tools, this.chooser.parentElement, this.link);
    if (films.length > 1) this.bar.prepend(this.filmChoice(films));
    if (link) this.bar.append(outside(link));
  }

  /** What can be compared with, in the order of the list: what comes later stands behind what somebody may be choosing. */
  choices() {
    return [...this.others, ...this.priors];
  }

  listOthers() {
    const all = this.choices();
    const shown = all.find(({ film }) => film.id === this.second?.asked.id);
    options(this.chooser, [["", "No second film"], ...all.map(({ words, film }) => [String(film.id), words])]);
    this.chooser.value = shown ? String(shown.film.id) : "";
    this.chooser.parentElement.hidden = !all.length;
  }

  tool(words, key) {
    const { act, words: title } = KEYS.find((one) => one.key === key);
    const made = button(words, () => act(this));
    made.title = `${title} (${key})`;
    made.setAttribute("aria-keyshortcuts", key);
    return made;
  }

  filmChoice(films) {
    const chosen = this.choice("Film", (place) => this.show(films[Number(place)].film));
    options(chosen, films.map(({ words }, place) => [String(place), words]));
    return chosen.parentElement;
  }

  choice(words, act) {
    const label = made("label", "viewer-choice");
    const select = made("select", "");
    label.append(`${words} `, select);
    select.addEventListener("change", () => select.value !== "-" && act(select.value));
    return select;
  }

  /** The bar says what the active pane shows. */
  refresh() {
    const presets = this.active.presets;
    const shown = presets.find((one) => JSON.stringify(one.look) === JSON.stringify(this.active.look));
    options(this.windows, [...(shown || !presets.length ? [] : [["-", "By hand"]]), ...presets.map(({ name, words }) => [name, words])]);
    this.windows.value = shown?.name ?? (presets.length ? "-" : "");
    this.link.hidden = !this.second;
    this.link.setAttribute("aria-pressed", String(this.linked));
    this.stage.classList.toggle("viewer-two", Boolean(this.second));
    for (const pane of [this.main, this.second]) pane?.root.classList.toggle("viewer-active", Boolean(this.second) && pane === this.active);
  }
}

/**
 * A viewer with everything that /study/N/films.json offers; report: number of the one whose films were read, of two.
 * Raises FilmFailure; its message is for people.
 */
export async function openStudy(element, number, { report = 0, ...settings } = {}) {
  const list = await filmsOf(number, report);
  const films = list.films.map((film) => ({ words: named(film), film }));
  const begun = new Promise((resolve) => element.addEventListener("film-loaded", resolve, { once: true }));
  const viewer = new FilmViewer(element, { film: films[0]?.film ?? null, films, others: films.slice(1), words: list.words, link: list.viewer, ...settings });
  viewer.expect(() => Promise.race([begun, viewer.ready]).then(() => fetchPriors(list.priors)).then(listed)); // behind the first picture
  if (!films.length) viewer.main.say("The study has no film.");
  viewer.list = list;
  return viewer;
}

/** Let the server make the first picture of a study that somebody may open next; it stays there. Failures come up then. */
export async function prefetch(number) {
  try {
    await fetch(`/study/${number}/films.json`, { method: "HEAD", credentials: "same-origin" }); // tells nothing: it is no look
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

async function filmsOf(number, report) {
  const answer = await fetch(`/study/${number}/films.json${report ? `?report=${report}` : ""}`, { credentials: "same-origin", headers: { Accept: "application/json" } });
  if (!answer.ok || !answer.headers.get("Content-Type")?.startsWith("application/json")) throw new FilmFailure(`http-${answer.status}`, "The films of the study could not be listed. Reload the page; sign in again where it asks for that.");
  return answer.json();
}

function listed(priors) {
  return priors.flatMap((prior) => prior.films.map((film) => ({ words: `${prior.words}${film.doubt ? ": another patient?" : ""}`, film })));
}

function named(film) {
  const about = [film.facts?.view, film.facts?.laterality].filter(Boolean).join(" ") || `film ${film.id}`;
  return [about, film.read ? "read" : "not read", film.conflict && "conflict"].filter(Boolean).join(", ");
}

function options(select, pairs) {
  const text = JSON.stringify(pairs);
  if (select.dataset.pairs === text) return;
  select.dataset.pairs = text;
  select.replaceChildren(...pairs.map(([value, words]) => new Option(words, value)));
}

/** The place of one view in a film of another size. */
function alike(pane, other) {
  const share = pane.view.scale / pane.fitScale;
  return { ...other.view, x: (pane.view.x / pane.film.width) * other.film.width, y: (pane.view.y / pane.film.height) * other.film.height, scale: share * other.fitScale };
}

function outside(link) {
  const made = document.createElement("a");
  made.className = "viewer-link";
  made.href = link;
  made.rel = "noopener noreferrer";
  made.target = "_blank";
  made.textContent = "Open in the site's viewer";
  return made;
}
