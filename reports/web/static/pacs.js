/* Whose study the PACS says that this is: asked once at a time, told in the strip above the report. */

import { clock } from "./moments.js";

const SOFT = /^The PACS has (?:not been asked yet|to be asked again)/u; // an act asks it first

/** Is this reason against an act one that asking the PACS may end? */
export const isUnasked = (why) => SOFT.test(why);

export class Pacs {
  #asking = null;
  #said = null; // in its own words, at the last answer
  #fault = null; // words, and the last answer when it came about: a newer one tells more

  /** strip: where it is told. page: the report page. */
  constructor(strip, page) {
    Object.assign(this, { strip, page });
  }

  /** What is known. */
  show({ at, blocks, outcome, ...now }) {
    if (this.#asking) return this.#tell("Asking the PACS whose study this is", this.strip.className);
    if (this.#fault && this.#fault.at !== at) this.#fault = null;
    if (this.#fault) return this.#tell(this.#fault.words, "pacs bad");
    const { words, lacks } = at && at === this.#said?.at ? this.#said : now;
    const kind = outcome === "same" && !lacks ? "good" : blocks ? "bad" : "wait";
    return this.#tell(at ? `${words.replace(/\.$/u, "")}, ${clock(at)}` : words, `pacs ${kind}`);
  }

  /** Ask it; who asks meanwhile waits for the same answer. */
  ask() {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
      this.show(this.page.desk.identity);
    });
    this.show(this.page.desk.identity);
    return this.#asking;
  }

  async #ask() {
    const { answers, calls } = this.page;
    try {
      await answers.newest(async () => {
        const desk = await calls.post("identity");
        this.#said = desk.identity;
        return desk;
      }, (desk) => this.page.follow(desk));
      this.#fault = null;
    } catch (error) {
      this.#fault = { words: `The PACS was not asked: ${error.message}`, at: this.page.desk.identity.at };
    }
  }

  #tell(words, kind) {
    this.strip.textContent = words;
    this.strip.className = kind;
  }
}
