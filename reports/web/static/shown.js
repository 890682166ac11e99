/* What this page has shown of the film, and whether the server knows: nobody signs what another page has shown. */

const UNSEEN = "The film has not been shown on this page yet; all of it must be in sight.";
const OF_FILM = ["sign", "accept", "cosign", "take-over", "close", "addendum"]; // what nobody does unseen

export class Shown {
  #isSeen = false;
  #isTelling = false;

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

  /** The server books it once for each opening, here or in another tab; this page shows it still. */
  async tell() {
    const { answers, calls, desk } = this.page;
    if (!this.#isSeen || this.#isTelling || desk.shown || !(desk.mine || desk.adds)) return;
    this.#isTelling = true;
    let isBooked = false;
    try {
      await answers.newest(async () => {
        const now = await calls.post("shown");
        isBooked = now.shown;
        return now;
      }, (now) => this.page.follow(now));
    } catch (error) {
      this.page.tell(error);
    } finally {
      this.#isTelling = false;
    }
    if (isBooked) await this.tell(); // it may have been opened anew since
  }
}
