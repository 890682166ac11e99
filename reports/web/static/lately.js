/* What was signed a moment ago and is not yet in the PACS: told on the next page as well. */

import { made } from "./keys.js";

const NAME = "wetread-signed";
const SOON = 2_000; // ms; each look waits longer than the one before
const AT_MOST = 60_000; // ms
const MOST = 5;

/** Remember a report that was just signed: its address alone, in this tab. */
export function signedJustNow(base) {
  keep([base, ...kept().filter((one) => one !== base)].slice(0, MOST));
}

/** Show them until each is in the PACS, or nothing more happens by itself. calls: looks at the state of a report. */
export function lately(list, calls) {
  const lines = new Map(kept().filter((base) => base !== calls.base).map((base) => [base, made("li")]));
  list.replaceChildren(...lines.values());
  let wait = SOON;
  const look = async () => {
    for (const [base, line] of lines) {
      const desk = await calls.look(base).catch(() => null);
      if (!desk) continue;
      const { there, words, to } = desk.arrival;
      line.textContent = `Study ${base.split("/")[2]}: ${words}`;
      if (to.every((one) => one.there || one.failed)) lines.delete(base); // a dead letter waits for the administrator
      if (there || !to.length) keep(kept().filter((one) => one !== base));
    }
    if (lines.size) setTimeout(look, wait);
    wait = Math.min(wait * 1.5, AT_MOST);
  };
  if (lines.size) void look();
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME) ?? "[]").filter((one) => /^\/study\/\d+\/report$/u.test(one));
  } catch {
    return [];
  }
}

function keep(addresses) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(addresses));
  } catch {
    // then the next page does not tell
  }
}
