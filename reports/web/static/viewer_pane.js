// One film on one canvas: fetched, painted, moved by mouse and keys, with what must be read beside it in its corners.

import { fetchPixels, fetchPreview, FilmFailure, levelFor } from "./viewer_film.js";
import { apply, fitted, inverse, isSeen, matrix, moved, SHARES, sides, zoomed } from "./viewer_geometry.js";
import { lookup, narrowest, presets } from "./viewer_gray.js";
import { makePainter } from "./viewer_paint.js";

const PER_RANGE = 600; // CSS pixels of a drag that move the window by the film's whole range
const SAID_AFTER = 400; // ms of quiet before a reader of the screen hears the new state
const ARROW = 48; // CSS pixels

/**
 * Events on `root`, all of which bubble: `film-preview-shown` and `film-shown` once their pixels were painted on a canvas
 * that is in sight, `film-failed` (detail.code, detail.words, detail.isOfFilm), `view-changed` (detail: what a person changed).
 */
export class Pane {
  constructor(painterName, label) {
    this.label = label;
    this.root = made("div", "viewer-pane");
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "group");
    this.canvas = this.root.appendChild(made("canvas", "viewer-canvas"));
    this.canvas.setAttribute("role", "img");
    this.corners = Object.fromEntries(["start", "end", "below-start", "below-end"].map((where) => [where, this.root.appendChild(made("p", `viewer-corner viewer-${where}`))]));
    this.edges = ["right", "below", "left", "above"].map((where) => this.root.appendChild(made("span", `viewer-edge viewer-edge-${where}`)));
    this.mirror = this.root.appendChild(made("p", "viewer-mirrored"));
    this.mirror.append("Mirrored view ", button("Flip back", () => this.flip()));
    this.trouble = this.root.appendChild(made("p", "viewer-trouble"));
    this.trouble.setAttribute("role", "alert");
    this.status = this.root.appendChild(made("p", "viewer-status"));
    this.status.setAttribute("aria-live", "polite");
    this.painter = makePainter(this.canvas, painterName);
    this.film = null;
    this.view = null;
    this.wish = { scale: "fit" };
    this.reported = new Set();
    this.watch();
    this.describe();
  }

  /** Fetch and show another film; null: none. */
  async show(film) {
    this.fetching?.abort();
    const { signal } = (this.fetching = new AbortController());
    [this.asked, this.film, this.view, this.look, this.inverted] = [film, null, null, null, false];
    [this.reported, this.wish] = [new Set(), { scale: "fit" }];
    this.begun = performance.now();
    this.say(film?.trouble?.sentence ?? "");
    this.draw();
    this.describe();
    if (!film || film.trouble) return;
    try {
      await this.take(await fetchPreview(film.preview, film.facts, signal), signal);
      await this.take(await fetchPixels(film.pixels, signal), signal);
    } catch (error) {
      if (signal.aborted) return;
      const words = error instanceof FilmFailure ? error.message : "The film cannot be shown by this browser. Use the site's viewer.";
      this.say(words);
      this.tell("film-failed", { code: error.code ?? "broken", words, isOfFilm: Boolean(error.isOfFilm) });
      if (!(error instanceof FilmFailure)) throw error;
    }
  }

  /** Presets of this film; the first one is how it is shown at first. */
  get presets() {
    return this.film?.full ? presets(this.film) : [];
  }

  preset(name) {
    const found = this.presets.find((one) => one.name === name);
    if (found) this.change({ look: found.look }, { preset: name });
  }

  invert() {
    this.change({ inverted: !this.inverted }, { inverted: !this.inverted });
  }

  flip() {
    this.turned({ mirrored: !this.view?.mirrored });
  }

  turn() {
    this.turned({ turns: ((this.view?.turns ?? 0) + 1) % 4 });
  }

  fit() {
    this.wish = { scale: "fit" };
    this.place({});
  }

  /** One film pixel on one pixel of the screen. */
  actual() {
    if (this.view) this.move(zoomed(this.view, this.film, this.canvas, 1 / this.view.scale));
  }

  zoom(factor, point) {
    if (this.view) this.move(zoomed(this.view, this.film, this.canvas, factor, point));
  }

  pan(across, down) {
    if (this.view) this.move(moved(this.view, this.film, across * this.ratio, down * this.ratio));
  }

  /** Window by shares of the film's range: more is wider, and darker. */
  window(width, darker) {
    if (!this.film?.full) return;
    const [low, high] = this.film.span;
    const now = this.look.voi === undefined ? this.look : { function: "LINEAR_EXACT", center: (low + high) / 2, width: high - low };
    const sign = this.film.inverted !== this.inverted ? -1 : 1;
    const look = {
      function: now.function,
      center: now.center + sign * darker * (high - low),
      width: Math.max(now.width + width * (high - low), narrowest(now.function)),
    };
    this.change({ look }, { windowed: [width, darker] });
  }

  reset() {
    if (!this.film) return;
    [this.look, this.inverted] = [this.film.shown, false];
    this.wish = { scale: "fit" };
    this.place({ turns: 0, mirrored: false });
    this.painter.grays(lookup(this.film, this.look));
    this.changed({ reset: true });
  }

  /** Grays of a part of the canvas in device pixels, painted anew: for tests and measurements. */
  read(x, y, width, height) {
    this.paint();
    return this.painter.read(x, y, width, height);
  }

  close() {
    this.fetching?.abort();
    this.sizes.disconnect();
    this.sight.disconnect();
    document.removeEventListener("visibilitychange", this.seen);
    cancelAnimationFrame(this.frame);
    clearTimeout(this.saying);
    this.painter.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    this.root.remove();
  }

  // --- films

  take(film, signal) {
    if (signal.aborted) return null; // another one is asked for by now: its name would stand above this picture
    const largest = Math.max(...film.levels.map((level) => Math.max(level.width, level.height)));
    if (largest > this.painter.largest) this.replaceCanvas();
    const same = this.film && this.film.width === film.width && this.film.height === film.height;
    this.film = film;
    this.look = film.shown;
    this.painter.grays(lookup(film, this.look, this.inverted));
    if (!same) this.view = null;
    this.place({});
    this.tell("film-loaded", { full: film.full });
    return new Promise((resolve) => requestAnimationFrame(resolve));
  }

  /** A canvas keeps its first context; a film larger than any texture needs the other one. */
  replaceCanvas() {
    const canvas = made("canvas", "viewer-canvas");
    canvas.setAttribute("role", "img");
    [canvas.width, canvas.height] = [this.canvas.width, this.canvas.height];
    this.canvas.replaceWith(canvas);
    this.sight.disconnect();
    this.canvas = canvas;
    this.sight.observe(canvas);
    this.painter = makePainter(canvas, "2d");
  }

  // --- view

  turned(how) {
    if (!this.view) return;
    this.place(how);
    this.changed(how);
  }

  /** A new turn; what was fitted stays fitted. */
  place(how) {
    if (!this.film || !this.canvas.width) return;
    const next = { ...(this.view ?? {}), ...how };
    this.view = this.wish.scale === "fit" || !this.view ? fitted(this.film, this.canvas, next) : next;
    this.draw();
  }

  move(view) {
    this.view = view;
    this.wish = { scale: view.scale };
    this.changed({ moved: true });
    this.draw();
  }

  change(what, told) {
    if (!this.film) return;
    Object.assign(this, what);
    this.painter.grays(lookup(this.film, this.look, this.inverted));
    this.changed(told);
    this.draw();
  }

  changed(what) {
    this.describe();
    if (!this.following) this.tell("view-changed", what);
  }

  // --- painting

  get ratio() {
    return this.canvas.width / (this.canvas.clientWidth || 1) || 1;
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const painted = this.paint();
      this.describe();
      if (painted) requestAnimationFrame(() => this.report(painted));
    });
  }

  /** Point of the film under a point of the page. */
  under(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    return apply(inverse(matrix(this.view, this.canvas)), (clientX - box.x) * this.ratio, (clientY - box.y) * this.ratio);
  }

  /** The scale at which the whole film fits. */
  get fitScale() {
    return fitted(this.film, this.canvas, this.view).scale;
  }

  /** The film that was painted, or null. */
  paint() {
    const { canvas, film, view, painter } = this;
    canvas.classList.toggle("viewer-empty", !film);
    if (!film || !view || !canvas.width) return null;
    painter.level(levelFor(film, view.scale));
    return painter.draw(matrix(view, canvas), !(film.full && view.scale === 1)) ? film : null;
  }

  /** Once the frame with the film was given to the screen: only what somebody can see counts as shown. */
  report(film) {
    if (film !== this.film || !this.inSight || document.visibilityState !== "visible") return;
    const name = film.full ? "film-shown" : "film-preview-shown";
    if (this.reported.has(name)) return;
    this.reported.add(name);
    this.root.dataset.shown = film.full ? "full" : "preview";
    this.tell(name, { id: this.asked.id, painter: this.painter.name, milliseconds: performance.now() - this.begun });
  }

  watch() {
    this.sizes = new ResizeObserver(([entry]) => this.resized(entry));
    try {
      this.sizes.observe(this.root, { box: "device-pixel-content-box" });
    } catch {
      this.sizes.observe(this.root); // Safari
    }
    this.sight = new IntersectionObserver((entries) => {
      this.inSight = isSeen(entries.at(-1));
      this.draw();
    }, { threshold: SHARES });
    this.sight.observe(this.canvas);
    this.seen = () => this.draw();
    document.addEventListener("visibilitychange", this.seen);
    this.root.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.root.addEventListener("pointerdown", (event) => this.dragged(event));
    this.root.addEventListener("contextmenu", (event) => event.preventDefault());
    this.root.addEventListener("keydown", (event) => this.pressed(event));
    this.root.addEventListener("keyup", (event) => event.key === " " && (this.space = false));
    this.root.addEventListener("blur", () => (this.space = false));
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => {
      this.painter.prepare();
      if (this.film) this.painter.grays(lookup(this.film, this.look, this.inverted));
      this.draw();
    });
  }

  resized(entry) {
    const ratio = window.devicePixelRatio;
    const [wide, high] = [entry.contentRect.width * ratio, entry.contentRect.height * ratio];
    const exact = entry.devicePixelContentBoxSize?.[0]; // says how a half pixel was rounded; wrong while a screen is emulated
    const isExact = exact && Math.abs(exact.inlineSize - wide) < 1.5 && Math.abs(exact.blockSize - high) < 1.5;
    const width = isExact ? exact.inlineSize : Math.round(wide);
    const height = isExact ? exact.blockSize : Math.round(high);
    if (!width || !height || (width === this.canvas.width && height === this.canvas.height)) return;
    [this.canvas.width, this.canvas.height] = [width, height];
    this.place({});
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.paint(); // in this frame, or the canvas would flash
    this.draw();
  }

  // --- hands

  wheeled(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    const point = { x: (event.clientX - box.x) * this.ratio, y: (event.clientY - box.y) * this.ratio };
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY / 100 : event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY / 3 : event.deltaY;
    this.zoom(1.2 ** -Math.max(-3, Math.min(3, lines)), point);
  }

  /** Left or right button: window. Middle button, or the space bar held down: move. */
  dragged(event) {
    if (event.target.closest("button")) return;
    event.preventDefault();
    this.root.focus({ preventScroll: true });
    this.root.setPointerCapture(event.pointerId);
    const moves = event.button === 1 || this.space;
    let [x, y] = [event.clientX, event.clientY];
    const move = (next) => {
      const [across, down] = [next.clientX - x, next.clientY - y];
      [x, y] = [next.clientX, next.clientY];
      if (moves) this.pan(across, down);
      else this.window(across / PER_RANGE, down / PER_RANGE);
    };
    const end = () => {
      this.root.removeEventListener("pointermove", move);
      for (const name of ["pointerup", "pointercancel"]) this.root.removeEventListener(name, end);
    };
    this.root.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) this.root.addEventListener(name, end);
  }

  /** Keys that would do something else elsewhere in a page: only while the film has the focus. */
  pressed(event) {
    if (event.target !== this.root || event.ctrlKey || event.altKey || event.metaKey) return;
    const ways = { ArrowLeft: [ARROW, 0], ArrowRight: [-ARROW, 0], ArrowUp: [0, ARROW], ArrowDown: [0, -ARROW] };
    if (event.key === " ") this.space = true;
    else if (ways[event.key]) this.pan(...ways[event.key]);
    else return;
    event.preventDefault();
  }

  // --- words

  say(words) {
    this.trouble.textContent = words;
    this.trouble.hidden = !words;
  }

  tell(name, detail) {
    this.root.dispatchEvent(new CustomEvent(name, { bubbles: true, detail: { pane: this, ...detail } }));
  }

  /** How it is shown, in words. */
  get state() {
    if (!this.film) return "";
    return [this.windowWords(), `zoom ${Math.round(100 * (this.view?.scale ?? 1))} %`, this.inverted && "inverted", this.view?.mirrored && "mirrored view", this.view?.turns && `turned by ${90 * this.view.turns} degrees`].filter(Boolean).join(", ");
  }

  windowWords() {
    if (!this.film.full) return "small picture, the film is on its way";
    if (this.look.voi !== undefined) return this.presets.find((one) => one.look.voi === this.look.voi)?.words ?? "VOI LUT";
    return `C ${figure(this.look.center)} W ${figure(this.look.width)}`;
  }

  describe() {
    const { asked, film, corners } = this;
    const facts = film ?? asked?.facts ?? {};
    const about = [facts.modality, facts.body_part, facts.view, facts.laterality && facts.laterality !== "U" && `side by the tags: ${facts.laterality}`, facts.taken].filter(Boolean);
    const name = [this.label, asked?.whose, asked?.doubt, ...about].filter(Boolean).join(", ");
    corners.start.textContent = asked ? [this.label, asked.whose, about.join(" · "), ...(asked.words ?? [])].filter(Boolean).join("\n") : "";
    if (asked?.doubt) corners.start.appendChild(made("strong", "viewer-doubt")).textContent = asked.doubt;
    corners.end.textContent = "Not a diagnostic display";
    corners["below-start"].textContent = this.state;
    corners["below-end"].textContent = facts.lossy ? `Lossy compression${facts.lossy.ratio ? ` ${figure(facts.lossy.ratio)}:1` : ", ratio not known"}` : "";
    const around = this.view && sides(facts.orientation, this.view);
    this.edges.forEach((edge, place) => (edge.textContent = around?.[place] ?? ""));
    this.mirror.hidden = !this.view?.mirrored;
    this.root.setAttribute("aria-label", name);
    this.canvas.setAttribute("aria-label", [name, this.state, "not a diagnostic display"].filter(Boolean).join(", "));
    clearTimeout(this.saying);
    this.saying = setTimeout(() => this.status.textContent !== this.state && (this.status.textContent = this.state), SAID_AFTER);
  }
}

export function figure(number) {
  return String(Number(Math.abs(number) >= 100 ? number.toFixed(0) : number.toPrecision(3)));
}

export function made(tag, name) {
  const element = document.createElement(tag);
  element.className = name;
  return element;
}

export function button(words, action) {
  const element = made("button", "viewer-button");
  element.type = "button";
  element.textContent = words;
  element.addEventListener("click", action);
  return element;
}
