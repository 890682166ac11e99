/* The report page's calls to its server. What is refused is an error with a sentence and a code. */

import { ask } from "./session.js";

const WITHIN = 60_000; // ms; nobody waits longer before an answer, and what was sent into a dead network is sent again
const PACS_WITHIN = 300_000; // ms; the server's own patience with a PACS is shorter
const OFFLINE = { detail: "The server cannot be reached. What you typed is kept here.", code: "offline" };
const UNSURE = { detail: "The server did not answer: it may have been done. Look at the state of the report before you try again.", code: "unsure" };

/** An act that the server refuses. code: a word; message: a sentence for the person. */
export class Refused extends Error {
  constructor(status, { detail = "The server does not answer as it should; try again.", code = "", ...more } = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.more = more;
  }
}

export class Calls {
  constructor(study, report) {
    this.base = `/study/${study}/report`;
    this.report = report;
  }

  /**
   * Do something; gives what the server says then. Raises Refused; code "offline" where nobody answers within a
   * minute. isGrave: it changes the report; who gets no answer does not know whether it was done, and the code is "unsure".
   */
  async post(act, body = {}, { unattended = false, isGrave = false } = {}) {
    return this.#read(`${this.base}/${act}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ ...body, report: this.report }),
      unattended,
      within: act === "identity" ? PACS_WITHIN : WITHIN,
    }, isGrave ? UNSURE : OFFLINE);
  }

  /** The state as it is now; asked by the page itself, so that it keeps no session awake. */
  async look(base = this.base) {
    const which = base === this.base ? `?report=${this.report}` : ""; // a study may have two that are open
    return this.#read(`${base}/desk${which}`, { headers: { Accept: "application/json" }, unattended: true, within: WITHIN });
  }

  /** Send without waiting for an answer, as the page goes away; false where it is more than the browser takes (64 KiB). */
  beacon(act, body = {}) {
    const parcel = new Blob([JSON.stringify({ ...body, report: this.report })], { type: "application/json" });
    return navigator.sendBeacon(`${this.base}/${act}`, parcel);
  }

  async #read(address, options, silence = OFFLINE) {
    let answer;
    try {
      answer = await ask(address, options);
    } catch {
      throw new Refused(0, silence);
    }
    const said = await answer.json().catch(() => null);
    if (answer.ok && said === null) throw new Refused(0, silence); // it broke off within the answer
    if (answer.status >= 500 && !said?.detail && silence === UNSURE) throw new Refused(answer.status, silence); // a gateway's
    if (!answer.ok) throw new Refused(answer.status, said ?? {});
    return said;
  }
}
