/* What this page has shown of the film, and whether the server knows: nobody signs what another page has shown. */

const UNSEEN = "The film has not been shown on this page yet; all of it must be in sight.";
const UNTOLD = "The film has not been shown to you yet"; // the server says
const OF_FILM = ["sign", "accept", "cosign", "take-over", "close", "addendum"]; // what nobody does unseen

export class Shown {
  #isSeen = false;
  #telling = null;

  /** page: the report page. */
  constructor(page) {
    this.page = page;
  }

  /** Every film that was read has been painted on this page. */
  seen() {
    this.#isSeen = true;
    this.page.buttons(this.page.desk);
    void this.tell();
  }

  /** Why not, by the name of an act; what the server says against it goes first. */
  bar(reasons) {
    if (!this.#isSeen) for (const name of OF_FILM) reasons[name] ||= UNSEEN;
    return reasons;
  }

  /** Does nobody do this unseen? why: the reason against it. */
  isNeeded(act, why) {
    return OF_FILM.includes(act) || this.isUntold(why);
  }

  /** Is this reason one that `tell` may end? */
  isUntold(why) {
    return this.#isSeen && why.startsWith(UNTOLD);
  }

  /** The server books it once for each opening, here or in another tab; this page shows it still. Who asks meanwhile waits, too. */
  tell() {
    this.#telling ??= this.#tell().finally(() => { this.#telling = null; });
    return this.#telling;
  }

  async #tell() {
    let isBooked = true;
    while (isBooked && this.#isOwed) isBooked = await this.#book(); // it may have been opened anew since
  }

  get #isOwed() {
    const { shown, mine, adds } = this.page.desk;
    return this.#isSeen && !shown && (mine || adds);
  }

  /** Has the server booked it, whatever it says now? */
  async #book() {
    const { answers, calls } = this.page;
    let isBooked = false;
    try {
      await answers.newest(async () => {
        const now = await calls.post("shown");
        isBooked = now.shown;
        return now;
      }, (now) => this.page.follow(now));
    } catch (error) {
      this.page.tell(error);
    }
    return isBooked;
  }
}
