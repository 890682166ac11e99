/* Keeps what is typed: on the server a moment after the last key, and in this tab until the server has it. */

import { Refused } from "./calls.js";

const QUIET = 800; // ms after the last key
const AGAIN = 5000; // ms after a failed attempt

/**
 * read(): {findings, impression, chips} as they are now. told(words, kind): what to show. conflict(refused): asks the
 * person, and gives the version to go on with, or null where the other's text was taken. refused(error): the server takes
 * these words no more.
 */
export class Autosave {
  #timer = 0;
  #busy = null;
  #changed = 0;
  #kept = 0;

  constructor({ calls, version, read, told, conflict, refused = () => {} }) {
    Object.assign(this, { calls, version, read, told, conflict, refused });
    const { login } = document.querySelector("[data-login]")?.dataset ?? {};
    this.name = `wetread-unsaved-${login ?? ""}-${calls.report}`; // the next person in this tab has words of their own
  }

  get isPending() {
    return this.#changed !== this.#kept;
  }

  /** Something was typed. */
  touch() {
    this.#changed += 1;
    remember(this.name, { ...this.read(), version: this.version, of: this.calls.base });
    this.told("Not saved yet", "wait");
    this.#later(QUIET);
  }

  /** Save now what is not saved; true where nothing is left to save. */
  async flush() {
    clearTimeout(this.#timer);
    while (this.#busy) await this.#busy;
    if (!this.isPending) return true;
    this.#busy = this.#save().finally(() => { this.#busy = null; });
    return this.#busy;
  }

  /** What this tab still has from before, and the server never got. */
  left() {
    try {
      return JSON.parse(sessionStorage.getItem(this.name) ?? "null");
    } catch {
      return null;
    }
  }

  /** The text on the page is the server's. What this tab has left from before stays, until a person has chosen. */
  settle(version) {
    this.version = version;
    this.#kept = this.#changed;
  }

  /** The server has what was typed here, or a person has chosen against it. */
  forget() {
    remember(this.name, null);
  }

  /** The page goes away: the server gets what it has not, and the report is free. */
  leave() {
    clearTimeout(this.#timer);
    const isTaken = this.isPending && this.calls.beacon("save", { ...this.read(), version: this.version, leave: true });
    if (!isTaken) this.calls.beacon("leave"); // longer words stay in this tab
  }

  async #save() {
    const mark = this.#changed;
    this.told("Saving", "");
    try {
      const { version } = await this.calls.post("save", { ...this.read(), version: this.version });
      this.version = version;
      this.#kept = mark;
      if (!this.isPending) {
        this.forget();
        this.told("Saved", "good");
      } else {
        remember(this.name, { ...this.read(), version, of: this.calls.base }); // else it would be taken for words against the server's
        this.#later(QUIET);
      }
      return !this.isPending;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return this.#failed(error);
    }
  }

  async #failed(error) {
    if (error.code === "stale-version") return this.#settled(error);
    this.told(`Not saved: ${error.message}`, "bad");
    if (error.status === 0 || error.status >= 500) this.#later(AGAIN);
    if (error.status === 409) void this.refused(error);
    return false;
  }

  /** A person chooses between two texts; where the other one does not come, it is asked for at the next attempt. */
  async #settled(refused) {
    try {
      const version = await this.conflict(refused);
      if (version === null) {
        this.told("", "");
        return false;
      }
      this.version = version;
      this.#later(0);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.told(`Not saved: somebody has changed the text, and it did not come. ${error.message}`, "bad");
      this.#later(AGAIN);
    }
    return false;
  }

  #later(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { void this.flush(); }, wait);
  }
}

/** Only while it is not saved: a tab outlives its person. */
function remember(name, value) {
  try {
    if (value === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // no place: the page itself still has it
  }
}
